"""How the values of images spread that are more than colours of 8 bits: band by band, in a line."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from i2i.data.images.arrays import read_array
from i2i.errors import DataError

MOST_FILES = 50
"""Of a side that are looked at, spread over all of them."""

MOST_BANDS = 12
"""That are shown, the first ones."""

SAMPLES = 2**14
"""Values of each band of an image."""

BARS = "▁▂▃▄▅▆▇█"
STEPS = 10
"""Between the least and the greatest value."""


@dataclass(frozen=True)
class Spread:
    """The values of a band.

    Attributes:
        low, median, high: the least, the middle and the greatest one.
        counts: in `STEPS` equal steps from `low` to `high`.
        saturated: share of the values that are the greatest their type can hold; 0 of floating
            point.
    """

    low: float
    median: float
    high: float
    counts: tuple[int, ...]
    saturated: float

    def __str__(self) -> str:
        most = max(self.counts)
        bars = "".join(BARS[round((len(BARS) - 1) * count / most)] for count in self.counts)
        end = f", {self.saturated:.1%} saturated" if self.saturated >= 0.001 else ""
        return f"{bars} {self.low:g}..{self.high:g}, median {self.median:g}{end}"


def spreads(paths: Sequence[Path]) -> tuple[list[Spread], int]:
    """How the values of each band spread, and over how many of some images that was looked at.

    Images of other bands or another type than the first are left out, and so are those that cannot
    be read, and values that are no numbers: other findings name them.
    """
    step = -(-len(paths) // MOST_FILES)
    with ThreadPoolExecutor() as pool:
        found = [each for each in pool.map(_sample, paths[::step]) if each is not None]
    alike = [e for e in found if (e.shape[1], e.dtype) == (found[0].shape[1], found[0].dtype)]
    if not alike:
        return [], 0
    values = np.concatenate(alike)
    bands = (_spread(values[:, band]) for band in range(min(values.shape[1], MOST_BANDS)))
    return [each for each in bands if each is not None], len(alike)


def _sample(path: Path) -> npt.NDArray[Any] | None:
    """Some values (N, bands) of a file."""
    try:
        values = read_array(path).values
    except DataError:
        return None
    flat = values.reshape(-1, values.shape[2])
    return flat[:: max(1, len(flat) // SAMPLES)]


def _spread(values: npt.NDArray[Any]) -> Spread | None:
    numbers = values[np.isfinite(values)] if values.dtype.kind == "f" else values
    if not len(numbers):
        return None
    low, median, high = (float(q) for q in np.quantile(numbers, [0, 0.5, 1]))
    counts, _ = np.histogram(numbers, STEPS, (low, high if high > low else low + 1))
    whole = values.dtype.kind in "iu"
    saturated = float((numbers == np.iinfo(values.dtype).max).mean()) if whole else 0.0
    return Spread(low, median, high, tuple(counts.tolist()), saturated)
