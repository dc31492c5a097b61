"""`i2i report`, of a run that was really trained."""

import re
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from i2i.cli import cli, main

SMALL = [
    *("--size", "16", "--batch-size", "2", "--device", "cpu", "--workers", "0"),
    *("--set", "generator.width=2", "--set", "generator.downs=2"),
    *("--set", "discriminator.width=2", "--set", "discriminator.layers=1"),
]


def i2i(*arguments: str | Path) -> str:
    done = CliRunner().invoke(cli, [str(argument) for argument in arguments])
    assert done.exit_code == 0, done.output
    return done.output


def test_report_of_a_trained_and_resumed_run(
    facades: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tmp_path / "a"
    given = ["train", "--model", "pix2pix", "--dataroot", facades, "--runs-dir", tmp_path]
    i2i(*given, *SMALL, "--name", "a", "--steps", "2", "--set", "train.log_every_steps=1")
    i2i("train", "--resume", run, "--steps", "3", "--device", "cpu")
    assert str(run / "report.html") in i2i("report", run)
    html = (run / "report.html").read_text(encoding="utf-8")
    assert "resumed at step 2" in html
    # The first sheet is made before the first step.
    assert re.findall(r'data-step="(\d+)"', html) == ["0", "2", "3"]
    assert "best l1" in html

    opened: list[str] = []
    monkeypatch.setattr(click, "launch", opened.append)
    monkeypatch.setenv("DISPLAY", ":0")
    i2i("report", run, "--output", tmp_path / "b.html", "--open")
    assert opened == [str(tmp_path / "b.html")]
    monkeypatch.setattr(sys, "platform", "linux")
    for variable in ("DISPLAY", "WAYLAND_DISPLAY", "WSL_DISTRO_NAME"):
        monkeypatch.delenv(variable, raising=False)
    i2i("report", run, "--output", tmp_path / "b.html", "--open")
    assert len(opened) == 1  # there is nothing to show it on
    assert (tmp_path / "b.html").read_text(encoding="utf-8") == html


def test_a_folder_that_is_no_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["report", str(tmp_path)])
    assert ended.value.code == 2
    assert "is no run folder" in capsys.readouterr().err
