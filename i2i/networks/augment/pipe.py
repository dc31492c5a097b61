"""The augmentation pipe of StyleGAN2-ADA: geometry, then colour, each part with a probability.

Karras et al., "Training generative adversarial networks with limited data", NeurIPS 2020, appendix
B. The parts are those of its "bgc" (pixel blitting, geometry, colour), in this order: mirror,
quarter turns, whole pixels, scale, rotation, stretch, rotation, fractions of pixels; brightness,
contrast, luma flip, hue, saturation; and R3GAN's cutout.

A part has a value and a gate for each image, and happens to it where gate < strength * p. The
geometry is one affine map of output pixels to input pixels about the centre, resampled once: the
image is doubled with a low-pass filter, sampled between pixels, and halved with the same filter.
"""

import math
from collections.abc import Mapping
from functools import reduce

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from i2i.errors import OptionsError, did_you_mean
from i2i.networks.augment import matrices
from i2i.networks.augment.draws import Draws
from i2i.networks.augment.sampling import sample_bilinear
from i2i.system.device import full_precision

GEOMETRY = ("xflip", "rotate90", "xint", "scale", "rotate", "aniso", "xfrac")
COLOUR = ("brightness", "contrast", "lumaflip", "hue", "saturation")
PARTS = (*GEOMETRY, *COLOUR, "cutout")
BGC = dict.fromkeys((*GEOMETRY, *COLOUR), 1.0)
"""The pipe of StyleGAN2-ADA."""
R3GAN = {name: 0.5 if name in COLOUR else 1.0 for name in PARTS}
"""The pipe of R3GAN: colour is half as probable, and there is cutout."""

XINT, SCALE, ANISO, XFRAC = 0.125, 0.2, 0.2, 0.125
BRIGHTNESS, CONTRAST, HUE, SATURATION = 0.2, 0.5, 1.0, 1.0
CUTOUT = 0.5
NORMAL = ("scale", "aniso", "xfrac", "brightness", "contrast", "saturation")
"""The parts whose value is normal; that of the others is uniform in 0..1."""

# The low-pass filter is that of the wavelet "sym6": Daubechies, "Ten lectures on wavelets", 1992,
# section 8.1.
SYM6 = (
    0.015404109327027373,
    0.0034907120842174702,
    -0.11799011114819057,
    -0.048311742585633,
    0.4910559419267466,
    0.787641141030194,
    0.3379294217276218,
    -0.07263752278646252,
    -0.021060292512300564,
    0.04472490177066578,
    0.0017677118642428036,
    -0.007800708325034148,
)
MARGIN = len(SYM6) // 2


class AugmentPipe(nn.Module):
    """Draws and applies the parts.

    Args:
        strengths: for each part by its name how its probability relates to p; 0 or absent: never.
        p: what the probability starts from. It is the buffer `p`, which may be changed in place.

    Raises:
        OptionsError: an unknown part, or a negative strength.
    """

    p: Tensor

    def __init__(self, strengths: Mapping[str, float] | None = None, p: float = 0.0) -> None:
        super().__init__()
        strengths = BGC if strengths is None else strengths
        for name, strength in strengths.items():
            if name not in PARTS:
                raise OptionsError(
                    f"{name!r} is no part of the augmentation, which are {', '.join(PARTS)}."
                    f"{did_you_mean(name, PARTS)}"
                )
            if strength < 0:
                raise OptionsError(f"The strength of {name} is {strength}, but must be at least 0.")
        self.strengths = {name: strengths[name] for name in PARTS if strengths.get(name, 0) > 0}
        self.register_buffer("p", torch.tensor(float(p)))

    def forward(self, images: Tensor) -> Tensor:
        """Draw and apply."""
        return self.transform(images, self.draw(images))

    def draw(self, images: Tensor, generator: torch.Generator | None = None) -> Draws:
        """Draw the numbers for images (N, C, H, W), in the published order.

        Returns:
            "PART.value", (N,) or for "xint" and "xfrac" (N, 2), x before y, and "PART.gate", (N,).
            Of "rotate" there are two, "rotate_pre" before "aniso" and "rotate_post" behind it; of
            "cutout" the gate and "cutout.center" (N, 2). Hue and saturation need colours.
        """
        count = len(images)

        def uniform(*shape: int) -> Tensor:
            return torch.rand(shape, device=images.device, generator=generator)

        def normal(*shape: int) -> Tensor:
            return torch.randn(shape, device=images.device, generator=generator)

        draws: Draws = {}
        for name in _ORDER:
            if name not in self._drawn(images.shape[1]):
                continue
            if name == "cutout":
                draws["cutout.gate"] = uniform(count)
                draws["cutout.center"] = uniform(count, 2)
                continue
            shape = (count, 2) if name in ("xint", "xfrac") else (count,)
            draws[f"{name}.value"] = normal(*shape) if name in NORMAL else uniform(*shape)
            draws[f"{name}.gate"] = uniform(count)
        return draws

    def transform(self, images: Tensor, draws: Draws, *, colour: bool = True) -> Tensor:
        """Augment (N, C, H, W); without `colour` it is moved and cut only.

        Args:
            images: of any number of channels without `colour`, else 1 or 3.
            draws: those of `draw` for images of the same number, and of colours if these are to be
                changed; sizes may differ.
            colour: whether the colours are changed.
        """
        with full_precision(images):  # places need all their digits
            result = images.to(torch.promote_types(images.dtype, torch.float32))
            chosen = _Chosen(draws, self.strengths, self.p, result)
            if any(name in self.strengths for name in GEOMETRY):
                result = resample(result, self._geometry(chosen, *result.shape[2:]))
            if colour and any(name in self.strengths for name in COLOUR):
                result = recolour(result, self._colours(chosen, result.shape[1]))
            if "cutout" in self.strengths:
                result = cut_out(result, draws["cutout.center"], chosen.gate("cutout"))
            return result.to(images.dtype)

    def _drawn(self, channels: int) -> list[str]:
        """The parts that are drawn, with both rotations."""
        drawn = [name for name in self.strengths if name != "rotate"]
        if "rotate" in self.strengths:
            drawn += ["rotate_pre", "rotate_post"]
        return [name for name in drawn if channels > 1 or name not in ("hue", "saturation")]

    def _geometry(self, chosen: "_Chosen", height: int, width: int) -> Tensor:
        """The maps of output pixels to input pixels about the centre, (N, 3, 3).

        Each part is the inverse of what it is called, and is done before those in front of it.
        """
        steps: list[Tensor] = []
        if (flips := chosen("xflip")) is not None:
            sign = 1 - 2 * (2 * flips).floor()
            steps.append(matrices.scaling(sign, torch.ones_like(sign)))
        if (turns := chosen("rotate90")) is not None:
            steps.append(matrices.rotation((4 * turns).floor() * (math.pi / 2)))
        if (shifts := chosen("xint", 0.5)) is not None:
            x, y = ((2 * shifts - 1) * XINT).unbind(dim=1)
            steps.append(matrices.translation(-(x * width).round(), -(y * height).round()))
        if (sizes := chosen("scale")) is not None:
            shrink = (-SCALE * sizes).exp2()
            steps.append(matrices.scaling(shrink, shrink))
        if (angles := chosen("rotate_pre", 0.5)) is not None:
            steps.append(matrices.rotation((2 * angles - 1) * math.pi))
        if (ratios := chosen("aniso")) is not None:
            stretch = (ANISO * ratios).exp2()
            steps.append(matrices.scaling(1 / stretch, stretch))
        if (angles := chosen("rotate_post", 0.5)) is not None:
            steps.append(matrices.rotation((2 * angles - 1) * math.pi))
        if (shifts := chosen("xfrac")) is not None:
            x, y = (shifts * XFRAC).unbind(dim=1)
            steps.append(matrices.translation(-x * width, -y * height))
        return reduce(matrices.compose, steps)

    def _colours(self, chosen: "_Chosen", channels: int) -> Tensor:
        """The maps of colours to colours, (N, 4, 4); each part is done behind those before it."""
        steps: list[Tensor] = []
        if (added := chosen("brightness")) is not None:
            steps.append(matrices.translation(*[BRIGHTNESS * added] * 3))
        if (factors := chosen("contrast")) is not None:
            steps.append(matrices.scaling(*[(CONTRAST * factors).exp2()] * 3))
        if (flips := chosen("lumaflip")) is not None:
            steps.append(matrices.grey_reflection((2 * flips).floor()))
        if channels > 1:
            if (angles := chosen("hue", 0.5)) is not None:
                turn = (2 * angles - 1) * (math.pi * HUE)
                steps.append(matrices.along_grey(turn, torch.ones_like(turn)))
            if (factors := chosen("saturation")) is not None:
                stretch = (SATURATION * factors).exp2()
                steps.append(matrices.along_grey(torch.zeros_like(stretch), stretch))
        nothing = matrices.identity(len(chosen.images), 4, chosen.images)
        return reduce(lambda done, step: matrices.compose(step, done), steps, nothing)


_ORDER = (
    *("xflip", "rotate90", "xint", "scale", "rotate_pre", "aniso", "rotate_post", "xfrac"),
    *COLOUR,
    "cutout",
)


class _Chosen:
    """The values of the parts that happen, and the neutral value of those that do not."""

    def __init__(
        self, draws: Draws, strengths: Mapping[str, float], p: Tensor, images: Tensor
    ) -> None:
        self.draws, self.strengths, self.p, self.images = draws, strengths, p, images

    def __call__(self, part: str, neutral: float = 0.0) -> Tensor | None:
        """The value of a part for each image, (N,) or (N, 2); None if it never happens."""
        if part.split("_")[0] not in self.strengths:
            return None
        value = self.draws[f"{part}.value"].to(self.images.dtype)
        value = value.reshape(len(value), -1)
        value = torch.where(self.gate(part)[:, None], value, neutral)
        return value if part in ("xint", "xfrac") else value[:, 0]

    def gate(self, part: str) -> Tensor:
        """Whether a part happens to each image, (N,)."""
        probability = self.strengths[part.split("_")[0]] * self.p
        if part.startswith("rotate_"):  # one of the two happens with `probability`
            probability = 1 - (1 - probability).clamp(0, 1).sqrt()
        return self.draws[f"{part}.gate"].reshape(-1) < probability


def resample(images: Tensor, matrix: Tensor) -> Tensor:
    """Move images (N, C, H, W) by the maps (N, 3, 3) of output pixels to input pixels about the
    centre.

    What lies outside of an image is its reflection, as far as any image of the batch needs it for
    the places of its corners and at most a side away, and then zero.
    """
    _, channels, height, width = images.shape
    margins = _margins(matrix, height, width)
    known = _may_wait(images)
    if known:
        left, right, top, bottom = (int(each) for each in margins)
    else:
        left, right, top, bottom = width - 1, width - 1, height - 1, height - 1
    images = F.pad(images, (left, right, top, bottom), "reflect")
    if not known:
        images = images * _within(margins, height, width, images, 1)
    # Numbers, not a tensor made of them: a device would have to wait for that.
    taps = torch.cat([images.new_full((1,), tap / sum(SYM6)) for tap in SYM6])
    across = taps.expand(channels, 1, 1, -1)
    down = across.transpose(2, 3)

    for weight, stride in ((across, (1, 2)), (down, (2, 1))):
        padding = tuple((each - 1) * (MARGIN - 1) for each in stride)
        images = F.conv_transpose2d(images, 2 * weight, None, stride, padding, groups=channels)
    if not known:
        images = images * _within(margins, height, width, images, 2)

    grid = _places(
        matrix,
        shift=((left - right) / 2, (top - bottom) / 2),
        sides=(images.shape[2], images.shape[3]),
        wanted=(2 * (height + MARGIN), 2 * (width + MARGIN)),
    )
    images = sample_bilinear(images, grid)[:, :, 1:-1, 1:-1]
    for weight, stride in ((across, (1, 2)), (down, (2, 1))):
        images = F.conv2d(images, weight, None, stride, groups=channels)
    return images


def _may_wait(images: Tensor) -> bool:
    """Whether sizes may depend on numbers: where nothing has to wait for a device, and no graph is
    recorded. Elsewhere the largest margins are taken, and zeros put where smaller ones end."""
    return images.device.type == "cpu" and not torch.compiler.is_compiling()


def _margins(matrix: Tensor, height: int, width: int) -> Tensor:
    """How far the maps reach beyond the image: left, right, top, bottom, in whole pixels, (4,)."""
    margins = []
    halves = (width - 1) / 2, (height - 1) / 2
    for i, side in ((0, width), (1, height)):
        a, b, c = matrix[:, i].unbind(dim=1)
        reach = a.abs() * halves[0] + b.abs() * halves[1]  # of the farthest of the corners
        for most in (reach - c, reach + c):
            margins.append((most.amax() + (MARGIN - halves[i])).clamp(0, side - 1).ceil())
    return torch.stack(margins)


def _within(margins: Tensor, height: int, width: int, images: Tensor, scale: int) -> Tensor:
    """1 within the margins and 0 beyond, for images with the largest margins, times `scale`."""
    kept = torch.ones((), dtype=torch.bool, device=images.device)
    left, right, top, bottom = margins.unbind()
    for dim, side, before, behind in ((3, width, left, right), (2, height, top, bottom)):
        places = torch.arange(images.shape[dim], device=images.device)
        inside = places >= scale * (side - 1 - before)
        inside = inside & (places < scale * (2 * side - 1 + behind))
        kept = kept & inside.reshape([-1 if each == dim else 1 for each in range(4)])
    return kept.to(images.dtype)


def _places(
    matrix: Tensor, shift: tuple[float, float], sides: tuple[int, int], wanted: tuple[int, int]
) -> Tensor:
    """The places (N, H, W, 2) in -1..1 of a doubled image, of `sides`, that the pixels of a doubled
    output, of `wanted` sides, are taken from.

    Both are doubled by putting a pixel behind each, so their centres are half a pixel off.
    """
    count = len(matrix)
    rows, columns = (
        torch.arange(side, device=matrix.device, dtype=matrix.dtype) - (side - 1) / 2
        for side in wanted
    )
    x = ((columns + 0.5) / 2)[None, None, :].expand(count, wanted[0], -1)
    y = ((rows + 0.5) / 2)[None, :, None].expand(count, -1, wanted[1])
    places = []
    for i, side in ((0, sides[1]), (1, sides[0])):
        a, b, c = (each[:, None, None] for each in matrix[:, i].unbind(dim=1))
        place = 2 * (a * x + b * y + c + shift[i]) - 0.5
        places.append(place * (2 / side))
    return torch.stack(places, dim=-1)


def recolour(images: Tensor, matrix: Tensor) -> Tensor:
    """Apply maps of colours (N, 4, 4) to images (N, C, H, W); a grey image gets the mean of what
    the three colours would."""
    match images.shape[1]:
        case 3:
            return (
                torch.einsum("nij,njhw->nihw", matrix[:, :3, :3], images) + matrix[:, :3, 3:, None]
            )
        case 1:
            mean = matrix[:, :3].mean(dim=1)[:, :, None, None]
            return images * mean[:, :3].sum(dim=1, keepdim=True) + mean[:, 3:]
    raise OptionsError(
        f"Colours can be augmented in images of 1 or 3 channels, but these have {images.shape[1]}: "
        "set the strengths of " + ", ".join(COLOUR) + " to 0."
    )


def cut_out(images: Tensor, center: Tensor, happens: Tensor) -> Tensor:
    """Set a box with half of each side to zero, where it `happens` (N,); `center` (N, 2), x before
    y, is in 0..1 of the sides."""
    inside = happens.reshape(-1, 1, 1, 1)
    for i, dim in ((0, 3), (1, 2)):
        side = images.shape[dim]
        places = (torch.arange(side, device=images.device, dtype=images.dtype) + 0.5) / side
        shape = [-1, 1, 1, 1]
        middle = center.reshape(len(center), 2)[:, i].to(images.dtype).reshape(shape)
        shape[0], shape[dim] = 1, side
        inside = inside & ((places.reshape(shape) - middle).abs() < CUTOUT / 2)
    return images * (~inside).to(images.dtype)
