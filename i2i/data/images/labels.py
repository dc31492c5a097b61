"""Label maps: files that hold the number of a class in each pixel, or a colour for it."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from i2i.core.label_maps import INSTANCE_BYTES, RGB, LabelMaps
from i2i.data.images.read import Pixels
from i2i.errors import DataError

Numbers = npt.NDArray[np.int64]
AnyValues = npt.NDArray[Any]

MOST_SAID = 6
"""Numbers or colours that are named in a message."""


class UnknownLabelError(DataError):
    """A file holds values that stand for no class.

    Attributes:
        unknown: numbers or colours -> pixels that hold them.
    """

    def __init__(self, unknown: Counter[int | RGB], labels: LabelMaps) -> None:
        self.unknown = unknown
        kind = "colours" if labels.palette else "numbers"
        super().__init__(
            f"it holds {kind} of none of the {labels.classes} classes: {in_words(unknown)}"
        )


def in_words(unknown: Mapping[int | RGB, int], files: Mapping[int | RGB, int] | None = None) -> str:
    """Numbers or colours, and of how many pixels they are (in how many files)."""
    most = sorted(unknown, key=lambda value: -unknown[value])
    values = [
        f"{_said(value)} ({unknown[value]:,} pixels"
        f"{f' of {files[value]:,} files' if files else ''})"
        for value in most[:MOST_SAID]
    ]
    more = f" and {len(most) - MOST_SAID} more" if len(most) > MOST_SAID else ""
    return f"{', '.join(values)}{more}"


def to_maps(image: Image.Image, labels: LabelMaps, instances: Image.Image | None = None) -> Pixels:
    """Read a label map as (H, W, channels) uint8; see `LabelMaps`.

    A file of numbers is grey of 8 or 16 bits, has a palette (whose entries are the numbers), or
    three equal channels. A file of colours is whatever becomes RGB.

    Arguments:
        image: the label map, opened.
        labels: what it holds.
        instances: what numbers the objects; without it all belongs to one.

    Raises:
        DataError: it is no label map, or the two differ in size.
        UnknownLabelError: a pixel is of no class.
    """
    values = colours_of(image) if labels.palette else numbers_of(image)
    maps = classified(values, labels)
    if not labels.edges:
        return maps[:, :, None]
    objects = np.zeros(maps.shape, np.int64) if instances is None else objects_of(instances)
    if objects.shape != maps.shape:
        raise DataError(
            f"its map of objects has {objects.shape[1]}x{objects.shape[0]} pixels, where its "
            f"labels have {maps.shape[1]}x{maps.shape[0]}: they must be of one size"
        )
    parts = [maps, *((objects >> 8 * n & 255).astype(np.uint8) for n in range(INSTANCE_BYTES))]
    return np.stack(parts, axis=2)


def maps_of(values: AnyValues, labels: LabelMaps) -> Pixels:
    """The same (H, W, 1) of the values (H, W, C) of a file, or of a part of it; without objects.

    Raises:
        DataError: there are neither numbers nor, where the classes have a palette, colours.
        UnknownLabelError: a pixel is of no class.
    """
    bands = values.shape[2] - (values.shape[2] in (2, 4))  # the last one is transparency
    pixels = values[:, :, :bands].astype(np.int64)
    alike = bool((pixels == pixels[:, :, :1]).all())
    if bands not in (1, 3) or not (alike or labels.palette):
        raise DataError(
            f"it does not hold the numbers of classes (it has {bands} bands): give their colours "
            "as the palette of its side, or save it as grey"
        )
    numbers = pixels[:, :, 0]
    if labels.palette:
        numbers = pixels[:, :, 0] << 16 | pixels[:, :, -1 - (bands > 1)] << 8 | pixels[:, :, -1]
    return classified(numbers, labels)[:, :, None]


def classified(values: Numbers, labels: LabelMaps) -> Pixels:
    """Numbers of classes (H, W) uint8 for what a file holds: numbers, or colours as 0xrrggbb.

    Raises:
        UnknownLabelError: there are others.
    """
    ignored = [_packed(each) if isinstance(each, tuple) else each for each in labels.ignored]
    found, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    classes = [_packed(colour) for colour in labels.palette] or range(labels.classes)
    known = dict.fromkeys(ignored, labels.classes)
    known |= {value: number for number, value in enumerate(classes)}
    if labels.nearest:
        colours = np.array([*known])[:, None]
        distances = sum(
            ((found >> shift & 255) - (colours >> shift & 255)) ** 2 for shift in (16, 8, 0)
        )
        numbers = np.array([*known.values()])[np.asarray(distances).argmin(axis=0)]
    else:
        numbers = np.array([known.get(value, -1) for value in found.tolist()])
        if (numbers < 0).any():
            pairs = zip(found[numbers < 0].tolist(), counts[numbers < 0].tolist(), strict=True)
            unknown = {(_unpacked(v) if labels.palette else v): count for v, count in pairs}
            raise UnknownLabelError(Counter(unknown), labels)
    maps: Pixels = numbers.astype(np.uint8)[places].reshape(values.shape)
    return maps


def colours_of(image: Image.Image) -> Numbers:
    """The colours (H, W) of an image, as 0xrrggbb."""
    pixels = np.asarray(image.convert("RGB")).astype(np.int64)
    packed: Numbers = pixels[:, :, 0] << 16 | pixels[:, :, 1] << 8 | pixels[:, :, 2]
    return packed


def numbers_of(image: Image.Image) -> Numbers:
    """The numbers (H, W) that an image holds.

    Raises:
        DataError: it holds colours, or fractions.
    """
    if image.mode in ("P", "L", "1") or image.mode.startswith("I"):
        numbers: Numbers = np.asarray(image).astype(np.int64)
        return numbers
    if image.mode in ("RGB", "RGBA", "LA"):
        pixels = np.asarray(image).astype(np.int64)
        colours = pixels[:, :, : 1 if image.mode == "LA" else 3]
        numbers = colours[:, :, 0]
        if (colours == numbers[:, :, None]).all():
            return numbers
    raise DataError(
        f"it does not hold the numbers of classes (it is {image.mode}): give their colours as the "
        "palette of its side, or save it as grey"
    )


def objects_of(image: Image.Image) -> Numbers:
    """The numbers of the objects in a map of them: grey of 8 or 16 bits, or as colours."""
    if image.mode in ("RGB", "RGBA"):
        return colours_of(image)
    objects: Numbers = numbers_of(image) % 2 ** (8 * INSTANCE_BYTES)
    return objects


def _packed(colour: RGB) -> int:
    return colour[0] << 16 | colour[1] << 8 | colour[2]


def _unpacked(colour: int) -> RGB:
    return colour >> 16, colour >> 8 & 255, colour & 255


def _said(value: int | RGB) -> str:
    return f"#{_packed(value):06x}" if isinstance(value, tuple) else str(value)
