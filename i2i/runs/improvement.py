"""Does a run still improve? An answer in plain words, with the numbers that say so.

It is read from the deciding measure of the validations alone (`train.monitor`). A verdict ("no
progress", `i2i.runs.health`) comes much later, after half of a run without anything better; this is
the answer for somebody who wonders whether another night is worth it.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from i2i.core.signals import explain
from i2i.runs.outputs import flaws
from i2i.runs.series import Point
from i2i.runs.thresholds import IMPROVEMENT, IMPROVING_SHARE, IMPROVING_VALIDATIONS

State = Literal["early", "improving", "over"]


@dataclass(frozen=True)
class Improvement:
    """How the deciding measure of a run went.

    Attributes:
        measure: its name.
        state: "early": too few validations to tell; "improving"; "over": it is no longer better.
        points: step and value of each validation, oldest first, without those whose outputs are
            plainly wrong.
        best: step and value after which nothing was better by `IMPROVEMENT`.
    """

    measure: str
    state: State
    points: Sequence[Point]
    best: Point

    def text(self, sides: tuple[str, str] = ("A", "B")) -> str:
        """Whether it still improves, since when not, and what says so.

        Arguments:
            sides: what the two domains are called.
        """
        meaning = explain(self.measure, sides)
        what = f"{self.measure}, {meaning}," if meaning else self.measure
        first, last = self.points[0], self.points[-1]
        at, value = self.best
        if self.state == "early":
            count = len(self.points)
            return (
                f"it cannot be said yet whether it still improves: {what} was measured "
                f"{'once' if count == 1 else f'{count} times'}, "
                f"{_number(last[1])} at step {last[0]}."
            )
        if self.state == "improving":
            former = self.before()
            return (
                f"it still improves: {what} was {_number(first[1])} at step {first[0]}, "
                f"{_number(former[1])} at step {former[0]}, and is {_number(value)} at step {at}. "
                "A longer training is likely to help."
            )
        since = [each for step, each in self.points if step > at]
        spread = (
            f"{_number(min(since))} to {_number(max(since))} in {len(since)} validations since"
            if min(since) < max(since)
            else f"{_number(since[0])} in {len(since)} validations since"
        )
        return (
            f"it has not improved since step {at} of {last[0]}: {what} was {_number(value)} there, "
            f"and {spread}. More steps of the same will hardly help; other images or more of them "
            "may. Look at the image grids, too: a number does not see everything."
        )

    def before(self) -> Point:
        """The last validation before the share of the run in which improvement is looked for."""
        begin = _recent(self.points)
        return [point for point in self.points if point[0] < begin][-1]


def improvement(
    rows: Iterable[Mapping[str, Any]], monitor: tuple[str, str] | None
) -> Improvement | None:
    """Say whether a run still improves; None where nothing was measured that decides.

    Arguments:
        rows: lines of the log, oldest first.
        monitor: the deciding measure, and whether "lower" or "higher" is better.
    """
    if monitor is None:
        return None
    measure, better = monitor
    name = f"validation/{measure}"
    measured = [row for row in rows if math.isfinite(_value(row, name))]
    fine = [row for row in measured if not flaws(row, measure)] or measured
    if not fine:
        return None
    points = [(int(row["step"]), float(row[name])) for row in fine]
    sign = {"lower": -1, "higher": 1}[better]
    best = points[0]
    for point in points[1:]:
        if sign * (point[1] - best[1]) > IMPROVEMENT * abs(best[1]):
            best = point
    state: State = "improving" if best[0] >= _recent(points) else "over"
    if len(points) < IMPROVING_VALIDATIONS:
        state = "early"
    return Improvement(measure, state, points, best)


def _recent(points: Sequence[Point]) -> float:
    """The step from which on something better counts as still improving."""
    first, last = points[0][0], points[-1][0]
    return last - IMPROVING_SHARE * (last - first)


def _value(row: Mapping[str, Any], name: str) -> float:
    value = row.get(name)
    return math.nan if value is None else float(value)


def _number(value: float) -> str:
    return f"{value:.4g}"
