"""The networks of StarGAN v2 compute what the authors' do; what the recorded vectors don't show.

The style encoder is in tests/trajectories/test_turns.py.
"""

import pytest
import torch
from torch import nn

from i2i.errors import DataError, OptionsError
from i2i.networks.starganv2 import (
    AdaIN,
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


@pytest.mark.parametrize("name", ["generator", "mapping_network", "discriminator"])
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


def test_a_style_is_the_scale_and_the_shift_of_the_features():
    torch.manual_seed(0)
    layer = AdaIN(3, 2).double()
    features, style = torch.randn(2, 2, 4, 5).double(), torch.randn(2, 3).double()
    numbers = style @ layer.fc.weight.T + layer.fc.bias
    for i in range(2):
        for c in range(2):
            plane = features[i, c]
            norm = (plane - plane.mean()) / (plane.var(correction=0) + 1e-5).sqrt()
            expected = (1 + numbers[i, c]) * norm + numbers[i, 2 + c]
            torch.testing.assert_close(layer(features, style)[i, c], expected)


@pytest.mark.parametrize(("size", "downs"), [(16, 0), (32, 1), (64, 2), (256, 4)])
def test_the_generator_halves_down_to_sixteenths_of_the_published_size(size, downs):
    with torch.device("meta"):
        network = StarGANv2Generator(1, size, 5, width=4, max_width=16)
        assert network.multiple == 2**downs
        assert len(network.encode) == len(network.decode) == downs + 2
        images = torch.empty(2, 1, 3 * 2**downs, 5 * 2**downs)  # any multiple will do
        assert network(images, torch.empty(2, 5)).shape == images.shape
        judge = StarGANv2Discriminator(1, size, 3, width=4, max_width=16)
        assert judge(torch.empty(2, 1, size, size), torch.zeros(2, dtype=torch.int64)).shape == (2,)


def test_each_image_gets_the_output_of_its_domain():
    torch.manual_seed(0)
    mapping = StarGANv2Mapping(4, 3, 5, hidden=6)
    encoder = StarGANv2StyleEncoder(3, 16, 3, 5, width=4, max_width=8)
    z, images, domains = torch.randn(4, 4), torch.randn(4, 3, 16, 16), torch.tensor([2, 0, 0, 2])
    for network, given in ((mapping, z), (encoder, images)):
        styles = network(given, domains)
        for i, domain in enumerate(domains):
            head = network.unshared[domain]
            torch.testing.assert_close(
                styles[i], head(network.shared(given[i, None]).flatten(1))[0]
            )
        styles.sum().backward()
        # Not None: weight decay must reach the domain that no image is of.
        assert all(torch.all(p.grad == 0) for p in network.unshared[1].parameters())


def test_what_does_not_fit_is_named():
    with pytest.raises(OptionsError, match=r"size \(=40\)"):
        StarGANv2Discriminator(3, 40, 2)
    with pytest.raises(OptionsError, match="domains is 0"):
        StarGANv2Mapping(16, 0)
    network = StarGANv2Generator(3, 32, 5, width=4)
    with pytest.raises(DataError, match="multiples of 2"):
        network(torch.zeros(1, 3, 33, 32), torch.zeros(1, 5))
