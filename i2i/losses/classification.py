"""How badly a classifier recognises what an image shows.

Logits, labels and masks are (N, K), a column for each label; labels are 0 or 1. A mask is 1 where a
label is known and 0 where it is not; what is not known costs nothing and teaches nothing. Both
losses are divided by the number N of images, known or not, as StarGAN's are (Choi et al., CVPR
2018, equations 2 and 3, and the authors' implementation): an image weighs the same in any batch.
"""

import torch.nn.functional as F
from torch import Tensor

from i2i.losses.precision import at_least_float32


def cross_entropy(logits: Tensor, labels: Tensor, known: Tensor | None = None) -> Tensor:
    """Return -sum(c log softmax(D)) / N: each image is of exactly one class.

    >>> import torch
    >>> cross_entropy(torch.zeros(2, 4), torch.eye(4)[:2])  # log 4
    tensor(1.3863)

    Args:
        logits: D.
        labels: c, with a single 1 in each row that is known.
        known: the mask; None if everything is.
    """
    return _mean(-labels * F.log_softmax(at_least_float32(logits), dim=1), known)


def binary_cross_entropy(logits: Tensor, labels: Tensor, known: Tensor | None = None) -> Tensor:
    """Return -sum(c log s(D) + (1 - c) log(1 - s(D))) / N, with the logistic function s: each
    attribute holds or not. The sum is over the attributes, too.

    >>> import torch
    >>> binary_cross_entropy(torch.zeros(2, 5), torch.ones(2, 5))  # 5 log 2
    tensor(3.4657)

    Args:
        logits: D.
        labels: c.
        known: the mask; None if everything is.
    """
    logits = at_least_float32(logits)
    labels = labels.to(logits.dtype)
    return _mean(F.binary_cross_entropy_with_logits(logits, labels, reduction="none"), known)


def _mean(costs: Tensor, known: Tensor | None) -> Tensor:
    assert known is None or known.shape == costs.shape, (known.shape, costs.shape)
    return (costs if known is None else costs * known).sum() / len(costs)
