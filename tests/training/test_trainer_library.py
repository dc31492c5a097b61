"""The trainer in a program of one's own: its loop, its random state, its own networks and rates."""

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import ExponentialLR, LambdaLR
from torch.utils.data import DataLoader

import i2i
from i2i.config.recipes import load_options
from i2i.core.batch import Labelled, Pair, Unpaired
from i2i.data.loading.loader import make_loader
from i2i.data.sources import open_source, resolve_options
from i2i.errors import CheckpointError, DataError, OptionsError
from i2i.inference.about import describe_checkpoint
from i2i.inference.load import build_translator, load_model, load_translator
from i2i.models.build import build_model, data_kind, inference_mode
from i2i.runs.checkpoint import load_checkpoint
from i2i.runs.folder import Run
from i2i.training import session as train
from i2i.training.build import build_trainer, samples_before
from i2i.training.ema import EMA, averaging_note
from i2i.training.trainer import Trainer
from i2i.training.validation import Validation
from shrunk import batch_for, shrunk


def duel(rate: Any = lambda step: 1.0, **arguments: Any) -> Trainer:
    """A pix2pix at 16 pixels whose optimizers are plain gradient descent."""
    options = shrunk("pix2pix", "generator.dropout=false", "optimizer.name=sgd")
    return build_trainer(options, rate=rate, **arguments)


def weights_of(trainer: Trainer) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in trainer.model.named_parameters()}


# the loop of one's own


@pytest.mark.parametrize("length", [["train.epochs=2"], ["train.steps=5"]])
def test_a_loop_of_ones_own_does_what_a_training_does(
    facades: Path, tmp_path: Path, length: list[str]
) -> None:
    """Bit for bit, with a schedule that changes the rate and an average with a warm-up."""
    options = load_options(
        "pix2pix",
        *("generator.width=2", "discriminator.width=2", "generator.downs=2"),
        *("discriminator.layers=1", "train.batch_size=2", "data.workers=0"),
        *(f"data.root={facades}", "schedule.name=cosine", "train.ema_decay=0.9"),
        "train.ema_warmup=true",
        *length,
        size=16,
    )
    outcome = train.start(options, tmp_path / "runs", "run", device="cpu")
    trained = load_checkpoint(Run(outcome.folder).latest())

    options = resolve_options(options, data_kind(options))
    source = open_source(options, "paired")
    trainer = i2i.build_trainer(options, i2i.build_model(options), images=source.images)
    batches = make_loader(
        source.train,
        batch_size=samples_before(options),
        start=0,
        stop=outcome.steps,
        workers=0,
        pin_memory=False,
    )
    rates = []
    for batch in batches:
        rates.append(trainer.learning_rates(trainer.steps_done)["generator"])
        trainer.step(batch)
    assert trainer.steps_done == outcome.steps == trained["step"]
    assert rates[0] > rates[-1] > 0
    own = trainer.state_dict()
    for part in ("model", "average"):
        assert own[part].keys() == trained[part].keys()
        for name, value in own[part].items():
            assert torch.equal(value, trained[part][name]), name


def test_a_schedule_in_epochs_asks_for_the_number_of_images() -> None:
    options = load_options("pix2pix", "generator.width=2", "discriminator.width=2", size=64)
    with pytest.raises(OptionsError, match=r"'linear'\) counts epochs.*images=400"):
        build_trainer(options)
    trainer = build_trainer(options, images=10)
    # 200 epochs of 10 steps: the rate of epoch 100 is 1 - 1 / 101 of the first.
    assert trainer.learning_rates(999)["generator"] == pytest.approx(2e-4)
    assert trainer.learning_rates(1000)["generator"] == pytest.approx(2e-4 * (1 - 1 / 101))
    assert trainer.length == 2000


def test_what_is_saved_is_loaded_again_and_read_by_all(tmp_path: Path) -> None:
    options = shrunk("pix2pix", "train.ema_decay=0.5", "generator.dropout=false")
    straight, broken = build_trainer(options), build_trainer(options)
    batch = batch_for(straight.model)
    for _ in range(4):
        straight.step(batch)
    for _ in range(2):
        broken.step(batch)
    path = tmp_path / "mine.pt"
    broken.save(path)
    again = build_trainer(options)
    again.load(path)
    assert again.steps_done == 2
    for _ in range(2):
        again.step(batch)
    for name, value in straight.state_dict()["model"].items():
        assert torch.equal(value, again.state_dict()["model"][name])
    image = torch.rand(1, 3, 16, 16) * 2 - 1
    translator, _ = load_translator(path, device="cpu")
    assert broken.ema is not None
    with broken.ema.in_place():
        expected = build_translator(options, broken.model)(image)
    torch.testing.assert_close(translator(image), expected)
    assert "trained:    2 steps of 2" in describe_checkpoint(path)
    assert load_model(path)[0].to_dict() == options.to_dict()


def test_a_checkpoint_of_other_networks_is_refused_in_a_sentence(tmp_path: Path) -> None:
    build_trainer(shrunk("pix2pix")).save(tmp_path / "small.pt")
    other = build_trainer(shrunk("pix2pix", "generator.width=4"))
    with pytest.raises(CheckpointError, match=r"small\.pt does not fit this trainer \("):
        other.load(tmp_path / "small.pt")
    with pytest.raises(CheckpointError, match="could not be written"):
        other.save(tmp_path / "nowhere" / "mine.pt")


def test_the_image_grid_is_of_the_average_and_changes_nothing() -> None:
    options = shrunk("pix2pix", "train.ema_decay=0.5", "generator.dropout=false")
    trainer = build_trainer(options)
    batch = batch_for(trainer.model)
    for _ in range(2):
        trainer.step(batch)
    before = {name: value.clone() for name, value in trainer.model.state_dict().items()}
    grid = trainer.image_grid(batch)
    assert all(torch.equal(v, before[name]) for name, v in trainer.model.state_dict().items())
    assert trainer.model.training
    assert trainer.ema is not None
    plain = build_trainer(options)
    plain.model.load_state_dict(before)
    with trainer.ema.in_place():
        plain.model.load_state_dict(trainer.model.state_dict())
    plain.ema = None
    assert np.array_equal(np.asarray(plain.image_grid(batch)), np.asarray(grid))


# learning rates


def test_a_torch_scheduler_on_an_optimizer_is_respected() -> None:
    """Closed form: the rate of step n is 0.0002 * 0.5^n; the other player has the recipe's."""
    trainer = duel()
    batch = batch_for(trainer.model)
    scheduler = ExponentialLR(trainer.optimizers["generator"], 0.5)
    for step in range(4):
        assert scheduler.get_last_lr()[0] == pytest.approx(2e-4 * 0.5**step)
        before = weights_of(trainer)
        trainer.step(batch)
        assert trainer.optimizers["generator"].param_groups[0]["lr"] == scheduler.get_last_lr()[0]
        for name, weight in trainer.model.named_parameters():
            player = name.split(".")[0]
            rate = 2e-4 * 0.5**step if player == "generator" else 2e-4
            if player == "generator":  # nobody has cleared its gradient since it moved
                torch.testing.assert_close(weight, before[name] - rate * weight.grad)
        scheduler.step()
    assert trainer.learning_rates(4) == pytest.approx(
        {"generator": 2e-4 * 0.5**4, "discriminator": 2e-4}
    )


def test_a_rate_set_by_hand_stays_and_the_others_follow_the_schedule(tmp_path: Path) -> None:
    trainer = duel(rate=lambda step: 1 / (step + 1))
    batch = batch_for(trainer.model)
    trainer.step(batch)
    trainer.optimizers["discriminator"].param_groups[0]["lr"] = 0.0
    before = weights_of(trainer)
    for _ in range(2):
        trainer.step(batch)
    after = weights_of(trainer)
    for name, value in after.items():
        assert torch.equal(value, before[name]) == name.startswith("discriminator.")
    assert trainer.learning_rates(2) == pytest.approx({"generator": 2e-4 / 3, "discriminator": 0})
    trainer.save(tmp_path / "mine.pt")
    again = duel(rate=lambda step: 1 / (step + 1))
    again.load(tmp_path / "mine.pt")
    assert again.learning_rates(3) == pytest.approx({"generator": 5e-5, "discriminator": 0})
    again.step(batch)
    assert again.optimizers["discriminator"].param_groups[0]["lr"] == 0
    assert again.optimizers["generator"].param_groups[0]["lr"] == pytest.approx(2e-4 / 4)


def test_a_scheduler_that_changes_nothing_leaves_the_rate_with_the_recipe() -> None:
    trainer = duel(rate=lambda step: 1 / (step + 1))
    LambdaLR(trainer.optimizers["generator"], lambda step: 1.0)
    for _ in range(3):
        trainer.step(batch_for(trainer.model))
    assert trainer.learning_rates(2)["generator"] == pytest.approx(2e-4 / 3)


# random state


def everything_random() -> tuple[Any, ...]:
    _, keys, *rest = np.random.get_state()  # noqa: NPY002 (the global one is meant)
    return torch.get_rng_state().tolist(), random.getstate(), keys.tolist(), rest


@pytest.mark.parametrize("recipe", ["pix2pix", "cyclegan", "stargan", "dcgan"])
def test_the_random_state_of_the_process_is_untouched(recipe: str) -> None:
    options = shrunk(recipe)
    batch = batch_for(build_model(options))
    before = everything_random()
    model = build_model(options)
    trainer = build_trainer(options, model)
    trainer.step(batch)
    trainer.image_grid(batch)
    Validation([batch], inference_mode(options), sheet=1).measure(trainer)
    if model.data != "unconditional":
        domain = "red" if recipe == "stargan" else None
        build_translator(options, model)(torch.zeros(1, 3, 16, 16), domain)
    assert everything_random() == before


def test_a_loader_that_shuffles_keeps_its_own_orders() -> None:
    def orders(seed: int) -> list[list[int]]:
        torch.manual_seed(seed)
        trainer = duel()
        batch, found = batch_for(trainer.model), []
        for _ in range(2):
            loader = DataLoader(range(12), shuffle=True, batch_size=4)  # type: ignore[arg-type]
            found.append([int(number) for number in torch.cat(list(loader))])
            trainer.step(batch)
        return found

    one, other = orders(1), orders(2)
    assert one[1] != other[1]
    assert one[0] != one[1]
    assert orders(1) == one


# batches

GOOD = torch.zeros(2, 3, 16, 16)
BAD: dict[str, tuple[Any, str]] = {
    "a list": ([GOOD, GOOD], r"a list of 2 \(\(2, 3, 16, 16\), .*Pix2Pix learns from i2i\.Pair"),
    "a tensor": (GOOD, r"one tensor of the shape \(2, 3, 16, 16\)"),
    "a dictionary": ({"source": GOOD}, "with the keys source"),
    "another kind": (Unpaired(GOOD, GOOD), "a Unpaired of 2"),
    "arrays": (Pair(np.zeros((2, 3, 16, 16)), GOOD), "source of the batch is of type ndarray"),
    "int64": (Pair(GOOD.long(), GOOD), r"source of the batch is torch\.int64"),
    "floats of 0..255": (Pair(GOOD, GOOD + 200), r"values from 200 to 200.*x / 127\.5 - 1"),
    "slightly too much": (Pair(GOOD, GOOD - 1.02), r"values from -1\.02"),
    "not a number": (Pair(GOOD, GOOD / 0), r"values from nan"),
    "channels last": (Pair(GOOD.permute(0, 2, 3, 1), GOOD), r"channels are last: .*permute"),
    "one channel": (Pair(GOOD[:, :1], GOOD), r"the shape \(2, 1, 16, 16\).*source \(N, 3, H, W\)"),
    "no batch": (Pair(GOOD[0], GOOD[0]), r"the shape \(3, 16, 16\)"),
    "other counts": (Pair(GOOD, GOOD[:1]), "2 of source, 1 of target"),
    "nothing": (Pair(GOOD[:0], GOOD[:0]), "0 of source"),
    "other sizes": (Pair(GOOD, GOOD[:, :, :8]), "the same height and width"),
}


@pytest.mark.parametrize("name", BAD)
def test_wrong_batches_are_refused_with_what_is_wanted(name: str) -> None:
    batch, message = BAD[name]
    trainer = duel()
    before = weights_of(trainer)
    with pytest.raises(DataError, match=message):
        trainer.step(batch)
    assert trainer.steps_done == 0
    assert all(torch.equal(value, before[key]) for key, value in weights_of(trainer).items())


def test_labels_are_checked_where_somebody_is_told_them() -> None:
    trainer = build_trainer(shrunk("stargan"))
    images, labels, mask = batch_for(trainer.model)
    with pytest.raises(
        DataError, match=r"labels of the batch has the shape \(2,\).*labels \(N, 3\)"
    ):
        trainer.step(Labelled(images, labels.argmax(1), mask))
    trainer.step(Labelled(images, labels.long(), mask.bool()))  # whole numbers are as good
    untold = build_trainer(shrunk("dcgan"))
    images, *_ = batch_for(untold.model)
    untold.step(Labelled(images, torch.zeros(2, 0), torch.zeros(2, 0)))


def test_numbers_of_another_precision_become_those_of_the_weights() -> None:
    exact = torch.rand(2, 3, 16, 16, dtype=torch.float64) * 2 - 1
    found = []
    for batch in (Pair(exact, -exact), Pair(exact.float(), -exact.float())):
        found.append({k: v.item() for k, v in duel().step(batch).items()})
    assert found[0] == found[1]


def test_a_range_that_may_be_another_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    unit = torch.rand(2, 3, 16, 16)
    trainer = duel()
    for _ in range(2):
        trainer.step(Pair(unit, unit))
    (record,) = caplog.records
    assert "as if images were in 0..1" in record.getMessage()
    assert "2 * x - 1" in record.getMessage()
    caplog.clear()
    duel().step(Pair(unit, 2 * unit - 1))
    assert not caplog.records


def test_a_batch_that_cannot_be_cut_is_refused() -> None:
    trainer = build_trainer(shrunk("pix2pix", "train.gradient_accumulation=2"))
    with pytest.raises(DataError, match=r"A batch of 3 cannot be cut into 2"):
        trainer.step(batch_for(trainer.model, count=3))


# networks of one's own, frozen weights


class Odd(nn.Module):
    """Keeps every size that is a multiple of six."""

    def __init__(self) -> None:
        super().__init__()
        self.down = nn.Conv2d(3, 4, 4, stride=4)
        self.norm = nn.BatchNorm2d(4)
        self.drop = nn.Dropout(0.5)
        self.up = nn.ConvTranspose2d(4, 3, 4, stride=4)

    def forward(self, images: Tensor) -> Tensor:
        made: Tensor = self.up(self.drop(self.norm(self.down(images)))).tanh()
        return made


def test_any_module_that_maps_images_to_images_is_a_generator() -> None:
    options = shrunk("pix2pix", "train.ema_decay=0.5")
    model = build_model(options)
    model.generator = Odd()
    trainer = build_trainer(options, model)
    before = weights_of(trainer)
    trainer.step(batch_for(model))
    assert all(not torch.equal(v, before[k]) for k, v in weights_of(trainer).items() if "up" in k)
    translator = build_translator(options, model)
    assert model.generator.multiple == 4  # found by trying
    assert translator(torch.zeros(1, 3, 10, 15)).shape == (1, 3, 10, 15)
    assert trainer.image_grid(batch_for(model)).width > 3 * 16


def test_a_network_that_keeps_no_size_is_refused() -> None:
    options = shrunk("pix2pix")
    model = build_model(options)
    model.generator = nn.Conv2d(3, 3, 3)
    with pytest.raises(OptionsError, match=r"Conv2d maps no image of 3 channels .* became"):
        build_translator(options, model)


@pytest.mark.parametrize("recipe", ["pix2pix", "cyclegan"])
def test_frozen_weights_do_not_move_a_bit(recipe: str) -> None:
    options = shrunk(recipe, "train.historical_averaging=0.1", "train.ema_decay=0.5")
    model = build_model(options)
    trainer = build_trainer(options, model)
    trainer.step(batch_for(model))  # and their momentum does not move them either
    frozen = [n for n, _ in model.named_parameters() if n.startswith(model.generators[0])][:3]
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name not in frozen)
    before = weights_of(trainer)
    for _ in range(2):
        losses = trainer.step(batch_for(model), closely=True)
    after = weights_of(trainer)
    assert all(torch.equal(after[name], before[name]) for name in frozen)
    moved = [name for name in after if not torch.equal(after[name], before[name])]
    assert len(moved) > len(after) / 2
    assert all(value.isfinite() for value in losses.values())


def test_a_player_that_is_frozen_altogether_rests() -> None:
    trainer = duel()
    for parameter in trainer.parameters["discriminator"]:
        parameter.requires_grad_(False)
    before = weights_of(trainer)
    losses = trainer.step(batch_for(trainer.model), closely=True)
    assert {"discriminator/real", "generator/l1", "generator/gradient_norm"} <= losses.keys()
    assert "discriminator/gradient_norm" not in losses
    for name, value in weights_of(trainer).items():
        if name.startswith("discriminator"):
            assert torch.equal(value, before[name])


def test_dropout_without_a_layer_is_said() -> None:
    model = build_model(load_options("pix2pix", "generator.downs=5", "generator.width=2", size=64))
    (notice,) = model.notices
    assert notice.startswith("generator.dropout and inference.dropout (=true) have no effect")
    assert "downs = 5" in notice
    assert not build_model(load_options("pix2pix", "generator.width=2", size=64)).notices
    assert not build_model(load_options("cyclegan", "generator.width=2")).notices


# the moving average


def test_an_average_with_a_warmup_soon_forgets_the_fresh_weights() -> None:
    """Closed form: a_t = a_(t-1) + max(1 - decay, 9 / (t + 9)) (w_t - a_(t-1))."""
    weight = torch.zeros(1, dtype=torch.float64)
    average = EMA([("w", weight)], 0.99, warmup=True)
    expected = 0.0
    for step in range(1, 1201):
        weight.fill_(step**0.5)
        average.update()
        expected += max(0.01, 9 / (step + 9)) * (step**0.5 - expected)
        if step == 300:
            saved = {k: v.clone() for k, v in average.state_dict().items()}
            updates = average.updates.clone()  # type: ignore[union-attr]
    assert average.mean[0].item() == pytest.approx(expected, rel=1e-12)
    again = EMA([("w", torch.zeros(1, dtype=torch.float64))], 0.99, warmup=True)
    again.load_state_dict(saved, updates)
    for step in range(301, 1201):
        again.live[0].fill_(step**0.5)
        again.update()
    assert torch.equal(again.mean[0], average.mean[0])
    fresh = EMA([("w", torch.ones(1, dtype=torch.float64))], 0.999, warmup=True)
    fresh.live[0].fill_(0.0)
    for _ in range(100):
        fresh.update()
    assert fresh.mean[0].item() < 1e-6 < 0.9 < 0.999**100


def test_that_the_average_is_shown_is_said(said: list[str]) -> None:
    build_trainer(shrunk("pix2pix", "train.ema_decay=0.999", "train.steps=300"))
    assert "moving average" in said[0]
    assert "after 300 steps it still holds 74% of the fresh weights" in said[0]
    assert "fresh" not in averaging_note(0.999, True, 300)
    assert "fresh" not in averaging_note(0.99, False, 1000)
