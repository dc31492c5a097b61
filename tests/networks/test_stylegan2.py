"""The networks of StyleGAN2 compute what the authors' do; what the recorded vectors don't show."""

import pytest
import torch

from i2i.networks.stylegan2 import (
    MappingNetwork,
    SynthesisNetwork,
    truncated_styles,
)
from i2i.networks.stylegan2_discriminator import StyleGAN2Discriminator
from vectors import Vectors, error, errors, load

BOUND = 1e-9


@pytest.mark.parametrize("file", ["stylegan2_mapping", "stylegan2_mapping_labels"])
def test_the_mapping_is_the_published_one(file):
    record = Vectors(file)
    arguments = record.config["kwargs"]
    network = MappingNetwork(
        arguments["z_dim"],
        arguments["c_dim"],
        width=arguments["w_dim"],
        layers=arguments["num_layers"],
    )
    load(network.double().eval(), record.below("state."))
    z = record["input.z"].requires_grad_()
    labels = record.one_hot("input.label", arguments["c_dim"])
    w = network(z, labels)
    ours = {"w": truncated_styles(w, network.w_avg, arguments["num_ws"])}
    (ours["input_gradient"],) = torch.autograd.grad(ours["w"].square().mean(), z)
    for name, psi, cutoff in record.config["truncations"]:
        ours[name] = truncated_styles(w, network.w_avg, arguments["num_ws"], psi, cutoff)
    assert max(errors(ours, record.below("output.")).values()) < BOUND
    network.train()(z, labels, update_average=False)
    assert torch.equal(network.w_avg, record["state.w_avg"])
    network(z, labels)
    assert error(network.w_avg, record["after.w_avg"]) < BOUND


def test_the_synthesis_is_the_published_one():
    record = Vectors("stylegan2_synthesis")
    arguments = record.config["kwargs"]
    network = SynthesisNetwork(
        arguments["w_dim"],
        arguments["img_channels"],
        arguments["img_resolution"],
        channel_base=arguments["channel_base"],
        channel_max=arguments["channel_max"],
    ).double()
    load(network, record.below("state."))
    ws = record["input.ws"].requires_grad_()
    ours = {"const": network.eval()(ws), "none": network(ws, "none")}
    (ours["input_gradient"],) = torch.autograd.grad(ours["const"].square().mean(), ws)
    ours["random"] = network(ws, record.below("input.noise."))
    ours["random"].square().mean().backward()
    for name, parameter in network.named_parameters():
        ours[f"weight_gradient.{name}"] = parameter.grad
    assert max(errors(ours, record.below("output.")).values()) < BOUND


@pytest.mark.parametrize("file", ["stylegan2_discriminator_labels", "stylegan2_discriminator_orig"])
def test_the_discriminator_is_the_published_one(file):
    record = Vectors(file)
    arguments = record.config["kwargs"]
    last = arguments["epilogue_kwargs"]
    network = StyleGAN2Discriminator(
        arguments["img_channels"],
        arguments["img_resolution"],
        arguments["c_dim"],
        channel_base=arguments["channel_base"],
        channel_max=arguments["channel_max"],
        architecture=arguments["architecture"],
        group=last["mbstd_group_size"],
        deviations=last.get("mbstd_num_channels", 1),
    ).double()
    load(network, record.below("state."))
    images = record["input.image"].requires_grad_()
    scores = network(images, record.one_hot("input.label", arguments["c_dim"]))
    (slope,) = torch.autograd.grad(scores.sum(), images, create_graph=True)
    ours = {"logits": scores, "r1": slope.square().sum((1, 2, 3))}
    (ours["input_gradient"],) = torch.autograd.grad(
        scores.square().mean(), images, retain_graph=True
    )
    ours["r1"].mean().backward()
    for name, parameter in network.named_parameters():
        ours[f"r1_weight_gradient.{name}"] = parameter.grad
    assert max(errors(ours, record.below("output.")).values()) < BOUND
