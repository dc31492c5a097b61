"""Networks whose steps in resolution are blurred, as those of CUT.

A strided convolution samples what it has not smoothed, so that its output changes when the image is
shifted by a pixel: Zhang, "Making convolutional networks shift-invariant again", ICML 2019. Here a
convolution keeps the size, and a fixed binomial filter without a weight to learn halves or doubles
it. Park et al., "Contrastive learning for unpaired image-to-image translation", ECCV 2020, builds
its generator and its discriminator so.
"""

from collections.abc import Iterable, Sequence
from typing import Annotated, Literal

import torch
import torch.nn.functional as F
from annotated_types import Ge, Le
from torch import Tensor, nn

from i2i.core.registry import register_network
from i2i.errors import OptionsError
from i2i.networks.blocks import has_bias, normalisation, require_at_least, require_size
from i2i.networks.checkpointing import Checkpointed
from i2i.networks.patchgan import PatchJudge
from i2i.networks.resnet import ResidualBlock


class BlurDown(nn.Module):
    """Halves height and width: (N, C, H, W) to (N, C, ceil(H / 2), ceil(W / 2)).

    Every other value of the image blurred by [1, 2, 1] x [1, 2, 1] / 16, padded by reflection. H
    and W must be at least 2.
    """

    filt: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.register_buffer("filt", _binomial([1, 2, 1], channels))

    def forward(self, features: Tensor) -> Tensor:
        """Blur and halve."""
        padded = F.pad(features, (1, 1, 1, 1), mode="reflect")
        return F.conv2d(padded, self.filt, stride=2, groups=len(self.filt))

    def layers(self) -> tuple[nn.Module, nn.Module]:
        """Layers of torch that compute the same, one after the other."""
        channels = len(self.filt)
        blur = nn.Conv2d(channels, channels, 3, stride=2, groups=channels, bias=False)
        blur.weight = nn.Parameter(self.filt, requires_grad=False)
        return nn.ReflectionPad2d(1), blur


class BlurUp(nn.Module):
    """Doubles height and width: (N, C, H, W) to (N, C, 2H, 2W).

    Zeros are put between the values and the whole blurred by [1, 3, 3, 1] x [1, 3, 3, 1] / 16,
    padded by repeating the border, so that a constant stays what it is.
    """

    filt: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.register_buffer("filt", 4 * _binomial([1, 3, 3, 1], channels))

    def forward(self, features: Tensor) -> Tensor:
        """Double and blur."""
        padded = F.pad(features, (1, 1, 1, 1), mode="replicate")
        # A padding of 3: 2 for the filter, and 1 to cut off what comes of the padding before.
        return F.conv_transpose2d(padded, self.filt, stride=2, padding=3, groups=len(self.filt))

    def layers(self) -> tuple[nn.Module, nn.Module]:
        """Layers of torch that compute the same, one after the other."""
        channels = len(self.filt)
        blur = nn.ConvTranspose2d(
            channels, channels, 4, stride=2, padding=3, groups=channels, bias=False
        )
        blur.weight = nn.Parameter(self.filt, requires_grad=False)
        return nn.ReplicationPad2d(1), blur


def _binomial(row: list[int], channels: int) -> Tensor:
    line = torch.tensor(row, dtype=torch.get_default_dtype())
    plane = torch.outer(line, line)
    return (plane / plane.sum()).expand(channels, 1, -1, -1).clone()


@register_network("generator", "antialiased-resnet")
class AntialiasedResNet(Checkpointed):
    """The residual generator of CycleGAN, with blurred steps; what is inside it can be had.

    CUT's has width 64 and 9 blocks. Weights and filters have the published names
    ("model.12.conv_block.1.weight", "model.7.filt" ...), which count the layers, and so do the
    features: layer `i` is the output of `model[i]`. With 9 blocks these are, among others,

    ======  =============================================  ==========================
    layer   features                                       channels, size
    ======  =============================================  ==========================
    0       the image, padded by reflection                in_channels, H + 6 x W + 6
    1       first convolution                              width, H x W
    4       second convolution, before norm and ReLU       2 width, H x W
    8       third convolution, before norm and ReLU        4 width, H / 2 x W / 2
    12      output of the first residual block             4 width, H / 4 x W / 4
    16      output of the fifth residual block             4 width, H / 4 x W / 4
    ======  =============================================  ==========================

    Args:
        in_channels: channels of the images to translate.
        out_channels: channels of the translations.
        width: channels at full size; twice as many at half and four times at a quarter of it.
        blocks: residual blocks, at least 0.
        norm: "batch", "instance" or "none".
        dropout: drop half of the features inside every block.

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
        width: Annotated[int, Ge(1), Le(4096), "channels of the first layer"] = 64,
        blocks: Annotated[int, Ge(0), Le(256), "residual blocks"] = 9,
        norm: Annotated[
            Literal["batch", "instance", "none"], "normalisation of the features"
        ] = "instance",
        dropout: Annotated[bool, "drop half of the features inside every block"] = False,
    ) -> None:
        super().__init__()
        require_at_least("width", width, 1)
        require_at_least("blocks", blocks, 0)
        self.in_channels = in_channels
        bias = has_bias(norm)
        # No ReLU works in place: without a norm it would change the features of a convolution.
        layers: list[nn.Module] = [
            nn.ReflectionPad2d(3),
            nn.Conv2d(in_channels, width, 7, bias=bias),
            normalisation(norm, width),
            nn.ReLU(),
        ]
        for channels in (width, 2 * width):
            layers += [
                nn.Conv2d(channels, 2 * channels, 3, padding=1, bias=bias),
                normalisation(norm, 2 * channels),
                nn.ReLU(),
                BlurDown(2 * channels),
            ]
        layers += [ResidualBlock(4 * width, norm=norm, dropout=dropout) for _ in range(blocks)]
        for channels in (2 * width, width):
            layers += [
                BlurUp(2 * channels),
                nn.Conv2d(2 * channels, channels, 3, padding=1, bias=bias),
                normalisation(norm, channels),
                nn.ReLU(),
            ]
        layers += [nn.ReflectionPad2d(3), nn.Conv2d(width, out_channels, 7), nn.Tanh()]
        self.model = nn.Sequential(*layers)

    def forward(self, images: Tensor) -> Tensor:
        """Translate (N, in_channels, H, W) to (N, out_channels, H, W) in -1..1.

        Raises:
            DataError: H or W is below 8 or not a multiple of 4.
        """
        require_size(images, minimum=8, multiple=self.multiple)
        return self.run(self.model, images)

    def features(self, images: Tensor, layers: Sequence[int]) -> list[Tensor]:
        """Return the outputs (N, C, H', W') of `layers`; what is behind the last is not computed.

        Args:
            images: (N, in_channels, H, W).
            layers: numbers of layers, ascending; see `require_layers`.

        Raises:
            DataError: H or W is below 8 or not a multiple of 4.
        """
        require_size(images, minimum=8, multiple=self.multiple)
        found: list[Tensor] = []
        before = 0
        for layer in layers:
            images = self.run(self.model[before : layer + 1], images)
            found.append(images)
            before = layer + 1
        return found

    def channels(self, layers: Iterable[int]) -> list[int]:
        """Return how many channels the features of each of `layers` have."""
        behind = [self.in_channels]
        for layer in self.model:
            behind.append(layer.out_channels if isinstance(layer, nn.Conv2d) else behind[-1])
        return [behind[layer + 1] for layer in layers]

    def require_layers(self, layers: Sequence[int]) -> None:
        """Check the numbers of layers that somebody wants features of.

        Raises:
            OptionsError: there are none, they do not ascend, or there is no such layer.
        """
        last = len(self.model) - 1
        if not layers or list(layers) != sorted(set(layers)) or layers[0] < 0 or layers[-1] > last:
            raise OptionsError(
                f"The feature layers are {list(layers)}, but must be ascending numbers from 0 to "
                f"{last}, the last layer of this generator: for example 0, 4, 8, 12, 16 with 9 "
                "blocks."
            )


@register_network("discriminator", "antialiased-patchgan")
class AntialiasedPatchGAN(PatchJudge):
    """A fully convolutional discriminator with a map of scores, and with blurred steps.

    CUT's has width 64 and 3 layers. Weights and filters have the published names.

    Args:
        in_channels: channels of the images; for a conditional discriminator those of both.
        width: channels of the first layer; they double from layer to layer, up to 8 * `width`.
        layers: halvings, at least 1; two more convolutions follow.
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
        width: Annotated[int, Ge(1), Le(4096), "channels of the first layer"] = 64,
        layers: Annotated[int, Ge(1), Le(16), "halvings"] = 3,
        norm: Annotated[
            Literal["batch", "instance", "none"], "normalisation of the features"
        ] = "instance",
    ) -> None:
        super().__init__()
        require_at_least("width", width, 1)
        require_at_least("layers", layers, 1)
        self.minimum = 3 * 2**layers
        modules: list[nn.Module] = [
            nn.Conv2d(in_channels, width, 4, padding=1),
            nn.LeakyReLU(0.2, inplace=True),
            BlurDown(width),
        ]
        channels = width
        for layer in range(1, layers + 1):
            before, channels = channels, width * min(2**layer, 8)
            modules += [
                nn.Conv2d(before, channels, 4, padding=1, bias=has_bias(norm)),
                normalisation(norm, channels),
                nn.LeakyReLU(0.2, inplace=True),
                *([BlurDown(channels)] if layer < layers else []),
            ]
        modules.append(nn.Conv2d(channels, 1, 4, padding=1))
        self.model = nn.Sequential(*modules)

    @property
    def receptive_field(self) -> int:
        """Height and width, in pixels, of the patch that one score sees."""
        field = 1
        for module in reversed(self.model):
            if isinstance(module, nn.Conv2d):
                field += module.kernel_size[0] - 1
            elif isinstance(module, BlurDown):
                field = 2 * (field - 1) + module.filt.shape[-1]
        return field
