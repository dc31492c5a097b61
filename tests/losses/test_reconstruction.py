import kornia.metrics
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from i2i.errors import DataError
from i2i.losses import diversity, l1, l2, ssim


def random_images(*shape: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Two images in -1..1 that resemble each other."""
    generator = torch.Generator().manual_seed(seed)
    x = 2 * torch.rand(shape, generator=generator, dtype=torch.float64) - 1
    noise = 2 * torch.rand(shape, generator=generator, dtype=torch.float64) - 1
    return x, 0.7 * x + 0.3 * noise


def mean_ssim(x: np.ndarray, y: np.ndarray) -> float:
    """Equation 13 of the paper, window by window."""
    x, y = (x + 1) / 2, (y + 1) / 2
    offsets = np.arange(-5, 6)
    window = np.exp(-(offsets[:, None] ** 2 + offsets[None] ** 2) / (2 * 1.5**2))
    window /= window.sum()
    values = []
    for image, channel, top, left in np.ndindex(*x.shape[:2], x.shape[2] - 10, x.shape[3] - 10):
        here = (image, channel, slice(top, top + 11), slice(left, left + 11))
        mean_x, mean_y = (window * x[here]).sum(), (window * y[here]).sum()
        variance_x = (window * (x[here] - mean_x) ** 2).sum()
        variance_y = (window * (y[here] - mean_y) ** 2).sum()
        covariance = (window * (x[here] - mean_x) * (y[here] - mean_y)).sum()
        numerator = (2 * mean_x * mean_y + 0.01**2) * (2 * covariance + 0.03**2)
        denominator = (mean_x**2 + mean_y**2 + 0.01**2) * (variance_x + variance_y + 0.03**2)
        values.append(numerator / denominator)
    return np.mean(values)


@given(seed=st.integers(0, 99), size=st.tuples(*[st.integers(1, 5)] * 4))
def test_l1_and_l2_are_means_over_everything(seed, size):
    x, y = random_images(*size, seed=seed)
    assert l1(x, y).item() == pytest.approx(np.abs(x.numpy() - y.numpy()).mean())
    assert l2(x, y).item() == pytest.approx(((x.numpy() - y.numpy()) ** 2).mean())


@settings(max_examples=15)
@given(
    seed=st.integers(0, 99),
    size=st.tuples(st.integers(1, 2), st.integers(1, 3), st.integers(11, 16), st.integers(11, 16)),
)
def test_ssim_is_the_equation_of_the_paper(seed, size):
    x, y = random_images(*size, seed=seed)
    assert ssim(x, y).item() == pytest.approx(1 - mean_ssim(x.numpy(), y.numpy()), abs=1e-10)


def test_ssim_is_that_of_kornia():
    x, y = random_images(2, 3, 48, 40)
    theirs = kornia.metrics.ssim((x + 1) / 2, (y + 1) / 2, 11, padding="valid").mean()
    torch.testing.assert_close(ssim(x, y), 1 - theirs, atol=1e-8, rtol=0)


@pytest.mark.parametrize("loss", [l1, l2, ssim])
def test_equal_images_cost_nothing_and_the_order_does_not_matter(loss):
    x, y = random_images(1, 3, 20, 20)
    assert loss(x, x).item() == pytest.approx(0, abs=1e-12)
    assert loss(x, y) == loss(y, x) > 0.05
    flat = torch.full((1, 3, 12, 12), -1.0)
    assert loss(flat, flat).item() == pytest.approx(0, abs=1e-6)


def test_opposite_images_cost_the_most():
    black, white = -torch.ones(1, 1, 11, 11), torch.ones(1, 1, 11, 11)
    assert (l1(black, white), l2(black, white)) == (2, 4)
    assert ssim(black, white).item() == pytest.approx(1 - 0.01**2 / (1 + 0.01**2))


@pytest.mark.parametrize("loss", [l2, ssim])
def test_gradients_agree_with_differences(loss):
    x, y = random_images(1, 1, 12, 11)
    assert torch.autograd.gradcheck(loss, (x.requires_grad_(), y.requires_grad_()))


@pytest.mark.parametrize("loss", [l1, l2, ssim])
def test_half_precision_and_autocast_do_not_round_the_loss(loss):
    x, y = (image.bfloat16() for image in random_images(2, 3, 32, 32))
    expected = loss(x.double(), y.double())
    with torch.autocast("cpu", torch.bfloat16):
        value = loss(x, y)
    assert value.dtype == torch.float32
    assert value.item() == pytest.approx(expected.item(), rel=1e-5)


def test_ssim_follows_gradient_descent_to_the_target():
    x, target = (image.float() for image in random_images(1, 1, 16, 16))
    x = (0 * x).requires_grad_()
    optimizer = torch.optim.Adam([x], lr=0.05)
    before = ssim(x, target).item()
    for _ in range(100):
        optimizer.zero_grad()
        ssim(x, target).backward()
        optimizer.step()
    assert ssim(x, target).item() < 0.1 * before


@pytest.mark.parametrize("size", [(10, 64), (64, 10)])
def test_images_smaller_than_the_window_are_an_error_that_quotes_their_size(size):
    image = torch.zeros(1, 3, *size)
    with pytest.raises(
        DataError, match=rf"11x11 pixels, .* only {size[0]}x{size[1]} .* weight of 0"
    ):
        ssim(image, image)


@pytest.mark.parametrize("loss", [l1, l2, ssim])
def test_images_that_do_not_match_are_a_broken_invariant(loss):
    with pytest.raises(AssertionError):
        loss(torch.zeros(2, 3, 16, 16), torch.zeros(1, 3, 16, 16))


def test_diversity_is_a_distance_to_others_that_stay():
    torch.manual_seed(0)
    images, others = (torch.randn(2, 3, 4, 4, requires_grad=True) for _ in range(2))
    loss = diversity(images, others)
    assert loss.item() == pytest.approx((images - others).abs().mean().item())
    loss.backward()
    assert others.grad is None
    torch.testing.assert_close(images.grad, (images - others).detach().sign() / images.numel())
