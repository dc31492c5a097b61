"""What the games with discriminators of several scales share."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from i2i.losses import DiscriminatorOutputs, mean_scores
from i2i.losses.multiscale import over_scales
from i2i.losses.perceptual import perceptual
from i2i.metrics.feature_maps import find_feature_maps
from i2i.models._paired import beside

Layers = list[list[Tensor]]
"""Of each scale the outputs of all layers, of which the last one are the scores."""


def scores(layers: Layers) -> list[Tensor]:
    """The scores of each scale."""
    return [of_scale[-1] for of_scale in layers]


def paid(
    cost: Callable[..., Tensor], judged: Layers, rivals: Layers, *, mean: bool = False
) -> Tensor:
    """What scores cost over all scales, each compared with those of the other side there."""
    return over_scales(cost, scores(judged), rivals=scores(rivals), mean=mean)


def readings(
    real: Layers, fake: Layers, probability: Callable[[Tensor], Tensor] | None
) -> dict[str, Tensor]:
    """What the scores of all scales together tell, for the log."""
    rows = [torch.cat([each.flatten(1) for each in scores(side)], dim=1) for side in (real, fake)]
    told = DiscriminatorOutputs(lambda row: row, rows[0], rows[1].detach())
    _ = told.real, told.fake  # those of which something is said
    return told.readings(probability)


def score(discriminator: Any, condition: Tensor, image: Tensor) -> Tensor:
    """The mean score of each image, (N,), over its patches and then over the scales."""
    judged = discriminator(beside(condition, image))
    return torch.stack([mean_scores(of_scale) for of_scale in judged]).mean(dim=0)


class Perceptual:
    """The perceptual term: how far images are from each other to a network.

    It is no part of the model, whose checkpoints would otherwise hold it.

    Arguments:
        name: of the network (`i2i.metrics.feature_maps`).
        used: whether the term has a weight; only then the network is looked for.
    """

    def __init__(self, name: str, *, used: bool) -> None:
        self._features = find_feature_maps(name) if used else None

    def __call__(self, images: Tensor, targets: Tensor) -> Tensor:
        features = self._features
        assert features is not None
        features.to(images.device)
        return perceptual(features, images, targets, features.weights)
