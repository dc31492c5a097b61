"""Which checkpoint is the best, and for how long there was no better one."""

from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from i2i.errors import CheckpointError
from i2i.metrics.health import health_signals
from i2i.runs.checkpoint import load_checkpoint
from i2i.runs.folder import Run, create_run
from i2i.training import checkpoints as module
from i2i.training.checkpoints import CheckpointManager, thinned

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


def outputs_of(kind: str, count: int = 8, side: int = 64) -> Tensor:
    """Images like the references below, but "dotted", "flat", "collapsed", or none of these."""
    images = blobs(seed=1, count=count, side=side)
    dots = torch.zeros(side, side)
    dots[::2, ::2] = 0.1
    return {
        "healthy": images,
        "dotted": images + dots,
        "flat": images.mean(dim=(2, 3), keepdim=True) + 0.002 * images,
        "collapsed": images[:1] + 0.005 * blobs(seed=2, count=count, side=side),
    }[kind].clamp(-1, 1)


def blobs(*, seed: int, count: int, side: int) -> Tensor:
    """Smooth images with a little noise, in -1..1."""
    generator = torch.Generator().manual_seed(seed)
    small = torch.rand(count, 3, 6, 6, generator=generator) * 1.6 - 0.8
    images = F.interpolate(small, size=(side, side), mode="bicubic")
    return images + 0.02 * torch.randn(images.shape, generator=generator)


@pytest.mark.parametrize("sick", ["dotted", "flat", "collapsed"])
@pytest.mark.parametrize("monitor", [("swd-reference", "lower"), ("domain_accuracy", "higher")])
def test_outputs_that_are_plainly_wrong_never_win(
    run: Run, sick: str, monitor: tuple[str, str]
) -> None:
    """Whatever the measure that decides prefers."""
    references = blobs(seed=0, count=8, side=64)
    health = {
        kind: {f"health/{k}": v.item() for k, v in health_signals(images, references).items()}
        for kind, images in ((kind, outputs_of(kind)) for kind in ("healthy", sick))
    }
    good, better, best = (3.0, 2.0, 1.0) if monitor[1] == "lower" else (0.1, 0.2, 0.3)
    keep = CheckpointManager(run, {}, keep=1, monitor=monitor)

    def measured(kind: str, value: float) -> bool:
        return keep.save_if_best(TRAINER, {monitor[0]: value, **health[kind]})

    assert measured(sick, better)  # better than nothing, and said
    assert len(keep.best_flaws) == 1
    assert measured("healthy", good)  # which is worse by the measure
    assert not measured(sick, best)
    assert len(keep.passed_over) == 1
    assert (keep.best, keep.best_flaws, keep.stale) == (good, [], 1)
    state = load_checkpoint(run.best)
    assert (state["best"], state["best_flaws"]) == (good, [])
    again = CheckpointManager(run, {}, keep=1, monitor=monitor, former=state)
    assert not again.save_if_best(TRAINER, {monitor[0]: best, **health[sick]})
    assert again.save_if_best(TRAINER, {monitor[0]: better, **health["healthy"]})


def test_a_measure_that_compares_with_the_truth_decides_alone(run: Run) -> None:
    keep = CheckpointManager(run, {}, keep=1, monitor=("l1", "lower"))
    assert keep.save_if_best(TRAINER, {"l1": 2.0, "health/grid": 1.0})
    assert keep.save_if_best(TRAINER, {"l1": 1.0, "health/grid": 100.0})


def left(run: Run, steps: int, **kept: Any) -> list[int]:
    """The checkpoints that are left of a run that saves after each ten steps."""
    keep = CheckpointManager(run, {}, monitor=None, unit=10, **kept)
    for step in range(10, steps + 1, 10):
        trainer: Any = SimpleNamespace(
            state_dict=lambda: {"step": 0}, steps_done=step, model=torch.nn.Module()
        )
        keep.save(trainer)
    return [int(path.stem[5:]) for path in run.checkpoints()]


def test_which_checkpoints_stay(run: Run) -> None:
    assert left(run, 100, keep=2) == [90, 100]
    assert left(run, 100, keep=1, every=30) == [30, 60, 90, 100]


def test_all_checkpoints_stay(run: Run) -> None:
    assert left(run, 70, keep=1, kept="all") == list(range(10, 71, 10))


def test_older_checkpoints_grow_fewer(run: Run) -> None:
    steps = left(run, 1000, keep=2, kept="thinned")
    assert steps[-8:] == list(range(930, 1001, 10))
    gaps = [after - before for before, after in pairwise(steps)]
    assert gaps[1:] == sorted(gaps[1:], reverse=True)
    assert len(steps) < 30
    assert steps[0] < 200
    # What stays in the end was there all the time: thinning all of them at once gives no more.
    assert {*steps} == thinned(list(range(10, 1001, 10)), 10) | {990, 1000}
