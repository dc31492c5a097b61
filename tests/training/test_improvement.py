"""Whether a run still improves, since when not, and what says so."""

from collections.abc import Sequence
from typing import Any

import pytest

from i2i.runs.improvement import improvement

LOWER, HIGHER = ("l1", "lower"), ("psnr", "higher")


def rows(
    values: Sequence[float | None], measure: str = "l1", **more: float
) -> list[dict[str, Any]]:
    """A validation each 100 steps, and rows of training between them."""
    found: list[dict[str, Any]] = []
    for number, value in enumerate(values, 1):
        found.append({"step": 100 * number - 50, "generator/total": 1.0})
        found.append({"step": 100 * number, f"validation/{measure}": value, **more})
    return found


def test_a_run_that_falls_to_the_end_still_improves() -> None:
    found = improvement(rows([0.5, 0.4, 0.35, 0.32, 0.3, 0.28, 0.27, 0.26, 0.25]), LOWER)
    assert found is not None
    assert (found.state, found.best) == ("improving", (900, 0.25))
    # Validated from 100 to 900, the last quarter begins at 700: 600 is the last one before it.
    assert found.before() == (600, 0.28)
    said = found.text()
    assert said.startswith("it still improves: l1, mean absolute difference from the truth")
    assert "was 0.5 at step 100, 0.28 at step 600, and is 0.25 at step 900" in said


def test_a_run_that_is_past_its_best_says_since_when() -> None:
    found = improvement(rows([20, 23, 24, 23.9, 24.05, 23.7, 23.8, 23.6], "psnr"), HIGHER)
    assert found is not None
    # 24.05 is better than 24 by less than half a per cent.
    assert (found.state, found.best) == ("over", (300, 24))
    assert (
        "it has not improved since step 300 of 800: psnr, closeness to the truth: peak "
        "signal-to-noise ratio (dB; higher is better), was 24 there, and 23.6 to 24.05 in 5 "
        "validations since." in found.text()
    )


@pytest.mark.parametrize(
    ("at", "state"), [(5, "over"), (6, "over"), (7, "improving"), (9, "improving")]
)
def test_what_came_in_the_last_quarter_counts(at: int, state: str) -> None:
    values = [0.5] * 9
    values[at - 1 :] = [0.4] * (10 - at)
    found = improvement(rows(values), LOWER)
    assert found is not None
    assert (found.state, found.best[0]) == (state, 100 * at)


def test_a_few_validations_tell_nothing() -> None:
    found = improvement(rows([0.5, 0.4, 0.3, 0.2]), LOWER)
    assert found is not None
    assert found.state == "early"
    assert "was measured 4 times, 0.2 at step 400." in found.text()
    once = improvement(rows([0.5]), LOWER)
    assert once is not None
    assert "was measured once, 0.5 at step 100." in once.text()


def test_where_nothing_decides_nothing_is_said() -> None:
    assert improvement(rows([0.5] * 8), None) is None
    assert improvement(rows([None] * 8), LOWER) is None
    assert improvement([], LOWER) is None


def test_outputs_that_are_plainly_wrong_are_not_the_best() -> None:
    measured = rows([0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5], "swd-reference")
    measured.append(
        {"step": 900, "validation/swd-reference": 0.1, "validation/health/diversity": 0.0}
    )
    found = improvement(measured, ("swd-reference", "lower"))
    assert found is not None
    assert (found.state, found.best) == ("over", (100, 0.5))


def test_the_domains_have_their_names() -> None:
    found = improvement(rows([0.5] * 8, "swd-reference_AtoB"), ("swd-reference_AtoB", "lower"))
    assert found is not None
    assert "Summer to Winter" in found.text(("Summer", "Winter"))
    assert "was 0.5 there, and 0.5 in 7 validations since" in found.text()
