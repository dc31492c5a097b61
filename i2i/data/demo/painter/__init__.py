"""A small painter: scenes drawn from a seed, the same scene in several renderings.

One painter gives paired data (labels -> photo), unpaired data whose true answer is known (summer
and winter) and many domains whose true answers are known, without a download.
"""

import numpy as np
from numpy.typing import NDArray

from i2i.data.demo.painter.layers import draw
from i2i.data.demo.painter.materials import LABELS
from i2i.data.demo.painter.moods import MOODS
from i2i.data.demo.painter.render import (
    render_bands,
    render_depth,
    render_labels,
    render_light,
    render_mood,
    render_sketch,
)
from i2i.errors import DataError, did_you_mean

__all__ = ["INSTRUMENTS", "LABELS", "PAINTER_VERSION", "RENDERINGS", "paint", "record"]

RENDERINGS: tuple[str, ...] = ("labels", "photo", "winter", "night", "autumn", "sketch")

INSTRUMENTS: tuple[str, ...] = ("bands", "depth", "light", "winter light")

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
    _require(seed, size)
    layers = draw(seed, size)
    if rendering == "labels":
        return render_labels(layers)
    if rendering == "sketch":
        return render_sketch(layers, seed)
    return render_mood(layers, seed, MOODS[rendering])


def record(seed: int, size: int, instrument: str) -> NDArray[np.uint16]:
    """What an instrument sees of the scene of `seed`, (size, size, C), uint16.

    "bands" are six of 12 bits: blue, green and red through haze, red edge, near and short-wave
    infrared; "depth" is the distance in millimetres, up to 60 m; "light" and "winter light" are
    the luma of "photo" and "winter" as a linear sensor of 16 bits counts it.

    Raises:
        DataError: an unknown instrument, a negative seed, or a size below 16.
    """
    if instrument not in INSTRUMENTS:
        raise DataError(
            f"instrument {instrument!r} is not one of {', '.join(INSTRUMENTS)}."
            f"{did_you_mean(instrument, INSTRUMENTS)}"
        )
    _require(seed, size)
    layers = draw(seed, size)
    if instrument == "bands":
        return render_bands(layers, seed, MOODS["photo"])
    if instrument == "depth":
        return render_depth(layers)[:, :, None]
    mood = MOODS["winter" if instrument == "winter light" else "photo"]
    return render_light(layers, seed, mood)[:, :, None]


def _require(seed: int, size: int) -> None:
    if size < SMALLEST:
        raise DataError(f"an image of size {size} is too small to paint: give {SMALLEST} or more.")
    if seed < 0:
        raise DataError(f"the seed of a scene is a whole number from 0 on, not {seed}.")
