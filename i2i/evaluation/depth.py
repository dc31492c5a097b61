"""Images of more than 8 bits per channel: their values as they are, and the span that they use."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import numpy.typing as npt

from i2i.data.images.formats import open_file
from i2i.data.images.read import open_image, to_pixels
from i2i.data.images.sixteen_bit import read_colours

Values = npt.NDArray[np.float32]
Span = tuple[float, float]
"""The values that count as black and white."""


def is_deep(path: Path) -> bool:
    """Say whether a file that can be read holds more than 8 bits per channel."""
    with path.open("rb") as file, open_file(file) as image:
        if image.mode == "F" or image.mode.startswith("I"):
            return True
    return read_colours(path) is not None


def read_values(path: Path) -> Values:
    """The values (H, W, C) of an image as the file has them; 8 bits on the scale of 16.

    C is 1 or 3; what is transparent is on white.

    Raises:
        DataError: the file cannot be read.
    """
    words = read_colours(path)
    if words is not None:
        values = words.astype(np.float32)
        if values.shape[2] in (2, 4):
            alpha = values[:, :, -1:] / 65535
            values = (values[:, :, :-1] * alpha + 65535 * (1 - alpha)).astype(np.float32)
        return values
    image = open_image(path)
    if image.mode == "F" or image.mode.startswith("I"):
        return np.asarray(image).astype(np.float32)[:, :, None]
    return to_pixels(image, 3).astype(np.float32) * 257


def span_of(paths: Iterable[Path]) -> Span | None:
    """The least and the greatest value of some images; None if none has more than 8 bits."""
    deep = [path for path in paths if is_deep(path)]
    if not deep:
        return None
    values = [read_values(path) for path in deep]
    return float(min(each.min() for each in values)), float(max(each.max() for each in values))
