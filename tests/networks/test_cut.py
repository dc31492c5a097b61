"""The networks of CUT against the authors', and what can be said of them without."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from i2i.errors import DataError, OptionsError
from i2i.networks.antialiased import AntialiasedPatchGAN, AntialiasedResNet, BlurDown, BlurUp
from i2i.networks.init import initialise
from i2i.networks.patch_sampler import PatchSampler, draw_positions
from recordings import Vectors, recorded


def generator(config: dict) -> AntialiasedResNet:
    return AntialiasedResNet(
        config["in"],
        config["out"],
        width=config["nf"],
        blocks=config["blocks"],
        norm=config["norm"],
    )


def discriminator(config: dict) -> AntialiasedPatchGAN:
    return AntialiasedPatchGAN(
        config["in"], width=config["nf"], layers=config["layers"], norm=config["norm"]
    )


def formats() -> pytest.MarkDecorator:
    both = [torch.contiguous_format, torch.channels_last]
    return pytest.mark.parametrize("memory_format", both, ids=str)


@formats()
@pytest.mark.parametrize("path", recorded("cut_generator"), ids=lambda path: path.stem)
def test_the_generator_and_its_features_are_those_of_the_authors(path, memory_format):
    vectors = Vectors(path)
    layers = vectors.config["layers"]
    network = vectors.load(generator(vectors.config)).to(memory_format=memory_format)
    image = vectors["input.image"].contiguous(memory_format=memory_format).requires_grad_()
    found = {"output.eval": network.eval()(image)}
    found["output.train"] = vectors.load(network).train()(image)
    (found["output.input_gradient"],) = torch.autograd.grad(
        found["output.train"].square().mean(), image
    )
    after = vectors.tensors.keys() & {f"after.{key}" for key in network.state_dict()}
    found |= {key: network.state_dict()[key.removeprefix("after.")].double() for key in after}
    features = vectors.load(network).features(image, layers)
    found |= {f"output.feature.{i}": each for i, each in zip(layers, features, strict=True)}
    (found["output.features_input_gradient"],) = torch.autograd.grad(
        torch.stack([each.square().mean() for each in features]).sum(), image
    )
    assert found.keys() == {key for key in vectors.tensors if key.startswith(("output.", "after."))}
    errors = {key: vectors.error(key, ours) for key, ours in found.items()}
    assert max(errors.values()) < 1e-9, errors


@formats()
@pytest.mark.parametrize("path", recorded("cut_discriminator"), ids=lambda path: path.stem)
def test_the_discriminator_is_that_of_the_authors(path, memory_format):
    vectors = Vectors(path)
    network = vectors.load(discriminator(vectors.config)).to(memory_format=memory_format)
    image = vectors["input.image"].contiguous(memory_format=memory_format).requires_grad_()
    found = {"output.eval": network.eval()(image)}
    found["output.train"] = vectors.load(network).train()(image)
    (found["output.input_gradient"],) = torch.autograd.grad(
        found["output.train"].square().mean(), image
    )
    errors = {key: vectors.error(key, ours) for key, ours in found.items()}
    assert max(errors.values()) < 1e-9, errors


@formats()
@pytest.mark.parametrize("path", recorded("cut_patch_sampler"), ids=lambda path: path.stem)
def test_the_sampler_is_that_of_the_authors(path, memory_format):
    vectors = Vectors(path)
    config = vectors.config
    network = vectors.load(PatchSampler(config["channels"], width=config["nf"]))
    maps = range(len(config["channels"]))
    features = [
        vectors[f"input.feature.{i}"].contiguous(memory_format=memory_format).requires_grad_()
        for i in maps
    ]
    samples = network(features, [vectors[f"input.patch_ids.{i}"] for i in maps])
    products = [(each * vectors[f"input.cotangent.{i}"]).mean() for i, each in enumerate(samples)]
    torch.stack(products).sum().backward()
    found = {f"output.sample.{i}": each for i, each in enumerate(samples)}
    found |= {f"output.input_gradient.{i}": each.grad for i, each in enumerate(features)}
    found |= {
        f"output.weight_gradient.{name}": each.grad for name, each in network.named_parameters()
    }
    assert found.keys() == {key for key in vectors.tensors if key.startswith("output.")}
    errors = {key: vectors.error(key, ours) for key, ours in found.items()}
    assert max(errors.values()) < 1e-9, errors


def test_positions_are_drawn_without_repetition_and_all_of_a_small_map():
    torch.manual_seed(0)
    features = [torch.zeros(2, 3, 20, 30), torch.zeros(2, 3, 3, 5)]
    large, small = draw_positions(features, 16)
    assert large.shape == (16,)
    assert len(large.unique()) == 16
    assert large.max() < 600
    assert sorted(small.tolist()) == list(range(15))
    counts = torch.zeros(600)
    for _ in range(1000):
        counts[draw_positions(features[:1], 300)[0]] += 1
    assert (counts - 500).abs().max() < 6 * 250**0.5  # of a binomial distribution


def test_a_row_of_the_sampler_describes_one_place_of_one_image():
    torch.manual_seed(0)
    sampler = PatchSampler([4], width=8).double()
    features = torch.randn(2, 4, 5, 6, dtype=torch.float64)
    (rows,) = sampler([features], [torch.tensor([7, 29])])
    for row, (n, y, x) in zip(rows, [(0, 1, 1), (0, 4, 5), (1, 1, 1), (1, 4, 5)], strict=True):
        expected = sampler.mlp_0(features[n, :, y, x])
        torch.testing.assert_close(row, expected / expected.norm(), atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(rows.norm(dim=1), torch.ones(4).double(), atol=1e-5, rtol=0)


def test_gradients_of_a_single_image_are_those_of_two_copies():
    """torch's nn.InstanceNorm2d computes others (2.14 and 2.15, CPU), if the gradient it is given
    lies in memory as in channels_last."""
    torch.manual_seed(0)
    network = AntialiasedResNet(3, 3, width=4, blocks=5).double()
    layers = [0, 4, 8, 12, 16]
    sampler = PatchSampler(network.channels(layers), width=8).double()
    image = torch.randn(1, 3, 16, 16, dtype=torch.float64, requires_grad=True)
    places = draw_positions(network.features(image, layers), 8)
    gradients = []
    for images in (image, image.expand(2, -1, -1, -1)):
        features = network.features(images, layers)
        for each in features:
            each.register_hook(lambda g: g.contiguous(memory_format=torch.channels_last))
        loss = torch.stack([row.pow(3).mean() for row in sampler(features, places)]).sum()
        inside = list(network.model[:17].parameters())
        gradients.append(torch.autograd.grad(loss, inside))
    scale = max(gradient.abs().max() for gradient in gradients[1])
    for one, two in zip(*gradients, strict=True):
        assert (one - two).abs().max() < 1e-12 * scale


def test_initial_weights_of_the_sampler_are_xavier_times_the_gain():
    torch.manual_seed(0)
    sampler = PatchSampler([300], width=500)
    initialise(sampler, "xavier", 0.02)
    first = sampler.mlp_0[0]
    assert first.bias.abs().max() == 0
    assert first.weight.std().item() == pytest.approx(0.02 * (2 / 800) ** 0.5, rel=0.01)


def test_blurs_against_their_definition():
    torch.manual_seed(0)
    image = torch.randn(1, 2, 6, 7, dtype=torch.float64)
    padded = F.pad(image, (1, 1, 1, 1), mode="reflect")
    expected = torch.zeros(1, 2, 3, 4, dtype=torch.float64)
    for i, a in enumerate((1, 2, 1)):
        for j, b in enumerate((1, 2, 1)):
            expected += a * b / 16 * padded[:, :, i : i + 5 : 2, j : j + 7 : 2]
    torch.testing.assert_close(BlurDown(2).double()(image), expected)
    # Along each axis: 3/4 of the nearer and 1/4 of the farther neighbour, the border repeated.
    line = torch.tensor([1.0, 5.0, 2.0], dtype=torch.float64)
    doubled = torch.tensor([1.0, 2.0, 4.0, 4.25, 2.75, 2.0], dtype=torch.float64)
    upsampled = BlurUp(1).double()(torch.outer(line, line)[None, None])
    torch.testing.assert_close(upsampled, torch.outer(doubled, doubled)[None, None])


@pytest.mark.parametrize("kind", [BlurDown, BlurUp])
def test_blurs_say_which_layers_of_torch_they_are(kind):
    blur = kind(3).double()
    image = torch.randn(2, 3, 5, 8, dtype=torch.float64)
    torch.testing.assert_close(nn.Sequential(*blur.layers())(image), blur(image))


def test_networks_are_made_smaller_for_smaller_images():
    assert AntialiasedPatchGAN.fit_to(24, {"layers": 3}) == {}
    assert AntialiasedPatchGAN.fit_to(23, {"layers": 3}) == {"layers": 2}
    assert AntialiasedPatchGAN(3, width=2, layers=2)(torch.zeros(1, 3, 23, 23)).numel() == 9


def test_constants_stay_what_they_are():
    white = torch.ones(1, 3, 8, 8)
    torch.testing.assert_close(BlurDown(3)(white), torch.ones(1, 3, 4, 4))
    torch.testing.assert_close(BlurUp(3)(white), torch.ones(1, 3, 16, 16))


def test_the_published_networks_have_the_published_number_of_parameters():
    with torch.device("meta"):
        counts = [
            sum(p.numel() for p in network.parameters())
            for network in (AntialiasedResNet(3, 3), AntialiasedPatchGAN(3))
        ]
    # Those of CycleGAN's networks: the blurs have none.
    assert counts == [11_378_179, 2_764_737]


@pytest.mark.parametrize("norm", ["batch", "instance", "none"])
def test_features_are_outputs_of_the_layers_that_they_are_named_after(norm):
    torch.manual_seed(0)
    network = AntialiasedResNet(3, 3, width=4, blocks=2, norm=norm)
    image = torch.randn(2, 3, 16, 24)
    seen: dict[int, Tensor] = {}
    for i, layer in enumerate(network.model):
        layer.register_forward_hook(lambda m, x, y, i=i: seen.__setitem__(i, y.clone()))
    network(image)
    everything = range(len(network.model))
    network.require_layers(everything)
    features = network.features(image, everything)
    assert network.channels(everything) == [each.shape[1] for each in features]
    for i, each in enumerate(features):
        torch.testing.assert_close(each, seen[i])


def test_nothing_behind_the_last_layer_is_computed():
    network = AntialiasedResNet(3, 3, width=2, blocks=1)
    network.model[13] = nn.Identity()  # would be seen
    network.model[13].forward = lambda features: pytest.fail("computed")
    network.features(torch.randn(1, 3, 8, 8), [0, 4, 12])


@pytest.mark.parametrize("layers", [[], [4, 0], [0, 0], [-1], [0, 24]])
def test_impossible_feature_layers_are_an_error_that_quotes_them(layers):
    network = AntialiasedResNet(3, 3, width=2, blocks=1)
    with pytest.raises(OptionsError, match="0 to 23"):
        network.require_layers(layers)


def test_checkpointing_changes_no_gradient():
    torch.manual_seed(0)
    network = AntialiasedResNet(3, 3, width=2, blocks=2).double()
    image = torch.randn(2, 3, 16, 16, dtype=torch.float64)
    gradients = []
    for network.checkpointing in (False, True):
        features = network.features(image, [0, 4, 8, 12])
        loss = torch.stack([each.square().mean() for each in [*features, network(image)]]).sum()
        gradients.append(torch.autograd.grad(loss, list(network.parameters())))
    for with_, without in zip(*gradients, strict=True):
        torch.testing.assert_close(with_, without)


@pytest.mark.parametrize("layers", [1, 2, 3])
def test_the_receptive_field_is_what_a_score_really_sees(layers):
    network = AntialiasedPatchGAN(1, width=2, layers=layers, norm="none").double()
    size = 2 * network.receptive_field + 2**layers
    image = torch.randn(1, 1, size, size, dtype=torch.float64, requires_grad=True)
    scores = network(image)
    middle = scores.shape[-1] // 2
    (gradient,) = torch.autograd.grad(scores[0, 0, middle, middle], image)
    seen = gradient.abs().sum((0, 1, 2)).nonzero().flatten()
    assert seen[-1] - seen[0] + 1 == network.receptive_field


@pytest.mark.parametrize(("height", "width"), [(24, 24), (25, 31), (47, 40)])
def test_scores_form_a_map_of_the_documented_size(height, width):
    network = AntialiasedPatchGAN(3, width=2)
    assert network.minimum == 24
    assert network(torch.randn(1, 3, height, width)).shape == (
        1,
        1,
        height // 8 - 2,
        width // 8 - 2,
    )
    with pytest.raises(DataError, match="23x40"):
        network(torch.zeros(1, 3, 23, 40))
