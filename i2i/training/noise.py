"""Noise on what a discriminator sees."""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn


class InstanceNoise:
    """Normal noise on the input of discriminators, which fades away as the training goes on.

    It makes the real and the generated images overlap, so that a discriminator cannot tell them
    apart all too well (Sonderby et al.: Amortised MAP Inference for Image Super-Resolution, ICLR
    2017, section 3.3; Arjovsky and Bottou: Towards Principled Methods for Training GANs, 2017).

    Arguments:
        deviation: standard deviation at the beginning; images are in -1..1.
        until: the share of the run at whose end it has become 0, linearly.
        discriminators: networks whose first argument gets the noise while they train.
        device: of the networks.
    """

    def __init__(
        self,
        deviation: float,
        until: float,
        discriminators: Iterable[nn.Module],
        device: torch.device | str = "cpu",
    ) -> None:
        self.deviation = deviation
        self.until = until
        self._now = torch.full((), deviation, device=device)
        for network in discriminators:
            entrance(network).register_forward_pre_hook(self._add)

    def fade(self, share: float) -> None:
        """Say how much of the run is over, 0..1."""
        self._now.fill_(self.deviation * max(0.0, 1 - share / self.until))

    def _add(self, network: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
        images: Tensor = inputs[0]
        if not network.training:
            return inputs
        return (images + self._now.to(images.dtype) * torch.randn_like(images), *inputs[1:])


def entrance(network: nn.Module) -> nn.Module:
    """The module that a discriminator's images enter by: itself, or its attribute `entrance` if
    its `forward` is not the only way in."""
    inner = getattr(network, "entrance", network)
    assert isinstance(inner, nn.Module)
    return inner
