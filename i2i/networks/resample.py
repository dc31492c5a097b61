"""Doubling, halving and smoothing images with a fixed low-pass filter.

The filter is [1, 3, 3, 1] in both directions, a box of two pixels convolved with [1, 2, 1], which
keeps the aliases of resampling low: Zhang, "Making convolutional networks shift-invariant again",
ICML 2019; Karras et al., "Analyzing and improving the image quality of StyleGAN", CVPR 2020,
section 4.2.
"""

import torch
from torch import Tensor
from torch.nn import functional as F


def binomial_filter() -> Tensor:
    """Return [1, 3, 3, 1] x [1, 3, 3, 1] / 64, (4, 4), which sums to 1."""
    taps = torch.tensor([1.0, 3.0, 3.0, 1.0])
    return torch.outer(taps, taps) / 64


def smooth(images: Tensor, kernel: Tensor, padding: int) -> Tensor:
    """Filter each channel after padding with zeros: (N, C, H, W) to (N, C, H + d, W + d), where
    d = 2 * padding - 3."""
    channels = images.shape[1]
    return F.conv2d(images, _depthwise(kernel, images), padding=padding, groups=channels)


def downsample(images: Tensor, kernel: Tensor) -> Tensor:
    """Smooth and keep every second pixel: (N, C, 2H, 2W) to (N, C, H, W)."""
    channels = images.shape[1]
    return F.conv2d(images, _depthwise(kernel, images), stride=2, padding=1, groups=channels)


def upsample(images: Tensor, kernel: Tensor) -> Tensor:
    """Put zeros between the pixels and smooth, four times as strongly: (N, C, H, W) to
    (N, C, 2H, 2W)."""
    weight = _depthwise(kernel * 4, images)
    return F.conv_transpose2d(images, weight, stride=2, padding=1, groups=images.shape[1])


def _depthwise(kernel: Tensor, images: Tensor) -> Tensor:
    return kernel.to(images.dtype).expand(images.shape[1], 1, -1, -1)
