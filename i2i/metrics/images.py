"""How far an image is from the truth: one value for each image of a batch.

Images are (N, C, H, W) in -1..1, and every measure returns (N,) in float32.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from i2i.metrics.measures import register_measure

MS_SSIM_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
"""Of the scales, finest first: as published."""

WINDOW = 11


@register_measure("l1")
def l1_distance(images: Tensor, truth: Tensor) -> Tensor:
    """Mean absolute difference, 0..2: the same scale as the term `l1` of an objective."""
    return (images.float() - truth.float()).abs().mean(dim=(1, 2, 3))


def psnr(images: Tensor, truth: Tensor, most: float = math.inf) -> Tensor:
    """Peak signal-to-noise ratio in dB: 10 log10(peak^2 / mean squared difference), peak = 2.

    Equal images give infinity, which `mean_psnr` leaves out, or what is said to be the most.
    """
    error = (images.float() - truth.float()).square().mean(dim=(1, 2, 3))
    return (10 * (4 / error).log10()).clamp_max(most)


def mean_psnr(values: Tensor) -> Tensor:
    """The mean of those values that are not infinite; infinity if all are."""
    finite = values[~values.isposinf()]
    return finite.mean() if len(finite) else values.mean()


@register_measure("psnr")
def _mean_psnr_of(images: Tensor, truth: Tensor) -> Tensor:
    return mean_psnr(psnr(images, truth))


@register_measure("ssim")
def ssim_index(images: Tensor, truth: Tensor) -> Tensor:
    """Structural similarity, at most 1 (equal images).

    Wang, Bovik, Sheikh, Simoncelli: Image Quality Assessment: From Error Visibility to Structural
    Similarity, 2004; as published with an 11 x 11 Gaussian window inside the image, which must
    therefore be at least 11 pixels high and wide.
    """
    from kornia.metrics import ssim  # takes half a second to import

    index: Tensor = ssim((images.float() + 1) / 2, (truth.float() + 1) / 2, 11, padding="valid")
    return index.mean(dim=(1, 2, 3))


@register_measure("ms-ssim")
def ms_ssim(images: Tensor, truth: Tensor, scales: int | None = None) -> Tensor:
    """Multi-scale structural similarity, at most 1 (equal images).

    Wang, Simoncelli, Bovik: Multi-scale Structural Similarity for Image Quality Assessment, 2003,
    equation 7: the contrast and structure at each of five scales, the luminance at the last, each
    to the power of its weight; scales are halved by the mean of 2 x 2 pixels. Structure below zero
    counts as zero, which has a power. Each channel is measured by itself.

    Images below 161 pixels have room for fewer scales (`ms_ssim_scales`, which is what is taken
    unless `scales` says less); the weights of these are divided by their sum.
    """
    room = ms_ssim_scales(*images.shape[-2:])
    scales = room if scales is None else scales
    assert 0 < scales <= room, f"{tuple(images.shape[-2:])} pixels have room for {room} scales"
    x, y = ((each.double() + 1) / 2 for each in (images, truth))
    weights = MS_SSIM_WEIGHTS[:scales]
    index = x.new_ones(x.shape[:2])
    for number, weight in enumerate(weights):
        luminance, structure = _similarity(x, y)
        last = number == scales - 1
        value = (luminance * structure if last else structure).mean(dim=(2, 3))
        index *= value.clamp_min(0) ** (weight / sum(weights))
        if not last:
            x, y = _halved(x), _halved(y)
    return index.mean(dim=1).float()


def ms_ssim_scales(height: int, width: int) -> int:
    """How many scales `ms_ssim` has for images of this size: 5 from 161 pixels on, 0 below 11."""
    side, scales = min(height, width), 0
    while side >= WINDOW and scales < len(MS_SSIM_WEIGHTS):
        side, scales = (side + 1) // 2, scales + 1
    return scales


def _similarity(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Luminance, and contrast times structure, at each place of the window; images in 0..1."""
    moments = torch.stack([x, y, x * x, y * y, x * y]).flatten(0, 2)[:, None]
    window = torch.arange(WINDOW, dtype=x.dtype, device=x.device) - WINDOW // 2
    window = (-(window**2) / (2 * 1.5**2)).exp()
    window = window / window.sum()
    moments = F.conv2d(F.conv2d(moments, window[None, None, None, :]), window[None, None, :, None])
    moments = moments.reshape(5, *x.shape[:2], *moments.shape[-2:])
    mean_x, mean_y, square_x, square_y, product = moments.unbind()
    c1, c2 = 0.01**2, 0.03**2
    squares = mean_x**2 + mean_y**2
    luminance = (2 * mean_x * mean_y + c1) / (squares + c1)
    structure = (2 * (product - mean_x * mean_y) + c2) / (square_x + square_y - squares + c2)
    return luminance, structure


def _halved(images: Tensor) -> Tensor:
    """The mean of 2 x 2 pixels; an odd last row or column is repeated."""
    height, width = images.shape[-2:]
    images = F.pad(images, (0, width % 2, 0, height % 2), mode="replicate")
    return F.avg_pool2d(images, 2)
