"""The whole image tile by tile: equal, without seams, in little memory."""

import copy
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

import i2i
from i2i.inference.tiles import SMALLEST_TILE, Plan, plan
from i2i.networks import ResNet, UNet, initialise, set_inference
from i2i.networks.antialiased import AntialiasedResNet
from i2i.networks.spade import FixedStyleGenerator, SPADEGenerator
from i2i.networks.stargan import StarGANGenerator

CPU = torch.device("cpu")


def generator(name: str, norm: str, upsample: str, *, width: int = 4, seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    match name:
        case "resnet":
            network: nn.Module = ResNet(3, 2, width=width, blocks=2, norm=norm, upsample=upsample)
        case "unet":
            network = UNet(3, 2, width=width, downs=5, norm=norm, upsample=upsample)
        case "stargan":
            network = StarGANGenerator(3, 2, width=width, blocks=2)
        case "antialiased":
            network = AntialiasedResNet(3, 2, width=width, blocks=2, norm=norm)
        case "spade" | "spade in a style":
            style = 5 if name == "spade in a style" else 0
            least: Any = {"upsampling": "least", "hidden": 4, "norm": norm, "style": style}
            network = SPADEGenerator(3, 2, (24, 16) if style else None, width=1, **least)
    initialise(network, "kaiming")
    for module in network.modules():
        if getattr(module, "running_mean", None) is not None:
            module.running_mean.normal_(0, 0.3)
            module.running_var.uniform_(0.5, 2)
            if module.affine:
                nn.init.uniform_(module.weight, 0.5, 2)
                nn.init.normal_(module.bias, 0, 0.5)
    if isinstance(network, SPADEGenerator) and network.style:
        network = FixedStyleGenerator(network)
        network.set_style(torch.randn(5))
    return network


def both(network: nn.Module, image: Tensor, tile: int) -> tuple[Tensor, Tensor]:
    """The image translated in tiles and at once."""
    with torch.inference_mode():
        tiled = Plan(network, *image.shape[1:]).run(image, tile, CPU)
        return tiled, network(image)


CASES = [
    (name, norm, upsample)
    for name in ("resnet", "unet")
    for norm in ("instance", "batch", "none")
    for upsample in ("transposed", "resize")
] + [("stargan", "instance", "transposed"), ("antialiased", "instance", "blurred")]
CASES += [
    (name, norm, "") for name in ("spade", "spade in a style") for norm in ("batch", "instance")
]


@pytest.mark.parametrize(("name", "norm", "upsample"), CASES)
@settings(max_examples=8)
@given(
    statistics=st.sampled_from(["instance", "running"]),
    height=st.integers(2, 30),
    width=st.integers(2, 30),
    tile=st.integers(SMALLEST_TILE, 130),
)
def test_tiles_give_what_the_network_gives(
    name: str, norm: str, upsample: str, statistics: str, height: int, width: int, tile: int
) -> None:
    network = generator(name, norm, upsample).double()
    set_inference(network, norm=statistics, dropout=False)
    multiple = {"unet": 32, "spade": 16, "spade in a style": 16}.get(name, 4)
    size = (-(-4 * height // multiple) * multiple, -(-4 * width // multiple) * multiple)
    image = 2 * torch.rand(1, 3, *size, dtype=torch.float64) - 1
    tiled, at_once = both(network, image, tile)
    torch.testing.assert_close(tiled, at_once, atol=1e-9, rtol=0)


@pytest.mark.parametrize(("name", "norm", "upsample"), CASES)
def test_in_single_precision_only_rounding_differs(name: str, norm: str, upsample: str) -> None:
    network = generator(name, norm, upsample, width=8)
    set_inference(network, norm="instance", dropout=False)
    tiled, at_once = both(network, 2 * torch.rand(1, 3, 160, 224) - 1, 48)
    assert at_once.std() > 0.05
    # SPADE multiplies features with each other, which makes more of their rounding.
    assert (tiled - at_once).abs().max() < (1e-4 if name.startswith("spade") else 2e-5)


@pytest.mark.parametrize("name", ["resnet", "unet"])
def test_sixteen_bit_arithmetic_stays_what_it_is(name: str) -> None:
    network = generator(name, "instance", "transposed", width=8)
    set_inference(network, norm="instance", dropout=False)
    image = 2 * torch.rand(1, 3, 96, 128) - 1
    _, exact = both(network, image, 48)
    with torch.autocast("cpu", torch.bfloat16):
        tiled, at_once = both(network, image, 48)
    assert tiled.dtype == at_once.dtype == torch.bfloat16
    error = (at_once - exact).abs().mean()
    assert error > 0
    assert (tiled - exact).abs().mean() < 1.2 * error


def naive(network: nn.Module, image: Tensor, tile: int, margin: int) -> Tensor:
    """Overlapping tiles, each translated by itself."""
    parts = []
    height, width = image.shape[2:]
    for top in range(0, height, tile):
        row = []
        for left in range(0, width, tile):
            start_y, start_x = max(top - margin, 0), max(left - margin, 0)
            stop_y, stop_x = min(top + tile + margin, height), min(left + tile + margin, width)
            part = network(image[..., start_y:stop_y, start_x:stop_x])
            y, x = top - start_y, left - start_x
            row.append(part[..., y : y + tile, x : x + tile])
        parts.append(torch.cat(row, 3))
    return torch.cat(parts, 2)


@pytest.mark.parametrize("name", ["resnet", "unet"])
def test_there_are_no_seams(name: str) -> None:
    network = generator(name, "instance", "transposed", width=8)
    set_inference(network, norm="instance", dropout=False)
    tile, (height, width) = 64, (192, 256)
    # An image whose parts have different statistics: dark on the left, in contrast on the right.
    ramp = torch.linspace(0, 1, width)
    image = (2 * torch.rand(1, 3, height, width) - 1) * ramp + ramp - 1
    rows, columns = torch.arange(height), torch.arange(width)
    is_near = ((rows + 2) % tile < 4)[:, None] | ((columns + 2) % tile < 4)

    def at_borders_and_elsewhere(translated: Tensor) -> tuple[float, float]:
        error = (translated - at_once).abs().amax((0, 1))
        return error[is_near].max().item(), error[~is_near].max().item()

    tiled, at_once = both(network, image, tile)
    near, far = at_borders_and_elsewhere(tiled)
    assert near < 1e-5
    assert near < 1.5 * far
    # What is wrong with tiles that are normalised each by itself, however they overlap.
    with torch.inference_mode():
        near, _ = at_borders_and_elsewhere(naive(network, image, tile, 32))
    assert near > 0.1


def test_statistics_are_those_of_values_far_from_zero() -> None:
    """Where the mean is 1000 times the deviation, sums of squares must not cancel."""
    image = 1000 + torch.randn(1, 3, 64, 64)
    network = nn.Sequential(nn.InstanceNorm2d(3), nn.Conv2d(3, 3, 1)).eval()
    with torch.inference_mode():
        tiled = Plan(network, 3, 64, 64).run(image, 16, CPU)
        exact = copy.deepcopy(network).double()(image.double())
    assert (tiled - exact).abs().max() < 1e-3


def test_the_device_sees_tiles_only(monkeypatch: pytest.MonkeyPatch) -> None:
    network = generator("resnet", "instance", "transposed")
    set_inference(network, norm="instance", dropout=False)
    largest = 0
    convolve = F.conv2d

    def watched(tile: Tensor, *arguments: object) -> Tensor:
        nonlocal largest
        largest = max(largest, tile.shape[2] * tile.shape[3])
        return convolve(tile, *arguments)

    monkeypatch.setattr(F, "conv2d", watched)
    with torch.inference_mode():
        Plan(network, 3, 256, 384).run(torch.zeros(1, 3, 256, 384), 64, CPU)
    # Three 3 x 3 convolutions, two of them at half and a quarter of the size, and one of 7 x 7.
    assert largest <= (64 + 2 * 16) ** 2


def test_what_is_large_is_computed_again_and_not_kept() -> None:
    network = ResNet(3, 3, width=64, blocks=9, norm="instance").eval()
    photo = Plan(network, 3, 4000, 6000)
    features = {i for i in photo.kept if photo.channels[i] > 3}
    assert len(features) == 1 + 9 * 2 + 8  # halved twice, convolutions of the blocks, their sums
    assert {photo.whole[i].rows[1] for i in features} == {1000}
    # The trunk, and the two convolutions of a block: 256 channels each, at a quarter of the size.
    _, kept = photo.memory_tiled(512)
    assert kept == 3 * 4 * 256 * 1000 * 1500
    assert photo.memory_untiled() > 3.5 * kept


def test_a_temporary_file_holds_the_same_and_is_gone_afterwards(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    used: list[Path] = []
    allocate = plan._allocate

    def watched(shape: tuple[int, ...], dtype: torch.dtype, file: Path | None) -> Tensor:
        values = allocate(shape, dtype, file)
        assert file is not None
        assert file.stat().st_size == values.nbytes
        used.append(file)
        return values

    network = generator("unet", "batch", "transposed")
    set_inference(network, norm="instance", dropout=False)
    image = torch.rand(1, 3, 64, 96)
    with torch.inference_mode():
        in_memory = Plan(network, 3, 64, 96).run(image, 32, CPU)
        monkeypatch.setattr(plan, "_allocate", watched)
        in_file = Plan(network, 3, 64, 96).run(image, 32, CPU, in_file=True)
    assert torch.equal(in_file, in_memory)
    assert used
    assert list(tmp_path.iterdir()) == []


class TwiceDropped(nn.Module):
    """What is dropped, and beside it the same one pixel further."""

    def __init__(self) -> None:
        super().__init__()
        self.drop = nn.Dropout(0.5)
        self.shift = nn.Conv2d(1, 1, 3, padding=1, bias=False)
        nn.init.zeros_(self.shift.weight).data[0, 0, 1, 0] = 1

    def forward(self, images: Tensor) -> Tensor:
        dropped = self.drop(images)
        return torch.cat([dropped, self.shift(dropped)], 1)


def test_chance_is_asked_once_for_each_value() -> None:
    network = TwiceDropped()
    set_inference(network, norm="instance", dropout=True)
    with torch.inference_mode():
        result = Plan(network, 1, 64, 80).run(torch.ones(1, 1, 64, 80), 16, CPU)
    dropped, shifted = result[0]
    assert 0.4 < (dropped == 0).float().mean() < 0.6
    assert torch.equal(shifted[:, 1:], dropped[:, :-1])


def test_the_estimate_grows_with_the_image_and_the_tile() -> None:
    for network in (
        ResNet(3, 3, width=8, blocks=3, norm="batch"),
        UNet(3, 3, width=8, downs=6, norm="instance", upsample="resize"),
    ):
        plans = [Plan(network.eval(), 3, 64 * n, 128 * n) for n in range(1, 9)]
        for rising in (
            [p.memory_untiled() for p in plans],
            [p.memory_tiled(64)[1] for p in plans],
            [plans[-1].memory_tiled(tile)[0] for tile in (64, 128, 256, 512)],
        ):
            assert rising == sorted(rising)
            assert len(set(rising)) == len(rising)
        assert plans[-1].memory_untiled(2) * 2 == plans[-1].memory_untiled(4)
        # A tile takes the same in any large image.
        large = [p.memory_tiled(64)[0] for p in plans[3:]]
        assert max(large) < 1.3 * min(large)


@pytest.mark.parametrize(
    "arguments",
    [
        ["512x384", "--only", "resnet", "--tile", "off"],
        ["896x896", "--only", "unet", "--tile", "512"],
    ],
    ids=["at once", "tiled"],
)
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells the peak of a process")
def test_the_estimate_is_near_what_is_measured(arguments: list[str]) -> None:
    script = Path(i2i.__file__).parents[1] / "scripts" / "measure_tiles.py"
    measured = subprocess.run(
        [sys.executable, str(script), *arguments], stdout=subprocess.PIPE, check=True
    )
    found = json.loads(measured.stdout)
    assert 0.6 < found["bytes"] / found["estimate"] < 1.7
