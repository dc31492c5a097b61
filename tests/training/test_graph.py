"""Recorded steps against played ones, on a tape that stands in for a CUDA graph."""

from copy import deepcopy
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from i2i.core.growth import Growth
from i2i.errors import OptionsError
from i2i.models import find_model, model_names
from i2i.training.build import build_trainer
from i2i.training.cuda_graphs import StepGraphs, rates_on_device
from i2i.training.trainer import Trainer
from shrunk import batch_for, recipes, shrunk
from tape import TapeRecorder

CPU = torch.device("cpu")

GAMES = [name for name in recipes() if not name.endswith(("-quick", "-mnist", "-small", "-celeba"))]
"""The others are the same at other sizes."""

ADAPTIVE = (
    *("augment_discriminator.probability=0.5", "augment_discriminator.adaptive=true"),
    *("augment_discriminator.interval=2", "augment_discriminator.kimg=0.02"),
)

SETTINGS = ("optimizer.fused=true", "train.ema_decay=0.9")


@pytest.fixture(autouse=True)
def _no_wait_in_one_hot(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a CPU, torch looks whether the numbers are in range."""

    def one_hot(chosen: Tensor, categories: int) -> Tensor:
        return (chosen[:, None] == torch.arange(categories)).long()

    monkeypatch.setattr(F, "one_hot", one_hot)


def trainer_of(recipe: str, *settings: str, recorder: TapeRecorder | None, **more: Any) -> Trainer:
    fused = () if recipe == "wgan" else SETTINGS[:1]
    trainer = build_trainer(shrunk(recipe, *fused, *SETTINGS[1:], *settings), **more)
    for optimizer in trainer.optimizers.values():
        rates_on_device(optimizer, CPU)
    if recorder is not None:
        trainer.graphs = StepGraphs(recorder, CPU)
    return trainer


def batches(trainer: Trainer, steps: int, count: int = 2) -> list[Any]:
    model = deepcopy(trainer.model)  # whose statistics it changes to see what it makes
    return [batch_for(model, count, seed=step) for step in range(steps)]


def fall(step: int) -> float:
    return 1 / (1 + step)


def assert_same(one: Trainer, other: Trainer, batches: list[Any], **how: Any) -> None:
    for number, batch in enumerate(batches):
        expected, found = one.step(batch, **how), other.step(batch, **how)
        assert expected.keys() == found.keys()
        for name, value in expected.items():
            assert torch.equal(found[name], value), (number, name)
    state = one.model.state_dict()
    for name, value in other.model.state_dict().items():
        if isinstance(value, Tensor):
            assert torch.equal(value, state[name]), name
        else:
            assert value == state[name]
    assert one.ema is not None
    assert other.ema is not None
    mean = one.ema.state_dict()
    for name, value in other.ema.state_dict().items():
        assert torch.equal(value, mean[name]), name


@pytest.mark.parametrize("recipe", GAMES)
def test_twenty_recorded_steps_equal_played_ones(recipe: str) -> None:
    recorder = TapeRecorder()
    # Of rmsprop, a CPU has no version that reads the rate when it runs.
    rate = {} if recipe == "wgan" else {"rate": fall}
    played = trainer_of(recipe, recorder=None, **rate)
    recorded = trainer_of(recipe, recorder=recorder, **rate)
    assert_same(played, recorded, batches(played, 20))
    assert recorded.graphs is not None
    assert recorded.graphs.recorded >= 1
    assert recorder.rehearsed < 20


@pytest.mark.parametrize(
    "settings",
    [
        ("train.batch_size=4", "train.gradient_accumulation=2"),
        ("adversarial.instance_noise=0.1",),
        ("adversarial.label_noise=0.1",),
        ("data.augment.rotation=10",),
        ('augment_discriminator.policy="color,translation,cutout"',),
        ('augment_discriminator.policy="bgc"', *ADAPTIVE),
        (
            *("train.batch_size=4", 'augment_discriminator.policy="bgc"', *ADAPTIVE),
            "train.gradient_accumulation=2",
        ),
    ],
    ids=lambda settings: settings[-1],
)
@pytest.mark.parametrize("recipe", ["cyclegan", "stargan", "dcgan"])
def test_what_recipes_may_add_is_recorded_too(
    recipe: str, settings: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    # As on a GPU, sizes must not depend on numbers.
    monkeypatch.setattr("i2i.networks.augment.pipe._may_wait", lambda images: False)
    if recipe == "stargan":
        settings = (*settings, "game.n_critic=1", 'adversarial.loss="vanilla"')
    played = trainer_of(recipe, *settings, recorder=None, length=20)
    recorded = trainer_of(recipe, *settings, recorder=TapeRecorder(), length=20)
    count = 4 if "train.gradient_accumulation=2" in settings else 2
    assert_same(played, recorded, batches(played, 8, count))
    assert recorded.graphs is not None
    assert recorded.graphs.recorded == 1


def test_gradient_norms_make_another_kind_of_step() -> None:
    played = trainer_of("pix2pix", recorder=None)
    recorded = trainer_of("pix2pix", recorder=TapeRecorder())
    data = batches(played, 10)
    assert_same(played, recorded, data[:5], closely=True)
    assert_same(played, recorded, data[5:])
    assert recorded.graphs is not None
    assert recorded.graphs.recorded == 2


def test_each_cadence_has_a_recording() -> None:
    recorder = TapeRecorder()
    trainer = trainer_of("stargan", "game.n_critic=2", recorder=recorder)
    assert trainer.graphs is not None
    recorded = []
    for batch in batches(trainer, 9):
        trainer.step(batch)
        recorded.append(trainer.graphs.recorded)
    # Steps 0, 2, 4 and 1, 3, 5 are rehearsals of the two kinds.
    assert recorded == [0, 0, 0, 0, 0, 0, 1, 2, 2]
    assert recorder.rehearsed == 6


STAGES = (
    "growth.stages=[{size=4,batch_size=2,fade=0,hold=5},{size=8,batch_size=2,fade=6,hold=4},"
    "{size=16,batch_size=2,fade=5,hold=4}]"
)


@pytest.mark.parametrize(
    "settings",
    [(), ("train.precision=bf16",), ("train.batch_size=4", "train.gradient_accumulation=2")],
    ids=lambda settings: settings[-1] if settings else "fp32",
)
def test_networks_that_fade_in_are_recorded(settings: tuple[str, ...]) -> None:
    count = 4 if "train.gradient_accumulation=2" in settings else 2
    stages = STAGES.replace("batch_size=2", f"batch_size={count}")
    settings = (*settings, stages, "generator.width=8")
    played = trainer_of("progan", *settings, recorder=None)
    recorder = TapeRecorder()
    recorded = trainer_of("progan", *settings, recorder=recorder)
    assert_same(played, recorded, batches(played, 24, count))
    # Of each stage, and of its fading in, 3 rehearsals; what is left are 2, 3, 1, 2 and 1 steps.
    assert recorder.rehearsed == 15
    assert recorder.forgotten == 2
    one, other = played.model.generator, recorded.model.generator
    assert (one.stage, one.alpha) == (other.stage, other.alpha) == (2, 1)


def test_a_run_goes_on_while_recorded_layers_fade_in() -> None:
    settings = (STAGES, "generator.width=8")
    played = trainer_of("progan", *settings, recorder=None)
    recorded = trainer_of("progan", *settings, recorder=TapeRecorder())
    data = batches(played, 12)
    assert_same(played, recorded, data[:9])
    again = trainer_of("progan", *settings, recorder=TapeRecorder())
    again.load_state_dict(deepcopy(recorded.state_dict()))
    assert again.model.generator.alpha == pytest.approx(4 / 6)  # of the last step
    assert_same(played, again, data[9:])


@pytest.mark.parametrize(
    ("recipe", "settings"),
    [("cyclegan", ()), ("wgan-gp", ()), ("progan", (STAGES, "generator.width=8"))],
    ids=["cyclegan", "wgan-gp", "progan"],
)
def test_historical_averaging_is_recorded(recipe: str, settings: tuple[str, ...]) -> None:
    settings = (*settings, "train.historical_averaging=0.1")
    played = trainer_of(recipe, *settings, recorder=None)
    recorded = trainer_of(recipe, *settings, recorder=TapeRecorder())
    assert_same(played, recorded, batches(played, 20))
    assert recorded.graphs is not None
    assert recorded.graphs.recorded >= 1
    for player, history in played.histories.items():
        other = recorded.histories[player]
        assert torch.equal(other.turns, history.turns)
        assert all(torch.equal(*pair) for pair in zip(other.mean, history.mean, strict=True))


def test_steps_like_no_other_are_not_recorded(
    monkeypatch: pytest.MonkeyPatch, said: list[str]
) -> None:
    played = trainer_of("pix2pix", recorder=None)
    recorded = trainer_of("pix2pix", recorder=None)
    recorder = TapeRecorder()
    recorded.graphs = StepGraphs(recorder, CPU)
    monkeypatch.setattr(recorded.model, "graph_key", lambda clock: None)
    assert_same(played, recorded, batches(played, 6))
    assert recorder.rehearsed == 6
    (line,) = (line for line in said if "record" in line)
    assert "unlike any other are not recorded" in line


def test_a_run_goes_on_in_the_middle_of_recorded_steps() -> None:
    played = trainer_of("cyclegan", recorder=None, rate=fall)
    recorded = trainer_of("cyclegan", recorder=TapeRecorder(), rate=fall)
    data = batches(played, 16)
    assert_same(played, recorded, data[:6])
    state = recorded.state_dict()
    again = trainer_of("cyclegan", recorder=TapeRecorder(), rate=fall)
    again.load_state_dict(deepcopy(state))
    assert_same(played, again, data[6:11])
    assert again.graphs is not None
    assert again.graphs.recorded == 1
    # A state that is loaded later on takes the recordings with it.
    again.load_state_dict(deepcopy(played.state_dict()))
    assert again.graphs.recorded == 0
    assert_same(played, again, data[11:])


def test_a_checkpoint_of_one_kind_of_optimizer_is_for_all() -> None:
    """Rates as tensors and kernels of a GPU are not part of what a run is."""
    with_tensors = trainer_of("pix2pix", recorder=None, rate=fall)
    plain = build_trainer(shrunk("pix2pix", "train.ema_decay=0.9"), rate=fall)
    data = batches(plain, 3)
    with_tensors.step(data[0])
    state = with_tensors.state_dict()
    rates = [o["param_groups"][0]["lr"] for o in state["optimizers"].values()]
    assert rates == pytest.approx([2e-4 / 2] * 2)
    assert not any(isinstance(rate, Tensor) for rate in rates)
    plain.load_state_dict(deepcopy(state))
    assert not plain.optimizers["generator"].param_groups[0]["fused"]
    for trainer in (plain, with_tensors):
        trainer.step(data[1])
    for one, other in zip(plain.model.parameters(), with_tensors.model.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)
    with_tensors.load_state_dict(deepcopy(plain.state_dict()))
    assert isinstance(with_tensors.optimizers["generator"].param_groups[0]["lr"], Tensor)


def test_what_cannot_be_recorded_is_played_and_said(said: list[str]) -> None:
    recorder = TapeRecorder(refuse="no such kernel\nand more")
    played = trainer_of("pix2pix", recorder=None)
    recorded = trainer_of("pix2pix", recorder=None)
    recorded.graphs = StepGraphs(recorder, CPU)
    assert_same(played, recorded, batches(played, 8))
    assert recorder.rehearsed == 8
    assert recorded.graphs.recorded == 0
    (line,) = (each for each in said if "recorded" in each)
    assert line.startswith("note: ")
    assert "(RuntimeError: no such kernel)" in line


def test_fp16_goes_on_after_a_recording_that_broke_off() -> None:
    """Its scalers remember in Python how far a step is."""
    trainer = trainer_of("pix2pix", "train.precision=fp16", recorder=None)
    data = batches(trainer, 3)
    trainer.step(data[0])
    scaler, optimizer = trainer.precision.scalers["generator"], trainer.optimizers["generator"]
    scale = scaler.get_scale()
    scaler.step(optimizer)  # and no update
    trainer.precision.abandon()
    assert scaler.get_scale() == scale
    trainer.step(data[1])


def test_rates_that_are_numbers_tell_steps_apart() -> None:
    """Else a recording would go on with the old one."""
    recorder = TapeRecorder()
    rate = {"rate": lambda step: 1.0 if step < 6 else 0.5}
    played = build_trainer(shrunk("wgan", "train.ema_decay=0.9"), **rate)
    recorded = build_trainer(shrunk("wgan", "train.ema_decay=0.9"), **rate)
    recorded.graphs = StepGraphs(recorder, CPU)
    assert_same(played, recorded, batches(played, 11))


def test_without_a_gpu_steps_are_played() -> None:
    assert build_trainer(shrunk("pix2pix")).graphs is None
    with pytest.raises(OptionsError, match=r"train\.graph \(=true\).*computes on cpu"):
        build_trainer(shrunk("pix2pix", "train.graph=true"))


@pytest.mark.parametrize("name", model_names())
def test_every_model_says_its_rhythm(name: str) -> None:
    assert "graph_key" in vars(find_model(name))


def test_growth_has_steps_that_fade_and_whole_ones() -> None:
    trainer = build_trainer(shrunk("progan"))
    assert isinstance(trainer.model.growth, Growth)
    rhythms = []
    for step in range(trainer.model.growth.steps):
        trainer.steps_done = step
        rhythms.append(trainer.model.graph_key(trainer.clock))
    # Stages of 1, 2 and 3 steps, of which the first of each fade has a share below 1.
    assert rhythms == [
        *((True, 0, False), (True, 1, True), (True, 1, False)),
        *((True, 2, True), (True, 2, False), (True, 2, False)),
    ]
