"""Sizes of images in pixels, width before height, as people say and write them: 512x256."""

import re
from typing import NamedTuple

AnySize = int | tuple[int, int]
"""The side of a square, or (width, height); what `Size.of` takes."""

MOST = 65536
"""Pixels of a side; JPEG ends at 65,535."""


class Size(NamedTuple):
    """Width and height in pixels."""

    width: int
    height: int

    @classmethod
    def of(cls, value: AnySize | str) -> "Size":
        """The size of a square of so many pixels, of a pair (width, height), or of a text
        ("256", "512x256").

        Raises:
            ValueError: it is none.
        """
        if isinstance(value, str):
            sides = re.fullmatch(r"([0-9]{1,6})(?:[x×]([0-9]{1,6}))?", value.strip().lower())  # noqa: RUF001
            if sides is None:
                raise ValueError(
                    "a size is the side of a square in pixels (256), or WIDTHxHEIGHT (512x256)"
                )
            value = (int(sides[1]), int(sides[2] or sides[1]))
        width, height = (value, value) if isinstance(value, int) else value
        return cls(width, height)

    @property
    def plain(self) -> AnySize:
        """As options have it: one number for a square."""
        return self.width if self.is_square else (self.width, self.height)

    @property
    def shape(self) -> tuple[int, int]:
        """(height, width), as arrays and tensors have it."""
        return self.height, self.width

    @property
    def is_square(self) -> bool:
        return self.width == self.height

    @property
    def pixels(self) -> int:
        return self.width * self.height

    @property
    def halving(self) -> int:
        """The side of a square that can be halved as often as both sides of this, and is no longer
        than the shorter one: what decides how deep a network can be."""
        power = (self.width | self.height) & -(self.width | self.height)
        shorter = min(self)
        return shorter if shorter & -shorter == power else shorter - power

    def __str__(self) -> str:
        return str(self.width) if self.is_square else f"{self.width}x{self.height}"
