"""Growth: which step belongs to which stage."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from i2i.config.recipes import load_options
from i2i.core.growth import Growth, Stage
from i2i.errors import OptionsError
from i2i.training.build import build_trainer, samples_before
from shrunk import batch_for, shrunk


@st.composite
def growths(draw: st.DrawFn) -> Growth:
    stages = []
    for number in range(draw(st.integers(1, 5))):
        fade = draw(st.integers(0, 7)) if number else 0
        hold = draw(st.integers(0 if fade else 1, 7))
        stages.append(Stage(4 * 2**number, draw(st.integers(1, 9)), fade, hold))
    return Growth(stages)


@given(growths(), st.integers(0, 80))
def test_each_step_adds_its_images(growth: Growth, step: int) -> None:
    assert growth.images(0) == 0
    assert growth.images(step + 1) - growth.images(step) == growth.batch_size(step)


@given(growths())
def test_stages_follow_each_other_as_long_as_they_shall(growth: Growth) -> None:
    expected = []
    for number, stage in enumerate(growth.stages):
        expected += [(number, (i + 1) / stage.fade) for i in range(stage.fade)]
        expected += [(number, 1.0)] * stage.hold
    assert growth.steps == len(expected)
    found = [(growth.stage(step), growth.alpha(step)) for step in range(growth.steps)]
    assert found == expected
    begins = [step for step in range(growth.steps) if growth.begins(step)]
    numbers = [number for number, _ in expected]
    assert begins == [numbers.index(number) for number in range(len(growth.stages))]


@given(growths(), st.integers(0, 80))
def test_alpha_only_rises_within_a_stage(growth: Growth, step: int) -> None:
    assert 0 < growth.alpha(step) <= 1
    if not growth.begins(step + 1):
        assert growth.stage(step + 1) == growth.stage(step)
        assert growth.alpha(step + 1) >= growth.alpha(step)


@given(growths(), st.integers(0, 50))
def test_the_last_stage_goes_on(growth: Growth, more: int) -> None:
    step = growth.steps + more
    assert growth.stage(step) == len(growth.stages) - 1
    assert growth.alpha(step) == 1
    assert not growth.begins(step)


STAGES = """growth.stages=[
  {size=4, fade=0, hold=3},
  {size=8, fade=1, hold=1, batch_size=6},
  {size=16, fade=1, hold=1},
]""".replace("\n", "")


def test_a_stage_has_the_batch_size_of_the_run_unless_it_says_otherwise() -> None:
    before = samples_before(load_options("progan", STAGES, "train.batch_size=4", size=16))
    assert [before(step) for step in range(9)] == [0, 4, 8, 12, 18, 24, 28, 32, 36]


def test_size_leaves_out_what_comes_after() -> None:
    options = load_options("progan", size=32)
    assert options.growth is not None
    assert [stage.size for stage in options.growth.stages] == [4, 8, 16, 32]
    assert options.train.steps == 350_000


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("growth.stages=[{size=4, fade=0, hold=1}, {size=16, fade=1, hold=1}]", "4, 8, 16"),
        ("growth.stages=[{size=4, fade=1, hold=1}]", "nothing to fade in from"),
        ("growth.stages=[{size=4, fade=0, hold=0}]", "needs a step"),
        ("growth.stages=[{size=4, fade=0, hold=1}]", r"crop_size \(=16\) .*\(=4\)"),
        ("train.epochs=3", r"train\.steps must give the length"),
        (
            STAGES.replace("batch_size=6", "batch_size=5"),
            r"\(=5\) .* 8 pixels .*gradient_accumulation \(=2\)",
        ),
    ],
)
def test_growth_that_cannot_be_is_an_error(setting: str, message: str) -> None:
    with pytest.raises(OptionsError, match=message):
        load_options("progan", "train.gradient_accumulation=2", setting, size=16)


def test_the_optimizers_begin_anew_with_a_stage() -> None:
    """GROWING: stages begin at steps 0, 1 and 3."""
    trainer = build_trainer(shrunk("progan"))
    counts = []
    for step in range(6):
        trainer.step(batch_for(trainer.model, seed=step))
        states = trainer.optimizers["generator"].state.values()
        counts.append(max(int(state["step"]) for state in states))
    assert counts == [1, 1, 2, 1, 2, 3]
