"""What a network does, written down, and what cannot be."""

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from i2i.inference.tiles import Plan, UntileableError
from i2i.inference.tiles.layers import Normalise, Pointwise
from i2i.inference.tiles.program import trace
from i2i.networks import set_inference
from i2i.networks.blocks import BatchNorm2d, InstanceNorm2d
from i2i.networks.unet import UNet


class Computes(nn.Module):
    def __init__(self, function: Callable[..., Tensor], *modules: nn.Module) -> None:
        super().__init__()
        self.function = function
        self.parts = nn.ModuleList(modules)

    def forward(self, images: Tensor) -> Tensor:
        return self.function(images, *self.parts)


def kinds(network: nn.Module) -> list[str]:
    return [type(step.layer).__name__ for step in trace(network)[1:]]


def test_what_does_nothing_is_no_step() -> None:
    network = nn.Sequential(nn.Identity(), nn.Dropout(0.5), nn.ReLU(), nn.Dropout2d(), nn.Tanh())
    assert kinds(network.eval()) == ["Pointwise", "Pointwise"]
    network[1].train()
    steps = trace(network)
    assert [step.by_chance for step in steps] == [False, True, False, False]


def test_padding_that_is_not_zero_is_a_step_of_its_own() -> None:
    network = nn.Sequential(nn.Conv2d(1, 1, 3, padding=1, padding_mode="reflect"), nn.ReLU())
    steps = trace(network)
    assert kinds(network) == ["Pad", "Convolve", "Pointwise"]
    assert [step.inputs for step in steps] == [(), (0,), (1,), (2,)]


@pytest.mark.parametrize(
    ("module", "statistics", "expected"),
    [
        (BatchNorm2d(2), "instance", Normalise),
        (BatchNorm2d(2), "running", Pointwise),
        (InstanceNorm2d(2), "instance", Normalise),
        (InstanceNorm2d(2), "running", Normalise),
        (InstanceNorm2d(2, affine=True, track_running_stats=True), "instance", Normalise),
        (InstanceNorm2d(2, affine=True, track_running_stats=True), "running", Pointwise),
    ],
)
def test_statistics_are_gathered_where_the_network_would_do_so(
    module: nn.Module, statistics: str, expected: type
) -> None:
    network = nn.Sequential(module)
    set_inference(network, norm=statistics, dropout=False)
    assert type(trace(network)[1].layer) is expected


def test_who_reads_after_a_change_in_place_reads_the_change() -> None:
    def forward(images: Tensor, convolution: nn.Module, relu: nn.Module) -> Tensor:
        features = convolution(images)
        activated = relu(features)
        return torch.cat([features, activated], 1)

    changed = trace(Computes(forward, nn.Conv2d(1, 1, 1), nn.ReLU(inplace=True)))
    assert changed[-1].inputs == (2, 2)
    unchanged = trace(Computes(forward, nn.Conv2d(1, 1, 1), nn.ReLU()))
    assert unchanged[-1].inputs == (1, 2)


def test_sums_concatenations_and_activations_are_known_as_functions() -> None:
    def forward(images: Tensor) -> Tensor:
        activated = torch.relu(images) + images
        activated += torch.tanh(images)
        return torch.cat([activated, images], dim=-3)

    steps = trace(Computes(forward))
    assert kinds(Computes(forward)) == ["Pointwise", "Add", "Pointwise", "Add", "Concatenate"]
    assert [step.inputs for step in steps[1:]] == [(0,), (1, 0), (0,), (2, 3), (4, 0)]


def test_numbers_and_products_are_known() -> None:
    def forward(images: Tensor) -> Tensor:
        return (1 + torch.relu(images)) * images / 2

    assert kinds(Computes(forward)) == ["Pointwise", "Pointwise", "Multiply", "Pointwise"]
    image = torch.randn(1, 3, 32, 32)
    tiled = Plan(Computes(forward), 3, 32, 32).run(image, 16, torch.device("cpu"))
    assert torch.equal(tiled, forward(image))


def test_sizes_are_followed_to_resize_by_whole_numbers() -> None:
    def forward(images: Tensor, halving: nn.Module) -> Tensor:
        halved = halving(images)
        small = F.interpolate(images, size=(images.shape[2] // 4, images.shape[3] // 4))
        large = F.interpolate(small, size=halved.shape[2:])
        return large + F.interpolate(halved, size=halved.shape[2:])

    network = Computes(forward, nn.Conv2d(3, 3, 4, 2, 1))
    network.multiple = 4
    assert kinds(network) == ["Convolve", "Pick", "Repeat", "Add"]
    image = torch.randn(1, 3, 48, 64)
    with torch.no_grad():
        tiled = Plan(network, 3, 48, 64).run(image, 16, torch.device("cpu"))
        torch.testing.assert_close(tiled, network(image), atol=1e-6, rtol=0)


@pytest.mark.parametrize(
    ("network", "named"),
    [
        (nn.Sequential(nn.GroupNorm(1, 3)), "GroupNorm"),
        (nn.Sequential(nn.AvgPool2d(2)), "AvgPool2d"),
        (nn.Sequential(nn.Upsample(scale_factor=2, mode="bilinear")), "bilinear"),
        (nn.Sequential(nn.Conv2d(3, 3, 3, padding=1, padding_mode="circular")), "circular"),
        (nn.Sequential(nn.Conv2d(3, 3, 3, padding=3)), "Conv2d"),
        (nn.Sequential(nn.ConvTranspose2d(3, 3, 2, 3)), "ConvTranspose2d"),
        (nn.Sequential(nn.Dropout2d()), "Dropout2d"),
        (nn.Sequential(BatchNorm2d(3)), "BatchNorm2d is in training mode"),
        (Computes(lambda images: images.mean(1, keepdim=True)), "mean"),
        (Computes(lambda images: images + torch.ones(1)), "something else than features"),
        (Computes(lambda images: 2 / images), "cannot be traced"),
        (Computes(lambda images: images * torch.relu(images).shape[2]), "the size of features"),
        (Computes(lambda images: F.interpolate(images, size=(100, 100))), "resizes by"),
        (Computes(lambda images: torch.cat([images, images])), "cat"),
        (Computes(lambda images: images if images.mean() > 0 else -images), "cannot be traced"),
    ],
)
def test_what_cannot_be_computed_in_parts_is_named(network: nn.Module, named: str) -> None:
    with pytest.raises(UntileableError, match=named):
        trace(network)


def test_the_check_of_the_size_is_no_obstacle() -> None:
    network = UNet(3, 3, width=1, downs=2, norm="none")
    assert kinds(network)[-1] == "Pointwise"
    with pytest.raises(Exception, match="4x4"):
        network(torch.zeros(1, 3, 6, 6))
