"""What travels from a data set to a model: named tuples of tensors, and pixels in two notations.

Images travel as bytes (`uint8`, 0..255, a quarter of the memory traffic) and become signed
floating point numbers (-1..1, what a tanh generator produces) on the device that computes.
"""

from typing import Any, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from i2i.core.sides import Sides

T = TypeVar("T", bound=tuple[Tensor, ...])

AnyBatch = tuple[Tensor, ...]
"""A batch whose kind only the model knows."""


class Pair(NamedTuple):
    """Images and what they should become, pixel for pixel.

    Both are (N, C, H, W), uint8 in 0..255 or floating point in -1..1; a data set returns them
    without the N.
    """

    source: Tensor
    target: Tensor


class Unpaired(NamedTuple):
    """Images of two domains that have nothing to do with each other but their number.

    Both are (N, C, H, W), as in `Pair`; the two numbers of channels may differ.
    """

    a: Tensor
    b: Tensor


class Labelled(NamedTuple):
    """Images of which something is known; `i2i.core.labels` says what the columns mean.

    `images` are (N, C, H, W), as in `Pair`; `labels` are (N, L) and `mask` is (N, S), both float32,
    0 or 1.
    """

    images: Tensor
    labels: Tensor
    mask: Tensor


class Referenced(NamedTuple):
    """Labelled images, each with two images of a domain that it is to be translated to.

    The first three fields are those of `Labelled`. `references` and `others` are (N, C, H, W), two
    different images if the domain has more than one; `targets` (N, L) are the labels of both.
    """

    images: Tensor
    labels: Tensor
    mask: Tensor
    references: Tensor
    others: Tensor
    targets: Tensor


def to_signed(images: Tensor) -> Tensor:
    """Map uint8 0..255 and uint16 0..65535 to float32 -1..1 (x / 127.5 - 1, x / 32767.5 - 1);
    floating point tensors pass unchanged."""
    if images.dtype == torch.uint8:
        return images.float() / 127.5 - 1
    if images.dtype == torch.uint16:
        return images.float() / 32767.5 - 1
    return images


def as_torch(dtype: np.dtype[Any]) -> torch.dtype:
    """Torch's name for one of the types that images travel in."""
    return {1: torch.uint8, 2: torch.uint16, 4: torch.float32}[dtype.itemsize]


def to_travel(images: Tensor, dtype: torch.dtype) -> Tensor:
    """Map floating point -1..1 to what travels: clamped, rounded uint8 or uint16; or float32."""
    if dtype == torch.uint8:
        return to_bytes(images)
    if dtype == torch.uint16:
        return images.float().add(1).mul(32767.5).round_().clamp_(0, 65535).to(torch.uint16)
    return images.float()


def to_bytes(images: Tensor) -> Tensor:
    """Map floating point -1..1 to uint8 0..255, clamped and rounded: the inverse of `to_signed`."""
    return images.float().add(1).mul(127.5).round_().clamp_(0, 255).to(torch.uint8)


def enlarged(images: Tensor, size: int) -> Tensor:
    """Images (N, C, H, W) of any type, with each pixel repeated up to `size` x `size`."""
    repeat = size // images.shape[-1]
    return images.repeat_interleave(repeat, -2).repeat_interleave(repeat, -1)


def to_device(
    batch: T,
    device: torch.device,
    memory_format: torch.memory_format = torch.contiguous_format,
    sides: Sides = Sides(),  # noqa: B008 (nobody can change it)
) -> T:
    """Move a named tuple of tensors to `device`, and make of its images what networks see.

    A tensor with four dimensions is images, everything else is moved as it is. Bytes become signed,
    maps of labels become planes, where `sides` says that a field holds them. `memory_format` is
    that of the images.
    """
    encoded: dict[str, Any] = {}
    for name, tensor in zip(batch._fields, batch, strict=True):  # type: ignore[attr-defined]
        tensor = tensor.to(device, non_blocking=True)
        if tensor.ndim == 4:
            labels = sides.of(name)
            tensor = to_signed(tensor) if labels is None else labels.encoded(tensor)
            tensor = tensor.contiguous(memory_format=memory_format)
        encoded[name] = tensor
    return type(batch)(**encoded)


def to_tensor(pixels: npt.NDArray[np.uint8]) -> Tensor:
    """(H, W, C) pixels as a (C, H, W) tensor."""
    return torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1)))
