"""The Fréchet distance between two sets of features.

Heusel et al.: GANs Trained by a Two Time-Scale Update Rule Converge to a Local Nash Equilibrium,
2017 (equation 6; "FID" if the features are those of Inception).
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from i2i.errors import DataError

PUBLISHED_SAMPLE = 10_000
"""The smallest number of images that the authors recommend."""


class Gaussian(NamedTuple):
    """Mean (D,) and covariance (D, D), in float64."""

    mean: npt.NDArray[np.float64]
    covariance: npt.NDArray[np.float64]


def gaussian(features: Tensor) -> Gaussian:
    """The mean and the unbiased covariance of features (N, D).

    Raises:
        DataError: a single row has no covariance.
    """
    if len(features) < 2:
        raise DataError(
            f"A Fréchet distance needs at least 2 images in each set; there is {len(features)}."
        )
    values = features.detach().to("cpu", torch.float64).numpy()
    return Gaussian(values.mean(axis=0), np.atleast_2d(np.cov(values, rowvar=False)))


def frechet_distance(generated: Tensor | Gaussian, reference: Tensor | Gaussian) -> float:
    """|m1 - m2|^2 + tr(C1 + C2 - 2 (C1 C2)^(1/2)) of the Gaussians with the same moments.

    Its expectation falls with the number of images: compare only distances between equally many.

    Arguments:
        generated, reference: features (N, D), or their Gaussians.

    Raises:
        DataError: a set has fewer than two images.
    """
    from torch_fidelity.metric_fid import KEY_METRIC_FID, fid_statistics_to_metric

    first, second = (
        each if isinstance(each, Gaussian) else gaussian(each) for each in (generated, reference)
    )
    assert first.mean.shape == second.mean.shape, (first.mean.shape, second.mean.shape)
    statistics = ({"mu": each.mean, "sigma": each.covariance} for each in (first, second))
    distance: float = fid_statistics_to_metric(*statistics, verbose=False)[KEY_METRIC_FID]
    return max(distance, 0.0)  # rounding, where the two are equal


def sample_warning(images: int, dimension: int) -> str | None:
    """What to say of a Fréchet distance from so few images; None if they are enough.

    Arguments:
        images: in the smaller of the two sets.
        dimension: of the features.
    """
    if images < dimension:
        return (
            f"{images} images are fewer than the {dimension} numbers of a feature: the "
            "covariances are singular and the Fréchet distance comes out too large, by an amount "
            "that depends on the number of images. Compare it only with distances from equally "
            "many, or use the kernel distance (kid), which has no such bias."
        )
    if images < PUBLISHED_SAMPLE:
        return (
            f"{images} images are fewer than the {PUBLISHED_SAMPLE:,} recommended: the Fréchet "
            "distance comes out too large. Compare it only with distances from equally many."
        )
    return None
