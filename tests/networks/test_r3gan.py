"""The networks of R3GAN compute what the authors' do; what the recorded vectors don't show."""

import copy
import math

import pytest
import torch

from i2i.errors import OptionsError
from i2i.networks import initialise
from i2i.networks.r3gan import R3GANDiscriminator, R3GANGenerator
from vectors import Vectors, errors, load

BOUND = 1e-9


def options(config: dict) -> dict:
    names = {"width": "width", "cardinality": "groups", "blocks": "blocks"}
    return {ours: tuple(config[theirs]) for theirs, ours in names.items()} | {
        "expansion": config["expansion"]
    }


def size_of(config: dict) -> int:
    return 4 * 2 ** (len(config["width"]) - 1)


def test_the_generator_is_the_published_one():
    record = Vectors("r3gan_generator_labels")
    config = record.config
    network = R3GANGenerator(
        config["noise"],
        3,
        size_of(config),
        config["c_dim"],
        embedding=config.get("embedding_G", 0),
        **options(config),
    ).double()
    load(network, record.below("state."), constants=("Kernel",))
    z = record["input.latent"].requires_grad_()
    images = network(z, record.one_hot("input.label", config["c_dim"]))
    images.square().mean().backward()
    ours = {"image": images, "input_gradient": z.grad}
    for name, parameter in network.named_parameters():
        ours[f"weight_gradient.{name}"] = parameter.grad
    assert max(errors(ours, record.below("output.")).values()) < BOUND


def test_the_discriminator_is_the_published_one():
    record = Vectors("r3gan_discriminator_labels")
    config = record.config
    network = R3GANDiscriminator(
        3,
        size_of(config),
        config["c_dim"],
        embedding=config.get("embedding_D", 0),
        **options(config),
    ).double()
    load(network, record.below("state."), constants=("Kernel",))
    images = record["input.image"].requires_grad_()
    scores = network(images, record.one_hot("input.label", config["c_dim"]))[:, 0]
    parameters = dict(network.named_parameters())
    (slope,) = torch.autograd.grad(scores.sum(), images, create_graph=True)
    ours = {"logits": scores, "penalty": slope.square().sum((1, 2, 3))}
    for prefix, value in (("", scores.square().mean()), ("penalty_", ours["penalty"].mean())):
        gradients = torch.autograd.grad(value, list(parameters.values()), retain_graph=True)
        for name, gradient in zip(parameters, gradients, strict=True):
            ours[f"{prefix}weight_gradient.{name}"] = gradient
    (ours["input_gradient"],) = torch.autograd.grad(scores.square().mean(), images)
    assert max(errors(ours, record.below("output.")).values()) < BOUND


def test_the_start_keeps_the_variance_and_blocks_do_nothing():
    torch.manual_seed(0)
    network = R3GANGenerator(64, 3, 8, width=(256, 128), groups=(32, 8), blocks=(1, 2))
    first, second = network.Model["MainLayers"]
    block = second.Layers[1]
    gain = math.sqrt(2 / 1.04) * 3**-0.25  # three blocks in all
    for weight, deviation in (
        (block.LinearLayer1.Layer.weight, gain / math.sqrt(128)),
        (block.LinearLayer2.Layer.weight, gain / math.sqrt(9 * 256 / 8)),
        (second.Layers[0].LinearLayer.Layer.weight, 1 / math.sqrt(256)),
        (first.Layers[0].LinearLayer.weight, 1 / math.sqrt(64)),
        (first.Layers[0].Basis, 1),
    ):
        assert weight.std().item() == pytest.approx(deviation, rel=0.03)
    assert block.LinearLayer3.Layer.weight.abs().max() == 0
    features = torch.randn(2, 128, 8, 8)
    assert torch.equal(block(features), features)


def test_a_scheme_of_initial_weights_has_no_hold_on_them():
    for network in (
        R3GANGenerator(4, 3, 8, 2, width=(8,), groups=(2,)),
        R3GANDiscriminator(3, 8, 2, width=(8,), groups=(2,)),
    ):
        before = copy.deepcopy(network.state_dict())
        initialise(network, "normal", 0.02)
        assert all(torch.equal(p, before[name]) for name, p in network.named_parameters())


def test_one_number_is_for_all_sizes():
    lists = R3GANDiscriminator(1, 16, width=(8, 8, 8), groups=(4, 4, 4), blocks=(2, 2, 2))
    numbers = R3GANDiscriminator(1, 16, width=(8,), groups=(4,), blocks=(2,))
    numbers.load_state_dict(lists.state_dict())
    images = torch.randn(2, 1, 16, 16)
    assert torch.equal(lists(images), numbers(images))


def test_labels_change_the_score_by_a_product():
    torch.manual_seed(0)
    network = R3GANDiscriminator(3, 8, 3, width=(8,), groups=(2,), embedding=5)
    images = torch.randn(1, 3, 8, 8).expand(3, -1, -1, -1)
    scores = network(images, torch.eye(3))
    read = network.basis.LinearLayer(network.features(images, torch.eye(3)))
    embedded = network.Model["EmbeddingLayer"].weight.T
    torch.testing.assert_close(scores, (read * embedded).sum(1, keepdim=True))
    assert scores.std() > 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"width": (8, 8)}, "width has 2 numbers, but must have 3"),
        ({"blocks": (1, 1, 0)}, r"blocks is \[1, 1, 0\], but each must be at least 1"),
        ({"width": (8,), "groups": (3,)}, r"groups \(=3\) must divide the 16 channels"),
    ],
)
def test_arguments_that_make_no_network_are_named(options, message):
    with pytest.raises(OptionsError, match=message):
        R3GANGenerator(4, 3, 16, **options)
