"""`i2i train --dry-run`: what is said, and that nothing is left behind."""

import re
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from i2i.cli import cli
from i2i.cli.estimates import batch_size_lines, duration
from i2i.training.capacity import Line

SMALL = [
    *("--set", "generator.width=2", "--set", "generator.downs=2", "--size", 16),
    *("--set", "discriminator.width=2", "--set", "discriminator.layers=1", "--device", "cpu"),
]


def dry(*arguments: object) -> Result:
    return CliRunner().invoke(cli, ["train", "--dry-run", *map(str, arguments)])


def test_it_says_what_a_run_takes_and_makes_none(
    facades: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copy(facades / "train" / "0.png", facades / "val" / "9.png")
    before = sorted(tmp_path.rglob("*"))
    done = dry(
        "--model", "pix2pix", "--dataroot", facades, "--epochs", 3, "--batch-size", 2, *SMALL
    )
    assert done.exit_code == 0, done.output
    assert "7 pairs to train on, 4 to validate" in done.output
    assert "TRAIN AND TEST OVERLAP" in done.output
    assert "pix2pix at 16 pixels, 2 in a step, fp32, on cpu" in done.output
    assert re.search(r"^  discriminator +[\d,]+ parameters$", done.output, re.MULTILINE)
    traffic = r"^  its traffic +\S+ GB of memory at least: \S+ operations for each byte$"
    assert re.search(traffic, done.output, re.MULTILINE)
    assert re.search(r"^  an epoch +4 steps, ", done.output, re.MULTILINE)
    assert re.search(r"^  the whole run +11 steps, ", done.output, re.MULTILINE)
    assert "Batch sizes" in done.output
    assert done.output.endswith("Nothing was trained: leave out --dry-run to begin.\n")
    assert sorted(tmp_path.rglob("*")) == before


def test_what_could_not_be_trained_is_no_estimate(facades: Path) -> None:
    (facades / "train" / "3.png").write_bytes(b"no image")
    done = dry("--model", "pix2pix", "--dataroot", facades, *SMALL)
    assert "3.png" in str(done.exception)
    done = dry("--resume", facades)
    assert done.exit_code == 2
    assert "--dry-run cannot change in a run that is resumed" in done.output


def test_several_processes_are_not_measured(facades: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("WORLD_SIZE", 2), ("LOCAL_WORLD_SIZE", 2), ("RANK", 0), ("LOCAL_RANK", 0)):
        monkeypatch.setenv(name, str(value))
    done = dry("--model", "pix2pix", "--dataroot", facades, *SMALL)
    assert done.exit_code == 2
    assert "start it without torchrun" in done.output


def test_batch_sizes_that_fit() -> None:
    line = Line((2, 8), (1_200_000_000, 1_800_000_000))  # 1 GB and 0.1 GB for each image
    fit, how = batch_size_lines(line, 3_000_000_000, 1000)
    assert fit == "Batch sizes that fit into the 3 GB that are free: 1, 2, 4, 8, 16"
    assert "measured at 2 and 8 in a step and taken to be linear: 100 MB for each image" in how
    assert batch_size_lines(line, 3_000_000_000, 5)[0].endswith(": 1, 2, 4, 8")
    assert batch_size_lines(line, 30_000_000_000, 1000)[0].endswith(": 1, 2, 4, ..., 128, 256")
    assert batch_size_lines(line, 1_050_000_000, 5)[0].endswith(": none")
    assert "cannot be told" in batch_size_lines(line, None, 5)[0]
    assert "too little" in batch_size_lines(Line((2, 8), (9, 9)), 10, 5)[0]


def test_durations() -> None:
    spans = (3, 90, 5400, 86400, 3 * 86400)
    assert [duration(s) for s in spans] == ["3 s", "2 min", "1.5 h", "24.0 h", "3.0 days"]


@pytest.mark.parametrize("measure", ["kid", "swd-reference", "iou", "iou:higher"])
def test_what_a_training_refuses_to_be_decided_by_its_dry_run_refuses_in_the_same_words(
    facades: Path, tmp_path: Path, measure: str
) -> None:
    asked = ["train", "--model", "pix2pix", "--dataroot", facades, "--steps", 1, *SMALL]
    asked += ["--set", f"train.monitor={measure}"]
    refused = [
        str(CliRunner().invoke(cli, [*map(str, asked), *more]).exception)
        for more in (["--dry-run"], ["--runs-dir", str(tmp_path)])
    ]
    assert refused[0] == refused[1]
    expected = "Say which way" if measure == "iou" else "That is: l1, psnr, ssim."
    assert expected in refused[0]
    assert not list(tmp_path.glob("pix2pix-*"))
