"""Self-attention, spectral and conditional normalisation, projection, and the networks of SAGAN."""

import copy
import itertools

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from i2i.errors import DataError, OptionsError
from i2i.networks import SAGANDiscriminator, SAGANGenerator, initialise, set_inference
from i2i.networks.attention import SelfAttention
from i2i.networks.conditional_norm import ConditionalNorm2d
from i2i.networks.sagan import DownBlock, UpBlock
from i2i.networks.spectral import SpectralConv2d, SpectralLinear


def networks(classes: int = 3, **more: int) -> tuple[SAGANGenerator, SAGANDiscriminator]:
    torch.manual_seed(0)
    shape = {"width": 4, "attention": 8, "size": 16, "classes": classes}
    pair = SAGANGenerator(5, 1, **shape), SAGANDiscriminator(1, **shape, **more)
    for network in pair:
        nn.init.constant_(network.attention.gamma, 0.7)
    return pair


def convolved(convolution: nn.Module, x: np.ndarray) -> np.ndarray:
    """A convolution 1x1 of (N, C, H, W)."""
    weight = convolution.weight.detach().numpy()[:, :, 0, 0]
    return np.einsum("oc,nchw->nohw", weight, x)


def pooled(x: np.ndarray) -> np.ndarray:
    n, c, h, w = x.shape
    return x.reshape(n, c, h // 2, 2, w // 2, 2).max((3, 5)).reshape(n, c, -1)


def test_attention_in_numpy():
    torch.manual_seed(0)
    attention = SelfAttention(16).double().eval()
    x = torch.randn(2, 16, 6, 4, dtype=torch.float64)
    assert torch.equal(attention(x), x)  # gamma is 0
    nn.init.constant_(attention.gamma, 0.3)
    shapes = [getattr(attention, k).weight.shape[0] for k in ("query", "key", "value", "output")]
    assert shapes == [2, 2, 8, 16]
    array = x.numpy()
    queries = convolved(attention.query, array).reshape(2, 2, -1)
    keys, values = (
        pooled(convolved(attention.key, array)),
        pooled(convolved(attention.value, array)),
    )
    shares = np.exp(np.einsum("nci,ncj->nij", queries, keys))
    shares /= shares.sum(2, keepdims=True)
    found = np.einsum("nij,ncj->nci", shares, values).reshape(2, 8, 6, 4)
    expected = array + 0.3 * convolved(attention.output, found)
    np.testing.assert_allclose(attention(x).detach(), expected, atol=1e-12)


@pytest.mark.parametrize("training", [True, False])
def test_conditional_normalisation_in_numpy(training):
    torch.manual_seed(0)
    norm = ConditionalNorm2d(4, 3).double().train(training)
    nn.init.normal_(norm.scale)
    nn.init.normal_(norm.shift)
    nn.init.normal_(norm.norm.running_mean)
    x, kinds = torch.randn(5, 4, 3, 2, dtype=torch.float64), [2, 0, 1, 1, 2]
    mean, variance = norm.norm.running_mean.numpy().copy(), norm.norm.running_var.numpy().copy()
    if training:
        mean, variance = x.numpy().mean((0, 2, 3)), x.numpy().var((0, 2, 3))
    expected = (x.numpy() - mean[:, None, None]) / np.sqrt(variance + 1e-5)[:, None, None]
    scale, shift = (p.detach().numpy()[kinds, :, None, None] for p in (norm.scale, norm.shift))
    np.testing.assert_allclose(
        norm(x, torch.eye(3)[kinds]).detach(), expected * scale + shift, atol=1e-12
    )


def test_conditional_normalisation_begins_as_the_plain_one():
    torch.manual_seed(0)
    x = torch.randn(5, 4, 3, 2)
    conditional, plain = ConditionalNorm2d(4, 3), ConditionalNorm2d(4, 0)
    torch.testing.assert_close(conditional(x, torch.eye(3)[[0, 1, 2, 0, 1]]), plain(x, None))
    assert dict(plain.named_parameters()).keys() == {"norm.weight", "norm.bias"}


@pytest.mark.parametrize("statistics", ["instance", "running"])
def test_images_stand_for_themselves_outside_training(statistics):
    generator, _ = networks()
    z, labels = torch.randn(3, 5), torch.eye(3)
    generator(z, labels)
    set_inference(generator, norm=statistics, dropout=False)
    before = copy.deepcopy(generator.state_dict())
    together = generator(z, labels)
    for k in range(3):
        alone = generator(z[[k]], labels[[k]])[0]
        torch.testing.assert_close(alone, together[k], atol=1e-5, rtol=1e-4)
    for name, tensor in generator.state_dict().items():
        assert torch.equal(tensor, before[name]), name
    set_inference(generator, norm="running", dropout=False)
    assert torch.equal(generator(z, labels), together) == (statistics == "running")


def spectral_layers(network: nn.Module) -> list[nn.Module]:
    return [m for m in network.modules() if isinstance(m, SpectralConv2d | SpectralLinear)]


def test_the_largest_singular_value_of_every_layer_is_one():
    generator, discriminator = networks(codes=2)
    for network in (generator, discriminator):
        layers = spectral_layers(network)
        own = {id(layer) for layer in layers}
        for module in network.modules():  # all that have weights are among them, but the head
            if isinstance(module, nn.Conv2d | nn.Linear) and id(module) not in own:
                assert any(module is each for each in discriminator.codes)
        for layer in layers:
            layer.parametrizations.weight.original.data.mul_(17)
        images = torch.randn(2, 1, 16, 16)
        inputs = images if network is discriminator else torch.randn(2, 5)
        for _ in range(40):
            network(inputs, torch.eye(3)[:2])
        network.eval()
        for layer in layers:
            value = torch.linalg.matrix_norm(layer.weight.detach().flatten(1), 2)
            assert value.item() == pytest.approx(1, abs=0.02)


def test_spectral_normalisation_survives_copies_files_and_autocast():
    generator, discriminator = networks()
    z, labels = torch.randn(2, 5), torch.eye(3)[:2]
    images = generator(z, labels)
    copied = copy.deepcopy(discriminator)
    assert torch.equal(copied(images, labels), discriminator(images, labels))
    _, other = networks()
    other(images, labels)
    other.load_state_dict(discriminator.state_dict())
    discriminator.eval()
    assert torch.equal(other.eval()(images, labels), discriminator(images, labels))
    assert torch.equal(discriminator(images, labels), discriminator(images, labels))
    discriminator.train()
    with torch.autocast("cpu", torch.bfloat16):
        scores = discriminator(images.detach(), labels)
    assert scores.dtype == torch.bfloat16
    assert {layer.weight.dtype for layer in spectral_layers(discriminator)} == {torch.float32}


def test_a_scheme_of_initial_weights_is_refused():
    with pytest.raises(AssertionError, match="draws its own weights"):
        initialise(networks()[0])


def test_the_blocks_are_the_published_ones():
    """Upsampling and pooling stand where the authors have them."""
    torch.manual_seed(0)
    x, f = torch.randn(2, 3, 4, 4), nn.functional
    up = UpBlock(3, 5, 0).eval()
    residual = up.conv1(f.interpolate(up.norm1(x, None).relu(), scale_factor=2))
    residual = up.conv2(up.norm2(residual, None).relu())
    expected = residual + up.skip(f.interpolate(x, scale_factor=2))
    torch.testing.assert_close(up(x, None), expected)
    down = DownBlock(3, 5).eval()
    residual = f.avg_pool2d(down.conv2(down.conv1(x.relu()).relu()), 2)
    torch.testing.assert_close(down(x), residual + f.avg_pool2d(down.skip(x), 2))
    first = DownBlock(3, 5, first=True).eval()
    residual = f.avg_pool2d(first.conv2(first.conv1(x).relu()), 2)
    torch.testing.assert_close(first(x), residual + first.skip(f.avg_pool2d(x, 2)))
    same = DownBlock(3, 3, down=False).eval()
    torch.testing.assert_close(same(x), x + same.conv2(same.conv1(x.relu()).relu()))


def test_the_score_is_a_sum_over_places_and_a_projection():
    _, discriminator = networks()
    discriminator.double().eval()
    images, labels = torch.randn(3, 1, 16, 16, dtype=torch.float64), torch.eye(3)
    maps = images
    for i, block in enumerate(discriminator.blocks):
        maps = block(maps)
        if i == 0:  # 8x8
            maps = discriminator.attention(maps)
    assert maps.shape[2:] == (4, 4)
    features = maps.clamp(min=0).sum((2, 3))
    torch.testing.assert_close(discriminator.features(images, labels), features)
    weight, bias = discriminator.score.weight[0], discriminator.score.bias
    embedding = discriminator.projection.weight
    for k in range(3):
        expected = features[k] @ (weight + embedding[k]) + bias
        torch.testing.assert_close(discriminator(images, labels)[k], expected)


def test_the_published_networks_have_as_many_weights_as_the_authors_code_says():
    def conv(kernel: int, before: int, after: int) -> int:
        return kernel**2 * before * after + after

    def attention(c: int) -> int:
        return c * (2 * (c // 8) + c // 2) + c // 2 * c + 1

    def block(before: int, after: int, *, skip: bool = True) -> int:
        return conv(3, before, after) + conv(3, after, after) + skip * conv(1, before, after)

    k, w = 100, 16  # published: 1000 and 64; the formula is the same and this is faster
    ups = [16 * w, 16 * w, 8 * w, 4 * w, 2 * w, w]
    pairs = list(itertools.pairwise(ups))
    generator = conv(1, 128, 16 * 16 * w) + sum(block(*pair) for pair in pairs)
    generator += sum(2 * k * (a + b) for a, b in pairs) + 2 * w + conv(3, w, 3) + attention(4 * w)
    downs = [3, w, 2 * w, 4 * w, 8 * w, 16 * w]
    critic = sum(block(*pair) for pair in itertools.pairwise(downs))
    critic += block(16 * w, 16 * w, skip=False) + conv(1, 16 * w, 1) + 16 * w * k + attention(2 * w)
    ours = [
        SAGANGenerator(128, 3, width=w, attention=32, size=128, classes=k),
        SAGANDiscriminator(3, width=w, attention=32, size=128, classes=k),
    ]
    counts = [sum(p.numel() for p in network.parameters()) for network in ours]
    assert counts == [generator, critic]


@pytest.mark.parametrize(("size", "attention"), [(16, 8), (32, 8), (64, 32), (256, 16)])
def test_the_attention_sees_the_resolution_asked_for(size, attention):
    generator = SAGANGenerator(5, 1, width=2, attention=attention, size=size)
    discriminator = SAGANDiscriminator(1, width=2, attention=attention, size=size)
    seen = []
    for network in (generator, discriminator):
        network.attention.register_forward_hook(lambda _, x, y: seen.append(x[0].shape[2:]))
    images = generator(torch.randn(2, 5))
    assert images.shape == (2, 1, size, size)
    assert images.abs().max() <= 1
    assert discriminator(images).shape == (2, 1)
    assert seen == 2 * [(attention, attention)]


def test_labels_change_the_output():
    generator, discriminator = networks()
    for norm in (m for m in generator.modules() if isinstance(m, ConditionalNorm2d)):
        nn.init.normal_(norm.shift)
    z, labels = torch.randn(1, 5).expand(3, 5), torch.eye(3)
    images = generator(z, labels)
    scores = discriminator(images[:1].expand(3, -1, -1, -1), labels)
    for outputs in (images, scores):
        assert min((outputs[i] - outputs[j]).abs().max() for i, j in ((0, 1), (1, 2))) > 1e-3
    with pytest.raises(AssertionError, match="missing"):
        generator(z)


def test_codes_share_the_body():
    _, discriminator = networks(codes=7)
    images = torch.randn(2, 1, 16, 16)
    scores, logits = discriminator.eval()(images, torch.eye(3)[:2])
    assert (scores.shape, logits.shape) == ((2, 1), (2, 7))
    assert torch.equal(
        logits, discriminator.codes(discriminator.features(images, torch.eye(3)[:2]))
    )


def test_a_gradient_penalty_through_attention_can_be_differentiated():
    _, discriminator = networks()
    discriminator.double().eval()
    images = torch.randn(2, 1, 16, 16, dtype=torch.float64, requires_grad=True)

    def penalty() -> Tensor:
        scores = discriminator(images, torch.eye(3)[:2])
        (slope,) = torch.autograd.grad(scores.sum(), images, create_graph=True)
        return (slope.flatten(1).norm(dim=1) - 1).square().mean()

    weight = discriminator.attention.query.parametrizations.weight.original
    (gradient,) = torch.autograd.grad(penalty(), weight)
    direction, values, before = torch.randn_like(weight), [], weight.detach().clone()
    for sign in (1, -1):
        weight.data = before + sign * 1e-4 * direction
        values.append(penalty().item())
    numeric = (values[0] - values[1]) / 2e-4
    assert gradient.abs().max() > 0
    assert (gradient * direction).sum().item() == pytest.approx(numeric, rel=1e-4)


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ({"size": 48}, r"size \(=48\) cannot be reached by doubling 4: take 16, 32, 64 or 128"),
        ({"size": 64, "attention": 64}, r"attention \(=64\) .* take 8 or 16 or 32"),
        ({"size": 64, "attention": 30}, r"attention \(=30\) "),
        ({"size": 8}, "take a larger size"),
        ({"size": 64, "width": 0}, "width is 0"),
    ],
)
def test_arguments_that_make_no_network_are_named(shape, message):
    for kind, first in ((SAGANGenerator, (5, 1)), (SAGANDiscriminator, (1,))):
        with pytest.raises(OptionsError, match=message):
            kind(*first, **shape)


def test_a_image_of_another_size_is_named():
    with pytest.raises(DataError, match="made for 16x16"):
        networks()[1](torch.zeros(1, 1, 32, 16), torch.eye(3)[:1])
