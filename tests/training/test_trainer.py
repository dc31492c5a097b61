"""The trainer, with games made up for the purpose."""

from typing import Any, ClassVar, NamedTuple, Self

import pytest
import torch
from torch import Tensor, nn

from i2i.core.batch import Pair, to_signed
from i2i.core.latent import Latent
from i2i.core.model import Clock, Generated, Model, Objective, Play
from i2i.errors import TrainingError
from i2i.inference.load import build_translator
from i2i.models import cut
from i2i.models.build import build_model
from i2i.models.starganv2 import StarGANv2
from i2i.training.build import build_trainer
from i2i.training.trainer import Trainer
from shrunk import batch_for, recipes, shrunk


class Numbers(NamedTuple):
    values: Tensor


class Duel(Model):
    """Two numbers that chase each other; if `blind`, the second ignores its own network."""

    data = "numbers"
    generators = ("left",)
    players: ClassVar = {"first": ("left",), "second": ("right",)}
    terms: ClassVar = {"first": ("near",), "second": ("far",)}

    def __init__(self, blind: bool = False) -> None:
        super().__init__()
        self.left = nn.Linear(1, 1, bias=False)
        self.right = nn.Linear(1, 1, bias=False)
        self.register_buffer("turns", torch.zeros(2))
        self.turns: Tensor
        self.blind = blind
        self.drawn: list[float] = []
        nn.init.ones_(self.left.weight)
        nn.init.constant_(self.right.weight, 3.0)

    @classmethod
    def assemble(cls, kit: Any) -> Self:
        raise AssertionError

    def play(self, batch: Numbers, clock: Clock) -> Play:
        x = batch.values
        difference = self.left(x) - self.right(x)
        self.drawn.append(torch.rand(()).item())
        self.turns[0] += 1
        yield "first", Objective({"near": 2.0})(near=lambda: difference.square().mean())
        if clock.every(2):
            self.turns[1] += 1
            away = self.left(x) - (3.0 if self.blind else self.right(x))
            yield "second", Objective({"far": 1.0})(far=lambda: -away.square().mean())

    def visualize(self, batch: Any) -> dict[str, Tensor]:
        raise AssertionError

    def generate(self, batch: Any) -> dict[str, Generated]:
        raise AssertionError

    def validation_step(self, batch: Any) -> dict[str, Tensor]:
        raise AssertionError


def duel(blind: bool = False, **arguments: Any) -> Trainer:
    return Trainer(
        Duel(blind), lambda player, parameters: torch.optim.SGD(parameters, lr=0.1), **arguments
    )


X = Numbers(torch.ones(4, 1))


def weights(trainer: Trainer) -> tuple[float, float]:
    model = trainer.model
    assert isinstance(model, Duel)
    return model.left.weight.item(), model.right.weight.item()


def test_players_move_in_turn_and_later_turns_see_earlier_moves() -> None:
    trainer = duel()
    # d/dl of 2 (l - r)^2 at l=1, r=3 is -8: l becomes 1.8; the second player rests in step 0.
    losses = trainer.step(X)
    assert weights(trainer) == pytest.approx((1.8, 3.0))
    assert set(losses) == {"first/near", "first/total"}
    assert losses["first/near"].item() == pytest.approx(4.0)
    assert losses["first/total"].item() == pytest.approx(8.0)
    # l becomes 1.8 + 0.1 * 4 * 1.2 = 2.28; then d/dr of -(l - r)^2 = 2 (l - r) = -1.44 with new l.
    losses = trainer.step(X)
    assert weights(trainer) == pytest.approx((2.28, 3.144))
    assert losses["second/far"].item() == pytest.approx(-(0.72**2))


def test_a_turn_that_trains_nobody_is_an_error() -> None:
    trainer = duel(blind=True)
    trainer.step(X)
    with pytest.raises(TrainingError, match=r"step 1: the loss of the second .*\(right\)"):
        trainer.step(X)


def test_nobody_else_gets_gradients() -> None:
    trainer = duel()
    trainer.step(X)
    assert isinstance(trainer.model, Duel)
    assert trainer.model.right.weight.grad is None


def test_a_step_trains_even_if_a_result_was_looked_at_in_between() -> None:
    options = shrunk("pix2pix")
    model = build_model(options)
    trainer = build_trainer(options, model)
    trainer.step(batch_for(model))
    build_translator(options, model)(torch.zeros(3, 16, 16))
    before = {name: value.clone() for name, value in model.generator.named_buffers()}
    trainer.step(batch_for(model))
    assert all(module.training for module in model.modules())
    assert any(not torch.equal(v, before[name]) for name, v in model.generator.named_buffers())


def test_learning_rates_follow_the_schedule() -> None:
    trainer = duel(rate=lambda step: [1.0, 0.5, 0.0][step])
    trainer.step(X)
    assert trainer.learning_rates(1) == {"first": 0.05, "second": 0.05}
    trainer.step(X)
    before = weights(trainer)
    trainer.step(X)
    assert weights(trainer) == before


def test_random_numbers_follow_from_seed_and_step() -> None:
    def draws(seed: int, steps: int) -> list[float]:
        trainer = duel(seed=seed)
        for _ in range(steps):
            trainer.step(X)
            torch.rand(7)  # somebody else draws in between
        assert isinstance(trainer.model, Duel)
        return trainer.model.drawn

    assert draws(3, 4) == draws(3, 4)
    assert len(set(draws(3, 4) + draws(4, 4))) == 8


@pytest.mark.parametrize("pieces", [2, 4])
def test_pieces_make_the_step_of_the_whole_batch(pieces: int) -> None:
    """Also with players that see what others have just learnt, and each buffer moves once."""
    torch.manual_seed(0)
    whole, cut = duel(), duel(gradient_accumulation=pieces)
    for _ in range(4):
        batch = Numbers(torch.randn(8, 1))
        expected, found = whole.step(batch), cut.step(batch)
        assert expected.keys() == found.keys()
        for name, value in expected.items():
            torch.testing.assert_close(found[name], value, rtol=1e-5, atol=1e-6)
    assert weights(cut) == pytest.approx(weights(whole), rel=1e-5)
    assert isinstance(cut.model, Duel)
    assert cut.model.turns.tolist() == [4 * pieces, 2 * pieces]


@pytest.mark.parametrize(
    "recipe", [name for name in recipes() if not name.startswith(("progan", "stylegan2"))]
)
def test_pieces_of_a_step_equal_the_whole_in_every_model(
    recipe: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """But for ProGAN and StyleGAN2, whose discriminators look at how much the images of a piece
    differ."""
    options = shrunk(recipe)
    count = 8 if getattr(options.game, "split_batch", False) else 4
    settings = [f"train.batch_size={count}", "train.ema_decay=0", "game.image_pool=0"]
    # Random numbers and batch norm are those of a piece.
    if "gradient_penalty" in options.objective:
        settings += ["objective.gradient_penalty=0"]
    for role, network in (
        ("generator", options.generator),
        ("discriminator", options.discriminator),
    ):
        fields = type(network).model_fields
        settings += [f"{role}.norm=instance"] if "norm" in fields else []
        settings += [f"{role}.dropout=0"] if "dropout" in fields and role == "discriminator" else []
        settings += [f"{role}.dropout=false"] if "dropout" in fields and role == "generator" else []
    if options.generator.network == "sagan":
        pytest.skip("its batch norm cannot be turned off")
    spectral = options.discriminator.network.startswith("projected")
    if options.generator.network == "spade" or spectral:
        pytest.skip("spectral normalisation estimates anew in each pass, of which pieces have more")
    if options.latent is not None:
        one = Latent(
            3, categorical=options.latent.categorical, continuous=options.latent.continuous
        )
        vector = one.draw(1).double()
        monkeypatch.setattr(Latent, "draw", lambda self, count, *_: vector.repeat(count, 1))
    if "patch_sampler" in options.networks:
        # Vectors of length 1 make much of the small features at the beginning, and of rounding.
        settings += ["generator.init=kaiming", "patch_sampler.init=kaiming"]
    monkeypatch.setattr(cut, "draw_flip", lambda device: torch.tensor(True))
    monkeypatch.setattr(
        cut, "draw_positions", lambda maps, count: [torch.arange(count) for _ in maps]
    )
    if options.model == "stargan-v2":
        # Biases before a normalisation have gradients of rounding, of which Adam makes whole steps.
        settings += ["optimizer.name=sgd"]
        monkeypatch.setattr(
            StarGANv2, "noise", lambda self, n, device: torch.ones(n, self.latent_size).double()
        )
    trainers = []
    for pieces in (1, 4):
        options = shrunk(recipe, *settings, f"train.gradient_accumulation={pieces}")
        trainers.append(build_trainer(options, build_model(options).double()))
    for step in range(5):
        batch = batch_for(trainers[0].model, count=count, seed=step)
        # One label for all, since the order in which labels are dealt out is random.
        batch = type(batch)(
            *(to_signed(t).double() if t.ndim == 4 else t[:1].expand_as(t).double() for t in batch)
        )
        expected, found = (trainer.step(batch) for trainer in trainers)
        for name, value in expected.items():
            if "accuracy" not in name:  # whose threshold is that of a piece
                torch.testing.assert_close(found[name], value, rtol=1e-9, atol=1e-9)
    state = trainers[0].model.state_dict()
    for name, value in trainers[1].model.named_parameters():
        torch.testing.assert_close(value, state[name], rtol=1e-6, atol=1e-9)


def test_moving_average_lags_behind_the_generator() -> None:
    trainer = duel(average=0.9)
    assert trainer.ema is not None
    mean = 1.0
    for _ in range(5):
        trainer.step(X)
        mean = 0.9 * mean + 0.1 * weights(trainer)[0]
    assert trainer.ema.state_dict()["left.weight"].item() == pytest.approx(mean)
    live = weights(trainer)
    with trainer.ema.in_place():
        assert weights(trainer) == pytest.approx((mean, live[1]))
    assert weights(trainer) == live


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_low_precision_follows_float32_with_float32_weights(precision: str) -> None:
    trainers = [
        build_trainer(shrunk("pix2pix", "generator.dropout=false", f"train.precision={name}"))
        for name in ("fp32", precision)
    ]
    torch.manual_seed(0)
    batch = Pair(2 * torch.rand(2, 3, 16, 16) - 1, 2 * torch.rand(2, 3, 16, 16) - 1)
    for _ in range(3):
        exact, rough = (trainer.step(batch) for trainer in trainers)
    assert {p.dtype for p in trainers[1].model.parameters()} == {torch.float32}
    assert rough["generator/l1"].item() != exact["generator/l1"].item()
    for name, value in exact.items():
        assert rough[name].item() == pytest.approx(value.item(), rel=0.05)


def test_fp16_scales_each_player_and_leaves_out_overflowing_steps() -> None:
    trainer = build_trainer(shrunk("pix2pix", "train.precision=fp16"))
    before = {name: value.clone() for name, value in trainer.model.named_parameters()}
    huge = Pair(torch.full((2, 3, 16, 16), 1e30), torch.full((2, 3, 16, 16), 1e30))
    trainer.check = None  # which would refuse it
    scale = {name: s["scale"] for name, s in trainer.precision.state_dict().items()}
    trainer.step(huge)
    for name, value in trainer.model.named_parameters():
        assert torch.equal(value, before[name])
    for name, state in trainer.precision.state_dict().items():
        assert state["scale"] < scale[name]


@pytest.mark.parametrize("setting", ["train.channels_last=true", "train.gradient_accumulation=2"])
def test_ways_to_compute_change_nothing_of_the_names(setting: str) -> None:
    trainer = build_trainer(shrunk("pix2pix", setting))
    batch = Pair(
        torch.randint(0, 256, (2, 3, 16, 16), dtype=torch.uint8),
        torch.randint(0, 256, (2, 3, 16, 16), dtype=torch.uint8),
    )
    assert {name.split("/")[0] for name in trainer.step(batch)} == {"generator", "discriminator"}


def test_device_augmentation_is_repeatable() -> None:
    settings = ["data.augment.rotation=20", "data.augment.brightness=0.3"]
    torch.manual_seed(0)
    batch = Pair(*torch.randint(0, 256, (2, 2, 3, 16, 16), dtype=torch.uint8))
    plain, one, two = (
        build_trainer(shrunk("pix2pix", *extra)).step(batch)["generator/l1"].item()
        for extra in ([], settings, settings)
    )
    assert one == two
    assert plain != one


def test_same_seed_same_fresh_weights_and_the_callers_random_state_stays() -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    one = build_model(shrunk("pix2pix"))
    assert torch.equal(torch.rand(3), expected)
    two, other = build_model(shrunk("pix2pix")), build_model(shrunk("pix2pix", "train.seed=1"))
    a, b, c = (dict(model.named_parameters()) for model in (one, two, other))
    assert all(torch.equal(a[name], b[name]) for name in a)
    assert any(not torch.equal(a[name], c[name]) for name in a)


@pytest.mark.filterwarnings("default")  # of the compiler's own
def test_compiled_networks_compute_the_same_under_the_same_names(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With all but the last stage of the compiler, which makes code of what the others found."""
    whole = nn.Module.compile
    monkeypatch.setattr(nn.Module, "compile", lambda each: whole(each, backend="aot_eager"))
    torch.manual_seed(0)
    batch = Pair(*torch.randint(0, 256, (2, 2, 3, 16, 16), dtype=torch.uint8))
    plain, compiled = (
        build_trainer(shrunk("pix2pix", "generator.dropout=false", f"train.compile={on}"))
        for on in ("false", "true")
    )
    for _ in range(2):
        expected, found = plain.step(batch), compiled.step(batch)
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, rtol=1e-3, atol=1e-4)
    assert compiled.model.get_submodule("generator")._compiled_call_impl is not None
    assert compiled.model.state_dict().keys() == plain.model.state_dict().keys()
