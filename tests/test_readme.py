"""The code in the README runs, and what it links to is there."""

import re
import shlex
from pathlib import Path

import click
import pytest

from i2i.cli import cli
from i2i.config.recipes import load_options, recipes
from i2i.models.build import build_model

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


SMALL = {
    "dcgan": ["generator.width=2", "discriminator.width=2", 'data.domains=["a", "b"]'],
    "cyclegan": ["generator.width=2", "discriminator.width=2"],
}


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.DOTALL | re.MULTILINE)


def test_python_runs(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
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


@pytest.mark.parametrize(
    "page",
    [
        *("README.md", "CONTRIBUTING.md"),
        *("docs/noise.md", "docs/export.md", "docs/evaluate.md", "docs/models.md"),
    ],
)
def test_links_lead_somewhere(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#:]+)\)", text):
        assert ((ROOT / page).parent / target).exists(), target


@pytest.mark.parametrize(
    "page", ["README.md", "docs/noise.md", "docs/export.md", "docs/evaluate.md"]
)
def test_commands_are_those_that_there_are(page: str) -> None:
    """Every line that begins with i2i is one that the command line understands."""
    lines = re.findall(r"^(?: {4})?i2i (.+)$", (ROOT / page).read_text(encoding="utf-8"), re.M)
    assert len(lines) > 5
    for line in lines:
        words = shlex.split(line, comments=True)
        command = cli
        while isinstance(command, click.Group):
            command = command.get_command(click.Context(command), words.pop(0))
        assert command is not None, line
        command.make_parser(click.Context(command)).parse_args(words)
        if "--model" in words:
            assert words[words.index("--model") + 1] in recipes()


def test_options_are_those_that_there_are() -> None:
    """Of the table in docs/noise.md: each is taken by a recipe, as it is written there."""
    page = (ROOT / "docs" / "noise.md").read_text(encoding="utf-8")
    settings = re.findall(
        r"`((?:adversarial|objective|train|optimizer|latent)\.[^`]+=[^`]+)`", page
    )
    assert len(settings) > 20
    for setting in settings:
        recipe = "cyclegan" if "pool" in setting else "dcgan"
        build_model(load_options(recipe, setting, *SMALL[recipe]))
