"""How far an image is from what it should be.

All terms take images (N, C, H, W) in -1..1 and return a scalar that is 0 for equal images.
"""

import math

import torch
from torch import Tensor

from i2i.core.registry import register_loss
from i2i.errors import DataError
from i2i.losses.precision import at_least_float32

WINDOW = 11
_GAUSSIAN = [math.exp(-((i - WINDOW // 2) ** 2) / (2 * 1.5**2)) for i in range(WINDOW)]
_GAUSSIAN = [value / sum(_GAUSSIAN) for value in _GAUSSIAN]


@register_loss("l1")
def l1(images: Tensor, targets: Tensor) -> Tensor:
    """Return the mean absolute difference, 0..2."""
    assert images.shape == targets.shape, (images.shape, targets.shape)
    return (at_least_float32(images) - at_least_float32(targets)).abs().mean()


@register_loss("l2")
def l2(images: Tensor, targets: Tensor) -> Tensor:
    """Return the mean squared difference, 0..4."""
    assert images.shape == targets.shape, (images.shape, targets.shape)
    return (at_least_float32(images) - at_least_float32(targets)).square().mean()


def diversity(images: Tensor, others: Tensor) -> Tensor:
    """Return how far images lie from those of other styles: mean |images - others|, 0..2.

    Mao et al., "Mode seeking generative adversarial networks for diverse image synthesis", CVPR
    2019; Choi et al., "StarGAN v2", CVPR 2020, equation 3. A generator is rewarded for it, so the
    weight is negative. No gradient reaches `others`.
    """
    return l1(images, others.detach())


def feature_matching(fake: Tensor, real: Tensor) -> Tensor:
    """Return the squared distance of mean features, mean over features of (E f(y) - E f(x))**2.

    Salimans et al., "Improved techniques for training GANs", NeurIPS 2016, section 3.1 (there the
    sum over features). No gradient reaches `real`.

    Args:
        fake: features (N, F) of generated images, inside a discriminator.
        real: those of real ones, (M, F).
    """
    difference = at_least_float32(fake).mean(0) - at_least_float32(real.detach()).mean(0)
    return difference.square().mean()


@register_loss("ssim")
def ssim(images: Tensor, targets: Tensor) -> Tensor:
    """Return 1 - mean SSIM, 0..2, with the constants and the window of the paper.

    Wang et al., "Image quality assessment: from error visibility to structural similarity", IEEE
    TIP 2004, equation 13: per channel, Gaussian window of 11x11 pixels and standard deviation 1.5,
    only where it lies inside the image, on values mapped to 0..1.

    Raises:
        DataError: the images are smaller than the window.
    """
    assert images.shape == targets.shape, (images.shape, targets.shape)
    if min(images.shape[-2:]) < WINDOW:
        height, width = images.shape[-2:]
        raise DataError(
            f"SSIM compares windows of {WINDOW}x{WINDOW} pixels, but the images are only "
            f"{height}x{width} (height x width): use larger ones, or give the ssim term a weight "
            "of 0."
        )
    x = (at_least_float32(images) + 1) / 2
    y = (at_least_float32(targets) + 1) / 2
    moments = torch.stack([x, y, x * x, y * y, x * y])
    mean_x, mean_y, square_x, square_y, product = _blur(_blur(moments, dim=-1), dim=-2).unbind()
    variances = square_x - mean_x.square() + square_y - mean_y.square()
    covariance = product - mean_x * mean_y
    c1, c2 = 0.01**2, 0.03**2
    luminance = (2 * mean_x * mean_y + c1) / (mean_x.square() + mean_y.square() + c1)
    structure = (2 * covariance + c2) / (variances + c2)
    similarity: Tensor = (luminance * structure).mean()
    return 1 - similarity


def _blur(planes: Tensor, dim: int) -> Tensor:
    """Convolve with the Gaussian along `dim`, which becomes WINDOW - 1 shorter.

    Sums of shifted copies, because a variance is a small difference of large numbers: a convolution
    might be rounded to bfloat16 by autocast or to TF32 by cuDNN. And no kernel has to be copied to
    the device.
    """
    size = planes.shape[dim] - WINDOW + 1
    blurred = _GAUSSIAN[0] * planes.narrow(dim, 0, size)
    for offset in range(1, WINDOW):
        blurred = blurred.add(planes.narrow(dim, offset, size), alpha=_GAUSSIAN[offset])
    return blurred
