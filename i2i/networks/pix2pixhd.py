"""The generators of pix2pixHD: one for the whole image, and what adds detail at twice its size.

Wang et al., "High-resolution image synthesis and semantic manipulation with conditional GANs", CVPR
2018, section 3.1. Every convolution has a bias, whatever the normalisation.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import torch.nn.functional as F
from annotated_types import Ge, Le
from torch import Tensor, nn

from i2i.core.registry import register_network
from i2i.networks.blocks import normalisation, require_at_least, require_size, upsampling
from i2i.networks.checkpointing import Checkpointed
from i2i.networks.options import Upsample
from i2i.networks.resnet import ResidualBlock

Width = Annotated[int, Ge(1), Le(4096), "channels of the first layer at full size"]
Downs = Annotated[int, Ge(1), Le(16), "times that the global generator halves the size"]
Blocks = Annotated[int, Ge(0), Le(256), "residual blocks at the smallest size"]
Norm = Annotated[Literal["batch", "instance", "none"], "normalisation of the features"]


@register_network("generator", "pix2pixhd-global")
class GlobalGenerator(Checkpointed):
    """Residual blocks between `downs` halvings and as many doublings.

    The published one has width 64, 4 halvings and 9 blocks. Channels double without limit. The
    weights have the published names ("model.16.conv_block.1.weight" ...), which count the layers.

    Args:
        in_channels: channels of the images to translate.
        out_channels: channels of the translations.
        width: channels at full size; they double with each halving.
        downs: halvings, at least 1.
        blocks: residual blocks, at least 0.
        norm: "batch", "instance" or "none".
        upsample: "transposed" as published, or "resize"; see `upsampling`.

    Attributes:
        keeps_biases: the biases of convolutions begin as torch draws them, as published.
        multiple: height and width must be multiples of this, 2**downs; at least twice as much.

    Raises:
        OptionsError: an unknown name, or a number that is too small.
    """

    multiple: int
    keeps_biases = True

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        width: Width = 64,
        downs: Downs = 4,
        blocks: Blocks = 9,
        norm: Norm = "instance",
        upsample: Upsample = "transposed",
    ) -> None:
        super().__init__()
        self.multiple = 2**downs
        self.model = nn.Sequential(
            *_body(
                in_channels, width=width, downs=downs, blocks=blocks, norm=norm, upsample=upsample
            ),
            *_to_image(width, out_channels),
        )

    @staticmethod
    def fit_to(size: int, options: Mapping[str, Any]) -> dict[str, Any]:
        """The options to change for images of `size` pixels, which two are left of inside."""
        deepest = size.bit_length() - 2
        return {"downs": max(1, deepest)} if options["downs"] > deepest else {}

    def forward(self, images: Tensor) -> Tensor:
        """Translate (N, in_channels, H, W) to (N, out_channels, H, W) in -1..1.

        Raises:
            DataError: H or W is too small or no multiple of `multiple`.
        """
        require_size(images, minimum=2 * self.multiple, multiple=self.multiple)
        return self.run(self.model, images)


@register_network("generator", "pix2pixhd-enhancer")
class LocalEnhancer(Checkpointed):
    """A global generator, and enhancers around it, each at twice the size of what is inside.

    Enhancer n of N works on the image halved N - n times; its first half makes features of half
    that size, to which those of the next smaller network are added. The published one has width 32,
    one enhancer with 3 blocks, and inside a `GlobalGenerator` of twice the width, without its last
    layers, whose weights ("model.1.weight" ...) may be taken from one that was trained by itself.
    Those of enhancer n are named "model<n>_1.1.weight" ... and "model<n>_2.0.conv_block..." ...

    Args:
        in_channels: channels of the images to translate.
        out_channels: channels of the translations.
        width: channels at full size; the global generator has 2**enhancers as many at its own.
        downs: halvings inside the global generator, at least 1.
        blocks: residual blocks of the global generator, at least 0.
        enhancers: at least 1.
        local_blocks: residual blocks of each enhancer, at least 0.
        norm: "batch", "instance" or "none".
        upsample: "transposed" as published, or "resize"; see `upsampling`.
        coarse_head: whether the global generator has last layers of its own, for `coarse`.

    Attributes:
        keeps_biases: the biases of convolutions begin as torch draws them, as published.
        multiple: height and width must be multiples of this, 2**(downs + enhancers); at least twice
            as much.

    Raises:
        OptionsError: an unknown name, or a number that is too small.
    """

    multiple: int
    keeps_biases = True

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        width: Width = 32,
        downs: Downs = 4,
        blocks: Blocks = 9,
        enhancers: Annotated[int, Ge(1), Le(8), "doublings around the global generator"] = 1,
        local_blocks: Annotated[int, Ge(0), Le(256), "residual blocks of each enhancer"] = 3,
        norm: Norm = "instance",
        upsample: Upsample = "transposed",
        coarse_head: bool = False,
    ) -> None:
        super().__init__()
        require_at_least("enhancers", enhancers, 1)
        require_at_least("local_blocks", local_blocks, 0)
        self.enhancers = enhancers
        self.multiple = 2 ** (downs + enhancers)
        inside = width * 2**enhancers
        self.model = nn.Sequential(
            *_body(
                in_channels, width=inside, downs=downs, blocks=blocks, norm=norm, upsample=upsample
            )
        )
        layers = _to_image(inside, out_channels) if coarse_head else []
        self.coarse_head = nn.Sequential(*layers)
        for n in range(1, enhancers + 1):
            channels = width * 2 ** (enhancers - n)
            first = [*_from_image(in_channels, channels, norm), *_halving(channels, norm)]
            second = [
                *(ResidualBlock(2 * channels, norm=norm, bias=True) for _ in range(local_blocks)),
                *_doubling(channels, norm, upsample),
                *(_to_image(channels, out_channels) if n == enhancers else []),
            ]
            self.add_module(f"model{n}_1", nn.Sequential(*first))
            self.add_module(f"model{n}_2", nn.Sequential(*second))

    @staticmethod
    def fit_to(size: int, options: Mapping[str, Any]) -> dict[str, Any]:
        """The options to change for images of `size` pixels, which two are left of inside."""
        return GlobalGenerator.fit_to(size >> options["enhancers"], options)

    def forward(self, images: Tensor) -> Tensor:
        """Translate (N, in_channels, H, W) to (N, out_channels, H, W) in -1..1.

        Raises:
            DataError: H or W is too small or no multiple of `multiple`.
        """
        require_size(images, minimum=2 * self.multiple, multiple=self.multiple)
        pyramid = [images]
        for _ in range(self.enhancers):
            pyramid.append(halved(pyramid[-1]))
        features = self.run(self.model, pyramid.pop())
        for n in range(1, self.enhancers + 1):
            local = self.run(self._half(n, 1), pyramid.pop())
            features = self.run(self._half(n, 2), local + features)
        return features

    def coarse(self, images: Tensor) -> Tensor:
        """What the global generator makes by itself of the smallest images of the pyramid.

        Returns:
            (N, out_channels, H', W') in -1..1, H and W halved `enhancers` times.
        """
        for _ in range(self.enhancers):
            images = halved(images)
        made: Tensor = self.coarse_head(self.run(self.model, images))
        return made

    def outermost(self) -> tuple[nn.Module, nn.Module]:
        """The two halves of the last enhancer, all that is trained while the rest is kept fixed."""
        return self._half(self.enhancers, 1), self._half(self.enhancers, 2)

    def _half(self, n: int, half: int) -> nn.Sequential:
        module = self.get_submodule(f"model{n}_{half}")
        assert isinstance(module, nn.Sequential)
        return module


def halved(images: Tensor) -> Tensor:
    """(N, C, H, W) -> (N, C, ceil(H / 2), ceil(W / 2)), the mean of 3x3 pixels, 4 or 6 at borders.

    So the image pyramids of pix2pixHD and SPADE are made.
    """
    return F.avg_pool2d(images, 3, stride=2, padding=1, count_include_pad=False)


def _body(
    in_channels: int, *, width: int, downs: int, blocks: int, norm: str, upsample: str
) -> list[nn.Module]:
    """From the image to features of `width` channels of the same size."""
    require_at_least("width", width, 1)
    require_at_least("downs", downs, 1)
    require_at_least("blocks", blocks, 0)
    layers = _from_image(in_channels, width, norm)
    for down in range(downs):
        layers += _halving(width * 2**down, norm)
    layers += [ResidualBlock(width * 2**downs, norm=norm, bias=True) for _ in range(blocks)]
    for down in reversed(range(downs)):
        layers += _doubling(width * 2**down, norm, upsample)
    return layers


def _from_image(in_channels: int, channels: int, norm: str) -> list[nn.Module]:
    convolution = nn.Conv2d(in_channels, channels, 7)
    return [nn.ReflectionPad2d(3), convolution, normalisation(norm, channels), nn.ReLU(True)]


def _to_image(channels: int, out_channels: int) -> list[nn.Module]:
    return [nn.ReflectionPad2d(3), nn.Conv2d(channels, out_channels, 7), nn.Tanh()]


def _halving(channels: int, norm: str) -> list[nn.Module]:
    convolution = nn.Conv2d(channels, 2 * channels, 3, stride=2, padding=1)
    return [convolution, normalisation(norm, 2 * channels), nn.ReLU(True)]


def _doubling(channels: int, norm: str, upsample: str) -> list[nn.Module]:
    doubled = upsampling(upsample, 2 * channels, channels, kernel_size=3, bias=True)
    return [doubled, normalisation(norm, channels), nn.ReLU(True)]
