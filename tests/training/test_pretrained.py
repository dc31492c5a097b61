"""Runs that begin with the weights of others: what is taken over, what begins anew, what stays."""

from pathlib import Path
from typing import Any

import pytest
import torch
from commands import complaint
from torch import Tensor

from i2i.config import Options
from i2i.config.recipes import load_options
from i2i.core.model import Model
from i2i.errors import CheckpointError, OptionsError
from i2i.export.bundle import export_bundle
from i2i.models.build import build_model
from i2i.runs.checkpoint import load_checkpoint, save_checkpoint
from i2i.training.build import build_trainer
from i2i.training.freeze import frozen_names, layers
from i2i.training.pretrained import Begun, begin_from, recipe_of
from i2i.training.session import resume, start
from shrunk import batch_for, shrunk


def saved(path: Path, options: Options, average: bool = True) -> dict[str, Tensor]:
    """A checkpoint of weights that are all different, and these weights as they are used."""
    trainer = build_trainer(options, images=4)
    with torch.no_grad():
        for number, weight in enumerate(trainer.model.parameters()):
            weight.copy_(torch.arange(weight.numel()).view(weight.shape) / 64 + number)
        if trainer.ema is not None:
            for number, mean in enumerate(trainer.ema.mean):
                mean.copy_(torch.arange(mean.numel()).view(mean.shape) / 32 - number)
    trainer.save(path)
    state = load_checkpoint(path)
    return {**state["model"], **state["average"]}


def begun(path: Path, options: Options) -> tuple[Model, Begun]:
    train = options.train.model_copy(update={"init_from": str(path)})
    options = options.model_copy(update={"train": train})
    model = build_model(options)
    return model, begin_from(model, options)


@pytest.mark.parametrize("recipe", ["pix2pix", "cyclegan", "stargan", "stargan-v2", "dcgan"])
def test_a_run_like_the_other_begins_with_its_weights_as_they_are_used(
    tmp_path: Path, recipe: str
) -> None:
    options = shrunk(recipe, "train.ema_decay=0.5")
    theirs = saved(tmp_path / "a.pt", options)
    model, told = begun(tmp_path / "a.pt", shrunk(recipe, "train.seed=7"))
    assert told.anew == ()
    own = {k: v for k, v in model.state_dict().items() if isinstance(v, Tensor)}
    learnt = {name for names in model.players.values() for name in names}
    assert all(torch.equal(w, theirs[k]) for k, w in own.items() if k.partition(".")[0] in learnt)


def test_the_average_of_a_run_begins_with_the_weights_that_were_taken_over(tmp_path: Path) -> None:
    theirs = saved(tmp_path / "a.pt", shrunk("pix2pix", "train.ema_decay=0.5"))
    settings = ("train.ema_decay=0.9", f"train.init_from={tmp_path / 'a.pt'}")
    trainer = build_trainer(shrunk("pix2pix", *settings), images=4)
    assert trainer.ema is not None
    for name, mean in trainer.ema.state_dict().items():
        assert torch.equal(mean, theirs[name]), name


def test_domains_keep_theirs_by_name_when_there_are_more_of_them(tmp_path: Path) -> None:
    """From three to five, which come between each other in the alphabet."""
    old, new = ["blue", "green", "red"], ["amber", "blue", "red", "teal", "green"]
    theirs = saved(tmp_path / "a.pt", shrunk("stargan", f"data.domains={old}"))
    fresh = build_model(shrunk("stargan", f"data.domains={new}"))
    model, told = begun(tmp_path / "a.pt", shrunk("stargan", f"data.domains={new}"))
    assert set(told.anew) == {"generator.main.0.weight", "discriminator.conv2.weight"}
    first, before = "generator.main.0.weight", theirs["generator.main.0.weight"]
    own, untouched = model.state_dict()[first], fresh.state_dict()[first]
    assert torch.equal(own[:, :3], before[:, :3])
    logits, old_logits = (
        each["discriminator.conv2.weight"] for each in (model.state_dict(), theirs)
    )
    for at, name in enumerate(new):
        if name in old:
            assert torch.equal(own[:, 3 + at], before[:, 3 + old.index(name)])
            assert torch.equal(logits[at], old_logits[old.index(name)])
        else:
            assert torch.equal(own[:, 3 + at], untouched[:, 3 + at])


def test_layers_that_each_domain_has_follow_their_domain(tmp_path: Path) -> None:
    old, new = ["cat", "dog"], ["ape", "cat", "dog"]
    theirs = saved(tmp_path / "a.pt", shrunk("stargan-v2", f"data.domains={old}"))
    model, told = begun(tmp_path / "a.pt", shrunk("stargan-v2", f"data.domains={new}"))
    own = model.state_dict()
    for key in (key for key in theirs if ".unshared." in key):
        network, _, rest = key.partition(".unshared.")
        number, _, name = rest.partition(".")
        assert torch.equal(own[f"{network}.unshared.{int(number) + 1}.{name}"], theirs[key])
    assert any(name.startswith("mapping_network.unshared.0.") for name in told.anew)


def test_image_channels_that_both_have_are_kept(tmp_path: Path) -> None:
    """A discriminator of pairs sees the input's channels before those of the output."""
    theirs = saved(tmp_path / "a.pt", shrunk("pix2pix"))
    model, told = begun(tmp_path / "a.pt", shrunk("pix2pix", "data.input_channels=1"))
    first = "discriminator.model.0.weight"
    assert {name.partition(".")[0] for name in told.anew} <= {"generator", "discriminator"}
    assert torch.equal(model.state_dict()[first][:, 0], theirs[first][:, 0])
    assert torch.equal(model.state_dict()[first][:, 1:], theirs[first][:, 3:])


def test_at_twice_the_size_a_fully_convolutional_generator_keeps_everything(tmp_path: Path) -> None:
    theirs = saved(tmp_path / "a.pt", shrunk("stargan"))
    twice = load_options(shrunk("stargan"), "data.crop_size=32", "data.load_size=36")
    model, told = begun(tmp_path / "a.pt", twice)
    assert set(told.anew) == {"discriminator.conv2.weight"}  # it sees all of an image at once
    for key, weight in model.generator.state_dict().items():  # type: ignore[union-attr]
        assert torch.equal(weight, theirs[f"generator.{key}"])


def test_what_does_not_fit_is_refused_where_it_must(tmp_path: Path) -> None:
    saved(tmp_path / "a.pt", shrunk("pix2pix"))
    other = shrunk(
        "pix2pix", "generator.width=3", "discriminator.width=3", "train.init_strict=true"
    )
    with pytest.raises(OptionsError, match=r"train\.init_strict .*there \(2, 3, 4, 4\)"):
        begun(tmp_path / "a.pt", other)
    with pytest.raises(OptionsError, match=r"nothing of .* fits into this cyclegan"):
        begun(tmp_path / "a.pt", shrunk("cyclegan"))
    with pytest.raises(CheckpointError, match="neither a run folder nor a checkpoint"):
        begun(tmp_path / "b.pt", shrunk("pix2pix"))
    with pytest.raises(CheckpointError, match="is damaged"):
        Begun.read({"from": "x", "sha256": 3, "anew": []})


def test_a_recipe_of_a_checkpoint_has_its_networks_and_not_its_data(tmp_path: Path) -> None:
    options = shrunk("stargan", "data.root=/somewhere", 'train.freeze=["generator"]')
    saved(tmp_path / "a.pt", options)
    recipe = recipe_of(str(tmp_path / "a.pt"))
    assert recipe["generator"] == options.to_dict()["generator"]
    assert not {"root", "domains"} & recipe["data"].keys()
    assert "freeze" not in recipe["train"]


def test_a_part_is_an_encoder_a_range_of_layers_or_a_name() -> None:
    model = build_model(shrunk("pix2pix", "generator.downs=3"))
    encoder, decoder = (frozen_names(model, f"generator.{part}") for part in ("encoder", "decoder"))
    generator = {f"generator.{key}" for key in model.generator.state_dict()}  # type: ignore[operator,union-attr]
    assert encoder | decoder == generator
    assert not encoder & decoder
    convolutions = {
        f"generator.{name}.weight": type(module).__name__
        for name, module in model.generator.named_modules()  # type: ignore[operator,union-attr]
        if "Conv" in type(module).__name__
    }
    assert {convolutions[key] for key in encoder & convolutions.keys()} == {"Conv2d"}
    assert {convolutions[key] for key in decoder & convolutions.keys()} == {"ConvTranspose2d"}
    judge = model.get_submodule("discriminator")
    assert [layer[0] for layer in layers(judge)] == [
        *("model.0.weight", "model.2.weight", "model.5.weight")
    ]
    batch_norm = "discriminator.model.3.running_mean"  # behind the second layer
    assert batch_norm in frozen_names(model, "discriminator.1")
    assert batch_norm not in frozen_names(model, "discriminator.0")
    assert frozen_names(model, "*.model.*") == generator | frozen_names(model, "discriminator")
    for pattern, text in (("generatr", "Did you mean 'generator'"), ("generator.9", "layers 0-5")):
        with pytest.raises(OptionsError, match=text):
            frozen_names(model, pattern)


@pytest.mark.parametrize(
    ("recipe", "pattern"),
    [
        ("pix2pix", "generator.encoder"),
        ("pix2pix", "discriminator"),
        ("stargan", "generator.0-2"),
        ("dcgan", "generator"),
        ("sagan", "discriminator"),
        ("stylegan2", "generator.mapping"),
        ("stargan-v2", "style_encoder"),
    ],
)
def test_what_is_frozen_does_not_move_by_a_bit(recipe: str, pattern: str) -> None:
    settings = ("train.ema_decay=0.9",) if recipe != "stylegan2" else ()
    options = shrunk(recipe, f'train.freeze=["{pattern}"]', *settings)
    trainer = build_trainer(options, images=4)
    names = frozen_names(trainer.model, pattern)
    before = {key: value.clone() for key, value in tensors(trainer.model).items()}
    for seed in range(2):
        batch = batch_for(build_model(options), seed=seed)
        trainer.step(batch)
        trainer.image_grid(batch)  # which changes the modes in between
    after = tensors(trainer.model)
    assert names
    assert all(torch.equal(before[name], after[name]) for name in names)
    moved = {key.partition(".")[0] for key in after if not torch.equal(before[key], after[key])}
    assert moved - {pattern.partition(".")[0]}, "the others learn"
    if trainer.ema is not None:
        averaged = trainer.ema.state_dict()
        assert all(torch.equal(averaged[n], before[n]) for n in names & averaged.keys())


def tensors(model: Model) -> dict[str, Tensor]:
    return {k: v for k, v in model.state_dict().items() if isinstance(v, Tensor)}


def test_what_is_not_new_learns_at_a_lower_rate(tmp_path: Path) -> None:
    """By sgd, whose first step is the rate times the gradient."""
    saved(tmp_path / "a.pt", shrunk("stargan", 'data.domains=["a", "b"]'))
    base = (
        *('data.domains=["a", "b", "c"]', f"train.init_from={tmp_path / 'a.pt'}"),
        *("optimizer.name=sgd", "schedule.name=constant", "game.n_critic=1"),
    )
    moved = []
    for rate in (1.0, 0.25):
        trainer = build_trainer(shrunk("stargan", *base, f"train.init_rate={rate}"), images=4)
        before = tensors(trainer.model) | {}
        before = {key: value.double().clone() for key, value in before.items()}
        discriminators = trainer.model.players["discriminator"]
        trainer.step(batch_for(trainer.model))
        moved.append(
            {
                key: value.double() - before[key]
                for key, value in tensors(trainer.model).items()
                if key.partition(".")[0] in discriminators
            }
        )
    full, lower = moved
    for key, change in full.items():
        factor = 1.0 if key == "discriminator.conv2.weight" else 0.25
        scale = change.abs().max() + 1e-12
        assert (lower[key] - factor * change).abs().max() < 2e-2 * scale, key


def test_a_run_that_began_from_another_goes_on_exactly(
    tmp_path: Path, facades: Path, said: list[str]
) -> None:
    """Although the other is gone by then; and in its provenance it stays."""
    source = export_of(tmp_path)
    common = (
        f"data.root={facades}",
        "schedule.name=constant",
        "train.init_rate=0.5",
        'train.freeze=["generator.0"]',
    )

    def options(steps: int) -> Options:
        return load_options(
            shrunk("pix2pix", "train.ema_decay=0.9"),
            *common,
            {"train.steps": steps, "train.init_from": str(source)},
        )

    whole = start(options(4), tmp_path / "runs", "whole", device="cpu").folder
    part = start(options(2), tmp_path / "runs", "part", device="cpu").folder
    for file in source.iterdir():
        file.unlink()
    resume(part, "train.steps=4", device="cpu")
    one, other = (
        load_checkpoint(run / "checkpoints" / "step-00000004.pt") for run in (whole, part)
    )
    assert one["init"]["from"] == "source/model.safetensors"
    assert "beginning with the weights of source/model.safetensors: " in "\n".join(said)
    assert any("in part" in line and "generator.model.model.0.weight" in line for line in said)
    assert any(line.startswith("frozen: generator.0: ") for line in said)
    assert one["init"] == other["init"]
    assert "generator.model.model.0.weight" in one["init"]["anew"]
    for kind in ("model", "average"):
        assert all(
            torch.equal(value, other[kind][key])
            for key, value in one[kind].items()
            if isinstance(value, Tensor)
        )
    copied = tmp_path / "copied.pt"
    save_checkpoint(copied, load_checkpoint(part / "checkpoints" / "step-00000004.pt"))


def export_of(tmp_path: Path) -> Path:
    saved(tmp_path / "a.pt", shrunk("pix2pix", "data.input_channels=1"))
    return export_bundle(tmp_path / "a.pt", tmp_path / "source")


def test_the_command_names_what_is_missing(tmp_path: Path, facades: Path) -> None:
    source = export_of(tmp_path)
    arguments: tuple[Any, ...] = ("train", "--init-from", source, "--dataroot", facades)
    assert "names no network" in complaint(
        *arguments, "--freeze", "x", "--set", "data.workers=0", "--runs-dir", tmp_path / "runs"
    )
    assert "neither a run folder nor" in complaint("train", "--init-from", tmp_path / "none")
    assert "cannot change in a run that is resumed" in complaint(
        "train", "--resume", source, "--init-rate", "0.5"
    )
