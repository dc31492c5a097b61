"""The notebooks run from beginning to end, as they stand, at small size."""

import json
from pathlib import Path
from typing import Any

import pytest

from i2i.core.registry import LOSSES, MODELS

NOTEBOOKS = Path(__file__).parent.parent / "docs" / "notebooks"
SMALL = {"COUNT": "6", "STEPS": "4"}


def code_of(notebook: Path) -> list[str]:
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    return ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]


@pytest.fixture
def registry_kept() -> Any:
    """What a notebook registers must not be there for other tests."""
    known = [(each, dict(each)) for each in (LOSSES, MODELS)]
    yield
    for registry, parts in known:
        registry._parts.clear()
        registry._parts.update(parts)


def run(name: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    monkeypatch.chdir(folder)
    for key, value in SMALL.items():
        monkeypatch.setenv(key, value)
    names: dict[str, Any] = {"__name__": "notebook"}
    for number, code in enumerate(code_of(NOTEBOOKS / f"{name}.ipynb")):
        exec(compile(code, f"{name}.ipynb, cell {number}", "exec"), names)
    return names


def test_translate_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = run("translate_images", tmp_path, monkeypatch)
    assert names["report"].translated == len(list((tmp_path / "landscapes/val/A").iterdir()))
    assert names["result"].size == names["image"].size == (64, 64)
    assert names["evaluation"].values.keys() == {"psnr", "ssim"}


def test_train_on_your_own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = run("train_on_your_own_folder", tmp_path, monkeypatch)
    assert names["outcome"].steps == 5
    assert names["outcome"].folder.resolve() == tmp_path / "runs" / "shapes"
    validated = [row["step"] for row in names["rows"] if row["validation/l1"] is not None]
    assert validated[-1] == 4


def test_write_your_own_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, registry_kept: None
) -> None:
    names = run("write_your_own_model", tmp_path, monkeypatch)
    assert names["options"].game.model_dump() == {"wait": 50}
    # Before it faces the discriminator, the generator pays for nothing but the pairs.
    assert names["loss"].terms["adversarial"].item() == 0
    assert names["loss"].terms["huber"].item() > 0
    assert "patient" in MODELS
    assert [*names["paid"].losses] == [4]


@pytest.mark.parametrize("notebook", sorted(NOTEBOOKS.glob("*.ipynb")), ids=lambda path: path.stem)
def test_notebooks_are_stored_without_output(notebook: Path) -> None:
    found = json.loads(notebook.read_text(encoding="utf-8"))
    assert (found["nbformat"], found["nbformat_minor"]) == (4, 5)
    for cell in found["cells"]:
        assert cell.get("outputs", []) == []
        assert cell.get("execution_count") is None
    assert found["cells"][0]["source"][0].startswith("# ")
