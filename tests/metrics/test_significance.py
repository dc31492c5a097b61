"""Paired tests, by hand and against their closed forms."""

import math
from itertools import product

import numpy as np
import pytest

from i2i.metrics.significance import holm, paired_t, t_interval, wilcoxon


def test_students_interval() -> None:
    values = [1.0, 2.0, 6.0]  # mean 3, deviation sqrt(7); of two degrees of freedom t is known
    t = math.sqrt(2) * 0.95 / math.sqrt(1 - 0.95**2)
    interval = t_interval(values)
    assert interval is not None
    reach = t * math.sqrt(7) / math.sqrt(3)
    assert interval == pytest.approx((3 - reach, 3 + reach))
    assert t_interval(values[:2]) is None


def test_students_paired_test() -> None:
    differences = np.array([1.0, 2.0, 6.0])
    t = 3 / (math.sqrt(7) / math.sqrt(3))
    expected = 1 - t / math.sqrt(2 + t**2)  # two degrees of freedom
    assert paired_t(differences + 5, [5.0] * 3) == pytest.approx(expected)
    assert paired_t([1.0], [2.0]) is None
    assert paired_t([1.0, 2.0], [1.0, 2.0]) == 1
    assert paired_t([1.0, 2.0], [0.5, 1.5]) == 0


def test_signed_ranks_by_counting_all_signs() -> None:
    differences = np.array([0.3, -0.1, 0.8, 0.2, 1.1, -0.4, 0.9, 0.7, 0.6, 1.3])
    ranks = np.argsort(np.argsort(abs(differences))) + 1
    found = min(ranks[differences > 0].sum(), ranks[differences < 0].sum())
    sums = [
        sum(r for r, sign in zip(ranks, signs, strict=True) if sign)
        for signs in product([0, 1], repeat=10)
    ]
    expected = np.mean([min(each, 55 - each) <= found for each in sums])
    assert wilcoxon(differences + 2, np.full(10, 2.0)) == pytest.approx(expected)
    assert wilcoxon(differences[:9], np.zeros(9)) is None
    assert wilcoxon(differences, differences) == 1


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03, 0.5]) == pytest.approx([0.04, 0.09, 0.09, 0.5])
    assert holm([0.9, 0.8]) == [1, 1]
    assert holm([]) == []
