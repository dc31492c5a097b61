"""A transposed convolution and its phases are one function."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from i2i.export.phases import PhaseConvolution, in_phases, takes
from i2i.networks import ResNet, StarGANGenerator, UNet


@given(
    channels=st.tuples(st.integers(1, 4), st.integers(1, 4)),
    size=st.tuples(st.integers(1, 3), st.integers(1, 7), st.integers(1, 7)),
    bias=st.booleans(),
)
@settings(max_examples=30)
def test_the_same_for_any_size(
    channels: tuple[int, int], size: tuple[int, int, int], bias: bool
) -> None:
    layer = nn.ConvTranspose2d(*channels, 4, stride=2, padding=1, bias=bias)
    n, height, width = size
    features = torch.randn(n, channels[0], height, width)
    phases = PhaseConvolution(layer)
    torch.testing.assert_close(phases(features), layer(features), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("network", "left"),
    [
        (UNet(3, 3, width=2, downs=3, norm="batch"), 0),
        (StarGANGenerator(4, 3, width=2, blocks=1), 0),
        (ResNet(3, 3, width=2, blocks=1, norm="instance"), 2),  # their kernels are 3 x 3
        (UNet(3, 3, width=2, downs=2, norm="none", upsample="resize"), 0),
    ],
    ids=["unet", "stargan", "resnet", "resize"],
)
def test_networks_in_phases(network: nn.Module, left: int) -> None:
    network.eval()
    before = [name for name, _ in network.named_parameters()]
    images = torch.rand(2, 4 if isinstance(network, StarGANGenerator) else 3, 16, 24) * 2 - 1
    phases = in_phases(network)
    assert sum(isinstance(m, nn.ConvTranspose2d) for m in phases.modules()) == left
    assert phases.multiple == network.multiple
    torch.testing.assert_close(phases(images), network(images), rtol=1e-4, atol=1e-5)
    assert [name for name, _ in network.named_parameters()] == before


def test_other_layers_are_left_alone() -> None:
    assert takes(nn.ConvTranspose2d(2, 2, 4, 2, 1))
    for layer in (
        nn.ConvTranspose2d(2, 2, 3, 2, 1, output_padding=1),
        nn.ConvTranspose2d(2, 2, 4, 2, 1, output_padding=1),
        nn.ConvTranspose2d(2, 2, 4, 2, 0),
        nn.ConvTranspose2d(2, 2, 4, 1, 1),
        nn.ConvTranspose2d(2, 2, 4, 2, 1, groups=2),
        nn.ConvTranspose2d(2, 2, 4, 2, 1, dilation=2),
        nn.Conv2d(2, 2, 4, 2, 1),
    ):
        assert not takes(layer)
