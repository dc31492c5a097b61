"""A processor that is busy with something else: noticed, said, and fewer threads for new runs."""

from pathlib import Path
from typing import Any

import pytest
import torch

from i2i.config.recipes import load_options
from i2i.runs.checkpoint import load_checkpoint
from i2i.system import cpu as processor
from i2i.training import busy, running, session
from i2i.training.busy import INTERVAL, BusyWatch, fastest_threads, resolve_threads
from shrunk import shrunk

CPU = torch.device("cpu")


class Machine:
    """Time, and what of it a process gets."""

    def __init__(self, fastest: int = 2, gain: float = 1.0) -> None:
        self.wall = self.computed = 0.0
        self.fastest, self.gain = fastest, gain
        self.measured = 0

    def pass_by(self, seconds: float, share: float, threads: int = 2) -> None:
        self.wall += seconds
        self.computed += seconds * share * threads

    def measure(self, now: int, most: int) -> tuple[int, float]:
        self.measured += 1
        return self.fastest, self.gain


def watch(machine: Machine, threads: int = 2, most: int | None = None) -> BusyWatch:
    return BusyWatch(
        threads,
        most,
        measure=machine.measure,
        clock=lambda: machine.wall,
        cpu=lambda: machine.computed,
    )


def test_a_busy_processor_is_said_at_the_start(said: list[str]) -> None:
    machine = Machine(1, 8.8)
    watch(machine).begin()
    (line,) = said
    assert "With one thread instead of 2 (--threads 1 when the run is resumed" in line
    assert "about 8.8 times as fast" in line
    watch(Machine(1, 325.5)).begin()  # as a thread seems that was never interrupted
    assert "more than 10 times as fast" in said[1]


def test_an_idle_processor_is_measured_once(said: list[str]) -> None:
    machine = Machine()
    watching = watch(machine)
    watching.begin()
    for _ in range(10):
        machine.pass_by(INTERVAL, 0.9)
        watching.look()
    assert said == []
    assert machine.measured == 1


def test_that_it_becomes_busy_is_said_once_each_time(said: list[str]) -> None:
    machine = Machine()
    watching = watch(machine)
    watching.begin()
    machine.fastest, machine.gain = 1, 4.0
    for share, lines in ((0.9, 0), (0.2, 1), (0.2, 1), (0.9, 1), (0.25, 2)):
        machine.pass_by(INTERVAL, share)
        watching.look()
        assert len(said) == lines
    assert "computed for 240 s in 600 s with 2 threads" in said[0]


def test_waiting_for_images_is_not_taken_for_it(said: list[str]) -> None:
    machine = Machine()
    watching = watch(machine)
    watching.begin()
    machine.pass_by(INTERVAL, 0.1)
    watching.look()
    assert machine.measured == 2
    assert said == []
    machine.fastest, machine.gain = 1, 4.0
    machine.pass_by(INTERVAL / 2, 0.1)
    watching.look()
    assert machine.measured == 2  # not again so soon
    machine.pass_by(INTERVAL, 0.1)
    watching.restart()  # a validation, say
    machine.pass_by(1, 0.9)
    watching.look()
    assert machine.measured == 2


def test_one_thread_has_nobody_to_wait_for(said: list[str]) -> None:
    machine = Machine(1, 9.0)
    watching = watch(machine, threads=1)
    watching.begin()
    machine.pass_by(INTERVAL, 0.1, threads=1)
    watching.look()
    assert said == []
    assert machine.measured == 0


def test_that_it_is_no_longer_busy_is_said_where_threads_were_chosen(said: list[str]) -> None:
    machine = Machine(1, 1.0)
    watching = watch(machine, threads=1, most=8)
    watching.begin()
    for gain, lines in ((1.0, 0), (5.5, 1), (5.5, 1)):
        machine.fastest, machine.gain = (8, gain) if gain > 1 else (1, 1.0)
        machine.pass_by(INTERVAL, 1.0, threads=1)
        watching.look()
        assert len(said) == lines
    assert "no longer busy. With 8 threads instead of 1 (--threads 8" in said[0]


def test_measuring_leaves_threads_and_random_state_alone() -> None:
    threads, state = torch.get_num_threads(), torch.get_rng_state()
    count, gain = fastest_threads(1, 1)
    assert (count, gain) == (1, 1.0)
    count, gain = fastest_threads(2, 2)
    assert count in (1, 2)
    assert gain >= 1
    assert torch.get_num_threads() == threads
    assert torch.equal(torch.get_rng_state(), state)


@pytest.fixture
def eight_cores(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many threads torch computes with, the last number being that of now."""
    chosen = [8]
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(torch, "get_num_threads", lambda: chosen[-1])
    monkeypatch.setattr(torch, "set_num_threads", chosen.append)
    monkeypatch.setattr(busy, "cores", lambda: 8)
    monkeypatch.setattr(processor, "cores", lambda: 8)
    return chosen


@pytest.mark.parametrize(
    ("asked", "gain", "processes", "expected"),
    [
        ("auto", 1.2, 1, 8),
        ("auto", 3.0, 1, 4),
        ("auto", 3.0, 2, 8),  # the launcher has shared the cores out
        ("3", 3.0, 1, 3),
        ("16", 1.0, 1, 8),
        ("16", 1.0, 2, 4),
    ],
)
def test_threads_of_a_new_run_stand_in_its_options(
    asked: str,
    gain: float,
    processes: int,
    expected: int,
    eight_cores: list[int],
    said: list[str],
) -> None:
    options = resolve_threads(
        load_options("pix2pix", f"train.threads={asked}"),
        CPU,
        new=True,
        processes=processes,
        measure=lambda now, most: (4, gain) if gain >= 1.5 else (now, 1.0),
    )
    assert options.train.threads == expected
    assert eight_cores[-1] == expected
    busy_said = [line for line in said if "4 threads instead of 8, about 3.0 times" in line]
    assert len(busy_said) == (asked == "auto" and expected == 4)
    assert any("16, but there are cores for" in line for line in said) == (asked == "16")


def test_whoever_sets_the_threads_by_hand_knows_better(
    eight_cores: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "8")
    options = load_options("pix2pix")
    new = resolve_threads(options, CPU, new=True, measure=lambda now, most: (1, 9.0))
    assert new.train.threads == 8
    on_gpu = resolve_threads(options, torch.device("cuda"), new=True)
    assert on_gpu.train.threads == "auto"


def test_a_run_keeps_its_threads_and_the_process_gets_its_own_back(
    facades: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    used, fit = list[int](), running.fit

    def noting(*given: Any, **named: Any) -> bool:
        used.append(torch.get_num_threads())
        return fit(*given, **named)

    monkeypatch.setattr(busy, "cores", lambda: 2)
    monkeypatch.setattr(running, "fit", noting)
    options = shrunk("pix2pix", f"data.root={facades}", "train.threads=2")
    outcome = session.start(options, tmp_path, "a", device="cpu")
    saved = load_checkpoint(outcome.folder / "checkpoints" / "step-00000004.pt")
    assert saved["options"]["train"]["threads"] == 2
    session.resume(outcome.folder, "train.steps=5", device="cpu")
    changes = ["train.steps=6", "train.threads=1"]
    session.resume(outcome.folder, changes, device="cpu")
    assert used == [2, 2, 1]
    assert torch.get_num_threads() == 1
    text = (outcome.folder / "options.toml").read_text()
    assert "after step 5: train.threads = 2 became 1" in text
