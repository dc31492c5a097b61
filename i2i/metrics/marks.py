"""Where in its outputs a generator fails: the images, and the places in them, that show it most.

Images are (N, C, H, W) in -1..1. What is wrong with outputs as a whole (a copy, a collapse) has no
place; `i2i.metrics.health` has the signals.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

SHARE = 4
"""A marked square has this share of the shorter side of its image."""

PERIODS = (2, 4, 8)
"""Of patterns, in pixels."""


class Mark(NamedTuple):
    """A square in one of some images: its number, the place of the corner, and the side."""

    image: int
    top: int
    left: int
    side: int


def find_marks(
    kind: str, outputs: Tensor, originals: Tensor | None = None, count: int = 3
) -> list[Mark]:
    """Return where a fault shows most, in as many images; the worst first. Empty for a fault that
    has no place, or without what it takes to see one; images in which it is nowhere are left out.

    Arguments:
        kind: of verdict, as in `i2i.runs.health.KINDS`.
        outputs: of a generator.
        originals: what each should be like: the truth, or else the input.
        count: images, at most.
    """
    if kind == PATTERN:
        fault = periodic(outputs)
    elif kind in _AGAINST and originals is not None:
        originals = F.interpolate(originals.float(), size=outputs.shape[-2:], mode="area")
        fault = _AGAINST[kind](outputs.float(), originals)
    else:
        return []
    side = max(1, min(outputs.shape[-2:]) // SHARE)
    inside = F.avg_pool2d(fault[:, None], side, stride=1)[:, 0]
    worst = inside.flatten(1).max(dim=1)
    chosen = worst.values.argsort(descending=True)[:count]
    across = inside.shape[-1]
    places = [(int(n), *divmod(int(worst.indices[n]), across)) for n in chosen]
    return [Mark(n, top, left, side) for n, top, left in places if worst.values[n] > 0]


PATTERN = "periodic pattern"


def periodic(images: Tensor) -> Tensor:
    """How strong patterns of the `PERIODS` are at each pixel, (N, H, W): the power of what is above
    or below its surroundings and is so, by as much at least, a period away on all four sides, too.

    0 where nothing repeats itself both ways, and within a period of the border; the square of the
    height for a chequerboard.
    """
    grey = images.float().mean(dim=1, keepdim=True)
    height, width = grey.shape[-2:]
    found = torch.zeros_like(grey[:, 0])
    for period in PERIODS:
        if min(height, width) < 4 * period:
            continue
        rough = grey - _blurred(grey, period)
        inner = (height - 2 * period, width - 2 * period)
        ways = ((0, 0), (-period, 0), (period, 0), (0, -period), (0, period))
        same = torch.stack(
            [rough[:, 0, period + y :, period + x :][:, : inner[0], : inner[1]] for y, x in ways]
        )
        kept = same.amin(dim=0).clamp_min(0) + same.amax(dim=0).clamp_max(0)
        found = torch.maximum(found, F.pad(kept.square(), (period,) * 4))
    return found


def _blurred(images: Tensor, reach: int) -> Tensor:
    """The mean over the square of a period (an even one, with half the weight at its edges)."""
    kernel = torch.ones(reach + 1, device=images.device)
    kernel[0] = kernel[-1] = 0.5
    kernel = (kernel[:, None] * kernel / reach**2)[None, None]
    return F.conv2d(F.pad(images, (reach // 2,) * 4, mode="reflect"), kernel)


def _lost_detail(outputs: Tensor, originals: Tensor) -> Tensor:
    """Power of the detail of originals that outputs lack."""
    made, own = (
        (grey - _blurred(grey, 4)).square()[:, 0]
        for grey in (each.mean(dim=1, keepdim=True) for each in (outputs, originals))
    )
    return own - made


def _other_colour(outputs: Tensor, originals: Tensor) -> Tensor:
    """How far the colours are from each other, whatever the brightness."""
    if outputs.shape[1] != originals.shape[1]:
        return torch.zeros_like(outputs[:, 0])
    difference = outputs - originals
    return (difference - difference.mean(dim=1, keepdim=True)).square().mean(dim=1)


def _other_values(outputs: Tensor, originals: Tensor) -> Tensor:
    """How far they are from each other in each of the channels, or in grey."""
    if outputs.shape[1] != originals.shape[1]:
        return _other_brightness(outputs, originals)
    return (outputs - originals).square().mean(dim=1)


def _other_brightness(outputs: Tensor, originals: Tensor) -> Tensor:
    return (outputs.mean(dim=1) - originals.mean(dim=1)).square()


def _lost_edges(outputs: Tensor, originals: Tensor) -> Tensor:
    """Where one has edges and the other has not, beside what they have together."""
    made, own = (_slope(each) for each in (outputs, originals))
    return (made / made.mean().clamp_min(1e-6) - own / own.mean().clamp_min(1e-6)).abs()


def _slope(images: Tensor) -> Tensor:
    grey = F.pad(images.mean(dim=1, keepdim=True), (0, 1, 0, 1), mode="replicate")
    down, right = grey.diff(dim=2)[..., :-1], grey.diff(dim=3)[..., :-1, :]
    return (down.square() + right.square()).sqrt()[:, 0]


_AGAINST: Mapping[str, Callable[[Tensor, Tensor], Tensor]] = {
    "outputs blurred": _lost_detail,
    "colours changed": _other_colour,
    "colours shifted": _other_values,
    "colours inverted": _other_brightness,
    "identity lost": _lost_edges,
}
"""Kind of verdict -> how wrong each pixel of outputs (N, H, W) is beside that of originals."""
