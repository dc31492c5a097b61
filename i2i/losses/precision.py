"""Losses are computed in float32 at least, whatever the precision of the networks."""

from collections.abc import Callable
from contextvars import ContextVar

import torch
from torch import Tensor

inner_scale: ContextVar[Callable[[], Tensor] | None] = ContextVar("inner_scale", default=None)
"""Gives what scores are multiplied by before a loss differentiates them itself, and the gradient is
divided by afterwards; None for 1. What trains in fp16 sets it: small gradients vanish there."""


def at_least_float32(tensor: Tensor) -> Tensor:
    """Return `tensor` as float32 if it is float16 or bfloat16; float32 and float64 unchanged."""
    return tensor.to(torch.promote_types(tensor.dtype, torch.float32))
