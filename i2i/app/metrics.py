"""Counts and times for Prometheus, in its text format (version 0.0.4)."""

import os
import threading
from bisect import bisect_left
from collections.abc import Iterable, Mapping
from pathlib import Path

Labels = tuple[tuple[str, str], ...]

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
BATCHES = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0)

TEXT = "text/plain; version=0.0.4; charset=utf-8"
"""The media type of the format."""


class Counter:
    """What only grows."""

    kind = "counter"

    def __init__(self, name: str, meaning: str) -> None:
        self.name, self.meaning = name, meaning
        self._values: dict[Labels, float] = {}
        self._lock = threading.Lock()

    def add(self, amount: float = 1.0, **labels: str) -> None:
        key = tuple(sorted(labels.items()))
        with self._lock:
            self._values[key] = self._values.get(key, 0.0) + amount

    def lines(self) -> Iterable[str]:
        with self._lock:
            values = dict(self._values)
        return [f"{self.name}{_braces(labels)} {value:g}" for labels, value in values.items()]


class Gauge:
    """What goes up and down.

    Arguments:
        name, meaning: of the number.
        values: it, for each set of labels.
    """

    kind = "gauge"

    def __init__(self, name: str, meaning: str, values: Mapping[Labels, float]) -> None:
        self.name, self.meaning, self._values = name, meaning, values

    def lines(self) -> Iterable[str]:
        return [f"{self.name}{_braces(labels)} {value:g}" for labels, value in self._values.items()]


class Histogram:
    """How often something was how large.

    Arguments:
        name, meaning: of what is measured.
        bounds: upper bounds of the buckets, ascending.
    """

    kind = "histogram"

    def __init__(self, name: str, meaning: str, bounds: tuple[float, ...]) -> None:
        self.name, self.meaning, self.bounds = name, meaning, bounds
        self._counts = [0] * (len(bounds) + 1)
        self._sum = 0.0
        self._lock = threading.Lock()

    def observe(self, value: float) -> None:
        with self._lock:
            self._counts[bisect_left(self.bounds, value)] += 1
            self._sum += value

    def lines(self) -> Iterable[str]:
        with self._lock:
            counts, total = list(self._counts), self._sum
        lines, below = [], 0
        for bound, count in zip((*self.bounds, float("inf")), counts, strict=True):
            below += count
            le = "+Inf" if bound == float("inf") else f"{bound:g}"
            lines.append(f'{self.name}_bucket{{le="{le}"}} {below}')
        return [*lines, f"{self.name}_sum {total:g}", f"{self.name}_count {below}"]


def render(metrics: Iterable[Counter | Gauge | Histogram]) -> str:
    """All of some metrics in the text format."""
    lines: list[str] = []
    for metric in metrics:
        lines += [f"# HELP {metric.name} {metric.meaning}", f"# TYPE {metric.name} {metric.kind}"]
        lines += metric.lines()
    return "\n".join(lines) + "\n"


def resident_bytes() -> float:
    """Memory of this process, without what is swapped out; 0 where the system does not say."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    except (OSError, ValueError, IndexError):
        return 0.0
    return float(pages * os.sysconf("SC_PAGE_SIZE"))


def _braces(labels: Labels) -> str:
    if not labels:
        return ""
    pairs = []
    for name, value in labels:
        escaped = value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
        pairs.append(f'{name}="{escaped}"')
    return "{" + ",".join(pairs) + "}"
