"""Which checkpoint is the best, and for how long there was no better one."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from i2i.errors import CheckpointError
from i2i.runs.checkpoint import load_checkpoint
from i2i.runs.folder import Run, create_run
from i2i.training import checkpoints as module
from i2i.training.checkpoints import CheckpointManager

TRAINER: Any = SimpleNamespace(state_dict=lambda: {"step": 3})


@pytest.fixture
def run(tmp_path: Path) -> Run:
    run = Run(tmp_path / "run")
    create_run(run, {})
    return run


def keeper(run: Run, better: str = "lower", former: Any = None) -> CheckpointManager:
    return CheckpointManager(run, {}, keep=1, monitor=("error", better), former=former)


@pytest.mark.parametrize(
    ("better", "values", "improved"),
    [
        ("lower", [3, 2, 2, 5, 1], [True, True, False, False, True]),
        ("higher", [3, 2, 4, float("nan"), 4], [True, False, True, False, False]),
    ],
)
def test_the_best_by_either_direction(
    run: Run, better: str, values: list[float], improved: list[bool]
) -> None:
    keep = keeper(run, better)
    stale = []
    for value, expected in zip(values, improved, strict=True):
        assert keep.save_if_best(TRAINER, {"error": value, "other": 0.0}) is expected
        stale.append(keep.stale)
    since = 0
    for count, good in zip(stale, improved, strict=True):
        since = 0 if good else since + 1
        assert count == since
    best = {"lower": min, "higher": max}[better](v for v in values if v == v)
    state = load_checkpoint(run.best)
    assert (state["best"], state["stale"], state["decisive"]) == (best, 0, ["error", better])


def test_a_resumed_run_goes_on_counting_but_not_by_another_measure(run: Run) -> None:
    former = {"decisive": ["error", "lower"], "best": 0.5, "stale": 4}
    assert (keeper(run, former=former).best, keeper(run, former=former).stale) == (0.5, 4)
    other = former | {"decisive": ["swd", "lower"]}
    assert (keeper(run, former=other).best, keeper(run, former=other).stale) == (None, 0)


def test_nothing_is_the_best_where_nothing_decides(run: Run) -> None:
    nothing = CheckpointManager(run, {}, keep=1, monitor=None)
    assert not nothing.save_if_best(TRAINER, {"errors": 1.0})


def test_what_could_not_be_written_is_not_the_best(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep = keeper(run)
    keep.save_if_best(TRAINER, {"error": 2.0})

    def full(path: Path, state: Any) -> None:
        raise CheckpointError("full")

    monkeypatch.setattr(module, "save_checkpoint", full)
    with pytest.raises(CheckpointError):
        keep.save_if_best(TRAINER, {"error": 1.0})
    assert keep.best == 2.0
