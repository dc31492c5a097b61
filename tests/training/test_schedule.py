import math
from itertools import pairwise

import pytest

from i2i.config.recipes import load_options
from i2i.training.build import learning_rate_schedule, run_length
from i2i.training.schedule import Schedule, warmed_up


def test_linear_is_the_published_hundred_plus_hundred() -> None:
    schedule = Schedule("linear", 200, hold=0.5)
    rates = [schedule.at(epoch) for epoch in range(200)]
    # In the published schedule 100 epochs have the full rate, and the last one has 1/101 of it.
    assert rates[:100] == [1.0] * 99 + [1.0]
    assert rates[100] == pytest.approx(1 - 1 / 101)
    assert rates[199] == pytest.approx(1 / 101)
    drops = {round(a - b, 9) for a, b in pairwise(rates[100:])}
    assert drops == {round(1 / 101, 9)}


def test_step_multiplies_and_cosine_follows_the_cosine() -> None:
    step = Schedule("step", 8, every=0.25, factor=0.5)
    assert [step.at(t) for t in range(8)] == [1, 1, 0.5, 0.5, 0.25, 0.25, 0.125, 0.125]
    cosine = Schedule("cosine", 10)
    assert [cosine.at(t) for t in (0, 5)] == pytest.approx([1, 0.5])
    assert cosine.at(9) == pytest.approx((1 + math.cos(0.9 * math.pi)) / 2)


def test_constant_and_beyond_the_end() -> None:
    assert Schedule("constant", 3).at(2) == 1
    linear = Schedule("linear", 4)
    assert linear.at(100) == linear.at(3) > 0


def test_rate_changes_by_epoch_or_by_step_as_the_length_is_given() -> None:
    epochs = load_options("pix2pix", "train.epochs=2", "train.batch_size=3")
    rate = learning_rate_schedule(epochs, images=10)
    # 10 images are passed after 3 1/3 steps: samples 9 (epoch 0) begin step 3, 12 begin step 4.
    assert [rate(step) for step in range(7)] == pytest.approx([1, 1, 1, 1, 0.5, 0.5, 0.5])
    assert run_length(epochs, images=10) == 7
    steps = load_options("pix2pix", "train.steps=4")
    rate = learning_rate_schedule(steps, images=10)
    assert [rate(step) for step in range(4)] == pytest.approx([1, 1, 2 / 3, 1 / 3])
    assert run_length(steps, images=10) == 4


def test_rates_warm_up_linearly() -> None:
    schedule = Schedule("cosine", 8)
    rate = warmed_up(schedule.at, 4)
    for step in range(8):
        cosine = (1 + math.cos(math.pi * step / 8)) / 2
        assert rate(step) == pytest.approx(cosine * min(1, (step + 1) / 4))
    assert warmed_up(schedule.at, 0) == schedule.at
    for settings in (("train.steps=8",), ("train.epochs=8", "train.batch_size=5")):
        options = load_options("pix2pix", "schedule.warmup_steps=4", *settings)
        plain = learning_rate_schedule(load_options("pix2pix", *settings), images=10)
        found = learning_rate_schedule(options, images=10)
        assert [found(s) for s in range(8)] == [plain(s) * min(1, (s + 1) / 4) for s in range(8)]
