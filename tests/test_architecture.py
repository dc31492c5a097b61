"""Who imports whom: arrows go down the list of rooms, without an exception."""

import ast
from pathlib import Path

import pytest

import i2i

PACKAGE = Path(i2i.__file__).parent

ROOMS = [
    "cli",
    "app",
    "report",
    "doctor",
    "evaluation",
    "export",
    "inference",
    "training",
    "runs",
    "models",
    "metrics",
    "data",
    "networks",
    "losses",
    "config",
    "distributed",
    "system",
    "core",
    "errors",
]
"""A room may import those below it, and nothing above."""

LOOSE = {"__init__", "__main__", "errors"}
"""The files beside the rooms: what a program may import, the command, and what can go wrong."""


def room_of(path: Path) -> str:
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


def imports(path: Path) -> set[str]:
    """The rooms of i2i that a file imports, also inside of functions."""
    names = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names += (
                [f"i2i.{alias.name}" for alias in node.names]
                if node.module == "i2i"
                else [node.module or ""]
            )
    rooms = {name.split(".")[1] for name in names if name.startswith("i2i.")}
    return {
        room for room in rooms if (PACKAGE / room).is_dir() or (PACKAGE / f"{room}.py").exists()
    }


FILES = sorted(PACKAGE.rglob("*.py"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_go_down(path: Path) -> None:
    room = room_of(path)
    if room in ("__init__", "__main__"):
        return  # what a program may import comes from everywhere
    assert room in ROOMS, f"{room} is a new room: say in ROOMS where it stands"
    above = set(ROOMS[: ROOMS.index(room)])
    assert not imports(path) & above, f"{room} must not import {sorted(imports(path) & above)}"


def test_two_files_lie_loose() -> None:
    assert {path.stem for path in PACKAGE.glob("*.py")} == LOOSE


def test_every_room_says_what_it_is_for() -> None:
    for init in PACKAGE.rglob("__init__.py"):
        assert ast.get_docstring(ast.parse(init.read_text(encoding="utf-8"))), init


def test_models_do_not_know_each_other() -> None:
    for path in (PACKAGE / "models").glob("[a-z]*.py"):
        text = path.read_text(encoding="utf-8")
        for other in (PACKAGE / "models").glob("[a-z]*.py"):
            if path.stem != "build" and other.stem != "build":
                assert other == path or f"i2i.models.{other.stem}" not in text


def test_only_one_place_knows_albumentations_and_pydantic() -> None:
    for library, home in (("albumentations", "data/augment/"), ("pydantic", "config/")):
        users = {
            path.relative_to(PACKAGE).as_posix()
            for path in FILES
            if f"import {library}" in path.read_text(encoding="utf-8")
            or f"from {library}" in path.read_text(encoding="utf-8")
        }
        assert users, library
        assert all(user.startswith(home) for user in users), (library, users)


def test_one_file_counts_cores() -> None:
    """Those of the host are not those of a container."""
    counting = {path.name for path in FILES if "cpu_count" in path.read_text(encoding="utf-8")}
    assert counting == {"cpu.py"}


def test_the_data_folders_are_no_packages() -> None:
    for name in ("options", "datasets", "models"):
        assert not (PACKAGE.parent / name / "__init__.py").exists()


KINDS = {"paired", "unpaired", "domains", "unconditional"}


def test_nobody_asks_which_kind_of_data() -> None:
    """A kind is asked what it can do: only its own file, and what paints or lists data sets, may
    compare its name with another."""
    allowed = ("data/kinds/", "data/demo/", "cli/datasets.py")
    for path in FILES:
        if path.relative_to(PACKAGE).as_posix().startswith(allowed):
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Compare):
                compared = {
                    each.value
                    for part in (node.left, *node.comparators)
                    for each in ast.walk(part)
                    if isinstance(each, ast.Constant) and isinstance(each.value, str)
                }
                assert not compared & KINDS, f"{path}, line {node.lineno}"
            if isinstance(node, ast.MatchValue) and isinstance(node.value, ast.Constant):
                assert node.value.value not in KINDS, f"{path}, line {node.lineno}"
