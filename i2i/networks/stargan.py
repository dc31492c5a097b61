"""The networks of StarGAN: one generator for many domains, and a critic that also classifies.

Choi et al., "StarGAN: Unified generative adversarial networks for multi-domain image-to-image
translation", CVPR 2018, section 3.3 and appendix 7.2. Which domain is wanted is told to the
generator by planes of numbers behind the channels of the image, one plane for each domain.
"""

from collections.abc import Mapping
from typing import Annotated, Any

from annotated_types import Ge, Le
from torch import Tensor, nn

from i2i.core.registry import register_network
from i2i.core.size import AnySize, Size
from i2i.errors import OptionsError
from i2i.networks.blocks import InstanceNorm2d, require_at_least, require_size, upsampling
from i2i.networks.checkpointing import Block, Checkpointed
from i2i.networks.condition import require_exactly
from i2i.networks.options import Blocks, Upsample, Width


def _norm(channels: int) -> InstanceNorm2d:
    return InstanceNorm2d(channels, affine=True, track_running_stats=True)


class ResidualBlock(Block):
    """Two 3x3 convolutions, padded with zeros, whose result is added to their input."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.main = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1, bias=False),
            _norm(channels),
            nn.ReLU(inplace=True),
            nn.Conv2d(channels, channels, 3, padding=1, bias=False),
            _norm(channels),
        )

    def forward(self, features: Tensor) -> Tensor:
        """Map (N, C, H, W) to the same shape."""
        residual: Tensor = self.main(features)
        return features + residual


@register_network("generator", "stargan")
class StarGANGenerator(Checkpointed):
    """Residual blocks between two halvings and two doublings, all with zero padding.

    The published network has width 64 and 6 blocks. Its instance normalisation has a learnt scale
    and shift and gathers running statistics; `set_inference` says whether these are used. The
    weights have the published names ("main.9.main.0.weight" ...), which count the layers and so
    differ with the number of blocks.

    Args:
        in_channels: channels of the images to translate and of the label planes together.
        out_channels: channels of the translations.
        width: channels at full size; twice as many at half and four times at a quarter of it.
        blocks: residual blocks, at least 0.
        upsample: "transposed" as published, or "resize" against dots (other weight names).

    Attributes:
        multiple: height and width must be multiples of this, 4; of 8 pixels at least.

    Raises:
        OptionsError: an unknown name, or a number that is too small.
    """

    multiple: int = 4

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        width: Width = 64,
        blocks: Blocks = 6,
        upsample: Upsample = "transposed",
    ) -> None:
        super().__init__()
        require_at_least("width", width, 1)
        require_at_least("blocks", blocks, 0)
        layers: list[nn.Module] = [
            nn.Conv2d(in_channels, width, 7, padding=3, bias=False),
            _norm(width),
            nn.ReLU(inplace=True),
        ]
        for channels in (width, 2 * width):
            layers += [
                nn.Conv2d(channels, 2 * channels, 4, stride=2, padding=1, bias=False),
                _norm(2 * channels),
                nn.ReLU(inplace=True),
            ]
        layers += [ResidualBlock(4 * width) for _ in range(blocks)]
        for channels in (2 * width, width):
            layers += [
                upsampling(upsample, 2 * channels, channels, kernel_size=4, bias=False),
                _norm(channels),
                nn.ReLU(inplace=True),
            ]
        layers += [nn.Conv2d(width, out_channels, 7, padding=3, bias=False), nn.Tanh()]
        self.main = nn.Sequential(*layers)

    def forward(self, images: Tensor) -> Tensor:
        """Translate (N, in_channels, H, W), images and label planes, to -1..1.

        Returns:
            (N, out_channels, H, W).

        Raises:
            DataError: H or W is below 8 or not a multiple of 4.
        """
        require_size(images, minimum=8, multiple=self.multiple)
        return self.run(self.main, images)


@register_network("discriminator", "stargan")
class StarGANDiscriminator(nn.Module):
    """A critic with a map of scores and, from the same features, a classifier of the domain.

    The published network has width 64 and 6 layers for images of 128 or 256 pixels. It has no
    normalisation, as its gradient is penalised image by image. The weights have the published
    names ("main.0.weight", "conv1.weight" ...).

    Args:
        in_channels: channels of the images.
        width: channels of the first layer; they double from layer to layer.
        layers: convolutions of stride 2, at least 1.
        classes: domains or attributes to tell apart.
        size: side of the images, or (width, height); the classifier sees all of an image at once.

    Raises:
        OptionsError: a number that is too small, or `size` is no multiple of 2**layers.
    """

    def __init__(
        self,
        in_channels: int,
        *,
        width: Width = 64,
        layers: Annotated[int, Ge(1), Le(16), "strided layers"] = 6,
        classes: int,
        size: AnySize,
    ) -> None:
        super().__init__()
        require_at_least("width", width, 1)
        require_at_least("layers", layers, 1)
        require_at_least("classes", classes, 1)
        size = Size.of(size)
        if min(size) < 1 or any(side % 2**layers for side in size):
            raise OptionsError(
                f"size (={size}) must be a multiple of {2**layers} for a discriminator of "
                f"{layers} layers: take another size or fewer layers."
            )
        self.size = size
        modules: list[nn.Module] = []
        before = in_channels
        for layer in range(layers):
            channels = width * 2**layer
            modules += [
                nn.Conv2d(before, channels, 4, stride=2, padding=1),
                nn.LeakyReLU(0.01, inplace=True),
            ]
            before = channels
        self.main = nn.Sequential(*modules)
        self.conv1 = nn.Conv2d(before, 1, 3, padding=1, bias=False)
        self.conv2 = nn.Conv2d(
            before, classes, (size.height // 2**layers, size.width // 2**layers), bias=False
        )

    @staticmethod
    def fit_to(size: int, options: Mapping[str, Any]) -> dict[str, Any]:
        """The options to change for images of `size` pixels, which each layer halves."""
        deepest = (size & -size).bit_length() - 1  # the number of times that 2 divides it
        return {"layers": max(1, min(options["layers"], deepest))}

    def features(self, images: Tensor) -> Tensor:
        """Return the activations (N, F) just before the scores and logits."""
        features: Tensor = self.main(images)
        return features.flatten(1)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Judge and classify (N, in_channels, H, W) of `size`.

        Returns:
            scores (N, 1, h, w), h = H / 2**`layers` and w = W / 2**`layers`, and the logits of the
            classes (N, classes).

        Raises:
            DataError: the images have another size.
        """
        require_exactly(images, self.size)
        features = self.main(images)
        return self.conv1(features), self.conv2(features).flatten(1)
