"""The classification losses against closed forms and numpy."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from i2i.losses import binary_cross_entropy, cross_entropy

LOGITS = hnp.arrays(np.float64, (3, 4), elements=st.floats(-20, 20))
INDICES = hnp.arrays(np.int64, 3, elements=st.integers(0, 3))
BITS = hnp.arrays(np.bool_, (3, 4))


def tensor(array: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(array.astype(np.float64))


@given(LOGITS, INDICES)
def test_cross_entropy_is_that_of_softmax(logits: np.ndarray, indices: np.ndarray) -> None:
    expected = np.mean(
        [np.log(np.exp(row).sum()) - row[i] for row, i in zip(logits, indices, strict=True)]
    )
    found = cross_entropy(tensor(logits), tensor(np.eye(4)[indices]))
    assert found.item() == pytest.approx(expected, rel=1e-9, abs=1e-9)


@given(LOGITS, BITS)
def test_binary_cross_entropy_is_summed_over_attributes(
    logits: np.ndarray, labels: np.ndarray
) -> None:
    probability = 1 / (1 + np.exp(-logits))
    expected = -np.where(labels, np.log(probability), np.log1p(-probability)).sum() / 3
    found = binary_cross_entropy(tensor(logits), tensor(labels))
    assert found.item() == pytest.approx(expected, rel=1e-6, abs=1e-9)


@given(LOGITS, BITS, BITS)
def test_what_is_not_known_neither_costs_nor_teaches(
    logits: np.ndarray, labels: np.ndarray, known: np.ndarray
) -> None:
    x = tensor(logits).requires_grad_()
    binary_cross_entropy(x, tensor(labels), tensor(known)).backward()
    assert x.grad is not None
    assert (x.grad.numpy()[~known] == 0).all()
    right = 1 / (1 + np.exp(-logits)) - labels
    np.testing.assert_allclose(x.grad.numpy()[known], right[known] / 3, atol=1e-9)


def test_images_of_another_data_set_are_left_out_of_the_sum_not_of_the_mean() -> None:
    logits, labels = torch.zeros(4, 5), torch.eye(5)[:4]
    known = torch.tensor([1.0, 1.0, 0.0, 0.0])[:, None].expand(4, 5)
    whole, half = cross_entropy(logits, labels), cross_entropy(logits, labels, known)
    assert whole.item() == pytest.approx(math.log(5))
    assert half.item() == pytest.approx(math.log(5) / 2)


def test_half_precision_logits_are_judged_in_float32() -> None:
    logits = torch.tensor([[4.0, -4.0]], dtype=torch.bfloat16)
    for loss, expected in (
        (cross_entropy, math.log1p(math.exp(-8))),
        (binary_cross_entropy, 2 * math.log1p(math.exp(-4))),
    ):
        value = loss(logits, torch.tensor([[1.0, 0.0]]))
        assert value.dtype == torch.float32
        assert value.item() == pytest.approx(expected, rel=1e-3)
