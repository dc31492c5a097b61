"""The generator of StyleGAN2: a mapping of noise to styles, and a synthesis that the styles steer.

Karras et al., "A style-based generator architecture for generative adversarial networks", CVPR
2019; Karras et al., "Analyzing and improving the image quality of StyleGAN", CVPR 2020; labels as
in Karras et al., "Training generative adversarial networks with limited data", NeurIPS 2020. The
weights have the names of the authors' PyTorch implementation.

All weights are drawn from N(0, 1) and scaled when they are used, see `i2i.networks.equalised`.
Every activation is a leaky ReLU of slope 0.2 times sqrt(2).
"""

import math
from collections.abc import Mapping
from typing import Annotated, Any, Literal

import torch
from annotated_types import Ge, Le
from torch import Tensor, nn
from torch.nn import functional as F

from i2i.core.registry import register_network
from i2i.networks.condition import doublings, require_counts, require_labels
from i2i.networks.equalised import EqualisedLinear, pixel_norm
from i2i.networks.modulated import modulated_conv2d
from i2i.networks.resample import binomial_filter, upsample

BASE = 4
MAPPING_RATE = 0.01
"""How fast mapping layers learn beside others."""

Noise = Literal["random", "const", "none"] | Mapping[str, Tensor]
"""What is added to the features of each layer: new numbers for each image, the numbers that the
network keeps, nothing, or given maps (N, 1, H, W) by the name of the layer, such as "b8.conv0"."""


def activate(features: Tensor) -> Tensor:
    """Return leaky ReLU (slope 0.2) times sqrt(2)."""
    return F.leaky_relu(features, 0.2) * math.sqrt(2)


def channels_at(size: int, channel_base: int, channel_max: int) -> int:
    """The channels of features of `size` x `size`: `channel_base` / `size`, at most `channel_max`,
    at least 1."""
    return max(min(channel_base // size, channel_max), 1)


def fitted_channels(size: int, options: Mapping[str, Any]) -> dict[str, Any]:
    """The published `channel_base` of a size: 16384 below 512 pixels, else 32768; another one, or
    that of small networks, stays."""
    published = options["channel_base"] in (16384, 32768) and options["channel_max"] == 512
    return {"channel_base": 16384 if size < 512 else 32768} if published else {}


def sizes_of(size: int) -> list[int]:
    """The sizes 4, 8 ... `size` of a network's blocks.

    Raises:
        OptionsError: `size` is not 4 * 2**n.
    """
    _, n = doublings(size, (BASE,))
    return [BASE * 2**i for i in range(n + 1)]


class MappingNetwork(nn.Module):
    """Fully connected layers from noise, or labels, or both, to styles w.

    Noise and embedded labels are each divided by the root of the mean of their squares, and joined.
    In training mode a moving average of w is kept, towards which w can be truncated.

    Args:
        latent: numbers of noise; 0 for none.
        classes: length of the labels; 0 for none.
        width: numbers of w, and of all layers.
        layers: how many; each is activated.
        average: whether the average is kept.
        beta: its decay.
    """

    def __init__(
        self,
        latent: int,
        classes: int,
        *,
        width: int,
        layers: int,
        average: bool = True,
        beta: float = 0.995,
    ) -> None:
        super().__init__()
        assert latent or classes
        self.latent, self.classes, self.layers, self.beta = latent, classes, layers, beta
        if classes:
            self.embed = EqualisedLinear(classes, width, gain=1.0)
        for i in range(layers):
            before = width if i else latent + (width if classes else 0)
            layer = EqualisedLinear(before, width, gain=1.0, rate=MAPPING_RATE)
            self.add_module(f"fc{i}", layer)
        self.w_avg: Tensor | None
        self.register_buffer("w_avg", torch.zeros(width) if average else None)

    def forward(
        self,
        z: Tensor | None,
        labels: Tensor | None = None,
        *,
        update_average: bool | None = None,
    ) -> Tensor:
        """Map noise (N, latent) and labels (N, classes) to w, (N, width).

        Args:
            z: noise; None without.
            labels: None without.
            update_average: whether the average moves towards the mean of the batch; by default in
                training mode.
        """
        require_labels(labels, self.classes)
        parts = [] if z is None else [pixel_norm(z)]
        if labels is not None:
            embedded: Tensor = self.embed(labels.to(self.embed.weight.dtype))
            parts.append(pixel_norm(embedded))
        w = torch.cat(parts, dim=1)
        for i in range(self.layers):
            w = activate(self.get_submodule(f"fc{i}")(w))
        if self.w_avg is not None and (self.training if update_average is None else update_average):
            mean = w.detach().mean(dim=0).to(self.w_avg.dtype)
            self.w_avg.copy_(mean.lerp(self.w_avg, self.beta))
        return w


class SynthesisLayer(nn.Module):
    """A modulated convolution 3x3, plus noise, plus bias, activated."""

    def __init__(
        self, in_channels: int, out_channels: int, style: int, size: int, *, up: bool = False
    ) -> None:
        super().__init__()
        self.size, self.up = size, up
        self.affine = EqualisedLinear(style, in_channels, gain=1.0, start=1.0)
        self.weight = nn.Parameter(torch.randn(out_channels, in_channels, 3, 3))
        self.bias = nn.Parameter(torch.zeros(out_channels))
        self.noise_strength = nn.Parameter(torch.zeros(()))
        self.noise_const: Tensor
        self.resample_filter: Tensor
        self.register_buffer("noise_const", torch.randn(size, size))
        self.register_buffer("resample_filter", binomial_filter())

    def forward(self, features: Tensor, w: Tensor, noise: Tensor | str) -> Tensor:
        """Map (N, in, H, W) and w (N, style) to (N, out, size, size); `noise` is a map
        (N, 1, size, size) or a word of `Noise`."""
        features = modulated_conv2d(
            features,
            self.weight,
            self.affine(w),
            up_kernel=self.resample_filter if self.up else None,
        )
        if isinstance(noise, str):
            match noise:
                case "random":
                    shape = (features.shape[0], 1, self.size, self.size)
                    noise = torch.randn(shape, device=features.device, dtype=features.dtype)
                case "const":
                    noise = self.noise_const
                case _:
                    assert noise == "none", noise
        if isinstance(noise, Tensor):
            features = features + (noise.to(self.noise_strength) * self.noise_strength).to(
                features.dtype
            )
        return activate(features + self.bias[:, None, None].to(features.dtype))


class ToRGB(nn.Module):
    """A modulated convolution 1x1 without demodulation, plus bias."""

    def __init__(self, in_channels: int, out_channels: int, style: int) -> None:
        super().__init__()
        self.affine = EqualisedLinear(style, in_channels, gain=1.0, start=1.0)
        self.weight = nn.Parameter(torch.randn(out_channels, in_channels, 1, 1))
        self.bias = nn.Parameter(torch.zeros(out_channels))
        self.scale = 1 / math.sqrt(in_channels)

    def forward(self, features: Tensor, w: Tensor) -> Tensor:
        """Map (N, in, H, W) and w (N, style) to (N, out, H, W)."""
        style = self.affine(w) * self.scale
        images = modulated_conv2d(features, self.weight, style, demodulate=False)
        return images + self.bias[:, None, None].to(images.dtype)


class SynthesisBlock(nn.Module):
    """What the synthesis does at one size; the first begins with learnt features."""

    def __init__(
        self, in_channels: int, channels: int, style: int, size: int, out_channels: int
    ) -> None:
        super().__init__()
        self.resample_filter: Tensor
        self.register_buffer("resample_filter", binomial_filter())
        if in_channels:
            self.conv0 = SynthesisLayer(in_channels, channels, style, size, up=True)
        else:
            self.const = nn.Parameter(torch.randn(channels, size, size))
        self.conv1 = SynthesisLayer(channels, channels, style, size)
        if out_channels:
            self.torgb = ToRGB(channels, out_channels, style)


class SynthesisNetwork(nn.Module):
    """From styles to an image.

    Each block's `torgb` has the same w as the next block's `conv0`: the first layer takes number 0,
    and of each size from 8 on `conv0` and `conv1` take two more; the last `torgb` takes the last.

    Args:
        style: numbers of w.
        out_channels: channels of the images.
        size: height and width of the images, 4 * 2**n.
        architecture: "skip": the image is the sum of what each size contributes; "orig": the last
            size alone makes it.
        channel_base, channel_max: see `channels_at`.

    Attributes:
        num_ws: how many w an image takes, 2 * log2(size) - 2.
    """

    def __init__(
        self,
        style: int,
        out_channels: int,
        size: int,
        *,
        architecture: str = "skip",
        channel_base: int = 32768,
        channel_max: int = 512,
    ) -> None:
        super().__init__()
        self.sizes = sizes_of(size)
        self.num_ws = 2 * len(self.sizes)
        before = 0
        for each in self.sizes:
            channels = channels_at(each, channel_base, channel_max)
            painted = out_channels if architecture == "skip" or each == size else 0
            self.add_module(f"b{each}", SynthesisBlock(before, channels, style, each, painted))
            before = channels

    def forward(self, ws: Tensor, noise: Noise | None = None) -> Tensor:
        """Map ws (N, num_ws, style) to images (N, out_channels, size, size).

        Args:
            ws: one w for each layer.
            noise: see `Noise`; by default "random" in training mode, else "const".
        """
        assert ws.shape[1] == self.num_ws, (tuple(ws.shape), self.num_ws)
        if noise is None:
            noise = "random" if self.training else "const"

        def of(name: str) -> Tensor | str:
            return noise if isinstance(noise, str) else noise[name]

        w = ws.unbind(dim=1)
        features: Tensor | None = None
        images: Tensor | None = None
        for i, size in enumerate(self.sizes):
            block = self.get_submodule(f"b{size}")
            assert isinstance(block, SynthesisBlock)
            if features is None:
                features = block.const.expand(ws.shape[0], -1, -1, -1)
            else:
                features = block.conv0(features, w[2 * i - 1], of(f"b{size}.conv0"))
            features = block.conv1(features, w[2 * i], of(f"b{size}.conv1"))
            if images is not None:
                images = upsample(images, block.resample_filter)
            if hasattr(block, "torgb"):
                painted = block.torgb(features, w[2 * i + 1])
                images = painted if images is None else images + painted
        assert images is not None
        return images


@register_network("generator", "stylegan2")
class StyleGAN2Generator(nn.Module):
    """Noise to styles to an image.

    Published for 1024 pixels: latent, style and channel_max 512, channel_base 32768, 8 layers. The
    numbers that are truncated belong to sampling, so they are arguments of a pass.

    Args:
        latent: numbers of noise.
        out_channels: channels of the images.
        size: height and width of the images, 4 * 2**n.
        classes: length of the labels; 0 for none.

    Raises:
        OptionsError: a number that is too small, or a size that cannot be reached.
    """

    draws_own_weights = True

    def __init__(
        self,
        latent: int,
        out_channels: int,
        size: int,
        classes: int = 0,
        *,
        channel_base: Annotated[
            int, Ge(1), Le(2**20), "channels at each size times that size"
        ] = 32768,
        channel_max: Annotated[int, Ge(1), Le(4096), "the most channels"] = 512,
        style: Annotated[int, Ge(1), Le(4096), "numbers of a style w"] = 512,
        mapping_layers: Annotated[int, Ge(1), Le(64), "layers from noise to style"] = 8,
        architecture: Annotated[
            Literal["skip", "orig"], "whether each size adds to the image, or the last makes it"
        ] = "skip",
        style_beta: Annotated[float, Ge(0), Le(1), "decay of the average style"] = 0.995,
    ) -> None:
        super().__init__()
        require_counts(latent=latent, classes=classes)
        self.latent, self.size, self.classes = latent, size, classes
        self.synthesis = SynthesisNetwork(
            style,
            out_channels,
            size,
            architecture=architecture,
            channel_base=channel_base,
            channel_max=channel_max,
        )
        self.num_ws = self.synthesis.num_ws
        self.mapping = MappingNetwork(
            latent, classes, width=style, layers=mapping_layers, beta=style_beta
        )

    def forward(
        self,
        z: Tensor,
        labels: Tensor | None = None,
        *,
        truncation: float = 1.0,
        cutoff: int | None = None,
        noise: Noise | None = None,
    ) -> Tensor:
        """Map noise (N, latent), and labels (N, classes), to (N, out_channels, size, size), about
        -1..1.

        Args:
            z: noise.
            labels: of the images.
            truncation: 1 for none, 0 for the average style.
            cutoff: how many layers, from the coarsest on, have truncated styles; None for all.
            noise: see `SynthesisNetwork.forward`.
        """
        images: Tensor = self.synthesis(self.styles(z, labels, truncation, cutoff), noise)
        return images

    @staticmethod
    def fit_to(size: int, options: Mapping[str, Any]) -> dict[str, Any]:
        """As published, half as many channels below 512 pixels."""
        return fitted_channels(size, options)

    def styles(
        self,
        z: Tensor,
        labels: Tensor | None = None,
        truncation: float = 1.0,
        cutoff: int | None = None,
        *,
        update_average: bool | None = None,
    ) -> Tensor:
        """Map noise, and labels, to a style for each layer, (N, num_ws, style).

        `update_average` is that of `MappingNetwork`: the second styles of mixing leave it alone.
        """
        w = self.mapping(z, labels, update_average=update_average)
        assert self.mapping.w_avg is not None
        return truncated_styles(w, self.mapping.w_avg, self.num_ws, truncation, cutoff)


def truncated_styles(
    w: Tensor, average: Tensor, num_ws: int, truncation: float = 1.0, cutoff: int | None = None
) -> Tensor:
    """Repeat w (N, style) for each layer and move it towards the average (style,).

    Karras et al. 2019, appendix B: average + truncation * (w - average), in the first `cutoff`
    layers (None for all).

    Returns:
        (N, num_ws, style).
    """
    ws = w[:, None].expand(-1, num_ws, -1)
    if truncation == 1:
        return ws
    truncated = average.to(w.dtype).lerp(w, truncation)[:, None]
    return torch.where(_layers(ws) < (num_ws if cutoff is None else cutoff), truncated, ws)


def draw_crossover(
    num_ws: int,
    probability: float,
    device: torch.device | str = "cpu",
    generator: torch.Generator | None = None,
) -> Tensor:
    """Draw the layer from which on a batch takes its second styles, a tensor of no dimension.

    Karras et al. 2019, section 3.1: with `probability` it is uniform in 1..num_ws - 1; else num_ws,
    so that no layer takes them.
    """
    first = torch.randint(1, num_ws, (), device=device, generator=generator)
    chance = torch.rand((), device=device, generator=generator)
    return torch.where(chance < probability, first, num_ws)


def mix_styles(ws: Tensor, others: Tensor, crossover: Tensor | int) -> Tensor:
    """Take layers from `crossover` on from `others`; both are (N, num_ws, style)."""
    return torch.where(_layers(ws) < crossover, ws, others)


def _layers(ws: Tensor) -> Tensor:
    return torch.arange(ws.shape[1], device=ws.device)[:, None]
