"""The residual generator of CycleGAN.

Two halvings, residual blocks at a quarter of the size, two doublings. Johnson et al., "Perceptual
losses for real-time style transfer and super-resolution", ECCV 2016, as adapted by Zhu et al.,
"Unpaired image-to-image translation using cycle-consistent adversarial networks", ICCV 2017,
section 4 and appendix 7.2.
"""

from collections.abc import Mapping
from typing import Annotated, Any

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
from i2i.networks.checkpointing import Block, Checkpointed
from i2i.networks.options import AddsInput, Blocks, Norm, Upsample, Upscale, Width


class ResidualBlock(Block):
    """Two 3x3 convolutions, padded by reflection, whose result is added to their input.

    Args:
        channels: of the input and of the output.
        norm: "batch", "instance" or "none".
        dropout: drop half of the features between the convolutions.
        bias: whether the convolutions have one; None: as `has_bias` says.
    """

    def __init__(
        self, channels: int, *, norm: str, dropout: bool = False, bias: bool | None = None
    ) -> None:
        super().__init__()
        bias = has_bias(norm) if bias is None else bias
        self.conv_block = nn.Sequential(
            nn.ReflectionPad2d(1),
            nn.Conv2d(channels, channels, 3, bias=bias),
            normalisation(norm, channels),
            nn.ReLU(inplace=True),
            *([nn.Dropout(0.5)] if dropout else []),
            nn.ReflectionPad2d(1),
            nn.Conv2d(channels, channels, 3, bias=bias),
            normalisation(norm, channels),
        )

    def forward(self, features: Tensor) -> Tensor:
        """Map (N, C, H, W) to the same shape."""
        residual: Tensor = self.conv_block(features)
        return features + residual


@register_network("generator", "resnet")
class ResNet(Checkpointed):
    """Residual blocks between two halvings and two doublings.

    The published networks are width 64 with 9 blocks (256 pixels) and 6 blocks (128 pixels). The
    weights have the published names ("model.10.conv_block.1..."); these count the layers, so they
    differ with the number of blocks and, inside a block, with dropout.

    Args:
        in_channels: channels of the images to translate.
        out_channels: channels of the translations.
        width: channels at full size; twice as many at half and four times at a quarter of it.
        blocks: residual blocks, at least 0.
        norm: "batch", "instance" or "none".
        dropout: drop half of the features inside every block.
        upsample: "transposed" as published, or "resize" against checkerboards (other weight names).
        upscale: how many times wider and higher the translations are; above 1 the last layers are
            `Enlarging` instead of a convolution.
        adds_input: with `upscale`, add the input to them, its pixels repeated.

    Attributes:
        multiple: height and width must be multiples of this, 4; of 8 pixels at least.
        upscale: as above.

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
        blocks: Blocks = 9,
        norm: Norm = "batch",
        dropout: Annotated[bool, "drop half of the features inside every block"] = False,
        upsample: Upsample = "transposed",
        upscale: Upscale = 1,
        adds_input: AddsInput = False,
    ) -> None:
        super().__init__()
        require_at_least("width", width, 1)
        require_at_least("blocks", blocks, 0)
        bias = has_bias(norm)
        layers: list[nn.Module] = [
            nn.ReflectionPad2d(3),
            nn.Conv2d(in_channels, width, 7, bias=bias),
            normalisation(norm, width),
            nn.ReLU(inplace=True),
        ]
        for channels in (width, 2 * width):
            layers += [
                nn.Conv2d(channels, 2 * channels, 3, stride=2, padding=1, bias=bias),
                normalisation(norm, 2 * channels),
                nn.ReLU(inplace=True),
            ]
        layers += [ResidualBlock(4 * width, norm=norm, dropout=dropout) for _ in range(blocks)]
        for channels in (2 * width, width):
            layers += [
                upsampling(upsample, 2 * channels, channels, kernel_size=3, bias=bias),
                normalisation(norm, channels),
                nn.ReLU(inplace=True),
            ]
        self.upscale = upscale
        channels_of = in_channels, width, out_channels
        self.enlarging = enlarging(upscale, *channels_of, norm, upsample, adds_input=adds_input)
        if self.enlarging is None:
            layers += [nn.ReflectionPad2d(3), nn.Conv2d(width, out_channels, 7), nn.Tanh()]
        self.model = nn.Sequential(*layers)

    @staticmethod
    def fit_to(size: int, options: Mapping[str, Any]) -> dict[str, Any]:
        """The options to change for images of `size` pixels: 6 blocks below 256, as published."""
        return {"blocks": min(options["blocks"], 6)} if size < 256 else {}

    def forward(self, images: Tensor) -> Tensor:
        """Translate (N, in_channels, H, W) to (N, out_channels, H, W) in -1..1, `upscale` times as
        high and wide.

        Raises:
            DataError: H or W is below 8 or not a multiple of 4.
        """
        require_size(images, minimum=8, multiple=self.multiple)
        made = self.run(self.model, images)
        return made if self.enlarging is None else self.enlarging(made, images)
