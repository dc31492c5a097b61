"""The code in the README runs, and what it links to is there."""

import re
import shlex
import textwrap
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
    (shown,) = [each for each in blocks("py") if each.startswith("def play(")]
    source = (ROOT / "i2i" / "models" / "pix2pix.py").read_text(encoding="utf-8")
    assert textwrap.indent(shown, "    ") in source


PAGES = ["README.md", *sorted(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md"))]


@pytest.mark.parametrize("page", PAGES)
def test_commands_are_those_that_there_are(page: str) -> None:
    """Every line that begins with i2i is one that the command line understands."""
    text = (ROOT / page).read_text(encoding="utf-8").replace("\\\n", "")
    lines = re.findall(r"^(?: {4})?i2i (.+)$", text, re.M)
    for line in lines:
        words = shlex.split(line.partition(" | ")[0], comments=True)  # not what reads its answer
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
        r"`((?:adversarial|game|objective|train|optimizer|latent)\.[^`]+=[^`]+)`", page
    )
    assert len(settings) > 20
    for setting in settings:
        recipe = "cyclegan" if "pool" in setting else "dcgan"
        build_model(load_options(recipe, setting, *SMALL[recipe]))
