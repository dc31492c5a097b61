"""What the literature does to keep a game in balance, in games whose outcome is known."""

import math
from collections.abc import Callable
from typing import Any, ClassVar, NamedTuple, Self

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from i2i.config.recipes import recipes
from i2i.core.model import Clock, Generated, Model, Objective, Play
from i2i.losses import Adversarial, DiscriminatorOutputs, feature_matching
from i2i.models.build import build_model
from i2i.training.build import build_trainer
from i2i.training.ema import EMA, HistoricalAverage
from i2i.training.noise import InstanceNoise
from i2i.training.trainer import Trainer
from shrunk import batch_for, shrunk


class Nothing(NamedTuple):
    values: Tensor


class Bilinear(Model):
    """x minimises x y, y maximises it: the only equilibrium is (0, 0)."""

    data = "numbers"
    generators = ("x",)
    players: ClassVar = {"first": ("x",), "second": ("y",)}
    terms: ClassVar = {"first": ("product",), "second": ("product",)}

    def __init__(self) -> None:
        super().__init__()
        self.x, self.y = nn.Linear(1, 1, bias=False), nn.Linear(1, 1, bias=False)
        nn.init.ones_(self.x.weight)
        nn.init.ones_(self.y.weight)

    @classmethod
    def assemble(cls, kit: Any) -> Self:
        raise AssertionError

    def play(self, batch: Nothing, clock: Clock) -> Play:
        def product() -> Tensor:
            return self.x.weight.squeeze() * self.y.weight.squeeze()

        yield "first", Objective({"product": 1.0})(product=product)
        yield "second", Objective({"product": -1.0})(product=product)

    def visualize(self, batch: Any) -> dict[str, Tensor]:
        raise AssertionError

    def validation_step(self, batch: Any) -> dict[str, Tensor]:
        raise AssertionError

    def generate(self, batch: Any) -> dict[str, Generated]:
        raise AssertionError


def distances(steps: int, **arguments: Any) -> list[float]:
    """How far from its equilibrium the game is after each step."""
    trainer = Trainer(Bilinear(), lambda player, p: torch.optim.SGD(p, lr=0.1), **arguments)
    model: Any = trainer.model
    found = []
    for _ in range(steps):
        trainer.step(Nothing(torch.zeros(1)))
        found.append(math.hypot(model.x.weight.item(), model.y.weight.item()))
    return found


def test_historical_averaging_ends_a_game_that_would_circle_for_ever() -> None:
    circling = distances(600)
    assert min(circling[-100:]) > 1.2
    assert max(circling[-100:]) < 1.7
    drawn_in = distances(600, historical_averaging=0.1)
    assert max(drawn_in[-100:]) < 0.05


def test_historical_averaging_is_the_gradient_of_the_squared_distance_from_the_mean() -> None:
    weight = nn.Parameter(torch.tensor([1.0, 2.0]))
    idle = nn.Parameter(torch.tensor([9.0]))
    history = HistoricalAverage([weight, idle], weight=0.5)
    past = []
    for value in ([1.0, 2.0], [4.0, 0.0], [1.0, 1.0]):
        with torch.no_grad():
            weight.copy_(torch.tensor(value))
        history.update()
        past.append(value)
    with torch.no_grad():
        weight.copy_(torch.tensor([3.0, 5.0]))
    weight.grad = torch.tensor([10.0, 20.0])
    distance = history.pull(torch.tensor(4.0))
    expected = np.array([3.0, 5.0]) - np.mean(past, axis=0)
    assert distance.item() == pytest.approx((expected**2).sum())
    assert weight.grad.tolist() == pytest.approx((np.array([10, 20]) + 4 * expected).tolist())
    assert idle.grad is None
    # Files once held the count as a number.
    again = HistoricalAverage([weight, idle], weight=0.5)
    again.load_state_dict({"turns": 3, "mean": history.mean})
    assert again.state_dict()["turns"] == history.state_dict()["turns"] == 3
    history.update()
    again.update()
    np.testing.assert_allclose(history.mean[0], np.mean([*past, [3.0, 5.0]], axis=0), rtol=1e-6)
    assert torch.equal(again.mean[0], history.mean[0])


@pytest.mark.parametrize("share", [0.05, 0.2])
def test_wrong_labels_bound_how_sure_a_discriminator_gets(share: float) -> None:
    """Where the truth is plain, its best score is log((1 - p) / p), not infinite."""
    torch.manual_seed(0)
    adversarial = Adversarial("vanilla", label_noise=share)
    scores = torch.zeros(2, requires_grad=True)
    optimizer = torch.optim.Adam([scores], lr=0.1)
    for step in range(400):
        optimizer.param_groups[0]["lr"] = 0.2 / (1 + step / 10)
        optimizer.zero_grad()
        real, fake = scores[:1].expand(20_000), scores[1:].expand(20_000)
        (adversarial.real(real) + adversarial.fake(fake)).backward()
        optimizer.step()
    best = math.log((1 - share) / share)
    assert scores.tolist() == pytest.approx([best, -best], abs=0.06)


def test_labels_are_smoothed_on_one_side_or_on_both() -> None:
    for settings, real, fake in (
        (["adversarial.label_smoothing=0.1"], 0.9, 0.0),
        (["adversarial.label_smoothing=0.1", "adversarial.fake_label_smoothing=0.2"], 0.9, 0.2),
    ):
        for recipe in ("dcgan", "pix2pix", "stargan", "cyclegan"):
            more = ["adversarial.loss=vanilla"]
            adversarial: Any = build_model(shrunk(recipe, *more, *settings)).adversarial
            assert (adversarial.real_label, adversarial.fake_label) == (real, fake)
    both = Adversarial("vanilla", real_label=0.9, fake_label=0.2)
    for cost, label in ((both.real, 0.9), (both.fake, 0.2)):
        best = torch.tensor([math.log(label / (1 - label))], requires_grad=True)
        (slope,) = torch.autograd.grad(cost(best), best)
        assert slope.item() == pytest.approx(0, abs=1e-7)


class Slope(nn.Module):
    """The score of an image of one pixel is a multiple of it."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(()))

    def forward(self, images: Tensor) -> Tensor:
        return self.weight * images.flatten(1)


def learnt_slope(deviation: float) -> float:
    """A discriminator between images that are all 1 and images that are all -1."""
    torch.manual_seed(0)
    network = Slope()
    if deviation:
        InstanceNoise(deviation, 1.0, [network])
    optimizer = torch.optim.Adam(network.parameters(), lr=0.1)
    images = torch.ones(4000, 1, 1, 1)
    adversarial = Adversarial("vanilla")
    for step in range(200):
        optimizer.param_groups[0]["lr"] = 0.3 / (1 + step / 30)
        optimizer.zero_grad()
        loss = adversarial.real(network(images)) + adversarial.fake(network(-images))
        loss.backward()
        optimizer.step()
    return network.weight.item()


def test_instance_noise_bounds_the_best_discriminator_between_two_points() -> None:
    """Of N(1, s) and N(-1, s) the log-ratio of densities is 2 x / s**2."""
    assert learnt_slope(1.0) == pytest.approx(2, abs=0.1)
    assert learnt_slope(0.8) == pytest.approx(2 / 0.64, abs=0.15)
    assert learnt_slope(0.0) > 5  # and rising


def test_instance_noise_fades_away_at_its_share_of_the_run() -> None:
    network = nn.Identity()
    noise = InstanceNoise(0.5, 0.4, [network])
    torch.manual_seed(0)
    for share, deviation in ((0.0, 0.5), (0.2, 0.25), (0.4, 0.0), (0.9, 0.0)):
        noise.fade(share)
        added = network(torch.zeros(100, 1, 20, 20))
        assert added.std().item() == pytest.approx(deviation, abs=0.01)
    noise.fade(0.0)
    network.eval()
    assert not network(torch.zeros(1, 1, 2, 2)).any()


@pytest.mark.parametrize("recipe", ["dcgan", "pix2pix", "cyclegan", "stargan"])
def test_the_trainer_puts_instance_noise_on_what_discriminators_see(recipe: str) -> None:
    settings = ["adversarial.instance_noise=0.5", "adversarial.instance_noise_until=0.5"]
    settings += ["objective.gradient_penalty=0"] if recipe == "stargan" else []
    trainer = build_trainer(shrunk(recipe, *settings), length=4)
    judges = [m for name, m in trainer.model.named_children() if name.startswith("discriminator")]
    clean: dict[nn.Module, list[Tensor]] = {judge: [] for judge in judges}
    seen: dict[nn.Module, list[Tensor]] = {judge: [] for judge in judges}
    for judge in judges:
        judge.register_forward_pre_hook(
            lambda module, inputs: clean[module].append(inputs[0].detach()), prepend=True
        )
        judge.register_forward_pre_hook(
            lambda module, inputs: seen[module].append(inputs[0].detach())
        )
    for deviation in (0.5, 0.25, 0.0, 0.0):
        for judge in judges:
            clean[judge].clear(), seen[judge].clear()
        trainer.step(batch_for(trainer.model))
        for judge in judges:
            assert seen[judge]
            for before, after in zip(clean[judge], seen[judge], strict=True):
                assert (after - before).std().item() == pytest.approx(deviation, rel=0.15)


def normalised(values: np.ndarray, statistics: np.ndarray) -> np.ndarray:
    mean = statistics.mean((0, 2, 3), keepdims=True)
    deviation = np.sqrt(statistics.var((0, 2, 3), keepdims=True) + 1e-5)
    return np.asarray((values - mean) / deviation)


def test_a_mixed_batch_is_normalised_as_one() -> None:
    generator = np.random.default_rng(0)
    real = generator.normal(2.0, 1.0, (3, 2, 4, 4)).astype(np.float32)
    fake = generator.normal(-1.0, 0.5, (5, 2, 4, 4)).astype(np.float32)
    tensors = torch.from_numpy(real), torch.from_numpy(fake)
    apart = DiscriminatorOutputs(nn.BatchNorm2d(2), *tensors)
    together = DiscriminatorOutputs(norm := nn.BatchNorm2d(2), *tensors, together=True)
    mixture = np.concatenate([real, fake])
    for found, expected in (
        (apart.real, normalised(real, real)),
        (apart.fake, normalised(fake, fake)),
        (together.real, normalised(real, mixture)),
        (together.fake, normalised(fake, mixture)),
    ):
        np.testing.assert_allclose(found.detach().numpy(), expected, atol=1e-5)
    assert norm.running_mean is not None
    np.testing.assert_allclose(norm.running_mean.numpy(), 0.1 * mixture.mean((0, 2, 3)), rtol=1e-4)


@pytest.mark.parametrize("recipe", ["dcgan", "cgan", "pix2pix", "cyclegan", "stargan"])
def test_mixed_batches_change_nothing_but_batch_norm(recipe: str) -> None:
    fields = type(shrunk(recipe).discriminator).model_fields
    for norm in ("none", "batch") if "norm" in fields else ("none",):
        settings = [f"discriminator.norm={norm}"] if "norm" in fields else []
        settings += ["objective.gradient_penalty=0"] if recipe == "stargan" else []
        plain, mixed = (
            build_trainer(shrunk(recipe, *settings, f"game.mixed_batch={value}"))
            for value in ("false", "true")
        )
        for _ in range(2):
            expected = plain.step(batch_for(plain.model))
            found = mixed.step(batch_for(mixed.model))
        same = all(
            torch.allclose(found[name], value, atol=1e-5)
            for name, value in expected.items()
            if "accuracy" not in name
        )
        assert same == (norm == "none")


def test_feature_matching_is_the_distance_of_means_and_reaches_the_generated_only() -> None:
    generator = np.random.default_rng(0)
    fake, real = generator.normal(size=(4, 7)), generator.normal(size=(6, 7))
    tensors = [torch.tensor(values, requires_grad=True) for values in (fake, real)]
    value = feature_matching(*tensors)
    assert value.item() == pytest.approx(((fake.mean(0) - real.mean(0)) ** 2).mean())
    value.backward()
    expected = 2 * (fake.mean(0) - real.mean(0)) / (4 * 7)
    assert tensors[0].grad is not None
    np.testing.assert_allclose(tensors[0].grad.numpy(), np.tile(expected, (4, 1)))
    assert tensors[1].grad is None


TERMS = {"cyclegan": ["objective.feature_matching_A=1", "objective.feature_matching_B=1"]}


@pytest.mark.parametrize("recipe", ["dcgan", "gan", "sagan", "pix2pix", "cyclegan", "stargan"])
def test_feature_matching_moves_the_generator_alone(recipe: str) -> None:
    settings = TERMS.get(recipe, ["objective.feature_matching=1"])
    options = shrunk(recipe)
    off = [f"objective.{name}=0" for name, weight in options.objective.items() if weight]
    trainer = build_trainer(shrunk(recipe, *off, *settings, "game.n_critic=1"))
    before = {name: value.clone() for name, value in trainer.model.named_parameters()}
    losses = trainer.step(batch_for(trainer.model))
    assert any("feature_matching" in name for name in losses)
    moved = {
        name.split(".")[0].split("_")[0]
        for name, value in trainer.model.named_parameters()
        if not torch.equal(value, before[name])
    }
    assert moved == {"generator"}


def test_the_moving_average_takes_running_statistics_along() -> None:
    trainer = build_trainer(shrunk("dcgan", "train.ema_decay=0.9", "game.n_critic=2"))
    model: Any = trainer.model

    def now() -> dict[str, np.ndarray]:
        return {
            name: value.double().numpy().copy()
            for name, value in model.generator.state_dict().items()
            if not name.endswith("num_batches_tracked")
        }

    expected = now()
    assert {name.split(".")[-1] for name in expected} >= {"weight", "running_mean", "running_var"}
    for step in range(6):
        trainer.step(batch_for(model, seed=step))
        if step % 2:  # the generator has moved
            expected = {name: 0.9 * expected[name] + 0.1 * value for name, value in now().items()}
    assert trainer.ema is not None
    found = trainer.ema.state_dict()
    assert found.keys() == {f"generator.{name}" for name in expected}
    for name, value in expected.items():
        np.testing.assert_allclose(found[f"generator.{name}"].numpy(), value, atol=1e-6)


def test_the_moving_average_starts_from_the_first_weights() -> None:
    weight = torch.zeros(1)
    average = EMA([("weight", weight)], 0.5)
    for value in (4.0, 8.0):
        weight.fill_(value)
        average.update()
    assert average.state_dict()["weight"].item() == 5.0  # (0 + 4) / 2, then (2 + 8) / 2


@pytest.mark.parametrize(
    "setting", ["train.precision=fp32", "train.precision=fp16", "train.gradient_accumulation=2"]
)
@pytest.mark.parametrize("recipe", ["dcgan", "pix2pix"])
def test_the_gradient_norm_is_that_of_all_weights_of_a_player(recipe: str, setting: str) -> None:
    trainer = build_trainer(shrunk(recipe, setting, "generator.init_gain=0.2"))
    for scaler in trainer.precision.scalers.values():
        scaler.load_state_dict({**scaler.state_dict(), "scale": 64.0})  # nothing overflows
    expected = {}
    step = trainer.precision.step

    def watched(player: str, optimizer: torch.optim.Optimizer) -> None:
        scale = trainer.precision.scale(player)
        gradients = [
            p.grad.double().flatten() for p in trainer.parameters[player] if p.grad is not None
        ]
        norm = np.linalg.norm(torch.cat(gradients).numpy())
        expected[player] = norm / (1.0 if scale is None else scale.item())
        step(player, optimizer)

    trainer.precision.step = watched  # type: ignore[method-assign]
    losses = trainer.step(batch_for(trainer.model), closely=True)
    assert expected.keys() == {"generator", "discriminator"}
    for player, norm in expected.items():
        assert 0 < norm < 1e4
        assert losses[f"{player}/gradient_norm"].item() == pytest.approx(norm, rel=1e-4)
    assert not any("gradient_norm" in name for name in trainer.step(batch_for(trainer.model)))


@pytest.mark.parametrize(
    ("loss", "probability"),
    [("vanilla", lambda s: 1 / (1 + np.exp(-s))), ("least-squares", lambda s: s.clip(0, 1))],
)
def test_the_average_generated_error(
    loss: str, probability: Callable[[np.ndarray], np.ndarray]
) -> None:
    real, fake = np.array([0.5, 2.0, -1.0]), np.array([-2.0, 0.7, 0.1])
    judged = DiscriminatorOutputs(lambda scores: scores, torch.tensor(real), torch.tensor(fake))
    assert judged.readings() == {}  # nobody has asked for a score
    assert judged.real.shape == judged.fake.shape
    told = judged.readings(Adversarial(loss).probability, "_A")
    expected = ((probability(real) - 1) ** 2).mean() + (probability(fake) ** 2).mean()
    assert told["generated_error_A"].item() == pytest.approx(expected)
    assert told["score_real_A"].item() == pytest.approx(0.5)
    # real above -0.4: 2 of 3; fake below 0.5: 2 of 3
    assert told["accuracy_A"].item() == pytest.approx(2 / 3)
    assert "generated_error_A" not in judged.readings(Adversarial("wasserstein").probability, "_A")


@pytest.mark.parametrize("recipe", recipes())
def test_every_game_with_probabilities_logs_the_generated_error(recipe: str) -> None:
    options = shrunk(recipe)
    trainer = build_trainer(options)
    losses = trainer.step(batch_for(trainer.model))
    found = [name for name in losses if "generated_error" in name]
    assert bool(found) == (options.adversarial.loss in ("vanilla", "least-squares"))
    for name in found:
        assert 0 <= losses[name].item() < 4


def test_players_may_learn_at_different_rates() -> None:
    trainer = build_trainer(shrunk("sagan"))
    assert trainer.learning_rates(0) == {"generator": 1e-4, "discriminator": 4e-4}


@pytest.mark.parametrize("recipe", ["pix2pix", "stargan", "dcgan"])
def test_a_critic_is_clipped_and_nobody_else(recipe: str) -> None:
    trainer = build_trainer(shrunk(recipe, "adversarial.clip=0.005", "game.n_critic=1"))
    trainer.step(batch_for(trainer.model))
    model: Any = trainer.model
    largest = {
        name: max(p.abs().max().item() for p in network.parameters())
        for name, network in model.named_children()
    }
    assert largest["discriminator"] == pytest.approx(0.005)
    assert largest["generator"] > 0.02


class Towards(Bilinear):
    """x is drawn to 3 and y to 4, with gradients that are known."""

    def play(self, batch: Nothing, clock: Clock) -> Play:
        x, y = self.x.weight.squeeze(), self.y.weight.squeeze()
        yield "first", Objective({"product": 1.0})(product=lambda: 10 * x)
        yield "second", Objective({"product": 1.0})(product=lambda: 0.25 * y)


@pytest.mark.parametrize("name", ["sgd", "adam"])
def test_a_long_gradient_is_scaled_to_its_limit(name: str) -> None:
    def optimizer(player: str, parameters: Any) -> torch.optim.Optimizer:
        if name == "sgd":
            return torch.optim.SGD(parameters, lr=0.1)
        return torch.optim.Adam(parameters, lr=0.1, eps=1.0)  # which sees sizes through its epsilon

    trainer = Trainer(Towards(), optimizer, max_grad_norm=0.5)
    losses = trainer.step(Nothing(torch.zeros(1)), closely=True)
    model: Any = trainer.model
    for weight, gradient in ((model.x.weight, 0.5), (model.y.weight, 0.25)):
        moved = 0.1 * gradient if name == "sgd" else 0.1 * gradient / (gradient + 1.0)
        assert weight.item() == pytest.approx(1 - moved, rel=1e-5)
    assert losses["first/gradient_norm"].item() == 10  # as it was before
    assert losses["second/gradient_norm"].item() == 0.25


def test_the_limit_is_of_the_gradient_over_all_weights() -> None:
    options = shrunk("pix2pix", "optimizer.name=sgd", "optimizer.learning_rate=1")
    steps = {}
    for limit in (None, 1e-3):
        setting = [] if limit is None else [f"optimizer.max_grad_norm={limit}"]
        options = shrunk("pix2pix", "optimizer.name=sgd", "optimizer.learning_rate=1", *setting)
        torch.manual_seed(0)
        trainer = build_trainer(options)
        before = [p.detach().clone() for p in trainer.parameters["discriminator"]]
        trainer.step(batch_for(trainer.model))
        after = trainer.parameters["discriminator"]
        steps[limit] = torch.cat([(b - a).flatten() for a, b in zip(after, before, strict=True)])
    length = steps[None].norm()
    assert length > 2e-3
    assert torch.allclose(steps[1e-3], steps[None] * (1e-3 / length), rtol=1e-2, atol=1e-7)
