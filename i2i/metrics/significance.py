"""Whether two ways of doing something differ by more than chance, where both did the same cases."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt


class Interval(NamedTuple):
    """Of a mean, with some confidence."""

    low: float
    high: float


def t_interval(values: npt.ArrayLike, confidence: float = 0.95) -> Interval | None:
    """Student's interval of the mean of normal values, such as the figures of several seeds.

    Arguments:
        values: (N,).
        confidence: between 0 and 1.

    Returns:
        None of fewer than three: of two the interval is twelve times as wide as they are apart.
    """
    from scipy.stats import t

    sample = np.asarray(values, dtype=np.float64)
    if len(sample) < 3:
        return None
    reach = (
        t.ppf((1 + confidence) / 2, len(sample) - 1) * sample.std(ddof=1) / math.sqrt(len(sample))
    )
    return Interval(float(sample.mean() - reach), float(sample.mean() + reach))


def paired_t(one: npt.ArrayLike, other: npt.ArrayLike) -> float | None:
    """Probability of such a mean difference, or a larger one of either sign, if there is none:
    Student's paired t-test, for the figures of the same seeds.

    Arguments:
        one, other: (N,), in the same order.

    Returns:
        None of fewer than two. Without any difference 1; if all are equal and not zero, 0.
    """
    from scipy.stats import ttest_rel

    a, b = (np.asarray(each, dtype=np.float64) for each in (one, other))
    assert a.shape == b.shape, (a.shape, b.shape)
    if len(a) < 2:
        return None
    if np.ptp(a - b) == 0:
        return 1.0 if a[0] == b[0] else 0.0
    return float(ttest_rel(a, b).pvalue)


def wilcoxon(one: npt.ArrayLike, other: npt.ArrayLike) -> float | None:
    """The same by Wilcoxon's signed ranks (1945), which assumes no normal distribution: for values
    of the same images.

    Returns:
        None of fewer than ten, of which no interval is given either. Without any difference 1.
    """
    from scipy.stats import wilcoxon as signed_ranks

    a, b = (np.asarray(each, dtype=np.float64) for each in (one, other))
    assert a.shape == b.shape, (a.shape, b.shape)
    if len(a) < 10:
        return None
    if np.array_equal(a, b):
        return 1.0
    return float(signed_ranks(a, b).pvalue)


def holm(probabilities: Sequence[float]) -> list[float]:
    """Adjust the probabilities of many tests, so that the chance of even one false alarm stays
    what it says (Holm: A Simple Sequentially Rejective Multiple Test Procedure, 1979).

    The k-th smallest of m, k from 0 on, is multiplied by m - k; none is smaller than one before it,
    or larger than 1.
    """
    order = sorted(range(len(probabilities)), key=lambda at: probabilities[at])
    adjusted, least = [0.0] * len(probabilities), 0.0
    for rank, at in enumerate(order):
        least = max(least, min(1.0, probabilities[at] * (len(order) - rank)))
        adjusted[at] = least
    return adjusted
