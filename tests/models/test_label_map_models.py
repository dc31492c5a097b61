"""pix2pixHD and SPADE, which learn from label maps, against recorded trainings; their switches."""

import os
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from i2i.config import Options
from i2i.config.recipes import load_options
from i2i.core.batch import Pair
from i2i.core.model import Clock
from i2i.core.registry import register_network
from i2i.data.sides import sides_of
from i2i.errors import OptionsError
from i2i.losses.adversarial import Adversarial
from i2i.losses.multiscale import over_scales
from i2i.models.build import build_model
from i2i.training.build import build_trainer
from recordings import Recording, plain_norm, spade_norm, trajectories
from shrunk import batch_for, shrunk


def with_labels(config: dict[str, Any]) -> list[str]:
    """The settings of a recording's label maps."""
    settings = ["data.A.kind=labels", f"data.A.classes={config['label_nc']}"]
    if config["instance"]:
        settings.append("data.A.instances=objects")
    if config.get("dont_care"):
        settings += ["data.A.ignore=[255]", "data.A.ignore_plane=true"]
    return settings


def maps(record: Recording, step: int) -> Tensor:
    """Label maps as a data set gives them: classes, then the objects in three bytes."""
    parts = [record.batch("label", step).byte()]
    if record.config["instance"]:
        objects = record.batch("instance", step).int()
        parts += [(objects >> 8 * n & 255).byte() for n in range(3)]
    return torch.cat(parts, dim=1)


def play_through(
    record: Recording, options: Options, roles: dict[str, str], columns: list[str]
) -> None:
    """Train as recorded, and compare losses and weights."""
    model = build_model(options)
    played = {name: record.start(name, model.get_submodule(ours)) for name, ours in roles.items()}
    noise = [[]]
    if "E" in roles:
        model.noise = lambda like: noise[0].pop(0)
    trainer = build_trainer(options, model, images=400)
    assert options.data.input_channels == trainer.sides.labels[0].planes
    found = []
    for step in range(record.config["steps"]):
        if "E" in roles:
            noise[0] = list(record.batch("noise", step))
        losses = trainer.step(Pair(maps(record, step), record.batch("image", step)))
        weighed = ("generator/feature_matching", "generator/kl")  # recorded with their weights
        found.append(
            [
                losses[name] * (options.objective[name[10:]] if name in weighed else 1)
                for name in columns
            ]
        )
    record.check(found, **played)


@pytest.mark.usefixtures("in_float64")
@pytest.mark.parametrize("path", trajectories("pix2pixhd"), ids=lambda path: path.stem)
def test_published_steps_of_pix2pixhd(path: Path) -> None:
    """The turns are simultaneous: all losses are of the networks before either moves."""
    record = Recording(path)
    config = record.config
    local = config["generator"] != "global"
    options = load_options(
        "pix2pixhd",
        *with_labels(config),
        f"generator.network=pix2pixhd-{'enhancer' if local else 'global'}",
        f"generator.width={config['nf_generator']}",
        f"generator.downs={config['downs']}",
        f"generator.blocks={config['blocks']}",
        f"generator.norm={config['norm']}",
        f"discriminator.width={config['nf_discriminator']}",
        f"discriminator.layers={config['layers']}",
        f"discriminator.scales={config['scales']}",
        f"discriminator.norm={config['norm']}",
        size=config["size"][0],
    )
    assert options.objective["feature_matching"] == config["lambda_feat"]
    assert options.optimizer.learning_rate == config["lr"]
    columns = ["generator/adversarial", "generator/feature_matching"]
    columns += ["discriminator/real", "discriminator/fake"]
    play_through(record, options, {"G": "generator", "D": "discriminator"}, columns)


def spade_options(record: Recording) -> Options:
    config = record.config
    norm = spade_norm(config["norm_generator"])
    more = [f"style_encoder.width={config['nf_generator']}"] if config["vae"] else []
    return load_options(
        "spade-vae" if config["vae"] else "spade",
        *with_labels(config),
        *more,
        f"generator.width={config['nf_generator']}",
        f"generator.norm={norm['norm']}",
        f"generator.kernel={norm['kernel']}",
        f"generator.upsampling={config['upsampling']}",
        f"discriminator.width={config['nf_discriminator']}",
        f"discriminator.layers={config['layers']}",
        f"discriminator.scales={config['scales']}",
        f"discriminator.norm={plain_norm(config['norm_discriminator'])}",
        f"train.batch_size={config['batch']}",
        f"data.load_size={config['size'][0]}",
        f"data.crop_size={config['size'][0]}",
    )


ASKED_FOR = pytest.mark.skipif(
    "I2I_SLOW" not in os.environ, reason="256 pixels in float64, 76 s of a processor: set I2I_SLOW"
)
LARGE = [
    pytest.param(path, marks=[pytest.mark.slow, ASKED_FOR]) for path in trajectories("spade_vae")
]


@pytest.mark.usefixtures("in_float64")
@pytest.mark.parametrize("path", trajectories("spade") + LARGE, ids=lambda path: path.stem)
def test_published_steps_of_spade(path: Path) -> None:
    """The generator's turn first; then another fake of the generator that has moved."""
    record = Recording(path)
    options = spade_options(record)
    assert options.optimizer.player_learning_rates == {
        "generator": record.config["lr"] / 2,
        "discriminator": record.config["lr"] * 2,
    }
    columns = ["generator/adversarial", "generator/feature_matching"]
    columns += ["discriminator/fake", "discriminator/real"]
    roles = {"G": "generator", "D": "discriminator"}
    if record.config["vae"]:
        columns.insert(0, "generator/kl")
        roles["E"] = "style_encoder"
    play_through(record, options, roles, columns)


def test_scores_of_each_scale_are_compared_with_those_of_the_other_side_there() -> None:
    loss = Adversarial("relativistic")
    real, fake = [torch.zeros(1, 1, 4, 4), torch.ones(1, 1, 2, 2)], [torch.ones(1, 1, 4, 4)] * 2
    fake[1] = torch.full((1, 1, 2, 2), 3.0)
    found = over_scales(loss.fool, fake, rivals=real)
    softplus = torch.nn.functional.softplus
    expected = softplus(torch.tensor(-1.0)) + softplus(torch.tensor(-2.0))
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("recipe", ["pix2pixhd", "spade"])
@pytest.mark.parametrize("loss", ["vanilla", "wasserstein", "relativistic"])
def test_other_losses_of_several_scales(recipe: str, loss: str) -> None:
    options = shrunk(recipe, f"adversarial.loss={loss}")
    model = build_model(options)
    losses = build_trainer(options, model, images=4).step(batch_for(model))
    assert all(value.isfinite() for value in losses.values())


COARSE = ("game.coarse=0.5", "game.fixed_global=0.25", "train.steps=8")


def weights(model: Any, prefix: str) -> dict[str, Tensor]:
    return {
        name: value.detach().clone()
        for name, value in model.generator.named_parameters()
        if name.startswith(prefix)
    }


def test_each_phase_from_coarse_to_fine_moves_its_own_part() -> None:
    options = shrunk("pix2pixhd-local", *COARSE, "generator.downs=1")
    model = build_model(options)
    trainer = build_trainer(options, model, images=8, length=8)
    batch = batch_for(model)
    moved = []
    for _ in range(8):
        before = {part: weights(model, part) for part in ("model.", "model1_", "coarse_head")}
        trainer.step(batch)
        moved.append(
            "".join(
                part[5] if part.startswith("model") else "h"
                for part, old in before.items()
                if any(not torch.equal(v, old[k]) for k, v in weights(model, part).items())
            )
        )
    assert moved == [".h"] * 4 + ["1"] * 2 + [".1"] * 2


def test_the_optimizers_forget_where_a_phase_begins() -> None:
    model = build_model(shrunk("pix2pixhd-local", *COARSE, "generator.downs=1"))
    forgets = [model.resets_optimizers(Clock(step, step / 8)) for step in range(8)]
    assert [step for step, each in enumerate(forgets) if each] == [4, 6]


def test_phases_need_enhancers() -> None:
    with pytest.raises(OptionsError, match=r"take generator\.network = .pix2pixhd-enhancer"):
        build_model(shrunk("pix2pixhd", "game.fixed_global=0.5"))


def test_a_perceptual_term_compares_what_any_registered_network_sees() -> None:
    class Halves(torch.nn.Module):
        def forward(self, images: Tensor) -> list[Tensor]:
            return [images, images / 2]

    register_network("features", "halves")(Halves)
    options = shrunk("pix2pixhd", "game.perceptual_features=halves", "objective.perceptual=1")
    model = build_model(options)
    batch = batch_for(model)
    source, target = (images.float() / 127.5 - 1 for images in batch)
    fake = model.generator(source)
    expected = (fake - target).abs().mean() * 0.75  # the mean of the whole and the half of it
    turns = model.play(Pair(source, target), Clock(0))
    _, loss = next(turns)
    torch.testing.assert_close(loss.terms["perceptual"], expected.detach())
    with pytest.raises(OptionsError, match="Did you mean 'halves'"):
        build_model(shrunk("spade", "game.perceptual_features=halfs", "objective.perceptual=1"))


def test_a_style_changes_the_image_and_none_is_drawn_where_there_is_no_encoder() -> None:
    model = build_model(shrunk("spade-vae"))
    model.eval()
    source = torch.zeros(1, 3, 16, 16)
    assert not torch.equal(model.translated(source), model.translated(source))
    model = build_model(shrunk("spade")).eval()
    assert torch.equal(model.translated(source), model.translated(source))


def test_several_answers_for_the_same_label_maps() -> None:
    model = build_model(shrunk("spade-vae")).eval()
    source = torch.zeros(2, 3, 16, 16)
    batch = Pair(source, source)
    made = model.generate(batch)["output"]
    # The same maps, so that the other answer of each is the output of the other.
    assert made.again is not None
    torch.testing.assert_close(made.again, made.outputs.roll(1, 0))
    assert model.generate(Pair(source[:1], source[:1]))["output"].again is None
    assert build_model(shrunk("spade")).eval().generate(batch)["output"].again is None


def test_planes_of_label_maps_reach_the_networks() -> None:
    options = shrunk("spade", "data.A.kind=labels", "data.A.classes=5", "data.A.instances=objects")
    assert sides_of(options).labels[0] is not None
    model = build_model(options)
    assert model.generator.fc.in_channels == 6
    assert options.data.input_channels == 6
