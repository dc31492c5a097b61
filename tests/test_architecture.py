"""Who imports whom. A room may import itself, the rooms named here, and the ground floor."""

import ast
from pathlib import Path

import pytest

import i2i

PACKAGE = Path(i2i.__file__).parent
GROUND = {
    "errors",
    "plugins",
    "registry",
    "gate",
    "atomic",
    "batch",
    "labels",
    "latent",
    "growth",
    "processor",
    "memory",
    "signals",
    "__init__",
}
MAY_IMPORT = {
    "errors": set(),
    "gate": set(),
    "atomic": set(),
    "batch": set(),
    "labels": set(),
    "latent": set(),
    "growth": set(),
    "memory": set(),
    "processor": set(),
    "plugins": set(),
    "registry": set(),
    "signals": set(),
    "game": set(),
    "watch": set(),
    "work": set(),
    "processes": {"watch"},
    "progress": set(),
    "options": set(),
    "recipes": {"options"},
    "fast": {"options"},
    "networks": set(),
    "objectives": set(),
    "augment": set(),
    "data": set(),
    "metrics": {"data"},
    "models": {"game", "networks", "objectives", "metrics"},
    "training": {"data", "game", "metrics", "objectives", "processes", "progress"},
    "report": {"models", "options", "recipes", "training"},
    "conditioner": {"data"},
    "styler": {"conditioner", "data", "networks"},
    "tiles": {"networks"},
    "translator": {"conditioner", "data", "networks", "tiles"},
    "results": set(),
    "translate": {"data", "processes", "results", "translator"},
    "evaluation": None,  # it measures what everything else has made
    "overview": {"data", "styler", "training", "translate", "translator"},
    "sampler": {"networks", "processes"},
    "samples": {"results", "sampler", "training"},
    "projection": {"networks"},
    "projecting": {"builder", "data", "loading", "models", "projection", "samples", "training"},
    "loading": None,  # turns checkpoints into objects, likewise
    "builder": None,  # turns options into objects, so it may see everything
    "exported": {"game", "metrics", "sources", "tiles"},
    "export": {
        "exported",
        "loading",
        "metrics",
        "game",
        "networks",
        "options",
        "sources",
        "styler",
        "training",
    },
    "advice": {"options", "recipes"},
    "judging": {"data", "game", "metrics", "models", "options", "recipes", "sources"},
    "doctor": {"data", "models", "options", "recipes", "training"},
    "capacity": set(),
    "opening": {"builder", "game", "options", "training"},
    "estimate": {"builder", "capacity", "game", "options", "work"},
    "sources": {"data", "doctor", "options", "processes", "progress", "recipes"},
    "pickled": set(),
    "published_noise": {"builder", "options", "pickled", "recipes", "training"},
    "published": {"builder", "loading", "networks", "opening", "options", "recipes", "training"},
    "continuation": {"data", "options", "recipes", "training"},
    "train": None,  # the whole of a run
    "cli": None,
    "__init__": None,
    "__main__": {"cli"},
}


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
        room if (PACKAGE / room).is_dir() or (PACKAGE / f"{room}.py").exists() else "__init__"
        for room in rooms
    }


FILES = sorted(PACKAGE.rglob("*.py"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_go_down(path: Path) -> None:
    room = room_of(path)
    assert room in MAY_IMPORT, f"{room} is a new room: say here what it may import"
    allowed = MAY_IMPORT[room]
    if allowed is not None:
        forbidden = imports(path) - allowed - GROUND - {room}
        assert not forbidden, f"{room} must not import {sorted(forbidden)}"


def test_models_do_not_know_each_other() -> None:
    for path in (PACKAGE / "models").glob("[a-z]*.py"):
        text = path.read_text(encoding="utf-8")
        for other in (PACKAGE / "models").glob("[a-z]*.py"):
            assert other == path or f"i2i.models.{other.stem}" not in text


def test_only_one_place_knows_albumentations_and_pydantic() -> None:
    for library, home in (("albumentations", "data/transforms.py"), ("pydantic", "options/")):
        users = {
            path.relative_to(PACKAGE).as_posix()
            for path in FILES
            if f"import {library}" in path.read_text(encoding="utf-8")
            or f"from {library}" in path.read_text(encoding="utf-8")
        }
        assert users
        assert all(user.startswith(home) for user in users), users


def test_one_file_counts_cores() -> None:
    """Those of the host are not those of a container."""
    counting = {path.name for path in FILES if "cpu_count" in path.read_text(encoding="utf-8")}
    assert counting == {"processor.py"}


def test_the_data_folders_are_no_packages() -> None:
    for name in ("options", "datasets"):
        assert not (PACKAGE.parent / name / "__init__.py").exists()
