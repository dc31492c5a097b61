"""Sets of images with names, on disk or in memory."""

import hashlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import groupby
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from i2i.core.batch import to_bytes, to_signed, to_tensor
from i2i.core.size import AnySize, Size
from i2i.data.augment.geometry import evaluation_geometry
from i2i.data.images.read import read_image
from i2i.evaluation.depth import Span, read_values

BATCH = 16


class ImageSet(Protocol):
    """Images (C, H, W) uint8, of one size or not."""

    names: Sequence[str]
    """One for each, by which they find their partners."""

    def __len__(self) -> int: ...

    def __getitem__(self, part: slice, /) -> Tensor:
        """Some of them, (N, C, H, W), which must be of one size.

        Raises:
            DataError: one cannot be read.
        """
        ...

    def signed(self, part: slice) -> Tensor:
        """Some of them as float32, -1..1 from black to white, with all the depth that they have."""
        ...

    def batches(self) -> Iterator[Tensor]:
        """All of them in order, (n, C, H, W) each, where n of one size come one after another."""
        ...

    def shapes(self) -> set[tuple[int, int]]:
        """The heights and widths that there are."""
        ...

    def content(self) -> str:
        """A hash of all that the images are."""
        ...

    def some(self, numbers: Sequence[int]) -> "ImageSet":
        """Those with these numbers."""
        ...

    def sized(self, size: AnySize) -> "ImageSet":
        """All of them as squares of a side, or as (width, height): resized until that is covered
        (bicubic, antialiased), and the middle cut out."""
        ...


class FolderImages:
    """Images in files, which are read as RGB when they are asked for.

    Arguments:
        paths: of the files.
        names: one for each.
        shapes: height and width of each, upright.
        size: that they are brought to (`ImageSet.sized`); None: as they are.
        span: the values that become black and white, for files of more than 8 bits; None: those of
            the format.
    """

    def __init__(
        self,
        paths: Sequence[Path],
        names: Sequence[str],
        shapes: Sequence[tuple[int, int]],
        size: AnySize | None = None,
        span: Span | None = None,
    ) -> None:
        assert len(paths) == len(names) == len(shapes), (len(paths), len(names), len(shapes))
        self.paths = list(paths)
        self.names: Sequence[str] = list(names)
        self.size = None if size is None else Size.of(size)
        self.span = span
        self._shapes = list(shapes)
        self._fit = None if size is None else evaluation_geometry(size, "shorter side")

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, part: slice, /) -> Tensor:
        return torch.stack(self._read(self.paths[part]))

    def signed(self, part: slice) -> Tensor:
        if self.span is None:
            return to_signed(self[part])
        return torch.stack([self._in_span(path) for path in self.paths[part]])

    def batches(self) -> Iterator[Tensor]:
        for at in range(0, len(self), BATCH):
            for _, alike in groupby(self._read(self.paths[at : at + BATCH]), lambda i: i.shape):
                yield torch.stack(list(alike))

    def shapes(self) -> set[tuple[int, int]]:
        return {self.size.shape} if self.size else set(self._shapes)

    def content(self) -> str:
        found = hashlib.sha256(repr((self.size, len(self), self.span)).encode())
        for path in self.paths:
            found.update(hashlib.sha256(path.read_bytes()).digest())
        return found.hexdigest()

    def some(self, numbers: Sequence[int]) -> "FolderImages":
        return FolderImages(
            [self.paths[number] for number in numbers],
            [self.names[number] for number in numbers],
            [self._shapes[number] for number in numbers],
            self.size,
            self.span,
        )

    def sized(self, size: AnySize) -> "FolderImages":
        return FolderImages(self.paths, self.names, self._shapes, size, self.span)

    def _read(self, paths: Sequence[Path]) -> list[Tensor]:
        with ThreadPoolExecutor() as pool:
            return list(pool.map(self._read_one, paths))

    def _read_one(self, path: Path) -> Tensor:
        if self.span is not None:
            return to_bytes(self._in_span(path))
        pixels = read_image(path, 3)
        return to_tensor(pixels if self._fit is None else self._fit(0, 0, pixels)[0])

    def _in_span(self, path: Path) -> Tensor:
        """An image (3, H, W) in float32: -1 at the first value of the span, 1 at the other."""
        assert self.span is not None
        low, high = self.span
        values: Any = (read_values(path) - low) / (max(high - low, 1e-12) / 2) - 1
        if self._fit is not None:
            values = self._fit(0, 0, values)[0]
        return torch.from_numpy(np.ascontiguousarray(values)).permute(2, 0, 1).expand(3, -1, -1)


class TensorImages:
    """Images in memory, (N, C, H, W) as they travel (`i2i.core.scale`).

    Of values that are no colours of 8 bits, the networks that describe images see the first three
    bands (or the only one), in 8 bits of their range.
    """

    def __init__(self, images: Tensor, names: Sequence[str]) -> None:
        assert len(images) == len(names), (len(images), len(names))
        self.images = images
        self.names: Sequence[str] = list(names)

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, part: slice, /) -> Tensor:
        return seen(self.images[part])

    def signed(self, part: slice) -> Tensor:
        return to_signed(self.images[part])

    def batches(self) -> Iterator[Tensor]:
        yield from map(seen, self.images.split(BATCH))

    def shapes(self) -> set[tuple[int, int]]:
        height, width = self.images.shape[2:]
        return {(height, width)}

    def content(self) -> str:
        found = hashlib.sha256(repr(tuple(self.images.shape)).encode())
        found.update(self.images.contiguous().numpy().data)
        return found.hexdigest()

    def some(self, numbers: Sequence[int]) -> "TensorImages":
        names = [self.names[number] for number in numbers]
        return TensorImages(self.images[list(numbers)], names)

    def sized(self, size: AnySize) -> "TensorImages":
        fit = evaluation_geometry(size, "shorter side")
        pixels = (image.permute(1, 2, 0).contiguous().numpy() for image in seen(self.images))
        fitted = [to_tensor(fit(0, 0, each)[0]) for each in pixels]
        return TensorImages(torch.stack(fitted), self.names)


def seen(images: Tensor) -> Tensor:
    """Images (N, C, H, W) as they travel, or in -1..1, as (N, 1 or 3, H, W) uint8."""
    if images.shape[1] not in (1, 3):
        images = images[:, : 3 if images.shape[1] > 3 else 1]
    return images if images.dtype == torch.uint8 else to_bytes(to_signed(images))
