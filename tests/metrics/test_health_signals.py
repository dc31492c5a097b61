"""Signals of health on outputs that are made to be wrong in one way each."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from i2i.data.demo.painter import paint
from i2i.metrics.health import (
    colour_correlation,
    colour_shift,
    contrast,
    copy_distance,
    diversity,
    grid,
    health_signals,
)
from i2i.runs.thresholds import GRID


def random_images(count: int = 6, side: int = 48, seed: int = 0, channels: int = 3) -> Tensor:
    """Coarse random patterns, as different from each other as images of a data set are."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(count, channels, 6, 6, generator=generator) * 1.6 - 0.8
    return torch.nn.functional.interpolate(coarse, size=(side, side), mode="bilinear")


def test_perfect_outputs() -> None:
    truth, inputs = random_images(seed=1), random_images(seed=2)
    signals = health_signals(truth.clone(), truth, inputs, paired=True)
    assert signals.keys() == {
        *("colour_shift", "contrast", "grid", "diversity", "copy", "copy_truth", "colour")
    }
    assert signals["contrast"].item() == pytest.approx(1)
    assert signals["grid"].item() <= 1
    assert all(value.shape == () and value.dtype == torch.float32 for value in signals.values())
    assert signals["diversity"].item() == pytest.approx(1)
    assert signals["colour"].item() == pytest.approx(1, abs=1e-5)
    assert signals["colour_shift"].item() == 0
    assert signals["copy"].item() == signals["copy_truth"].item() > 0.5


def test_constant_outputs_have_no_diversity_and_no_light_and_shade() -> None:
    truth = random_images()
    same = truth[:1].expand(6, -1, -1, -1)
    assert diversity(same, truth).item() == pytest.approx(0, abs=1e-3)
    assert colour_correlation(torch.zeros_like(truth), truth).item() == 0
    assert contrast(torch.full_like(truth, 0.3), truth).item() == pytest.approx(0, abs=1e-6)


def test_half_the_contrast_is_half_the_diversity() -> None:
    assert diversity(0.5 * random_images(), random_images()).item() == pytest.approx(0.5)


def test_copies() -> None:
    inputs = random_images()
    assert copy_distance(inputs, inputs).item() == 0
    assert copy_distance(inputs.roll(1, 0), inputs).item() == pytest.approx(1)
    # Stripes two pixels wide are a change, though thumbnails of 16 pixels would not show them.
    stripes = torch.where(torch.arange(48) // 2 % 2 == 0, 0.5, -0.5)
    assert copy_distance(inputs + stripes, inputs).item() > 0.5


def test_negatives_and_swapped_channels() -> None:
    truth = random_images(seed=3)
    assert colour_correlation(-truth, truth).item() == pytest.approx(-1, abs=1e-5)
    assert abs(colour_correlation(truth.flip(1), truth).item()) < 0.5
    red, blue = torch.full((2, 3, 16, 16), -1.0), torch.full((2, 3, 16, 16), -1.0)
    red[:, 0], blue[:, 2] = 1, 1
    assert colour_shift(red, blue).item() == pytest.approx((8 / 3) ** 0.5)
    assert colour_shift(-torch.ones(2, 3, 8, 8), torch.ones(3, 3, 8, 8)).item() == 2


def test_without_pairs_the_input_is_what_colours_are_compared_with() -> None:
    inputs, references = random_images(seed=4), random_images(5, seed=5)
    signals = health_signals(-inputs, references, inputs)
    assert signals["colour"].item() == pytest.approx(-1, abs=1e-5)
    assert "copy_truth" not in signals
    found = health_signals(inputs, references)
    assert found.keys() == {"colour_shift", "contrast", "grid", "diversity"}


def test_grey_inputs_and_single_images() -> None:
    outputs = random_images()
    grey = outputs.mean(1, keepdim=True)
    signals = health_signals(outputs, outputs, grey)
    assert signals["copy"].item() == pytest.approx(0, abs=1e-6)
    assert signals["colour"].item() == pytest.approx(1, abs=1e-5)
    one = health_signals(outputs[:1], outputs[:1], grey[:1], paired=True)
    assert one.keys() == {"colour_shift", "contrast", "grid", "colour"}
    assert all(value.isfinite() for value in one.values())


def test_equal_references_and_small_images_stay_finite() -> None:
    flat = torch.zeros(3, 1, 5, 7)
    assert all(v.isfinite() for v in health_signals(flat, flat, flat, paired=True).values())


@given(st.integers(3, 5), st.sampled_from([1, 3]), st.integers(0, 1000))
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
        "contrast": a.std((2, 3)).mean() / b.std((2, 3)).mean(),
    }
    signals = health_signals(outputs, originals, originals)
    for name, value in expected.items():
        assert signals[name].item() == pytest.approx(value, rel=1e-4, abs=1e-5), name


def test_one_image_that_comes_several_times_measures_no_diversity() -> None:
    """Sixty images of A and one held-out image of B, compared with itself."""
    inputs, one = random_images(seed=1), random_images(1, seed=2).expand(6, -1, -1, -1)
    assert "diversity" not in health_signals(inputs, one, inputs)
    two = torch.cat([one, random_images(1, seed=3)])
    assert "diversity" not in health_signals(inputs, two, inputs)
    # Copies among more images count once.
    some = random_images(3, seed=4)
    found = health_signals(inputs, torch.cat([some, some[:1]]), inputs)
    torch.testing.assert_close(found["diversity"], diversity(inputs, some))
    # An input that comes twice says nothing about the generator either.
    twice = torch.cat([inputs[:3], inputs[:2]])
    found = health_signals(2 * twice, some, twice)
    torch.testing.assert_close(found["diversity"], diversity(2 * inputs[:3], some))
    torch.testing.assert_close(found["copy"], copy_distance(2 * inputs[:3], inputs[:3]))


def painted(rendering: str, count: int = 8, side: int = 64, first: int = 0) -> Tensor:
    images = [torch.from_numpy(paint(first + i, side, rendering)) for i in range(count)]
    return torch.stack(images).permute(0, 3, 1, 2) / 127.5 - 1


def rounded(images: Tensor) -> Tensor:
    return images.clamp(-1, 1).add(1).mul(127.5).round() / 127.5 - 1


def dotted(images: Tensor, period: int, height: float) -> Tensor:
    """With a dot of that height in every square of so many pixels."""
    pattern = torch.zeros(images.shape[-2:])
    pattern[::period, ::period] = height
    return rounded(images + pattern)


def test_healthy_images_have_no_periodic_pattern() -> None:
    photos = painted("photo")
    blurred = torch.nn.functional.avg_pool2d(painted("photo", first=100), 3, 1, 1)
    noise = torch.randn(photos.shape, generator=torch.Generator().manual_seed(0))
    for images in (
        painted("photo", first=100),
        painted("winter", first=50),
        painted("night"),
        rounded(blurred),
        rounded(photos + 0.2 * noise),
        torch.zeros_like(photos),
    ):
        assert grid(images, photos).item() < GRID / 1.5


@pytest.mark.parametrize(("period", "height"), [(2, 0.1), (4, 0.3), (8, 0.8)])
@pytest.mark.parametrize("side", [64, 80])
def test_dots_are_a_periodic_pattern(period: int, height: float, side: int) -> None:
    photos, others = painted("photo", side=side), painted("photo", side=side, first=100)
    assert grid(dotted(others, period, height), photos).item() > 1.5 * GRID
    # Real images that have the pattern themselves, as JPEG has its blocks, are no reason.
    assert grid(dotted(others, period, height), dotted(photos, period, height)).item() < GRID


def test_what_transposed_convolutions_leave_is_a_periodic_pattern() -> None:
    torch.manual_seed(0)
    features = torch.randn(8, 4, 16, 16)
    for _ in range(2):
        features = torch.nn.functional.conv_transpose2d(
            features, torch.randn(4, 4, 3, 3), stride=2, padding=1, output_padding=1
        ).relu()
    texture = (features[:, :3] - features.mean()) / features.std()
    assert grid(rounded(painted("photo") + 0.1 * texture), painted("photo")).item() > GRID


def test_a_wave_in_noise_stands_out_as_far_as_it_should() -> None:
    """Closed form: a wave of height a and shortest period, in noise of deviation s, stands out by
    1 + a^2 (sum w)^2 / (s^2 sum w^2) in a window w; a Hann window of N x N pixels has the sums
    N^2 / 4 and (3 N / 8)^2."""
    generator = torch.Generator().manual_seed(0)
    side, height, deviation = 64, 0.05, 0.2
    noise = deviation * torch.randn(64, 3, side, side, generator=generator)
    wave = height * (-1.0) ** torch.arange(side)
    expected = 1 + (height * side**2 / 4) ** 2 / (deviation * 3 * side / 8) ** 2
    assert grid(noise + wave, noise).item() == pytest.approx(expected, rel=0.15)


def test_small_images_have_too_few_frequencies() -> None:
    small = random_images(side=24)
    assert "grid" not in health_signals(small, small)
