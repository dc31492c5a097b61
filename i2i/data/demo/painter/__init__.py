"""A small painter: scenes drawn from a seed, the same scene in several renderings.

One painter gives paired data (labels -> photo), unpaired data whose true answer is known (summer
and winter) and many domains whose true answers are known, without a download.
"""

import numpy as np
from numpy.typing import NDArray

from i2i.data.demo.painter.layers import draw
from i2i.data.demo.painter.materials import LABELS
from i2i.data.demo.painter.moods import MOODS
from i2i.data.demo.painter.render import render_labels, render_mood, render_sketch
from i2i.errors import DataError, did_you_mean

__all__ = ["LABELS", "PAINTER_VERSION", "RENDERINGS", "paint"]

RENDERINGS: tuple[str, ...] = ("labels", "photo", "winter", "night", "autumn", "sketch")

PAINTER_VERSION = 1
"""To be raised by every change that changes an image, so that no old one is taken for a new."""

SMALLEST = 16


def paint(seed: int, size: int, rendering: str) -> NDArray[np.uint8]:
    """Paint the scene of `seed` as an image of (size, size, 3), uint8, RGB.

    The scene depends on the seed alone: every rendering and every size shows the same. "labels" is
    a label map in the colours of `LABELS` and nothing between them; "photo", "winter", "night" and
    "autumn" show it under another light; "sketch" is a pencil drawing.

    Raises:
        DataError: an unknown rendering, a negative seed, or a size below 16.
    """
    if rendering not in RENDERINGS:
        raise DataError(
            f"rendering {rendering!r} is not one of {', '.join(RENDERINGS)}."
            f"{did_you_mean(rendering, RENDERINGS)}"
        )
    if size < SMALLEST:
        raise DataError(f"an image of size {size} is too small to paint: give {SMALLEST} or more.")
    if seed < 0:
        raise DataError(f"the seed of a scene is a whole number from 0 on, not {seed}.")
    layers = draw(seed, size)
    if rendering == "labels":
        return render_labels(layers)
    if rendering == "sketch":
        return render_sketch(layers, seed)
    return render_mood(layers, seed, MOODS[rendering])
