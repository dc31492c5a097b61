"""Equalised learning rate, pixel norm, minibatch deviation, and the growing networks."""

import copy
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch._dynamo.testing import CompileCounter

from i2i.core.batch import enlarged
from i2i.errors import DataError, OptionsError
from i2i.networks import ProGANDiscriminator, ProGANGenerator, initialise
from i2i.networks.equalised import (
    EqualisedConv2d,
    EqualisedLinear,
    minibatch_deviation,
    pixel_norm,
)


def networks(size: int = 32, classes: int = 0) -> tuple[ProGANGenerator, ProGANDiscriminator]:
    torch.manual_seed(0)
    return (
        ProGANGenerator(5, 3, width=8, size=size, classes=classes),
        ProGANDiscriminator(3, width=8, size=size, classes=classes),
    )


@pytest.mark.parametrize("gain", [1.0, math.sqrt(2)])
def test_weights_are_equalised_and_so_are_their_gradients(gain):
    torch.manual_seed(0)
    for layer, x, fan_in in (
        (EqualisedConv2d(50, 40, 3, gain=gain), torch.randn(2, 50, 5, 5), 450),
        (EqualisedLinear(900, 40, gain=gain), torch.randn(2, 900), 900),
    ):
        assert layer.weight.std().item() == pytest.approx(1, rel=0.02)
        constant = gain / math.sqrt(fan_in)
        plain = (layer.weight.detach() * constant).requires_grad_()
        assert plain.std().item() == pytest.approx(constant, rel=0.02)
        expected = nn.functional.conv2d(x, plain, padding=1) if x.ndim == 4 else x @ plain.T
        torch.testing.assert_close(layer(x), expected)
        layer(x).square().sum().backward()
        expected.square().sum().backward()
        # The chain rule: the gradient of the stored weight has the constant as a factor.
        torch.testing.assert_close(layer.weight.grad, constant * plain.grad, rtol=1e-4, atol=1e-3)


def test_activations_keep_their_variance_behind_he_s_constant():
    torch.manual_seed(0)
    features = torch.randn(64, 1000)
    for _ in range(3):
        features = EqualisedLinear(1000, 1000)(features).relu()
    assert features.square().mean().item() == pytest.approx(1, rel=0.15)


def test_pixel_norm_in_numpy():
    x = np.random.default_rng(0).normal(size=(2, 5, 3, 4))
    expected = x / np.sqrt((x**2).mean(1, keepdims=True) + 1e-8)
    np.testing.assert_allclose(pixel_norm(torch.from_numpy(x)), expected, atol=1e-12)


@pytest.mark.parametrize(
    ("count", "members"), [(1, 1), (2, 2), (3, 3), (4, 4), (5, 5), (6, 3), (8, 4), (12, 4)]
)
def test_the_deviation_of_a_group_in_numpy(count, members):
    x = np.random.default_rng(0).normal(size=(count, 3, 4, 2))
    outputs = minibatch_deviation(torch.from_numpy(x)).numpy()
    groups = count // members
    np.testing.assert_array_equal(outputs[:, :3], x)
    for i in range(count):
        group = x[i % groups :: groups]
        assert len(group) == members
        deviation = np.sqrt(group.var(axis=0) + 1e-8).mean()
        np.testing.assert_allclose(outputs[i, 3], deviation, atol=1e-12)


def test_the_published_networks_have_23_million_weights_each():
    # Table 2: 512 channels up to 32x32, then halves; latent 512; the sums are 23.1M and 23.1M.
    with torch.device("meta"):
        generator = ProGANGenerator(512, 3, size=1024)
        discriminator = ProGANDiscriminator(3, size=1024)
    channels = [512, 512, 512, 512, 256, 128, 64, 32, 16]
    assert generator.stages == discriminator.stages == 9
    assert [block[3].weight.shape[0] for block in generator.blocks] == channels
    assert [each[0].weight.shape[0] for each in discriminator.from_rgb] == channels
    for network in (generator, discriminator):
        count = sum(p.numel() for p in network.parameters())
        assert count == pytest.approx(23.1e6, abs=0.05e6)
    # The rows of the table that are easy to get wrong: 4.2M, 2.4M; 2.4M, 4.2M, 513.
    rows = [generator.blocks[0][0], generator.blocks[0][3]]
    rows += [discriminator.last[0], discriminator.last[3], discriminator.score]
    counts = [sum(p.numel() for p in layer.parameters()) for layer in rows]
    assert counts == [
        512 * 512 * 16 + 512,
        512 * 512 * 9 + 512,
        513 * 512 * 9 + 512,
        512 * 16 * 512 + 512,
        513,
    ]


def test_the_generator_is_the_published_one_layer_by_layer():
    generator, _ = networks(8)
    generator.double()
    z = torch.randn(2, 5, dtype=torch.float64)

    def act(x: Tensor) -> Tensor:
        return pixel_norm(torch.where(x > 0, x, 0.2 * x))

    first, second = generator.blocks
    # The first layer as the authors' code has it: dense, with one bias for each channel and He's
    # constant divided by 4.
    dense = first[0].weight.flip(2, 3).permute(1, 0, 2, 3).reshape(5, -1)
    nn.init.normal_(first[0].bias)
    x = (pixel_norm(z) @ dense * math.sqrt(2) / 4 / math.sqrt(5)).reshape(2, 8, 4, 4)
    x = act(x + first[0].bias[:, None, None])
    x = act(first[3](x)).repeat_interleave(2, 2).repeat_interleave(2, 3)
    x = act(second[3](act(second[0](x))))
    torch.testing.assert_close(generator(z), generator.to_rgb[1](x))
    assert generator.to_rgb[1].scale == pytest.approx(1 / math.sqrt(8))


@pytest.mark.parametrize("size", [8, 32, 64])
def test_every_stage_has_its_size(size):
    generator, discriminator = networks(size)
    for stage in range(generator.stages):
        for alpha in (0.0, 0.4, 1.0):
            generator.grow(stage, alpha)
            discriminator.grow(stage, alpha)
            images = generator(torch.randn(2, 5))
            assert images.shape == (2, 3, 4 * 2**stage, 4 * 2**stage)
            assert enlarged(images, size).shape == (2, 3, size, size)
            assert discriminator(images).shape == (2, 1)
            assert discriminator.features(images).shape == (2, 8)
    assert generator.resolution == size
    with pytest.raises(AssertionError):
        generator.grow(generator.stages, 1.0)


def test_pixels_are_repeated_to_full_size():
    images = torch.arange(16.0).reshape(1, 1, 4, 4)
    expected = images.repeat_interleave(4, 2).repeat_interleave(4, 3)
    assert torch.equal(enlarged(images, 16), expected)


@pytest.mark.parametrize("stage", [1, 2, 3])
def test_a_new_stage_of_the_generator_fades_in(stage):
    generator, _ = networks()
    z = torch.randn(2, 5)

    def at(stage: int, alpha: float) -> Tensor:
        generator.grow(stage, alpha)
        return generator(z)

    former, new = at(stage - 1, 1.0), at(stage, 1.0)
    doubled = former.repeat_interleave(2, 2).repeat_interleave(2, 3)
    assert torch.equal(at(stage, 0.0), doubled)
    torch.testing.assert_close(at(stage, 0.3), 0.7 * doubled + 0.3 * new)
    assert (new - doubled).abs().max() > 0.1


@pytest.mark.parametrize("stage", [1, 2, 3])
def test_a_new_stage_of_the_discriminator_fades_in(stage):
    _, discriminator = networks()
    images = torch.randn(4, 3, 4 * 2**stage, 4 * 2**stage)
    small = nn.functional.avg_pool2d(images, 2)
    discriminator.grow(stage - 1, 1.0)
    former = discriminator(small)
    discriminator.grow(stage, 0.0)
    assert torch.equal(discriminator(images), former)
    discriminator.grow(stage, 0.3)
    features = discriminator.blocks[stage - 1](discriminator.from_rgb[stage](images))
    features = 0.3 * features + 0.7 * discriminator.from_rgb[stage - 1](small)
    for below in reversed(range(stage - 1)):
        features = discriminator.blocks[below](features)
    expected = discriminator.score(discriminator.last(minibatch_deviation(features)))
    torch.testing.assert_close(discriminator(images), expected)
    discriminator.grow(stage, 1.0)
    assert not torch.equal(discriminator(images), former)


@pytest.mark.parametrize(
    ("alpha", "rgb"), [(0.0, {1}), (0.5, {1, 2}), (1.0, {2})], ids=["begin", "fading", "grown"]
)
def test_layers_that_are_not_used_have_no_gradient(alpha, rgb):
    generator, discriminator = networks()
    for network in (generator, discriminator):
        network.grow(2, alpha)
    discriminator(generator(torch.randn(2, 5))).sum().backward()

    def trained(layers: nn.ModuleList) -> set[int]:
        return {
            i
            for i, layer in enumerate(layers)
            if any(p.grad is not None for p in layer.parameters())
        }

    newest = 2 if alpha else 1
    assert trained(generator.to_rgb) == trained(discriminator.from_rgb) == rgb
    assert trained(generator.blocks) == set(range(newest + 1))
    assert trained(discriminator.blocks) == set(range(newest))


@given(stage=st.integers(0, 3), alpha=st.floats(0, 1))
def test_real_images_fade_as_generated_ones_do(stage, alpha):
    images = np.random.default_rng(0).normal(size=(2, 3, 32, 32))
    size = 4 * 2**stage
    means = images.reshape(2, 3, size, 32 // size, size, 32 // size).mean((3, 5))
    coarse = means.reshape(2, 3, size // 2, 2, size // 2, 2).mean((3, 5))
    coarse = coarse.repeat(2, axis=2).repeat(2, axis=3)
    expected = means if stage == 0 else alpha * means + (1 - alpha) * coarse
    discriminator = networks(32)[1].double()
    discriminator.grow(stage, alpha)
    ours = discriminator.shrink(torch.from_numpy(images))
    np.testing.assert_allclose(ours, expected, atol=1e-12)


def test_the_growth_goes_into_a_file_and_back(tmp_path):
    for network, other in zip(networks(), networks(), strict=True):
        network.grow(2, 0.25)
        torch.save(network.state_dict(), tmp_path / "weights.pt")
        other.load_state_dict(torch.load(tmp_path / "weights.pt", weights_only=True))
        assert (other.stage, other.alpha) == (2, 0.25)
        copied = copy.deepcopy(network)
        assert (copied.stage, copied.alpha) == (2, 0.25)
        assert copied.shares.tolist() == other.shares.tolist() == [[0.75], [0.25]]
        assert not any("shares" in name for name in network.state_dict())  # nor in older files


def test_layers_that_fade_in_are_compiled_once():
    for network, argument in zip(
        networks(), (torch.randn(2, 5), torch.randn(2, 3, 16, 16)), strict=True
    ):
        counter = CompileCounter()
        compiled = torch.compile(network, backend=counter)
        for alpha in (0.25, 0.5, 0.75):
            network.grow(2, alpha)
            assert torch.equal(compiled(argument), network(argument))
        assert counter.frame_count == 1


def test_a_scheme_of_initial_weights_has_no_hold_on_them():
    generator, _ = networks()
    before = copy.deepcopy(generator.state_dict())
    initialise(generator, "normal", 0.02)
    assert all(torch.equal(p, before[name]) for name, p in generator.named_parameters())


def test_labels_change_the_output():
    generator, discriminator = networks(classes=3)
    z, labels = torch.randn(1, 5).expand(3, 5), torch.eye(3)
    images = generator(z, labels)
    expected = generator.blocks[0](pixel_norm(torch.cat([z, labels], 1))[:, :, None, None])
    generator.grow(0, 1.0)
    torch.testing.assert_close(generator(z, labels), generator.to_rgb[0](expected))
    same = images[:1].expand(3, -1, -1, -1)
    scores, features = discriminator(same, labels), discriminator.features(same, labels)
    embedding = discriminator.projection.weight / math.sqrt(8)
    plain = discriminator.score(features)
    torch.testing.assert_close(scores, plain + (features * embedding).sum(1, keepdim=True))
    for outputs in (images, scores):
        assert min((outputs[i] - outputs[j]).abs().max() for i, j in ((0, 1), (1, 2))) > 1e-3
    with pytest.raises(AssertionError, match="missing"):
        discriminator(images)


def test_codes_share_the_body():
    discriminator = ProGANDiscriminator(3, width=4, size=16, codes=7)
    images = torch.randn(2, 3, 16, 16)
    scores, logits = discriminator(images)
    assert (scores.shape, logits.shape) == ((2, 1), (2, 7))
    assert torch.equal(logits, discriminator.codes(discriminator.features(images)))


def test_a_gradient_penalty_can_be_differentiated_while_fading():
    _, discriminator = networks()
    discriminator.double().grow(2, 0.5)
    images = torch.randn(4, 3, 16, 16, dtype=torch.float64, requires_grad=True)

    def penalty() -> Tensor:
        (slope,) = torch.autograd.grad(discriminator(images).sum(), images, create_graph=True)
        return (slope.flatten(1).norm(dim=1) - 1).square().mean()

    weight = discriminator.from_rgb[2][0].weight
    (gradient,) = torch.autograd.grad(penalty(), weight)
    direction, values, before = torch.randn_like(weight), [], weight.detach().clone()
    for sign in (1, -1):
        weight.data = before + sign * 1e-6 * direction
        values.append(penalty().item())
    numeric = (values[0] - values[1]) / 2e-6
    assert gradient.abs().max() > 0
    assert (gradient * direction).sum().item() == pytest.approx(numeric, rel=1e-4)


def test_arguments_that_make_no_network_are_named():
    with pytest.raises(OptionsError, match=r"size \(=48\) .* take 16, 32, 64 or 128"):
        ProGANGenerator(5, 3, size=48)
    with pytest.raises(OptionsError, match="width is 0"):
        ProGANDiscriminator(3, width=0, size=8)
    _, discriminator = networks()
    discriminator.grow(1, 1.0)
    with pytest.raises(DataError, match="made for 8x8"):
        discriminator(torch.zeros(1, 3, 32, 32))
