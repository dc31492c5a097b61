"""Every layer computes any part of its output from the part of the input that it asks for."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from i2i.inference.tiles.layers import Region
from i2i.inference.tiles.program import trace
from i2i.networks.blocks import BatchNorm2d, InstanceNorm2d
from i2i.networks.spectral import HookedConv2d

LAYERS = {
    "plain": lambda: nn.Conv2d(2, 3, 3),
    "padded": lambda: nn.Conv2d(2, 3, 7, padding=3),
    "strided": lambda: nn.Conv2d(2, 3, 4, stride=2, padding=1, bias=False),
    "uneven": lambda: nn.Conv2d(2, 4, (1, 5), stride=(3, 2), padding=(0, 2), groups=2),
    "dilated": lambda: nn.Conv2d(2, 3, 3, padding=2, dilation=(2, 1), stride=(1, 2)),
    "spectral": lambda: HookedConv2d(2, 3, 3, stride=2, padding=1),
    "transposed 3": lambda: nn.ConvTranspose2d(2, 3, 3, 2, 1, output_padding=1),
    "transposed 4": lambda: nn.ConvTranspose2d(2, 3, 4, 2, 1, bias=False),
    "transposed by 1": lambda: nn.ConvTranspose2d(2, 3, 3, padding=1),
    "transposed, uneven": lambda: nn.ConvTranspose2d(
        2, 4, (5, 3), (3, 1), (0, 2), output_padding=(2, 0), groups=2, dilation=(1, 2)
    ),
    "reflection": lambda: nn.ReflectionPad2d(3),
    "replication": lambda: nn.ReplicationPad2d((0, 4, 2, 1)),
    "nearest": lambda: nn.Upsample(scale_factor=3),
    "relu": lambda: nn.ReLU(inplace=True),
    "prelu": lambda: nn.PReLU(2),
    "running batch norm": lambda: BatchNorm2d(2),
    "running instance norm": lambda: InstanceNorm2d(2, affine=True, track_running_stats=True),
}


@st.composite
def spans(draw: st.DrawFn, length: int) -> tuple[int, int]:
    start = draw(st.integers(0, length - 1))
    return start, draw(st.integers(start + 1, length))


@pytest.mark.parametrize("name", LAYERS)
@settings(max_examples=40)
@given(data=st.data())
def test_a_part_is_computed_from_what_it_asks_for(name: str, data: st.DataObject) -> None:
    torch.manual_seed(0)
    module = LAYERS[name]().double().eval()
    for buffer in module.buffers():
        if buffer.is_floating_point():
            buffer.uniform_(0.5, 2)
    height, width = data.draw(st.tuples(st.integers(5, 12), st.integers(5, 12)))
    image = torch.randn(1, 2, height, width, dtype=torch.float64)
    with torch.no_grad():
        expected = module(image.clone())
        [_, step] = trace(nn.Sequential(module))
        layer = step.layer
        assert layer is not None
        lengths = tuple(layer.length(image.shape[2 + axis], axis) for axis in (0, 1))
        assert (layer.channels([2]), *lengths) == expected.shape[1:]

        whole = Region((0, height), (0, width))
        want = Region(data.draw(spans(lengths[0])), data.draw(spans(lengths[1])))
        have = Region(*(layer.reach(want[axis], whole[axis][1], axis) for axis in (0, 1)))
        tile = image[..., slice(*have.rows), slice(*have.columns)].clone()
        part = layer([tile], have, want, whole)
    torch.testing.assert_close(
        part, expected[..., slice(*want.rows), slice(*want.columns)], atol=1e-12, rtol=1e-12
    )


def test_a_convolution_asks_for_a_margin_and_not_for_more() -> None:
    [_, step] = trace(nn.Sequential(nn.Conv2d(1, 1, 7, padding=3)))
    assert step.layer.reach((10, 20), 100, 0) == (7, 23)
    assert step.layer.reach((0, 20), 100, 0) == (0, 23)
    assert step.layer.reach((90, 100), 100, 1) == (87, 100)
    [_, step] = trace(nn.Sequential(nn.ConvTranspose2d(1, 1, 4, 2, 1)))
    assert step.layer.reach((10, 20), 100, 0) == (4, 11)
    [_, step] = trace(nn.Sequential(nn.ReflectionPad2d(3)))
    assert step.layer.reach((10, 20), 100, 0) == (7, 17)
    assert step.layer.reach((0, 2), 100, 0) == (2, 4)


def test_cost_is_that_of_the_published_trunk() -> None:
    [_, step] = trace(nn.Sequential(nn.Conv2d(256, 256, 3)))
    assert step.layer.cost == 256 * 9
    # Each output of a transposed 4 x 4 kernel of stride 2 overlaps with four inputs.
    [_, step] = trace(nn.Sequential(nn.ConvTranspose2d(8, 3, 4, 2, 1)))
    assert step.layer.cost == 8 * 4
