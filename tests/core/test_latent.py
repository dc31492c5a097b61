"""Latent vectors: what they are drawn from, how they are cut, set and mixed."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from i2i.core.latent import Latent, interpolated
from i2i.errors import OptionsError

LATENTS = st.builds(
    Latent,
    st.integers(1, 5),
    st.sampled_from(["normal", "uniform"]),
    st.lists(st.integers(2, 4), max_size=3).map(tuple),
    st.integers(0, 3),
)


@given(LATENTS, st.integers(1, 6), st.integers(0, 2**31))
def test_a_vector_is_noise_then_a_one_for_each_category_then_numbers(
    latent: Latent, count: int, seed: int
) -> None:
    vectors = latent.draw(count, generator=torch.Generator().manual_seed(seed))
    assert vectors.shape == (count, latent.width)
    assert vectors.dtype == torch.float32
    noise, categories, continuous = latent.split(vectors)
    assert noise.shape == (count, latent.size)
    assert [code.shape[1] for code in categories] == list(latent.categorical)
    for code in categories:
        assert code.sum(1).tolist() == [1] * count
        assert set(code.flatten().tolist()) <= {0, 1}
    assert continuous.shape == (count, latent.continuous)
    assert (continuous.abs() <= 1).all()
    assert latent.codes == latent.width - latent.size == len(vectors[0]) - latent.size
    again = latent.draw(count, generator=torch.Generator().manual_seed(seed))
    assert torch.equal(again, vectors)


@pytest.mark.parametrize(
    ("distribution", "expected"), [("normal", stats.norm()), ("uniform", stats.uniform(-1, 2))]
)
def test_noise_has_its_distribution(distribution: str, expected: object) -> None:
    generator = torch.Generator().manual_seed(0)
    vectors = Latent(50, distribution, (4,), 2).draw(400, generator=generator).numpy()
    assert stats.kstest(vectors[:, :50].ravel(), expected.cdf).pvalue > 0.01  # type: ignore[attr-defined]
    assert stats.kstest(vectors[:, 54:].ravel(), stats.uniform(-1, 2).cdf).pvalue > 0.01
    assert stats.chisquare(vectors[:, 50:54].sum(0)).pvalue > 0.01


def test_names_of_codes() -> None:
    assert Latent(3).names == ()
    assert Latent(3, categorical=(10,), continuous=2).names == (
        *("category", "continuous1", "continuous2"),
    )
    assert Latent(3, categorical=(2, 3)).names == ("category1", "category2")


@pytest.mark.parametrize("limit", [0.3, 1.0, 2.5])
def test_truncated_noise_is_a_truncated_normal(limit: float) -> None:
    latent = Latent(100, categorical=(3,), continuous=1)
    vectors = latent.draw(200, generator=torch.Generator().manual_seed(0))
    cut = latent.truncated(vectors, limit)
    assert cut.dtype == vectors.dtype
    assert torch.equal(cut[:, 100:], vectors[:, 100:])  # codes are left alone
    noise = cut[:, :100].numpy().ravel().astype(float)
    assert np.abs(noise).max() <= limit + 1e-6
    assert stats.kstest(noise, stats.truncnorm(-limit, limit).cdf).pvalue > 0.01
    before = vectors[:, :100].numpy().ravel()
    assert (np.argsort(before) == np.argsort(noise)).mean() > 0.999  # but for rounding


def test_no_limit_changes_nothing_and_a_tiny_one_leaves_only_the_middle() -> None:
    for latent in (Latent(50), Latent(50, "uniform")):
        vectors = latent.draw(50, generator=torch.Generator().manual_seed(0))
        widest = 40.0 if latent.distribution == "normal" else 1.0
        assert (latent.truncated(vectors, widest) - vectors).abs().max() < 1e-5
        assert latent.truncated(vectors, 1e-6).abs().max() < 2e-6
    uniform = Latent(2, "uniform")
    assert uniform.truncated(torch.tensor([[0.5, -1.0]]), 0.5).tolist() == [[0.25, -0.5]]


@pytest.mark.parametrize(
    ("latent", "limit", "message"),
    [
        (Latent(3), 0, "must be a positive number"),
        (Latent(3), -1, r"truncation \(=-1\)"),
        (Latent(3), float("nan"), "nan"),
        (Latent(3, "uniform"), 1.5, r"truncation \(=1.5\) must be 0..1 for uniform noise"),
    ],
)
def test_limits_that_make_no_sense_are_an_error(latent: Latent, limit: float, message: str) -> None:
    with pytest.raises(OptionsError, match=message):
        latent.truncated(latent.draw(2), limit)


def test_a_code_is_set_in_all_vectors_and_nothing_else() -> None:
    latent = Latent(2, categorical=(3, 2), continuous=2)
    vectors = latent.draw(5)
    kept = vectors.clone()
    changed = latent.with_code(vectors, "category2", 1)
    assert changed[:, 5:7].tolist() == [[0, 1]] * 5
    assert torch.equal(changed[:, [0, 1, 2, 3, 4, 7, 8]], vectors[:, [0, 1, 2, 3, 4, 7, 8]])
    changed = latent.with_code(vectors, "continuous1", -1.5)
    assert changed[:, 7].tolist() == [-1.5] * 5
    assert torch.equal(changed[:, :7], vectors[:, :7])
    assert torch.equal(changed[:, 8], vectors[:, 8])
    assert torch.equal(vectors, kept)
    assert latent.values("category1") == [0, 1, 2]
    assert latent.values("continuous2", 5) == [-2, -1, 0, 1, 2]


@pytest.mark.parametrize("value", [3, -1, 0.5])
def test_categories_are_whole_numbers_in_range(value: float) -> None:
    latent = Latent(2, categorical=(3,))
    with pytest.raises(OptionsError, match=rf"category \(={value:g}\) .* 3 categories, 0..2"):
        latent.with_code(latent.draw(1), "category", value)


def test_codes_that_are_not_there_are_an_error() -> None:
    latent = Latent(2, categorical=(3,), continuous=1)
    with pytest.raises(OptionsError, match=r"'categori' is no code .*Did you mean 'category'\?"):
        latent.with_code(latent.draw(1), "categori", 1)
    with pytest.raises(OptionsError, match="They are: category, continuous1"):
        latent.values("x")
    with pytest.raises(OptionsError, match="It has none"):
        Latent(2).values("category")


@given(st.integers(0, 2**31), st.integers(1, 20), st.booleans(), st.integers(2, 9))
def test_the_ends_of_the_way_are_the_ends(
    seed: int, width: int, spherical: bool, frames: int
) -> None:
    ends = torch.randn(2, width, generator=torch.Generator().manual_seed(seed))
    shares = [i / (frames - 1) for i in range(frames)]
    way = interpolated(ends[0], ends[1], shares, spherical=spherical)
    assert way.shape == (frames, width)
    assert torch.equal(way[0], ends[0])
    assert torch.equal(way[-1], ends[1])
    back = interpolated(ends[1], ends[0], [1 - share for share in shares], spherical=spherical)
    torch.testing.assert_close(back, way)


def test_a_straight_way_is_a_mixture_and_an_arc_keeps_the_length() -> None:
    one, other = torch.tensor([3.0, 0.0, 0.0]), torch.tensor([0.0, 3.0, 0.0])
    straight = interpolated(one, other, [0.25], spherical=False)
    assert straight.tolist() == [[2.25, 0.75, 0]]
    arc = interpolated(one, other, [0, 1 / 3, 0.5, 0.9], spherical=True)
    assert arc.norm(dim=1).tolist() == pytest.approx([3] * 4)
    assert arc[1].tolist() == pytest.approx(
        [3 * np.cos(np.pi / 6), 1.5, 0]
    )  # a third of 90 degrees
    assert interpolated(one, 2 * one, [0.5], spherical=True).tolist() == [[4.5, 0, 0]]


def test_codes_go_straight_on_an_arc_too() -> None:
    latent = Latent(2, categorical=(2,), continuous=1)
    begin, end = torch.tensor([[1.0, 0, 1, 0, -1], [0, 1, 0, 1, 1]])
    (middle,) = latent.between(begin, end, [0.5], spherical=True)
    assert middle.tolist() == pytest.approx([2**-0.5, 2**-0.5, 0.5, 0.5, 0])
    ends = latent.between(begin, end, [0, 1], spherical=True)
    assert torch.equal(ends, torch.stack([begin, end]))
