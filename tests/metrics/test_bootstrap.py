import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from i2i.metrics.bootstrap import mean_interval


def test_ninety_five_of_a_hundred_intervals_hold_the_true_mean() -> None:
    generator = np.random.default_rng(0)
    samples = generator.exponential(3.0, (400, 60))
    held = [
        interval.low <= 3.0 <= interval.high
        for interval in (mean_interval(sample, resamples=400) for sample in samples)
    ]
    assert 0.90 < np.mean(held) < 0.975


def test_the_width_is_that_of_the_normal_approximation() -> None:
    sample = np.random.default_rng(1).normal(5.0, 2.0, 1000)
    interval = mean_interval(sample, confidence=0.9, resamples=4000)
    error = sample.std() / np.sqrt(1000)
    assert interval.mean == pytest.approx(sample.mean())
    assert interval.low == pytest.approx(sample.mean() - 1.645 * error, abs=0.01)
    assert interval.high == pytest.approx(sample.mean() + 1.645 * error, abs=0.01)


@given(st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=30), st.integers(0, 5))
def test_it_lies_within_the_values_and_repeats(values: list[float], seed: int) -> None:
    interval = mean_interval(values, resamples=50, seed=seed)
    assert min(values) - 1e-9 <= interval.low <= interval.high <= max(values) + 1e-9
    assert interval == mean_interval(values, resamples=50, seed=seed)


def test_a_single_value_is_its_own_interval() -> None:
    assert mean_interval([0.25]) == (0.25, 0.25, 0.25)
