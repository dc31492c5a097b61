import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from i2i.errors import DataError, OptionsError
from i2i.networks import NORMS, UPSAMPLINGS, ResNet


def test_the_published_network_has_the_published_number_of_parameters():
    with torch.device("meta"):
        network = ResNet(3, 3, width=64, blocks=9, norm="instance")
    assert sum(p.numel() for p in network.parameters()) == pytest.approx(11.378e6, abs=500)


@settings(max_examples=25)
@given(
    blocks=st.integers(0, 3),
    height=st.integers(2, 6),
    width=st.integers(2, 6),
    channels=st.tuples(st.integers(1, 4), st.integers(1, 4)),
    norm=st.sampled_from(NORMS),
    upsample=st.sampled_from(UPSAMPLINGS),
)
def test_any_number_of_blocks_keeps_the_size(blocks, height, width, channels, norm, upsample):
    network = ResNet(*channels, width=2, blocks=blocks, norm=norm, upsample=upsample)
    size = (height * network.multiple, width * network.multiple)
    translated = network(torch.randn(1, channels[0], *size))
    assert translated.shape == (1, channels[1], *size)
    assert translated.abs().max() <= 1


def test_the_weights_are_numbered_as_published_with_and_without_dropout():
    def weights(dropout: bool) -> list[str]:
        network = ResNet(3, 3, width=2, blocks=1, norm="none", dropout=dropout)
        return [name for name in network.state_dict() if name.endswith("weight")]

    outside = [f"model.{index}.weight" for index in (1, 4, 7)]
    behind = [f"model.{index}.weight" for index in (11, 14, 18)]
    block = ["model.10.conv_block.1.weight", "model.10.conv_block.5.weight"]
    assert weights(dropout=False) == outside + block + behind
    block[1] = "model.10.conv_block.6.weight"
    assert weights(dropout=True) == outside + block + behind


def test_every_block_has_its_dropout():
    network = ResNet(3, 3, width=1, blocks=4, norm="none", dropout=True)
    assert [m.p for m in network.modules() if isinstance(m, nn.Dropout)] == [0.5] * 4


def test_a_block_whose_convolutions_are_zero_changes_nothing():
    network = ResNet(3, 3, width=2, blocks=1, norm="none")
    block = network.model[10]
    nn.init.zeros_(block.conv_block[5].weight)
    features = torch.randn(1, 8, 4, 4)
    assert torch.equal(block(features), features)


@pytest.mark.parametrize("size", [(18, 16), (16, 15), (4, 16)])
def test_a_size_that_does_not_halve_twice_is_an_error_that_quotes_both(size):
    height, width = size
    with pytest.raises(DataError, match=rf"{height}x{width} .* at least 8x8 .* multiples of 4"):
        ResNet(3, 3, width=1, blocks=1, norm="none")(torch.zeros(1, 3, *size))


def test_a_negative_number_of_blocks_is_an_error():
    with pytest.raises(OptionsError, match="blocks is -1, but must be at least 0"):
        ResNet(3, 3, width=1, blocks=-1, norm="none")
