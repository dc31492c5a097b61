import math

import pytest
import torch
from torch import nn

from i2i.errors import OptionsError
from i2i.networks import UNet, initialise


def layers() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(64, 128, 3),
        nn.BatchNorm2d(4096),
        nn.ConvTranspose2d(64, 32, 4),
        nn.Linear(512, 256),
    )


@pytest.mark.parametrize(
    ("scheme", "conv", "transposed", "linear"),
    [
        ("normal", 0.1, 0.1, 0.1),
        (
            "xavier",
            0.1 * math.sqrt(2 / (64 * 9 + 128 * 9)),
            0.1 * math.sqrt(2 / (32 * 16 + 64 * 16)),
            0.1 * math.sqrt(2 / (512 + 256)),
        ),
        # torch takes a transposed convolution's fan-in from its second dimension
        ("kaiming", math.sqrt(2 / (64 * 9)), math.sqrt(2 / (32 * 16)), math.sqrt(2 / 512)),
    ],
)
def test_weights_have_the_deviation_of_the_scheme(scheme, conv, transposed, linear):
    torch.manual_seed(0)
    module = layers()
    initialise(module, scheme, gain=0.1)
    for layer, deviation in ((module[0], conv), (module[2], transposed), (module[3], linear)):
        assert layer.weight.std().item() == pytest.approx(deviation, rel=0.03)
        assert abs(layer.weight.mean().item()) < 0.03 * deviation
        assert not layer.bias.any()


def test_orthogonal_weights_are_orthogonal():
    module = layers()
    initialise(module, "orthogonal", gain=0.5)
    for layer in (module[0], module[2], module[3]):
        rows = layer.weight.flatten(1)
        torch.testing.assert_close(rows @ rows.T, 0.25 * torch.eye(len(rows)), atol=1e-5, rtol=0)


@pytest.mark.parametrize("scheme", ["normal", "xavier", "kaiming", "orthogonal"])
def test_batch_norm_scales_scatter_around_one(scheme):
    torch.manual_seed(0)
    module = layers()
    nn.init.ones_(module[1].bias)
    initialise(module, scheme, gain=0.1)
    assert module[1].weight.mean().item() == pytest.approx(1, abs=0.01)
    assert module[1].weight.std().item() == pytest.approx(0.1, rel=0.05)
    assert not module[1].bias.any()


def test_the_published_default_reaches_every_weight_of_a_network_and_follows_the_seed():
    networks = [UNet(3, 3, width=8, downs=5, norm="instance") for _ in range(2)]
    for network in networks:
        torch.manual_seed(7)
        initialise(network)
    for name, weight in networks[0].named_parameters():
        assert torch.equal(weight, networks[1].get_parameter(name))
        expected = 0.02 if name.endswith("weight") else 0
        assert weight.std(correction=0).item() == pytest.approx(expected, rel=0.15)


def test_layers_without_bias_or_scale_are_left_alone():
    initialise(nn.Sequential(nn.Conv2d(2, 2, 1, bias=False), nn.BatchNorm2d(2, affine=False)))


def test_an_unknown_scheme_is_an_error():
    module = nn.Linear(2, 2)
    before = module.weight.clone()
    with pytest.raises(OptionsError, match=r"'orthogonl', .* Did you mean 'orthogonal'\?"):
        initialise(module, "orthogonl")
    assert torch.equal(module.weight, before)
