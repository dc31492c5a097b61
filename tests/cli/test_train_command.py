"""`i2i train` and the small commands, as a person would call them."""

import json
import os
import re
import signal
import time
from collections.abc import Callable
from pathlib import Path

import forks
import pytest
from click.testing import CliRunner, Result
from forks import Fork

from i2i.cli import COMMANDS, cli, main
from i2i.config.recipes import read_recipe, recipes
from i2i.core.registry import MODELS
from i2i.runs.folder import Run

SMALL = [
    *("--size", "16", "--batch-size", "2", "--device", "cpu", "--workers", "0"),
    *("--set", "generator.width=2", "--set", "generator.downs=2"),
    *("--set", "discriminator.width=2", "--set", "discriminator.layers=1"),
]


def i2i(*arguments: str | Path) -> Result:
    return CliRunner().invoke(cli, [str(argument) for argument in arguments])


def fails(*arguments: str | Path) -> str:
    """Run as the program does; returns what it says on failing with exit code 2."""
    process = forks.start("-m", "i2i", *arguments)
    _, said = process.communicate()
    assert process.returncode == 2
    assert "Traceback" not in said
    return said


def test_train_resume_info(facades: Path, tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    given = ["train", "--model", "pix2pix", "--dataroot", facades, "--runs-dir", runs]
    done = i2i(*given, *SMALL, "--name", "a", "--steps", "3", "--seed", "5", "--direction", "BtoA")
    assert done.exit_code == 0, done.output
    assert "done: 3 steps" in done.output
    done = i2i("train", "--resume", runs / "a", "--steps", "4", "--device", "cpu")
    assert done.exit_code == 0, done.output
    assert "resuming from" in done.output
    about = i2i("info", runs / "a", "--options").output
    assert "step-00000004.pt" in about
    assert "4 steps of 2" in about
    assert "(BtoA)" in about
    assert "seed = 5" in about
    assert re.search(r"generator: +UNet, [\d,]+ parameters", about)


def test_a_run_without_a_name_gets_one_that_sorts_by_time(facades: Path, tmp_path: Path) -> None:
    given = ["train", "--model", "pix2pix", "--dataroot", facades, "--runs-dir", tmp_path / "r"]
    assert i2i(*given, *SMALL, "--steps", "1").exit_code == 0
    (folder,) = (tmp_path / "r").iterdir()
    assert re.fullmatch(r"pix2pix-tiny-facades-\d{8}-\d{6}", folder.name)


@pytest.mark.parametrize("ask", ["--model", "--recipe"])
def test_a_run_is_named_after_its_recipe(ask: str, domains: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text('base = "wgan-gp"\n')
    recipe = "wgan-gp" if ask == "--model" else tmp_path / "mine.toml"
    given = ["train", ask, recipe, "--dataroot", domains, "--runs-dir", tmp_path / "r"]
    given += ["--size", "16", "--batch-size", "2", "--device", "cpu", "--workers", "0"]
    given += ["--set", "generator.width=2", "--set", "discriminator.width=2", "--steps", "1"]
    done = i2i(*given)
    assert done.exit_code == 0, done.output
    (folder,) = (tmp_path / "r").iterdir()
    name = "wgan-gp" if ask == "--model" else "mine"
    assert re.fullmatch(rf"{name}-tiny-domains-\d{{8}}-\d{{6}}", folder.name)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--model", "pix2pix"], "Say where the images are: a folder"),
        (["--resume", "x", "--seed", "3"], "--seed cannot change in a run that is resumed"),
        (["--resume", "x", "--set", "train.seed=3"], "--set cannot change"),
        (["--model", "gan", "--recipe", "pix2pix", "--dataroot", "x"], "is for 'pix2pix'"),
        (["--model", "pix2pix", "--steps", "2", "--epochs", "3"], "either --steps or --epochs"),
    ],
)
def test_what_cannot_be_asked_is_a_usage_error(arguments: list[str], message: str) -> None:
    done = i2i("train", *arguments)
    assert done.exit_code == 2
    assert message in " ".join(done.output.split())


def test_a_direction_that_the_data_do_not_have_is_named(facades: Path) -> None:
    """What the sides are called, only the folder can tell."""
    said = fails("train", "--model", "pix2pix", "--dataroot", facades, "--direction", "AtoC")
    assert "direction (='AtoC') must be one of AtoB, BtoA" in said


def test_mistakes_are_one_sentence_without_a_traceback(tmp_path: Path) -> None:
    assert "Did you mean 'pix2pix'" in fails("train", "--model", "pix2pixx", "--dataroot", "x")
    said = fails("train", "--model", "pix2pix", "--dataroot", tmp_path, "--device", "cpu")
    assert "trainA" in said  # the layouts are shown
    assert "No such command 'trian'. Did you mean 'train'?" in fails("trian")
    assert "neither a run folder nor a checkpoint" in fails("info", tmp_path / "x")
    said = fails("train", "--model", "pix2pix", "--dataroot", tmp_path, "--device", "cuda:99")
    assert "device (='cuda:99')" in said


def test_main_gives_exit_code_2(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    with pytest.raises(SystemExit) as leaving:
        main(["info", str(tmp_path / "nothing")])
    assert leaving.value.code == 2
    assert capsys.readouterr().err.startswith("Error: ")


def test_models_lists_every_recipe_with_a_line() -> None:
    told = i2i("models").output
    assert re.search(r"^  pix2pix +\S", told, re.MULTILINE)
    paragraphs = [each.splitlines() for each in told.strip("\n").split("\n\n")]
    families = [each for each in paragraphs if each[0].startswith("  ")]
    assert len(families) < len(paragraphs)  # the others say what for
    names = [[line.split()[0] for line in each] for each in families]
    listed = [name for each in names for name in each]
    others = {*MODELS} - {str(read_recipe(name)["model"]) for name in recipes()}  # of plug-ins
    assert sorted(listed) == sorted({*recipes()} | others)
    (family,) = [each for each in names if "dcgan" in each]
    assert {"gan", "wgan-gp", "infogan", "progan"} <= {*family}
    assert "pix2pix" not in family


def test_demo_data_can_be_painted_and_trained_on(tmp_path: Path) -> None:
    root = tmp_path / "images"
    done = i2i("datasets", "demo", root, "--kind", "paired", "--count", "4", "--size", "16")
    assert done.exit_code == 0, done.output
    given = ["train", "--model", "pix2pix", "--dataroot", root, "--runs-dir", tmp_path / "runs"]
    done = i2i(*given, *SMALL, "--steps", "2")
    assert done.exit_code == 0, done.output
    assert "4 pairs to train on, 8 to validate" in done.output


@pytest.mark.parametrize("command", ["", *COMMANDS, "datasets demo"])
def test_every_command_has_help(command: str) -> None:
    done = i2i(*command.split(), "--help")
    assert done.exit_code == 0
    assert len(done.output.splitlines()) > 5


def interrupted(
    send: Callable[[Fork], None], facades: Path, runs: Path, workers: int
) -> tuple[int, str, str]:
    """Start a long run named a, send it a signal after a few steps; exit code, stdout, stderr."""
    given = ["train", "--model", "pix2pix", "--dataroot", facades, "--runs-dir", runs, *SMALL]
    given += ["--name", "a", "--steps", "100000", "--set", "train.log_every_steps=1"]
    process = forks.start("-m", "i2i", *given, "--workers", str(workers))
    log = Run(runs / "a").log
    deadline = time.monotonic() + 60
    while not (log.exists() and len(log.read_text().splitlines()) >= 3):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.05)
    send(process)
    said, errors = process.communicate(timeout=240)
    assert "Traceback" not in errors
    assert "once more to leave at once" in errors
    return process.wait(), said, errors


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_saves_and_says_how_to_go_on(
    number: signal.Signals, code: int, facades: Path, tmp_path: Path
) -> None:
    runs = tmp_path / "runs"
    left, said, errors = interrupted(lambda process: process.send_signal(number), facades, runs, 1)
    assert left == code, errors
    steps = int(re.search(r"stopped after step (\d+)", said)[1])  # type: ignore[index]
    run = Run(runs / "a")
    assert f"i2i train --resume {run.folder}" in said
    assert run.latest() == run.checkpoint(steps)
    assert json.loads(run.log.read_text().splitlines()[-1])["step"] == steps
    done = i2i("train", "--resume", run.folder, "--steps", str(steps + 2), "--workers", "0")
    assert done.exit_code == 0, done.output


def test_a_signal_to_all_processes_of_a_run_loses_nothing(facades: Path, tmp_path: Path) -> None:
    """As from a scheduler: workers and their server get it too, and may be gone first."""
    left, said, errors = interrupted(
        lambda process: os.killpg(process.pid, signal.SIGTERM), facades, tmp_path, 2
    )
    assert left == 143, errors
    assert "stopped after step" in said
    assert Run(tmp_path / "a").latest().exists()


def test_each_direction_of_a_model_that_has_two(unpaired: Path, tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    small = ["--size", "16", "--device", "cpu", "--workers", "0", "--steps", "1"]
    small += ["--set", "generator.width=2", "--set", "generator.blocks=0"]
    small += ["--set", "discriminator.width=2", "--set", "discriminator.layers=1"]
    given = ["train", "--model", "cyclegan", "--dataroot", unpaired, "--runs-dir", runs]
    done = i2i(*given, *small)
    assert done.exit_code == 0, done.output
    results = {}
    for direction in ((), ("--direction", "AtoB"), ("--direction", "BtoA")):
        out = tmp_path / "-".join(["out", *direction])
        source = unpaired / "testA"
        done = i2i("translate", source, out, "--runs-dir", runs, "--device", "cpu", *direction)
        assert done.exit_code == 0, done.output
        results[direction] = (out / "0.png").read_bytes()
    assert results[()] == results["--direction", "AtoB"] != results["--direction", "BtoA"]


def test_a_dataroot_that_is_no_folder_is_looked_up_in_the_catalogue(tmp_path: Path) -> None:
    said = fails("train", "--model", "cyclegan", "--dataroot", "horse2zebr", "--device", "cpu")
    assert "Did you mean 'horse2zebra'" in said
    said = fails("train", "--model", "cyclegan", "--dataroot", "facades", "--device", "cpu")
    assert "'facades-unpaired' is the same for that" in said
    assert "There is no folder" in fails(
        "train", "--model", "pix2pix", "--dataroot", tmp_path / "x"
    )


def test_ctrl_c_before_the_first_step_leaves_nothing_and_says_so(
    facades: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(*arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("i2i.training.running.open_data", stopped)
    done = CliRunner().invoke(
        cli, ["train", "--model", "pix2pix", "--dataroot", str(facades), "--runs-dir",
              str(tmp_path / "runs")],
    )  # fmt: skip
    assert done.exit_code == 130
    assert done.stderr.endswith("\nstopped by Ctrl-C: no step was made, and nothing is saved\n")
    assert not (tmp_path / "runs").exists()


def test_ctrl_c_while_a_command_looks_around(monkeypatch: pytest.MonkeyPatch) -> None:
    def stopped(*arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("i2i.doctor.start.look_at", stopped)
    done = CliRunner().invoke(cli, ["train", "photos"])
    assert (done.exit_code, done.stderr) == (130, "\nstopped by Ctrl-C\n")
