"""The generator of SPADE, which is told the labels at every layer, and its image encoder.

Park et al., "Semantic image synthesis with spatially-adaptive normalization", CVPR 2019, section 3
and appendix A. The discriminator is `multiscale.SpectralPatchGAN`.
"""

from collections.abc import Mapping
from itertools import pairwise
from typing import Annotated, Any, Literal

import torch
import torch.nn.functional as F
from annotated_types import Ge, Le
from torch import Tensor, nn

from i2i.core.registry import register_network
from i2i.errors import OptionsError
from i2i.networks.blocks import (
    BatchNorm2d,
    InstanceNorm2d,
    require_at_least,
    require_size,
    unknown,
)
from i2i.networks.checkpointing import Checkpointed
from i2i.networks.multiscale import behind
from i2i.networks.spectral import HookedConv2d

NORMS = ("batch", "instance")
DOUBLINGS = {"least": 3, "less": 4, "normal": 5, "more": 6, "most": 7}
"""How often the generator doubles the map that it starts from; published from 5 on."""
ENCODED = 256
"""Height and width at which the encoder looks at an image."""

Width = Annotated[int, Ge(1), Le(4096), "channels of the last block, or of the first layer"]


class SPADE(nn.Module):
    """A normalisation without parameters, whose scale and shift are read off a label map.

    n(x) * (1 + gamma) + beta: equation 1. Gamma and beta are convolutions of hidden features of the
    label map, resized (nearest) to the size of x.

    Args:
        channels: of the features.
        label_channels: of the label map.
        norm: "batch" or "instance", both without a learnt scale and shift.
        kernel: height and width of the convolutions, odd.
        hidden: channels of the hidden features.
    """

    def __init__(
        self, channels: int, label_channels: int, *, norm: str, kernel: int, hidden: int
    ) -> None:
        super().__init__()
        match norm:
            case "batch":
                self.param_free_norm: nn.Module = BatchNorm2d(channels, affine=False)
            case "instance":
                self.param_free_norm = InstanceNorm2d(channels)
            case _:
                raise unknown("norm", norm, NORMS)
        padding = kernel // 2
        self.mlp_shared = nn.Sequential(
            nn.Conv2d(label_channels, hidden, kernel, padding=padding), nn.ReLU()
        )
        self.mlp_gamma = nn.Conv2d(hidden, channels, kernel, padding=padding)
        self.mlp_beta = nn.Conv2d(hidden, channels, kernel, padding=padding)

    def forward(self, features: Tensor, labels: Tensor) -> Tensor:
        """Map features (N, C, H, W), given labels (N, L, H', W'), to the same shape."""
        normalised = self.param_free_norm(features)
        hidden = self.mlp_shared(F.interpolate(labels, size=features.shape[2:]))
        output: Tensor = normalised * (1 + self.mlp_gamma(hidden)) + self.mlp_beta(hidden)
        return output


class SPADEBlock(Checkpointed):
    """A residual block: SPADE, leaky ReLU, convolution, twice; figure 4 (right) of the paper.

    If the numbers of channels differ, the input is carried over by SPADE and a convolution 1x1,
    without an activation. All three convolutions are spectrally normalised if `spectral`; the
    others are arguments of `SPADE`.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        label_channels: int,
        *,
        spectral: bool,
        norm: str,
        kernel: int,
        hidden: int,
    ) -> None:
        super().__init__()

        def spade(channels: int) -> SPADE:
            return SPADE(channels, label_channels, norm=norm, kernel=kernel, hidden=hidden)

        convolution = HookedConv2d if spectral else nn.Conv2d
        middle = min(in_channels, out_channels)
        self.carries = in_channels == out_channels
        self.conv_0 = convolution(in_channels, middle, 3, padding=1)
        self.conv_1 = convolution(middle, out_channels, 3, padding=1)
        self.norm_0 = spade(in_channels)
        self.norm_1 = spade(middle)
        if not self.carries:
            self.conv_s = convolution(in_channels, out_channels, 1, bias=False)
            self.norm_s = spade(in_channels)

    def forward(self, features: Tensor, labels: Tensor) -> Tensor:
        """Map (N, in_channels, H, W), given labels (N, L, H', W'), to (N, out_channels, H, W)."""
        carried = features if self.carries else self.recompute(self._carried, features, labels)
        residual = self.recompute(self._first, features, labels)
        return carried + self.recompute(self._second, residual, labels)

    def _carried(self, features: Tensor, labels: Tensor) -> Tensor:
        output: Tensor = self.conv_s(self.norm_s(features, labels))
        return output

    def _first(self, features: Tensor, labels: Tensor) -> Tensor:
        output: Tensor = self.conv_0(_leaky(self.norm_0(features, labels)))
        return output

    def _second(self, features: Tensor, labels: Tensor) -> Tensor:
        output: Tensor = self.conv_1(_leaky(self.norm_1(features, labels)))
        return output


@register_network("generator", "spade")
class SPADEGenerator(nn.Module):
    """Blocks that double a small map, each of which is told the labels.

    The published one has width 64 and, for 256 pixels, 5 doublings. It starts from the label map at
    the smallest size, or, if there is a style, from a linear map of that. The weights have the
    published names ("up_0.norm_s.mlp_gamma.weight", "fc.weight" ...).

    Args:
        in_channels: channels of the label map, with the plane of edges if there is one.
        out_channels: channels of the images.
        size: height and width of the images; only needed with a style.
        width: channels of the last block but for "most", where they are half as many; the first
            blocks have 16 times as many.
        upsampling: "least", "less", "normal", "more" or "most": 3 to 7 doublings.
        style: numbers of a style vector; 0 for none.
        norm: "batch" or "instance", what the features are normalised by before the labels act.
        kernel: 3 or 5, size of the convolutions of the label map.
        hidden: channels of the hidden features of the label map.
        spectral: spectral normalisation of the convolutions inside the blocks.

    Attributes:
        multiple: height and width must be multiples of this, 2**doublings.

    Raises:
        OptionsError: an unknown name, a number that is too small, a size that does not fit.
    """

    multiple: int

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        size: tuple[int, int] | None = None,
        *,
        width: Width = 64,
        upsampling: Annotated[
            Literal["least", "less", "normal", "more", "most"], "3 to 7 doublings of the first map"
        ] = "normal",
        style: int = 0,
        norm: Annotated[
            Literal["batch", "instance"], "normalisation before the labels act"
        ] = "batch",
        kernel: Annotated[Literal[3, 5], "size of the convolutions of the label map"] = 3,
        hidden: Annotated[int, Ge(1), Le(4096), "hidden channels of the label map"] = 128,
        spectral: Annotated[bool, "spectral normalisation of the blocks"] = True,
    ) -> None:
        super().__init__()
        require_at_least("style", style, 0)
        if upsampling not in DOUBLINGS:
            raise unknown("upsampling", upsampling, DOUBLINGS)
        require_at_least("width", width, 2 if upsampling == "most" else 1)
        if kernel not in (3, 5):
            raise OptionsError(f"kernel is {kernel}, but must be 3 or 5.")
        self.style, self.multiple = style, 2 ** DOUBLINGS[upsampling]
        self.doubles_head = DOUBLINGS[upsampling] > 4
        self.doubles_middle = DOUBLINGS[upsampling] > 5
        self.doubles_first = DOUBLINGS[upsampling] > 3
        most = 16 * width

        def block(before: int, after: int) -> SPADEBlock:
            return SPADEBlock(
                before,
                after,
                in_channels,
                spectral=spectral,
                norm=norm,
                kernel=kernel,
                hidden=hidden,
            )

        if style:
            self.start = self._start(size)
            self.fc: nn.Module = nn.Linear(style, most * self.start[0] * self.start[1])
        else:
            self.fc = nn.Conv2d(in_channels, most, 3, padding=1)
        self.head_0 = block(most, most)
        self.G_middle_0 = block(most, most)
        self.G_middle_1 = block(most, most)
        widths = [most // 2**i for i in range(6 if upsampling == "most" else 5)]
        self.ups = len(widths) - 1
        for i, (before, after) in enumerate(pairwise(widths)):
            self.add_module(f"up_{i}", block(before, after))
        self.conv_img = nn.Conv2d(widths[-1], out_channels, 3, padding=1)

    @staticmethod
    def fit_to(size: int, options: Mapping[str, Any]) -> dict[str, Any]:
        """The options to change for images of `size` pixels: the first map has 2 at least."""
        if size >> DOUBLINGS[options["upsampling"]] >= 2:
            return {}
        fitting = [name for name, times in DOUBLINGS.items() if size >> times >= 2]
        return {"upsampling": fitting[-1]} if fitting else {}

    def _start(self, size: tuple[int, int] | None) -> tuple[int, int]:
        """Height and width of the first map."""
        if size is None or min(size) < 1 or size[0] % self.multiple or size[1] % self.multiple:
            raise OptionsError(
                f"size (height, width) is {size}, but for a generator with a style it must be "
                f"multiples of {self.multiple}: take another size, or style = 0."
            )
        return size[0] // self.multiple, size[1] // self.multiple

    def _smallest(self, labels: Tensor) -> int:
        """The least height and width: twice `multiple` if a norm would find but one number."""
        if torch.compiler.is_exporting() or max(labels.shape[2:]) > self.multiple:
            return self.multiple
        norm = self.head_0.norm_0.param_free_norm
        alone = True
        if isinstance(norm, BatchNorm2d):
            alone = labels.shape[0] == 1 if self.training else norm.per_image
        return 2 * self.multiple if alone else self.multiple

    def forward(self, labels: Tensor, style: Tensor | None = None) -> Tensor:
        """Map labels (N, in_channels, H, W), and a style (N, style), to images in -1..1.

        Returns:
            (N, out_channels, H, W).

        Raises:
            DataError: H or W is not a multiple of `multiple`; or the first map is a single pixel,
                and is to be normalised by itself.
        """
        require_size(labels, minimum=self._smallest(labels), multiple=self.multiple)
        assert (style is not None) == (self.style > 0), "a style exactly if the network has one"
        if style is None:
            height, width = labels.shape[2] // self.multiple, labels.shape[3] // self.multiple
            features = self.fc(F.interpolate(labels, size=(height, width)))
        else:
            features = self.styled(style)
        return self.drawn(features, labels)

    def styled(self, style: Tensor) -> Tensor:
        """The first map (N, C, h, w) of a style (N, style)."""
        first: Tensor = self.fc(style).unflatten(1, (-1, *self.start))
        return first

    def drawn(self, features: Tensor, labels: Tensor) -> Tensor:
        """What becomes of a first map."""
        features = self.head_0(features, labels)
        if self.doubles_head:
            features = _doubled(features)
        features = self.G_middle_0(features, labels)
        if self.doubles_middle:
            features = _doubled(features)
        features = self.G_middle_1(features, labels)
        for i in range(self.ups):
            if i or self.doubles_first:
                features = _doubled(features)
            features = self.get_submodule(f"up_{i}")(features, labels)
        return torch.tanh(self.conv_img(_leaky(features)))


@register_network("style_encoder", "spade")
class StyleEncoder(nn.Module):
    """Looks at an image and says which styles it may have: a normal distribution of each number.

    The published one has width 64 and 256 numbers. The weights have the published names
    ("layer1.0.weight_orig", "fc_mu.weight" ...). The convolutions are spectrally normalised and
    have a bias only without `norm`.

    Args:
        in_channels: channels of the images.
        style: numbers of the style.
        width: channels of the first layer; they double up to 8 times as many.
        norm: "batch", "instance" or "none", besides the spectral one.

    Raises:
        OptionsError: an unknown name, or a number that is too small.
    """

    def __init__(
        self,
        in_channels: int,
        style: int = 256,
        *,
        width: Width = 64,
        norm: Annotated[
            Literal["batch", "instance", "none"], "normalisation besides the spectral one"
        ] = "instance",
    ) -> None:
        super().__init__()
        require_at_least("style", style, 1)
        require_at_least("width", width, 1)
        widths = [in_channels, *(width * min(2**i, 8) for i in range(6))]
        for i, (before, after) in enumerate(pairwise(widths), start=1):
            convolution = HookedConv2d(before, after, 3, stride=2, padding=1, bias=norm == "none")
            self.add_module(f"layer{i}", behind(convolution, norm))
        self.fc_mu = nn.Linear(widths[-1] * (ENCODED // 2**6) ** 2, style)
        self.fc_var = nn.Linear(widths[-1] * (ENCODED // 2**6) ** 2, style)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Map images (N, in_channels, H, W) in -1..1 to the mean and the logarithm of the variance.

        Returns:
            two tensors (N, style).
        """
        features = images
        if features.shape[2:] != (ENCODED, ENCODED):
            features = F.interpolate(features, size=(ENCODED, ENCODED), mode="bilinear")
        for i in range(1, 7):
            features = _leaky(self.get_submodule(f"layer{i}")(features))
        features = features.flatten(1)
        return self.fc_mu(features), self.fc_var(features)


class FirstMap(nn.Module):
    """The same first map whatever the labels are, resized (nearest) to their size.

    Args:
        values: (1, C, h, w).
        multiple: height and width of labels are so many times those of their first map.
    """

    values: Tensor

    def __init__(self, values: Tensor, multiple: int) -> None:
        super().__init__()
        self.multiple = multiple
        self.register_buffer("values", values)

    def forward(self, labels: Tensor) -> Tensor:
        """The map (N, C, H', W') for labels (N, L, H, W)."""
        size = labels.shape[2] // self.multiple, labels.shape[3] // self.multiple
        return F.interpolate(self.values, size=size).expand(len(labels), -1, -1, -1)


class FixedStyleGenerator(nn.Module):
    """A generator with a style that makes all images in one, with the weights of another.

    Labels of another size than in the training begin with the first map of the style resized
    (nearest).

    Args:
        generator: whose layers it shares.

    Attributes:
        multiple: height and width must be multiples of this.
    """

    def __init__(self, generator: SPADEGenerator) -> None:
        super().__init__()
        self.multiple = generator.multiple
        self.generator = generator
        with torch.no_grad():
            weight = generator.conv_img.weight
            first = generator.styled(weight.new_zeros(1, generator.style))
        self.first = FirstMap(first, self.multiple)

    @torch.no_grad()
    def set_style(self, style: Tensor) -> None:
        """Make images in a style (style,) from now on."""
        self.first.values = self.generator.styled(style[None].to(self.first.values))

    def forward(self, labels: Tensor) -> Tensor:
        """Map labels (N, in_channels, H, W) to images (N, out_channels, H, W) in -1..1.

        Raises:
            DataError: H or W is no multiple of `multiple`.
        """
        require_size(labels, minimum=self.multiple, multiple=self.multiple)
        return self.generator.drawn(self.first(labels), labels)


def draw_style(mean: Tensor, logvar: Tensor, noise: Tensor | None = None) -> Tensor:
    """Draw a style (N, style) from what a `StyleEncoder` says: mean + exp(logvar / 2) * noise.

    So the gradient reaches the encoder: Kingma & Welling, "Auto-encoding variational Bayes", ICLR
    2014, section 2.4.

    Args:
        mean: (N, style).
        logvar: (N, style).
        noise: standard normal numbers (N, style); None draws them from torch's generator.
    """
    noise = torch.randn_like(mean) if noise is None else noise
    return mean + (logvar / 2).exp() * noise


def _doubled(features: Tensor) -> Tensor:
    return F.interpolate(features, scale_factor=2)


def _leaky(features: Tensor) -> Tensor:
    return F.leaky_relu(features, 0.2)
