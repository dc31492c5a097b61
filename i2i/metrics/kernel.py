"""The kernel distance between two sets of features.

Bińkowski, Sutherland, Arbel, Gretton: Demystifying MMD GANs, 2018 ("KID" if the features are those
of Inception).
"""

from typing import NamedTuple

import torch
from torch import Tensor

from i2i.errors import DataError

SUBSETS = 100
SUBSET_SIZE = 1000
"""As published."""


class KernelDistance(NamedTuple):
    """Mean and standard deviation over subsets of `subset_size` images; None where both subsets
    are all that there is."""

    mean: float
    deviation: float | None
    subset_size: int


def kernel_distance(
    generated: Tensor,
    reference: Tensor,
    *,
    subsets: int = SUBSETS,
    subset_size: int = SUBSET_SIZE,
    seed: int = 0,
) -> KernelDistance:
    """The squared maximum mean discrepancy with the kernel (x.y / D + 1)^3, estimated without bias.

    The expectation does not depend on the number of images, and may come out slightly below zero
    where the two sets are alike.

    Arguments:
        generated, reference: features (N, D) and (M, D).
        subsets: how many pairs of subsets the mean is taken over.
        subset_size: images in a subset; no more than the smaller set has.
        seed: of the draw.

    Raises:
        DataError: a set has fewer than two images.
    """
    from torch_fidelity.metric_kid import (
        KEY_METRIC_KID_MEAN,
        KEY_METRIC_KID_STD,
        kid_features_to_metric,
    )

    size = min(subset_size, len(generated), len(reference))
    if size < 2:
        raise DataError(
            "A kernel distance needs at least 2 images in each set; there are "
            f"{len(generated)} and {len(reference)}."
        )
    whole = size == len(generated) == len(reference)
    found = kid_features_to_metric(
        *(each.detach().to("cpu", torch.float64) for each in (generated, reference)),
        kid_subsets=1 if whole else subsets,
        kid_subset_size=size,
        rng_seed=seed,
        verbose=False,
    )
    deviation = None if whole else found[KEY_METRIC_KID_STD]
    return KernelDistance(found[KEY_METRIC_KID_MEAN], deviation, size)
