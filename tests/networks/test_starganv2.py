"""The networks of StarGAN v2 compute what the authors' do; what the recorded vectors don't show."""

import pytest
from torch import nn

from i2i.networks.starganv2 import (
    StarGANv2Discriminator,
    StarGANv2Generator,
    StarGANv2Mapping,
    StarGANv2StyleEncoder,
)
from vectors import Vectors, errors, load

BOUND = 1e-9


def networks(config: dict) -> dict[str, nn.Module]:
    size, domains, style = config["img_size"], config["num_domains"], config["style_dim"]
    widths = {"width": config["nf"], "max_width": config["max_conv_dim"]}
    return {
        "generator": StarGANv2Generator(3, size, style, **widths),
        "mapping_network": StarGANv2Mapping(
            config["latent_dim"], domains, style, hidden=config["hidden"]
        ),
        "style_encoder": StarGANv2StyleEncoder(3, size, domains, style, **widths),
        "discriminator": StarGANv2Discriminator(3, size, domains, **widths),
    }


@pytest.mark.parametrize("name", ["generator", "mapping_network", "style_encoder", "discriminator"])
def test_the_networks_are_the_published_ones(name):
    record = Vectors(f"starganv2_{name}")
    network = networks(record.config)[name].double()
    load(network, record.below("state."))
    first = record["input.latent" if name == "mapping_network" else "input.image"].requires_grad_()
    second = (
        record["input.style"].requires_grad_() if name == "generator" else record["input.domain"]
    )
    output = network(first, second)
    output.square().mean().backward()
    ours = {"image": output, "style": output, "logit": output, "input_gradient": first.grad}
    ours["style_gradient"] = second.grad
    for key, parameter in network.named_parameters():
        ours[f"weight_gradient.{key}"] = parameter.grad
    assert max(errors(ours, record.below("output.")).values()) < BOUND
