"""Convolutions become integers: which, how exactly, and what the file then holds."""

from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import numpy_helper
from test_exported_graph import described
from torch import Tensor, nn

from i2i.export.graph import describe_file, write_graph
from i2i.export.quantise import SCHEMES, convolutions, quantise
from i2i.inference.onnx.session import ExportedNetwork
from i2i.networks import ResNet, initialise, set_inference


class One(nn.Module):
    """One convolution whose rounding can be worked out by hand."""

    multiple = 4

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        self.layer = nn.Conv2d(*weight.shape[1::-1], weight.shape[2], bias=False)
        self.layer.weight.data = weight

    def forward(self, images: Tensor) -> Tensor:
        translated: Tensor = self.layer(images)
        return translated


def quantised(source: Path, network: nn.Module, images: Tensor, ends: int = 0) -> Path:
    names, target = convolutions(source), source.with_name("int8.onnx")
    quantise(source, target, names[ends : len(names) - ends], images)
    describe_file(target, described(network, images.shape[1]).to_metadata())
    assert {path.name for path in source.parent.iterdir()} == {source.name, target.name}
    return target


def test_values_on_the_grid_of_the_integers_are_exact(tmp_path: Path) -> None:
    # Channels of weights that differ by a factor of 1000 have scales of their own: each weight is
    # one of 255 steps of its channel. Inputs are multiples of 2/255 from -1 to 1, as bytes are.
    weight = torch.tensor([[127.0, -64.0], [0.127, 0.003]])[:, :, None, None] / 127
    network = One(weight).eval()
    steps = torch.arange(256).repeat(2).reshape(1, 2, 16, 16)
    images = steps * 2 / 255 - 1
    write_graph(network, 2, tmp_path / "fp32.onnx")
    file = quantised(tmp_path / "fp32.onnx", network, images)
    got, expected = ExportedNetwork(file)(images), network(images)
    # What is left is the rounding of the output to 255 steps of its range, half a step at most.
    for channel in (0, 1):
        step = (expected.max() - expected.min()) / 255
        assert (got - expected)[:, channel].abs().max() <= 0.5001 * step + 1e-5


def test_weights_are_bytes_with_a_scale_for_each_output_channel(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = ResNet(3, 3, width=4, blocks=1, norm="instance", upsample="resize")
    initialise(network, "normal", 0.3)
    set_inference(network, norm="instance", dropout=False)
    images = torch.rand(4, 3, 16, 16) * 2 - 1
    write_graph(network, 3, tmp_path / "fp32.onnx")
    for ends in SCHEMES.values():
        file = quantised(tmp_path / "fp32.onnx", network, images, ends)
        graph = onnx.load(file).graph
        weights = {each.name: numpy_helper.to_array(each) for each in graph.initializer}
        made_by = {node.output[0]: node for node in graph.node}
        layers = [node for node in graph.node if node.op_type == "Conv"]
        assert len(layers) == 8
        integers = []
        for layer in layers:
            source = made_by.get(layer.input[1])
            integers.append(source is not None and source.op_type == "DequantizeLinear")
            if not integers[-1]:
                continue
            values, scales = (weights[name] for name in source.input[:2])
            assert values.dtype == np.int8
            assert scales.shape == values.shape[:1]
            assert abs(values.astype(int)).max(axis=(1, 2, 3)).tolist() == [127] * len(values)
            assert {a.name: a.i for a in source.attribute}["axis"] == 0
            assert made_by[layer.input[0]].op_type == "DequantizeLinear"
        assert integers == [ends <= number < 8 - ends for number in range(8)]
        with torch.no_grad():
            difference = ExportedNetwork(file)(images) - network(images)
        assert 0 < difference.abs().mean() < 0.05
