"""What is seen at once, from the first steps on: a generator that is dead, losses that run away."""

from collections.abc import Iterator

from i2i.runs.series import Series, named, unbroken_since
from i2i.runs.thresholds import DEAD_ROWS, RUNAWAY, RUNAWAY_ROWS
from i2i.runs.verdict import Verdict


def dead_generators(series: Series) -> Iterator[Verdict]:
    """Players that judge nobody and whose gradient is exactly zero: nothing moves them any more.

    A discriminator may have such a gradient and live: with the hinge loss it has one where every
    score is beyond its margin.
    """
    for name, points in named(series, r"[^/]+/gradient_norm\w*"):
        player = name.rpartition("/")[0]
        if any(True for _ in named(series, rf"{player}/fake\w*")):
            continue
        since = unbroken_since(points, lambda value: value == 0, DEAD_ROWS)
        if since is not None:
            yield Verdict(
                "generator dead",
                player,
                since,
                points[-1][0],
                f"the gradient of {player} is exactly zero, so it learns nothing any more.",
                "Stop: its outputs are saturated, mostly by a learning rate that is too high. Try "
                "a tenth of optimizer.learning_rate, or go on from an older checkpoint.",
                {name: 0.0},
            )


def runaway_losses(series: Series) -> Iterator[Verdict]:
    """Players whose loss is of a size that no loss of a training that works has."""
    for name, points in named(series, r"[^/]+/total"):
        since = unbroken_since(points, lambda value: abs(value) > RUNAWAY, RUNAWAY_ROWS)
        if since is not None:
            player = name.rpartition("/")[0]
            yield Verdict(
                "losses run away",
                player,
                since,
                points[-1][0],
                f"the loss of {player} is {points[-1][1]:.2g}.",
                "Stop, and try a tenth of optimizer.learning_rate, or a penalty for the "
                "discriminator (objective.r1 or objective.gradient_penalty).",
                {name: points[-1][1]},
            )
