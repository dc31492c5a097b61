"""The networks of SAGAN: residual blocks, spectral normalisation, self-attention.

Zhang et al., "Self-attention generative adversarial networks", ICML 2019, with the residual blocks
of the authors' code: those of Miyato & Koyama, "cGANs with projection discriminator", ICLR 2018.
Both networks are spectrally normalised. With classes, the generator's batch normalisation depends
on the class, and the discriminator adds to its score a product of the class and its features.
"""

from typing import Annotated

from annotated_types import Ge, Le
from torch import Tensor, nn
from torch.nn import functional as F

from i2i.core.registry import register_network
from i2i.errors import OptionsError
from i2i.networks.attention import SelfAttention
from i2i.networks.blocks import BatchNorm2d
from i2i.networks.condition import (
    CodeHead,
    ScoringDiscriminator,
    doublings,
    projected,
    require_counts,
    require_labels,
    require_square,
)
from i2i.networks.conditional_norm import ConditionalNorm2d
from i2i.networks.options import Width
from i2i.networks.spectral import SpectralConv2d, SpectralLinear

Attention = Annotated[int, Ge(1), Le(65536), "height and width of the map that is attended to"]

BASE = 4
MOST = 16
"""The widest layers have `MOST` times the width."""


class UpBlock(nn.Module):
    """The residual block of the generator: (N, in_channels, H, W) to (N, out_channels, 2H, 2W)."""

    def __init__(self, in_channels: int, out_channels: int, classes: int) -> None:
        super().__init__()
        self.norm1 = ConditionalNorm2d(in_channels, classes)
        self.conv1 = SpectralConv2d(in_channels, out_channels, 3, padding=1)
        self.norm2 = ConditionalNorm2d(out_channels, classes)
        self.conv2 = SpectralConv2d(out_channels, out_channels, 3, padding=1)
        self.skip = SpectralConv2d(in_channels, out_channels, 1)

    def forward(self, features: Tensor, labels: Tensor | None) -> Tensor:
        residual = self.norm1(features, labels).relu()
        residual = self.conv1(F.interpolate(residual, scale_factor=2))
        residual = self.conv2(self.norm2(residual, labels).relu())
        # A convolution 1x1 and repeating pixels commute; this order is four times as cheap.
        output: Tensor = residual + F.interpolate(self.skip(features), scale_factor=2)
        return output


class DownBlock(nn.Module):
    """The residual block of the discriminator: halves height and width if `down`.

    The `first` one sees the image itself, to which it applies no ReLU.
    """

    def __init__(
        self, in_channels: int, out_channels: int, *, first: bool = False, down: bool = True
    ) -> None:
        super().__init__()
        self.first, self.down = first, down
        self.conv1 = SpectralConv2d(in_channels, out_channels, 3, padding=1)
        self.conv2 = SpectralConv2d(out_channels, out_channels, 3, padding=1)
        self.skip: nn.Module = nn.Identity()
        if down or in_channels != out_channels:
            self.skip = SpectralConv2d(in_channels, out_channels, 1)

    def forward(self, features: Tensor) -> Tensor:
        residual = self.conv1(features if self.first else features.relu())
        residual = self.conv2(residual.relu())
        if self.down:
            # As above: pooling first is four times as cheap.
            residual, features = F.avg_pool2d(residual, 2), F.avg_pool2d(features, 2)
        output: Tensor = residual + self.skip(features)
        return output


def _attended(size: int, attention: int) -> int:
    """The number of doublings from `BASE` to `size`, `attention` being a resolution between."""
    _, n = doublings(size, (BASE,))
    between = [BASE * 2**i for i in range(1, n)]
    if attention not in between:
        raise OptionsError(
            f"attention (={attention}) is no resolution between {BASE} and {size}: "
            + (f"take {' or '.join(map(str, between))}." if between else "take a larger size.")
        )
    return n


@register_network("generator", "sagan")
class SAGANGenerator(nn.Module):
    """Residual blocks from noise to an image, with self-attention behind one of them.

    The published network has 128 pixels, width 64 and attention at 32. A linear layer makes the
    map of 4x4, and each block doubles it.

    Args:
        latent: numbers of noise.
        out_channels: channels of the images.
        width: channels at full size; twice as many at half of it and so on, at most 16 times.
        attention: height and width of the map that is attended to.
        size: height and width of the images, 4 * 2**n.
        classes: length of the labels, which the normalisation depends on; 0 for none.

    Raises:
        OptionsError: a number that is too small, or a size or resolution that does not occur.
    """

    draws_own_weights = True

    def __init__(
        self,
        latent: int,
        out_channels: int,
        *,
        width: Width = 64,
        attention: Attention = 32,
        size: int,
        classes: int = 0,
    ) -> None:
        super().__init__()
        require_counts(latent=latent, width=width, classes=classes)
        self.latent, self.size, self.classes = latent, size, classes
        n = _attended(size, attention)
        channels = [width * min(2**i, MOST) for i in reversed(range(n))]
        self.linear = SpectralLinear(latent, BASE**2 * channels[0])
        self.blocks = nn.ModuleList(
            UpBlock(before, after, classes)
            for before, after in zip([channels[0], *channels], channels, strict=False)
        )
        self.attention_at = (attention // BASE).bit_length() - 2
        self.attention = SelfAttention(channels[self.attention_at])
        self.norm = BatchNorm2d(width)
        self.last = SpectralConv2d(width, out_channels, 3, padding=1)

    def forward(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        """Map noise (N, latent), and labels (N, classes), to (N, out_channels, size, size) in
        -1..1."""
        require_labels(labels, self.classes)
        features = self.linear(z).reshape(z.shape[0], -1, BASE, BASE)
        for i, block in enumerate(self.blocks):
            features = block(features, labels)
            if i == self.attention_at:
                features = self.attention(features)
        images: Tensor = self.last(self.norm(features).relu()).tanh()
        return images


@register_network("discriminator", "sagan")
class SAGANDiscriminator(ScoringDiscriminator):
    """Residual blocks from an image to one score, with self-attention behind one of them.

    The published network has 128 pixels, width 64 and attention at 32. Each block halves the map
    down to 4x4; one more keeps it, then all places are summed up.

    Args:
        in_channels: channels of the images.
        width: channels of the first block; twice as many in each one behind, at most 16 times.
        attention: height and width of the map that is attended to.
        size: height and width of the images, 4 * 2**n.
        classes: length of the labels, which the score depends on by projection; 0 for none.
        codes: logits of the auxiliary head, see `CodeHead`; 0 for none.

    Raises:
        OptionsError: a number that is too small, or a size or resolution that does not occur.
    """

    draws_own_weights = True

    def __init__(
        self,
        in_channels: int,
        *,
        width: Width = 64,
        attention: Attention = 32,
        size: int,
        classes: int = 0,
        codes: int = 0,
    ) -> None:
        super().__init__()
        require_counts(width=width, classes=classes, codes=codes)
        self.size, self.classes = size, classes
        n = _attended(size, attention)
        channels = [width * min(2**i, MOST) for i in range(n)]
        self.blocks = nn.ModuleList(
            DownBlock(before, after, first=i == 0)
            for i, (before, after) in enumerate(
                zip([in_channels, *channels], channels, strict=False)
            )
        )
        self.blocks.append(DownBlock(channels[-1], channels[-1], down=False))
        self.attention_at = (size // attention).bit_length() - 2
        self.attention = SelfAttention(channels[self.attention_at])
        self.score = SpectralLinear(channels[-1], 1)
        self.projection = SpectralLinear(channels[-1], classes, bias=False) if classes else None
        self.codes = CodeHead(channels[-1], codes, norm="none") if codes else None

    def scores(self, features: Tensor, labels: Tensor | None) -> Tensor:
        scores: Tensor = self.score(features)
        if self.projection is None:
            return scores
        return projected(scores, self.projection(features), labels)

    def features(self, images: Tensor, labels: Tensor | None = None) -> Tensor:
        """What the score is computed from, (N, F); it does not depend on the labels."""
        require_square(images, self.size)
        require_labels(labels, self.classes)
        features = images
        for i, block in enumerate(self.blocks):
            features = block(features)
            if i == self.attention_at:
                features = self.attention(features)
        return features.relu().sum((2, 3))
