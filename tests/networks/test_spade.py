"""The networks of SPADE against the authors', and what can be said of them without."""

import re

import pytest
import torch
from torch import Tensor, nn

from i2i.errors import DataError, OptionsError
from i2i.networks.inference import set_inference
from i2i.networks.init import initialise
from i2i.networks.multiscale import SpectralPatchGAN
from i2i.networks.spade import SPADE, SPADEGenerator, StyleEncoder, draw_style
from i2i.networks.spectral import HookedConv2d
from recordings import Vectors, plain_norm, recorded, spade_norm


def label_channels(config: dict) -> int:
    return config["label_nc"] + config["dont_care"] + config["instance"]


def generator(config: dict) -> SPADEGenerator:
    return SPADEGenerator(
        label_channels(config),
        3,
        tuple(config["size"]),
        width=config["nf"],
        upsampling=config["upsampling"],
        style=config["z_dim"] if config["vae"] else 0,
        **spade_norm(config["norm_generator"]),
    )


def discriminator(config: dict) -> SpectralPatchGAN:
    return SpectralPatchGAN(
        label_channels(config) + 3,
        width=config["nf"],
        layers=config["layers"],
        scales=config["scales"],
        norm=plain_norm(config["norm_discriminator"]),
    )


def changed(vectors: Vectors, network: nn.Module) -> dict[str, Tensor]:
    """The buffers of a network that were recorded as changed by a pass."""
    state = network.state_dict()
    keys = [key for key in vectors.tensors if key.startswith("after.")]
    assert keys or not any("running" in key or "weight_u" in key for key in state)
    return {key: state[key.removeprefix("after.")] for key in keys}


def assert_near(vectors: Vectors, found: dict[str, Tensor]) -> None:
    assert found.keys() == {key for key in vectors.tensors if key.startswith(("output.", "after."))}
    errors = {
        key: vectors.error(key, ours) if ours.is_floating_point() else ours - vectors[key]
        for key, ours in found.items()
    }
    assert max(errors.values()) < 1e-9, errors


@pytest.mark.parametrize("path", recorded("spade_layer"), ids=lambda path: path.stem)
def test_the_layer_is_that_of_the_authors(path):
    vectors = Vectors(path)
    options = spade_norm(vectors.config["norm"])
    del options["spectral"]
    layer = SPADE(
        vectors.config["channels"], vectors.config["label_channels"], hidden=128, **options
    )
    inputs = [vectors[f"input.{name}"].requires_grad_() for name in ("image", "semantics")]
    found = {"output.eval": vectors.load(layer).eval()(*inputs)}
    found["output.train"] = vectors.load(layer).train()(*inputs)
    gradients = torch.autograd.grad(found["output.train"].square().mean(), inputs)
    found |= zip(("output.input_gradient", "output.semantics_gradient"), gradients, strict=True)
    assert_near(vectors, found | changed(vectors, layer))


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last], ids=str)
@pytest.mark.parametrize("path", recorded("spade_generator"), ids=lambda path: path.stem)
def test_the_generator_is_that_of_the_authors(path, memory_format):
    vectors = Vectors(path)
    network = generator(vectors.config).to(memory_format=memory_format)
    inputs = [vectors["input.semantics"].double()]
    inputs += [vectors["input.z"]] if vectors.config["vae"] else []
    for each in inputs:
        each.requires_grad_()
    found = {"output.eval": vectors.load(network).eval()(*inputs)}
    found["output.train"] = vectors.load(network).train()(*inputs)
    gradients = torch.autograd.grad(found["output.train"].square().mean(), inputs)
    found |= zip(("output.semantics_gradient", "output.z_gradient"), gradients, strict=False)
    assert_near(vectors, found | changed(vectors, network))


@pytest.mark.parametrize("path", recorded("spade_discriminator"), ids=lambda path: path.stem)
def test_the_discriminator_is_that_of_the_authors(path):
    vectors = Vectors(path)
    network = discriminator(vectors.config)
    image = vectors["input.image"].requires_grad_()
    scores = vectors.load(network).eval()(image)
    found = {f"output.eval.{i}": each for i, each in enumerate(scores)}
    layers = vectors.load(network).train().layers(image)
    found |= {
        f"output.train.{i}.{j}": each
        for i, of_scale in enumerate(layers)
        for j, each in enumerate(of_scale)
    }
    (found["output.input_gradient"],) = torch.autograd.grad(
        torch.stack([of_scale[-1].square().mean() for of_scale in layers]).sum(), image
    )
    assert_near(vectors, found | changed(vectors, network))


@pytest.mark.parametrize("path", recorded("spade_encoder"), ids=lambda path: path.stem)
def test_the_encoder_is_that_of_the_authors(path):
    vectors = Vectors(path)
    config = vectors.config
    network = StyleEncoder(3, width=config["nf"], norm=plain_norm(config["norm_encoder"]))
    image = vectors["input.image"].requires_grad_()
    found = {}
    for mode in ("eval", "train"):
        vectors.load(network).train(mode == "train")
        outputs = network(image)
        found |= zip((f"output.{mode}.mu", f"output.{mode}.logvar"), outputs, strict=True)
    loss = outputs[0].square().mean() + outputs[1].square().mean()
    (found["output.input_gradient"],) = torch.autograd.grad(loss, image)
    assert_near(vectors, found | changed(vectors, network))


def test_the_published_networks_have_the_published_number_of_parameters():
    """COCO-Stuff of 182 classes, one for "don't care", and edges: 97.5M, as the authors print."""
    with torch.device("meta"):
        count = sum(p.numel() for p in SPADEGenerator(184, 3).parameters())
        judge = SpectralPatchGAN(187).state_dict()
    assert round(count / 1e6, 1) == 97.5
    assert judge["discriminator_1.model3.0.0.weight_orig"].shape == (512, 256, 4, 4)


@pytest.mark.parametrize(
    ("upsampling", "doublings"),
    [("least", 3), ("less", 4), ("normal", 5), ("more", 6), ("most", 7)],
)
@pytest.mark.parametrize("style", [0, 4])
def test_every_depth_gives_images_of_the_size_of_the_labels(upsampling, doublings, style):
    size = (2**doublings, 2 * 2**doublings)
    network = SPADEGenerator(2, 3, size, width=2, upsampling=upsampling, style=style, hidden=2)
    assert network.multiple == 2**doublings
    z = [torch.randn(2, style)] if style else []
    images = network(torch.rand(2, 2, *size), *z)
    assert images.shape == (2, 3, *size)
    assert images.abs().max() <= 1
    with pytest.raises(DataError, match="multiples"):
        network(torch.rand(2, 2, size[0] + 1, size[1]), *z)


@pytest.mark.parametrize("norm", ["batch", "instance"])
def test_a_single_pixel_that_cannot_be_normalised_is_an_error(norm):
    network = SPADEGenerator(2, 3, width=1, hidden=2, norm=norm)
    with pytest.raises(DataError, match="32x32"):
        network(torch.rand(1, 2, 32, 32))
    assert network(torch.rand(1, 2, 32, 64)).shape == (1, 3, 32, 64)
    if norm == "batch":
        assert network(torch.rand(2, 2, 32, 32)).shape == (2, 3, 32, 32)
        set_inference(network, norm="running", dropout=False)
        assert network(torch.rand(1, 2, 32, 32)).shape == (1, 3, 32, 32)
    set_inference(network, norm="instance", dropout=False)
    with pytest.raises(DataError, match="32x32"):
        network(torch.rand(2, 2, 32, 32))


def test_mistakes_are_errors_that_quote_the_value():
    with pytest.raises(OptionsError, match=re.escape("(48, 64)")):
        SPADEGenerator(2, 3, (48, 64), width=1, style=4)
    with pytest.raises(OptionsError, match="normals"):
        SPADEGenerator(2, 3, width=1, upsampling="normals")
    with pytest.raises(OptionsError, match="width is 1, but must be at least 2"):
        SPADEGenerator(2, 3, width=1, upsampling="most")
    with pytest.raises(OptionsError, match="kernel is 4"):
        SPADEGenerator(2, 3, width=1, kernel=4)
    with pytest.raises(OptionsError, match="layers is 1"):
        SpectralPatchGAN(2, layers=1)


def test_without_labels_at_work_the_layer_only_normalises():
    torch.manual_seed(0)
    layer = SPADE(3, 2, norm="batch", kernel=3, hidden=4).double()
    for convolution in (layer.mlp_gamma, layer.mlp_beta):
        nn.init.zeros_(convolution.weight)
        nn.init.zeros_(convolution.bias)
    features = 5 + 3 * torch.randn(4, 3, 8, 8, dtype=torch.float64)
    found = layer(features, torch.rand(4, 2, 16, 16, dtype=torch.float64))
    mean, std = features.mean((0, 2, 3)), features.std((0, 2, 3), correction=0)
    expected = (features - mean[:, None, None]) / std[:, None, None]
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


def test_a_hooked_convolution_is_torchs_older_form():
    torch.manual_seed(0)
    ours = HookedConv2d(3, 5, 3, padding=1).double()
    theirs = torch.nn.utils.spectral_norm(nn.Conv2d(3, 5, 3, padding=1).double())
    assert ours.state_dict().keys() == theirs.state_dict().keys()
    theirs.load_state_dict(ours.state_dict())
    image = torch.randn(2, 3, 6, 6, dtype=torch.float64)
    for training in (True, True, False):
        ours.train(training)
        theirs.train(training)
        outputs = [layer(image) for layer in (ours, theirs)]
        torch.testing.assert_close(*outputs, rtol=1e-12, atol=1e-12)
        gradients = [
            torch.autograd.grad(output.square().mean(), layer.weight_orig)[0]
            for output, layer in zip(outputs, (ours, theirs), strict=True)
        ]
        torch.testing.assert_close(*gradients, rtol=1e-12, atol=1e-12)
    for key, value in ours.state_dict().items():
        torch.testing.assert_close(value, theirs.state_dict()[key], rtol=1e-12, atol=1e-12)


def test_a_hooked_convolution_can_run_twice_before_the_backward_pass():
    torch.manual_seed(0)
    layer = HookedConv2d(3, 5, 3).double()
    image = torch.randn(2, 3, 6, 6, dtype=torch.float64)
    sum(layer(image).square().mean() for _ in range(2)).backward()
    assert layer.weight_orig.grad.isfinite().all()


def test_after_many_passes_the_largest_singular_value_is_1():
    torch.manual_seed(0)
    layer = HookedConv2d(3, 8, 3).double()
    for _ in range(200):
        layer(torch.zeros(1, 3, 3, 3, dtype=torch.float64))
    eye = torch.eye(27, dtype=torch.float64).reshape(27, 3, 3, 3)
    matrix = (layer(eye) - layer.bias[:, None, None]).flatten(1)
    assert torch.linalg.svdvals(matrix)[0].item() == pytest.approx(1, abs=1e-9)


def test_initialisation_draws_the_weights_but_not_the_vectors():
    torch.manual_seed(0)
    network = SpectralPatchGAN(3, width=32, layers=3, scales=1)
    layer = network.discriminator_0.model2[0][0]
    vectors = layer.weight_u.clone(), layer.weight_v.clone()
    initialise(network, "xavier", 0.02)
    fans = (64 + 128) * 16
    assert layer.weight_orig.std().item() == pytest.approx(0.02 * (2 / fans) ** 0.5, rel=0.02)
    assert torch.equal(layer.weight_u, vectors[0])
    assert torch.equal(layer.weight_v, vectors[1])


def test_biases_can_be_left_as_torch_draws_them():
    torch.manual_seed(0)
    layer = nn.Conv2d(3, 64, 3)
    before = layer.bias.clone()
    initialise(layer, "normal", 0.02, zero_biases=False)
    assert torch.equal(layer.bias, before)
    assert layer.weight.std().item() == pytest.approx(0.02, rel=0.1)
    norm = nn.BatchNorm2d(64)
    nn.init.ones_(norm.bias)
    initialise(norm, zero_biases=False)
    assert norm.bias.abs().max() == 0


def test_a_style_is_drawn_from_the_distribution_that_was_said():
    torch.manual_seed(0)
    mean, logvar = torch.full((100_000, 1), 3.0), torch.full((100_000, 1), 2.0)
    drawn = draw_style(mean, logvar)
    assert drawn.mean().item() == pytest.approx(3, abs=0.05)
    assert drawn.var().log().item() == pytest.approx(2, abs=0.05)
    assert torch.equal(draw_style(mean, logvar, torch.zeros_like(mean)), mean)
