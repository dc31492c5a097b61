"""How sure a mean is, without assuming a distribution."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

CHUNK = 2**22
"""Values drawn at a time, so that a large sample does not fill the memory."""


class Interval(NamedTuple):
    """A mean and the interval that it lies in with some confidence."""

    mean: float
    low: float
    high: float


def mean_interval(
    values: npt.ArrayLike, *, confidence: float = 0.95, resamples: int = 2000, seed: int = 0
) -> Interval:
    """The percentile bootstrap interval of a mean (Efron: Bootstrap Methods, 1979).

    Samples of the same size are drawn from `values` with replacement; the interval leaves out
    equally many of their means on either side.

    Arguments:
        values: (N,), at least one; of a single value the interval is the value.
        confidence: share of the means inside, between 0 and 1.
        resamples: how many samples are drawn.
        seed: of the draw; the same values and seed give the same interval.
    """
    sample = np.asarray(values, dtype=np.float64)
    assert sample.ndim == 1, sample.shape
    assert len(sample) > 0
    assert 0 < confidence < 1, confidence
    generator = np.random.default_rng(seed)
    means = np.empty(resamples)
    rows = max(1, CHUNK // len(sample))
    for at in range(0, resamples, rows):
        part = means[at : at + rows]
        part[:] = sample[generator.integers(len(sample), size=(len(part), len(sample)))].mean(1)
    tail = (1 - confidence) / 2
    low, high = np.quantile(means, [tail, 1 - tail])
    return Interval(float(sample.mean()), float(low), float(high))
