"""Losses are computed in float32 at least, whatever the precision of the networks."""

from collections.abc import Callable
from contextvars import ContextVar

import torch
from torch import Tensor

inner_scale: ContextVar[Callable[[], Tensor] | None] = ContextVar("inner_scale", default=None)
"""Gives what scores are multiplied by before a loss differentiates them itself, and the gradient is
divided by afterwards; None for 1. What trains in fp16 sets it: small gradients vanish there."""


def inner_gradient(total: Tensor, inputs: Tensor) -> Tensor:
    """The gradient of a scalar with respect to `inputs`, in float32 or float64, which can be
    differentiated again.

    In fp16 it is taken of many times the scalar, as torch's notes on automatic mixed precision have
    it for gradient penalties.
    """
    scale = inner_scale.get()
    factor = None if scale is None else scale()
    scaled = total if factor is None else total * factor
    (gradient,) = torch.autograd.grad(scaled, inputs, create_graph=True)
    gradient = at_least_float32(gradient)
    return gradient if factor is None else gradient / factor


def at_least_float32(tensor: Tensor) -> Tensor:
    """Return `tensor` as float32 if it is float16 or bfloat16; float32 and float64 unchanged."""
    return tensor.to(torch.promote_types(tensor.dtype, torch.float32))
