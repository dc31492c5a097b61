"""Discriminators that judge patches, not images.

Every score sees a window of the image, the receptive field, and all windows are judged alike:
Isola et al., "Image-to-image translation with conditional adversarial networks", CVPR 2017, section
3.2.2 and appendix 6.1.2. The scores are logits; what they mean is up to the adversarial loss.
"""

import math
from collections.abc import Mapping
from typing import Annotated, Any

from annotated_types import Ge, Le
from torch import Tensor, nn

from i2i.core.registry import register_network
from i2i.networks.blocks import has_bias, normalisation, require_at_least, require_size
from i2i.networks.options import Norm, Width


class PatchJudge(nn.Module):
    """What discriminators of overlapping patches share: `model` maps images to a score for each.

    Attributes:
        model: the layers in their order, of which the last makes the scores.
        minimum: smallest height and width of an image.
    """

    model: nn.Sequential
    minimum: int

    @staticmethod
    def fit_to(size: int, options: Mapping[str, Any]) -> dict[str, Any]:
        """The options to change for images of `size` pixels, of which a score must be left."""
        if size >= 3 * 2 ** options["layers"]:
            return {}
        return {"layers": max(1, int(math.log2(size / 3)))}

    def features(self, images: Tensor) -> Tensor:
        """Return the activations (N, F) just before the scores."""
        features: Tensor = self.model[:-1](images)
        return features.flatten(1)

    def forward(self, images: Tensor) -> Tensor:
        """Map (N, in_channels, H, W) to scores (N, 1, H', W') with H' = H // 2**layers - 2.

        Raises:
            DataError: H or W is below `minimum`.
        """
        require_size(images, minimum=self.minimum)
        scores: Tensor = self.model(images)
        return scores


@register_network("discriminator", "patchgan")
class PatchGAN(PatchJudge):
    """A fully convolutional discriminator with a map of scores.

    The published one has width 64 and 3 layers, which judge patches of 70x70 pixels. The weights
    have the published names ("model.0.weight" ...).

    Args:
        in_channels: channels of the images; for a conditional discriminator those of both.
        width: channels of the first layer; they double from layer to layer, up to 8 * `width`.
        layers: convolutions of stride 2, at least 1; two of stride 1 follow.
        norm: "batch", "instance" or "none". Not before the first activation nor behind the scores.

    Attributes:
        minimum: smallest height and width of an image, 3 * 2**layers.

    Raises:
        OptionsError: an unknown name, or a number that is too small.
    """

    def __init__(
        self,
        in_channels: int,
        *,
        width: Width = 64,
        layers: Annotated[
            int, Ge(1), Le(16), "strided layers; 3 judge patches of 70 x 70 pixels"
        ] = 3,
        norm: Norm = "batch",
    ) -> None:
        super().__init__()
        require_at_least("width", width, 1)
        require_at_least("layers", layers, 1)
        self.minimum = 3 * 2**layers
        modules: list[nn.Module] = [
            nn.Conv2d(in_channels, width, 4, stride=2, padding=1),
            nn.LeakyReLU(0.2, inplace=True),
        ]
        channels = width
        for layer in range(1, layers + 1):
            before, channels = channels, width * min(2**layer, 8)
            stride = 2 if layer < layers else 1
            modules += [
                nn.Conv2d(before, channels, 4, stride=stride, padding=1, bias=has_bias(norm)),
                normalisation(norm, channels),
                nn.LeakyReLU(0.2, inplace=True),
            ]
        modules.append(nn.Conv2d(channels, 1, 4, stride=1, padding=1))
        self.model = nn.Sequential(*modules)

    @property
    def receptive_field(self) -> int:
        """Height and width, in pixels, of the patch that one score sees."""
        field = 1
        for module in reversed(self.model):
            if isinstance(module, nn.Conv2d):
                field = (field - 1) * module.stride[0] + module.kernel_size[0]
        return field


@register_network("discriminator", "pixelgan")
class PixelGAN(nn.Module):
    """A discriminator that judges each pixel by itself, by its colour alone.

    The weights have the published names ("net.0.weight" ...).

    Args:
        in_channels: channels of the images; for a conditional discriminator those of both.
        width: channels of the first layer; the second has twice as many.
        norm: "batch", "instance" or "none".

    Attributes:
        receptive_field: height and width, in pixels, of the patch that one score sees: 1.

    Raises:
        OptionsError: an unknown name, or a number that is too small.
    """

    receptive_field: int = 1

    def __init__(self, in_channels: int, *, width: Width = 64, norm: Norm = "batch") -> None:
        super().__init__()
        require_at_least("width", width, 1)
        bias = has_bias(norm)
        self.net = nn.Sequential(
            nn.Conv2d(in_channels, width, 1),
            nn.LeakyReLU(0.2, inplace=True),
            nn.Conv2d(width, 2 * width, 1, bias=bias),
            normalisation(norm, 2 * width),
            nn.LeakyReLU(0.2, inplace=True),
            nn.Conv2d(2 * width, 1, 1, bias=bias),
        )

    def features(self, images: Tensor) -> Tensor:
        """Return the activations (N, F) just before the scores."""
        features: Tensor = self.net[:-1](images)
        return features.flatten(1)

    def forward(self, images: Tensor) -> Tensor:
        """Map (N, in_channels, H, W) to scores (N, 1, H, W)."""
        scores: Tensor = self.net(images)
        return scores
