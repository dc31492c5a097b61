"""Precision and recall of a set of generated images.

Kynkäänniemi, Karras, Laine, Lehtinen, Aila: Improved Precision and Recall Metric for Assessing
Generative Models, 2019.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from i2i.errors import DataError

NEIGHBOURS = 3
"""As published."""


class PrecisionRecall(NamedTuple):
    """Both in 0..1."""

    precision: float
    recall: float


def precision_recall(
    generated: Tensor, reference: Tensor, *, neighbours: int = NEIGHBOURS
) -> PrecisionRecall:
    """How much of what is generated could be real, and how much of what is real is generated.

    Precision is the share of generated features that lie no farther from some real one than that
    one's k-th nearest real neighbour; recall is the same with the two sets exchanged.

    Arguments:
        generated, reference: features (N, D) and (M, D).
        neighbours: k.

    Raises:
        DataError: a set has no k-th neighbour.
    """
    from torch_fidelity.metric_prc import (
        KEY_METRIC_PRECISION,
        KEY_METRIC_RECALL,
        prc_features_to_metric,
    )

    if min(len(generated), len(reference)) <= neighbours:
        raise DataError(
            f"Precision and recall look at {neighbours} neighbours and need more than that many "
            f"images in each set; there are {len(generated)} and {len(reference)}."
        )
    found = prc_features_to_metric(
        *(each.detach().to("cpu", torch.float64) for each in (generated, reference)),
        prc_neighborhood=neighbours,
        save_cpu_ram=True,
        verbose=False,
    )
    return PrecisionRecall(found[KEY_METRIC_PRECISION], found[KEY_METRIC_RECALL])
