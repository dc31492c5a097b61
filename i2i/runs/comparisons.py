"""Outputs beside what costs nothing: the untouched input, and a guess."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from i2i.runs.series import Point, Series, together, unbroken_since
from i2i.runs.thresholds import CHANCE, LATE, VALIDATION_ROWS
from i2i.runs.verdict import Verdict

PROGRESS = "validation/health/progress"
"""Signal: the share of the run that was over at a validation."""


NO_BETTER = "no better than its input"
"""Kind of verdict."""


def late(points: Sequence[Point], series: Series) -> list[Point]:
    """The points of a series at the validations after the beginning of the run."""
    rows = together(points, series.get(PROGRESS, ()))
    return [(step, value) for step, (value, progress) in rows if progress >= LATE]


def progress_of(row: Mapping[str, Any]) -> float:
    """The share of the run that was over at a validation; 0 of any other row of the log."""
    return row.get(PROGRESS) or 0.0


def is_late(row: Mapping[str, Any]) -> bool:
    """Whether a row of the log is of a validation after the beginning of its run."""
    return progress_of(row) >= LATE


def no_better_than_input(series: Series, measure: str, better: str) -> Iterator[Verdict]:
    """Outputs that the deciding measure finds no better than their inputs as they are.

    Several validations in succession show it before it counts; at the end of the run the last is
    enough, so that no run ends without a word that has not got further than its inputs.
    """
    outputs, inputs = f"validation/{measure}", f"validation/copying/{measure}"
    sign = {"lower": 1, "higher": -1}[better]
    rows = _late(series, outputs, inputs)
    points = [(step, sign * (value - copied)) for step, (value, copied) in rows]
    over = series.get(PROGRESS, [(0, 0.0)])[-1][1] >= 1
    since = unbroken_since(points, lambda excess: excess >= 0, 1 if over else VALIDATION_ROWS)
    if since is not None:
        step, (value, copied) = rows[-1]
        yield Verdict(
            NO_BETTER,
            "",
            since,
            step,
            f"by {measure}, the outputs ({value:.4g}) are no better than the inputs as they are "
            f"({copied:.4g}).",
            "Train longer; if that does not help, try more weight on what ties an output to its "
            "target or its domain, more images, or another measure if this one does not see "
            "what matters (train.distance, train.monitor).",
            {outputs: value, inputs: copied},
        )


def not_recognised(series: Series) -> Iterator[Verdict]:
    """Translations that a classifier takes for what they should be no oftener than by chance."""
    name, guess = "validation/domain_accuracy", "validation/health/chance"
    rows = _late(series, name, guess)
    points = [(step, value / chance) for step, (value, chance) in rows if chance > 0]
    since = unbroken_since(points, lambda ratio: ratio <= CHANCE, VALIDATION_ROWS)
    if since is not None:
        step, (value, chance) = rows[-1]
        yield Verdict(
            "not recognised",
            "",
            since,
            step,
            f"a classifier takes {value:.0%} of the translations for what they should be, and "
            f"guessing would reach {chance:.0%}.",
            "Try more weight on objective.classification, less on objective.reconstruction, or "
            "more images of each domain; see that the domains can be told apart at this size.",
            {name: value, guess: chance},
        )


def _late(series: Series, *names: str) -> list[tuple[int, tuple[float, ...]]]:
    """The values of some signals at the validations after the beginning of the run."""
    if any(name not in series for name in (*names, PROGRESS)):
        return []
    rows = together(series[PROGRESS], *(series[name] for name in names))
    return [(step, tuple(values)) for step, (progress, *values) in rows if progress >= LATE]
