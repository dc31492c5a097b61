"""The sliced Wasserstein distance between the patches of two sets of images.

Karras, Aila, Laine, Lehtinen: Progressive Growing of GANs for Improved Quality, Stability, and
Variation, 2018, section 5. It needs no trained network, says at which scale images differ, and
is quick.
"""

from collections.abc import Sequence
from typing import Literal, NamedTuple, Protocol

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from i2i.errors import DataError

VALUES = 2**22
"""Of so many at a time pyramids are made."""

PATCH = 7
SMALLEST_LEVEL = 16

Normalisation = Literal["own", "reference"]


class Images(Protocol):
    """What images are taken from in slices: (N, C, H, W) uint8, a tensor for example."""

    def __len__(self) -> int: ...

    def __getitem__(self, part: slice, /) -> Tensor: ...


class SlicedDistance(NamedTuple):
    """`levels`: height of the images at each level -> distance, finest first; `mean` of them."""

    mean: float
    levels: dict[int, float]


def patch_distance(
    generated: Images,
    reference: Images,
    *,
    patches: int = 2**14,
    projections: int = 256,
    normalisation: Normalisation = "own",
    seed: int = 0,
) -> SlicedDistance:
    """Compare patches of 7 x 7 pixels at each level of a Laplacian pyramid.

    The finest level has the details of full size, the next those of half of it, and so on down to
    at least 16 pixels. Patches are drawn from all images equally and at the same places in both
    sets, so that equal sets are at distance 0. Published values are 1000 times as large, and use
    2^21 patches.

    Arguments:
        generated, reference: images of one size, at least 7 pixels; their numbers may differ.
        patches: drawn from each set, at each level.
        projections: random directions that the patches are sorted along.
        normalisation: by what mean and standard deviation of each channel patches are normalised:
            those of their "own" set, as published, which makes the distance blind to overall
            brightness, contrast and tint; or those of the "reference" for both, which does not.
        seed: of places and directions.

    Raises:
        DataError: the images are too small, or the two sets differ in size or channels.
    """
    shapes = [tuple(each[0:1].shape[1:]) for each in (generated, reference)]
    if shapes[0] != shapes[1]:
        raise DataError(
            "The sliced Wasserstein distance compares images of one size; those generated are "
            f"{_size(shapes[0])} and the reference is {_size(shapes[1])}."
        )
    if min(shapes[0][1:]) < PATCH:
        raise DataError(
            f"The sliced Wasserstein distance looks at patches of {PATCH} x {PATCH} pixels, but "
            f"the images are only {_size(shapes[0])}."
        )
    descriptors = [
        pyramid_patches(each, patches=patches, seed=seed) for each in (generated, reference)
    ]
    levels = {}
    for height, first, second in zip(
        level_sizes(*shapes[0][1:]), descriptors[0], descriptors[1], strict=True
    ):
        by = second if normalisation == "reference" else first
        generator = torch.Generator().manual_seed(seed)
        levels[height[0]] = sliced_distance(
            _normalised(first, by),
            _normalised(second, second),
            projections=projections,
            generator=generator,
        )
    return SlicedDistance(sum(levels.values()) / len(levels), levels)


def sliced_distance(
    first: Tensor, second: Tensor, *, projections: int, generator: torch.Generator
) -> float:
    """The mean Wasserstein-1 distance of two sets of points along random directions.

    Arguments:
        first, second: (N, D), equally many.
        projections: number of directions.
        generator: of the directions.
    """
    assert first.shape == second.shape, (first.shape, second.shape)
    directions = torch.randn(first.shape[1], projections, generator=generator)
    directions = F.normalize(directions, dim=0).to(first)
    # numpy sorts an order of magnitude faster than torch, which also says what was where.
    along = [np.sort((directions.T @ points.T).numpy(), axis=1) for points in (first, second)]
    return float(np.abs(along[0] - along[1]).mean(dtype=np.float64))


def level_sizes(height: int, width: int) -> list[tuple[int, int]]:
    """Height and width of each level of a pyramid, finest first."""
    sizes = [(height, width)]
    while min(_half(side) for side in sizes[-1]) >= SMALLEST_LEVEL:
        sizes.append((_half(sizes[-1][0]), _half(sizes[-1][1])))
    return sizes


def laplacian_pyramid(images: Tensor) -> list[Tensor]:
    """Split images (N, C, H, W) into levels, finest first; their upsampled sum is the image.

    Burt, Adelson: The Laplacian Pyramid as a Compact Image Code, 1983, with the binomial kernel
    (1, 4, 6, 4, 1) / 16. The last level is what remains, a small image.
    """
    levels = []
    for size in level_sizes(*images.shape[-2:])[1:]:
        smaller = downsample(images)
        assert smaller.shape[-2:] == size
        levels.append(images - upsample(smaller, images.shape[-2:]))
        images = smaller
    return [*levels, images]


def downsample(images: Tensor) -> Tensor:
    """Blur images, mirrored at the border, and keep every second row and column."""
    for _ in range(2):  # rows, then columns
        images = _halved(images).transpose(-1, -2)
    return images


def upsample(images: Tensor, size: Sequence[int]) -> Tensor:
    """Put zeros between the pixels and blur, with the fourfold kernel: the inverse step."""
    for side in size:
        images = _doubled(images, side).transpose(-1, -2)
    return images


def pyramid_patches(images: Images, *, patches: int, seed: int) -> list[Tensor]:
    """Draw patches from each level of the pyramids of images: (patches, C, 7 * 7) each.

    Patch i is of image i modulo their number; where, follows from the seed and i.
    """
    count = len(images)
    assert count > 0
    channels, height, width = images[0:1].shape[1:]
    sizes = level_sizes(height, width)
    found = [torch.empty(patches, channels, PATCH * PATCH) for _ in sizes]
    generator = torch.Generator().manual_seed(seed)
    places = [
        [torch.randint(side - PATCH + 1, (patches,), generator=generator) for side in size]
        for size in sizes
    ]
    order = torch.arange(patches)
    offsets = torch.arange(PATCH)
    chunk = max(1, VALUES // (channels * height * width))
    for at in range(0, min(count, patches), chunk):
        some = images[at : at + chunk].float() / 127.5 - 1
        mine = order[(order % count >= at) & (order % count < at + len(some))]
        number = (mine % count - at)[:, None, None, None]
        for level, (rows, columns), into in zip(
            laplacian_pyramid(some), places, found, strict=True
        ):
            row = (rows[mine, None] + offsets)[:, None, :, None]
            column = (columns[mine, None] + offsets)[:, None, None, :]
            into[mine] = level[number, torch.arange(channels)[:, None, None], row, column].flatten(
                2
            )
    return found


def _normalised(patches: Tensor, by: Tensor) -> Tensor:
    """(N, C, P) to (N, C * P), with the mean and deviation of each channel of `by` taken out."""
    deviation, mean = torch.std_mean(by, dim=(0, 2), keepdim=True, correction=0)
    return ((patches - mean) / deviation.clamp_min(1e-6)).flatten(1)


def _halved(images: Tensor) -> Tensor:
    rows = F.pad(images, (0, 0, 2, 2), mode="reflect")
    span = 2 * _half(images.shape[-2]) - 1
    first, second, third, fourth, fifth = (rows[..., at : at + span : 2, :] for at in range(5))
    return (first + fifth).add_(second + fourth, alpha=4).add_(third, alpha=6).div_(16)


def _doubled(images: Tensor, side: int) -> Tensor:
    # Mirrored at the border, as the rows with the zeros between them.
    last = images[..., -1:, :] if side % 2 == 0 else images[..., -2:-1, :]
    rows = torch.cat([images[..., 1:2, :], images, last], dim=-2)
    doubled = images.new_empty(*images.shape[:-2], side, images.shape[-1])
    doubled[..., ::2, :] = (rows[..., :-2, :] + rows[..., 2:, :]).add_(images, alpha=6).div_(8)
    doubled[..., 1::2, :] = (images + rows[..., 2:, :])[..., : side // 2, :].div_(2)
    return doubled


def _half(side: int) -> int:
    return (side + 1) // 2


def _size(shape: Sequence[int]) -> str:
    return f"{shape[2]} x {shape[1]} pixels with {shape[0]} channels"
