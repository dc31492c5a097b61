"""Bilinear sampling that can be differentiated twice.

Torch's `grid_sample` has no second derivative. As a function of the images it is linear, so that
the derivative of its derivative is itself; the places need none where they are random numbers.
"""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F


def sample_bilinear(images: Tensor, grid: Tensor) -> Tensor:
    """Sample images (N, C, H, W) at places (N, H', W', 2) in -1..1, x before y: (N, C, H', W').

    Zeros lie outside of the images, whose corners are the corners of their pixels. No gradient
    reaches `grid`.
    """
    result: Tensor = _Sample.apply(images, grid.detach().to(images.dtype))
    return result


class _Sample(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, images: Tensor, grid: Tensor) -> Tensor:
        ctx.save_for_backward(grid)
        ctx.sides = images.shape[2:]
        return F.grid_sample(images, grid, "bilinear", "zeros", align_corners=False)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:  # type: ignore[override]
        (grid,) = ctx.saved_tensors
        return _Spread.apply(gradient, grid, ctx.sides), None


class _Spread(torch.autograd.Function):
    """The transpose of `_Sample`: adds each number to the four pixels that it was taken from."""

    @staticmethod
    def forward(ctx: Any, gradient: Tensor, grid: Tensor, sides: torch.Size) -> Tensor:
        ctx.save_for_backward(grid)
        images = gradient.new_zeros(*gradient.shape[:2], *sides)  # their values do not matter
        bilinear, zeros = 0, 0
        spread: Tensor = torch.ops.aten.grid_sampler_2d_backward(
            gradient.contiguous(), images, grid, bilinear, zeros, False, [True, False]
        )[0]
        return spread

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:  # type: ignore[override]
        (grid,) = ctx.saved_tensors
        return _Sample.apply(gradient, grid), None, None
