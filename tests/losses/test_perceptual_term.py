"""The perceptual term and the divergence of a style, against closed forms."""

import doctest
import math

import pytest
import torch
from torch import nn

from i2i.losses import perceptual as perceptual_module
from i2i.losses import variational
from i2i.losses.perceptual import VGG_WEIGHTS, perceptual
from i2i.losses.variational import kl_divergence


@pytest.mark.parametrize("module", [perceptual_module, variational])
def test_examples(module):
    failures, examples = doctest.testmod(module)
    assert examples > 0
    assert failures == 0


def test_every_layer_has_its_published_weight():
    white, grey = torch.ones(2, 3, 4, 4), torch.zeros(2, 3, 4, 4)
    for i, weight in enumerate((1 / 32, 1 / 16, 1 / 8, 1 / 4, 1)):
        found = perceptual(
            lambda x, i=i: [x * (j == i) for j in range(5)], white, grey, VGG_WEIGHTS
        )
        assert found.item() == weight


def test_only_the_images_get_a_gradient():
    torch.manual_seed(0)
    network = nn.Conv2d(3, 4, 3).requires_grad_(False)
    images, targets = (torch.randn(1, 3, 8, 8, requires_grad=True) for _ in range(2))
    perceptual(lambda x: [network(x)], images, targets, (2.0,)).backward()
    assert images.grad.abs().max() > 0
    assert targets.grad is None
    assert network.weight.grad is None


def test_the_divergence_is_that_of_normal_distributions():
    mean, logvar = torch.tensor([[1.5, -0.5]]), torch.tensor([[0.3, -1.0]])
    expected = torch.distributions.kl_divergence(
        torch.distributions.Normal(mean, (logvar / 2).exp()), torch.distributions.Normal(0, 1)
    ).sum()
    torch.testing.assert_close(kl_divergence(mean, logvar), expected)
    assert kl_divergence(torch.zeros(4, 2), torch.zeros(4, 2)).item() == 0
    assert kl_divergence(torch.zeros(1, 1), torch.full((1, 1), 2 * math.log(3))).item() == (
        pytest.approx(-0.5 * (1 + 2 * math.log(3) - 9))
    )
