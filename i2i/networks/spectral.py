"""Layers whose weight is divided by its largest singular value.

Miyato et al., "Spectral normalization for generative adversarial networks", ICLR 2018: that value
is estimated by power iteration, one step for each forward pass in training mode. Outside training
the last estimate is kept, so that using a network does not change it.

`SpectralConv2d` and `SpectralLinear` are torch's parametrisation. `HookedConv2d` is for weights
that were trained with its older form: other names, and the two vectors are renewed in the other
order, which after any number of passes is another estimate.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import spectral_norm

from i2i.system.device import full_precision

EPS = 1e-12
"""Added to no length, but the least that one is taken to be."""


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


class HookedConv2d(nn.Conv2d):
    """`nn.Conv2d` with spectral normalisation, names and numbers of `nn.utils.spectral_norm`.

    A forward pass in training mode first renews the right vector, v = W'u / |W'u|, then the left
    one, u = Wv / |Wv|, W being the weight as a matrix of one row for each output channel. No
    gradient passes through them. The convolution is by W / (u'Wv).

    Attributes:
        weight_orig: W, what is trained.
        weight_u, weight_v: the vectors, buffers.
    """

    weight_u: Tensor
    weight_v: Tensor

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        weight = self.weight
        del self.weight
        self.weight_orig = nn.Parameter(weight.detach())
        for name, length in (("weight_u", weight.shape[0]), ("weight_v", weight[0].numel())):
            self.register_buffer(name, F.normalize(torch.randn(length).to(weight), dim=0, eps=EPS))

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 (nn.Conv2d's name for it)
        """As `nn.Conv2d`."""
        with full_precision(input):
            weight = self.normalised()
        output: Tensor = self._conv_forward(input, weight, self.bias)
        return output

    def normalised(self) -> Tensor:
        """W / (u'Wv); in training mode with vectors that are renewed before."""
        matrix = self.weight_orig.flatten(1)
        # New tensors, not the buffers, which a second pass changes before the backward pass.
        if self.training:
            with torch.no_grad():
                v = F.normalize(matrix.t().mv(self.weight_u), dim=0, eps=EPS)
                u = F.normalize(matrix.mv(v), dim=0, eps=EPS)
                self.weight_v.copy_(v)
                self.weight_u.copy_(u)
        else:
            u, v = self.weight_u.clone(), self.weight_v.clone()
        return self.weight_orig / u.dot(matrix.mv(v))


def _normalise(layer: nn.Conv2d | nn.Linear) -> None:
    nn.init.xavier_uniform_(layer.weight)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    spectral_norm(layer)


def _weight(layer: nn.Conv2d | nn.Linear, beside: Tensor) -> Tensor:
    # The iteration runs in the precision of the weight: half of it is too coarse for singular
    # values, and torch does not mix the two on a GPU.
    with full_precision(beside):
        return layer.weight
