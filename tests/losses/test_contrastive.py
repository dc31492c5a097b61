"""Contrastive terms against the authors' numbers and against numpy."""

import doctest
import math

import numpy as np
import pytest
import torch
from torch import Tensor

from i2i.losses import contrastive
from i2i.losses.contrastive import (
    hard_negative_nce,
    patch_nce,
    patch_nce_costs,
    semantic_relation,
    semantic_weights,
)
from recordings import Vectors, recorded


def test_examples():
    failures, examples = doctest.testmod(contrastive)
    assert examples > 0
    assert failures == 0


@pytest.mark.parametrize("path", recorded("cut_patchnce"), ids=lambda path: path.stem)
def test_costs_of_each_query_and_their_gradient_are_the_authors(path):
    vectors = Vectors(path)
    for case in vectors.config["cases"]:
        name = case["name"]
        query, key = (vectors[f"input.{name}.{each}"].requires_grad_() for each in ("query", "key"))
        images = 1 if case["all_negatives"] else case["batch"]
        costs = patch_nce_costs(query, key, images=images, temperature=case["nce_T"])
        assert vectors.error(f"output.{name}.loss", costs) < 1e-9
        loss = patch_nce(query, key, images=images, temperature=case["nce_T"])
        torch.testing.assert_close(loss, vectors[f"output.{name}.loss"].mean())
        loss.backward()
        assert vectors.error(f"output.{name}.query_gradient", query.grad) < 1e-9
        assert key.grad is None


def rows(count: int, numbers: int = 6) -> Tensor:
    vectors = torch.randn(count, numbers, dtype=torch.float64)
    return vectors / vectors.norm(dim=1, keepdim=True)


def softmax(values: np.ndarray) -> np.ndarray:
    return np.exp(values) / np.exp(values).sum()


@pytest.mark.parametrize("images", [1, 3])
def test_hard_negatives_against_numpy(images):
    torch.manual_seed(0)
    queries, keys = rows(12), rows(12)
    gamma, temperature = 0.3, 0.07
    found = hard_negative_nce(
        queries,
        keys,
        semantic_weights(keys, images=images, gamma=gamma),
        images=images,
        temperature=temperature,
    )
    costs = []
    q, k = queries.numpy(), keys.numpy()
    for i in range(12):
        size = 12 // images
        group = [j for j in range(12) if j // size == i // size and j != i]
        hardness = np.array([np.exp(k[i] @ k[j] / gamma) for j in group])
        hardness /= hardness.max()
        total = np.exp(hardness * (k[group] @ q[i]) / temperature).sum() + np.exp(-10 / temperature)
        costs.append(np.log(total) - q[i] @ k[i] / temperature)
    assert found.item() == pytest.approx(np.mean(costs), rel=1e-12)


def test_weights_grow_with_the_resemblance_and_grow_equal_with_gamma():
    torch.manual_seed(0)
    keys = rows(8)
    similar = keys @ keys.T
    sharp = semantic_weights(keys, images=1, gamma=0.1)[0]
    flat = semantic_weights(keys, images=1, gamma=50.0)[0]
    others = ~torch.eye(8, dtype=torch.bool)
    assert sharp.max() == flat.max() == 1
    assert flat[others].min() > 0.95
    for i in range(8):
        order = similar[i][others[i]].argsort()
        assert (sharp[i][others[i]][order].diff() > 0).all()
    scalar = semantic_weights(keys, images=1, gamma=torch.tensor(0.1, dtype=torch.float64))[0]
    torch.testing.assert_close(scalar, sharp)


@pytest.mark.parametrize("images", [1, 2])
def test_relations_against_numpy(images):
    torch.manual_seed(0)
    queries, keys = rows(8), rows(8)
    total = 0.0
    size = 8 // images
    for start in range(0, 8, size):
        q, k = (each.numpy()[start : start + size] for each in (queries, keys))
        for i in range(size):
            p, r = softmax(q[i] @ q.T), softmax(k[i] @ k.T)
            middle = (p + r) / 2
            total += 0.5 * (p * np.log(p / middle)).sum() + 0.5 * (r * np.log(r / middle)).sum()
    found = semantic_relation(queries, keys, images=images)
    assert found.item() == pytest.approx(total, rel=1e-12)


def test_a_rotation_of_all_vectors_keeps_the_relations():
    torch.manual_seed(0)
    keys = rows(8)
    turn = torch.linalg.qr(torch.randn(6, 6, dtype=torch.float64))[0]
    assert semantic_relation(keys @ turn, keys).item() == pytest.approx(0, abs=1e-12)
    assert semantic_relation(rows(8), keys).item() > 1e-3


def test_no_gradient_reaches_the_keys():
    torch.manual_seed(0)
    queries, keys = rows(8).requires_grad_(), rows(8).requires_grad_()
    weights = semantic_weights(keys, images=2, gamma=1.0)
    assert not weights.requires_grad
    for loss in (
        patch_nce(queries, keys, images=2),
        hard_negative_nce(queries, keys, weights, images=2),
        semantic_relation(queries, keys, images=2),
    ):
        queries.grad = None
        loss.backward()
        assert queries.grad.abs().max() > 0
        assert keys.grad is None


def test_perfect_vectors_cost_next_to_nothing_and_equal_ones_log_of_the_rows():
    eye = torch.eye(16)
    assert patch_nce(eye, eye, images=1).item() == pytest.approx(15 * math.exp(-1 / 0.07), rel=1e-2)
    same = torch.ones(16, 1)
    assert patch_nce(same, same, images=1).item() == pytest.approx(math.log(16), rel=1e-5)
    assert patch_nce(same, same, images=4).item() == pytest.approx(math.log(4), rel=1e-5)


def test_half_precision_is_computed_in_single():
    torch.manual_seed(0)
    queries, keys = rows(8).bfloat16(), rows(8).bfloat16()
    found = patch_nce(queries, keys, images=2)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, patch_nce(queries.float(), keys.float(), images=2))


def test_autocast_rounds_no_similarity():
    torch.manual_seed(0)
    queries, keys = rows(8).float(), rows(8).float()

    def losses() -> Tensor:
        weights = semantic_weights(keys, images=2, gamma=0.1)
        return torch.stack(
            [
                patch_nce(queries, keys, images=2),
                hard_negative_nce(queries, keys, weights, images=2),
                semantic_relation(queries, keys, images=2),
            ]
        )

    expected = losses()
    with torch.autocast("cpu", torch.bfloat16):
        torch.testing.assert_close(losses(), expected, rtol=1e-6, atol=1e-7)
