import json
import sys
import time
from pathlib import Path

import pytest
import torch
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from i2i.core.console import Console
from i2i.errors import TrainingError
from i2i.runs.folder import Run, create_run
from i2i.training.monitor import MetricLogger, ProgressLogger


@pytest.fixture
def run(tmp_path: Path) -> Run:
    run = Run(tmp_path / "run")
    create_run(run, {})
    return run


def monitor_of(run: Run) -> ProgressLogger:
    journal = MetricLogger(run, 0)
    return ProgressLogger(
        journal,
        start=0,
        stop=4,
        samples_before=lambda step: 2 * step,
        terms={"l1", "real", "fake"},
    )


def test_means_go_to_json_lines_and_tensorboard(run: Run, said: list[str]) -> None:
    monitor = monitor_of(run)
    with monitor:
        for step, value in enumerate([1.0, 3.0], start=1):
            monitor.gather(step, {"generator/l1": torch.tensor(value)})
        monitor.gather(3, {"critic/real": torch.tensor(7.0)})  # terms may differ from step to step
        monitor.write({"generator": 2e-4})
        monitor.gather(4, {"generator/l1": torch.tensor(5.0)})
        monitor.write({"generator": 1e-4})
    monitor.journal.sheet(4, "validation", Image.new("RGB", (30, 20)))
    monitor.journal.text("options", "model = 1")
    monitor.journal.close()

    first, second = (json.loads(line) for line in run.log.read_text().splitlines())
    assert (first["step"], first["generator/l1"], first["critic/real"]) == (3, 2.0, 7.0)
    assert (second["step"], second["generator/l1"]) == (4, 5.0)
    assert first["learning_rate/generator"] == 2e-4
    assert first["speed/images_per_second"] == pytest.approx(2 * first["speed/steps_per_second"])
    assert 0 <= first["speed/data_wait"] <= 1

    board = EventAccumulator(str(run.folder)).Reload()
    assert [(e.step, e.value) for e in board.Scalars("generator/l1")] == [(3, 2.0), (4, 5.0)]
    assert board.Images("validation")[0].width == 30
    assert "options/text_summary" in board.Tags()["tensors"]
    assert (run.samples / "step-00000004.png").exists()
    assert any("step 4/4" in line and "generator/l1 5" in line for line in said)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_loss_that_is_not_finite_names_step_term_and_checkpoint(run: Run, bad: float) -> None:
    monitor = monitor_of(run)
    monitor.last_good = "checkpoints/step-1.pt"
    for step, value in enumerate([1.0, 2.0, bad, bad], start=1):
        terms = {"d/real": torch.tensor(1.0), "g/l1": torch.tensor(value)}
        monitor.gather(step, terms)
    with pytest.raises(TrainingError, match=r"step 3: g/l1 is .*checkpoints/step-1\.pt"):
        monitor.write({})
    monitor.journal.close()


def test_a_failing_writer_never_ends_a_run(
    run: Run, monkeypatch: pytest.MonkeyPatch, said: list[str]
) -> None:
    journal = MetricLogger(run, 0)
    board = journal._trackers["TensorBoard"]

    def broken(*arguments: object) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr(board, "scalars", broken)
    journal.scalars(1, {"x": 1.0})
    journal.scalars(2, {"x": 2.0})
    assert len(said) == 1
    assert "No space left" in said[0]
    assert len(run.log.read_text().splitlines()) == 2
    run.samples.rmdir()
    run.samples.touch()
    journal.sheet(2, "validation", Image.new("RGB", (3, 3)))
    assert "could not be saved" in said[1]
    journal.close()
    board.close()


def test_a_log_that_cannot_be_opened_is_left_out(run: Run, said: list[str]) -> None:
    run.log.mkdir()
    journal = MetricLogger(run, 0)
    journal.scalars(1, {"x": 1.0})
    journal.close()
    assert "log.jsonl" in said[0]
    assert EventAccumulator(str(run.folder)).Reload().Scalars("x")[0].value == 1.0


def test_json_lines_stay_json_with_values_that_are_not_finite(run: Run) -> None:
    journal = MetricLogger(run, 0)
    journal.scalars(1, {"x": float("inf"), "y": 1.0})
    journal.close()
    assert json.loads(run.log.read_text()) == {"step": 1, "x": None, "y": 1.0}


def test_what_is_known_of_a_step_stands_in_one_line(run: Run) -> None:
    """Also of the step after which a run goes on."""
    journal = MetricLogger(run, 0)
    journal.scalars(1, {"x": 1.0})
    journal.scalars(2, {"x": 2.0})
    journal.scalars(2, {"validation/y": 3.0})
    journal.close()
    again = MetricLogger(run, 2)
    again.scalars(2, {"validation/z": 4.0})
    again.scalars(3, {"x": 5.0})
    again.close()
    expected = [
        {"step": 1, "x": 1.0},
        {"step": 2, "x": 2.0, "validation/y": 3.0, "validation/z": 4.0},
        {"step": 3, "x": 5.0},
    ]
    assert [json.loads(line) for line in run.log.read_text().splitlines()] == again.rows == expected


def test_waiting_for_data_is_counted(run: Run) -> None:
    def slow() -> object:
        for number in range(2):
            time.sleep(0.05)
            yield number

    monitor = monitor_of(run)
    for step, _ in enumerate(monitor.batches(slow()), start=1):
        monitor.gather(step, {"x/y": torch.tensor(1.0)})
    monitor.write({})
    monitor.journal.close()
    assert json.loads(run.log.read_text())["speed/data_wait"] > 0.8


def test_a_busy_device_did_not_wait_for_data(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0

    def slow() -> object:
        nonlocal now
        for number in range(3):
            now += 1
            yield number

    monkeypatch.setattr(time, "perf_counter", lambda: now)
    monitor = monitor_of(run)
    answers = iter([False, True, False, False])  # when a batch has come, and at the end
    monitor.idle = lambda: next(answers)
    for step, _ in enumerate(monitor.batches(slow()), start=1):
        monitor.gather(step, {"x/y": torch.tensor(1.0)})
    monitor.write({})
    monitor.journal.close()
    assert json.loads(run.log.read_text())["speed/data_wait"] == pytest.approx(1 / 3)
    assert next(answers, None) is None


def test_a_gradient_that_overflows_is_written_down_and_ends_nothing(run: Run) -> None:
    """In fp16 it does now and then, and the step is left out."""
    monitor = monitor_of(run)
    monitor.gather(1, {"critic/gradient_norm": torch.tensor(float("inf"))})
    monitor.write({})
    monitor.journal.close()
    assert json.loads(run.log.read_text())["critic/gradient_norm"] is None


def test_a_terminal_shows_a_bar_that_fits(
    run: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("COLUMNS", "120")
    monitor = monitor_of(run)
    many = {f"generator_{number}/l1": torch.tensor(float(number)) for number in range(20)}
    with Console(), monitor:
        for step in (1, 2, 3, 4):
            monitor.gather(step, many)
            monitor.write({})
            time.sleep(0.25)
    monitor.journal.close()
    captured = capsys.readouterr()
    assert captured.out == ""
    lines = captured.err.replace("\r", "\n").splitlines()
    assert any("4/4" in line and "images/s" in line and "…" in line for line in lines)
    assert max(map(len, lines)) <= 120
