"""StyleGAN2 and R3GAN through the trainer against recorded trainings of the authors' code.

The trainings were recorded in float64 with every random number that they drew; here those stand in
for the random numbers of a step, in the order in which the model draws them.
"""

import json
from collections.abc import Iterator
from itertools import chain
from typing import Any

import pytest
import torch
from torch import Tensor

from i2i.config.recipes import load_options
from i2i.core.batch import Labelled
from i2i.core.latent import Latent
from i2i.models import stylegan2
from i2i.models.build import build_model
from i2i.networks.augment import AdaptiveProbability, AugmentPipe
from i2i.networks.stylegan2 import SynthesisLayer
from i2i.training.anneal import Anneal
from i2i.training.build import build_trainer
from i2i.training.trainer import Trainer
from recorded import weights_error
from vectors import Vectors, load

BOUND = 1e-9

pytestmark = pytest.mark.usefixtures("in_float64")


def unlabelled(images: Tensor) -> Labelled:
    return Labelled(images, torch.zeros(len(images), 0), torch.ones(len(images), 0))


def trainer_of(record: Vectors, recipe: str, *settings: str) -> Trainer:
    options = load_options(recipe, *settings)
    model = build_model(options)
    constants = ("resample_filter", "Kernel")
    load(model.generator, record.below("initial.G."), constants=constants)
    load(model.discriminator, record.below("initial.D."), constants=constants)
    return build_trainer(options, model)


def column(record: Vectors, name: str) -> Tensor:
    return record["losses"][:, json.loads(record.metadata["columns"]).index(name)]


def assert_same_column(record: Vectors, name: str, found: list[float]) -> None:
    expected = column(record, name)
    played = ~expected.isnan()
    ours = torch.tensor(found)
    assert torch.equal(ours.isnan(), expected.isnan()), name
    scale = expected[played].abs().max()
    assert ((ours - expected)[played].abs().max() / scale).item() < BOUND, name


def assert_same_end(record: Vectors, trainer: Trainer) -> None:
    model: Any = trainer.model
    assert weights_error(model.generator, record.below("final.G.")) < BOUND
    assert weights_error(model.discriminator, record.below("final.D.")) < BOUND
    assert trainer.ema is not None
    with trainer.ema.in_place():
        assert weights_error(model.generator, record.below("final.G_ema.")) < BOUND


def read(losses: dict[str, Tensor], name: str, factor: float = 1.0) -> float:
    return losses[name].item() * factor if name in losses else float("nan")


class Script:
    """The random numbers of StyleGAN2's phases, one after the other."""

    def __init__(self, record: Vectors, monkeypatch: pytest.MonkeyPatch) -> None:
        self.record = record
        self.now: Iterator[Tensor] = iter(())
        self.phases = {"Gmain": 0, "Greg": 0, "Dmain": 0}
        monkeypatch.setattr(Latent, "draw", lambda self_, count, device: next(self.now)[:count])
        monkeypatch.setattr(
            stylegan2, "draw_crossover", lambda layers, probability, device: self.crossover(layers)
        )
        monkeypatch.setattr(torch, "randn_like", lambda images: next(self.now))
        plain = SynthesisLayer.forward

        def forward(layer: Any, features: Tensor, w: Tensor, noise: Tensor | str) -> Tensor:
            return plain(layer, features, w, next(self.now) if noise == "random" else noise)

        monkeypatch.setattr(SynthesisLayer, "forward", forward)

    def crossover(self, layers: int) -> Tensor:
        chance, cutoff = next(self.now), next(self.now)
        return cutoff if chance < self.record.config["style_mixing_prob"] else torch.tensor(layers)

    def phase(self, name: str) -> Iterator[Tensor]:
        index = self.phases[name]
        self.phases[name] += 1
        drawn = {k: v[index] for k, v in self.record.below(f"batches.{name}.").items()}
        order = ["z"]
        if "mixing_z" in drawn:
            order += ["mixing_chance", "mixing_cutoff", "mixing_z"]
        layers = [name for name in drawn if name.startswith("noise.")]
        order += sorted(layers, key=lambda name: (int(name.split(".")[1][1:]), name))
        if "pl_noise" in drawn:
            order.append("pl_noise")
        return (drawn[name] for name in order)


def stylegan2_settings(config: dict[str, Any]) -> list[str]:
    size, batch = config["resolution"], config["batch"]
    widths = [f"channel_base={config['channel_base']}", f"channel_max={config['channel_max']}"]
    return [
        *(f"{role}.{each}" for role in ("generator", "discriminator") for each in widths),
        f"data.load_size={size}",
        f"data.crop_size={size}",
        f"data.output_channels={config['channels']}",
        f"latent.size={config['z_dim']}",
        f"generator.style={config['w_dim']}",
        f"generator.mapping_layers={config['mapping_layers']}",
        f"discriminator.architecture={config['architecture']}",
        f"discriminator.group={config['mbstd_group_size']}",
        f"game.style_mixing={config['style_mixing_prob']}",
        f"game.path_length_shrink={config['pl_batch_shrink']}",
        f"game.path_length_decay={config['pl_decay']}",
        f"objective.path_length={config['pl_weight']}",
        f"objective.r1={config['r1_gamma']}",
        f"every.path_length={config['G_reg_interval']}",
        f"every.r1={config['D_reg_interval']}",
        f"optimizer.learning_rate={config['lr']}",
        f"optimizer.betas={config['betas']}",
        f"train.batch_size={batch}",
        f"train.steps={config['steps']}",
        f"train.average_half_life={config['ema_kimg'] * 1000}",
        f"train.average_ramp={config['ema_rampup']}",
    ]


def test_stylegan2_is_the_published_training(monkeypatch: pytest.MonkeyPatch) -> None:
    record = Vectors("trajectory_stylegan2")
    config = record.config
    trainer = trainer_of(record, "stylegan2", *stylegan2_settings(config))
    model: Any = trainer.model
    script = Script(record, monkeypatch)
    found: dict[str, list[float]] = {}
    for step in range(config["steps"]):
        lazily = step % config["G_reg_interval"] == 0
        phases = ["Gmain", "Greg", "Dmain"] if lazily else ["Gmain", "Dmain"]
        script.now = chain.from_iterable([script.phase(name) for name in phases])
        losses = trainer.step(unlabelled(record["batches.real"][step]))
        assert next(script.now, None) is None
        row = {
            "G": read(losses, "generator/adversarial"),
            "pl_penalty": read(losses, "generator/path_length"),
            "pl_mean": model.path_length.item() if lazily else float("nan"),
            "D": read(losses, "discriminator/real") + read(losses, "discriminator/fake"),
            "D_score_real": read(losses, "discriminator/score_real"),
            "D_score_fake": read(losses, "discriminator/score_fake"),
            "r1_penalty": read(losses, "discriminator/r1", 2),
        }
        for name, value in row.items():
            found.setdefault(name, []).append(value)
    for name, values in found.items():
        assert_same_column(record, name, values)
    assert_same_end(record, trainer)


class Augmented:
    """What the authors' augmentation does to all that a discriminator sees: its input is changed in
    front of it, so that slopes are those at the images before that."""

    def __init__(self, record: Vectors, discriminator: Any) -> None:
        self.pipe = AugmentPipe(record.config["augment"], 0.0).double()
        self.seen: list[tuple[str, Tensor]] = []
        self.draws: Iterator[tuple[str, dict[str, Tensor]]] = iter(())
        self.side = ""
        discriminator.register_forward_pre_hook(self.change)
        discriminator.register_forward_hook(self.note)

    def change(self, _: Any, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
        self.side, drawn = next(self.draws)
        return self.pipe.transform(inputs[0], drawn), *inputs[1:]

    def note(self, _: Any, inputs: Any, scores: Tensor) -> None:
        self.seen.append((self.side, scores.detach()))


def augmentations(
    record: Vectors, passes: list[tuple[str, int, str]]
) -> Iterator[tuple[str, dict[str, Tensor]]]:
    """The numbers of the augmentation of each pass: (phase, index of the phase, side)."""
    for phase, index, side in passes:
        drawn = record.below(f"batches.{phase}.augment_{side}.")
        yield side, {name: values[index] for name, values in drawn.items()}


def test_stylegan2_for_cifar_is_the_published_training(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without skips, path lengths and mixing, under an augmentation that adapts itself."""
    record = Vectors("trajectory_stylegan2_cifar")
    config = record.config
    trainer = trainer_of(record, "stylegan2-cifar", *stylegan2_settings(config))
    model: Any = trainer.model
    script = Script(record, monkeypatch)
    augmented = Augmented(record, model.discriminator)
    adaptive = AdaptiveProbability(target=config["ada_target"], kimg=config["ada_kimg"]).double()
    augmented.pipe.p.fill_(config["augment_p"])
    found: dict[str, list[float]] = {}
    for step in range(config["steps"]):
        p = augmented.pipe.p.item()
        passes = [("Gmain", step, "fake"), ("Dmain", step, "fake"), ("Dmain", step, "real")]
        if step % config["D_reg_interval"] == 0:
            passes.append(("Dreg", step // config["D_reg_interval"], "real"))
        augmented.draws = augmentations(record, passes)
        augmented.seen.clear()
        script.now = chain(script.phase("Gmain"), script.phase("Dmain"))
        losses = trainer.step(unlabelled(record["batches.real"][step]))
        assert next(augmented.draws, None) is None
        for side, scores in augmented.seen:
            if side == "real":
                adaptive.observe(scores)
        if (step + 1) % config["ada_interval"] == 0:
            adaptive.adjust(augmented.pipe.p, config["batch"] * config["ada_interval"])
        row = {
            "p": p,
            "G": read(losses, "generator/adversarial"),
            "D": read(losses, "discriminator/real") + read(losses, "discriminator/fake"),
            "r1_penalty": read(losses, "discriminator/r1", 2),
        }
        for name, value in row.items():
            found.setdefault(name, []).append(value)
    for name, values in found.items():
        assert_same_column(record, name, values)
    assert_same_end(record, trainer)


@pytest.mark.parametrize("name", ["trajectory_r3gan", "trajectory_r3gan_augmented"])
def test_r3gan_is_the_published_training(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    record = Vectors(name)
    config = record.config
    classes = config["c_dim"]
    shape = [
        f"{role}.{ours}={config[theirs]}"
        for role in ("generator", "discriminator")
        for ours, theirs in (("width", "width"), ("groups", "cardinality"), ("blocks", "blocks"))
    ]
    gamma, half_life = config["gamma"], [2 * images for images in config["ema_nimg"]]
    trainer = trainer_of(
        record,
        "r3gan",
        *shape,
        f"data.load_size={4 * 2 ** (len(config['width']) - 1)}",
        f"data.crop_size={4 * 2 ** (len(config['width']) - 1)}",
        f"latent.size={config['noise']}",
        f"generator.embedding={config.get('embedding_G', 0)}",
        f"discriminator.embedding={config.get('embedding_D', 0)}",
        f"data.domains={[str(number) for number in range(classes)]}".replace("'", '"'),
        f"objective.r1={gamma[0]}",
        f"objective.r2={gamma[0]}",
        f"anneal.objective={{r1={gamma[1]}, r2={gamma[1]}}}",
        f"optimizer.learning_rate={config['lr'][0]}",
        f"anneal.learning_rate={config['lr'][1]}",
        f"optimizer.betas=[0, {config['beta2'][0]}]",
        f"anneal.beta2={config['beta2'][1]}",
        f"train.average_half_life={half_life[0]}",
        f"anneal.average_half_life={half_life[1]}",
        f"train.batch_size={2 * config['batch']}",
        f"train.steps={config['steps']}",
        f"anneal.until={config['decay_nimg'] / config['batch'] / config['steps']}",
    )
    model: Any = trainer.model
    augmented = Augmented(record, model.discriminator) if config["augment"] else None
    strength = Anneal(config["decay_nimg"] / config["batch"] / config["steps"])
    found: dict[str, list[float]] = {}
    for step in range(config["steps"]):
        if augmented is not None:
            augmented.pipe.p.fill_(strength.at(step / config["steps"], *config["p"]))
            passes = [("D", step, "real"), ("D", step, "fake")]
            passes += [("G", step, "fake"), ("G", step, "real")]
            augmented.draws = augmentations(record, passes)
        latents = iter([record["batches.D.z"][step], record["batches.G.z"][step]])
        monkeypatch.setattr(Latent, "draw", lambda self, count, device, of=latents: next(of))
        turns = [record["batches.D.real"][step], record["batches.G.real"][step]]
        real = torch.stack(turns, dim=1).flatten(0, 1)
        rate = trainer.learning_rates(step)["generator"]
        batch = unlabelled(real)
        if classes:
            told = [record.one_hot(f"batches.{turn}.label", classes)[step] for turn in "DG"]
            batch = Labelled(real, torch.stack(told, dim=1).flatten(0, 1), batch.mask)
        losses = trainer.step(batch)
        assert next(latents, None) is None
        row = {
            "D": read(losses, "discriminator/real") + read(losses, "discriminator/fake"),
            "r1": read(losses, "discriminator/r1", 2),
            "r2": read(losses, "discriminator/r2", 2),
            "G": read(losses, "generator/adversarial"),
            "lr": rate,
            "beta2": trainer.optimizers["generator"].param_groups[0]["betas"][1],
            "gamma": trainer.model.objectives["discriminator"].moving["r1"].item(),
        }
        for name, value in row.items():
            found.setdefault(name, []).append(value)
    for name, values in found.items():
        assert_same_column(record, name, values)
    assert_same_end(record, trainer)
