"""How far images are from each other to a network that knows the world."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from i2i.losses.precision import at_least_float32

VGG_WEIGHTS = (1 / 32, 1 / 16, 1 / 8, 1 / 4, 1.0)
"""Of the outputs of VGG-19's relu1_1, relu2_1, relu3_1, relu4_1 and relu5_1 in pix2pixHD and
SPADE."""


def perceptual(
    features: Callable[[Tensor], Sequence[Tensor]],
    images: Tensor,
    targets: Tensor,
    weights: Sequence[float] = VGG_WEIGHTS,
) -> Tensor:
    """Return the weighted sum of mean absolute differences of features.

    Johnson et al., "Perceptual losses for real-time style transfer and super-resolution", ECCV
    2016, with L1 and the layers of Wang et al., "High-resolution image synthesis and semantic
    manipulation with conditional GANs", CVPR 2018, section 3.5, where its weight is 10. No gradient
    reaches `targets`, and none is computed for the network if its parameters do not require one.

    >>> white, grey = torch.ones(1, 3, 8, 8), torch.zeros(1, 3, 8, 8)
    >>> perceptual(lambda x: [x, 2 * x], white, grey, weights=(1.0, 0.5))
    tensor(2.)

    Args:
        features: maps images (N, C, H, W) to one tensor for each of `weights`. Both published
            models give it images in -1..1, as they are.
        images: (N, C, H, W).
        targets: as many of the same size.
        weights: of the features, in their order.
    """
    assert images.shape == targets.shape, (images.shape, targets.shape)
    with torch.no_grad():
        wanted = features(targets)
    costs = [
        weight * (at_least_float32(found) - at_least_float32(want)).abs().mean()
        for weight, found, want in zip(weights, features(images), wanted, strict=True)
    ]
    return torch.stack(costs).sum()
