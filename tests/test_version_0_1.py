"""Runs that version 0.1 has left are still used and resumed; old words are understood, and said."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image

import i2i
from i2i.cli import cli
from i2i.config import renamed as words

OLD = Path(__file__).parent / "version_0_1"


@pytest.mark.parametrize("model", ["pix2pix", "cyclegan", "stargan", "dcgan"])
def test_a_checkpoint_gives_the_pixels_that_it_gave(model: str, tmp_path: Path) -> None:
    run = shutil.copytree(OLD / model, tmp_path / "run")
    common = ["--checkpoint", str(run), "--device", "cpu"]
    if model == "dcgan":
        arguments = ["sample", str(tmp_path / "out"), "--count", "4", "--seed", "3", *common]
    else:
        domain = ["--domain", "green"] if model == "stargan" else []
        arguments = ["translate", str(OLD / "input"), str(tmp_path / "out"), *common, *domain]
    result = CliRunner().invoke(cli, arguments)
    assert result.exit_code == 0, (result.output, result.exception)
    expected = sorted((run / "expected").iterdir())
    assert expected
    for path in expected:
        pixels = [
            np.asarray(Image.open(p)).astype(int) for p in (path, tmp_path / "out" / path.name)
        ]
        # Kernels of another processor may round otherwise.
        assert np.abs(pixels[0] - pixels[1]).max() <= 1, path.name


def test_an_exported_file_gives_the_pixels_that_its_run_gave(tmp_path: Path) -> None:
    file = OLD / "cyclegan.onnx"
    arguments = ["translate", str(OLD / "input"), str(tmp_path / "out"), "--checkpoint", str(file)]
    result = CliRunner().invoke(cli, [*arguments, "--device", "cpu"])
    assert result.exit_code == 0, (result.output, result.exception)
    for path in sorted((OLD / "cyclegan" / "expected").iterdir()):
        pixels = [
            np.asarray(Image.open(p)).astype(int) for p in (path, tmp_path / "out" / path.name)
        ]
        assert np.abs(pixels[0] - pixels[1]).max() <= 1, path.name


@pytest.fixture
def data(tmp_path: Path) -> dict[str, Path]:
    """Images of the names that those runs were trained on."""
    generator = np.random.default_rng(0)
    folders = {"pairs/train": 5, "pairs/val": 2}
    for split, count in (("train", 5), ("test", 2)):
        folders |= {f"unpaired/{split}{side}": count for side in "AB"}
        folders |= {f"domains/{split}/{name}": count for name in ("red", "green")}
    for folder, count in folders.items():
        (tmp_path / folder).mkdir(parents=True)
        for number in range(count):
            pixels = generator.integers(0, 256, (24, 48 if "pairs" in folder else 24, 3), np.uint8)
            Image.fromarray(pixels).save(tmp_path / folder / f"{number}.png")
    return {
        "pix2pix": tmp_path / "pairs",
        "cyclegan": tmp_path / "unpaired",
        "stargan": tmp_path / "domains",
        "dcgan": tmp_path / "unpaired" / "trainA",
    }


@pytest.mark.parametrize("model", ["pix2pix", "cyclegan", "stargan", "dcgan"])
def test_a_run_is_resumed(model: str, tmp_path: Path, data: dict[str, Path]) -> None:
    run = shutil.copytree(OLD / model, tmp_path / "runs" / "run")
    arguments = ["train", "--resume", str(run), "--steps", "6", "--dataroot", str(data[model])]
    result = CliRunner().invoke(cli, arguments)
    assert result.exit_code == 0, (result.output, result.exception)
    state = torch.load(run / "checkpoints" / "step-00000006.pt", weights_only=True)
    assert state["step"] == 6
    before = torch.load(OLD / model / "checkpoints" / "step-00000004.pt", weights_only=True)
    name = next(name for name in state["model"] if name.endswith("weight"))
    assert not torch.equal(state["model"][name], before["model"][name])


def test_an_old_word_is_understood_and_its_new_one_said(caplog: pytest.LogCaptureFixture) -> None:
    words._said.clear()
    options = i2i.load_options("wgan", "adversarial.critic_turns=3", "latent.redraw=false")
    assert options.game.model_dump()["n_critic"] == 3
    assert options.game.model_dump()["resample_latents"] is False
    assert "adversarial.critic_turns is now game.n_critic" in caplog.text
