"""How steady what is made of successive frames is."""

from pathlib import Path

import numpy as np

from i2i.core.text import counted
from i2i.data.images.file import AnyPixels


class Flicker:
    """Mean change between frames over that of the input.

    1 where a translation is as steady as what it was made of; more where it flickers. Both are
    means of absolute differences of equal places in successive frames.
    """

    def __init__(self) -> None:
        self._last: tuple[AnyPixels, AnyPixels] | None = None
        self._before = self._after = 0.0

    def add(self, source: AnyPixels, result: AnyPixels) -> None:
        """The next frame of the input and what was made of it, each (H, W, C) of one type."""
        if self._last is not None:
            self._before += _change(self._last[0], source)
            self._after += _change(self._last[1], result)
        self._last = (source, result)

    @property
    def ratio(self) -> float | None:
        """None where nothing moves in the input."""
        return self._after / self._before if self._before else None

    def line(self, source: Path, count: int) -> str:
        """What is said of a file of so many frames."""
        text = f"{source}: {counted(count, 'frame', 'frames')}"
        if self.ratio is None:
            return text
        return f"{text}, flicker {self.ratio:.2f} (change between frames over that of the input)"


def _change(one: AnyPixels, other: AnyPixels) -> float:
    return float(np.mean(np.maximum(one, other) - np.minimum(one, other)))
