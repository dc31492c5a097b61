"""What is written as ONNX computes what the network computes, whatever the size and the batch."""

from pathlib import Path

import onnx
import pytest
import torch
from torch import nn

from i2i.export.graph import describe_file, largest_difference, write_graph
from i2i.inference.onnx.description import Description
from i2i.inference.onnx.session import ExportedNetwork
from i2i.networks import ResNet, StarGANGenerator, UNet, initialise, set_inference
from i2i.networks.antialiased import AntialiasedResNet

CASES = {
    "unet": (1, lambda: UNet(1, 3, width=2, downs=3, norm="batch"), "instance"),
    "unet-resize": (
        3,
        lambda: UNet(3, 1, width=2, downs=3, norm="instance", upsample="resize"),
        "instance",
    ),
    "resnet": (
        3,
        lambda: ResNet(3, 3, width=2, blocks=1, norm="instance", dropout=True),
        "instance",
    ),
    "resnet-resize": (
        3,
        lambda: ResNet(3, 3, width=2, blocks=1, norm="batch", upsample="resize"),
        "running",
    ),
    "antialiased": (3, lambda: AntialiasedResNet(3, 3, width=2, blocks=1), "instance"),
    "stargan": (5, lambda: StarGANGenerator(5, 3, width=2, blocks=1), "instance"),
    "stargan-running": (5, lambda: StarGANGenerator(5, 3, width=2, blocks=0), "running"),
}


def described(network: nn.Module, channels: int) -> Description:
    return Description({}, "run/best.pt", "AtoB", channels, 3, (), network.multiple, "instance")


def exported(network: nn.Module, channels: int, path: Path) -> ExportedNetwork:
    write_graph(network, channels, path)
    describe_file(path, described(network, channels).to_metadata())
    return ExportedNetwork(path)


def prepared(name: str) -> tuple[int, nn.Module]:
    """A network with weights that matter and running statistics of its own, and its channels."""
    channels, make, norm = CASES[name]
    torch.manual_seed(0)
    network = make()
    initialise(network, "normal", 0.3)
    for buffer_name, buffer in network.named_buffers():
        if buffer.is_floating_point():
            buffer.uniform_(*((0.5, 1.5) if "var" in buffer_name else (-0.3, 0.3)))
    set_inference(network, norm=norm, dropout=False)
    return channels, network


@pytest.mark.parametrize("name", CASES)
def test_it_is_the_same_function(name: str, tmp_path: Path) -> None:
    channels, network = prepared(name)
    file = exported(network, channels, tmp_path / "generator.onnx")
    m = network.multiple
    for n, height, width in ((1, 8, 8), (3, 2 * m, 5 * m), (2, 64, 8)):
        images = torch.rand(n, channels, height, width) * 2 - 1
        with torch.no_grad():
            expected = network(images)
        assert expected.std() > 0.01
        torch.testing.assert_close(file(images), expected, rtol=0, atol=1e-4)

    # It stands alone, and knows nothing of the machine that wrote it.
    assert [path.name for path in tmp_path.iterdir()] == ["generator.onnx"]
    content = (tmp_path / "generator.onnx").read_bytes()
    assert b"i2i/networks" not in content
    assert b"site-packages" not in content
    model = onnx.load(tmp_path / "generator.onnx")
    onnx.checker.check_model(model, full_check=True)
    (images,), (translated,) = model.graph.input, model.graph.output
    assert (images.name, translated.name) == ("images", "translated")
    sizes = [each.dim_param or each.dim_value for each in images.type.tensor_type.shape.dim]
    assert sizes == ["batch", channels, f"{m}*rows", f"{m}*columns"]


def test_a_difference_is_found() -> None:
    _, network = prepared("resnet")
    assert largest_difference(network, network, 3) == 0
    assert largest_difference(network, lambda x: network(x) + 0.25, 3) == pytest.approx(0.25)
