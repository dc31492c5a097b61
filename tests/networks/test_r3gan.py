"""The networks of R3GAN compute what the authors' do; what the recorded vectors don't show."""

import pytest
import torch

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


@pytest.mark.parametrize("file", ["r3gan_generator", "r3gan_generator_labels"])
def test_the_generator_is_the_published_one(file):
    record = Vectors(file)
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


@pytest.mark.parametrize("file", ["r3gan_discriminator_labels"])
def test_the_discriminator_is_the_published_one(file):
    record = Vectors(file)
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
