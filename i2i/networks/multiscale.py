"""Discriminators that are several PatchGANs, each at half the size of the one before.

Wang et al., "High-resolution image synthesis and semantic manipulation with conditional GANs", CVPR
2018, section 3.2; Park et al., "Semantic image synthesis with spatially-adaptive normalization",
CVPR 2019, appendix A, with spectral normalisation. Both are conditional: the channels of the
condition come first, then those of the image.

Of every scale all layers can be had, for feature matching; of these the last is the map of scores.
"""

from abc import ABC, abstractmethod
from itertools import islice
from typing import Annotated, Literal, final

import torch
from annotated_types import Ge, Le
from torch import Tensor, nn

from i2i.core.registry import register_network
from i2i.networks.blocks import normalisation, require_at_least, require_size
from i2i.networks.pix2pixhd import halved
from i2i.networks.spectral import HookedConv2d

MOST = 512
"""Channels double from layer to layer, but not beyond this number."""

Width = Annotated[int, Ge(1), Le(4096), "channels of the first layer"]
Scales = Annotated[int, Ge(1), Le(8), "discriminators, each at half the size of the last"]
Norm = Annotated[Literal["batch", "instance", "none"], "normalisation of the features"]


class MultiScale(nn.Module, ABC):
    """Judges an image at `scales` sizes.

    Attributes:
        entrance: what images pass through before anything else, once for all scales.
        scales: how many; at least 1.
        minimum: smallest height and width of an image.
    """

    scales: int
    minimum: int

    def __init__(self) -> None:
        super().__init__()
        self.entrance = nn.Identity()

    @abstractmethod
    def scale(self, number: int) -> list[list[nn.Module]]:
        """The layers that judge the image after `number` halvings, each in its parts."""

    @final
    def layers(self, images: Tensor) -> list[list[Tensor]]:
        """Return the output (N, C, H', W') of every layer at every scale, full size first.

        Raises:
            DataError: H or W is below `minimum`.
        """
        require_size(images, minimum=self.minimum)
        images = self.entrance(images)
        outputs = []
        for number in range(self.scales):
            images = halved(images) if number else images
            features, of_scale = images, []
            for layer in self.scale(number):
                for part in layer:
                    features = part(features)
                of_scale.append(features)
            outputs.append(of_scale)
        return outputs

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Map (N, in_channels, H, W) to a map of scores (N, 1, H', W') for each scale.

        Raises:
            DataError: H or W is below `minimum`.
        """
        return tuple(of_scale[-1] for of_scale in self.layers(images))

    @final
    def features(self, images: Tensor) -> Tensor:
        """Return the activations (N, F) just before the scores, of all scales."""
        return torch.cat([of_scale[-2].flatten(1) for of_scale in self.layers(images)], dim=1)


@final
@register_network("discriminator", "multiscale-patchgan")
class MultiScalePatchGAN(MultiScale):
    """The discriminator of pix2pixHD: PatchGANs whose convolutions are padded by 2.

    The published one has width 64, 3 layers, 2 scales (3 for the largest images) and instance
    normalisation. The weights have the published names, which count the scales from the smallest
    one: "scale0_layer0.0.weight" ...; those of the authors' discriminators without feature matching
    are "layer0.0.weight" ... The sigmoid that theirs may end in belongs to the loss here.

    Args:
        in_channels: channels of condition and image together.
        width: channels of the first layer; they double up to 512.
        layers: convolutions of stride 2, at least 1; two of stride 1 follow.
        scales: at least 1.
        norm: "batch", "instance" or "none". Not before the first activation nor behind the scores.
        matching: names of the weights as with (True) or without feature matching.

    Raises:
        OptionsError: an unknown name, or a number that is too small.
    """

    keeps_biases = True

    def __init__(
        self,
        in_channels: int,
        *,
        width: Width = 64,
        layers: Annotated[int, Ge(1), Le(16), "strided layers"] = 3,
        scales: Scales = 2,
        norm: Norm = "instance",
        matching: Annotated[bool, "weights are named as with feature matching"] = True,
    ) -> None:
        super().__init__()
        self.scales, self.minimum = scales, _require(width, layers, scales)
        self.matching = matching
        for number in range(scales):
            channels = width
            stages = [[_convolution(in_channels, width, stride=2), _activation()]]
            for layer in range(1, layers + 1):
                before, channels = channels, min(2 * channels, MOST)
                stride = 2 if layer < layers else 1
                convolution = _convolution(before, channels, stride=stride)
                stages.append([convolution, normalisation(norm, channels), _activation()])
            stages.append([_convolution(channels, 1, stride=1)])
            if matching:
                for layer, stage in enumerate(stages):
                    self.add_module(f"scale{number}_layer{layer}", nn.Sequential(*stage))
            else:
                modules = [module for stage in stages for module in stage]
                self.add_module(f"layer{number}", nn.Sequential(*modules))
        self.lengths = [len(stage) for stage in stages]

    def scale(self, number: int) -> list[list[nn.Module]]:
        """The layers that judge the image after `number` halvings, each in its parts."""
        name = self.scales - 1 - number
        if self.matching:
            numbers = range(len(self.lengths))
            return [list(self.get_submodule(f"scale{name}_layer{n}").children()) for n in numbers]
        parts = self.get_submodule(f"layer{name}").children()
        return [list(islice(parts, length)) for length in self.lengths]


@final
@register_network("discriminator", "multiscale-spectral-patchgan")
class SpectralPatchGAN(MultiScale):
    """The discriminator of SPADE: PatchGANs with spectral normalisation between first and last.

    The published one has width 64, 4 layers and 2 scales, and instance normalisation behind the
    spectrally normalised convolutions, which have a bias only without it. The weights have the
    published names ("discriminator_0.model1.0.0.weight_orig" ...), full size first.

    Args:
        in_channels: channels of condition and image together.
        width: channels of the first layer; they double up to 512.
        layers: convolutions before the scores, at least 2; all but the last have stride 2. So 4
            make the shape of 3 in `MultiScalePatchGAN`.
        scales: at least 1.
        norm: "batch", "instance" or "none", besides the spectral one.

    Raises:
        OptionsError: an unknown name, or a number that is too small.
    """

    def __init__(
        self,
        in_channels: int,
        *,
        width: Width = 64,
        layers: Annotated[int, Ge(2), Le(16), "convolutions before the scores"] = 4,
        scales: Scales = 2,
        norm: Norm = "instance",
    ) -> None:
        super().__init__()
        require_at_least("layers", layers, 2)
        self.scales, self.minimum = scales, _require(width, layers, scales)
        for number in range(scales):
            channels = width
            stages = [nn.Sequential(_convolution(in_channels, width, stride=2), _activation())]
            for layer in range(1, layers):
                before, channels = channels, min(2 * channels, MOST)
                convolution = HookedConv2d(
                    before,
                    channels,
                    4,
                    stride=2 if layer < layers - 1 else 1,
                    padding=2,
                    bias=norm == "none",
                )
                stages.append(nn.Sequential(behind(convolution, norm), _activation()))
            stages.append(nn.Sequential(_convolution(channels, 1, stride=1)))
            patchgan = nn.Module()
            for layer, stage in enumerate(stages):
                patchgan.add_module(f"model{layer}", stage)
            self.add_module(f"discriminator_{number}", patchgan)

    def scale(self, number: int) -> list[list[nn.Module]]:
        """The layers that judge the image after `number` halvings, each in its parts."""
        patchgan = self.get_submodule(f"discriminator_{number}")
        return [list(layer.children()) for layer in patchgan.children()]


def behind(convolution: nn.Conv2d, norm: str) -> nn.Module:
    """Return a convolution and its normalisation, numbered as SPADE's; alone, if it has none."""
    if norm == "none":
        return convolution
    return nn.Sequential(convolution, normalisation(norm, convolution.out_channels))


def _convolution(before: int, after: int, *, stride: int) -> nn.Module:
    return nn.Conv2d(before, after, 4, stride=stride, padding=2)


def _activation() -> nn.Module:
    return nn.LeakyReLU(0.2, inplace=True)


def _require(width: int, layers: int, scales: int) -> int:
    """Check the numbers; return the smallest height and width of an image.

    Thanks to the padding only instance norm needs a size: two pixels in the smallest image.
    """
    require_at_least("width", width, 1)
    require_at_least("layers", layers, 1)
    require_at_least("scales", scales, 1)
    return (1 << scales - 1) + 1
