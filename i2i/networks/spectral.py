"""Layers whose weight is divided by its largest singular value.

Miyato et al., "Spectral normalization for generative adversarial networks", ICLR 2018: that value
is estimated by power iteration, one step for each forward pass in training mode. Outside training
the last estimate is kept, so that using a network does not change it.
"""

from contextlib import nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import spectral_norm


class SpectralConv2d(nn.Conv2d):
    """`nn.Conv2d` with spectral normalisation; initial weights as by Glorot & Bengio 2010."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        _normalise(self)

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 (nn.Conv2d's name for it)
        """As `nn.Conv2d`."""
        output: Tensor = self._conv_forward(input, _weight(self, input), self.bias)
        return output


class SpectralLinear(nn.Linear):
    """`nn.Linear` with spectral normalisation; initial weights as by Glorot & Bengio 2010."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        _normalise(self)

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 (nn.Linear's name for it)
        """As `nn.Linear`."""
        return F.linear(input, _weight(self, input), self.bias)


def _normalise(layer: nn.Conv2d | nn.Linear) -> None:
    nn.init.xavier_uniform_(layer.weight)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    spectral_norm(layer)


def _weight(layer: nn.Conv2d | nn.Linear, beside: Tensor) -> Tensor:
    # The iteration runs in the precision of the weight: half of it is too coarse for singular
    # values, and torch does not mix the two on a GPU. Tensors without data know no autocast.
    kind = beside.device.type
    with torch.autocast(kind, enabled=False) if kind != "meta" else nullcontext():
        return layer.weight
