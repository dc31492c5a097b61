from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.func import functional_call

from i2i.losses import gradient_penalty, r1, squared_slopes
from i2i.networks import PatchGAN

Critic = Callable[[Tensor], Tensor]


def pair(count: int = 3, seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    real, fake = torch.randn(2, count, 2, 3, 4, generator=generator, dtype=torch.float64)
    return real, fake


def linear(weight: Tensor) -> Critic:
    return lambda images: (images * weight).sum((1, 2, 3))


@given(seed=st.integers(0, 99), scale=st.floats(0, 5), target=st.floats(0, 3))
def test_a_linear_critic_pays_for_the_norm_of_its_weights(seed, scale, target):
    real, fake = pair(seed=seed)
    weight = scale * real[0]
    norm = np.linalg.norm(weight.numpy())
    penalty = gradient_penalty(linear(weight), real, fake, target=target)
    assert penalty.item() == pytest.approx((norm - target) ** 2, abs=1e-12)
    assert r1(linear(weight), real).item() == pytest.approx(norm**2 / 2, abs=1e-12)


def test_the_gradient_with_respect_to_the_weights_is_the_known_one():
    real, fake = pair()
    weight = real[0].clone().requires_grad_()
    norm = weight.detach().norm()
    (slope,) = torch.autograd.grad(gradient_penalty(linear(weight), real, fake), weight)
    torch.testing.assert_close(slope, 2 * (norm - 1) * weight.detach() / norm)
    (slope,) = torch.autograd.grad(r1(linear(weight), real), weight)
    torch.testing.assert_close(slope, weight.detach())


@pytest.mark.parametrize("shape", [(3,), (3, 1), (3, 1, 1, 1)])
def test_points_lie_between_real_and_fake_each_at_its_own_alpha(shape):
    real, fake = pair()
    alpha = torch.tensor([0.0, 0.3, 1.0], dtype=torch.float64)
    seen = []

    def half_square(images: Tensor) -> Tensor:  # its gradient is the image itself
        seen.append(images)
        return images.square().sum((1, 2, 3)) / 2

    penalty = gradient_penalty(half_square, real, fake, alpha.view(shape))
    expected = np.stack([fake[0], 0.3 * real[1] + 0.7 * fake[1], real[2]])
    np.testing.assert_allclose(seen[0].detach(), expected)
    norms = np.sqrt((expected**2).sum((1, 2, 3)))
    assert penalty.item() == pytest.approx(((norms - 1) ** 2).mean())
    assert r1(half_square, real).item() == pytest.approx((real.numpy() ** 2).sum() / 3 / 2)


def test_without_alpha_the_points_are_uniform_and_follow_the_seed():
    real, fake = torch.ones(20_000, 1, 1, 1), torch.zeros(20_000, 1, 1, 1)
    drawn = []

    def record(images: Tensor) -> Tensor:
        drawn.append(images.detach().flatten())
        return images.sum((1, 2, 3))

    for _ in range(2):
        torch.manual_seed(5)
        gradient_penalty(record, real, fake)
    assert torch.equal(drawn[0], drawn[1])
    quantiles = drawn[0].quantile(torch.linspace(0, 1, 11))
    torch.testing.assert_close(quantiles, torch.linspace(0, 1, 11), atol=0.02, rtol=0)


def test_the_scores_of_a_map_are_summed():
    real, fake = pair()
    # Each score sees one pixel of weight 2, so the gradient is 2 in all of 24 places.
    assert gradient_penalty(lambda x: 2 * x, real, fake).item() == pytest.approx((96**0.5 - 1) ** 2)
    assert r1(lambda x: 2 * x, real).item() == pytest.approx(96 / 2)


def test_a_flat_critic_has_finite_gradients():
    weight = torch.zeros(2, 3, 4, dtype=torch.float64, requires_grad=True)
    real, fake = pair()
    for penalty, value in (
        (gradient_penalty(linear(weight), real, fake), 1),
        (r1(linear(weight), real), 0),
    ):
        assert penalty.item() == value
        (slope,) = torch.autograd.grad(penalty, weight)
        assert not slope.any()


def test_the_plain_formula_of_published_code_gives_the_same():
    torch.manual_seed(0)
    critic = PatchGAN(3, width=4, layers=2, norm="instance").double()
    real, fake = torch.randn(2, 2, 3, 32, 32, dtype=torch.float64)
    alpha = torch.rand(2, 1, 1, 1, dtype=torch.float64)
    between = (alpha * real + (1 - alpha) * fake).requires_grad_()
    scores = critic(between)
    (slope,) = torch.autograd.grad(scores, between, torch.ones_like(scores), create_graph=True)
    plain = ((slope.flatten(1).pow(2).sum(1).sqrt() - 1) ** 2).mean()
    ours = gradient_penalty(critic, real, fake, alpha)
    torch.testing.assert_close(ours, plain)
    weights = [p for name, p in critic.named_parameters() if name.endswith("weight")]
    torch.testing.assert_close(
        torch.autograd.grad(ours, weights), torch.autograd.grad(plain, weights)
    )


@pytest.mark.parametrize("norm", ["instance", "none"])
def test_penalties_change_the_gradient_of_every_layer_of_a_critic(norm):
    torch.manual_seed(0)
    critic = PatchGAN(3, width=4, layers=2, norm=norm)
    real, fake = torch.randn(2, 2, 3, 32, 32)
    weights = [p for name, p in critic.named_parameters() if name.endswith("weight")]
    plain = torch.autograd.grad(critic(fake).mean() - critic(real).mean(), weights)
    for penalty in (gradient_penalty(critic, real, fake), r1(critic, real)):
        loss = critic(fake).mean() - critic(real).mean() + 10 * penalty
        for ours, without in zip(torch.autograd.grad(loss, weights), plain, strict=True):
            assert (ours - without).norm() > 1e-3 * without.norm()


@pytest.mark.parametrize("kind", ["gradient_penalty", "r1"])
def test_gradients_with_respect_to_a_critics_weights_agree_with_differences(kind):
    torch.manual_seed(0)
    critic = nn.Sequential(nn.Conv2d(2, 3, 3), nn.Tanh(), nn.Flatten(), nn.Linear(6, 1)).double()
    real, fake = pair()
    names = list(dict(critic.named_parameters()))

    def penalty(*weights: Tensor) -> Tensor:
        def judge(images: Tensor) -> Tensor:
            return functional_call(critic, dict(zip(names, weights, strict=True)), images)

        if kind == "r1":
            return r1(judge, real)
        return gradient_penalty(judge, real, fake, torch.tensor([0.2, 0.5, 0.9]))

    weights = tuple(p.detach().clone().requires_grad_() for p in critic.parameters())
    assert torch.autograd.gradcheck(penalty, weights)


def test_nothing_reaches_the_images():
    real, fake = (image.requires_grad_() for image in pair())
    critic = nn.Sequential(nn.Conv2d(2, 1, 2), nn.Tanh()).double()
    (gradient_penalty(critic, real, fake) + r1(critic, real)).backward()
    assert real.grad is None
    assert fake.grad is None
    assert critic[0].weight.grad.any()


def test_under_autocast_the_penalty_is_float32_and_about_the_same():
    torch.manual_seed(0)
    critic = PatchGAN(3, width=4, layers=1, norm="none")
    real, fake, alpha = torch.randn(2, 3, 16, 16), torch.randn(2, 3, 16, 16), torch.rand(2)
    with torch.autocast("cpu", torch.bfloat16):
        values = gradient_penalty(critic, real, fake.bfloat16(), alpha), r1(critic, real)
    for value, expected in zip(
        values, (gradient_penalty(critic, real, fake, alpha), r1(critic, real)), strict=True
    ):
        assert value.dtype == torch.float32
        assert value.item() == pytest.approx(expected.item(), rel=0.05)
        value.backward()


def test_images_that_do_not_match_are_a_broken_invariant():
    real, fake = pair()
    with pytest.raises(AssertionError):
        gradient_penalty(linear(real[0]), real, fake[:2])


def test_slopes_of_images_already_judged_are_those_of_r1():
    torch.manual_seed(0)
    critic = PatchGAN(3, width=4, layers=2, norm="instance").double()
    images = torch.randn(3, 3, 16, 16, dtype=torch.float64, requires_grad=True)
    slopes = squared_slopes(critic(images), images)
    assert slopes.shape == (3,)
    expected = r1(critic, images)
    torch.testing.assert_close(slopes.mean() / 2, expected)
    ours, theirs = (
        torch.autograd.grad(loss, list(critic.parameters()), materialize_grads=True)
        for loss in (slopes.mean() / 2, expected)
    )
    for our, their in zip(ours, theirs, strict=True):
        torch.testing.assert_close(our, their)
    # What lies between the images and the critic is differentiated, too.
    doubled = squared_slopes(critic(2 * images), images)
    same = squared_slopes(critic(twice := 2 * images), twice)
    torch.testing.assert_close(doubled, 4 * same)
