"""What `--fast` chooses."""

from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner

from i2i.cli import cli
from i2i.config import read_options
from i2i.config.presets import PLAIN, fast
from i2i.config.recipes import merge, read_recipe, recipes
from i2i.training.build import make_optimizer


@pytest.mark.parametrize(("native", "precision"), [(True, "bf16"), (False, "fp16")])
def test_a_gpu_gets_what_it_has_instructions_for(
    native: bool, precision: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def is_bf16_supported(including_emulation: bool = True) -> bool:
        return native or including_emulation

    monkeypatch.setattr(torch.cuda, "is_bf16_supported", is_bf16_supported)
    options = read_options(merge(read_recipe("cyclegan"), fast(torch.device("cuda"))))
    assert options.train.precision == precision
    assert options.train.channels_last
    assert options.train.graph == "auto"


@pytest.mark.parametrize("precision", ["bf16", "fp32"])
def test_a_cpu_gets_the_precision_that_it_has_instructions_for(
    precision: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("i2i.config.presets.best_precision", lambda device: precision)
    options = read_options(merge(read_recipe("cyclegan"), fast(torch.device("cpu"))))
    assert options.train.precision == precision
    assert not options.train.channels_last
    assert not options.train.compile


@pytest.mark.parametrize("recipe", sorted(recipes()))
def test_every_recipe_can_be_trained_fast_on_a_cpu(recipe: str) -> None:
    options = read_options(merge(read_recipe(recipe), fast(torch.device("cpu"))))
    weight = torch.nn.Parameter(torch.ones(1))
    made = make_optimizer(options.optimizer, torch.device("cpu"), "generator", [weight])
    # torch has no RMSprop that updates all weights in one pass.
    assert made.defaults.get("fused") is (None if options.optimizer.name == "rmsprop" else True)


def test_plain_plays_every_step() -> None:
    layer: Any = {"train": {"compile": True, "channels_last": True}}
    options = read_options(merge(merge(read_recipe("cyclegan"), layer), PLAIN))
    assert options.train.graph is False
    assert not options.train.compile
    assert not options.train.channels_last


def test_it_stands_between_the_recipe_and_what_is_asked_for(facades: Path, tmp_path: Path) -> None:
    arguments = ["train", "--model", "pix2pix", "--dataroot", facades, "--runs-dir", tmp_path / "r"]
    arguments += ["--device", "cpu", "--workers", "0", "--name", "a", "--fast", "off"]
    arguments += ["--set", "train.channels_last=true", "--steps", "1", "--size", "16"]
    arguments += ["--set", "generator.width=2", "--set", "generator.downs=2"]
    arguments += ["--set", "discriminator.width=2", "--set", "discriminator.layers=1"]
    done = CliRunner().invoke(cli, [str(argument) for argument in arguments])
    assert done.exit_code == 0, done.output
    options = (tmp_path / "r" / "a" / "options.toml").read_text()
    assert "channels_last = true" in options
    assert "graph = false" in options
    again = ["train", "--resume", str(tmp_path / "r" / "a"), "--steps", "2", "--fast", "auto"]
    done = CliRunner().invoke(cli, again)
    assert done.exit_code == 2
    assert "--fast cannot change" in done.output
