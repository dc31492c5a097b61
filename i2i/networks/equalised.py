"""Layers with an equalised learning rate, and the normalisations that go with them.

Karras et al., "Progressive growing of GANs for improved quality, stability, and variation", ICLR
2018, section 4.1: weights are drawn from N(0, 1) and multiplied by He's constant whenever they are
used, so that all weights have the same range, and Adam moves all of them at the same speed.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

GAIN = math.sqrt(2)
"""He's constant for layers in front of a (leaky) ReLU."""


class EqualisedConv2d(nn.Module):
    """A convolution whose weight N(0, 1) is multiplied by gain / sqrt(fan-in).

    Args:
        in_channels, out_channels: of the images.
        kernel: height and width of the kernel.
        stride: of the convolution.
        padding: zeros at each edge; by default as many as keep the size for an odd kernel.
        bias: whether a number is added to each channel.
        gain: sqrt(2), or 1 for a layer without activation.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel: int,
        *,
        stride: int = 1,
        padding: int | None = None,
        bias: bool = True,
        gain: float = GAIN,
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(out_channels, in_channels, kernel, kernel))
        self.bias = nn.Parameter(torch.zeros(out_channels)) if bias else None
        self.stride = stride
        self.padding = kernel // 2 if padding is None else padding
        self.scale = gain / math.sqrt(in_channels * kernel**2)

    def forward(self, images: Tensor) -> Tensor:
        """Map (N, in_channels, H, W) to (N, out_channels, H', W')."""
        weight = self.weight * self.scale
        return F.conv2d(images, weight, self.bias, stride=self.stride, padding=self.padding)


class EqualisedLinear(nn.Module):
    """A fully connected layer whose weight N(0, 1) is multiplied by gain / sqrt(fan-in).

    Args:
        in_features, out_features: numbers before and behind the layer.
        bias: whether there is one.
        gain: sqrt(2), or 1 for a layer without activation.
        start: what the bias starts from.
        rate: how fast the layer learns beside others: weights are drawn from N(0, 1 / rate**2), and
            weights and biases are multiplied by `rate` as well.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        bias: bool = True,
        gain: float = GAIN,
        start: float = 0.0,
        rate: float = 1.0,
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(out_features, in_features) / rate)
        self.bias = nn.Parameter(torch.full((out_features,), start)) if bias else None
        self.scale = gain * rate / math.sqrt(in_features)
        self.rate = rate

    def forward(self, features: Tensor) -> Tensor:
        """Map (N, in_features) to (N, out_features)."""
        bias = None if self.bias is None else self.bias * self.rate
        return F.linear(features, self.weight * self.scale, bias)


def pixel_norm(features: Tensor, epsilon: float = 1e-8) -> Tensor:
    """Divide (N, C, ...) at each place by the root of the mean of the squares of its channels.

    Section 4.2 of the paper.
    """
    return features * (features.square().mean(dim=1, keepdim=True) + epsilon).rsqrt()


class PixelNorm(nn.Module):
    """`pixel_norm` as a layer."""

    def forward(self, features: Tensor) -> Tensor:
        """Map (N, C, ...) to the same shape."""
        return pixel_norm(features)


def minibatch_deviation(
    features: Tensor, epsilon: float = 1e-8, *, group: int = 4, maps: int = 1
) -> Tensor:
    """Add channels: how much the images of a group differ (section 3 of the paper).

    That is the standard deviation over the group, averaged over channels and places, one number for
    each group. Of N images the i-th is in group i mod N / `group`; where `group` does not divide
    N the groups are of the next smaller number that does, or there is one only.

    Args:
        features: (N, C, H, W).
        epsilon: added to the variance.
        group: images of a group.
        maps: channels to add, each for an equal part of the C channels.

    Returns:
        (N, C + maps, H, W).
    """
    count = len(features)
    smaller = range(min(group, count), 1, -1)
    members = next(n for n in (*smaller, count) if count % n == 0)
    groups = features.float() if features.dtype in (torch.bfloat16, torch.float16) else features
    groups = groups.reshape(members, count // members, maps, -1)
    variance = (groups - groups.mean(dim=0)).square().mean(dim=0)
    deviation = (variance + epsilon).sqrt().mean(dim=2).to(features.dtype)
    planes = deviation.repeat(members, 1)[:, :, None, None].expand(-1, -1, *features.shape[2:])
    return torch.cat([features, planes], dim=1)
