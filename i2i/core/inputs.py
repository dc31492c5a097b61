"""Several images of one scene as one input: colours, depth, a label map, one behind the other.

Between files and networks they travel as bytes, each as it is: a channel of 16 bits takes two
bytes, one of floating point four, a label map what `LabelMaps` says. On the device each becomes
what networks see of it, -1..1 or planes of 0 and 1.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from i2i.core.label_maps import LabelMaps
from i2i.core.scale import Scale
from i2i.errors import DataError

COLOURS = 3
"""Channels of an input of which nothing is said: 8 bits of RGB."""


@dataclass(frozen=True)
class Input:
    """One of several inputs.

    Attributes:
        name: of its folder.
        channels: of its files, of an image.
        labels: what it holds, of a label map.
        scale: what its values mean, of an image that is used as it is.
        show: the bands that people see, from 1; empty for the first three, or the only one.
    """

    name: str
    channels: int = COLOURS
    labels: LabelMaps | None = None
    scale: Scale | None = None
    show: tuple[int, ...] = ()

    @property
    def planes(self) -> int:
        """Channels that networks see."""
        return self.channels if self.labels is None else self.labels.planes

    @property
    def travels(self) -> np.dtype[Any]:
        """The type of its values between files and networks."""
        return np.dtype(np.uint8) if self.scale is None else self.scale.travels

    @property
    def bytes(self) -> int:
        """Of a pixel, between files and networks."""
        channels = self.channels if self.labels is None else self.labels.channels
        return channels * self.travels.itemsize

    def encoded(self, values: Tensor) -> Tensor:
        """What networks see, (N, planes, H, W), of bytes (N, bytes, H, W)."""
        if self.labels is not None:
            return self.labels.encoded(values)
        width = self.travels.itemsize
        if width == 1:
            return values.float() / 127.5 - 1
        count, _, *size = values.shape
        split = values.reshape(count, self.channels, width, *size)
        if width == 2:
            low, high = split.unbind(dim=2)
            return (low.float() + 256 * high.float()) / 32767.5 - 1
        return split.movedim(2, -1).contiguous().view(torch.float32)[..., 0]

    def random(self, noise: Tensor) -> Tensor:
        """Bytes (N, bytes, H, W) that mean something, of noise (N, any, H, W) in bytes."""
        if self.labels is not None:
            return self.labels.random(noise)
        if self.travels == np.float32:  # any four bytes could be infinite
            values = noise[:, :1].expand(-1, self.channels, -1, -1).float() / 127.5 - 1
            split = values[..., None].contiguous().view(torch.uint8).movedim(-1, 2)
            return split.reshape(len(noise), self.bytes, *noise.shape[2:])
        return noise[:, :1].expand(-1, self.bytes, -1, -1)


@dataclass(frozen=True)
class Inputs:
    """Several inputs in their order; to others they are what `LabelMaps` are: what travels has
    `channels`, and `encoded` gives the `planes` that networks see.

    Attributes:
        parts: the inputs.
    """

    parts: tuple[Input, ...]

    @property
    def planes(self) -> int:
        """Channels that networks see."""
        return sum(part.planes for part in self.parts)

    @property
    def channels(self) -> int:
        """Bytes of a pixel."""
        return sum(part.bytes for part in self.parts)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(part.name for part in self.parts)

    def encoded(self, values: Tensor) -> Tensor:
        """What networks see, (N, planes, H, W), of bytes (N, channels, H, W) uint8.

        What is floating point is returned as it is.
        """
        if values.is_floating_point():
            return values
        return torch.cat([part.encoded(each) for part, each in self._split(values)], dim=1)

    def require_known(self, values: Tensor) -> None:
        """Refuse bytes that stand for nothing.

        Raises:
            DataError: a label map holds a number of no class, or an image values that are no
                numbers in -1..1.
        """
        for part, each in self._split(values):
            if part.labels is not None:
                part.labels.require_known(each)
            elif part.travels == np.float32:
                low, high = part.encoded(each).aminmax()
                if not (low >= -1 and high <= 1):  # NaN must be refused as well
                    raise DataError(
                        f"The input {part.name!r} holds values of {low:.4g}..{high:.4g}: expected "
                        "-1..1."
                    )

    def of_planes(self, planes: Tensor) -> Iterator[tuple[Input, Tensor]]:
        """Each input, and its planes of (N, planes, H, W)."""
        parts = planes.split([part.planes for part in self.parts], dim=1)
        yield from zip(self.parts, parts, strict=True)

    def pictured(self, values: Tensor) -> Tensor:
        """A picture (N, 3, H, W) uint8 of the first input, of bytes (N, channels, H, W)."""
        part, own = next(self._split(values))
        if part.labels is not None:
            return part.labels.pictured(own)
        seen = part.encoded(own)[:, : 3 if part.channels >= 3 else 1]
        return seen.add(1).mul(127.5).round().byte().expand(-1, 3, -1, -1)

    def random(self, noise: Tensor) -> Tensor:
        """Bytes (N, channels, H, W) that mean something, of noise (N, any, H, W) in bytes."""
        return torch.cat([part.random(noise) for part in self.parts], dim=1)

    def _split(self, values: Tensor) -> Iterator[tuple[Input, Tensor]]:
        parts = values.split([part.bytes for part in self.parts], dim=1)
        yield from zip(self.parts, parts, strict=True)


def packed(images: Sequence[npt.NDArray[Any]]) -> npt.NDArray[np.uint8]:
    """Images (H, W, C) of one size and any types, as the bytes (H, W, channels) of all of them.

    They lie plane by plane, as tensors have them: that is copying rows, where channels would be
    copied one number at a time.
    """
    planes = []
    for image in images:
        plane = np.ascontiguousarray(image.transpose(2, 0, 1))
        if (width := plane.itemsize) > 1:
            count, *size = plane.shape
            single = plane.view(np.uint8).reshape(count, *size, width)
            plane = single.transpose(0, 3, 1, 2).reshape(count * width, *size)
        planes.append(plane.view(np.uint8))
    return np.concatenate(planes).transpose(1, 2, 0)
