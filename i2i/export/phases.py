"""Transposed convolutions as ordinary ones, which can be computed in integers.

Every second row of the output of a transposed convolution of stride 2 comes from the even rows of
the kernel, the others from the odd ones, and likewise the columns. So with a kernel of 4 x 4 the
output is four images of half the size, its phases, each an ordinary convolution of 2 x 2 (Shi et
al.: Is the deconvolution layer the same as a convolutional layer?, 2016). With one of 3 x 3 nearly
half of the products would be with zero, which integers do not make up for.
"""

from copy import deepcopy

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_TAPS = ((3, 1), (2, 0))
"""Phase -> which row of the kernel meets the pixel before, and which the pixel after."""


class PhaseConvolution(nn.Module):
    """What a transposed convolution of stride 2, padding 1 and kernel 4 computes.

    Arguments:
        layer: the transposed convolution (`blocks.upsampling`), whose weights are copied.
    """

    def __init__(self, layer: nn.ConvTranspose2d) -> None:
        super().__init__()
        assert takes(layer), layer
        taps = torch.tensor(_TAPS)
        weight = layer.weight.detach()[:, :, taps][..., taps]
        weight = weight.permute(1, 2, 4, 0, 3, 5)  # output, phases, input, taps
        self.convolution = nn.Conv2d(
            layer.in_channels, 4 * layer.out_channels, 2, padding=1, bias=layer.bias is not None
        )
        self.convolution.weight.data = weight.flatten(0, 2).contiguous()
        if layer.bias is not None:
            assert self.convolution.bias is not None
            self.convolution.bias.data = layer.bias.detach().repeat_interleave(4)

    def forward(self, features: Tensor) -> Tensor:
        """Map (N, C, H, W) to (N, C', 2H, 2W)."""
        both = self.convolution(features).unflatten(1, (-1, 2, 2))  # (N, C', 2, 2, H + 1, W + 1)
        rows = torch.stack([both[:, :, 0, :, :-1], both[:, :, 1, :, 1:]], dim=2)
        phases = torch.stack([rows[:, :, :, 0, :, :-1], rows[:, :, :, 1, :, 1:]], dim=3)
        return F.pixel_shuffle(phases.flatten(1, 3), 2)


def takes(layer: nn.Module) -> bool:
    """Say whether `PhaseConvolution` computes the same as this layer."""
    return isinstance(layer, nn.ConvTranspose2d) and (
        layer.kernel_size == (4, 4)
        and layer.stride == (2, 2)
        and layer.padding == (1, 1)
        and layer.output_padding == (0, 0)
        and layer.dilation == (1, 1)
        and layer.groups == 1
    )


def in_phases(network: nn.Module) -> nn.Module:
    """Return a copy of a network in which phases take the place of transposed convolutions.

    It computes the same up to rounding.
    """
    network = deepcopy(network)
    for parent in list(network.modules()):
        for name, child in parent.named_children():
            if takes(child):
                assert isinstance(child, nn.ConvTranspose2d)
                setattr(parent, name, PhaseConvolution(child))
    return network
