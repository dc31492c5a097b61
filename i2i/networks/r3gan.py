"""The networks of R3GAN: residual blocks of grouped convolutions, and no normalisation at all.

Huang et al., "The GAN is dead; long live the GAN! A modern GAN baseline", NeurIPS 2024, sections
3.2 to 3.4 and appendix. Weights start as Fixup has them (Zhang et al., "Fixup initialization:
residual learning without normalization", ICLR 2019). They have the names of the authors'
implementation.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import torch
from annotated_types import Ge, Le
from torch import Tensor, nn
from torch.nn import functional as F

from i2i.core.registry import register_network
from i2i.errors import OptionsError
from i2i.networks.condition import (
    CodeHead,
    ScoringDiscriminator,
    require_counts,
    require_labels,
    require_square,
)
from i2i.networks.resample import binomial_filter, downsample, upsample
from i2i.networks.stylegan2 import sizes_of

BASE = 4
SLOPE = 0.2
GAIN = math.sqrt(2 / (1 + SLOPE**2))
"""He's gain for a leaky ReLU of this slope."""

Widths = Annotated[
    tuple[Annotated[int, Ge(1), Le(8192)], ...],
    "channels at 4x4, 8x8 ..., or one number for all sizes",
]
Groups = Annotated[
    tuple[Annotated[int, Ge(1), Le(8192)], ...],
    "groups of the 3x3 convolutions at 4x4, 8x8 ..., or one number for all sizes",
]
Blocks = Annotated[
    tuple[Annotated[int, Ge(1), Le(64)], ...],
    "residual blocks at 4x4, 8x8 ..., or one number for all sizes",
]
Expansion = Annotated[int, Ge(1), Le(16), "how many times wider a block is inside"]


class Convolution(nn.Module):
    """A convolution without bias that keeps the size.

    Its weight is drawn from N(0, s**2), s = gain / sqrt(fan-in), fan-in being that of a group.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel: int,
        *,
        groups: int = 1,
        gain: float = 1.0,
    ) -> None:
        super().__init__()
        self.Layer = nn.Module()  # the published name of a layer within a layer
        self.Layer.weight = _weight(out_channels, in_channels // groups, kernel, kernel, gain=gain)
        self.groups, self.padding = groups, kernel // 2

    def forward(self, images: Tensor) -> Tensor:
        """Map (N, in_channels, H, W) to (N, out_channels, H, W)."""
        weight = self.Layer.weight
        assert isinstance(weight, Tensor)
        return F.conv2d(images, weight, padding=self.padding, groups=self.groups)


class Linear(nn.Module):
    """A fully connected layer without bias; its weight is drawn in the same way."""

    def __init__(self, in_features: int, out_features: int, *, gain: float = 1.0) -> None:
        super().__init__()
        self.weight = _weight(out_features, in_features, gain=gain)

    def forward(self, features: Tensor) -> Tensor:
        """Map (N, in_features) to (N, out_features)."""
        return F.linear(features, self.weight)


class BiasedActivation(nn.Module):
    """A bias for each channel, then leaky ReLU."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.Bias = nn.Parameter(torch.zeros(channels))

    def forward(self, features: Tensor) -> Tensor:
        """Map (N, C, H, W) to the same shape."""
        return F.leaky_relu(features + self.Bias[:, None, None].to(features.dtype), SLOPE)


class ResidualBlock(nn.Module):
    """1x1 to more channels, grouped 3x3, 1x1 back, added to the input.

    Args:
        channels: before and after.
        expansion: how many times as many there are inside.
        groups: of the middle convolution.
        depth: residual blocks of the whole network, by which the first two layers start smaller.
    """

    def __init__(self, channels: int, expansion: int, groups: int, depth: int) -> None:
        super().__init__()
        inner, gain = channels * expansion, GAIN * depth**-0.25
        self.LinearLayer1 = Convolution(channels, inner, 1, gain=gain)
        self.LinearLayer2 = Convolution(inner, inner, 3, groups=groups, gain=gain)
        self.LinearLayer3 = Convolution(inner, channels, 1, gain=0.0)
        self.NonLinearity1 = BiasedActivation(inner)
        self.NonLinearity2 = BiasedActivation(inner)

    def forward(self, features: Tensor) -> Tensor:
        """Map (N, C, H, W) to the same shape."""
        residual = self.NonLinearity1(self.LinearLayer1(features))
        residual = self.NonLinearity2(self.LinearLayer2(residual))
        result: Tensor = features + self.LinearLayer3(residual)
        return result


class Resampler(nn.Module):
    """Holds the low-pass filter."""

    Kernel: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("Kernel", binomial_filter())


class Upsampling(nn.Module):
    """Twice the height and width, and other channels: (N, in, H, W) to (N, out, 2H, 2W)."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.Resampler = Resampler()
        self.LinearLayer = _transition(in_channels, out_channels)

    def forward(self, features: Tensor) -> Tensor:
        if self.LinearLayer is not None:
            features = self.LinearLayer(features)
        return upsample(features, self.Resampler.Kernel)


class Downsampling(nn.Module):
    """Half the height and width, and other channels: (N, in, 2H, 2W) to (N, out, H, W)."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.Resampler = Resampler()
        self.LinearLayer = _transition(in_channels, out_channels)

    def forward(self, features: Tensor) -> Tensor:
        features = downsample(features, self.Resampler.Kernel)
        return features if self.LinearLayer is None else self.LinearLayer(features)


class GenerativeBasis(nn.Module):
    """A learnt map of 4x4 for each channel, times a linear function of the noise."""

    def __init__(self, in_features: int, channels: int) -> None:
        super().__init__()
        self.Basis = nn.Parameter(torch.randn(channels, BASE, BASE))
        self.LinearLayer = Linear(in_features, channels)

    def forward(self, z: Tensor) -> Tensor:
        """Map (N, in_features) to (N, channels, 4, 4)."""
        factors: Tensor = self.LinearLayer(z)
        return self.Basis.to(factors.dtype) * factors[:, :, None, None]


class DiscriminativeBasis(nn.Module):
    """A learnt weight of 4x4 for each channel, whose sums a linear layer reads."""

    def __init__(self, channels: int, outputs: int) -> None:
        super().__init__()
        self.Basis = nn.Module()
        self.Basis.weight = _weight(channels, 1, BASE, BASE)
        self.LinearLayer = Linear(channels, outputs)

    def forward(self, features: Tensor) -> Tensor:
        """Map (N, channels, 4, 4) to (N, channels), what `LinearLayer` reads."""
        weight = self.Basis.weight
        assert isinstance(weight, Tensor)
        return F.conv2d(features, weight, groups=len(weight)).flatten(1)


@register_network("generator", "r3gan")
class R3GANGenerator(nn.Module):
    """From noise to an image: at each size residual blocks, from 4x4 up.

    Published for CIFAR-10: latent 64, width 768, groups 96 and 2 blocks at each of 4 sizes; for
    FFHQ of 256 pixels widths from 768 down to 96. There is no tanh at the end. With classes, an
    embedding of the label joins the noise.

    Args:
        latent: numbers of noise.
        out_channels: channels of the images.
        size: height and width of the images, 4 * 2**n.
        classes: length of the labels; 0 for none.

    Raises:
        OptionsError: a number that is too small, a size that cannot be reached, a list of another
            length, or groups that do not divide the channels inside a block.
    """

    draws_own_weights = True

    def __init__(
        self,
        latent: int,
        out_channels: int,
        size: int,
        classes: int = 0,
        *,
        width: Widths = (768,),
        groups: Groups = (96,),
        blocks: Blocks = (2,),
        expansion: Expansion = 2,
        embedding: Annotated[
            int, Ge(0), Le(8192), "numbers that a label becomes; 0: as many as the noise"
        ] = 0,
    ) -> None:
        super().__init__()
        require_counts(latent=latent, classes=classes)
        self.latent, self.size, self.classes = latent, size, classes
        stages = _stages(size, width, groups, blocks, expansion)
        known = (embedding or latent) if classes else 0
        layers: list[nn.Module] = []
        before = 0
        for channels, residual in stages:
            first: nn.Module = (
                Upsampling(before, channels)
                if before
                else GenerativeBasis(latent + known, channels)
            )
            layers.append(_Stage([first, *residual]))
            before = channels
        self.Model = nn.ModuleDict(
            {
                "MainLayers": nn.Sequential(*layers),
                "AggregationLayer": Convolution(before, out_channels, 1),
            }
        )
        if classes:
            self.Model["EmbeddingLayer"] = Linear(classes, known)

    @staticmethod
    def fit_to(size: int, options: Mapping[str, Any]) -> dict[str, Any]:
        """As many stages as the size has."""
        return fitted_stages(size, options)

    def forward(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        """Map noise (N, latent), and labels (N, classes), to (N, out_channels, size, size), about
        -1..1."""
        require_labels(labels, self.classes)
        if labels is not None:
            z = torch.cat([z, self.Model["EmbeddingLayer"](labels.to(z.dtype))], dim=1)
        images: Tensor = self.Model["AggregationLayer"](self.Model["MainLayers"](z))
        return images


@register_network("discriminator", "r3gan")
class R3GANDiscriminator(ScoringDiscriminator):
    """From an image to one score; the mirror image of the generator, of which it has the options.

    With classes the score is the product of what is read and of an embedding of the label.

    Args:
        in_channels: channels of the images.
        size: height and width of the images, 4 * 2**n.
        classes: length of the labels; 0 for none.
        codes: logits of the auxiliary head, see `CodeHead`; 0 for none.

    Raises:
        OptionsError: as of the generator.
    """

    draws_own_weights = True

    def __init__(
        self,
        in_channels: int,
        size: int,
        classes: int = 0,
        codes: int = 0,
        *,
        width: Widths = (768,),
        groups: Groups = (96,),
        blocks: Blocks = (2,),
        expansion: Expansion = 2,
        embedding: Annotated[
            int, Ge(0), Le(8192), "numbers that a label becomes; 0: as many as channels at 4x4"
        ] = 0,
    ) -> None:
        super().__init__()
        require_counts(classes=classes, codes=codes)
        self.size, self.classes = size, classes
        stages = _stages(size, width, groups, blocks, expansion)
        least = stages[0][0]
        known = (embedding or least) if classes else 1
        layers: list[nn.Module] = []
        for (channels, residual), (after, _) in zip(stages[:0:-1], stages[-2::-1], strict=True):
            layers.append(_Stage([*residual, Downsampling(channels, after)]))
        layers.append(_Stage([*stages[0][1], DiscriminativeBasis(least, known)]))
        self.Model = nn.ModuleDict(
            {
                "ExtractionLayer": Convolution(in_channels, stages[-1][0], 1),
                "MainLayers": nn.Sequential(*layers),
            }
        )
        if classes:
            self.Model["EmbeddingLayer"] = Linear(classes, known, gain=known**-0.5)
        self.codes = CodeHead(least, codes, norm="none") if codes else None

    @staticmethod
    def fit_to(size: int, options: Mapping[str, Any]) -> dict[str, Any]:
        """As many stages as the size has."""
        return fitted_stages(size, options)

    def scores(self, features: Tensor, labels: Tensor | None) -> Tensor:
        scores: Tensor = self.basis.LinearLayer(features)
        if labels is None:
            return scores
        wanted: Tensor = self.Model["EmbeddingLayer"](labels.to(scores.dtype))
        return (scores * wanted).sum(1, keepdim=True)

    def features(self, images: Tensor, labels: Tensor | None = None) -> Tensor:
        """What the score is computed from, (N, F); it does not depend on the labels."""
        require_square(images, self.size)
        require_labels(labels, self.classes)
        features: Tensor = self.Model["MainLayers"](self.Model["ExtractionLayer"](images))
        return features

    @property
    def basis(self) -> DiscriminativeBasis:
        """The last layer of the last stage."""
        stages = self.Model["MainLayers"]
        assert isinstance(stages, nn.Sequential)
        stage = stages[-1]
        assert isinstance(stage, _Stage)
        last = stage.Layers[-1]
        assert isinstance(last, DiscriminativeBasis)
        return last


def fitted_stages(size: int, options: Mapping[str, Any]) -> dict[str, Any]:
    """Lists of stages for another size: they stop earlier, or go on as published, each further
    stage with half the width and groups of the one before. One number for all stays."""
    sizes = len(sizes_of(size))
    fitted: dict[str, Any] = {}
    for name, divisor in (("width", 2), ("groups", 2), ("blocks", 1)):
        values = list(options[name])
        if len(values) > 1:
            while len(values) < sizes:
                values.append(max(1, values[-1] // divisor))
            fitted[name] = values[:sizes]
    return fitted


class _Stage(nn.Module):
    """Layers one after the other, under the published name."""

    def __init__(self, layers: Sequence[nn.Module]) -> None:
        super().__init__()
        self.Layers = nn.Sequential(*layers)

    def forward(self, features: Tensor) -> Tensor:
        result: Tensor = self.Layers(features)
        return result


def _weight(*shape: int, gain: float = 1.0) -> nn.Parameter:
    return nn.Parameter(torch.randn(shape) * (gain / math.sqrt(math.prod(shape[1:]))))


def _transition(in_channels: int, out_channels: int) -> Convolution | None:
    return None if in_channels == out_channels else Convolution(in_channels, out_channels, 1)


def _stages(
    size: int,
    width: tuple[int, ...],
    groups: tuple[int, ...],
    blocks: tuple[int, ...],
    expansion: int,
) -> list[tuple[int, list[ResidualBlock]]]:
    """The channels and the residual blocks at each size, from 4x4 up."""
    sizes = sizes_of(size)
    widths = _each("width", width, len(sizes))
    parts = _each("groups", groups, len(sizes))
    counts = _each("blocks", blocks, len(sizes))
    for channels, number in zip(widths, parts, strict=True):
        if channels * expansion % number:
            raise OptionsError(
                f"groups (={number}) must divide the {channels * expansion} channels inside a "
                f"block, which are width (={channels}) times expansion (={expansion})."
            )
    depth = sum(counts)
    return [
        (channels, [ResidualBlock(channels, expansion, number, depth) for _ in range(count)])
        for channels, number, count in zip(widths, parts, counts, strict=True)
    ]


def _each(option: str, values: tuple[int, ...], sizes: int) -> tuple[int, ...]:
    """One number for each size."""
    if len(values) not in (1, sizes):
        raise OptionsError(
            f"{option} has {len(values)} numbers, but must have {sizes}, one for each size from "
            "4x4 up, or one for all."
        )
    if min(values) < 1:
        raise OptionsError(f"{option} is {list(values)}, but each must be at least 1.")
    return tuple(values) * (sizes if len(values) == 1 else 1)
