"""The code in the README runs, and what it links to is there."""

import re
from pathlib import Path

import pytest

from i2i.recipes import load_options

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.DOTALL | re.MULTILINE)


def test_python_runs(capsys: pytest.CaptureFixture[str]) -> None:
    (code,) = blocks("python")
    exec(compile(code, "README.md", "exec"), {"__name__": "readme"})
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 4
    assert "generator/l1" in lines[0]
    assert lines[-1] == "torch.Size([2, 3, 64, 64]) (100, 75)"


def test_the_recipe_is_valid(tmp_path: Path) -> None:
    (recipe,) = blocks("toml")
    path = tmp_path / "mine.toml"
    path.write_text(recipe)
    options = load_options(str(path))
    assert options.generator.network == "resnet"
    assert options.objective["gradient_penalty"] == 10


def test_the_model_that_is_shown_is_the_model() -> None:
    (shown,) = blocks("python notest")
    source = (ROOT / "i2i" / "models" / "pix2pix.py").read_text(encoding="utf-8")
    terms = re.compile(r"(\w+)=lambda: (.+?),?\n")
    assert terms.findall(shown)
    assert terms.findall(shown) == terms.findall(source)


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md"])
def test_links_lead_somewhere(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#:]+)\)", text):
        assert (ROOT / target).exists(), target
