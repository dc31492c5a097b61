"""The scalars of a log as charts: which belong together, and how many points a screen can show."""

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

POINTS = 600
"""Points of a curve at most, about the width of a chart in pixels."""

DIGITS = 5
"""Significant digits of a value."""

Point = tuple[int, float]


@dataclass(frozen=True)
class Chart:
    """Curves that share their axes.

    Arguments:
        section: of the page, one of `SECTIONS`.
        title: what the curves have in common.
        smooth: whether they are values of single batches, which are easier to read smoothed.
        curves: name -> points, oldest first.
    """

    section: str
    title: str
    smooth: bool
    curves: Mapping[str, list[Point]]


_ADVERSARIAL = r"(adversarial|real|fake)(_\w+)?"

_GROUPS: tuple[tuple[str, str, str], ...] = (
    (r"validation/health/(?P<title>.+?)(_truth)?", "Health", "{title}"),
    (r"validation/(?P<title>[^/]+)/score_.+", "Health", "{title}: scores of held-out pictures"),
    (r"validation/(copying/)?(?P<title>.+)", "Validation", "{title}"),
    (r"learning_rate/.+", "Machine", "learning rate"),
    (r"speed/(?P<title>.+)", "Machine", "{title}"),
    (r"(?P<title>[^/]+)/score_\w+", "Health", "{title}: scores in training"),
    (r"[^/]+/accuracy\w*", "Health", "accuracy of the discriminators"),
    (r"[^/]+/gradient_norm\w*", "Health", "gradient norms"),
    (rf"(?P<title>[^/]+)/{_ADVERSARIAL}", "Losses", "{title}: adversarial terms"),
    (r"(?P<title>[^/]+)/(?!total$).+", "Losses", "{title}: other terms"),
    (r"[^/]+/total", "Losses", "totals (weighted)"),
    (r".*", "Other", "other"),
)
"""Pattern of names, section and title of their chart; the first that fits."""

SECTIONS = ("Losses", "Validation", "Health", "Machine", "Other")


def charts(rows: Iterable[Mapping[str, Any]]) -> list[Chart]:
    """Sort the scalars of a log into charts, in the order of `SECTIONS`.

    Values that are not finite have no place in a chart and are left out.
    """
    curves: dict[str, list[Point]] = {}
    for row in rows:
        for name, value in row.items():
            if name != "step" and value is not None and math.isfinite(value):
                curves.setdefault(name, []).append((row["step"], float(value)))
    groups: dict[tuple[int, int, str], dict[str, list[Point]]] = {}
    for name, points in curves.items():
        groups.setdefault(_group(name), {})[name] = thin(points)
    return [
        Chart(SECTIONS[section], title, _is_of_batches(own), own)
        for (section, _, title), own in sorted(groups.items(), key=lambda group: group[0])
    ]


def _is_of_batches(names: Iterable[str]) -> bool:
    return not any(re.match("validation/|learning_rate/|speed/", name) for name in names)


def _group(name: str) -> tuple[int, int, str]:
    """The places of a scalar's section and group, by which charts are sorted, and its title."""
    for place, (pattern, section, title) in enumerate(_GROUPS):
        if found := re.fullmatch(pattern, name):
            title = title.format(**found.groupdict()).replace("_", " ")
            return SECTIONS.index(section), place, title
    raise AssertionError(name)  # the last pattern fits everything


def thin(points: list[Point], most: int = POINTS) -> list[Point]:
    """Return at most `most` of some points: of each stretch the lowest and the highest, so that no
    peak is lost, and the first and the last of all."""
    if len(points) > most:
        stretches = (most - 2) // 2
        inner = points[1:-1]
        kept = [points[0]]
        for number in range(stretches):
            begin, end = (len(inner) * n // stretches for n in (number, number + 1))
            part = range(begin, end)
            ends = {min(part, key=lambda i: inner[i][1]), max(part, key=lambda i: inner[i][1])}
            kept += [inner[i] for i in sorted(ends)]
        points = [*kept, points[-1]]
    return [(step, float(f"{value:.{DIGITS}g}")) for step, value in points]
