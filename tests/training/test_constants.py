"""Constants that change over a run, lazy terms, and averages whose decay is told in images."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from i2i.config.recipes import load_options
from i2i.errors import OptionsError
from i2i.losses import relativistic
from i2i.models.build import build_model, weights
from i2i.training.anneal import Anneal
from i2i.training.build import build_trainer
from i2i.training.ema import EMA, HalfLife
from i2i.training.trainer import Trainer
from shrunk import batch_for, shrunk


def run(trainer: Trainer, steps: int, seed: int = 0) -> list[dict[str, Tensor]]:
    return [trainer.step(batch_for(trainer.model, seed=seed + i)) for i in range(steps)]


def test_half_a_cosine_leads_from_one_value_to_the_other() -> None:
    anneal = Anneal(until=0.5)
    assert anneal.at(0.0, 3.0, 1.0) == 3.0
    assert anneal.at(0.25, 3.0, 1.0) == pytest.approx(2.0)
    assert anneal.at(1 / 6, 3.0, 1.0) == pytest.approx(2 + math.cos(math.pi / 3))
    assert anneal.at(0.5, 3.0, 1.0) == anneal.at(0.9, 3.0, 1.0) == 1.0
    assert anneal.at(0.3, 3.0, None) == 3.0
    assert [anneal.over(share) for share in (0.0, 0.49, 0.5, 1.0)] == [False, False, True, True]


def test_every_constant_goes_the_same_way() -> None:
    settings = ["optimizer.betas=[0.5, 0.9]", "anneal.beta2=0.99", "anneal.until=0.5"]
    settings += ["optimizer.learning_rate=0.01", "anneal.learning_rate=0.002"]
    settings += ["optimizer.player_learning_rates={discriminator=0.02}"]
    settings += ["objective.r1=2", "anneal.objective={r1=1}", "train.batch_size=2"]
    trainer = build_trainer(shrunk("dcgan", *settings, "train.steps=8"))
    objective = trainer.model.objectives["discriminator"]
    for step in range(8):
        run(trainer, 1)
        way = 0.5 * (1 + math.cos(math.pi * min(step / 4, 1)))
        for player, base in (("generator", 0.01), ("discriminator", 0.02)):
            group = trainer.optimizers[player].param_groups[0]
            assert group["lr"] == pytest.approx(base * (0.2 + 0.8 * way))
            assert group["betas"] == (0.5, pytest.approx(0.99 - 0.09 * way))
        assert objective.moving["r1"].item() == pytest.approx(1 + way)


def test_annealing_what_is_not_there_is_an_error() -> None:
    with pytest.raises(OptionsError, match=r"anneal.objective.r1 is about a term that is not in"):
        build_model(shrunk("dcgan", "anneal.objective={r1=1}"))
    with pytest.raises(OptionsError, match=r"anneal.beta2 \(=0.99\) is about adam, .* 'rmsprop'"):
        build_model(shrunk("wgan", "anneal.beta2=0.99"))
    for setting in ("anneal.average_half_life=100", "train.average_ramp=0.1"):
        with pytest.raises(OptionsError, match=r"train\.average_half_life is missing"):
            build_trainer(shrunk("dcgan", setting))


def test_a_lazy_term_is_computed_rarely_and_weighs_as_much_more() -> None:
    one = build_trainer(shrunk("dcgan", "objective.r1=3", "train.ema_decay=0"))
    lazy = build_trainer(shrunk("dcgan", "objective.r1=3", "every.r1=2", "train.ema_decay=0"))
    first, again = run(one, 1)[0], run(lazy, 3)
    assert ["discriminator/r1" in losses for losses in again] == [True, False, True]
    plain = first["discriminator/real"] + first["discriminator/fake"]
    penalty = first["discriminator/r1"]
    assert first["discriminator/total"].item() == pytest.approx((plain + 3 * penalty).item())
    assert again[0]["discriminator/total"].item() == pytest.approx((plain + 6 * penalty).item())
    sum_of_others = again[1]["discriminator/real"] + again[1]["discriminator/fake"]
    assert again[1]["discriminator/total"].item() == pytest.approx(sum_of_others.item())


def test_a_lazy_term_of_a_player_who_rarely_moves_counts_its_moves() -> None:
    """Every third step the generator moves, every second of its moves has the term."""
    settings = ["game.n_critic=3", "objective.feature_matching=1", "every.feature_matching=2"]
    trainer = build_trainer(shrunk("dcgan", *settings, "train.steps=12"))
    losses = run(trainer, 12)
    moved = [i for i, each in enumerate(losses) if "generator/total" in each]
    matched = [i for i, each in enumerate(losses) if "generator/feature_matching" in each]
    assert moved == [2, 5, 8, 11]
    assert matched == [2, 8]


def test_lazy_terms_must_be_known() -> None:
    with pytest.raises(OptionsError, match=r"every.r2x is no term .* Did you mean 'r2'\?"):
        build_model(shrunk("dcgan", "every.r2x=2"))
    with pytest.raises(OptionsError, match=r"every\.real is no term that this model computes in"):
        build_model(shrunk("stylegan2", "every.real=2"))


def test_turns_of_lazy_terms_correct_adam() -> None:
    """Karras et al. 2020, appendix B: rate and betas for k + 1 steps where there were k."""
    settings = ["every.path_length=4", "every.r1=16", "optimizer.betas=[0.5, 0.99]"]
    trainer = build_trainer(shrunk("stylegan2", *settings, "optimizer.learning_rate=0.002"))
    for player, k in (("generator", 4), ("discriminator", 16)):
        group = trainer.optimizers[player].param_groups[0]
        assert group["lr"] == pytest.approx(0.002 * k / (k + 1))
        assert group["betas"] == pytest.approx((0.5 ** (k / (k + 1)), 0.99 ** (k / (k + 1))))
    trainer = build_trainer(shrunk("dcgan", "every.r1=16", "objective.r1=1"))  # no turn of its own
    assert trainer.optimizers["discriminator"].param_groups[0]["lr"] == 2e-4


def test_each_turn_of_stylegan2_moves_one_network() -> None:
    trainer = build_trainer(shrunk("stylegan2", "every.path_length=2", "every.r1=3"))
    terms = [
        {name for name in losses if name.endswith(("/path_length", "/r1"))}
        for losses in run(trainer, 7)
    ]
    assert [("generator/path_length" in each) for each in terms] == [i % 2 == 0 for i in range(7)]
    assert [("discriminator/r1" in each) for each in terms] == [i % 3 == 0 for i in range(7)]
    steps = {
        player: {int(state["step"]) for state in optimizer.state.values()}
        for player, optimizer in trainer.optimizers.items()
    }
    # Every weight counts every turn, also those that a penalty does not reach.
    assert steps == {"generator": {7 + 4}, "discriminator": {7 + 3}}
    model: Any = trainer.model
    assert model.path_length.item() > 0


def test_the_automatic_weight_of_r1_is_the_published_rule() -> None:
    options = load_options("stylegan2", "train.batch_size=64", size=256)
    assert weights(options)["r1"] == pytest.approx(0.0002 * 256**2 / 64)
    (notice,) = build_model(shrunk("stylegan2")).notices
    assert notice.startswith("objective.r1 = 0.0256, which is 0.0002 * 16 * 16 / 2 ")
    paired = shrunk("cyclegan", "objective.r1_A=auto", "objective.r1_B=auto")
    assert weights(paired)["r1_B"] == pytest.approx(0.0002 * 16**2 / 2)
    with pytest.raises(OptionsError, match=r"objective.l1 \(='auto'\) must be a number"):
        build_model(shrunk("pix2pix", "objective.l1=auto"))


def test_a_half_life_is_told_in_images() -> None:
    assert HalfLife(100).decay(100, 10**6, 50) == pytest.approx(0.5**0.5)
    assert HalfLife(0).decay(0, 10**6, 50) == 0  # a copy
    ramped = HalfLife(100, 0.05)
    assert ramped.decay(100, 0, 50) == 0
    assert ramped.decay(100, 1000, 50) == pytest.approx(0.5)
    assert ramped.decay(100, 10**6, 50) == pytest.approx(0.5**0.5)


def test_an_average_takes_its_decay_of_the_step() -> None:
    weight = torch.tensor([1.0])
    average = EMA([("w", weight)], None)
    expected = 1.0
    for value, decay in ((3.0, 0.0), (5.0, 0.75), (4.0, 0.5)):
        weight.fill_(value)
        average.set_decay(decay)
        average.update()
        expected = decay * expected + (1 - decay) * value
        assert average.mean[0].item() == pytest.approx(expected)


def test_a_run_averages_by_half_life_and_ramp() -> None:
    settings = ["train.average_half_life=8", "train.average_ramp=1.0", "train.batch_size=2"]
    trainer = build_trainer(shrunk("dcgan", *settings))
    name, weight = next(iter(trainer.model.get_submodule("generator").named_parameters()))
    mean = weight.detach().clone()
    for step in range(6):
        run(trainer, 1, seed=step)
        half_life = min(8, 2 * step)
        decay = 0.5 ** (2 / half_life) if half_life else 0.0
        mean = decay * mean + (1 - decay) * weight.detach()
        assert trainer.ema is not None
        found = trainer.ema.state_dict()[f"generator.{name}"]
        torch.testing.assert_close(found, mean)


GAMES = {
    "pix2pix": ("generator", "discriminator", ""),
    "stargan": ("generator", "discriminator", ""),
    "dcgan": ("generator", "discriminator", ""),
    "cgan": ("generator", "discriminator", ""),
    "stylegan2": ("generator", "discriminator", ""),
    "cyclegan": ("generators", "discriminators", "_B"),
}


@pytest.mark.parametrize("recipe", GAMES)
def test_every_game_can_pair_real_and_generated_scores(
    recipe: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both halves are equal, and a discriminator that cannot tell them apart pays log 2."""
    generator, discriminator, ending = GAMES[recipe]
    settings = ["adversarial.loss=relativistic", "game.n_critic=1", "train.batch_size=2"]
    settings = [s for s in settings if recipe != "stylegan2" or "n_critic" not in s]
    trainer = build_trainer(shrunk(recipe, *settings))
    model: Any = trainer.model
    losses = run(trainer, 1)[0]
    real, fake = (losses[f"{discriminator}/{side}{ending}"].item() for side in ("real", "fake"))
    assert real == pytest.approx(fake)
    assert 0.01 < real < 1
    assert math.isfinite(losses[f"{generator}/adversarial{ending}"].item())
    judge = model.discriminator if ending == "" else model.discriminator_B
    for parameter in judge.parameters():
        parameter.data.zero_()
    monkeypatch.setattr(trainer.precision, "step", lambda *_: None)
    losses = run(trainer, 1)[0]
    assert losses[f"{discriminator}/real{ending}"].item() == pytest.approx(math.log(2) / 2)
    assert losses[f"{generator}/adversarial{ending}"].item() == pytest.approx(math.log(2))
    zeros = torch.zeros(2, 1)
    assert relativistic(zeros, zeros).item() == pytest.approx(math.log(2))


def test_halves_of_a_batch_go_to_the_two_turns() -> None:
    trainer = build_trainer(
        shrunk("r3gan", "train.batch_size=4", "game.class_conditional=required")
    )
    seen: list[tuple[Tensor, Tensor]] = []
    model: Any = trainer.model
    model.discriminator.register_forward_hook(lambda _, inputs, __: seen.append(inputs))
    batch = batch_for(model, count=4)
    trainer.step(batch)
    shown = batch.images.float() / 127.5 - 1
    (real, told), _, (_, told_later), (others, _) = seen  # real, fake; fake, real
    torch.testing.assert_close(real, shown[::2])
    torch.testing.assert_close(others, shown[1::2])
    assert torch.equal(told, batch.labels[::2])
    assert torch.equal(told_later, batch.labels[1::2])
    with pytest.raises(
        OptionsError, match=r"batch_size \(=6\) must be divisible by 4 with game.sp"
    ):
        build_model(shrunk("r3gan", "train.batch_size=6", "train.gradient_accumulation=2"))
