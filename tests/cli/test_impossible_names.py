"""Names that no file can have get a sentence, whichever command and option they are given to."""

from pathlib import Path

import pytest

from i2i.cli import main
from i2i.config.recipes import load_options
from i2i.data.sources import open_source
from i2i.errors import CheckpointError, DataError
from i2i.inference.load import load_translator
from i2i.runs.folder import find_checkpoint

LONG = "x" * 5000


@pytest.mark.parametrize(
    "arguments",
    [
        ["train", "--model", "pix2pix", "--dataroot", LONG],
        ["train", "--resume", LONG],
        ["train", "--replay", LONG],
        ["translate", "--run", LONG, "in", "out"],
        ["sample", "out", "--run", LONG],
        ["evaluate", LONG, "truth"],
        ["doctor", LONG],
        ["report", LONG],
        ["info", LONG],
        ["export", LONG, "out"],
    ],
    ids=lambda each: " ".join(each).replace(LONG, "X"),
)
def test_a_name_that_is_too_long(
    arguments: list[str],
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as left:
        main(arguments)
    assert left.value.code == 2
    said = capsys.readouterr().err
    assert "letters): give a shorter one." in said
    assert len(said) < 700


def test_for_programs_too() -> None:
    with pytest.raises(CheckpointError, match=r"5,000 letters"):
        find_checkpoint(Path(LONG), Path())
    with pytest.raises(CheckpointError, match=r"5,000 letters"):
        load_translator(LONG)
    options = load_options("pix2pix", dataroot=LONG)
    with pytest.raises(DataError, match=r"5,000 letters"):
        open_source(options, "paired")


def test_a_run_that_is_not_there_but_another(tmp_path: Path) -> None:
    (tmp_path / "facades" / "checkpoints").mkdir(parents=True)
    with pytest.raises(CheckpointError, match="Did you mean 'facades'"):
        find_checkpoint(tmp_path / "fasades", Path())
