"""Bundles: weights that are handed on compute what they did, and nothing in them can do harm."""

import json
import struct
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import Any

import mutations
import numpy as np
import pytest
import torch
from commands import complaint, invoke
from PIL import Image
from safetensors.torch import load_file

from i2i.errors import CheckpointError, I2iError
from i2i.export.bundle import export_bundle
from i2i.inference.about import describe_checkpoint
from i2i.inference.load import load_sampler, load_translator
from i2i.runs.checkpoint import load_checkpoint
from i2i.training.build import build_trainer
from shrunk import batch_for, shrunk


def trained(tmp_path: Path, recipe: str, *settings: str) -> Path:
    """A checkpoint after one step, with a moving average."""
    options = shrunk(recipe, "train.ema_decay=0.5", "data.root=/home/someone/photos", *settings)
    trainer = build_trainer(options, images=4)
    trainer.step(batch_for(trainer.model))
    path = tmp_path / f"{recipe}.pt"
    trainer.save(path)
    return path


def image() -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (19, 22, 3), np.uint8))


@pytest.mark.parametrize("recipe", ["pix2pix", "cyclegan", "stargan", "stargan-v2"])
def test_a_bundle_translates_as_its_checkpoint_does(tmp_path: Path, recipe: str) -> None:
    path = trained(tmp_path, recipe)
    bundle = export_bundle(path, tmp_path / "bundle")
    domain = {"domain": "green"} if recipe.startswith("stargan") else {}
    one, other = load_translator(path, **domain), load_translator(bundle, **domain)
    assert (np.asarray(one(image())) == np.asarray(other(image()))).all()
    described = describe_checkpoint(bundle / "model.safetensors")
    assert "trained:    1 steps of 2 on photos" in described


def test_what_is_stored_in_16_bits_differs_by_its_rounding_alone(tmp_path: Path) -> None:
    path = trained(tmp_path, "cyclegan")
    bundle = export_bundle(path, tmp_path / "b", dtype="float16")
    stored = load_file(bundle / "model.safetensors")
    state = load_checkpoint(path)
    exact = state["model"] | state["average"]
    assert {key.partition(".")[0] for key in stored} == {
        *("generator_AtoB", "generator_BtoA", "discriminator_A", "discriminator_B")
    }  # and not the pools, in which there are images
    for name, tensor in stored.items():
        assert tensor.dtype == torch.float16
        assert (tensor.double() - exact[name].double()).abs().max() < 2**-11 * exact[
            name
        ].abs().max()
    loaded = load_checkpoint(bundle / "model.safetensors")
    assert all(tensor.dtype == torch.float32 for tensor in loaded["model"].values())
    one, other = (np.asarray(load_translator(p)(image())).astype(int) for p in (path, bundle))
    assert np.abs(one - other).max() <= 2


def test_the_generators_alone_suffice_for_use_and_noise_models_sample(tmp_path: Path) -> None:
    path = trained(tmp_path, "dcgan")
    export_bundle(path, tmp_path / "b", networks="generators")
    assert all(k.startswith("generator.") for k in load_file(tmp_path / "b" / "model.safetensors"))
    one, other = load_sampler(path), load_sampler(tmp_path / "b")
    assert torch.equal(*(sampler.make(sampler.vectors([3, 4])) for sampler in (one, other)))
    assert "makes images from noise" in complaint(
        "translate", "x", "y", "--checkpoint", tmp_path / "b"
    )


def test_the_command_writes_a_card_and_nothing_of_this_machine(tmp_path: Path) -> None:
    path, out = trained(tmp_path, "pix2pix"), tmp_path / "out"
    told = invoke("export", path, out, "--format", "safetensors", "--license", "cc-by-4.0").output
    assert "generator, discriminator in float32" in told
    card, config = (out / "README.md").read_text(), json.loads((out / "config.json").read_text())
    assert card.startswith("---\nlicense: cc-by-4.0\n")
    assert "- data: `photos`" in card
    assert "someone" not in card + json.dumps(config)
    assert config["preprocessing"]["multiple"] == 4
    assert config["preprocessing"]["range"] == [-1, 1]
    again = complaint("export", path, out, "--format", "safetensors")
    assert "is not empty" in again
    assert "i2i train --init-from" in complaint("train", "--resume", out)
    assert "leave out --best" in complaint("translate", "x", "y", "--checkpoint", out, "--best")


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return export_bundle(trained(tmp_path, "pix2pix"), tmp_path / "b")


def refused(bundle: Path) -> str:
    with pytest.raises(CheckpointError) as caught:
        load_translator(bundle)
    return str(caught.value)


def test_what_a_bundle_says_is_bounded_and_must_fit(bundle: Path) -> None:
    config, weights = bundle / "config.json", bundle / "model.safetensors"
    told, numbers = json.loads(config.read_text()), weights.read_bytes()

    def say(**changes: Any) -> str:
        config.write_text(json.dumps(told | changes))
        return refused(bundle)

    assert "reads up to 1" in say(version=2)
    assert "is not of a folder that i2i exported" in say(format="other")
    assert "step = 'many'" in say(step="many")
    generator = told["options"]["generator"] | {"width": 4}
    assert "do not fit the options" in say(options=told["options"] | {"generator": generator})
    huge = {"generator": told["options"]["generator"] | {"width": 16384, "downs": 16}}
    assert "no model can be built" in say(options=told["options"] | huge)
    config.write_text("[" * 100_000)
    assert "nested too deep" in refused(bundle)
    config.write_text(json.dumps(told))
    weights.write_bytes(numbers[:-4])
    assert "is truncated or damaged" in refused(bundle)
    weights.write_bytes(struct.pack("<Q", 2**62) + numbers[8:])
    assert "is truncated, or no file of safetensors" in refused(bundle)
    header = json.dumps({"x": {"dtype": "F32", "shape": [2**40], "data_offsets": [0, 2**42]}})
    weights.write_bytes(struct.pack("<Q", len(header)) + header.encode())
    assert "is truncated or damaged" in refused(bundle)
    weights.write_bytes(numbers)
    load_translator(bundle)


def test_damaged_bundles_are_sentences(bundle: Path) -> None:
    for name in ("config.json", "model.safetensors"):
        whole = (bundle / name).read_bytes()
        for seed in range(40):
            (bundle / name).write_bytes(mutations.bytes_of(whole, Random(seed)))
            with suppress(I2iError):  # and nothing else
                load_translator(bundle)
        (bundle / name).write_bytes(whole)
