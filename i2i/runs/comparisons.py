"""Outputs beside what costs nothing: the untouched input, and a guess."""

from collections.abc import Iterator, Mapping
from typing import Any

from i2i.runs.series import Series, together, unbroken_since
from i2i.runs.thresholds import CHANCE, LATE, VALIDATION_ROWS, WORSE
from i2i.runs.verdict import Verdict

PROGRESS = "validation/health/progress"
"""Signal: the share of the run that was over at a validation."""


def is_late(row: Mapping[str, Any]) -> bool:
    """Whether a row of the log is of a validation after the beginning of its run."""
    return (row.get(PROGRESS) or 0) >= LATE


def worse_than_input(series: Series, measure: str, better: str) -> Iterator[Verdict]:
    """Outputs that the deciding measure finds worse than their inputs as they are."""
    outputs, inputs = f"validation/{measure}", f"validation/copying/{measure}"
    sign = {"lower": 1, "higher": -1}[better]
    rows = _late(series, outputs, inputs)
    points = [
        (step, sign * (value - copied) - WORSE * abs(copied)) for step, (value, copied) in rows
    ]
    since = unbroken_since(points, lambda excess: excess > 0, VALIDATION_ROWS)
    if since is not None:
        step, (value, copied) = rows[-1]
        yield Verdict(
            "worse than its input",
            "",
            since,
            step,
            f"by {measure}, the outputs ({value:.4g}) are worse than the inputs as they are "
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
