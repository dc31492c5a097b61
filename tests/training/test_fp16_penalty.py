"""Gradients that a loss takes itself, in fp16: small ones must not vanish."""

import pytest
import torch
from torch import nn

from i2i.losses import gradient_penalty, r1
from i2i.losses.path_length import path_lengths
from i2i.losses.penalty import squared_slopes
from i2i.losses.precision import inner_scale
from i2i.training.build import build_trainer
from i2i.training.precision import INNER_SCALE, Precision
from shrunk import batch_for, shrunk


def critic(slope: float) -> nn.Module:
    """Two layers whose product is the slope: the sum of (N, 1, 4, 4), times it."""
    layers = [nn.Conv2d(1, 1, 1, bias=False) for _ in range(2)]
    for layer in layers:
        nn.init.constant_(layer.weight, slope**0.5)
    return nn.Sequential(*layers)


@pytest.mark.parametrize("slope", [1e-8, 1e-2])
def test_small_gradients_do_not_vanish(slope: float) -> None:
    precision, images = Precision("fp16", torch.device("cpu"), ["critic"]), torch.ones(2, 1, 4, 4)
    with precision.autocast():
        penalty = r1(critic(slope), images)
        distance = gradient_penalty(critic(slope), images, -images, target=0.0)
        shown = images.clone().requires_grad_()
        slopes = squared_slopes(critic(slope)(shown), shown)
        styles = torch.ones(2, 3, 4, requires_grad=True)
        made = critic(slope)(styles[:, None, :, :])
        lengths = path_lengths(made, styles, torch.ones_like(made))
    # Of 16 pixels, each with the gradient `slope`.
    assert penalty.item() == pytest.approx(16 * slope**2 / 2, rel=0.02)
    assert distance.item() == pytest.approx(16 * slope**2, rel=0.02)
    torch.testing.assert_close(slopes, torch.full((2,), 16 * slope**2), rtol=0.02, atol=0)
    # Each of the 4 numbers of a style has the gradient slope / sqrt(3 * 4).
    expected = torch.full((2,), slope * (4 / 12) ** 0.5)
    torch.testing.assert_close(lengths, expected, rtol=0.02, atol=0)
    assert inner_scale.get() is None


def test_without_a_scale_they_would() -> None:
    with torch.autocast("cpu", dtype=torch.float16):
        assert r1(critic(1e-8), torch.ones(2, 1, 4, 4)).item() == 0


def test_the_scale_is_the_smallest_of_the_players_and_bounded() -> None:
    precision = Precision("fp16", torch.device("cpu"), ["a", "b"])
    weights = [torch.ones(1, requires_grad=True) for _ in range(2)]
    optimizers = [torch.optim.SGD([weight], lr=0.1) for weight in weights]
    for _ in range(8):  # each overflow halves the scale of b, from 65536
        precision.backward("a", weights[0].sum(), weights[:1])
        precision.backward("b", (weights[1] * 1e38).sum() * 1e38, weights[1:])
        precision.step("a", optimizers[0])
        precision.step("b", optimizers[1])
        for optimizer in optimizers:
            optimizer.zero_grad()
    with precision.autocast():
        scale = inner_scale.get()
        assert scale is not None
        assert scale().item() == 256 < INNER_SCALE
    for name in ("fp32", "bf16"):
        with Precision(name, torch.device("cpu"), ["a"]).autocast():
            assert inner_scale.get() is None


@pytest.mark.parametrize("term", ["gradient_penalty", "r1"])
def test_a_training_with_a_penalty_goes_on_in_fp16(term: str) -> None:
    options = shrunk(
        "wgan-gp", "train.precision=fp16", "objective.gradient_penalty=0", f"objective.{term}=10"
    )
    trainer = build_trainer(options)
    for _ in range(3):
        losses = trainer.step(batch_for(trainer.model))
        assert losses[f"discriminator/{term}"].isfinite()
