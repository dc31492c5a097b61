"""What every command has for scripts: --quiet and --json."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import Result
from commands import invoke
from PIL import Image

from i2i import cli

OLD = Path(__file__).parent.parent / "version_0_1"
SMALL = (
    *("--size", "16", "--batch-size", "2", "--device", "cpu", "--workers", "0", "--steps", "1"),
    *("--set", "generator.width=2", "--set", "generator.downs=2", "--set", "discriminator.width=2"),
)


def leaves() -> Iterator[tuple[str, click.Command]]:
    group: Any = cli.cli
    with click.Context(group) as context:
        for name in cli.COMMANDS:
            command = group.get_command(context, name)
            inner = command.commands if isinstance(command, click.Group) else {"": command}
            for word, each in inner.items():
                yield f"{name} {word}".strip(), each


def flags(command: click.Command) -> set[str]:
    return {flag for parameter in command.params for flag in parameter.opts}


def test_every_command_that_works_can_be_quiet() -> None:
    without = {name for name, command in leaves() if "--quiet" not in flags(command)}
    assert without == {*cli.ANSWERING}


def test_every_command_whose_answer_a_program_may_want_has_json() -> None:
    without = {name for name, command in leaves() if "--json" not in flags(command)}
    # Servers answer over HTTP; a shell evaluates what the last one prints.
    assert without == {"app", "serve", "completion"}


def document(result: Result) -> Any:
    """All of stdout, which must be one document."""
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return json.loads(result.stdout)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return Path(shutil.copytree(OLD / "pix2pix", tmp_path / "runs" / "old"))


def test_lists_are_documents(run: Path) -> None:
    models = document(invoke("models", "--json"))
    assert {"pix2pix", "cyclegan"} <= {each["name"] for each in models}
    [width] = document(invoke("options", "data.load_size", "--json"))
    assert width["path"] == "data.load_size"
    zoo = {each["name"]: each for each in document(invoke("zoo", "--json"))}
    assert zoo["landscape"]["download"] is None
    assert document(invoke("zoo", "landscape", "--json")) == zoo["landscape"]
    sets = document(invoke("datasets", "list", "--json"))
    assert "facades" in sets["catalogue"]
    assert "mnist" in sets["torchvision"]
    [row] = document(invoke("runs", run, "--json"))
    assert Path(row["run"]).name == "old"
    about = document(invoke("info", run, "--json"))
    assert about["model"].startswith("pix2pix")
    assert about["options"]["model"] == "pix2pix"
    assert Path(about["checkpoint"]).parent.parent == run


def test_a_training_is_quiet_or_a_document(facades: Path, tmp_path: Path) -> None:
    data = ("--recipe", "pix2pix-quick", "--dataroot", facades, "--runs-dir", tmp_path / "runs")
    silent = invoke("train", *data, *SMALL, "--name", "silent", "--quiet")
    assert (silent.exit_code, silent.stdout, silent.stderr) == (0, "", "")
    told = invoke("train", *data, *SMALL, "--name", "told", "--json")
    run = tmp_path / "runs" / "told"
    assert document(told) == {"run": str(run), "steps": 1, "exit_code": 0}
    assert "training pix2pix" in told.stderr
    estimate = document(invoke("train", *data, *SMALL, "--dry-run", "--json"))["estimate"]
    assert estimate["run_steps"] == 1
    assert estimate["seconds"] > 0
    assert not (tmp_path / "runs" / "1").exists()


def test_what_is_made_is_named_or_not_spoken_of(run: Path, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    assert document(invoke("report", run, "--output", page, "--json"))["path"] == str(page)
    assert invoke("report", run, "--output", page, "--quiet").output == ""
    made = document(invoke("export", run, tmp_path / "made", "--format", "safetensors", "--json"))
    assert made == {"written": [str(tmp_path / "made")]}
    assert (tmp_path / "made" / "model.safetensors").is_file()
    quiet = invoke("datasets", "demo", tmp_path / "demo", "--count", 1, "--size", 32, "--quiet")
    assert (quiet.exit_code, quiet.output) == (0, "")
    (tmp_path / "demo" / "train" / "A" / "broken.png").write_bytes(b"x")
    check = invoke("datasets", "check", tmp_path / "demo", "--json")
    assert document(check)["kind"] == "paired"
    assert check.exit_code == 1


def test_figures_go_where_they_are_wanted(run: Path, tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        Image.new("RGB", (32, 32), "red").save(tmp_path / folder / "1.png")
    given = (
        "evaluate",
        tmp_path / "a",
        tmp_path / "b",
        "--measures",
        "psnr,ssim",
        "--device",
        "cpu",
    )
    answered = invoke(*given, "--json", "-")
    file = tmp_path / "deep" / "figures.json"
    written = invoke(*given, "--json", file)
    assert document(answered) == json.loads(file.read_text(encoding="utf-8"))
    assert "PSNR" in written.stdout.upper()
    assert "PSNR" in answered.stderr.upper()
    table = document(invoke("compare", run, "--json", "-"))
    assert table
