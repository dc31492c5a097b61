"""Costs that tell patches of an image apart by vectors that describe them.

All take rows of vectors of length 1, (N * P, D), P for each of N images, image by image; row i of
the queries (of translations) and row i of the keys (of what was translated) are of the same place.
No gradient reaches the keys.

`images` says how many groups the rows form: N, if a patch is compared with those of its own image,
as published; 1, if with those of the whole batch.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from i2i.losses.precision import at_least_float32
from i2i.system.device import full_precision

SELF = -10.0
"""Takes the place of the similarity of a query with its own key among the negatives."""


def patch_nce(queries: Tensor, keys: Tensor, *, images: int, temperature: float = 0.07) -> Tensor:
    """Return the mean of `patch_nce_costs`.

    >>> import torch
    >>> rows = torch.eye(3)
    >>> patch_nce(rows, rows, images=1, temperature=1.0)  # log(1 + (2 + exp(-10)) / e)
    tensor(0.5515)
    """
    return patch_nce_costs(queries, keys, images=images, temperature=temperature).mean()


def patch_nce_costs(
    queries: Tensor, keys: Tensor, *, images: int, temperature: float = 0.07
) -> Tensor:
    """Return -log(exp(q.k / t) / (exp(q.k / t) + sum exp(q.k' / t))) of each query q, (N * P,).

    k is its own key, k' are the others of its group, t is the temperature: Park et al.,
    "Contrastive learning for unpaired image-to-image translation", ECCV 2020, equation 3. As in the
    authors' code, the sum has one more, tiny part, exp(-10 / t).

    Args:
        queries: vectors of length 1, (N * P, D).
        keys: the same of the images that were translated.
        images: groups that the rows form; 1 takes negatives from the whole batch.
        temperature: t.
    """
    own, others = _similarities(queries, keys, images)
    logits = torch.cat([own, _but_self(others)], dim=2).flatten(0, 1) / temperature
    return F.cross_entropy(
        logits, logits.new_zeros(len(logits), dtype=torch.long), reduction="none"
    )


def semantic_weights(keys: Tensor, *, images: int, gamma: float | Tensor) -> Tensor:
    """Return how hard a negative each key is for each query, (images, R, R), at most 1.

    Jung et al., "Exploring patch-wise semantic relation for contrastive learning in image-to-image
    translation tasks", CVPR 2022, section 3.3: softmax over k' of k.k' / gamma, here relative to
    the largest of a row. The published gamma falls linearly from 50 to 10 in the course of the run.

    Args:
        keys: vectors of length 1, (N * P, D).
        images: groups that the rows form.
        gamma: the larger, the more equal are the weights; a number or a scalar on the device.
    """
    grouped = _grouped(keys.detach(), images)
    weights = F.softmax(_but_self(_products(grouped, grouped)) / gamma, dim=2)
    return weights / weights.amax(dim=2, keepdim=True)


def hard_negative_nce(
    queries: Tensor,
    keys: Tensor,
    weights: Tensor,
    *,
    images: int,
    temperature: float = 0.07,
) -> Tensor:
    """Return the mean of -log(exp(q.k / t) / sum exp(w q.k' / t)) over the queries q.

    The decoupled InfoNCE with hard negatives (hDCE) of Jung et al., CVPR 2022, equation 6: the
    positive is not in the denominator, and negatives weigh more the more they resemble q's own
    patch. As in the authors' code the weight w multiplies the similarity, and the sum has one more,
    tiny part, exp(-10 / t). Their log shows another number, that of `patch_nce` with these weights;
    the gradient is that of this one.

    Args:
        queries: vectors of length 1, (N * P, D).
        keys: the same of the images that were translated.
        weights: `semantic_weights` of vectors that describe the same places.
        images: groups that the rows form.
        temperature: t.
    """
    own, others = _similarities(queries, keys, images)
    negatives = _but_self(others * weights.to(others.dtype)) / temperature
    return (negatives.logsumexp(dim=2, keepdim=True) - own / temperature).mean()


def semantic_relation(queries: Tensor, keys: Tensor, *, images: int = 1) -> Tensor:
    """Return the Jensen-Shannon divergence of the relations among queries and among keys.

    Jung et al., CVPR 2022, equation 3 (SRC): the relation of a patch is the softmax of its
    similarities with all patches of its group, itself among them; the divergences of the patches
    are summed up, as in the authors' code.

    >>> import torch
    >>> semantic_relation(torch.eye(3), torch.eye(3).flip(0))  # turned alike
    tensor(0.)

    Args:
        queries: vectors of length 1, (N * P, D).
        keys: the same of the images that were translated.
        images: groups that the rows form; the authors take the whole batch for one.
    """
    logs = []
    for rows in (queries, keys.detach()):
        grouped = _grouped(rows, images)
        logs.append(F.log_softmax(_products(grouped, grouped), dim=2))
    middle = torch.logaddexp(*logs) - math.log(2)
    divergences = [(log.exp() * (log - middle)).sum() for log in logs]
    return (divergences[0] + divergences[1]) / 2


def _grouped(rows: Tensor, images: int) -> Tensor:
    assert len(rows) % images == 0, (len(rows), images)
    return at_least_float32(rows).reshape(images, -1, rows.shape[1])


def _similarities(queries: Tensor, keys: Tensor, images: int) -> tuple[Tensor, Tensor]:
    """Those with its own key, (images, R, 1), and with all keys of its group, (images, R, R)."""
    assert queries.shape == keys.shape, (queries.shape, keys.shape)
    queries, keys = _grouped(queries, images), _grouped(keys.detach(), images)
    return (queries * keys).sum(dim=2, keepdim=True), _products(queries, keys)


def _products(rows: Tensor, others: Tensor) -> Tensor:
    """Those of all pairs in a group; autocast would round them, which a temperature makes large."""
    with full_precision(rows):
        return rows @ others.mT


def _but_self(similarities: Tensor) -> Tensor:
    own = torch.eye(similarities.shape[-1], dtype=torch.bool, device=similarities.device)
    return similarities.masked_fill(own, SELF)
