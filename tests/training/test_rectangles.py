"""Images that are wider than high, from the options to what is made of them."""

from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result
from PIL import Image

from i2i.cli import cli
from i2i.config.recipes import load_options
from i2i.core.size import Size
from i2i.data.augment.geometry import JointGeometry, ResizedCrop
from i2i.errors import OptionsError
from i2i.models.build import build_model
from i2i.networks.stargan import StarGANDiscriminator
from i2i.training.build import build_trainer
from i2i.training.cost import random_batch
from shrunk import shrunk

WIDE = ("data.crop_size=[80, 48]", "data.load_size=[88, 52]")


def i2i(*arguments: object) -> Result:
    return CliRunner().invoke(cli, [str(argument) for argument in arguments])


@pytest.mark.parametrize("text", ["[512, 256]", '"512x256"', '" 512X256 "'])
def test_a_size_is_a_pair_or_a_text(text: str) -> None:
    options = load_options("pix2pix", f"data.crop_size={text}", "data.load_size=[520, 300]")
    assert options.data.crop_size == (512, 256)
    assert options.data.cropped == Size(width=512, height=256)
    assert options.data.cropped.shape == (256, 512)
    assert load_options(options).data.crop_size == (512, 256)


def test_a_square_is_one_number() -> None:
    options = load_options("pix2pix", "data.crop_size=[256, 256]", 'data.load_size="286x286"')
    assert (options.data.crop_size, options.data.load_size) == (256, 286)


@pytest.mark.parametrize("size", ["512x", "512x256x3", "-4", "big", "1.5"])
def test_what_is_no_size(size: str) -> None:
    with pytest.raises(OptionsError, match="WIDTHxHEIGHT"):
        load_options("pix2pix", f'data.crop_size="{size}"')
    with pytest.raises(OptionsError, match="WIDTHxHEIGHT"):
        load_options("pix2pix", size=size)


def test_neither_side_may_be_loaded_below_the_crop() -> None:
    with pytest.raises(OptionsError, match=r"load_size \(=300x200\) must be at least .*=256"):
        load_options("pix2pix", "data.load_size=[300, 200]")


@pytest.mark.parametrize(
    ("size", "crop", "load", "downs"),
    [
        ("512x256", (512, 256), (572, 286), 8),
        ("80x48", (80, 48), (89, 54), 4),  # 32 divides neither
        ("100x60", (100, 60), (112, 67), 5),  # nor does 8: the model says so
        ((96, 64), (96, 64), (107, 72), 5),
    ],
)
def test_a_recipe_is_fitted_to_a_rectangle(
    size: "str | tuple[int, int]", crop: tuple[int, int], load: tuple[int, int], downs: int
) -> None:
    data = (options := load_options("pix2pix", size=size)).data
    assert (data.crop_size, data.load_size) == (crop, load)
    assert getattr(options.generator, "downs", None) == downs


def test_how_often_both_sides_can_be_halved() -> None:
    for width in range(16, 200):
        for height in range(16, 200, 7):
            side = Size(width, height).halving
            assert side <= min(width, height)
            power = side & -side
            assert width % power == height % power == 0
            assert (width // power) % 2 or (height // power) % 2


@pytest.mark.parametrize(
    ("resize", "size", "resized"),
    [
        ("stretch", (100, 400), (52, 88)),
        ("shorter side", (100, 400), (52, 208)),  # the height is what has to be covered
        ("shorter side", (400, 100), (352, 88)),
        ("none", (60, 90), (60, 90)),
        ("none", (24, 160), (48, 320)),
    ],
)
def test_sizes_before_the_crop(
    resize: str, size: tuple[int, int], resized: tuple[int, int]
) -> None:
    assert JointGeometry((88, 52), (80, 48), resize).resized(*size) == resized  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", [JointGeometry, ResizedCrop])
def test_crops_are_wide(kind: type[JointGeometry]) -> None:
    image = np.random.default_rng(0).integers(0, 256, (60, 90, 3), dtype=np.uint8)
    for position in range(4):
        (crop,) = kind((88, 52), (80, 48), "shorter side")(0, position, image)
        assert crop.shape == (48, 80, 3)


def test_a_classifier_sees_all_of_a_rectangle() -> None:
    network = StarGANDiscriminator(3, width=2, layers=3, classes=5, size=(80, 48))
    scores, logits = network(torch.zeros(2, 3, 48, 80))
    assert scores.shape == (2, 1, 6, 10)
    assert logits.shape == (2, 5)


@pytest.mark.parametrize("recipe", ["dcgan", "stargan-v2-quick"])
def test_models_of_squares_say_so(recipe: str) -> None:
    options = shrunk(recipe, "data.crop_size=[64, 32]", "data.load_size=[64, 32]")
    with pytest.raises(OptionsError, match=r"crop_size \(=64x32\) must be a square"):
        build_model(options)


def test_the_crop_must_fit_the_network_in_both_directions() -> None:
    options = shrunk("pix2pix", "data.crop_size=[80, 50]", "data.load_size=[88, 52]")
    with pytest.raises(OptionsError, match=r"multiple of 4 .* take 80x48"):
        build_model(options)


@pytest.fixture
def streets(tmp_path: Path) -> Path:
    """Images of 80 x 48 and more, on two sides, of equal names."""
    generator = np.random.default_rng(0)
    for split in ("train", "val"):
        for side in "AB":
            folder = tmp_path / "streets" / split / side
            folder.mkdir(parents=True)
            for number in range(3):
                pixels = generator.integers(0, 256, (52, 88, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(folder / f"{number}.png")
    return tmp_path / "streets"


def test_a_wide_training_is_resumed_and_translates(streets: Path, tmp_path: Path) -> None:
    options = shrunk("cyclegan", *WIDE, "game.image_pool=2", f'data.root="{streets}"')
    path = tmp_path / "wide.toml"
    path.write_text(options.to_toml(), encoding="utf-8")
    runs = tmp_path / "runs"
    given = ["--runs-dir", runs, "--name", "wide", "--device", "cpu"]
    done = i2i("train", "--recipe", path, *given, "--steps", "3")
    assert done.exit_code == 0, done.output
    done = i2i("train", "--resume", runs / "wide", "--steps", "4", "--device", "cpu")
    assert done.exit_code == 0, done.output
    assert "80x48 pixels" in i2i("info", runs / "wide").output

    sized = ["--checkpoint", runs / "wide", "--device", "cpu", "--size", "64x40"]
    done = i2i("translate", streets / "val" / "A", tmp_path / "out", *sized)
    assert done.exit_code == 0, done.output
    with Image.open(tmp_path / "out" / "0.png") as image:
        assert image.size == (64, 40)


@pytest.mark.parametrize("recipe", ["pix2pix", "cut-quick", "stargan"])
def test_steps_on_rectangles(recipe: str) -> None:
    options = shrunk(recipe, *WIDE)
    model = build_model(options)
    trainer = build_trainer(options, model)
    batch = random_batch(options, model)
    assert batch[0].shape[-2:] == (48, 80)
    losses, _ = trainer.step(batch), trainer.step(batch)
    assert losses


def test_estimates_know_rectangles(streets: Path) -> None:
    wide = ["--size", "80x48", "--set", "generator.downs=2", "--set", "generator.width=2"]
    small = ["--set", "discriminator.width=2", "--set", "discriminator.layers=1"]
    done = i2i("doctor", streets, "--model", "pix2pix", *wide, *small, "--device", "cpu")
    assert "pix2pix at 80x48 pixels" in done.output
    assert "distorted" not in done.output
    assert "smaller than the crop" not in done.output
