"""Losses are computed in float32 at least, whatever the precision of the networks."""

import torch
from torch import Tensor


def at_least_float32(tensor: Tensor) -> Tensor:
    """Return `tensor` as float32 if it is float16 or bfloat16; float32 and float64 unchanged."""
    return tensor.to(torch.promote_types(tensor.dtype, torch.float32))
