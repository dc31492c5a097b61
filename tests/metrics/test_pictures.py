import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from i2i.metrics.pictures import l1_distance, psnr, ssim_index


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
    assert psnr(black, black).tolist() == pytest.approx([120.0, 120.0])
    assert l1_distance(black, white).tolist() == [2.0, 2.0]
    assert ssim_index(white, white).tolist() == pytest.approx([1.0, 1.0])
    # Two flat pictures x and y: SSIM = (2xy + c1) / (x^2 + y^2 + c1), c1 = 0.01^2. Their variance,
    # a difference of two equal numbers, is 1e-7 rather than 0 in float32, against c2 = 9e-4.
    grey = torch.zeros(1, 1, 16, 16)
    assert ssim_index(grey, grey + 0.5).item() == pytest.approx(
        (2 * 0.5 * 0.75 + 1e-4) / (0.5**2 + 0.75**2 + 1e-4), abs=2e-4
    )
