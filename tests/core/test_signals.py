"""One table says what each number is and which way is better."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from i2i.core import signals
from i2i.core.signals import (
    Metric,
    explain,
    metrics,
    parse_monitor,
    read_direction,
    read_signal,
    register_metric,
    with_named_sides,
)
from i2i.errors import OptionsError
from i2i.models import find_model, model_names

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture(autouse=True)
def as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a test registers is forgotten."""
    monkeypatch.setattr(signals, "_METRICS", dict(signals._METRICS))


@pytest.mark.parametrize(
    ("measure", "better"),
    [
        ("l1", "lower"),
        ("psnr", "higher"),
        ("recall", "higher"),
        ("precision", "higher"),
        ("precision(inception-v3-clean)", "higher"),
        ("kid(efficientnet-lite0)", "lower"),
        ("kid(efficientnet-lite0)_AtoB", "lower"),
        ("swd-reference_BtoA", "lower"),
        ("cycle_A", "lower"),
        ("accuracy_translated", "higher"),
        ("domain_accuracy", "higher"),
        ("health/colour", "higher"),
        ("health/colour_shift", "lower"),
        ("health/diversity_AtoB", "higher"),
    ],
)
def test_which_way_is_better(measure: str, better: str) -> None:
    assert parse_monitor(measure) == (measure, better)


@pytest.mark.parametrize("measure", ["iou", "ssim_distance", "psnr2", "generated", ""])
def test_a_direction_that_nobody_knows_must_be_said(measure: str) -> None:
    with pytest.raises(OptionsError, match="Say which way is better"):
        parse_monitor(measure)
    if measure:
        assert parse_monitor(f"{measure}:lower") == (measure, "lower")
        assert parse_monitor(f"{measure}:higher") == (measure, "higher")


def test_nothing_decides_where_nothing_shall() -> None:
    assert parse_monitor("none") is None
    assert parse_monitor("auto") is None
    with pytest.raises(OptionsError, match="Did you mean 'psnr'"):
        parse_monitor("pnsr")


def test_a_metric_from_outside_is_as_good_as_any() -> None:
    metric = Metric("iou", True, "result", "overlap with the truth", "0..1")
    register_metric(metric)
    register_metric(metric)  # as when a file is imported twice
    assert parse_monitor("iou") == ("iou", "higher")
    assert explain("validation/iou") == "overlap with the truth (0..1; higher is better)"
    with pytest.raises(OptionsError, match="'iou' is registered already"):
        register_metric(Metric("iou", False, "result", "something else"))


def test_names_are_taken_apart() -> None:
    found = read_signal("validation/discriminators/score_real_A")
    assert (found.group, found.owner, found.base, found.side) == (
        *("training", "discriminators", "score_real", "A"),
    )
    assert found.held_out
    found = read_signal("validation/kid(inception-v3-clean)_AtoB")
    assert (found.group, found.base, found.by, found.side) == (
        *("result", "kid", "inception-v3-clean", "AtoB"),
    )
    # A term of an objective and a result may share a name, and differ in what is better.
    assert read_signal("generator/ssim").metric != read_signal("validation/ssim").metric
    assert read_signal("learning_rate/generator").owner == "generator"
    assert read_signal("something/else").metric is None
    found = read_signal("validation/copying/psnr")
    assert (found.group, found.base, found.copying, found.held_out) == (
        "result",
        "psnr",
        True,
        True,
    )
    assert explain(found.name).startswith("what handing on the input would give: closeness")


def test_names_are_explained_with_those_of_the_domains() -> None:
    assert explain("validation/cycle_A", ("Summer", "Winter")) == (
        "mean absolute difference after there and back, of Summer (0..2; lower is better)"
    )
    assert ", Winter to Summer (" in explain("swd-reference_BtoA", ("Summer", "Winter"))
    assert explain("nobody/knows") == ""


def terms() -> Iterator[tuple[str, str]]:
    for name in model_names():
        for player, own in find_model(name).terms.items():
            yield from ((player, term) for term in own)


@pytest.mark.parametrize(("player", "term"), sorted(set(terms())))
def test_every_term_of_every_model_is_known(player: str, term: str) -> None:
    assert explain(f"{player}/{term}")


def test_the_documents_explain_every_result() -> None:
    page = (ROOT / "docs" / "evaluate.md").read_text(encoding="utf-8")
    for metric in metrics("result"):
        assert f"`{metric.name}`" in page, metric.name


@pytest.mark.parametrize(
    ("text", "way"),
    [("AtoB", "AtoB"), ("btoa", "BtoA"), ("WintertoSummer", "BtoA"), ("summer to-winter", "AtoB")],
)
def test_a_direction_by_letters_or_names(text: str, way: str) -> None:
    assert read_direction(text, ("Summer", "Winter")) == way


def test_a_direction_that_is_none() -> None:
    with pytest.raises(OptionsError, match=r"'WintertoAutumn'.*SummertoWinter, WintertoSummer"):
        read_direction("WintertoAutumn", ("Summer", "Winter"))
    with pytest.raises(OptionsError, match=r"must be one of AtoB, BtoA\."):
        read_direction("SummertoWinter")


def test_names_of_numbers_with_names_of_sides() -> None:
    sides = ("Summer", "Winter")
    for name, shown in {
        "generators/cycle_A": "generators/cycle_Summer",
        "validation/discriminator_B/score_real": "validation/discriminator_Winter/score_real",
        "swd-reference_AtoB": "swd-reference_SummertoWinter",
        "generator/l1": "generator/l1",
        "learning_rate/generators": "learning_rate/generators",
    }.items():
        assert with_named_sides(name, sides) == shown
        assert with_named_sides(name, ("A", "B")) == name


def test_the_option_that_named_no_measure_is_named() -> None:
    with pytest.raises(OptionsError, match=r"^--best-by \(='pnsr'\) .*Did you mean 'psnr'\?"):
        parse_monitor("pnsr", "--best-by")
    with pytest.raises(OptionsError, match=r"^train\.monitor \(='pnsr'\)"):
        parse_monitor("pnsr")
