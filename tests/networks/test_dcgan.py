"""The networks of DCGAN, and what all networks between noise and images share."""

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from i2i.errors import DataError, OptionsError
from i2i.networks import DCGANDiscriminator, DCGANGenerator, initialise, set_inference
from i2i.networks.condition import NORMS, doublings


def shapes(network: nn.Module) -> list[tuple[int, ...]]:
    return [
        tuple(layer.weight.shape)
        for layer in network.main
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d)
    ]


def test_the_published_example_has_as_many_weights_and_layers_of_the_same_shape():
    generator = DCGANGenerator(100, 3, size=64)
    discriminator = DCGANDiscriminator(3, size=64)
    assert shapes(generator) == [
        (100, 512, 4, 4),
        (512, 256, 4, 4),
        (256, 128, 4, 4),
        (128, 64, 4, 4),
        (64, 3, 4, 4),
    ]
    assert shapes(discriminator) == [
        (64, 3, 4, 4),
        (128, 64, 4, 4),
        (256, 128, 4, 4),
        (512, 256, 4, 4),
        (1, 512, 4, 4),
    ]
    counts = [sum(p.numel() for p in each.parameters()) for each in (generator, discriminator)]
    assert counts == [3_576_704, 2_765_568]
    assert {"main.0.weight", "main.1.running_mean", "main.12.weight"} < set(generator.state_dict())
    assert {"main.0.weight", "main.3.running_mean", "main.11.weight"} < set(
        discriminator.state_dict()
    )


@pytest.mark.parametrize(
    ("size", "base"), [(16, 4), (28, 7), (32, 4), (40, 5), (48, 6), (64, 4), (112, 7), (128, 4)]
)
def test_every_size_begins_with_its_base(size, base):
    assert doublings(size)[0] == base
    generator = DCGANGenerator(5, 1, width=1, size=size)
    discriminator = DCGANDiscriminator(1, width=1, size=size)
    assert generator.main[0](torch.zeros(1, 5, 1, 1)).shape[2:] == (base, base)
    images = generator(torch.randn(2, 5))
    assert images.shape == (2, 1, size, size)
    assert images.abs().max() <= 1
    assert discriminator(images).shape == (2, 1)
    assert discriminator.features(images).shape == (2, discriminator.main[-1].weight[0].numel())


@given(base=st.sampled_from((3, 4, 5, 6, 7)), n=st.integers(1, 8))
def test_what_is_a_base_doubled_is_found(base, n):
    ours, times = doublings(base * 2**n)
    assert ours * 2**times == base * 2**n


@pytest.mark.parametrize(("size", "near"), [(50, "40, 48, 56 or 64"), (17, "14, 16, 20 or 24")])
def test_a_size_that_cannot_be_reached_is_named_with_its_neighbours(size, near):
    with pytest.raises(OptionsError, match=rf"size \(={size}\) .* take {near}\."):
        DCGANGenerator(5, 1, size=size)
    with pytest.raises(OptionsError, match=f"take {near}"):
        DCGANDiscriminator(1, size=size)


def test_a_base_alone_is_no_size():
    with pytest.raises(OptionsError, match=r"size \(=4\)"):
        doublings(4, (4,))


def test_arguments_that_make_no_network_are_named():
    with pytest.raises(OptionsError, match=r"norm is 'bath', .* Did you mean 'batch'"):
        DCGANGenerator(5, 1, norm="bath", size=16)
    with pytest.raises(OptionsError, match="width is 0"):
        DCGANDiscriminator(1, width=0, size=16)
    with pytest.raises(OptionsError, match="latent is 0"):
        DCGANGenerator(0, 1, size=16)
    with pytest.raises(DataError, match=r"16x20 .* made for 16x16"):
        DCGANDiscriminator(1, size=16)(torch.zeros(1, 1, 16, 20))


def test_only_without_norm_there_are_biases_and_never_a_norm_at_the_ends():
    for norm in NORMS:
        for network in (
            DCGANGenerator(5, 1, width=2, norm=norm, size=32),
            DCGANDiscriminator(1, width=2, norm=norm, size=32),
        ):
            layers = [m for m in network.main if isinstance(m, nn.Conv2d | nn.ConvTranspose2d)]
            assert {layer.bias is not None for layer in layers} == {norm == "none"}
    kinds = [type(layer).__name__ for layer in DCGANGenerator(5, 1, width=2, size=32).main]
    assert kinds == 3 * ["ConvTranspose2d", "BatchNorm2d", "ReLU"] + ["ConvTranspose2d", "Tanh"]
    kinds = [type(layer).__name__ for layer in DCGANDiscriminator(1, width=2, size=32).main]
    expected = ["Conv2d", "LeakyReLU"] + 2 * ["Conv2d", "BatchNorm2d", "LeakyReLU"] + ["Conv2d"]
    assert kinds == expected


def test_layer_norm_is_that_of_all_channels_of_each_image():
    norm = DCGANDiscriminator(1, width=2, norm="layer", size=16).double().main[3]
    x = torch.randn(3, 4, 5, 6, dtype=torch.float64)
    flat = x.flatten(1)
    mean, variance = flat.mean(1, keepdim=True), flat.var(1, correction=0, keepdim=True)
    expected = ((flat - mean) / (variance + 1e-5).sqrt()).reshape(x.shape)
    torch.testing.assert_close(norm(x), expected)


def conditional() -> tuple[DCGANGenerator, DCGANDiscriminator]:
    torch.manual_seed(0)
    networks = (
        DCGANGenerator(5, 1, width=4, size=16, classes=3),
        DCGANDiscriminator(1, width=4, size=16, classes=3),
    )
    for network in networks:
        initialise(network, "kaiming")
    return networks


def test_labels_stand_beside_the_noise_and_behind_the_image():
    generator, discriminator = conditional()
    z, labels = torch.randn(1, 5).expand(3, 5), torch.eye(3)
    images = generator(z, labels)
    expected = generator.main(torch.cat([z, labels], 1)[:, :, None, None])
    torch.testing.assert_close(images, expected)
    image = images[:1].expand(3, -1, -1, -1)
    planes = torch.stack([torch.full((3, 16, 16), 0.0) for _ in range(3)])
    for k in range(3):
        planes[k, k] = 1
    scores = discriminator(image, labels)
    torch.testing.assert_close(scores, discriminator.main(torch.cat([image, planes], 1)).flatten(1))
    for outputs in (images, scores):
        assert min((outputs[i] - outputs[j]).abs().max() for i, j in ((0, 1), (1, 2))) > 1e-3


def test_labels_are_needed_where_there_are_classes_and_only_there():
    generator, discriminator = conditional()
    with pytest.raises(AssertionError, match="missing"):
        generator(torch.randn(2, 5))
    with pytest.raises(AssertionError, match="missing"):
        discriminator(torch.randn(2, 1, 16, 16))
    with pytest.raises(AssertionError, match="without classes"):
        DCGANGenerator(5, 1, width=1, size=16)(torch.randn(2, 5), torch.eye(2))


@pytest.mark.parametrize("norm", NORMS)
def test_the_head_of_infogan_shares_the_body(norm):
    torch.manual_seed(0)
    plain = DCGANDiscriminator(1, width=2, norm=norm, size=16)
    network = DCGANDiscriminator(1, width=2, norm=norm, size=16, codes=7)
    network.load_state_dict(plain.state_dict(), strict=False)
    images = torch.randn(4, 1, 16, 16)
    scores, logits = network(images)
    torch.testing.assert_close(scores, plain(images))
    assert logits.shape == (4, 7)
    head = list(network.codes)
    hidden = head[0](network.features(images))
    assert hidden.shape == (4, 128)
    if norm == "batch":
        hidden = (hidden - hidden.mean(0)) / (hidden.var(0, correction=0) + 1e-5).sqrt()
    elif norm != "none":
        mean, variance = hidden.mean(1, keepdim=True), hidden.var(1, correction=0, keepdim=True)
        hidden = (hidden - mean) / (variance + 1e-5).sqrt()
    expected = head[3](torch.where(hidden > 0, hidden, 0.2 * hidden))
    torch.testing.assert_close(logits, expected, atol=1e-5, rtol=1e-4)
    logits.sum().backward()
    assert network.main[0].weight.grad.abs().max() > 0


def test_features_are_what_the_score_is_computed_from():
    network = DCGANDiscriminator(1, width=2, size=16).eval()
    images = torch.randn(2, 1, 16, 16)
    expected = network.features(images) @ network.main[-1].weight.flatten(1).T
    torch.testing.assert_close(network(images), expected)


def test_each_image_by_itself_outside_training():
    generator, _ = conditional()
    set_inference(generator, norm="instance", dropout=False)
    z, labels = torch.randn(3, 5), torch.eye(3)
    together = generator(z, labels)
    for k in range(3):
        torch.testing.assert_close(generator(z[[k]], labels[[k]])[0], together[k])


def test_bfloat16_autocast_runs_with_its_backward_pass():
    generator, discriminator = conditional()
    with torch.autocast("cpu", torch.bfloat16):
        images = generator(torch.randn(4, 5), torch.eye(3)[[0, 1, 2, 0]])
        scores = discriminator(images, torch.eye(3)[[0, 1, 2, 0]])
    assert images.dtype == scores.dtype == torch.bfloat16
    scores.float().mean().backward()
    assert all(p.grad.isfinite().all() for p in generator.parameters())


@settings(max_examples=5)
@given(norm=st.sampled_from(NORMS))
def test_a_gradient_penalty_can_be_differentiated(norm):
    torch.manual_seed(0)
    network = DCGANDiscriminator(1, width=2, norm=norm, size=16).double()
    images = torch.randn(2, 1, 16, 16, dtype=torch.float64, requires_grad=True)

    def penalty() -> Tensor:
        (slope,) = torch.autograd.grad(network(images).sum(), images, create_graph=True)
        return (slope.flatten(1).norm(dim=1) - 1).square().mean()

    weight = network.main[0].weight
    (gradient,) = torch.autograd.grad(penalty(), weight)
    direction = torch.randn_like(weight)
    values = []
    for sign in (1, -1):
        with torch.no_grad():
            before = copy.deepcopy(weight.data)
            weight += sign * 1e-6 * direction
        values.append(penalty().item())
        weight.data = before
    numeric = (values[0] - values[1]) / 2e-6
    assert (gradient * direction).sum().item() == pytest.approx(numeric, rel=1e-3, abs=1e-7)
