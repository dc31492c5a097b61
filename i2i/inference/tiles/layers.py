"""What part of its input a layer needs for a part of its output, and how it computes just that.

Positions are counted in the whole value, from its first row and column; a span (a, b) holds a, ...,
b - 1. Rows and columns never mix, so a layer answers for one axis at a time: 0 rows, 1 columns.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import NamedTuple, cast, final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from i2i.networks.spectral import HookedConv2d
from i2i.system.device import full_precision

Span = tuple[int, int]


class Region(NamedTuple):
    """A rectangle of a value."""

    rows: Span
    columns: Span

    @property
    def area(self) -> int:
        return (self.rows[1] - self.rows[0]) * (self.columns[1] - self.columns[0])


class Layer(ABC):
    """A layer that can be computed for any part of its output.

    Attributes:
        cost: multiply-adds for each number of the output.
    """

    cost: float = 0.0

    @abstractmethod
    def channels(self, inputs: list[int]) -> int:
        """Return the channels of the output, given those of the inputs."""

    @abstractmethod
    def length(self, length: int, axis: int) -> int:
        """Return the length of the whole output along an axis, given that of the input."""

    @abstractmethod
    def reach(self, want: Span, length: int, axis: int) -> Span:
        """Return which part of the input, of `length` altogether, the part `want` depends on."""

    @abstractmethod
    def __call__(self, tiles: list[Tensor], have: Region, want: Region, whole: Region) -> Tensor:
        """Compute the part `want` of the output.

        Arguments:
            tiles: the part `have` of each input, (1, C, rows, columns); left unchanged, except by
                layers in place.
            have: what `reach` returned for `want`.
            whole: all of the input.
        """


class Local(Layer):
    """A layer whose output at a position depends on the inputs at this position only."""

    @final
    def length(self, length: int, axis: int) -> int:
        return length

    @final
    def reach(self, want: Span, length: int, axis: int) -> Span:
        return want


@final
class Pointwise(Local):
    """An activation, dropout, or a normalisation with fixed statistics."""

    def __init__(self, module: nn.Module) -> None:
        self.module = module

    def channels(self, inputs: list[int]) -> int:
        return inputs[0]

    def __call__(self, tiles: list[Tensor], have: Region, want: Region, whole: Region) -> Tensor:
        return cast(Tensor, self.module(tiles[0]))


@final
class Normalise(Local):
    """A normalisation with the statistics of the image, which stand behind the tile."""

    def __init__(self, module: nn.BatchNorm2d | nn.InstanceNorm2d) -> None:
        self.module = module

    def channels(self, inputs: list[int]) -> int:
        return inputs[0]

    def __call__(self, tiles: list[Tensor], have: Region, want: Region, whole: Region) -> Tensor:
        tile, mean, variance = tiles
        module = self.module
        return F.batch_norm(tile, mean, variance, module.weight, module.bias, eps=module.eps)


@final
class Add(Local):
    def channels(self, inputs: list[int]) -> int:
        return inputs[0]

    def __call__(self, tiles: list[Tensor], have: Region, want: Region, whole: Region) -> Tensor:
        return tiles[0] + tiles[1]


@final
class Multiply(Local):
    def channels(self, inputs: list[int]) -> int:
        return inputs[0]

    def __call__(self, tiles: list[Tensor], have: Region, want: Region, whole: Region) -> Tensor:
        return tiles[0] * tiles[1]


@final
class Stretch(Local):
    """A map (1, C, h, w) resized (nearest) to the size of the input, whatever that holds."""

    def __init__(self, values: Callable[[], Tensor]) -> None:
        self.values = values

    def channels(self, inputs: list[int]) -> int:
        return self.values().shape[1]

    def __call__(self, tiles: list[Tensor], have: Region, want: Region, whole: Region) -> Tensor:
        values = self.values()
        for axis in (0, 1):
            positions = torch.arange(values.shape[2 + axis], dtype=torch.float32)
            origins = F.interpolate(positions[None, None], size=whole[axis][1])[0, 0].long()
            chosen = origins[slice(*want[axis])].to(values.device)
            values = values.index_select(2 + axis, chosen)
        return values


@final
class Concatenate(Local):
    """Channels of several values one behind the other."""

    def channels(self, inputs: list[int]) -> int:
        return sum(inputs)

    def __call__(self, tiles: list[Tensor], have: Region, want: Region, whole: Region) -> Tensor:
        return torch.cat(tiles, dim=1)


@final
class Pad(Layer):
    """More rows and columns: the image mirrored, or its outermost pixels repeated."""

    def __init__(self, before: tuple[int, int], after: tuple[int, int], *, reflect: bool) -> None:
        self.before = before
        self.after = after
        self.reflect = reflect

    def channels(self, inputs: list[int]) -> int:
        return inputs[0]

    def length(self, length: int, axis: int) -> int:
        return self.before[axis] + length + self.after[axis]

    def reach(self, want: Span, length: int, axis: int) -> Span:
        origins = self._origins(want, length, axis)
        return int(origins.min()), int(origins.max()) + 1

    def __call__(self, tiles: list[Tensor], have: Region, want: Region, whole: Region) -> Tensor:
        tile = tiles[0]
        for axis in (0, 1):
            origins = self._origins(want[axis], whole[axis][1], axis) - have[axis][0]
            if not torch.equal(origins, torch.arange(tile.shape[2 + axis])):  # at a border
                tile = tile.index_select(2 + axis, origins.to(tile.device))
        return tile

    def _origins(self, want: Span, length: int, axis: int) -> Tensor:
        """Return for each position which one of the input is repeated there."""
        positions = torch.arange(*want) - self.before[axis]
        if self.reflect:
            return length - 1 - (positions.abs() - (length - 1)).abs()
        return positions.clamp(0, length - 1)


@final
class Convolve(Layer):
    """A convolution, padded with zeros."""

    def __init__(self, module: nn.Conv2d, padding: tuple[int, int]) -> None:
        self.module = module
        self.padding = padding
        kernel = module.kernel_size[0] * module.kernel_size[1]
        self.cost = kernel * module.in_channels / module.groups

    def channels(self, inputs: list[int]) -> int:
        return self.module.out_channels

    def length(self, length: int, axis: int) -> int:
        padded = length + 2 * self.padding[axis]
        return (padded - self._extent(axis)) // self.module.stride[axis] + 1

    def reach(self, want: Span, length: int, axis: int) -> Span:
        start, stop = self._reach(want, axis)
        return max(start, 0), min(stop, length)

    def __call__(self, tiles: list[Tensor], have: Region, want: Region, whole: Region) -> Tensor:
        (top, bottom), (left, right) = (self._reach(want[axis], axis) for axis in (0, 1))
        rows, columns = have
        missing = (columns[0] - left, right - columns[1], rows[0] - top, bottom - rows[1])
        tile = F.pad(tiles[0], missing) if any(missing) else tiles[0]
        module = self.module
        return F.conv2d(
            tile, self._weight(tile), module.bias, module.stride, 0, module.dilation, module.groups
        )

    def _weight(self, beside: Tensor) -> Tensor:
        if isinstance(self.module, HookedConv2d):
            with full_precision(beside):
                return self.module.normalised()
        return self.module.weight

    def _extent(self, axis: int) -> int:
        """The length of input that one output sees."""
        return self.module.dilation[axis] * (self.module.kernel_size[axis] - 1) + 1

    def _reach(self, want: Span, axis: int) -> Span:
        """As `reach`, into the padding."""
        stride, padding = self.module.stride[axis], self.padding[axis]
        first, last = want[0] * stride - padding, (want[1] - 1) * stride - padding
        return first, last + self._extent(axis)


@final
class ConvolveTransposed(Layer):
    """A transposed convolution: each input is spread over the outputs that overlap with it."""

    def __init__(self, module: nn.ConvTranspose2d) -> None:
        self.module = module
        taps = module.kernel_size[0] * module.kernel_size[1]
        steps = module.stride[0] * module.stride[1]
        self.cost = taps / steps * module.in_channels / module.groups

    def channels(self, inputs: list[int]) -> int:
        return self.module.out_channels

    def length(self, length: int, axis: int) -> int:
        whole = (length - 1) * self.module.stride[axis] + self._extent(axis)
        padding = cast(int, self.module.padding[axis])
        return whole - 2 * padding + self.module.output_padding[axis]

    def reach(self, want: Span, length: int, axis: int) -> Span:
        stride, padding = self.module.stride[axis], cast(int, self.module.padding[axis])
        first = -(-(want[0] + padding - self._extent(axis) + 1) // stride)
        last = (want[1] - 1 + padding) // stride
        # At least one input: outputs that none reaches are the bias, and it brings that.
        start = min(max(first, 0), length - 1)
        return start, max(min(last + 1, length), start + 1)

    def __call__(self, tiles: list[Tensor], have: Region, want: Region, whole: Region) -> Tensor:
        module = self.module
        tile = F.conv_transpose2d(
            tiles[0],
            module.weight,
            module.bias,
            module.stride,
            0,
            module.output_padding,
            module.groups,
            module.dilation,
        )
        for axis in (0, 1):
            origin = have[axis][0] * module.stride[axis] - cast(int, module.padding[axis])
            start, stop = want[axis]
            tile = tile.narrow(2 + axis, start - origin, stop - start)
        return tile

    def _extent(self, axis: int) -> int:
        """The length of output that one input reaches."""
        return self.module.dilation[axis] * (self.module.kernel_size[axis] - 1) + 1


class Shrinking(Layer):
    """Down-sampling to one value for each square of `factor` x `factor`."""

    def __init__(self, factor: int) -> None:
        self.factor = factor

    def channels(self, inputs: list[int]) -> int:
        return inputs[0]

    def length(self, length: int, axis: int) -> int:
        return length // self.factor


@final
class Average(Shrinking):
    """Down-sampling by the mean of squares of `factor` x `factor` values."""

    def reach(self, want: Span, length: int, axis: int) -> Span:
        return want[0] * self.factor, want[1] * self.factor

    def __call__(self, tiles: list[Tensor], have: Region, want: Region, whole: Region) -> Tensor:
        return F.avg_pool2d(tiles[0], self.factor)


@final
class Halve(Layer):
    """Every second mean of 3 x 3 values, of which those outside of the image do not count."""

    def channels(self, inputs: list[int]) -> int:
        return inputs[0]

    def length(self, length: int, axis: int) -> int:
        return (length + 1) // 2

    def reach(self, want: Span, length: int, axis: int) -> Span:
        return max(0, 2 * want[0] - 1), min(length, 2 * want[1])

    def __call__(self, tiles: list[Tensor], have: Region, want: Region, whole: Region) -> Tensor:
        outside: list[int] = []
        for axis in (1, 0):  # F.pad begins with the last one
            outside += [
                have[axis][0] - (2 * want[axis][0] - 1),
                2 * want[axis][1] - have[axis][1],
            ]
        counted = F.pad(torch.ones_like(tiles[0][:, :1]), outside)
        return F.avg_pool2d(F.pad(tiles[0], outside), 3, 2) / F.avg_pool2d(counted, 3, 2)


@final
class Pick(Shrinking):
    """Down-sampling to every pixel whose row and column are multiples of `factor`."""

    def reach(self, want: Span, length: int, axis: int) -> Span:
        return want[0] * self.factor, (want[1] - 1) * self.factor + 1

    def __call__(self, tiles: list[Tensor], have: Region, want: Region, whole: Region) -> Tensor:
        return tiles[0][:, :, :: self.factor, :: self.factor]


@final
class Repeat(Layer):
    """Up-sampling that repeats each pixel."""

    def __init__(self, factor: int) -> None:
        self.factor = factor

    def channels(self, inputs: list[int]) -> int:
        return inputs[0]

    def length(self, length: int, axis: int) -> int:
        return length * self.factor

    def reach(self, want: Span, length: int, axis: int) -> Span:
        return want[0] // self.factor, (want[1] - 1) // self.factor + 1

    def __call__(self, tiles: list[Tensor], have: Region, want: Region, whole: Region) -> Tensor:
        tile = F.interpolate(tiles[0], scale_factor=self.factor, mode="nearest")
        for axis in (0, 1):
            start, stop = want[axis]
            tile = tile.narrow(2 + axis, start - have[axis][0] * self.factor, stop - start)
        return tile
