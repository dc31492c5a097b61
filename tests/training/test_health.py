"""Verdicts on logs that are made to show one fault each, and on their healthy counterparts."""

import math
import random
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from i2i.runs.health import KINDS, NEEDS, judged, not_judged, verdicts
from i2i.runs.outputs import signs
from i2i.runs.thresholds import TRAINING_ROWS, VALIDATION_ROWS
from i2i.runs.verdict import Verdict
from i2i.training.health_watch import MANY, HealthWatch

Row = dict[str, Any]
Change = Callable[[int], dict[str, Any]]
L1 = ("l1", "lower")


def healthy(step: int, rng: random.Random, scale: float = 1.0) -> Row:
    """A row of training as pix2pix writes it, with the noise of single batches."""
    return {
        "step": step,
        "discriminator/real": scale * rng.uniform(0.3, 0.5),
        "discriminator/fake": scale * rng.uniform(0.3, 0.5),
        "discriminator/gradient_norm": rng.uniform(1, 20),
        "generator/adversarial": scale * rng.uniform(1.2, 1.5),
        "generator/gradient_norm": rng.uniform(30, 120),
        "discriminator/score_real": rng.uniform(0.3, 1.5),
        "discriminator/score_fake": rng.uniform(-1.5, -0.3),
        "discriminator/accuracy": rng.uniform(0.95, 1),
        "discriminator/total": rng.uniform(0.3, 1),
        "generator/total": rng.uniform(5, 50),
    }


def measured(step: int, rng: random.Random) -> Row:
    """A row of validation."""
    return {
        "step": step,
        "validation/l1": 0.1 + 30 / step,
        "validation/copying/l1": 0.9,
        "validation/domain_accuracy": rng.uniform(0.6, 0.9),
        "validation/health/chance": 0.25,
        "validation/health/progress": min(step / 3000, 0.99),
        "validation/health/contrast": rng.uniform(0.5, 1.2),
        "validation/health/grid": rng.uniform(1, 2.5),
        "validation/health/detail": rng.uniform(0.6, 1.1),
        "validation/health/hue": rng.uniform(0.1, 0.9),
        "validation/health/palette": rng.uniform(-0.2, 0.02),
        "validation/health/structure": rng.uniform(0.3, 0.8),
        "validation/health/answers": rng.uniform(0.2, 0.6),
        "validation/health/diversity": rng.uniform(0.6, 1),
        "validation/health/copy": rng.uniform(0.7, 1.1),
        "validation/health/copy_truth": 0.8,
        "validation/health/colour": rng.uniform(0.6, 1),
        "validation/health/colour_shift": rng.uniform(0, 0.15),
        "validation/discriminator/score_real": rng.uniform(0.2, 1.5),
        "validation/discriminator/score_fake": -1.0,
    }


def log(
    train: Change = lambda step: {},
    validate: Change = lambda step: {},
    *,
    steps: int = 3000,
    scale: float = 1.0,
) -> list[Row]:
    """A log with a row of training each 50 steps and of validation each 100, both changed."""
    rng = random.Random(0)
    rows = []
    for step in range(50, steps + 1, 50):
        rows.append(healthy(step, rng, scale) | train(step))
        if step % 100 == 0:
            rows.append(measured(step, rng) | validate(step))
    return rows


def after(start: int, changes: Row) -> Change:
    """The changes from a step on."""
    return lambda step: changes if step >= start else {}


def only(rows: list[Row], kind: str) -> Verdict:
    """The one verdict that there is."""
    (verdict,) = verdicts(rows, monitor=L1)
    assert verdict.kind == kind
    assert verdict.text.endswith(".")
    assert verdict.advice.endswith(".")
    assert verdict.evidence
    assert str(verdict.since) in str(verdict)
    return verdict


STARVED = {"discriminator/real": 0.01, "discriminator/fake": 0.001, "generator/adversarial": 8.0}


def test_a_healthy_run_at_any_time() -> None:
    rows = log()
    assert judged(rows, monitor=L1) == list(KINDS)
    for end in range(len(rows) + 1):
        assert verdicts(rows[:end], monitor=L1) == []


def test_an_empty_log_cannot_be_judged() -> None:
    assert verdicts([], monitor=L1) == []
    assert judged([], monitor=L1) == []
    assert judged([{"step": 1, "generator/l1": 0.2}]) == ["not finite"]
    assert "no progress" not in judged(log())  # nothing decides


SIGNS: dict[str, tuple[Row, Row]] = {
    "discriminator wins": (STARVED, {}),
    "generator collapsed": ({}, {"validation/health/diversity": 0.03}),
    "output copies input": ({}, {"validation/health/copy": 0.01}),
    "outputs flat": ({}, {"validation/health/contrast": 0.01}),
    "periodic pattern": ({}, {"validation/health/grid": 90.0}),
    "no better than its input": ({}, {"validation/copying/l1": 0.05}),
    "not recognised": ({}, {"validation/domain_accuracy": 0.26}),
    "outputs blurred": ({}, {"validation/health/detail": 0.1}),
    "colours changed": ({}, {"validation/health/hue": -0.5}),
    "identity lost": ({}, {"validation/health/structure": 0.01}),
    "one answer": ({}, {"validation/health/answers": 0.001}),
    "colours inverted": ({}, {"validation/health/colour": -0.9}),
    "colours shifted": ({}, {"validation/health/colour_shift": 0.6}),
    "exploding gradients": ({"generator/gradient_norm": 1e6}, {}),
    "discriminator over-fits": ({}, {"validation/discriminator/score_real": -0.8}),
}


@pytest.mark.parametrize("kind", SIGNS)
def test_a_sign_that_stays_is_found_from_its_beginning(kind: str) -> None:
    train, validate = SIGNS[kind]
    verdict = only(log(after(2000, train), after(2000, validate)), kind)
    late = 400 if train or "over-fits" in kind else 0  # medians of five points come later
    assert 2000 <= verdict.since <= 2000 + late
    assert verdict.step == 3000


@pytest.mark.parametrize("kind", SIGNS)
def test_a_sign_that_went_away_is_none(kind: str) -> None:
    train, validate = SIGNS[kind]

    def between(changes: Row) -> Change:
        return lambda step: changes if 1000 <= step < 2000 else {}

    assert verdicts(log(between(train), between(validate)), monitor=L1) == []


@pytest.mark.parametrize("kind", SIGNS)
def test_a_few_noisy_points_are_none(kind: str) -> None:
    train, validate = SIGNS[kind]
    rows = log(after(3000 - 50 * 2, train), after(3000 - 100 * (VALIDATION_ROWS - 2), validate))
    assert verdicts(rows, monitor=L1) == []


@pytest.mark.parametrize("kind", SIGNS)
def test_the_first_steps_are_not_judged(kind: str) -> None:
    train, validate = SIGNS[kind]
    rows = [
        row | (validate if "validation/l1" in row else train)
        for row in (
            make(step, random.Random(step))
            for step in range(1, 200)
            for make in (healthy, measured)
        )
    ]
    assert verdicts(rows) == []


def test_every_kind_says_what_it_needs() -> None:
    assert NEEDS.keys() == KINDS.keys()
    assert not_judged([]) == NEEDS
    rows = [{k: v for k, v in row.items() if "diversity" not in k} for row in log()]
    assert not_judged(rows, monitor=L1) == {"generator collapsed": NEEDS["generator collapsed"]}
    # Late kinds are judged when three validations lie behind a third of the run.
    late = {"no better than its input", "not recognised", "outputs blurred", "identity lost"}
    assert late <= not_judged(log(steps=1100), monitor=L1).keys()
    assert not late & not_judged(log(steps=1200), monitor=L1).keys()


def test_a_dead_generator_is_said_within_250_steps() -> None:
    """A learning rate of a million: its gradient is exactly zero, losses are huge."""
    dead = {
        "generator/gradient_norm": 0.0,
        "generator/total": 3e12,
        "discriminator/total": 1e11,
        "discriminator/gradient_norm": 0.0,
    }
    found = {(v.kind, v.player): v for v in verdicts(log(after(0, dead), steps=150))}
    assert found.keys() == {
        ("generator dead", "generator"),
        ("losses run away", "generator"),
        ("losses run away", "discriminator"),
    }
    assert all(v.since == 50 for v in found.values())
    assert verdicts(log(after(0, dead), steps=100)) == []  # two rows may be chance


def test_a_discriminator_may_rest() -> None:
    """With the hinge loss its gradient is exactly zero where all scores are beyond the margin."""
    assert verdicts(log(after(0, {"discriminator/gradient_norm": 0.0})), monitor=L1) == []


def test_early_outputs_may_be_worse_than_their_inputs() -> None:
    worse = {"validation/copying/l1": 0.05, "validation/domain_accuracy": 0.1}
    assert verdicts(log(validate=after(0, worse), steps=1100), monitor=L1) == []
    kinds = {v.kind for v in verdicts(log(validate=after(0, worse), steps=1200), monitor=L1)}
    assert kinds == {"no better than its input", "not recognised"}


def test_no_run_ends_without_a_word_that_is_no_better_than_its_input() -> None:
    """In the middle three validations must show it; at the end one is enough, and equal is bad."""
    equal = {"validation/copying/l1": 0.1 + 30 / 3000}
    rows = log(validate=after(3000, equal))
    assert verdicts(rows, monitor=L1) == []
    rows[-1]["validation/health/progress"] = 1.0
    verdict = only(rows, "no better than its input")
    assert verdict.since == 3000
    assert "0.11" in verdict.text
    # A run so short that it has but one validation is judged by that.
    rows = [row for row in rows if row["step"] == 3000 or "validation/l1" not in row]
    only(rows, "no better than its input")
    assert "no better than its input" in judged(rows, monitor=L1)


def test_blurred_beginners_are_not_judged() -> None:
    beginner = {"validation/health/detail": 0.1, "validation/health/structure": 0.0}
    assert verdicts(log(validate=after(0, beginner), steps=900), monitor=L1) == []
    kinds = {v.kind for v in verdicts(log(validate=after(0, beginner), steps=1200), monitor=L1)}
    assert kinds == {"outputs blurred", "identity lost"}


def test_colours_that_are_further_from_the_target_than_the_input_have_changed() -> None:
    verdict = only(log(validate=after(0, {"validation/health/palette": 0.4})), "colours changed")
    assert "0.4 (of 2) further" in verdict.text


def test_what_a_single_validation_shows() -> None:
    row: Row = {
        "step": 500,
        "validation/health/progress": 0.5,
        "validation/health/grid_AtoB": 50.0,
        "validation/health/grid_BtoA": 1.0,
        "validation/health/detail_BtoA": 0.01,
        "validation/health/copy": 0.01,
        "validation/health/colour_shift": None,
    }
    assert list(signs(row)) == [("periodic pattern", "AtoB"), ("outputs blurred", "BtoA")]
    row["validation/health/progress"] = 0.1
    assert list(signs(row)) == [("periodic pattern", "AtoB")]


def test_by_a_measure_that_should_grow_less_is_worse() -> None:
    psnr = {"validation/psnr": 12.0, "validation/copying/psnr": 14.0}
    found = verdicts(log(validate=after(0, psnr), steps=1400), monitor=("psnr", "higher"))
    assert next(v for v in found if v.kind == "no better than its input").evidence == psnr
    better = {"validation/psnr": 14.0, "validation/copying/psnr": 13.9}
    found = verdicts(log(validate=after(0, better), steps=1400), monitor=("psnr", "higher"))
    assert all(v.kind != "no better than its input" for v in found)


def test_a_discriminator_wins_only_with_accuracy_and_without_wasserstein() -> None:
    chance = STARVED | {"discriminator/accuracy": 0.6}
    assert verdicts(log(after(1000, chance)), monitor=L1) == []
    for fake in (-30.0, 50.0001):  # one that separates, and one that has drifted from zero
        critic = {"discriminator/real": -50.0, "discriminator/fake": fake}
        rows = log(after(1000, critic | {"generator/adversarial": 40.0}))
        assert verdicts(rows, monitor=L1) == []


def test_of_two_discriminators_the_one_that_wins_is_named() -> None:
    def cyclegan(step: int) -> Row:
        row: Row = {"step": step}
        for domain, pays in (("A", 0.25), ("B", 0.001)):
            row |= {
                f"discriminators/real_{domain}": pays,
                f"discriminators/fake_{domain}": pays,
                f"generators/adversarial_{domain}": 0.3 if domain == "A" else 0.99,
                f"discriminator_{domain}/accuracy": 0.7 if domain == "A" else 1.0,
            }
        return row

    (verdict,) = verdicts(map(cyclegan, range(0, 2000, 50)))
    assert verdict.kind == "discriminator wins"
    assert "of B" in verdict.text
    assert verdict.evidence["accuracy"] == 1


@pytest.mark.parametrize("adversarial", ["generator/adversarial", "generator_a/adversarial"])
def test_a_discriminator_may_have_a_name_of_its_own(adversarial: str) -> None:
    row = {"discriminator_a/real": 0.001, "discriminator_a/fake": 0.001, adversarial: 8.0}
    (verdict,) = verdicts(row | {"step": step} for step in range(0, 2000, 50))
    assert (verdict.kind, verdict.player) == ("discriminator wins", "discriminator_a")


def test_pairs_that_are_nearly_alike_are_no_copies() -> None:
    alike = {"validation/health/copy": 0.02, "validation/health/copy_truth": 0.04}
    assert verdicts(log(validate=after(0, alike)), monitor=L1) == []
    # Without pairs there is no truth to ask.
    rows = log(validate=after(0, {"validation/health/copy": 0.03}))
    rows = [{k: v for k, v in row.items() if "copy_truth" not in k} for row in rows]
    only(rows, "output copies input")


def test_signals_of_two_directions_are_told_apart() -> None:
    signals = {"validation/health/diversity_AtoB": 0.9, "validation/health/diversity_BtoA": 0.01}
    verdict = only(log(validate=after(0, signals)), "generator collapsed")
    assert verdict.player == "BtoA"
    assert "of BtoA" in verdict.text
    rows = log(validate=after(0, signals))
    (named,) = verdicts(rows, sides=("Summer", "Winter"))
    assert named.text.startswith("in validation of Winter to Summer, ")
    assert named.player == "BtoA"


@pytest.mark.parametrize("value", [None, math.nan, math.inf])
def test_a_loss_that_is_not_finite_is_no_noise(value: float | None) -> None:
    verdict = only(log(after(3000, {"generator/adversarial": value})), "not finite")
    assert verdict.player == "generator"
    assert verdict.since == 3000


def test_the_psnr_of_equal_images_is_no_fault() -> None:
    assert verdicts(log(validate=after(0, {"validation/psnr": math.inf})), monitor=L1) == []


def test_gradients_that_overflow_now_and_then_are_as_fp16_does_it() -> None:
    def now_and_then(step: int) -> Row:
        return {"generator/gradient_norm": None} if step % 500 == 0 else {}

    assert verdicts(log(now_and_then), monitor=L1) == []
    verdict = only(log(after(2850, {"generator/gradient_norm": None})), "not finite")
    assert verdict.since == 2850


def test_no_progress() -> None:
    flat = after(1000, {"validation/l1": 0.1299})
    verdict = only(log(validate=flat), "no progress")
    assert verdict.since == 1000
    assert verdict.evidence["best"] == 0.1299
    assert verdicts(log(validate=flat)) == []  # nothing decides
    assert verdicts(log(validate=flat, steps=1900), monitor=L1) == []  # too early to tell


def test_no_progress_of_a_measure_that_should_grow() -> None:
    rows = log(validate=lambda step: {"validation/psnr": min(step, 1200) / 100})
    (verdict,) = verdicts(rows, monitor=("psnr", "higher"))
    assert (verdict.kind, verdict.since) == ("no progress", 1200)
    growing = log(validate=lambda step: {"validation/psnr": step / 100})
    assert verdicts(growing, monitor=("psnr", "higher")) == []


def test_scores_that_do_not_differ_measure_no_over_fitting() -> None:
    close = {"discriminator/score_real": 0.5, "discriminator/score_fake": 0.5}
    held_out = {"validation/discriminator/score_real": -3.0}
    assert verdicts(log(after(0, close), after(0, held_out)), monitor=L1) == []


@settings(max_examples=20)
@given(st.floats(1e-6, 1e6), st.sampled_from(["healthy", *SIGNS]))
def test_weights_of_losses_and_units_of_scores_do_not_matter(scale: float, kind: str) -> None:
    train, validate = SIGNS.get(kind, ({}, {}))
    scaled = ("adversarial", "real", "fake", "gradient_norm", "score_real", "score_fake")

    def rescaled(row: Row) -> Row:
        return {
            name: value * scale if name.rpartition("/")[2] in scaled else value
            for name, value in row.items()
        }

    rows = log(after(1500, train), after(1500, validate))
    before, now = (verdicts(each, monitor=L1) for each in (rows, list(map(rescaled, rows))))
    assert [(v.kind, v.since) for v in before] == [(v.kind, v.since) for v in now]
    assert len(before) == (kind != "healthy")


@settings(max_examples=20)
@given(st.integers(1, 60))
def test_a_verdict_is_never_passed_before_its_rows_are_there(end: int) -> None:
    rows = [row for row in log(after(200, STARVED)) if "validation/l1" not in row][:end]
    said = bool(verdicts(rows, monitor=L1))
    judged_rows = sum(row["step"] >= 200 for row in rows)
    assert said == (judged_rows >= TRAINING_ROWS)


def test_what_many_verdicts_lack_is_not_listed() -> None:
    """A short training ends with a line that one reads; a long one says what is missing."""
    early = HealthWatch(SimpleNamespace(rows=log(steps=400)), L1).summary()[-1]  # type: ignore[arg-type]
    assert len(not_judged(log(steps=400), monitor=L1)) > MANY
    assert early.startswith("health: not judged: ")
    assert "needs " not in early.replace("each needs", "")
    assert all(kind in early for kind in not_judged(log(steps=400), monitor=L1))
    late = log(steps=1200)
    for kind, need in not_judged(late, monitor=L1).items():
        assert f"{kind} (needs {need})" in HealthWatch(SimpleNamespace(rows=late), L1).summary()[-1]  # type: ignore[arg-type]
