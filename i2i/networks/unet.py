"""The U-Net generator of pix2pix.

An encoder halves the image level by level, a decoder doubles it again, and each level of the
decoder also sees the encoder's features of its own size. Isola et al., "Image-to-image translation
with conditional adversarial networks", CVPR 2017, section 3.2.1 and appendix 6.1.1.
"""

import math
from collections.abc import Mapping
from typing import Annotated, Any

import torch
from annotated_types import Ge, Le
from torch import Tensor, nn

from i2i.core.registry import register_network
from i2i.networks.blocks import (
    enlarging,
    has_bias,
    normalisation,
    require_at_least,
    require_size,
    upsampling,
)
from i2i.networks.checkpointing import Checkpointed
from i2i.networks.options import AddsInput, Norm, Upsample, Upscale, Width


class Skip(Checkpointed):
    """The levels of the U-Net from one size downwards, joined to what goes around them.

    The first of `layers` is an activation in place, so that what goes around is activated already;
    the ReLU that follows the join makes this the same function, for less memory.
    """

    def __init__(self, *layers: nn.Module) -> None:
        super().__init__()
        self.model = nn.Sequential(*layers)

    def forward(self, features: Tensor) -> Tensor:
        """Map (N, C, H, W) to (N, 2C, H, W): the features, then what the levels made of them."""
        return torch.cat([features, self.run(self.model, features)], dim=1)


@register_network("generator", "unet")
class UNet(Checkpointed):
    """Encoder and decoder of `downs` levels with skip connections.

    Level i, counted from 0 at the image, has min(2**i, 8) * `width` channels; the published
    networks are width 64 with 7 downs (128 pixels) and 8 downs (256 pixels). The innermost
    level has no normalisation on its way down, so that it may be a single pixel.

    The weights have the published names ("model.model.1.model.3...").

    Args:
        in_channels: channels of the images to translate.
        out_channels: channels of the translations.
        width: channels of the outermost level.
        downs: how many times the image is halved, at least 2.
        norm: "batch", "instance" or "none".
        dropout: drop half of the features behind the decoder's levels of full width (8 * `width` on
            both sides), except the innermost: levels 4 to downs - 2, which are `downs` - 5
            levels. A U-Net of 5 downs or fewer has no such level and hence no dropout.
        upsample: "transposed" as published, or "resize" against checkerboards (other weight names).
        upscale: how many times wider and higher the translations are; above 1 the outermost level
            ends with features, and `Enlarging` follows.
        adds_input: with `upscale`, add the input to them, its pixels repeated.

    Attributes:
        multiple: height and width must be multiples of this, 2**downs.
        upscale: as above.

    Raises:
        OptionsError: an unknown name, or a number that is too small.
    """

    multiple: int

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        width: Width = 64,
        downs: Annotated[int, Ge(2), Le(16), "times that the size is halved"] = 8,
        norm: Norm = "batch",
        dropout: Annotated[bool, "drop half of the features of the decoder's full levels"] = False,
        upsample: Upsample = "transposed",
        upscale: Upscale = 1,
        adds_input: AddsInput = False,
    ) -> None:
        super().__init__()
        require_at_least("width", width, 1)
        require_at_least("downs", downs, 2)
        self.multiple = 2**downs
        bias = has_bias(norm)
        channels = [width * min(2**level, 8) for level in range(downs)]

        def down(outer: int, inner: int) -> nn.Module:
            return nn.Conv2d(outer, inner, 4, stride=2, padding=1, bias=bias)

        def up(inner: int, outer: int, *, bias: bool = bias) -> nn.Module:
            return upsampling(upsample, inner, outer, kernel_size=4, bias=bias)

        outer, inner = channels[-2:]
        levels = Skip(
            nn.LeakyReLU(0.2, inplace=True),
            down(outer, inner),
            nn.ReLU(inplace=True),
            up(inner, outer),
            normalisation(norm, outer),
        )
        for level in reversed(range(1, downs - 1)):
            outer, inner = channels[level - 1], channels[level]
            layers = [
                nn.LeakyReLU(0.2, inplace=True),
                down(outer, inner),
                normalisation(norm, inner),
                levels,
                nn.ReLU(inplace=True),
                up(2 * inner, outer),
                normalisation(norm, outer),
            ]
            if dropout and level >= 4:
                layers.append(nn.Dropout(0.5))
            levels = Skip(*layers)
        self.upscale = upscale
        channels_of = in_channels, width, out_channels
        self.enlarging = enlarging(upscale, *channels_of, norm, upsample, adds_input=adds_input)
        if self.enlarging is None:
            head = [up(2 * width, out_channels, bias=True), nn.Tanh()]
        else:
            head = [up(2 * width, width), normalisation(norm, width), nn.ReLU(inplace=True)]
        outermost = nn.Sequential(down(in_channels, width), levels, nn.ReLU(inplace=True), *head)
        # The name comes twice because the published outermost level is a module of its own.
        self.model = nn.ModuleDict({"model": outermost})

    @staticmethod
    def fit_to(size: int, options: Mapping[str, Any]) -> dict[str, Any]:
        """The options to change for images of `size` pixels, which are halved as often as they can
        be, but not below one: 48 pixels four times, and seldom only where nothing else is left."""
        often = max(2, min(options["downs"], int(math.log2(size))))
        whole = [downs for downs in range(3, often + 1) if size % 2**downs == 0]
        downs = whole[-1] if whole else often
        return {} if downs == options["downs"] else {"downs": downs}

    def forward(self, images: Tensor) -> Tensor:
        """Translate (N, in_channels, H, W) to (N, out_channels, H, W) in -1..1, `upscale` times as
        high and wide.

        Raises:
            DataError: H or W is not a multiple of `multiple`.
        """
        require_size(images, minimum=self.multiple, multiple=self.multiple)
        outermost = self.model["model"]
        assert isinstance(outermost, nn.Sequential)
        made = self.run(outermost, images)
        return made if self.enlarging is None else self.enlarging(made, images)
