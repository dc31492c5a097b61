"""Every network, with every normalisation, in every way that the trainer may run it."""

import copy
import inspect
import itertools

import pytest
import torch
from torch import Tensor, nn

from i2i.networks import (
    DISCRIMINATORS,
    GENERATORS,
    NORMS,
    UPSAMPLINGS,
    initialise,
    set_inference,
)

LATENT, CLASSES, SIZE = 6, 3, 32

FROM_NOISE = {"latent": LATENT, "size": SIZE, "classes": CLASSES, "out_channels": 3}
OF_CLASSES = {"in_channels": 3, "size": SIZE, "classes": CLASSES}
GENERATOR_ARGUMENTS = {
    "unet": {"in_channels": 3, "out_channels": 3, "downs": 3},
    "resnet": {"in_channels": 3, "out_channels": 3, "blocks": 1},
    "antialiased-resnet": {"in_channels": 3, "out_channels": 3, "blocks": 1},
    "stargan": {"in_channels": 3, "out_channels": 3, "blocks": 1},
    "dcgan": FROM_NOISE,
    "mlp": FROM_NOISE,
    "sagan": FROM_NOISE | {"attention": 16},
    "progan": FROM_NOISE | {"width": 16},  # narrower is too coarse in bfloat16
    "stylegan2": FROM_NOISE | {"channel_base": 512, "channel_max": 16, "style": 16},
    "r3gan": FROM_NOISE | {"width": (16,), "groups": (4,), "blocks": (1,)},
    "stargan-v2": {"in_channels": 3, "size": SIZE, "style_dim": 5},
}
DISCRIMINATOR_ARGUMENTS = {
    "patchgan": {"in_channels": 3, "layers": 2},
    "pixelgan": {"in_channels": 3},
    "antialiased-patchgan": {"in_channels": 3, "layers": 2},
    "stargan": {"in_channels": 3, "layers": 2, "classes": 5, "size": SIZE},
    "dcgan": OF_CLASSES,
    "mlp": OF_CLASSES,
    "sagan": OF_CLASSES | {"attention": 16},
    "progan": OF_CLASSES,
    "stylegan2": OF_CLASSES | {"channel_base": 512, "channel_max": 16},
    "r3gan": OF_CLASSES | {"width": (16,), "groups": (4,), "blocks": (1,)},
    "stargan-v2": {"in_channels": 3, "size": SIZE, "domains": 3},
    "projected": {"in_channels": 3, "enlarge_to": SIZE},
    "projected-classifier": {"in_channels": 3, "classes": 5, "size": SIZE, "enlarge_to": SIZE},
}
DRAWERS = [name for name, told in GENERATOR_ARGUMENTS.items() if "latent" in told]
# That of StarGAN v2 also takes a style; how one is exported, tests/inference/test_styler.py tells.
TRANSLATORS = [name for name in GENERATOR_ARGUMENTS if name not in (*DRAWERS, "stargan-v2")]
# Those of label maps and of several scales, in test_pix2pixhd.py and test_spade.py.
ELSEWHERE = {
    *("pix2pixhd-global", "pix2pixhd-enhancer", "spade"),
    *("multiscale-patchgan", "multiscale-spectral-patchgan"),
    "stargan-v2",  # test_starganv2.py
}
OWN_WEIGHTS = tuple(
    kind
    for kind in [*GENERATORS.values(), *DISCRIMINATORS.values()]
    if getattr(kind, "draws_own_weights", False)
)


def choices(kind: type[nn.Module]) -> list[dict[str, str]]:
    """What a network lets one choose by name, in every combination."""
    known = {"norm": NORMS, "upsample": UPSAMPLINGS}
    named = [name for name in known if name in inspect.signature(kind).parameters]
    return [
        dict(zip(named, values, strict=True))
        for values in itertools.product(*(known[name] for name in named))
    ]


CASES = {
    "-".join([role, name, *chosen.values()]): (registry[name], {**arguments, **chosen})
    for role, registry, of_each in (
        ("generator", GENERATORS, GENERATOR_ARGUMENTS),
        ("discriminator", DISCRIMINATORS, DISCRIMINATOR_ARGUMENTS),
    )
    for name, arguments in of_each.items()
    for chosen in choices(registry[name])
}


def test_every_network_is_tested():
    here = GENERATOR_ARGUMENTS.keys() | DISCRIMINATOR_ARGUMENTS.keys()
    built_in = {
        name
        for networks in (GENERATORS, DISCRIMINATORS)
        for name, network in networks.items()
        if network.__module__.startswith("i2i.")  # and not of a plug-in of another test
    }
    assert here | ELSEWHERE == built_in


def built(kind: type[nn.Module], width: int, arguments: dict) -> nn.Module:
    """A network of this width, if its arguments do not say another, or have another word for it."""
    default = {"width": width} if "width" in inspect.signature(kind).parameters else {}
    return kind(**default | arguments)


class Joined(nn.Module):
    """A network whose outputs, if there are several, are joined to one row for each image.

    A generator that draws from noise takes it from the images; labels, numbers of domains and
    styles are added where they are needed.
    """

    def __init__(self, network: nn.Module, arguments: dict) -> None:
        super().__init__()
        self.network = network
        self.from_noise = "latent" in arguments
        self.labelled = arguments.get("classes") == CLASSES
        self.domains = arguments.get("domains")
        self.style_dim = arguments.get("style_dim")
        # Random numbers would be others in each pass.
        self.settings = {"noise": "const"} if hasattr(network, "synthesis") else {}

    def forward(self, images: Tensor) -> Tensor:
        numbers = torch.arange(len(images))
        told = [torch.eye(CLASSES)[numbers % CLASSES].to(images)] if self.labelled else []
        told += [numbers % self.domains] if self.domains else []
        told += [torch.ones(len(images), self.style_dim).to(images)] if self.style_dim else []
        inputs = images.flatten(1)[:, :LATENT] if self.from_noise else images
        outputs = self.network(inputs, *told, **self.settings)
        if isinstance(outputs, tuple):
            return torch.cat([output.flatten(1) for output in outputs], dim=1)
        return outputs


@pytest.fixture(params=CASES)
def network(request) -> nn.Module:
    kind, arguments = CASES[request.param]
    torch.manual_seed(0)
    network = built(kind, 4, arguments)
    if not isinstance(network, OWN_WEIGHTS):
        initialise(network, "kaiming")
    return Joined(network, arguments)


@pytest.fixture(params=[1, 2], ids=lambda count: f"batch{count}")
def images(request) -> Tensor:
    torch.manual_seed(1)
    return 2 * torch.rand(request.param, 3, 32, 32) - 1


def gradients(network: nn.Module, images: Tensor) -> list[Tensor]:
    """The gradients of a loss with a gradient penalty in it: first and second derivatives."""
    images = images.detach().requires_grad_()
    # A copy: a forward pass in training mode may change what a network has estimated so far.
    network = copy.deepcopy(network)
    outputs = network(images)
    (slope,) = torch.autograd.grad(outputs.square().sum(), images, create_graph=True)
    loss = outputs.mean() + slope.square().sum().sqrt()
    parameters = list(network.parameters())
    return list(torch.autograd.grad(loss, [images, *parameters], materialize_grads=True))


def assert_close(ours: list[Tensor], theirs: list[Tensor], tolerance: float) -> None:
    # Relative to the largest of all: with normalisation some gradients are zero but for rounding.
    scale = max(tensor.abs().max().item() for tensor in theirs)
    for our, their in zip(ours, theirs, strict=True):
        torch.testing.assert_close(our, their, atol=tolerance * scale, rtol=0, check_dtype=False)


def test_derivatives_are_right_in_channels_last(network, images):
    expected = gradients(network, images)
    network.to(memory_format=torch.channels_last)
    assert_close(
        gradients(network, images.contiguous(memory_format=torch.channels_last)), expected, 1e-4
    )


def test_derivatives_are_right_in_double_precision(network, images):
    expected = gradients(network, images)
    in_double = gradients(network.double(), images.double())
    assert {tensor.dtype for tensor in in_double} == {torch.float64}
    assert_close(expected, in_double, 1e-4)


def test_bfloat16_autocast_computes_about_the_same(network):
    # Of several images: a single score may be near zero, and its relative error large.
    images = 2 * torch.rand(8, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(1)) - 1
    expected = copy.deepcopy(network)(images)
    with torch.autocast("cpu", torch.bfloat16):
        outputs = network(images)
    assert outputs.dtype == torch.bfloat16
    assert (outputs - expected).norm() < 0.05 * expected.norm()


@pytest.mark.parametrize("statistics", ["training", "instance", "running"])
def test_the_whole_network_compiles_into_one_graph(network, statistics):
    images = torch.randn(2, 3, 32, 32)
    if statistics != "training":
        set_inference(network, norm=statistics, dropout=False)
    torch.compiler.reset()
    compiled = torch.compile(copy.deepcopy(network), backend="eager", fullgraph=True)
    torch.testing.assert_close(compiled(images), network(images))


def test_every_translating_generator_says_which_sizes_it_takes():
    for name in TRANSLATORS:
        assert GENERATORS[name](width=2, **first(name)).multiple in (4, 8), name


@pytest.mark.parametrize("name", DRAWERS)
def test_every_generator_from_noise_says_what_it_takes_and_draws(name):
    network = built(GENERATORS[name], 2, GENERATOR_ARGUMENTS[name])
    assert (network.latent, network.size, network.classes) == (LATENT, SIZE, CLASSES)
    images = network(torch.randn(2, LATENT), torch.eye(CLASSES)[:2])
    assert images.shape == (2, 3, SIZE, SIZE)
    judge = built(DISCRIMINATORS[name], 2, DISCRIMINATOR_ARGUMENTS[name] | {"codes": 4})
    scores, logits = judge(images, torch.eye(CLASSES)[:2])
    assert (scores.shape, logits.shape) == ((2, 1), (2, 4))
    assert judge.features(images, torch.eye(CLASSES)[:2]).shape[0] == 2


def first(name: str) -> dict:
    """Arguments of a generator with the first of all choices."""
    return GENERATOR_ARGUMENTS[name] | choices(GENERATORS[name])[0]


@pytest.mark.parametrize("name", TRANSLATORS)
def test_generators_export_with_any_batch_and_size(name):
    network = GENERATORS[name](width=2, **first(name))
    set_inference(network, norm="instance", dropout=False)
    auto = torch.export.Dim.AUTO
    exported = torch.export.export(
        network,
        (torch.randn(2, 3, 32, 48),),
        dynamic_shapes={"images": {0: auto, 2: auto, 3: auto}},
    )
    images = torch.randn(3, 3, 64, 24)
    torch.testing.assert_close(exported.module()(images), network(images))


@pytest.mark.parametrize("name", DRAWERS)
def test_generators_from_noise_export_with_any_batch(name):
    network = built(GENERATORS[name], 2, GENERATOR_ARGUMENTS[name])
    set_inference(network, norm="running", dropout=False)
    batch = {0: torch.export.Dim.AUTO}
    inputs = torch.randn(2, LATENT), torch.eye(CLASSES)[:2]
    exported = torch.export.export(network, inputs, dynamic_shapes=(batch, batch))
    inputs = torch.randn(3, LATENT), torch.eye(CLASSES)
    torch.testing.assert_close(exported.module()(*inputs), network(*inputs))
