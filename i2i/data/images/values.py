"""Values that fill a small part of what a file can hold: training would see all but black.

16-bit files of cameras and microscopes often hold 10 to 14 bits, and label maps hold the numbers of
classes. Both are honest files, so that nothing but the values of all images together tells them.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from i2i.data.images.probe import ImageInfo
from i2i.errors import DataError

LABELS = 31
"""The greatest value up to which images are taken for label maps, if all of them are so dark, some
pixel is 0, and most hold more than one value."""

REFUSED = 1 / 4
"""Share of the range up to which values are refused: 64 of the 256 levels that training sees."""

DIM = 1 / 2
"""Share of the range up to which this is said."""


@dataclass(frozen=True)
class Range:
    """What some images hold.

    Attributes:
        labels: whether they look like label maps.
        images: those that this is about.
        low, high: the least and the greatest value of all of them.
        most: the greatest that their files could hold: 255, 65535, or 1 for floating point.
    """

    labels: bool
    images: tuple[Path, ...]
    low: float
    high: float
    most: float

    @property
    def refused(self) -> bool:
        return self.labels or self.high <= REFUSED * self.most

    def __str__(self) -> str:
        values = f"{self.low:g}..{self.high:g} of {self.most:g}"
        count, several = len(self.images), len(self.images) > 1
        if self.labels:
            return (
                f"{count} image{'s' * several} hold{'s' * (not several)} values within "
                f"{values}, as label maps do (numbers of classes, masks of 0 and 1): training "
                "would see all but black."
            )
        kind = "floating point" if self.most == 1 else "16-bit"
        return (
            f"{count} {kind} image{'s' * several} hold{'s' * (not several)} values within {values}:"
            f" of the 256 levels that training sees, {1 + int(255 * self.high / self.most)} would "
            "be left."
        )

    @property
    def advice(self) -> str:
        if self.labels:
            return (
                "Say that they are label maps, so that networks see a plane for each class: "
                f'[data.A] (or B) kind = "labels", classes = {int(self.high) + 1}.'
            )
        return f"Multiply the values by {self.most / self.high:.4g} and save them again."


def find_narrow(paths: Iterable[Path], looks: Mapping[Path, ImageInfo]) -> Range | None:
    """Say what is odd about the values of the images of one side of a data set; None if nothing is.

    Images whose pixels were not looked at, and those that are black, tell nothing.
    """
    seen = {path: looks[path] for path in paths if path in looks and looks[path].complete}
    if not seen:
        return None
    low = min(look.low for look in seen.values())
    high = max(look.high for look in seen.values())
    varied = sum(look.high > look.low for look in seen.values())
    dark = low == 0 and 1 <= high <= LABELS and 2 * varied >= len(seen)
    if dark and all(_may_be_labels(look) for look in seen.values()):
        deepest = 65535 if any(look.bits > 8 for look in seen.values()) else 255
        return _range(seen, deepest, labels=True)
    deep = {path: look for path, look in seen.items() if look.bits > 8 and look.high > 0}
    for floating, most in ((True, 1.0), (False, 65535.0)):
        alike = {path: look for path, look in deep.items() if (look.mode == "F") == floating}
        if alike and max(look.high for look in alike.values()) <= DIM * most:
            return _range(alike, most, labels=False)
    return None


def require_full_range(paths: Sequence[Path], looks: Mapping[Path, ImageInfo]) -> None:
    """Raise DataError where training would see all but black of the images of one side."""
    found = find_narrow(paths, looks)
    if found is not None and found.refused:
        raise DataError(f"{found} The first is '{found.images[0]}'. {found.advice}")


def _range(looks: Mapping[Path, ImageInfo], most: float, *, labels: bool) -> Range:
    low = min(look.low for look in looks.values())
    high = max(look.high for look in looks.values())
    return Range(labels, tuple(looks), low, high, most)


def _may_be_labels(look: ImageInfo) -> bool:
    """Whether a file is of a kind in which exact numbers are kept."""
    return look.format not in ("JPEG", "MPO") and look.mode != "F"
