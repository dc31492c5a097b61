"""Signals of health on outputs that are made to be wrong in one way each."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from i2i.metrics.health import (
    colour_correlation,
    colour_shift,
    copy_distance,
    diversity,
    health_signals,
)


def pictures(count: int = 6, side: int = 48, seed: int = 0, channels: int = 3) -> Tensor:
    """Coarse random patterns, as different from each other as pictures of a data set are."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(count, channels, 6, 6, generator=generator) * 1.6 - 0.8
    return torch.nn.functional.interpolate(coarse, size=(side, side), mode="bilinear")


def test_perfect_outputs() -> None:
    truth, inputs = pictures(seed=1), pictures(seed=2)
    signals = health_signals(truth.clone(), truth, inputs, paired=True)
    assert signals.keys() == {"colour_shift", "diversity", "copy", "copy_truth", "colour"}
    assert all(value.shape == () and value.dtype == torch.float32 for value in signals.values())
    assert signals["diversity"].item() == pytest.approx(1)
    assert signals["colour"].item() == pytest.approx(1, abs=1e-5)
    assert signals["colour_shift"].item() == 0
    assert signals["copy"].item() == signals["copy_truth"].item() > 0.5


def test_constant_outputs_have_no_diversity_and_no_light_and_shade() -> None:
    truth = pictures()
    same = truth[:1].expand(6, -1, -1, -1)
    assert diversity(same, truth).item() == pytest.approx(0, abs=1e-3)
    assert colour_correlation(torch.zeros_like(truth), truth).item() == 0


def test_half_the_contrast_is_half_the_diversity() -> None:
    assert diversity(0.5 * pictures(), pictures()).item() == pytest.approx(0.5)


def test_copies() -> None:
    inputs = pictures()
    assert copy_distance(inputs, inputs).item() == 0
    assert copy_distance(inputs.roll(1, 0), inputs).item() == pytest.approx(1)
    # Stripes two pixels wide are a change, though thumbnails of 16 pixels would not show them.
    stripes = torch.where(torch.arange(48) // 2 % 2 == 0, 0.5, -0.5)
    assert copy_distance(inputs + stripes, inputs).item() > 0.5


def test_negatives_and_swapped_channels() -> None:
    truth = pictures(seed=3)
    assert colour_correlation(-truth, truth).item() == pytest.approx(-1, abs=1e-5)
    assert abs(colour_correlation(truth.flip(1), truth).item()) < 0.5
    red, blue = torch.full((2, 3, 16, 16), -1.0), torch.full((2, 3, 16, 16), -1.0)
    red[:, 0], blue[:, 2] = 1, 1
    assert colour_shift(red, blue).item() == pytest.approx((8 / 3) ** 0.5)
    assert colour_shift(-torch.ones(2, 3, 8, 8), torch.ones(3, 3, 8, 8)).item() == 2


def test_without_pairs_the_input_is_what_colours_are_compared_with() -> None:
    inputs, references = pictures(seed=4), pictures(5, seed=5)
    signals = health_signals(-inputs, references, inputs)
    assert signals["colour"].item() == pytest.approx(-1, abs=1e-5)
    assert "copy_truth" not in signals
    assert health_signals(inputs, references).keys() == {"colour_shift", "diversity"}


def test_grey_inputs_and_single_pictures() -> None:
    outputs = pictures()
    grey = outputs.mean(1, keepdim=True)
    signals = health_signals(outputs, outputs, grey)
    assert signals["copy"].item() == pytest.approx(0, abs=1e-6)
    assert signals["colour"].item() == pytest.approx(1, abs=1e-5)
    one = health_signals(outputs[:1], outputs[:1], grey[:1], paired=True)
    assert one.keys() == {"colour_shift", "colour"}
    assert all(value.isfinite() for value in one.values())


def test_equal_references_and_small_pictures_stay_finite() -> None:
    flat = torch.zeros(3, 1, 5, 7)
    assert all(v.isfinite() for v in health_signals(flat, flat, flat, paired=True).values())


@given(st.integers(2, 5), st.sampled_from([1, 3]), st.integers(0, 1000))
def test_against_numpy(count: int, channels: int, seed: int) -> None:
    a, b = np.random.default_rng(seed).uniform(-1, 1, (2, count, channels, 16, 16))
    outputs, originals = torch.from_numpy(a), torch.from_numpy(b)

    def spread(x: np.ndarray) -> float:
        pairs = [(i, j) for i in range(count) for j in range(i)]
        return float(np.mean([np.sqrt(((x[i] - x[j]) ** 2).mean()) for i, j in pairs]))

    correlations = [np.corrcoef(a[i].ravel(), b[i].ravel())[0, 1] for i in range(count)]
    copied = np.abs(a - b).mean() / np.abs(b - np.roll(b, 1, 0)).mean()
    shift = np.sqrt(((a.mean((0, 2, 3)) - b.mean((0, 2, 3))) ** 2).mean())
    expected = {
        "diversity": spread(a) / spread(b),
        "copy": copied,
        "colour": np.mean(correlations),
        "colour_shift": shift,
    }
    signals = health_signals(outputs, originals, originals)
    for name, value in expected.items():
        assert signals[name].item() == pytest.approx(value, rel=1e-4, abs=1e-5), name


def test_a_repeated_picture_tells_nothing_of_diversity() -> None:
    """One held-out picture of a side, shown beside each of the other's, is compared with itself."""
    generator = torch.Generator().manual_seed(0)
    inputs = torch.rand(6, 3, 16, 16, generator=generator) * 2 - 1
    outputs = torch.rand(6, 3, 16, 16, generator=generator) * 2 - 1
    one = torch.rand(1, 3, 16, 16, generator=generator) * 2 - 1
    assert "diversity" not in health_signals(outputs, one.expand(6, -1, -1, -1), inputs)
    assert "copy" in health_signals(outputs, one.expand(6, -1, -1, -1), inputs)
    back = health_signals(outputs, inputs, one.expand(6, -1, -1, -1))
    assert "diversity" not in back
    assert "copy" not in back
    three = inputs[:3]
    repeated = health_signals(outputs, three.repeat(2, 1, 1, 1), inputs)["diversity"]
    assert repeated == health_signals(outputs, three, inputs)["diversity"]
