"""Costs of what a discriminator says at several sizes of an image, and in between."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from i2i.losses.precision import at_least_float32


def over_scales(
    cost: Callable[..., Tensor],
    scores: Sequence[Tensor],
    *,
    rivals: Sequence[Tensor] | None = None,
    mean: bool = False,
) -> Tensor:
    """Return the sum, or the mean, of a cost over the scales.

    Wang et al., "High-resolution image synthesis and semantic manipulation with conditional GANs",
    CVPR 2018, equation 3 (pix2pixHD), takes the sum; SPADE, the mean.

    >>> over_scales(torch.mean, [torch.ones(1, 1, 8, 8), torch.zeros(1, 1, 4, 4)])
    tensor(1.)

    Args:
        cost: maps scores of any shape to a scalar, as `Adversarial.real` does.
        scores: a tensor for each scale.
        rivals: those of the other side, which the cost is then given, too, as a function.
        mean: divide by the number of scales.
    """
    if rivals is None:
        costs = [cost(of_scale) for of_scale in scores]
    else:
        pairs = zip(scores, rivals, strict=True)
        costs = [cost(of_scale, lambda rival=rival: rival) for of_scale, rival in pairs]
    total = torch.stack(costs).sum()
    return total / len(scores) if mean else total


def layer_matching(
    fake: Sequence[Sequence[Tensor]],
    real: Sequence[Sequence[Tensor]],
    *,
    as_layers: int | None = None,
) -> Tensor:
    """Return the L1 distance of a discriminator's layers, mean over scales, sum over layers.

    Wang et al., CVPR 2018, equation 4. Published pix2pixHD weighs the sum as if there were 4
    layers, whatever their number; SPADE takes the sum as it is. In both the term has weight 10. No
    gradient reaches `real`.

    Args:
        fake: for each scale the layers' outputs (N, C, H, W); the last one, the scores, is left
            out.
        real: the same of real images.
        as_layers: multiply the sum over layers by this and divide it by their number.
    """
    costs = []
    for of_fake, of_real in zip(fake, real, strict=True):
        layers = [
            (at_least_float32(f) - at_least_float32(r.detach())).abs().mean()
            for f, r in zip(of_fake[:-1], of_real[:-1], strict=True)
        ]
        total = torch.stack(layers).sum()
        costs.append(total if as_layers is None else total * as_layers / len(layers))
    return torch.stack(costs).mean()
