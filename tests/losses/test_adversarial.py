import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from i2i.errors import OptionsError
from i2i.losses import ADVERSARIAL_LOSSES, Adversarial, relativistic

SCORES = arrays(np.float64, array_shapes(max_dims=4, max_side=4), elements=st.floats(-20, 20))


def cross_entropy(scores: np.ndarray, label: float) -> float:
    probability = 1 / (1 + np.exp(-scores))
    other = 1 / (1 + np.exp(scores))
    return -(label * np.log(probability) + (1 - label) * np.log(other)).mean()


def squares(scores: np.ndarray, label: float) -> float:
    return ((scores - label) ** 2).mean()


@given(scores=SCORES)
@pytest.mark.parametrize(
    ("loss", "real", "fake", "fool"),
    [
        (
            "vanilla",
            lambda scores: cross_entropy(scores, 1),
            lambda scores: cross_entropy(scores, 0),
            lambda scores: cross_entropy(scores, 1),
        ),
        (
            "least-squares",
            lambda scores: squares(scores, 1),
            lambda scores: squares(scores, 0),
            lambda scores: squares(scores, 1),
        ),
        ("wasserstein", lambda s: -s.mean(), lambda s: s.mean(), lambda s: -s.mean()),
        (
            "hinge",
            lambda scores: np.maximum(0, 1 - scores).mean(),
            lambda scores: np.maximum(0, 1 + scores).mean(),
            lambda scores: -scores.mean(),
        ),
    ],
)
def test_losses_are_the_published_formulas(loss, real, fake, fool, scores):
    adversarial = Adversarial(loss)
    for ours, formula in (
        (adversarial.real, real),
        (adversarial.fake, fake),
        (adversarial.fool, fool),
    ):
        value = ours(torch.from_numpy(scores))
        assert value.shape == ()
        assert value.dtype == torch.float64
        assert value.item() == pytest.approx(formula(scores), rel=1e-9, abs=1e-9)


@given(scores=SCORES, real_label=st.floats(0.6, 1), fake_label=st.floats(0, 0.4))
@pytest.mark.parametrize(
    ("loss", "formula"), [("vanilla", cross_entropy), ("least-squares", squares)]
)
def test_smoothed_labels_reach_the_discriminator_and_not_the_generator(
    loss, formula, scores, real_label, fake_label
):
    adversarial = Adversarial(loss, real_label, fake_label)
    tensor = torch.from_numpy(scores)
    assert adversarial.real(tensor).item() == pytest.approx(formula(scores, real_label), abs=1e-9)
    assert adversarial.fake(tensor).item() == pytest.approx(formula(scores, fake_label), abs=1e-9)
    assert adversarial.fool(tensor).item() == pytest.approx(formula(scores, 1), abs=1e-9)


def test_smoothing_moves_the_discriminators_optimum_to_the_label():
    for loss, optimum in (("vanilla", math.log(0.9 / 0.1)), ("least-squares", 0.9)):
        scores = torch.tensor([optimum], dtype=torch.float64, requires_grad=True)
        (slope,) = torch.autograd.grad(Adversarial(loss, real_label=0.9).real(scores), scores)
        assert abs(slope.item()) < 1e-12
        (slope,) = torch.autograd.grad(Adversarial(loss, real_label=0.9).fool(scores), scores)
        assert slope.item() < -0.05


def test_undecided_scores_cost_what_is_known():
    undecided = torch.zeros(2, 1, 3, 3)
    assert Adversarial("vanilla").real(undecided).item() == pytest.approx(math.log(2))
    assert Adversarial("vanilla").fake(undecided).item() == pytest.approx(math.log(2))
    assert Adversarial("hinge").real(undecided) == Adversarial("hinge").fake(undecided) == 1


def test_vanilla_stays_finite_for_extreme_scores_and_keeps_a_slope_for_the_generator():
    scores = torch.tensor([-1e4, 1e4], requires_grad=True)
    adversarial = Adversarial("vanilla")
    assert adversarial.real(scores).item() == adversarial.fake(scores).item() == 5e3
    (slope,) = torch.autograd.grad(adversarial.fool(scores), scores)
    assert slope.tolist() == [-0.5, 0]  # not saturated where the discriminator is sure


@pytest.mark.parametrize("loss", ADVERSARIAL_LOSSES)
@pytest.mark.parametrize("turn", ["real", "fake", "fool"])
def test_gradients_agree_with_differences(loss, turn):
    scores = torch.linspace(-2.3, 2.3, 8, dtype=torch.float64, requires_grad=True)
    rival = torch.linspace(1.1, -0.7, 8, dtype=torch.float64)

    def pay(scores):
        return getattr(Adversarial(loss), turn)(scores, lambda: rival)

    assert torch.autograd.gradcheck(pay, scores)
    assert torch.autograd.gradgradcheck(pay, scores)


@pytest.mark.parametrize("loss", ADVERSARIAL_LOSSES)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_scores_are_averaged_in_float32(loss, dtype):
    scores = torch.full((100_000,), 1.5, dtype=dtype)  # a sum that float16 cannot hold
    value = Adversarial(loss).fake(scores, lambda: torch.zeros_like(scores))
    assert value.dtype == torch.float32
    alone = Adversarial(loss).fake(torch.tensor(1.5), lambda: torch.tensor(0.0))
    assert value == pytest.approx(alone.item(), rel=1e-6)


def test_an_unknown_loss_is_an_error():
    with pytest.raises(OptionsError, match=r"'least_squares', .* Did you mean 'least-squares'\?"):
        Adversarial("least_squares")
    with pytest.raises(
        OptionsError, match=r"'lsgan', .* vanilla, least-squares, wasserstein, hinge"
    ):
        Adversarial("lsgan")


@pytest.mark.parametrize("loss", ["wasserstein", "hinge", "relativistic"])
@pytest.mark.parametrize("labels", [{"real_label": 0.9}, {"fake_label": 0.1}])
def test_labels_for_a_loss_without_labels_are_an_error(loss, labels):
    with pytest.raises(OptionsError, match=rf"The {loss} loss has no labels .* 0\.[19]"):
        Adversarial(loss, **labels)


def test_labels_that_make_no_sense_are_an_error():
    with pytest.raises(OptionsError, match=r"above fake_label, but got real_label 0.2 and .* 0.3"):
        Adversarial("least-squares", real_label=0.2, fake_label=0.3)
    with pytest.raises(OptionsError, match=r"above fake_label, but got real_label nan"):
        Adversarial("vanilla", real_label=math.nan)
    with pytest.raises(OptionsError, match=r"probabilities .* got real_label 1.1"):
        Adversarial("vanilla", real_label=1.1)
    with pytest.raises(OptionsError, match=r"probabilities .* fake_label -0.1"):
        Adversarial("vanilla", fake_label=-0.1)
    assert Adversarial("least-squares", fake_label=-1).fake(torch.tensor(-1.0)) == 0


@pytest.mark.parametrize("shape", [(5,), (4, 1), (2, 1, 3, 4)])
def test_the_relativistic_loss_is_the_published_formula(shape):
    generator = np.random.default_rng(0)
    judged, rival = 3 * generator.normal(size=shape), 3 * generator.normal(size=shape)
    expected = np.log1p(np.exp(rival - judged)).mean()
    ours = relativistic(torch.from_numpy(judged), torch.from_numpy(rival))
    assert ours.item() == pytest.approx(expected, abs=1e-12)
    same = torch.zeros(shape, dtype=torch.bfloat16)
    assert relativistic(same, same).dtype == torch.float32
    with pytest.raises(AssertionError):
        relativistic(torch.zeros(2, 1), torch.zeros(2))


def test_relativistic_turns_are_pairs_and_two_halves():
    adversarial = Adversarial("relativistic")
    real = torch.tensor([2.0, -1.0, 0.5], dtype=torch.float64, requires_grad=True)
    fake = torch.tensor([0.0, 1.0, 0.5], dtype=torch.float64, requires_grad=True)
    pairs = [2.0, -2.0, 0.0]
    paid = adversarial.real(real, lambda: fake) + adversarial.fake(fake, lambda: real)
    assert paid.item() == pytest.approx(sum(math.log1p(math.exp(-m)) for m in pairs) / 3, abs=1e-12)
    fooled = adversarial.fool(fake, lambda: real)
    expected = sum(math.log1p(math.exp(m)) for m in pairs) / 3
    assert fooled.item() == pytest.approx(expected, abs=1e-12)
    fooled.backward()
    assert real.grad is None  # the generator looks at real scores as they are
    assert fake.grad is not None


def test_relativistic_label_noise_swaps_a_pair():
    torch.manual_seed(0)
    noisy = Adversarial("relativistic", label_noise=0.5)
    scores, rival = torch.full((20_000,), 3.0), torch.zeros(20_000)
    costs = [math.log1p(math.exp(sign * 3)) / 2 for sign in (-1, 1)]
    value = noisy.real(scores, lambda: rival).item()
    assert value == pytest.approx(sum(costs) / 2, rel=0.03)


def test_a_model_that_does_not_compare_scores_says_so():
    with pytest.raises(OptionsError, match=r"'relativistic'.* compares the scores of real and"):
        Adversarial("relativistic").fool(torch.zeros(2))
