"""The pages of the documentation: what they link to is there, and what they show is so."""

import importlib
import importlib.util
import re
import shutil
import tomllib
from pathlib import Path
from typing import Any

import pytest

import i2i

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PAGES = sorted([*DOCS.rglob("*.md"), ROOT / "README.md", ROOT / "CONTRIBUTING.md"])


def without_code(text: str) -> str:
    return re.sub(r"^(`{3,}).*?^\1$|^ {4}.*?$|`[^`\n]+`", "", text, flags=re.DOTALL | re.MULTILINE)


def anchors(text: str) -> set[str]:
    """What headings can be linked by, as GitHub and the site have it."""
    headings = re.findall(r"^#+ (.+)$", re.sub(r"^```.*?^```", "", text, flags=re.S | re.M), re.M)
    words = [re.sub(r"[^\w\s-]", "", heading.replace("`", "").lower()) for heading in headings]
    return {re.sub(r"\s+", "-", each.strip()) for each in words}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for target, anchor in re.findall(r"\]\(([^)#:\s]*)(?:#([^)]*))?\)", without_code(text)):
        path = page.parent / target if target else page
        assert path.exists(), target
        if anchor:
            assert anchor in anchors(path.read_text(encoding="utf-8")), anchor


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_files_and_modules_that_are_named_are_there(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for path in re.findall(r"`((?:i2i|scripts|tests|docs|examples|options)/[\w/.-]+)`", text):
        assert (ROOT / path).exists() or "yours" in path, path
    for name in re.findall(r"(?:`|from )(i2i(?:\.\w+){2,})", text):
        module, _, rest = name.rpartition(".")
        if importlib.util.find_spec(name) if _is_module(module) else None:
            continue
        assert hasattr(importlib.import_module(module), rest), name


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_code_is_marked_by_its_language_alone(page: Path) -> None:
    """The site takes a fence with other words for text. `py` is Python that is not run."""
    for fence in re.findall(r"^ *```+ *([^`\n]*)$", page.read_text(encoding="utf-8"), re.MULTILINE):
        assert re.fullmatch(r'(\w+( title="[^"]+")?)?', fence), fence


def _is_module(name: str) -> bool:
    return hasattr(importlib.import_module(name), "__path__")


def blocks(page: str, head: str) -> list[str]:
    text = (DOCS / page).read_text(encoding="utf-8")
    return re.findall(rf"^```{re.escape(head)}\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


def test_the_model_of_ones_own_is_the_example() -> None:
    """Its pieces are the file, so what holds of the file (`tests/core/test_plugins.py`) holds."""
    for language, name in (("python", "my_parts.py"), ("toml", "mine.toml")):
        shown = "\n\n\n".join(
            each.strip("\n") for each in blocks("own-model.md", f'{language} title="{name}"')
        )
        assert shown == (ROOT / "examples" / name).read_text(encoding="utf-8").strip("\n")


def test_the_test_of_ones_own_model_passes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("my_parts.py", "mine.toml"):
        shutil.copyfile(ROOT / "examples" / name, name)
    (code,) = blocks("own-model.md", 'python title="test_my_parts.py"')
    names: dict[str, object] = {"__name__": "test_my_parts"}
    exec(compile(code, "test_my_parts.py", "exec"), names)
    test = names["test_a_resumed_run_is_the_same_run"]
    assert callable(test)
    test()
    assert (tmp_path / "pause.pt").exists()


def test_the_parts_of_ones_own_in_python_take_part(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The page is a program; here it makes a few steps."""
    monkeypatch.chdir(tmp_path)
    code = "\n".join(blocks("python.md", "python"))
    for many, few in (("1000", "2"), ("1200", "3"), ("% 500", "% 1"), ("Scenes(40)", "Scenes(6)")):
        assert many in code
        code = code.replace(many, few)
    names: dict[str, Any] = {"__name__": "page"}
    exec(compile(code, "python.md", "exec"), names)
    assert len(list((tmp_path / "runs").iterdir())) == 5
    rows = names["outcome"].history(frame=False)
    assert rows[-1]["step"] == 2
    assert rows[-1]["validation/l1"] > 0
    assert names["trainer"].steps_done == 2
    assert (tmp_path / "mine.png").exists()
    rows = i2i.history(tmp_path / "runs" / "mine", frame=False)
    assert [row["step"] for row in rows if "mine/sharpness" in row] == [1, 2]


def test_entry_points_have_the_groups_of_the_doors() -> None:
    from i2i.core.registry import LOSSES, MODELS, networks

    (shown,) = [each for each in blocks("own-model.md", "toml") if "entry-points" in each]
    groups = tomllib.loads(shown)["project"]["entry-points"].keys()
    assert groups == {MODELS.group, LOSSES.group, networks("generator").group}


def test_the_reference_has_a_place_for_every_public_name() -> None:
    text = (ROOT / "scripts" / "site_pages.py").read_text(encoding="utf-8")
    groups = re.search(r"^GROUPS = .*?^}", text, re.DOTALL | re.MULTILINE)
    assert groups is not None
    for name in i2i.__all__:
        assert f'"{name}"' in groups[0], name


def test_the_gallery_has_every_figure() -> None:
    gallery = (DOCS / "gallery.md").read_text(encoding="utf-8")
    for figure in DOCS.glob("*.png"):
        assert f"({figure.name})" in gallery, figure


@pytest.mark.parametrize("page", ["index.md", "start.md", "own-model.md"])
def test_python_in_the_pages_compiles(page: str) -> None:
    found = blocks(page, "python")
    assert found
    for code in found:
        compile(code, page, "exec")
