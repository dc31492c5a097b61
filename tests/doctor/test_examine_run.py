"""What the log of a run says."""

import json
from pathlib import Path

import pytest

from i2i.config.recipes import load_options
from i2i.doctor import examine_run, is_run
from i2i.errors import RunError


def run_of(folder: Path, rows: list[dict[str, float | None]], *settings: str) -> Path:
    (folder / "checkpoints").mkdir(parents=True)
    options = load_options("pix2pix", "train.monitor=l1", *settings)
    (folder / "options.toml").write_text(options.to_toml())
    (folder / "log.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def row(step: int, wait: float = 0.0, loss: float | None = 1.0) -> dict[str, float | None]:
    speed = {"speed/images_per_second": 10.0 * step, "speed/data_wait": wait}
    return {"step": step, "generator/l1": loss, **speed}


def test_a_run_that_is_done(tmp_path: Path) -> None:
    folder = run_of(tmp_path / "run", [row(1), row(2), row(3)], "train.steps=3")
    summary = examine_run(folder)
    assert is_run(folder)
    assert (summary.steps, summary.stop, summary.ended) == (3, 3, True)
    assert (summary.images_per_second, summary.data_wait) == (20.0, 0.0)
    assert summary.complaints == []
    assert summary.exit_code == 0
    assert "step 3 of 3, done" in summary.as_text()


def test_a_run_that_is_not_done_and_waits(tmp_path: Path) -> None:
    folder = run_of(tmp_path / "run", [row(201, 0.5), row(202, 0.6, None)], "train.steps=900")
    summary = examine_run(folder)
    assert summary.ended is False
    (verdict,) = summary.verdicts
    assert (verdict.kind, verdict.player, verdict.since) == ("not finite", "generator", 202)
    assert len(summary.complaints) == 2
    assert summary.exit_code == 1
    assert "WARNING: not finite since step 202: generator/l1" in summary.as_text()
    assert verdict.advice in summary.as_text()
    assert json.loads(json.dumps(summary.as_dict()))["verdicts"][0]["kind"] == "not finite"
    assert "WARNING: Steps wait for images 55% of the time" in summary.as_text()
    assert json.loads(json.dumps(summary.as_dict()))["complaints"] == summary.complaints


def test_a_run_in_epochs_does_not_say_its_end(tmp_path: Path) -> None:
    summary = examine_run(run_of(tmp_path / "run", [row(5)], "train.epochs=2"))
    assert (summary.steps, summary.stop, summary.ended) == (5, None, None)


def test_an_empty_log(tmp_path: Path) -> None:
    summary = examine_run(run_of(tmp_path / "run", [], "train.steps=3"))
    assert (summary.steps, summary.ended, summary.images_per_second) == (0, False, None)


def test_progress_is_judged_by_the_measure_of_the_model(tmp_path: Path) -> None:
    rows: list[dict[str, float | None]] = [
        {"step": 1000 * number, "validation/l1": 0.1 + 0.01 * number} for number in range(1, 31)
    ]
    (verdict,) = examine_run(run_of(tmp_path / "run", rows)).verdicts
    assert verdict.kind == "no progress"


def test_whether_it_still_improves_is_said(tmp_path: Path) -> None:
    rows: list[dict[str, float | None]] = [
        {"step": step, "validation/l1": 1.0 if step < 3 else 0.5} for step in range(1, 9)
    ]
    summary = examine_run(run_of(tmp_path / "run", rows, "train.steps=8"))
    assert summary.progress.startswith("it has not improved since step 3 of 8: l1, mean absolute")
    assert summary.progress in summary.as_text()
    assert summary.as_dict()["progress"] == summary.progress


def test_a_broken_log_is_examined_without_its_broken_lines(tmp_path: Path) -> None:
    run = run_of(tmp_path / "run", [{"step": 50, "speed/data_wait": 0.25}])
    log = run / "log.jsonl"
    with log.open("ab") as file:
        file.write(b'{"step": 75, "spe')  # a run that goes on
    summary = examine_run(run)
    assert (summary.steps, summary.data_wait, summary.complaints) == (50, 0.25, [])
    with log.open("ab") as file:
        file.write(b'\n\0\0\0\n{"step": 100}\n')  # that was resumed, after the machine failed
    summary = examine_run(run)
    assert (summary.steps, summary.data_wait, summary.exit_code) == (100, 0.25, 1)
    (complaint,) = summary.complaints
    assert complaint.startswith("The log has 2 broken lines, left out here")
    assert summary.as_dict()["broken_lines"] == 2
    log.unlink()
    with pytest.raises(RunError, match="No such file"):
        examine_run(run)


def test_a_data_set_is_no_run(facades: Path) -> None:
    assert not is_run(facades)
