"""Which of the networks some weights belong to, from their names and shapes alone.

The published files hold weights and nothing else. Every network that such names could mean is
built (without memory) and the one that fits best is taken; what then does not fit is an error, so
weights are never loaded in part.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from typing import Any, Literal

import torch
from torch import Tensor, nn

from i2i.errors import CheckpointError
from i2i.networks.antialiased import AntialiasedPatchGAN, AntialiasedResNet
from i2i.networks.blocks import NORMS
from i2i.networks.multiscale import MultiScalePatchGAN, SpectralPatchGAN
from i2i.networks.patch_sampler import PatchSampler
from i2i.networks.patchgan import PatchGAN, PixelGAN
from i2i.networks.pix2pixhd import GlobalGenerator, LocalEnhancer
from i2i.networks.resnet import ResNet
from i2i.networks.spade import DOUBLINGS, SPADEGenerator, StyleEncoder
from i2i.networks.stargan import StarGANDiscriminator, StarGANGenerator
from i2i.networks.unet import UNet

Weights = Mapping[str, Tensor]

DEEPEST = 16
"""Levels of a U-Net or layers of a discriminator that are tried: 65,536 pixels become one."""

TRAINED = 256
"""Pixels at which SPADE was trained with styles, at least."""

COUNTER = "num_batches_tracked"
_BUFFERS = ("running_mean", "running_var", COUNTER)


@dataclass(frozen=True)
class Architecture:
    """A network that weights belong to.

    Attributes:
        role: what it is for.
        network: its name in `GENERATORS` or `DISCRIMINATORS`.
        channels: the channels it takes and, for a generator, those it returns; of a patch sampler
            one list, those of its feature maps.
        arguments: the keyword arguments of its class. Dropout at the end of a U-Net's levels leaves
            no trace in the names; for a U-Net it is left out here.
        kind: its class.
    """

    role: Literal["generator", "discriminator", "patch_sampler", "style_encoder"]
    network: str
    channels: tuple[Any, ...]
    arguments: dict[str, Any]
    kind: type[nn.Module]

    def build(self) -> nn.Module:
        """Build it, with fresh weights."""
        return self.kind(*self.channels, **self.arguments)

    def __str__(self) -> str:
        values = ", ".join(f"{name} {value}" for name, value in self.arguments.items())
        channels = " to ".join(map(str, self.channels))
        return f"{self.network} {self.role} ({values}, channels {channels})"


def recognise(weights: Weights, source: str) -> tuple[Architecture, dict[str, Tensor]]:
    """Find the network that weights belong to.

    Two things of old files are mended. Running statistics of instance normalisation that does not
    use any are dropped. The counters of batches that normalisation keeps since torch 0.4.1 are
    added, as zeros, if there is not a single one.

    Args:
        weights: name -> tensor, under the published names.
        source: what the weights come from, for the message.

    Returns:
        the network, and its weights: all of them, and nothing else.

    Raises:
        CheckpointError: a weight is missing, left over or of another shape, or the weights are
            those of another kind of network altogether.
    """
    best = min(
        (_compare(architecture, weights) for architecture in _candidates(weights)),
        key=lambda comparison: comparison.differences,
        default=None,
    )
    if best is None or 2 * best.differences > len(weights):
        names = ", ".join(list(weights)[:3])
        raise CheckpointError(
            f"{source} holds the weights of no published network ({names or 'none at all'}, ...): "
            "expected a generator or discriminator of pix2pix, CycleGAN, StarGAN, CUT, pix2pixHD "
            "or SPADE."
        )
    if best.differences:
        raise CheckpointError(f"{source} does not fit {best.explain()}.")
    return best.architecture, best.weights


@dataclass(frozen=True)
class _Comparison:
    architecture: Architecture
    weights: dict[str, Tensor]
    missing: list[str]
    left_over: list[str]
    misshapen: list[str]

    @property
    def differences(self) -> int:
        return len(self.missing) + len(self.left_over) + len(self.misshapen)

    def explain(self) -> str:
        """What does not fit to which network, whose arguments follow from what is missing, too."""
        network = self.architecture
        named = f"a {network.network} {network.role}" if self.missing else f"the {network}"
        lists = {
            "missing": self.missing,
            "left over": self.left_over,
            "of another shape": self.misshapen,
        }
        return f"{named}: " + "; ".join(
            f"{what}: {', '.join(names[:4])}{f' and {len(names) - 4} more' * (len(names) > 4)}"
            for what, names in lists.items()
            if names
        )


def _compare(architecture: Architecture, weights: Weights) -> _Comparison:
    channels = (tuple(each) if isinstance(each, list) else each for each in architecture.channels)
    arguments = tuple(architecture.arguments.items())
    kind: Any = architecture.kind  # a class, whose hash mypy takes for that of its instances
    expected, unused = _layout(kind, tuple(channels), arguments)
    kept = {name: tensor for name, tensor in weights.items() if name not in unused}
    if not any(name.endswith(COUNTER) for name in kept):
        kept |= {name: torch.tensor(0) for name in expected if name.endswith(COUNTER)}
    return _Comparison(
        architecture,
        kept,
        missing=[name for name in expected if name not in kept],
        left_over=[name for name in kept if name not in expected],
        misshapen=[
            f"{name} (is {_shape(kept[name].shape)}, expected {_shape(shape)})"
            for name, shape in expected.items()
            if name in kept and kept[name].shape != shape
        ],
    )


@lru_cache(maxsize=128)
def _layout(
    kind: type[nn.Module], channels: tuple[Any, ...], arguments: tuple[tuple[str, Any], ...]
) -> tuple[dict[str, torch.Size], frozenset[str]]:
    """The shapes of a network's weights, and the buffers that instance normalisation without
    running statistics once had. The same networks are tried for many a file."""
    with torch.device("meta"):
        network = kind(*channels, **dict(arguments))
    unused = frozenset(
        f"{name}.{buffer}"
        for name, module in network.named_modules()
        if isinstance(module, nn.InstanceNorm2d) and not module.track_running_stats
        for buffer in _BUFFERS
    )
    return {name: tensor.shape for name, tensor in network.state_dict().items()}, unused


def _shape(shape: torch.Size) -> str:
    return "x".join(map(str, shape)) or "a single number"


def _candidates(weights: Weights) -> Iterator[Architecture]:
    """Every network that the names could mean, judged by how most of them begin."""
    families = {
        "model.model.": (_unets,),
        "model.": (
            _resnets,
            _patchgans,
            _antialiased_resnets,
            _antialiased_patchgans,
            _pix2pixhd_generators,
        ),
        "scale": (_multiscale_patchgans,),
        "layer": (_style_encoders, _multiscale_patchgans),
        "head_": (_spade_generators,),
        "discriminator_": (_spectral_patchgans,),
        "net.": (_pixelgans,),
        "main.": (_stargan_generators, _stargan_discriminators),
        "mlp_": (_patch_samplers,),
    }
    beginnings = Counter(
        next((beginning for beginning in families if name.startswith(beginning)), "")
        for name in weights
    )
    beginnings.pop("", None)
    for beginning, _ in beginnings.most_common(1):
        for family in families[beginning]:
            yield from family(weights)


def _unets(weights: Weights) -> Iterator[Architecture]:
    level = max(name.split(".").count("model") for name in weights) - 2
    inputs = _size(weights, "model.model.0.weight", 1)
    outputs = _sizes(weights, ("model.model.3.weight", 1), ("model.model.3.bias", 0))[0]
    widths = _sizes(weights, ("model.model.0.weight", 0), ("model.model.1.model.1.weight", 1))
    for downs, norm, width in product(range(2, min(level + 1, DEEPEST) + 1), NORMS, widths):
        arguments = {"width": width, "downs": downs, "norm": norm}
        yield Architecture("generator", "unet", (inputs, outputs), arguments, UNet)


def _resnets(weights: Weights) -> Iterator[Architecture]:
    some = _count(weights, r"model\.(\d+)\.conv_block\.")
    inputs = _size(weights, "model.1.weight", 1)
    widths = _sizes(weights, ("model.1.weight", 0), ("model.4.weight", 1))
    for blocks, norm, width in product(_near(some), NORMS, widths):
        last = f"model.{blocks + 17}"
        outputs = _sizes(weights, (f"{last}.weight", 0), (f"{last}.bias", 0))[0]
        for dropout in (False, True) if blocks else (False,):
            arguments = {"width": width, "blocks": blocks, "norm": norm, "dropout": dropout}
            yield Architecture("generator", "resnet", (inputs, outputs), arguments, ResNet)


def _patchgans(weights: Weights) -> Iterator[Architecture]:
    most = min(_count(weights, r"model\.(\d+)\.\w+$"), DEEPEST)
    inputs = _size(weights, "model.0.weight", 1)
    widths = _sizes(weights, ("model.0.weight", 0), ("model.2.weight", 1))
    for layers, norm, width in product(range(1, most + 1), NORMS, widths):
        arguments = {"width": width, "layers": layers, "norm": norm}
        yield Architecture("discriminator", "patchgan", (inputs,), arguments, PatchGAN)


def _antialiased_resnets(weights: Weights) -> Iterator[Architecture]:
    if not _antialiased(weights):
        return
    some = _count(weights, r"model\.(\d+)\.conv_block\.")
    inputs = _size(weights, "model.1.weight", 1)
    widths = _sizes(weights, ("model.1.weight", 0), ("model.4.weight", 1))
    for blocks, norm, width in product(_near(some), NORMS, widths):
        last = f"model.{blocks + 21}"
        outputs = _sizes(weights, (f"{last}.weight", 0), (f"{last}.bias", 0))[0]
        for dropout in (False, True) if blocks else (False,):
            yield Architecture(
                "generator",
                "antialiased-resnet",
                (inputs, outputs),
                {"width": width, "blocks": blocks, "norm": norm, "dropout": dropout},
                AntialiasedResNet,
            )


def _antialiased_patchgans(weights: Weights) -> Iterator[Architecture]:
    if not _antialiased(weights):
        return
    most = min(_count(weights, r"model\.(\d+)\.\w+$"), DEEPEST)
    inputs = _size(weights, "model.0.weight", 1)
    widths = _sizes(weights, ("model.0.weight", 0), ("model.3.weight", 1))
    for layers, norm, width in product(range(1, most + 1), NORMS, widths):
        yield Architecture(
            "discriminator",
            "antialiased-patchgan",
            (inputs,),
            {"width": width, "layers": layers, "norm": norm},
            AntialiasedPatchGAN,
        )


def _antialiased(weights: Weights) -> bool:
    """Whether there are fixed filters that blur, which plain networks do not have."""
    return any(name.endswith(".filt") for name in weights)


def _patch_samplers(weights: Weights) -> Iterator[Architecture]:
    maps = _count(weights, r"mlp_(\d+)\.")
    channels = [_size(weights, f"mlp_{i}.0.weight", 1) for i in range(maps)]
    for width in _sizes(weights, ("mlp_0.0.weight", 0), ("mlp_0.2.weight", 0)):
        yield Architecture("patch_sampler", "mlp", (channels,), {"width": width}, PatchSampler)


def _pixelgans(weights: Weights) -> Iterator[Architecture]:
    inputs = _size(weights, "net.0.weight", 1)
    widths = _sizes(weights, ("net.0.weight", 0), ("net.2.weight", 1))
    for norm, width in product(NORMS, widths):
        arguments = {"width": width, "norm": norm}
        yield Architecture("discriminator", "pixelgan", (inputs,), arguments, PixelGAN)


def _stargan_generators(weights: Weights) -> Iterator[Architecture]:
    some = _count(weights, r"main\.(\d+)\.main\.")
    inputs = _size(weights, "main.0.weight", 1)
    widths = _sizes(weights, ("main.0.weight", 0), ("main.3.weight", 1))
    for blocks, width in product(_near(some), widths):
        outputs = _size(weights, f"main.{blocks + 15}.weight", 0)
        arguments = {"width": width, "blocks": blocks}
        yield Architecture("generator", "stargan", (inputs, outputs), arguments, StarGANGenerator)


def _stargan_discriminators(weights: Weights) -> Iterator[Architecture]:
    most = min(_count(weights, r"main\.(\d+)\.\w+$"), DEEPEST)
    inputs = _size(weights, "main.0.weight", 1)
    widths = _sizes(weights, ("main.0.weight", 0), ("main.2.weight", 1))
    for layers, width in product(range(1, most + 1), widths):
        arguments = {
            "width": width,
            "layers": layers,
            "classes": _size(weights, "conv2.weight", 0),
            "size": _size(weights, "conv2.weight", 2) * 2**layers,
        }
        yield Architecture("discriminator", "stargan", (inputs,), arguments, StarGANDiscriminator)


def _pix2pixhd_generators(weights: Weights) -> Iterator[Architecture]:
    """Global generators, and enhancers around one."""
    enhancers = _count(weights, r"model(\d+)_1\.")
    some = _count(weights, r"model\.(\d+)\.conv_block\.")
    inner = _width(weights, "model.1.weight")
    inputs = _size(weights, "model.1.weight", 1)
    # Modules of the global generator: 4 from the image, 3 each halving and doubling, the blocks.
    plain = len({match[1] for n in weights if (match := re.match(r"model\.(\d+)\.\w+$", n))})
    for blocks in _near(some):
        for downs, norm in product(range(1, DEEPEST + 1), NORMS):
            convolutions = 1 + 2 * downs + (0 if enhancers else 1)
            if plain not in (convolutions, 2 * convolutions, 2 * convolutions - 1):
                continue
            arguments: dict[str, Any] = {"downs": downs, "blocks": blocks, "norm": norm}
            if not enhancers:
                last = f"model.{7 + 6 * downs + blocks - 2}"
                outputs = _sizes(weights, (f"{last}.weight", 0), (f"{last}.bias", 0))[0]
                yield Architecture(
                    "generator",
                    "pix2pixhd-global",
                    (inputs, outputs),
                    {"width": inner, **arguments},
                    GlobalGenerator,
                )
                continue
            second = f"model{enhancers}_2"
            local = _count(weights, rf"{second}\.(\d+)\.conv_block\.")
            outputs = _size(weights, f"{second}.{local + 4}.weight", 0)
            more = {"enhancers": enhancers, "local_blocks": local}
            yield Architecture(
                "generator",
                "pix2pixhd-enhancer",
                (inputs, outputs),
                {"width": max(1, inner >> enhancers), **arguments, **more},
                LocalEnhancer,
            )


def _multiscale_patchgans(weights: Weights) -> Iterator[Architecture]:
    matching = any(name.startswith("scale") for name in weights)
    first = "scale0_layer0.0.weight" if matching else "layer0.0.weight"
    scales = _count(weights, r"scale(\d+)_" if matching else r"layer(\d+)\.")
    inputs, width = _size(weights, first, 1), _width(weights, first)
    some = _count(weights, r"scale0_layer(\d+)\." if matching else r"layer0\.(\d+)\.")
    for layers, norm in product(range(1, min(some, DEEPEST) + 1), NORMS):
        if matching and layers != some - 2:
            continue
        yield Architecture(
            "discriminator",
            "multiscale-patchgan",
            (inputs,),
            {
                **{"width": width, "layers": layers, "scales": scales, "norm": norm},
                "matching": matching,
            },
            MultiScalePatchGAN,
        )


def _spade_generators(weights: Weights) -> Iterator[Architecture]:
    spectral = any(name.endswith("weight_orig") for name in weights)
    labels = "head_0.norm_0.mlp_shared.0.weight"
    inputs, hidden = _size(weights, labels, 1), _size(weights, labels, 0)
    kernel = _size(weights, labels, 2)
    ups = _count(weights, r"up_(\d+)\.")
    most = _size(weights, "head_0.norm_0.mlp_gamma.weight", 0)
    outputs = _size(weights, "conv_img.weight", 0)
    norm = "batch" if any("param_free_norm" in name for name in weights) else "instance"
    linear = weights["fc.weight"].ndim == 2 if "fc.weight" in weights else False
    options = {
        **{"width": max(1, most // 16), "norm": norm, "kernel": kernel, "hidden": hidden},
        "spectral": spectral,
    }
    # How often the first map is doubled leaves no trace; with a style, the size of that map does.
    upsampling = "most" if ups > 4 else "normal"
    if linear:
        style = _size(weights, "fc.weight", 1)
        side = max(1, round((_size(weights, "fc.weight", 0) / most) ** 0.5))
        if side << DOUBLINGS[upsampling] < TRAINED and ups == 4:
            upsampling = "more"
        side <<= DOUBLINGS[upsampling]
        options |= {"style": style, "size": (side, side)}
    yield Architecture(
        "generator",
        "spade",
        (inputs, outputs),
        {**options, "upsampling": upsampling},
        SPADEGenerator,
    )


def _spectral_patchgans(weights: Weights) -> Iterator[Architecture]:
    first = "discriminator_0.model0.0.weight"
    layers = _count(weights, r"discriminator_0\.model(\d+)\.") - 1
    arguments = {
        "width": _width(weights, first),
        "layers": max(2, layers),
        "scales": _count(weights, r"discriminator_(\d+)\."),
    }
    for norm in NORMS:
        yield Architecture(
            "discriminator",
            "multiscale-spectral-patchgan",
            (_size(weights, first, 1),),
            {**arguments, "norm": norm},
            SpectralPatchGAN,
        )


def _style_encoders(weights: Weights) -> Iterator[Architecture]:
    for norm, name in (("instance", "layer1.0.weight_orig"), ("none", "layer1.weight_orig")):
        if name in weights:
            yield Architecture(
                "style_encoder",
                "spade",
                (_size(weights, name, 1), _size(weights, "fc_mu.weight", 0)),
                {"width": _width(weights, name), "norm": norm},
                StyleEncoder,
            )


def _width(weights: Weights, name: str) -> int:
    return _size(weights, name, 0)


def _count(weights: Weights, pattern: str) -> int:
    """How many different numbers stand where the pattern has one."""
    return len({match[1] for name in weights if (match := re.match(pattern, name))})


def _near(blocks: int) -> range:
    """The numbers of blocks to try; one block may be there only because of a stray name."""
    return range(max(blocks - 1, 0), blocks + 1)


def _size(weights: Weights, name: str, axis: int) -> int:
    """The size of a weight along an axis.

    Without that weight, the weights are incomplete whatever is returned: 3 serves as well as any.
    """
    return _sizes(weights, (name, axis))[0]


def _sizes(weights: Weights, *places: tuple[str, int]) -> list[int]:
    """The size as several weights tell it; if they disagree, one of them is not as it should be."""
    found = {
        max(weights[name].shape[axis], 1)
        for name, axis in places
        if name in weights and weights[name].ndim > axis
    }
    return sorted(found) or [3]
