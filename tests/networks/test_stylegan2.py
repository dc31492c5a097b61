"""The networks of StyleGAN2 compute what the authors' do; what the recorded vectors don't show."""

import copy

import pytest
import torch
from torch import nn

from i2i.errors import DataError, OptionsError
from i2i.networks import initialise
from i2i.networks.equalised import EqualisedLinear, minibatch_deviation
from i2i.networks.modulated import modulated_conv2d
from i2i.networks.resample import binomial_filter, downsample, smooth, upsample
from i2i.networks.stylegan2 import (
    MappingNetwork,
    StyleGAN2Generator,
    SynthesisNetwork,
    draw_crossover,
    mix_styles,
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


def small(classes: int = 0, **options) -> StyleGAN2Generator:
    torch.manual_seed(0)
    widths = {"channel_base": 64, "channel_max": 6, "style": 5, "mapping_layers": 2}
    return StyleGAN2Generator(4, 3, 16, classes, **widths | options).double()


def judge(**options) -> StyleGAN2Discriminator:
    torch.manual_seed(0)
    return StyleGAN2Discriminator(3, 16, channel_base=64, channel_max=6, **options).double()


@pytest.mark.parametrize("up", [False, True])
@pytest.mark.parametrize("demodulate", [False, True])
def test_scaling_features_is_modulating_the_weight_of_each_image(up, demodulate):
    torch.manual_seed(0)
    features, weight = torch.randn(3, 4, 6, 5).double(), torch.randn(2, 4, 3, 3).double()
    style = torch.randn(3, 4).double()
    kernel = binomial_filter().double()
    ours = modulated_conv2d(
        features, weight, style, demodulate=demodulate, up_kernel=kernel if up else None
    )
    for i in range(3):
        own = weight * style[i, :, None, None]
        if demodulate:
            own = own / (own.square().sum((1, 2, 3), keepdim=True) + 1e-8).sqrt()
        if up:
            whole = nn.functional.conv_transpose2d(features[i, None], own.transpose(0, 1), stride=2)
            expected = nn.functional.conv2d(
                whole.transpose(0, 1), 4 * kernel[None, None], padding=1
            ).transpose(0, 1)
        else:
            expected = nn.functional.conv2d(features[i, None], own, padding=1)
        torch.testing.assert_close(ours[i, None], expected)


def test_resampling_by_hand():
    torch.manual_seed(0)
    kernel, images = binomial_filter().double(), torch.randn(2, 3, 4, 6).double()
    spread = torch.zeros(2, 3, 8 + 3, 12 + 3).double()
    spread[:, :, 2:10:2, 2:14:2] = images
    windows = spread.unfold(2, 4, 1).unfold(3, 4, 1)
    torch.testing.assert_close(upsample(images, kernel), (windows * kernel * 4).sum((-1, -2)))
    padded = nn.functional.pad(images, (1, 1, 1, 1))
    windows = padded.unfold(2, 4, 1).unfold(3, 4, 1)
    smoothed = (windows * kernel).sum((-1, -2))
    torch.testing.assert_close(smooth(images, kernel, 1), smoothed)
    torch.testing.assert_close(downsample(images, kernel), smoothed[:, :, ::2, ::2])


def test_a_slow_layer_starts_like_others():
    torch.manual_seed(0)
    layer = EqualisedLinear(400, 300, gain=1.0, start=2.0, rate=0.01)
    assert layer.weight.std().item() == pytest.approx(100, rel=0.02)
    x = torch.randn(50, 400)
    torch.testing.assert_close(layer(x), x @ layer.weight.T * 0.01 / 20 + 2 * 0.01)
    assert layer(x).std().item() == pytest.approx(1, rel=0.05)


@pytest.mark.parametrize(("count", "group", "members"), [(6, 3, 3), (6, 4, 3), (4, 32, 4)])
def test_deviations_of_parts_of_the_channels(count, group, members):
    torch.manual_seed(0)
    features = torch.randn(count, 6, 2, 3).double()
    result = minibatch_deviation(features, group=group, maps=2)
    assert result.shape == (count, 8, 2, 3)
    for i in range(count):
        of_group = features[i % (count // members) :: count // members]
        deviation = (of_group.var(0, correction=0) + 1e-8).sqrt()
        for part in range(2):
            expected = deviation[3 * part : 3 * part + 3].mean()
            torch.testing.assert_close(result[i, 6 + part], expected.expand(2, 3))


def test_noise_is_new_in_training_and_kept_afterwards():
    network = small()
    with torch.no_grad():
        for block in network.synthesis.children():
            block.conv1.noise_strength.fill_(0.5)
    z = torch.randn(2, 4).double()
    assert not torch.equal(network(z), network(z))
    network.eval()
    assert torch.equal(network(z), network(z))
    assert torch.equal(network(z, noise="const"), network(z))
    assert not torch.equal(network(z, noise="none"), network(z))
    assert network(z).dtype == torch.float64


def test_truncation_to_nothing_gives_one_image():
    network = small(classes=3).eval()
    network.mapping.w_avg.normal_()
    z, labels = torch.randn(2, 4).double(), torch.eye(3)[:2]
    first, second = network(z, labels, truncation=0.0)
    torch.testing.assert_close(first, second)
    first, second = network(z, labels, truncation=0.0, cutoff=2)
    assert (first - second).abs().max() > 1e-3
    same = network(z[:1].expand(2, -1), labels)
    assert (same[0] - same[1]).abs().max() > 1e-3


def test_one_size_alone_can_make_the_image():
    network = small(architecture="orig")
    painters = [name for name, _ in network.named_modules() if name.endswith("torgb")]
    assert painters == ["synthesis.b16.torgb"]
    assert network.num_ws == small().num_ws == 6
    assert network(torch.randn(2, 4).double()).shape == (2, 3, 16, 16)


def test_styles_cross_over():
    ws, others = torch.zeros(2, 6, 3), torch.ones(2, 6, 3)
    mixed = mix_styles(ws, others, torch.tensor(4))
    assert mixed[:, :, 0].tolist() == [[0, 0, 0, 0, 1, 1]] * 2
    generator = torch.Generator().manual_seed(0)
    drawn = [int(draw_crossover(6, 0.6, generator=generator)) for _ in range(2000)]
    shares = [drawn.count(layer) / 2000 for layer in range(7)]
    assert shares[0] == 0
    assert shares[1:6] == pytest.approx([0.12] * 5, abs=0.03)
    assert shares[6] == pytest.approx(0.4, abs=0.04)


def test_the_discriminator_with_the_image_beside_the_features():
    network = judge(architecture="skip")
    images = whole = torch.randn(2, 3, 16, 16).double()
    kernel = network.b16.resample_filter
    features = network.b16.conv1(network.b16.conv0(network.b16.fromrgb(images)))
    images = downsample(images, kernel)
    features = features + network.b8.fromrgb(images)
    features = network.b8.conv1(network.b8.conv0(features))
    features = features + network.b4.fromrgb(downsample(images, kernel))
    expected = network.b4.out(network.b4.features(features))
    torch.testing.assert_close(network(whole), expected)


def test_arguments_that_make_no_network_are_named():
    with pytest.raises(OptionsError, match=r"size \(=48\) .* take 16, 32, 64 or 128"):
        StyleGAN2Generator(4, 3, 48)
    with pytest.raises(OptionsError, match=r"deviations \(=4\) must divide the 6 channels at 4x4"):
        judge(deviations=4)
    with pytest.raises(OptionsError, match="latent is 0"):
        StyleGAN2Generator(0, 3, 16)
    with pytest.raises(DataError, match="made for 16x16"):
        judge()(torch.zeros(2, 3, 8, 8).double())


def test_a_scheme_of_initial_weights_has_no_hold_on_them():
    for network in (small(classes=2), judge(classes=2)):
        before = copy.deepcopy(network.state_dict())
        initialise(network, "normal", 0.02)
        assert all(torch.equal(p, before[name]) for name, p in network.named_parameters())


def test_the_published_widths():
    with torch.device("meta"):
        generator = StyleGAN2Generator(512, 3, 1024)
        discriminator = StyleGAN2Discriminator(3, 1024)
    channels = [512, 512, 512, 512, 512, 256, 128, 64, 32]
    sizes = [4 * 2**i for i in range(9)]
    blocks = [generator.synthesis.get_submodule(f"b{size}") for size in sizes]
    assert [block.conv1.weight.shape[0] for block in blocks] == channels
    judging = [discriminator.get_submodule(f"b{size}") for size in sizes[1:]]
    assert [block.conv0.weight.shape[0] for block in judging] == channels[1:]
    assert discriminator.b4.conv.weight.shape == (512, 513, 3, 3)
    assert generator.num_ws == 18
    # Tables of the authors' network: 30.0 and 29.0 million weights.
    for network in (generator, discriminator):
        count = sum(p.numel() for p in network.parameters()) / 1e6
        assert 28.5 < count < 30.5
