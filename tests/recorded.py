"""What tests of recorded trainings share."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn


def signed(images: Tensor) -> Tensor:
    """Bytes as numbers in -1..1 of double precision."""
    return images.to(torch.float64) / 127.5 - 1


def weights_of(recorded: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The tensors whose names begin with `prefix`, without it."""
    return {k.removeprefix(prefix): v for k, v in recorded.items() if k.startswith(prefix)}


def weights_error(network: nn.Module, expected: Mapping[str, Tensor]) -> float:
    """The distance of all weights of a network from the expected ones, relative to their length.

    All together, since the gradient of a bias in front of a normalisation is nothing but rounding,
    and Adam follows it: such a bias alone, which no output depends on, may be off by 3e-9.
    """
    found = network.state_dict()
    names = [name for name, value in expected.items() if value.is_floating_point()]
    assert names
    ours, theirs = (
        torch.cat([of[name].detach().double().flatten() for name in names])
        for of in (found, expected)
    )
    return ((ours - theirs).norm() / theirs.norm()).item()
