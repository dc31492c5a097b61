"""The real images of a data set that a run is measured with."""

from typing import Any, NamedTuple

import torch
from torch import Tensor

from i2i.core.batch import Labelled
from i2i.core.labels import LabelSpace
from i2i.evaluation.images import TensorImages
from i2i.metrics.features import fitted


class Kind(NamedTuple):
    """Images of which a label is known to hold, or not."""

    name: str
    column: int
    holds: bool


def kinds_of(space: LabelSpace, column: int) -> tuple[Kind, ...]:
    """What a label is told apart from: the other domains, or images without the attribute."""
    for each, part in zip(space.sets, space.parts, strict=True):
        if each.exclusive and part.start <= column < part.stop:
            return tuple(Kind(n, part.start + i, True) for i, n in enumerate(each.names))
    name = space.names[column]
    return Kind(f"not {name}", column, False), Kind(name, column, True)


def of_kind(images: Labelled, space: LabelSpace, kind: Kind) -> TensorImages:
    """Those of some samples that are of a kind, by their numbers."""
    known = space.known(images.mask)[:, kind.column] > 0
    chosen = known & ((images.labels[:, kind.column] > 0) == kind.holds)
    numbers = torch.nonzero(chosen)[:, 0].tolist()
    return TensorImages(images.images[chosen], [str(number) for number in numbers])


def labelled(dataset: Any, count: int | None, *, side: int | None = None) -> Labelled:
    """The first samples of a data set, shrunk if a side is given."""
    total = len(dataset) if count is None else min(count, len(dataset))
    samples = [dataset[number] for number in range(total)]
    images = torch.stack([shrunk(sample.images, side) for sample in samples])
    return Labelled(images, *(torch.stack([s[field] for s in samples]) for field in (1, 2)))


def sides(dataset: Any, count: int | None, *, side: int | None = None) -> dict[str, TensorImages]:
    """The first images of both sides of an unpaired data set, shrunk if a side is given."""
    totals = [len(images) for images in dataset.images]
    totals = [total if count is None else min(count, total) for total in totals]
    samples = [dataset[number] for number in range(max(totals))]
    return {
        name: TensorImages(
            torch.stack([shrunk(sample[at], side) for sample in samples[:total]]),
            [str(number) for number in range(total)],
        )
        for at, (name, total) in enumerate(zip("AB", totals, strict=True))
    }


def shrunk(image: Tensor, side: int | None) -> Tensor:
    """An image (C, H, W) as a square of this side; as it is without one."""
    return image if side is None else fitted(image[None], side, side)[0]


def numbered(images: Tensor) -> list[str]:
    """Numbers as names for images (N, C, H, W)."""
    return [str(number) for number in range(len(images))]
