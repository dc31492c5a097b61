"""The networks of StarGAN v2: a style for each domain, from noise or from an image.

Choi et al., "StarGAN v2: Diverse image synthesis for multiple domains", CVPR 2020, section 2.1 and
appendix E. All but the mapping are made of residual blocks whose activations (leaky ReLU, slope
0.2) come first; their sums are divided by sqrt(2). Mapping, style encoder and discriminator have an
output for each domain, of which each image has one. The weights have the names of the authors'
implementation. They start from He's normal distribution ("kaiming"), the published generator is
without the masks that need facial landmarks.
"""

import math
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from typing import Annotated, Any

import torch
from annotated_types import Ge, Le
from torch import Tensor, nn
from torch.nn import functional as F

from i2i.core.registry import register_network
from i2i.networks.blocks import InstanceNorm2d, require_at_least, require_size
from i2i.networks.checkpointing import Checkpointed
from i2i.networks.condition import doublings, require_square

BASE = 4
Width = Annotated[int, Ge(1), Le(4096), "channels at full size"]
MaxWidth = Annotated[int, Ge(1), Le(8192), "the most channels"]

SLOPE = 0.2


def _halvings(size: int) -> int:
    """How often `size` can be halved down to 4."""
    return doublings(size, (BASE,))[1]


class ResidualBlock(nn.Module):
    """Two convolutions 3x3, beside a shortcut; height and width may be halved.

    Args:
        in_channels, out_channels: the first convolution keeps the channels.
        norm: whether each activation follows an instance normalisation with scale and shift.
        down: whether an average of 2x2 pixels follows the first convolution.
    """

    def __init__(
        self, in_channels: int, out_channels: int, *, norm: bool = False, down: bool = False
    ) -> None:
        super().__init__()
        self.down = down
        self.norm1 = InstanceNorm2d(in_channels, affine=True) if norm else None
        self.norm2 = InstanceNorm2d(in_channels, affine=True) if norm else None
        self.conv1 = nn.Conv2d(in_channels, in_channels, 3, padding=1)
        self.conv2 = nn.Conv2d(in_channels, out_channels, 3, padding=1)
        self.conv1x1 = _shortcut(in_channels, out_channels)

    def forward(self, features: Tensor) -> Tensor:
        """Map (N, in_channels, H, W) to (N, out_channels, H, W), or half of both."""
        residual = features if self.norm1 is None else self.norm1(features)
        residual = self._halved(self.conv1(F.leaky_relu(residual, SLOPE)))
        residual = residual if self.norm2 is None else self.norm2(residual)
        residual = self.conv2(F.leaky_relu(residual, SLOPE))
        # Pooling and a convolution 1x1 without bias commute; this order is four times as cheap.
        shortcut = self._halved(features)
        if self.conv1x1 is not None:
            shortcut = self.conv1x1(shortcut)
        result: Tensor = (shortcut + residual) / math.sqrt(2)
        return result

    def _halved(self, features: Tensor) -> Tensor:
        return F.avg_pool2d(features, 2) if self.down else features


class AdaIN(nn.Module):
    """Instance normalisation whose scale and shift come from a style.

    Huang & Belongie, "Arbitrary style transfer in real-time with adaptive instance normalization",
    ICCV 2017: (1 + gamma) * norm(x) + beta, gamma and beta by one fully connected layer.
    """

    def __init__(self, style: int, channels: int) -> None:
        super().__init__()
        self.norm = InstanceNorm2d(channels)
        self.fc = nn.Linear(style, 2 * channels)

    def forward(self, features: Tensor, style: Tensor) -> Tensor:
        """Map (N, channels, H, W) and styles (N, style) to (N, channels, H, W)."""
        gamma, beta = self.fc(style)[:, :, None, None].chunk(2, dim=1)
        result: Tensor = (1 + gamma) * self.norm(features) + beta
        return result


class StyledBlock(nn.Module):
    """Two convolutions 3x3, normalised by a style; height and width may be doubled.

    The first convolution changes the channels; pixels are repeated in front of it.
    """

    def __init__(self, in_channels: int, out_channels: int, style: int, *, up: bool) -> None:
        super().__init__()
        self.up = up
        self.norm1 = AdaIN(style, in_channels)
        self.norm2 = AdaIN(style, out_channels)
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, padding=1)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, padding=1)
        self.conv1x1 = _shortcut(in_channels, out_channels)

    def forward(self, features: Tensor, style: Tensor) -> Tensor:
        """Map (N, in_channels, H, W) and styles to (N, out_channels, H, W), or twice both."""
        return self.normalised(
            features, partial(self.norm1, style=style), partial(self.norm2, style=style)
        )

    def normalised(
        self, features: Tensor, norm1: Callable[[Tensor], Tensor], norm2: Callable[[Tensor], Tensor]
    ) -> Tensor:
        """As `forward`, with normalisations that know the style."""
        residual = self._doubled(F.leaky_relu(norm1(features), SLOPE))
        residual = norm2(self.conv1(residual))
        residual = self.conv2(F.leaky_relu(residual, SLOPE))
        # A convolution 1x1 and repeating pixels commute, as above.
        shortcut = features if self.conv1x1 is None else self.conv1x1(features)
        result: Tensor = (self._doubled(shortcut) + residual) / math.sqrt(2)
        return result

    def _doubled(self, features: Tensor) -> Tensor:
        return F.interpolate(features, scale_factor=2, mode="nearest") if self.up else features


def _shortcut(in_channels: int, out_channels: int) -> nn.Module | None:
    if in_channels == out_channels:
        return None
    return nn.Conv2d(in_channels, out_channels, 1, bias=False)


@register_network("generator", "stargan-v2")
class StarGANv2Generator(Checkpointed):
    """Translates images into a style: an encoder, and a decoder that the style normalises.

    The published network for 256 pixels has width 64 (2**14 / size) and at most 512 channels. There
    is no tanh at the end.

    Args:
        in_channels: channels of the images, before and after.
        size: height and width that the network is made for, 4 * 2**n: it is halved n - 2 times.
        style_dim: numbers of a style.

    Attributes:
        multiple: height and width must be multiples of this.

    Raises:
        OptionsError: a number that is too small, or a size that cannot be reached.
    """

    def __init__(
        self,
        in_channels: int,
        size: int,
        style_dim: int = 64,
        *,
        width: Width = 64,
        max_width: MaxWidth = 512,
    ) -> None:
        super().__init__()
        require_at_least("style_dim", style_dim, 1)
        require_at_least("width", width, 1)
        downs = max(_halvings(size) - 2, 0)
        self.size, self.multiple = size, 2**downs
        widths = _widths(width, max_width, downs)
        pairs = list(pairwise(widths))
        same = [(widths[-1], widths[-1])] * 2
        self.from_rgb = nn.Conv2d(in_channels, width, 3, padding=1)
        self.encode = nn.ModuleList(
            ResidualBlock(*channels, norm=True, down=i < downs)
            for i, channels in enumerate(pairs + same)
        )
        self.decode = nn.ModuleList(
            StyledBlock(after, before, style_dim, up=i >= len(same))
            for i, (before, after) in enumerate(same + pairs[::-1])
        )
        self.to_rgb = nn.Sequential(
            InstanceNorm2d(width, affine=True),
            nn.LeakyReLU(SLOPE),
            nn.Conv2d(width, in_channels, 1),
        )

    def forward(self, images: Tensor, style: Tensor) -> Tensor:
        """Map images (N, C, H, W) and styles (N, style_dim) to images of the same shape.

        Raises:
            DataError: height or width is no multiple of `multiple`, or is too small.
        """
        require_size(images, minimum=2 * self.multiple, multiple=self.multiple)
        features = self.from_rgb(images)
        for block in self.encode:
            features = self.recompute(block, features)
        for block in self.decode:
            features = self.recompute(block, features, style)
        translated: Tensor = self.to_rgb(features)
        return translated


class FixedStyleGenerator(nn.Module):
    """A generator that translates all images into one style, with the weights of another.

    The scales and shifts of the style are computed once, so that it can be computed in tiles and
    exported as a network that takes nothing but images.

    Args:
        generator: whose layers it shares.

    Attributes:
        multiple: height and width must be multiples of this.
    """

    def __init__(self, generator: StarGANv2Generator) -> None:
        super().__init__()
        self.multiple = generator.multiple
        self.from_rgb, self.encode = generator.from_rgb, generator.encode
        self.decode = nn.ModuleList(_FixedStyleBlock(block) for block in generator.decode)
        self.to_rgb = generator.to_rgb

    def set_style(self, style: Tensor) -> None:
        """Translate into a style (style_dim,) from now on."""
        blocks: Any = self.decode
        for block in blocks:
            block.set_style(style)

    def forward(self, images: Tensor) -> Tensor:
        """Map images (N, C, H, W) to images of the same shape.

        Raises:
            DataError: height or width is no multiple of `multiple`, or is too small.
        """
        require_size(images, minimum=2 * self.multiple, multiple=self.multiple)
        features = self.from_rgb(images)
        for block in self.encode:
            features = block(features)
        for block in self.decode:
            features = block(features)
        translated: Tensor = self.to_rgb(features)
        return translated


class _FixedStyleBlock(nn.Module):
    """A `StyledBlock` in one style."""

    def __init__(self, block: Any) -> None:
        super().__init__()
        self.block = block
        self.norm1, self.norm2 = (
            InstanceNorm2d(adain.fc.out_features // 2, affine=True).to(adain.fc.weight.device)
            for adain in (block.norm1, block.norm2)
        )

    @torch.no_grad()
    def set_style(self, style: Tensor) -> None:
        for norm, adain in ((self.norm1, self.block.norm1), (self.norm2, self.block.norm2)):
            gamma, beta = adain.fc(style).chunk(2)
            norm.weight.copy_(1 + gamma)
            norm.bias.copy_(beta)

    def forward(self, features: Tensor) -> Tensor:
        styled: Tensor = self.block.normalised(features, self.norm1, self.norm2)
        return styled


@register_network("mapping_network", "stargan-v2")
class StarGANv2Mapping(nn.Module):
    """From noise to a style of each domain: layers that the domains share, and layers of their own.

    Args:
        latent: numbers of noise, 16 as published.
        domains: how many there are.
        style_dim: numbers of a style.
    """

    def __init__(
        self,
        latent: int,
        domains: int,
        style_dim: int = 64,
        *,
        hidden: Annotated[int, Ge(1), Le(4096), "numbers of each layer"] = 512,
    ) -> None:
        super().__init__()
        require_at_least("latent", latent, 1)
        require_at_least("domains", domains, 1)
        require_at_least("style_dim", style_dim, 1)
        self.latent, self.domains = latent, domains
        self.shared = _perceptron([latent, hidden, hidden, hidden, hidden])
        self.shared.append(nn.ReLU())
        self.unshared = nn.ModuleList(
            _perceptron([hidden, hidden, hidden, hidden, style_dim]) for _ in range(domains)
        )

    def forward(self, z: Tensor, domains: Tensor) -> Tensor:
        """Map noise (N, latent) and the numbers of domains (N,) to styles (N, style_dim)."""
        features = self.shared(z)
        return _of_domain(torch.stack([head(features) for head in self.unshared], dim=1), domains)


@register_network("style_encoder", "stargan-v2")
class StarGANv2StyleEncoder(nn.Module):
    """From an image to its style as an image of a domain.

    Args:
        in_channels: channels of the images.
        size: height and width of the images, 4 * 2**n.
        domains: how many there are.
        style_dim: numbers of a style.
    """

    def __init__(
        self,
        in_channels: int,
        size: int,
        domains: int,
        style_dim: int = 64,
        *,
        width: Width = 64,
        max_width: MaxWidth = 512,
    ) -> None:
        super().__init__()
        require_at_least("domains", domains, 1)
        require_at_least("style_dim", style_dim, 1)
        self.size, self.domains = size, domains
        self.shared, channels = _trunk(in_channels, size, width, max_width)
        self.unshared = nn.ModuleList(nn.Linear(channels, style_dim) for _ in range(domains))

    def forward(self, images: Tensor, domains: Tensor) -> Tensor:
        """Map images (N, C, size, size) and the numbers of their domains (N,) to styles
        (N, style_dim).

        Raises:
            DataError: the images have another size.
        """
        require_square(images, self.size)
        features = self.shared(images).flatten(1)
        return _of_domain(torch.stack([head(features) for head in self.unshared], dim=1), domains)


@register_network("discriminator", "stargan-v2")
class StarGANv2Discriminator(nn.Module):
    """From an image to one score for each domain: whether it is a real image of it.

    Args:
        in_channels: channels of the images.
        size: height and width of the images, 4 * 2**n.
        domains: how many there are.
    """

    def __init__(
        self,
        in_channels: int,
        size: int,
        domains: int,
        *,
        width: Width = 64,
        max_width: MaxWidth = 512,
    ) -> None:
        super().__init__()
        require_at_least("domains", domains, 1)
        self.size, self.domains = size, domains
        self.main, channels = _trunk(in_channels, size, width, max_width)
        self.main.append(nn.Conv2d(channels, domains, 1))

    def forward(self, images: Tensor, domains: Tensor) -> Tensor:
        """Judge images (N, C, size, size) as members of their domains (N,): scores (N,).

        Raises:
            DataError: the images have another size.
        """
        require_square(images, self.size)
        return _of_domain(self.main(images).flatten(1), domains)


def _widths(width: int, max_width: int, downs: int) -> list[int]:
    """The channels before each of `downs` halvings, and after the last: twice as many each time, up
    to `max_width`."""
    widths = [width]
    for _ in range(downs):
        widths.append(min(2 * widths[-1], max_width))
    return widths


def _trunk(in_channels: int, size: int, width: int, max_width: int) -> tuple[nn.Sequential, int]:
    """Halve images down to 4x4, then convolve that to one place; returns the channels, too."""
    require_at_least("width", width, 1)
    widths = _widths(width, max_width, _halvings(size))
    last = widths[-1]
    layers = nn.Sequential(nn.Conv2d(in_channels, width, 3, padding=1))
    layers.extend(ResidualBlock(before, after, down=True) for before, after in pairwise(widths))
    layers.extend([nn.LeakyReLU(SLOPE), nn.Conv2d(last, last, BASE), nn.LeakyReLU(SLOPE)])
    return layers, last


def _perceptron(sizes: list[int]) -> nn.Sequential:
    """Fully connected layers with ReLU between them."""
    layers = nn.Sequential(nn.Linear(sizes[0], sizes[1]))
    for before, after in pairwise(sizes[1:]):
        layers.extend([nn.ReLU(), nn.Linear(before, after)])
    return layers


def _of_domain(outputs: Tensor, domains: Tensor) -> Tensor:
    """Take from outputs (N, domains, ...) each image's own, (N, ...).

    What the other domains' layers have given gets a gradient of 0, not none: an optimizer with
    weight decay moves them.
    """
    places = domains.reshape(-1, 1, *[1] * (outputs.ndim - 2))
    return outputs.take_along_dim(places, dim=1).squeeze(1)
