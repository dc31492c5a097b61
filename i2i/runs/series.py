"""Scalars of a log as series of points, and what there is to ask of them."""

import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from statistics import median
from typing import Any

SMOOTHING = 5
"""Points whose median is looked at where a value is that of one batch or of one state of a
discriminator: scores and gradients swing from step to step."""

Point = tuple[int, float]
"""A step and a value."""

Series = Mapping[str, Sequence[Point]]
"""Name of a scalar -> its points, oldest first."""


def read_series(rows: Iterable[Mapping[str, Any]]) -> dict[str, list[Point]]:
    """The scalars of some lines of the log; what was not finite is NaN."""
    series: dict[str, list[Point]] = {}
    for row in rows:
        for name, value in row.items():
            if name != "step":
                number = math.nan if value is None else float(value)
                series.setdefault(name, []).append((int(row["step"]), number))
    return series


def smooth(points: Sequence[Point]) -> list[Point]:
    """The median of each point and those before it, `SMOOTHING` together."""
    return [
        (step, median(value for _, value in points[max(0, i + 1 - SMOOTHING) : i + 1]))
        for i, (step, _) in enumerate(points)
    ]


def unbroken_since(points: Sequence[Point], bad: Callable[[float], bool], rows: int) -> int | None:
    """The step from which all points are bad, up to the last; None if they are less than `rows`."""
    count = 0
    for _, value in reversed(points):
        if not bad(value):
            break
        count += 1
    return points[-count][0] if count >= rows else None


def together(*series: Sequence[Point]) -> list[tuple[int, tuple[float, ...]]]:
    """The steps at which all of some series have a value."""
    first, *others = [dict(points) for points in series]
    return [
        (step, (value, *(other[step] for other in others)))
        for step, value in first.items()
        if all(step in other for other in others)
    ]


def ending_of(name: str) -> str:
    """What tells a domain's signals from those of another: "_A" in "discriminator_A/accuracy" and
    in "discriminators/fake_A", "" where there is nothing to tell."""
    player, _, term = name.rpartition("/")
    term = re.sub(r"^(score_real|score_fake|accuracy|real|fake|adversarial)", "", term)
    return term or "".join(re.findall(r"_[^_/]+$", player))


def named(series: Series, pattern: str) -> Iterator[tuple[str, Sequence[Point]]]:
    """The series whose whole name fits a pattern."""
    return ((name, points) for name, points in series.items() if re.fullmatch(pattern, name))


def of_domain(ending: str) -> str:
    """The same for a sentence: " of A", or nothing."""
    return f" of {ending.removeprefix('_')}" if ending else ""


def of_named_sides(text: str, sides: tuple[str, str]) -> str:
    """A sentence with what the two domains are called in the place of " of A" or " of AtoB"."""
    if sides == ("A", "B"):
        return text
    a, b = sides
    called = {"A": a, "B": b, "AtoB": f"{a} to {b}", "BtoA": f"{b} to {a}"}
    return re.sub(r"(?<= of )(A|B|AtoB|BtoA)\b", lambda found: called[found[0]], text)
