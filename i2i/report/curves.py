"""The scalars of a log as charts: which belong together, and how many points a screen can show."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from i2i.core.signals import Signal, read_signal

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
        groups: curve -> its group, whose curves have a colour and a place in the legend in common;
            also of curves in other charts. Without groups, each curve stands for itself.
    """

    section: str
    title: str
    smooth: bool
    curves: Mapping[str, list[Point]]
    groups: Mapping[str, str] = field(default_factory=dict)


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
    signals = map(read_signal, names)
    return not any(each.held_out or each.group == "machine" for each in signals)


def _group(name: str) -> tuple[int, int, str]:
    """The places of a scalar's section and group, by which charts are sorted, and its title."""
    signal = read_signal(name)
    section, place, title = _place(signal)
    return SECTIONS.index(section), place, title.replace("_", " ")


def _place(signal: Signal) -> tuple[str, int, str]:
    """Section, place in it, and title of the chart that a scalar belongs to."""
    owner, base = signal.owner, signal.base
    match signal.group:
        case "health":
            return "Health", 0, base.removeprefix("health/").removesuffix("_truth")
        case "result" if signal.held_out:
            return "Validation", 0, f"{base}({signal.by})" if signal.by else base
        case "machine":
            return "Machine", int(base != "learning_rate"), base.rpartition("/")[2]
        case "result":
            return "Other", 0, "other"
    if signal.held_out:
        return "Health", 1, f"{owner}: scores of held-out images"
    match base:
        case "score_real" | "score_fake":
            return "Health", 2, f"{owner}: scores in training"
        case "accuracy":
            return "Health", 3, "accuracy of the discriminators"
        case "augment_probability" | "real_sign":
            return "Health", 5, f"{owner}: augmentation"
        case "gradient_norm":
            return "Health", 4, "gradient norms"
        case "adversarial" | "real" | "fake":
            return "Losses", 0, f"{owner}: adversarial terms"
        case "total":
            return "Losses", 2, "totals (weighted)"
    return "Losses", 1, f"{owner}: other terms"


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
