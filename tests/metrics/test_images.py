import math

import numpy as np
import pytest
import scipy.ndimage
import scipy.signal
import skimage.metrics
import torch
from hypothesis import given
from hypothesis import strategies as st

from i2i.core.batch import to_signed
from i2i.metrics.images import (
    l1_distance,
    mean_psnr,
    ms_ssim,
    ms_ssim_scales,
    psnr,
    ssim_index,
)


@given(st.integers(1, 3), st.sampled_from([1, 3]), st.integers(0, 1000))
def test_against_numpy(count: int, channels: int, seed: int) -> None:
    a, b = np.random.default_rng(seed).uniform(-1, 1, (2, count, channels, 12, 13))
    first, second = torch.from_numpy(a), torch.from_numpy(b)
    error = ((a - b) ** 2).mean((1, 2, 3))
    np.testing.assert_allclose(psnr(first, second), 10 * np.log10(4 / error), rtol=1e-5)
    np.testing.assert_allclose(l1_distance(first, second), np.abs(a - b).mean((1, 2, 3)), rtol=1e-5)


def test_known_answers() -> None:
    black, white = -torch.ones(2, 3, 16, 16), torch.ones(2, 3, 16, 16)
    assert psnr(black, white).tolist() == [0.0, 0.0]
    assert psnr(black, black).tolist() == [math.inf, math.inf]
    assert psnr(black, black, 120.0).tolist() == [120.0, 120.0]
    values = psnr(torch.cat([black, black]), torch.cat([black, white]))
    assert mean_psnr(values).item() == 0.0  # of the two that are finite
    assert mean_psnr(values[:2]).item() == math.inf
    assert l1_distance(black, white).tolist() == [2.0, 2.0]
    assert ssim_index(white, white).tolist() == pytest.approx([1.0, 1.0])
    # Two flat images x and y: SSIM = (2xy + c1) / (x^2 + y^2 + c1), c1 = 0.01^2. Their variance,
    # a difference of two equal numbers, is 1e-7 rather than 0 in float32, against c2 = 9e-4.
    grey = torch.zeros(1, 1, 16, 16)
    assert ssim_index(grey, grey + 0.5).item() == pytest.approx(
        (2 * 0.5 * 0.75 + 1e-4) / (0.5**2 + 0.75**2 + 1e-4), abs=2e-4
    )


def scipy_ms_ssim(x: np.ndarray, y: np.ndarray, scales: int) -> float:
    """One channel in 0..1, with a window of its own."""
    axis = np.arange(11) - 5
    window = np.exp(-(axis[:, None] ** 2 + axis[None] ** 2) / (2 * 1.5**2))
    window /= window.sum()
    weights = np.array([0.0448, 0.2856, 0.3001, 0.2363, 0.1333])[:scales]
    weights /= weights.sum()
    index = 1.0
    for number, weight in enumerate(weights):
        mean_x, mean_y, xx, yy, xy = (
            scipy.signal.convolve2d(each, window, mode="valid")
            for each in (x, y, x * x, y * y, x * y)
        )
        variances = xx - mean_x**2 + yy - mean_y**2
        value = (2 * (xy - mean_x * mean_y) + 9e-4) / (variances + 9e-4)
        if number == scales - 1:
            value *= (2 * mean_x * mean_y + 1e-4) / (mean_x**2 + mean_y**2 + 1e-4)
        index *= value.mean() ** weight
        x, y = (
            scipy.ndimage.uniform_filter(each, 2, mode="nearest", origin=-1)[::2, ::2]
            for each in (x, y)
        )
    return float(index)


@pytest.mark.parametrize(
    ("height", "width", "scales"),
    [
        (176, 180, 5),
        (161, 161, 5),
        (160, 300, 4),
        (47, 60, 3),
        (21, 21, 2),
        (11, 30, 1),
        (10, 9, 0),
    ],
)
def test_ms_ssim_against_scipy(height: int, width: int, scales: int) -> None:
    assert ms_ssim_scales(height, width) == scales
    if not scales:
        return
    generator = np.random.default_rng(0)
    x = scipy.ndimage.gaussian_filter(generator.uniform(size=(2, height, width)), (0, 1, 1))
    y = np.clip(x + generator.normal(scale=0.05, size=x.shape), 0, 1)
    expected = [scipy_ms_ssim(a, b, scales) for a, b in zip(x, y, strict=True)]
    images, truth = (torch.from_numpy(each)[:, None] * 2 - 1 for each in (x, y))
    np.testing.assert_allclose(ms_ssim(images, truth), expected, rtol=1e-5)
    # Channels are measured one by one.
    both = ms_ssim(images.transpose(0, 1), truth.transpose(0, 1))
    np.testing.assert_allclose(both, [np.mean(expected)], rtol=1e-5)


def test_ms_ssim_of_equal_and_of_inverted_images() -> None:
    images = torch.rand(2, 3, 64, 64) * 2 - 1
    assert ms_ssim(images, images).tolist() == pytest.approx([1.0, 1.0])
    assert ms_ssim(images, -images).tolist() == [0.0, 0.0]


@pytest.mark.parametrize("channels", [1, 3])
def test_psnr_and_ssim_are_those_of_scikit_image(channels: int) -> None:
    """Of bytes, with the settings that are those of the paper (Wang et al., 2004)."""
    generator = np.random.default_rng(channels)
    truth = scipy.ndimage.gaussian_filter(generator.uniform(size=(channels, 40, 52)), (0, 2, 2))
    truth = np.rint(255 * (truth - truth.min()) / np.ptp(truth)).astype(np.uint8)
    image = np.clip(truth + generator.normal(scale=20, size=truth.shape), 0, 255).astype(np.uint8)
    signed = [to_signed(torch.from_numpy(each)[None]) for each in (image, truth)]
    expected = skimage.metrics.peak_signal_noise_ratio(truth, image, data_range=255)
    assert psnr(*signed).item() == pytest.approx(expected, rel=1e-5)
    settings = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
    expected = skimage.metrics.structural_similarity(
        truth, image, data_range=255, channel_axis=0, **settings
    )
    assert ssim_index(*signed).item() == pytest.approx(expected, abs=1e-5)
