"""The discriminator of StyleGAN2.

Karras et al., "Analyzing and improving the image quality of StyleGAN", CVPR 2020, section 4.1 and
figure 7; the deviation of a batch and the score as in "Progressive growing of GANs", ICLR 2018;
labels as in Karras et al., "Training generative adversarial networks with limited data", NeurIPS
2020, appendix. The weights have the names of the authors' PyTorch implementation.
"""

import math
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from annotated_types import Ge, Le
from torch import Tensor, nn

from i2i.core.registry import register_network
from i2i.errors import OptionsError
from i2i.networks.condition import (
    CodeHead,
    ScoringDiscriminator,
    require_counts,
    require_labels,
    require_square,
)
from i2i.networks.equalised import EqualisedConv2d, EqualisedLinear, minibatch_deviation
from i2i.networks.resample import binomial_filter, downsample, smooth
from i2i.networks.stylegan2 import (
    BASE,
    MappingNetwork,
    activate,
    channels_at,
    fitted_channels,
    sizes_of,
)


class Convolution(EqualisedConv2d):
    """An equalised convolution that may halve height and width, and may be activated.

    A 3x3 one that halves smooths first, and has a stride of 2; a 1x1 one smooths and takes every
    second pixel before it.
    """

    resample_filter: Tensor

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel: int,
        *,
        down: bool = False,
        plain: bool = False,
    ) -> None:
        strided = down and kernel > 1
        super().__init__(
            in_channels,
            out_channels,
            kernel,
            stride=2 if strided else 1,
            padding=0 if strided else None,
            bias=not plain,
            gain=1.0,
        )
        self.down, self.plain = down, plain
        self.register_buffer("resample_filter", binomial_filter())

    def forward(self, images: Tensor) -> Tensor:
        """Map (N, in, H, W) to (N, out, H, W), or half of both; `plain` has no bias and no
        activation."""
        if self.stride == 2:
            images = smooth(images, self.resample_filter, padding=2)
        elif self.down:
            images = downsample(images, self.resample_filter)
        features = super().forward(images)
        return features if self.plain else activate(features)


class DiscriminatorBlock(nn.Module):
    """What the discriminator does at one size, which it halves."""

    resample_filter: Tensor

    def __init__(
        self, in_channels: int, channels: int, out_channels: int, *, residual: bool
    ) -> None:
        super().__init__()
        self.register_buffer("resample_filter", binomial_filter())
        self.fromrgb = Convolution(in_channels, channels, 1) if in_channels else None
        self.conv0 = Convolution(channels, channels, 3)
        self.conv1 = Convolution(channels, out_channels, 3, down=True)
        self.skip = (
            Convolution(channels, out_channels, 1, down=True, plain=True) if residual else None
        )

    def forward(self, features: Tensor) -> Tensor:
        """Map (N, channels, H, W) to (N, out_channels, H / 2, W / 2)."""
        result: Tensor = self.conv1(self.conv0(features))
        if self.skip is not None:
            result = (result + self.skip(features)) * math.sqrt(0.5)
        return result


class Epilogue(nn.Module):
    """From features of 4x4 to the numbers that the score is made of."""

    def __init__(self, in_channels: int, channels: int, outputs: int, *, group: int, maps: int):
        super().__init__()
        self.group, self.maps = group, maps
        self.fromrgb = Convolution(in_channels, channels, 1) if in_channels else None
        self.conv = Convolution(channels + maps, channels, 3)
        self.fc = EqualisedLinear(channels * BASE**2, channels, gain=1.0)
        self.out = EqualisedLinear(channels, outputs, gain=1.0)

    def features(self, features: Tensor) -> Tensor:
        """Map (N, channels, 4, 4) to (N, channels)."""
        if self.maps:
            features = minibatch_deviation(features, group=self.group, maps=self.maps)
        return activate(self.fc(self.conv(features).flatten(1)))


@register_network("discriminator", "stylegan2")
class StyleGAN2Discriminator(ScoringDiscriminator):
    """From an image to one score.

    Published for 1024 pixels: channel_base 32768, channel_max 512, "resnet", groups of 4; for
    CIFAR-10 "orig", groups of 32. With classes the score is a product of the image's features and
    of a mapping of its label.

    Args:
        in_channels: channels of the images.
        size: height and width of the images, 4 * 2**n.
        classes: length of the labels; 0 for none.
        codes: logits of the auxiliary head, see `CodeHead`; 0 for none.

    Raises:
        OptionsError: a number that is too small, a size that cannot be reached, or channels that
            cannot be parted.
    """

    draws_own_weights = True

    def __init__(
        self,
        in_channels: int,
        size: int,
        classes: int = 0,
        codes: int = 0,
        *,
        channel_base: Annotated[
            int, Ge(1), Le(2**20), "channels at each size times that size"
        ] = 32768,
        channel_max: Annotated[int, Ge(1), Le(4096), "the most channels"] = 512,
        architecture: Annotated[
            Literal["resnet", "skip", "orig"],
            "residual blocks, the image beside the features of each size, or neither",
        ] = "resnet",
        group: Annotated[int, Ge(1), Le(4096), "images whose deviation is told to the score"] = 4,
        deviations: Annotated[int, Ge(0), Le(64), "channels that tell of it, 0 for none"] = 1,
        mapping_layers: Annotated[int, Ge(1), Le(64), "layers behind the labels, if any"] = 8,
    ) -> None:
        super().__init__()
        require_counts(classes=classes, codes=codes)
        self.size, self.classes = size, classes
        self.architecture = architecture
        self.sizes = sizes_of(size)[:0:-1]
        skips = architecture == "skip"
        for each in self.sizes:
            channels = channels_at(each, channel_base, channel_max)
            after = channels_at(each // 2, channel_base, channel_max)
            seen = in_channels if each == size or skips else 0
            block = DiscriminatorBlock(seen, channels, after, residual=architecture == "resnet")
            self.add_module(f"b{each}", block)
        last = channels_at(BASE, channel_base, channel_max)
        if deviations and last % deviations:
            raise OptionsError(
                f"deviations (={deviations}) must divide the {last} channels at {BASE}x{BASE}."
            )
        self.b4 = Epilogue(
            in_channels if skips else 0,
            last,
            last if classes else 1,
            group=group,
            maps=deviations,
        )
        self.mapping = (
            MappingNetwork(0, classes, width=last, layers=mapping_layers, average=False)
            if classes
            else None
        )
        self.codes = CodeHead(last, codes, norm="none") if codes else None

    @staticmethod
    def fit_to(size: int, options: Mapping[str, Any]) -> dict[str, Any]:
        """As published, half as many channels below 512 pixels."""
        return fitted_channels(size, options)

    def scores(self, features: Tensor, labels: Tensor | None) -> Tensor:
        scores: Tensor = self.b4.out(features)
        if self.mapping is None:
            return scores
        wanted: Tensor = self.mapping(None, labels).to(scores.dtype)
        return (scores * wanted).sum(1, keepdim=True) / math.sqrt(wanted.shape[1])

    def features(self, images: Tensor, labels: Tensor | None = None) -> Tensor:
        """What the score is computed from, (N, F); it does not depend on the labels."""
        require_square(images, self.size)
        require_labels(labels, self.classes)
        features: Tensor | None = None
        for size in self.sizes:
            block = self.get_submodule(f"b{size}")
            assert isinstance(block, DiscriminatorBlock)
            features = _seen(block.fromrgb, images, features)
            features = block(features)
            if self.architecture == "skip":
                images = downsample(images, block.resample_filter)
        assert features is not None
        return self.b4.features(_seen(self.b4.fromrgb, images, features))


def _seen(fromrgb: nn.Module | None, images: Tensor, features: Tensor | None) -> Tensor:
    """Add what `fromrgb` sees in the images, if there is one, to the features, if there are any."""
    if fromrgb is None:
        assert features is not None
        return features
    seen: Tensor = fromrgb(images)
    return seen if features is None else features + seen
