"""Distances between sets of features: closed forms, and second implementations."""

import numpy as np
import pytest
import scipy.linalg
import scipy.spatial
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from i2i.errors import DataError
from i2i.metrics.frechet import Gaussian, frechet_distance, gaussian, sample_warning
from i2i.metrics.kernel import kernel_distance
from i2i.metrics.neighbours import precision_recall


def scipy_frechet(x: np.ndarray, y: np.ndarray) -> float:
    first, second = np.cov(x.T), np.cov(y.T)
    # The root of a product of two covariances has the trace of the root of this symmetric matrix.
    half = scipy.linalg.sqrtm(first).real
    root = scipy.linalg.sqrtm(half @ second @ half).real
    difference = x.mean(0) - y.mean(0)
    return float(difference @ difference + np.trace(first) + np.trace(second) - 2 * np.trace(root))


def numpy_kernel(x: np.ndarray, y: np.ndarray) -> float:
    """The unbiased estimate over everything at once."""

    def kernel(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return (a @ b.T / a.shape[1] + 1) ** 3

    n, m = len(x), len(y)
    own_x, own_y = kernel(x, x), kernel(y, y)
    return float(
        (own_x.sum() - np.trace(own_x)) / (n * (n - 1))
        + (own_y.sum() - np.trace(own_y)) / (m * (m - 1))
        - 2 * kernel(x, y).mean()
    )


@settings(max_examples=20)
@given(st.integers(1, 12), st.integers(20, 60), st.integers(0, 1000))
def test_frechet_agrees_with_scipy(dimension: int, count: int, seed: int) -> None:
    generator = np.random.default_rng(seed)
    x = generator.normal(size=(count, dimension + 1)) @ generator.normal(
        size=(dimension + 1, dimension + 1)
    )
    y = generator.normal(size=(count + 7, dimension + 1)) + generator.normal()
    found = frechet_distance(torch.from_numpy(x), torch.from_numpy(y))
    assert found == pytest.approx(scipy_frechet(x, y), rel=1e-6, abs=1e-6)


def test_frechet_of_fewer_images_than_dimensions_agrees_to_a_thousandth() -> None:
    generator = np.random.default_rng(0)
    x, y = np.maximum(generator.normal(size=(2, 40, 300)), 0).astype(np.float32)
    mean = np.square(x.mean(0, dtype=float) - y.mean(0, dtype=float)).sum()
    # The non-zero eigenvalues of C1 C2 are the squared singular values of the centred X Y^T.
    centred = [(z - z.mean(0)).astype(float) / np.sqrt(len(z) - 1) for z in (x, y)]
    trace = np.linalg.svd(centred[0] @ centred[1].T, compute_uv=False).sum()
    expected = mean + np.square(centred[0]).sum() + np.square(centred[1]).sum() - 2 * trace
    found = frechet_distance(torch.from_numpy(x), torch.from_numpy(y))
    assert found == pytest.approx(expected, abs=1e-3)


def test_frechet_of_known_gaussians() -> None:
    mean, covariance = np.array([1.0, 2.0]), np.diag([4.0, 9.0])
    other = Gaussian(np.array([1.0, 5.0]), np.diag([1.0, 16.0]))
    # |m1 - m2|^2 + sum (s1 - s2)^2 for diagonal covariances
    assert frechet_distance(Gaussian(mean, covariance), other) == pytest.approx(9 + 1 + 1)
    assert frechet_distance(other, other) == pytest.approx(0, abs=1e-9)


def test_gaussian_is_unbiased_and_needs_two() -> None:
    found = gaussian(torch.tensor([[0.0], [2.0]]))
    assert (found.mean.item(), found.covariance.item()) == (1.0, 2.0)
    with pytest.raises(DataError, match="at least 2 images"):
        gaussian(torch.zeros(1, 3))


@pytest.mark.parametrize(
    ("images", "words"),
    [(100, "fewer than the 1280 numbers"), (2000, "fewer than the 10,000"), (10_000, None)],
)
def test_small_samples_are_warned_of(images: int, words: str | None) -> None:
    warning = sample_warning(images, 1280)
    assert warning is None if words is None else words in str(warning)


def test_the_bias_that_is_warned_of_is_there() -> None:
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(4000, 16, generator=generator)
    distances = [frechet_distance(features[:n], features[2000 : 2000 + n]) for n in (20, 200, 2000)]
    assert distances[0] > 3 * distances[1] > 3 * distances[2] > 0


def test_kernel_agrees_with_numpy_on_everything_at_once() -> None:
    x, y = np.random.default_rng(0).normal(size=(2, 50, 7))
    y = y * 1.5 + 0.3
    found = kernel_distance(torch.from_numpy(x), torch.from_numpy(y), subsets=3)
    assert found.subset_size == 50
    assert found.mean == pytest.approx(numpy_kernel(x, y), rel=1e-9)
    assert found.deviation is None


def test_kernel_of_one_distribution_is_about_zero_whatever_the_number() -> None:
    generator = torch.Generator().manual_seed(0)
    for count in (10, 100):
        pairs = torch.randn(60, 2, count, 16, generator=generator)
        found = [kernel_distance(*pair, subsets=1, subset_size=count).mean for pair in pairs]
        error = np.std(found) / np.sqrt(len(found))
        assert abs(np.mean(found)) < 3 * error
        shifted = kernel_distance(pairs[0][0], pairs[0][1] + 1.0, subsets=1)
        assert shifted.mean > 30 * error


def test_kernel_is_repeatable_and_seeded() -> None:
    x, y = torch.randn(2, 40, 5, generator=torch.Generator().manual_seed(0))
    first = kernel_distance(x, y, subset_size=10, subsets=4)
    assert first == kernel_distance(x, y, subset_size=10, subsets=4)
    assert first != kernel_distance(x, y, subset_size=10, subsets=4, seed=1)
    with pytest.raises(DataError, match="there are 40 and 1"):
        kernel_distance(x, y[:1])


def numpy_precision(generated: np.ndarray, reference: np.ndarray, k: int) -> float:
    own = np.sort(scipy.spatial.distance.cdist(reference, reference), axis=1)[:, k]
    across = scipy.spatial.distance.cdist(generated, reference)
    return float((across <= own[None]).any(1).mean())


@given(st.integers(5, 40), st.integers(5, 40), st.integers(1, 3), st.integers(0, 100))
@settings(max_examples=20)
def test_precision_and_recall_agree_with_scipy(n: int, m: int, k: int, seed: int) -> None:
    generator = np.random.default_rng(seed)
    x, y = generator.normal(size=(n, 3)), generator.normal(size=(m, 3)) + 0.5
    found = precision_recall(torch.from_numpy(x), torch.from_numpy(y), neighbours=k)
    assert found.precision == pytest.approx(numpy_precision(x, y, k))
    assert found.recall == pytest.approx(numpy_precision(y, x, k))


def test_a_part_of_the_truth_is_precise_and_recalls_a_part() -> None:
    # Two clusters far apart; what is generated covers one of them.
    clusters = torch.randn(2, 50, 2, generator=torch.Generator().manual_seed(0))
    reference = torch.cat([clusters[0], clusters[1] + 1000])
    found = precision_recall(clusters[0], reference)
    assert found.precision == 1.0
    assert found.recall == 0.5
    with pytest.raises(DataError, match="there are 3 and 100"):
        precision_recall(clusters[0][:3], reference)
