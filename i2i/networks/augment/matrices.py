"""Affine maps of places and of colours as matrices, one for each image.

A matrix (N, n, n) maps columns of n - 1 coordinates and a 1. Products are sums of products, no
matrix multiplication, which a GPU may round to TF32: a place would be wrong by a thousandth.
"""

import torch
from torch import Tensor


def identity(count: int, size: int, like: Tensor) -> Tensor:
    """Return `count` matrices of `size` x `size` that change nothing."""
    return torch.eye(size, device=like.device, dtype=like.dtype).expand(count, -1, -1)


def compose(outer: Tensor, inner: Tensor) -> Tensor:
    """Return the matrices that do `inner` first, then `outer`; both are (N, n, n)."""
    return (outer[..., :, :, None] * inner[..., None, :, :]).sum(dim=-2)


def translation(*shifts: Tensor) -> Tensor:
    """Add `shifts`, one tensor (N,) for each coordinate."""
    size = len(shifts) + 1
    matrix = identity(len(shifts[0]), size, shifts[0]).clone()
    matrix[:, :-1, -1] = torch.stack(shifts, dim=1)
    return matrix


def scaling(*factors: Tensor) -> Tensor:
    """Multiply by `factors`, one tensor (N,) for each coordinate."""
    return torch.diag_embed(torch.stack([*factors, torch.ones_like(factors[0])], dim=1))


def rotation(angles: Tensor) -> Tensor:
    """Turn by `angles` (N,) in radians, from the first coordinate towards the second."""
    cos, sin, zero = angles.cos(), angles.sin(), torch.zeros_like(angles)
    rows = [cos, -sin, zero, sin, cos, zero, zero, zero, zero + 1]
    return torch.stack(rows, dim=1).reshape(-1, 3, 3)


def along_grey(turn: Tensor, stretch: Tensor) -> Tensor:
    """Leave grey alone, and turn colours about it, and stretch them away from it.

    With v = (1, 1, 1) / sqrt(3) it is v v' + stretch (cos (I - v v') + sin [v]), where [v] is the
    cross product with v (Rodrigues).

    Args:
        turn: angles (N,) in radians.
        stretch: factors (N,) of the saturation.
    """
    onto = turn.new_full((3, 3), 1 / 3)
    across = torch.eye(3, device=turn.device, dtype=turn.dtype) - onto
    # [v] times sqrt(3): the antisymmetric matrix with rows (0, -1, 1), (1, 0, -1), (-1, 1, 0).
    cross = torch.eye(3, device=turn.device, dtype=turn.dtype).roll(1, 0)
    cross = (cross - cross.T) / 3**0.5
    cos, sin, stretch = (each[:, None, None] for each in (turn.cos(), turn.sin(), stretch))
    matrix = identity(len(turn), 4, turn).clone()
    matrix[:, :3, :3] = onto + stretch * (cos * across + sin * cross)
    return matrix


def grey_reflection(flips: Tensor) -> Tensor:
    """Reflect brightness, leaving colours alone, where `flips` (N,) is 1: I - 2 flips v v'."""
    matrix = identity(len(flips), 4, flips).clone()
    matrix[:, :3, :3] -= flips[:, None, None] * (2 / 3)
    return matrix
