"""The networks of pix2pixHD against the authors', and what can be said of them without."""

import pytest
import torch
from torch import nn

from i2i.core.label_maps import instance_edges, label_planes, one_hot
from i2i.errors import DataError, OptionsError
from i2i.networks.multiscale import MultiScalePatchGAN
from i2i.networks.pix2pixhd import GlobalGenerator, LocalEnhancer, halved
from recordings import Vectors, recorded


def generator(config: dict) -> nn.Module:
    shape = {"width": config["nf"], "downs": config["downs"], "blocks": config["blocks"]}
    if "enhancers" not in config:
        return GlobalGenerator(config["in"], config["out"], norm=config["norm"], **shape)
    return LocalEnhancer(
        config["in"],
        config["out"],
        norm=config["norm"],
        enhancers=config["enhancers"],
        local_blocks=config["blocks_local"],
        **shape,
    )


def discriminator(config: dict) -> MultiScalePatchGAN:
    return MultiScalePatchGAN(
        config["in"],
        width=config["nf"],
        layers=config["layers"],
        scales=config["scales"],
        norm=config["norm"],
        matching=config["features"],
    )


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last], ids=str)
@pytest.mark.parametrize(
    "path", recorded("pix2pixhd_global") + recorded("pix2pixhd_local"), ids=lambda path: path.stem
)
def test_the_generators_are_those_of_the_authors(path, memory_format):
    vectors = Vectors(path)
    network = vectors.load(generator(vectors.config)).to(memory_format=memory_format)
    image = vectors["input.image"].contiguous(memory_format=memory_format).requires_grad_()
    found = {"output.eval": network.eval()(image)}
    found["output.train"] = vectors.load(network).train()(image)
    (found["output.input_gradient"],) = torch.autograd.grad(
        found["output.train"].square().mean(), image
    )
    errors = {key: vectors.error(key, ours) for key, ours in found.items()}
    assert max(errors.values()) < 1e-9, errors


@pytest.mark.parametrize("path", recorded("pix2pixhd_discriminator"), ids=lambda path: path.stem)
def test_the_discriminator_is_that_of_the_authors(path):
    vectors = Vectors(path)
    network = vectors.load(discriminator(vectors.config))
    image = vectors["input.image"].requires_grad_()
    found = {f"output.eval.{i}": each for i, each in enumerate(network.eval()(image))}
    layers = vectors.load(network).train().layers(image)
    found |= {
        f"output.train.{i}.{j}": each
        for i, of_scale in enumerate(layers)
        for j, each in enumerate(of_scale)
    }
    (found["output.input_gradient"],) = torch.autograd.grad(
        torch.stack([of_scale[-1].square().mean() for of_scale in layers]).sum(), image
    )
    assert found.keys() == {key for key in vectors.tensors if key.startswith("output.")}
    errors = {key: vectors.error(key, ours) for key, ours in found.items()}
    assert max(errors.values()) < 1e-9, errors


def test_weights_named_as_without_feature_matching_are_the_same_network():
    torch.manual_seed(0)
    settings = {"width": 4, "layers": 2, "scales": 2, "norm": "batch"}
    network = MultiScalePatchGAN(5, **settings).double()
    plain = MultiScalePatchGAN(5, **settings, matching=False).double()
    assert {"layer0.0.weight", "layer1.2.weight", "layer1.3.running_mean"} < set(plain.state_dict())
    for theirs, ours in zip(
        plain.state_dict().values(), network.state_dict().values(), strict=True
    ):
        theirs.copy_(ours)
    image = torch.randn(2, 5, 32, 48, dtype=torch.float64)
    for ours, theirs in zip(network(image), plain(image), strict=True):
        assert torch.equal(ours, theirs)


def test_the_published_networks_have_the_published_shapes():
    with torch.device("meta"):
        whole = GlobalGenerator(36, 3)
        enhanced = LocalEnhancer(36, 3)
        judge = MultiScalePatchGAN(39)
    assert sum(p.numel() for p in whole.parameters()) == 182_546_755
    assert whole.state_dict()["model.16.conv_block.1.weight"].shape == (1024, 1024, 3, 3)
    inside = {name: p.shape for name, p in whole.named_parameters()}
    for name, parameter in enhanced.named_parameters():
        if name.startswith("model."):
            assert parameter.shape == inside[name]
    assert enhanced.state_dict()["model1_2.7.weight"].shape == (3, 32, 7, 7)
    assert judge.state_dict()["scale1_layer3.0.weight"].shape == (512, 256, 4, 4)
    assert (whole.multiple, enhanced.multiple) == (16, 32)


@pytest.mark.parametrize("enhancers", [1, 2, 3])
def test_every_enhancer_sees_the_image_at_its_size(enhancers):
    torch.manual_seed(0)
    network = LocalEnhancer(
        2, 3, width=2, downs=1, blocks=1, enhancers=enhancers, local_blocks=1, norm="instance"
    )
    seen = {}
    for name, module in network.named_children():
        module.register_forward_hook(
            lambda m, x, y, name=name: seen.__setitem__(name, (x[0].shape[1:], y.shape[1:]))
        )
    height, width = 4 * network.multiple, 2 * network.multiple
    assert network(torch.randn(1, 2, height, width)).shape == (1, 3, height, width)
    for n in range(1, enhancers + 1):
        shrink = 2 ** (enhancers - n)
        size, inside = (height // shrink, width // shrink), 2 * 2 * shrink
        half = (size[0] // 2, size[1] // 2)
        assert seen[f"model{n}_1"] == ((2, *size), (inside, *half))
        out = 3 if n == enhancers else inside // 2
        assert seen[f"model{n}_2"] == ((inside, *half), (out, *size))


def test_the_outermost_enhancer_is_what_is_trained_first():
    network = LocalEnhancer(2, 3, width=2, downs=1, blocks=1, enhancers=2, local_blocks=1)
    named = {id(p): name for name, p in network.named_parameters()}
    outermost = {named[id(p)] for half in network.outermost() for p in half.parameters()}
    assert outermost == {name for name in named.values() if name.startswith("model2")}
    assert outermost


def test_halving_averages_what_lies_inside_the_image():
    image = torch.arange(12.0).reshape(1, 1, 3, 4)
    expected = torch.tensor([[2.5, 4.5], [6.5, 8.5]])
    expected[0] = torch.tensor([(0 + 1 + 4 + 5) / 4, (1 + 2 + 3 + 5 + 6 + 7) / 6])
    expected[1] = torch.tensor([(4 + 5 + 8 + 9) / 4, (5 + 6 + 7 + 9 + 10 + 11) / 6])
    torch.testing.assert_close(halved(image)[0, 0], expected)


def test_planes_of_labels_and_edges():
    labels = torch.tensor([[[[0, 2], [1, 9]]]], dtype=torch.uint8)
    planes = one_hot(labels, 3)
    assert planes.shape == (1, 3, 2, 2)
    assert planes.sum() == 3  # 9 is no class
    for number, (y, x) in enumerate([(0, 0), (1, 0), (0, 1)]):
        assert planes[0, number, y, x] == 1
    objects = torch.tensor([[[[7, 7, 7], [7, 300, 7], [7, 7, 7]]]], dtype=torch.int32)
    edges = instance_edges(objects)
    assert edges[0, 0].tolist() == [[0, 1, 0], [1, 1, 1], [0, 1, 0]]
    joined = label_planes(objects * 0, 2, objects)
    assert joined.shape == (1, 3, 3, 3)
    assert torch.equal(joined[:, 2:], edges)
    assert label_planes(labels, 3).shape == (1, 3, 2, 2)


@pytest.mark.parametrize("family", ["pix2pixhd_losses", "spade_losses"])
def test_label_maps_are_encoded_as_by_the_authors(family):
    for path in recorded(family):
        vectors = Vectors(path)
        classes = vectors.config["label_nc"] + vectors.config.get("dont_care", False)
        instances = vectors["input.instance"] if vectors.config["instance"] else None
        planes = label_planes(vectors["input.label"], classes, instances).flatten()
        every = vectors.every if planes.numel() > 2048 else 1
        assert torch.equal(planes[::every], vectors["output.semantics"].flatten().float())


@pytest.mark.parametrize("size", [4, 8, 16, 32])
def test_generators_are_made_shallower_for_smaller_images(size):
    options = {"downs": 4}
    options |= GlobalGenerator.fit_to(size, options)
    assert options["downs"] == {4: 1, 8: 2, 16: 3, 32: 4}[size]
    network = GlobalGenerator(3, 3, width=2, blocks=1, **options)
    assert network(torch.zeros(1, 3, size, size)).shape == (1, 3, size, size)
    options = {"downs": 4, "enhancers": 1}
    options |= LocalEnhancer.fit_to(2 * size, options)
    network = LocalEnhancer(3, 3, width=2, blocks=1, local_blocks=1, **options)
    assert network(torch.zeros(1, 3, 2 * size, 2 * size)).shape == (1, 3, 2 * size, 2 * size)


def test_sizes_that_do_not_fit_are_errors_that_quote_them():
    network = GlobalGenerator(3, 3, width=2, downs=2, blocks=1)
    with pytest.raises(DataError, match="10x8"):
        network(torch.zeros(1, 3, 10, 8))
    judge = MultiScalePatchGAN(3, width=2, layers=2, scales=3)
    assert judge.minimum == 5
    assert len(judge(torch.zeros(1, 3, 5, 5))) == 3
    with pytest.raises(DataError, match="4x5"):
        judge(torch.zeros(1, 3, 4, 5))
    with pytest.raises(OptionsError, match="enhancers is 0"):
        LocalEnhancer(3, 3, width=2, enhancers=0)


@pytest.mark.parametrize("network", [GlobalGenerator, LocalEnhancer])
def test_resizing_draws_no_checkerboard_on_an_even_image(network):
    spread = {}
    for upsample in ("transposed", "resize"):
        torch.manual_seed(0)
        made = network(3, 3, width=4, downs=1, blocks=1, norm="none", upsample=upsample).double()
        middle = made(torch.full((1, 3, 96, 96), 0.5).double())[..., 40:56, 40:56]
        spread[upsample] = (middle.amax(dim=(2, 3)) - middle.amin(dim=(2, 3))).max().item()
    assert spread["resize"] < 1e-12
    assert spread["transposed"] > 1e-4
