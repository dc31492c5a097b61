"""`i2i sample`, as a person would call it."""

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from known import files, load
from PIL import Image

from i2i.cli import cli
from i2i.data.kinds.folders import MARKER
from i2i.errors import I2iError
from i2i.training import session as train
from shrunk import shrunk


def i2i(*arguments: object) -> Result:
    return CliRunner().invoke(cli, [str(argument) for argument in arguments])


def said(*arguments: object) -> str:
    """What a call that fails says."""
    done = i2i(*arguments)
    assert done.exit_code != 0
    assert done.exception is not None
    if isinstance(done.exception, I2iError):
        return str(done.exception)
    assert isinstance(done.exception, SystemExit)
    return " ".join(done.output.split())


def trained(recipe: str, root: Path, runs: Path) -> Path:
    settings = [f"data.root={root}", "train.steps=2", "generator.init_gain=0.3"]
    options = shrunk(recipe, *settings)
    return train.start(options, runs, recipe, device="cpu").folder


@pytest.fixture
def told(domains: Path, tmp_path: Path) -> Path:
    return trained("cgan", domains, tmp_path / "runs")


def test_images_of_the_newest_run(told: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = i2i("sample", out, "--runs-dir", told.parent, "--device", "cpu", "--count", "3")
    assert done.exit_code == 0, done.output
    assert f"the last of the newest run under {told.parent}" in done.output
    assert f"image grid: {out / 'sheet.png'}" in done.output
    assert files(out) == [MARKER, "000000.png", "000001.png", "000002.png", "sheet.png"]
    again = ["sample", tmp_path / "b", "--checkpoint", told, "--device", "cpu"]
    assert i2i(*again, "--count", "1", "--seed", "2").exit_code == 0
    assert np.array_equal(load(tmp_path / "b" / "000002.png"), load(out / "000002.png"))


def test_a_class_is_wanted_by_name_or_number(told: Path, tmp_path: Path) -> None:
    given = ["--checkpoint", told, "--device", "cpu", "--count", "2"]
    for label in ("green", "1", "red"):
        assert i2i("sample", tmp_path / label, *given, "--label", label).exit_code == 0
    green, number, red = (load(tmp_path / x / "000000.png") for x in ("green", "1", "red"))
    assert np.array_equal(green, number)
    assert not np.array_equal(green, red)
    wrong = said("sample", tmp_path / "x", *given, "--label", "gren")
    assert "label (='gren')" in wrong
    assert "Did you mean 'green'?" in wrong
    assert not (tmp_path / "x").exists()


def test_nothing_is_replaced_without_being_told(told: Path, tmp_path: Path) -> None:
    given = ["sample", tmp_path / "o", "--checkpoint", told, "--device", "cpu", "--count", "1"]
    assert i2i(*given).exit_code == 0
    assert "2 of 2 results exist already" in said(*given)
    assert i2i(*given, "--overwrite").exit_code == 0


def test_codes_are_set_and_varied(domains: Path, tmp_path: Path) -> None:
    run = trained("infogan", domains, tmp_path / "runs")
    given = ["--checkpoint", run, "--device", "cpu"]
    out = tmp_path / "sheet"
    done = i2i("sample", out, *given, "--vary", "continuous2", "--count", "2")
    assert done.exit_code == 0, done.output
    assert files(out) == [MARKER, "continuous2.png"]
    assert load(out / "continuous2.png").shape == (20 + 2 * 100, 4 + 10 * 100, 3)
    for name, code in (("a", "category=3,continuous1=-1.5"), ("b", "category=4")):
        done = i2i("sample", tmp_path / name, *given, "--count", "1", "--code", code)
        assert done.exit_code == 0, done.output
    assert not np.array_equal(*(load(tmp_path / x / "000000.png") for x in "ab"))
    assert "Did you mean 'category'?" in said("sample", tmp_path / "c", *given, "--vary", "categry")
    assert "10 categories, 0..9" in said("sample", tmp_path / "c", *given, "--code", "category=10")
    assert "is not NAME=NUMBER" in said("sample", tmp_path / "c", *given, "--code", "category=x")
    assert not (tmp_path / "c").exists()


@pytest.mark.parametrize("animation", ["webp", "gif"])
def test_the_way_from_one_image_to_another(animation: str, told: Path, tmp_path: Path) -> None:
    out = tmp_path / "walk"
    given = ["--checkpoint", told, "--device", "cpu", "--label", "red", "--spherical"]
    given += ["--interpolate", "3", "8", "--frames", "4", "--animation", animation]
    done = i2i("sample", out, *given)
    assert done.exit_code == 0, done.output
    with Image.open(out / f"animation.{animation}") as moving:
        assert moving.n_frames == 6
    assert "frame-0003.png" in files(out)
    for seed, frame in ((3, "frame-0000.png"), (8, "frame-0003.png")):
        single = tmp_path / str(seed)
        alone = ["--checkpoint", told, "--device", "cpu", "--label", "red", "--count", "1"]
        assert i2i("sample", single, *alone, "--seed", seed).exit_code == 0
        assert np.array_equal(load(single / f"{seed:06d}.png"), load(out / frame))


def test_truncation_makes_images_alike(told: Path, tmp_path: Path) -> None:
    given = ["--checkpoint", told, "--device", "cpu", "--count", "2", "--label", "red"]
    spread = []
    for limit in ("1", "0.001"):
        out = tmp_path / limit
        assert i2i("sample", out, *given, "--truncation", limit).exit_code == 0
        one, other = (load(out / f"00000{i}.png").astype(int) for i in range(2))
        spread.append(np.abs(one - other).max())
    assert spread[1] <= 1 < spread[0]
    assert "0..1 for uniform" in said("sample", tmp_path / "x", *given, "--truncation", "1.5")


def test_styles_are_mixed_in_a_sheet(domains: Path, tmp_path: Path) -> None:
    run = trained("stylegan2-quick", domains, tmp_path / "runs")
    given = ["--checkpoint", run, "--device", "cpu", "--truncation", "0.7", "--no-noise"]
    out = tmp_path / "mixed"
    done = i2i("sample", out, *given, "--mix", "2", "3", "--layers", "2-3")
    assert done.exit_code == 0, done.output
    assert files(out) == [MARKER, "mix.png"]
    assert load(out / "mix.png").shape == (20 + 3 * 100, 4 + 4 * 100, 3)
    assert "layers (=7-7) must be" in said(
        "sample", tmp_path / "x", *given, "--mix", "1", "1", "--layers", "7"
    )
    way = ["--interpolate", "3", "8", "--frames", "3", "--space", "w"]
    assert i2i("sample", tmp_path / "way", *given, *way).exit_code == 0
    assert i2i("sample", tmp_path / "end", *given, "--count", "1", "--seed", "8").exit_code == 0
    ends = load(tmp_path / "way" / "frame-0002.png"), load(tmp_path / "end" / "000008.png")
    assert np.array_equal(*ends)


def test_what_cannot_be_asked(told: Path, tmp_path: Path) -> None:
    given = ["sample", tmp_path / "x", "--checkpoint", told, "--device", "cpu"]
    both = said(*given, "--vary", "category", "--interpolate", "1", "2")
    assert "only one of --vary, --interpolate and --mix" in both
    assert "--layers is about the sheet of --mix" in said(*given, "--layers", "0-3")
    assert "--space is about the way of --interpolate" in said(*given, "--space", "w")
    assert "'a' is neither a layer" in said(*given, "--mix", "1", "1", "--layers", "a")
    assert "mix is about generators with styles" in said(*given, "--mix", "1", "1")
    assert "--spherical is about the way" in said(*given, "--spherical")
    assert "no moving average" in said(*given, "--average")
    assert "no run with a checkpoint" in said(
        "sample", tmp_path / "x", "--runs-dir", tmp_path / "e"
    )
    assert not (tmp_path / "x").exists()


def test_each_kind_of_model_has_its_command(told: Path, facades: Path, tmp_path: Path) -> None:
    pairs = trained("pix2pix", facades, tmp_path / "others")
    wrong = said("sample", tmp_path / "x", "--checkpoint", pairs, "--device", "cpu")
    assert "pix2pix, which translates images: use `i2i translate`" in wrong
    wrong = said(
        "translate", facades / "val", tmp_path / "y", "--checkpoint", told, "--device", "cpu"
    )
    assert "gan, which makes images from noise: use `i2i sample`" in wrong


def test_a_run_can_be_called_one(tmp_path: Path) -> None:
    result = CliRunner().invoke(cli, ["sample", str(tmp_path / "a"), "--run", "nowhere"])
    assert "nowhere is neither a run folder nor a checkpoint file" in str(result.exception)
