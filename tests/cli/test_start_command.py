"""`i2i start`, and `i2i train` and `i2i doctor` that follow it."""

import json
from pathlib import Path
from typing import Any

import pytest
from commands import complaint, invoke
from PIL import Image

import i2i
from i2i.config import read_options
from i2i.config.recipes import read_toml
from i2i.data.kinds.splits import read_sides
from i2i.runs.image_grid import ROWS

TINY = [
    *("--size", "16", "--steps", "1", "--device", "cpu", "--workers", "0", "--name", "a"),
    *("--set", "generator.width=2", "--set", "generator.downs=2"),
    *("--set", "discriminator.width=2", "--set", "discriminator.layers=1"),
    *("--set", "data.look_for_copies=false", "--set", "train.trackers=[]"),
]


@pytest.fixture
def seasons(tmp_path: Path) -> Path:
    for number, name in enumerate(("Summer", "Winter")):
        (tmp_path / "seasons" / name).mkdir(parents=True)
        for count in range(4):
            colour = (40 * count, 255 * number, 100)
            Image.new("RGB", (16, 16), colour).save(
                tmp_path / "seasons" / name / f"{number}{count}.png"
            )
    return tmp_path / "seasons"


def test_start_says_what_and_how(seasons: Path) -> None:
    done = invoke("start", seasons, "--device", "cpu", "--no-estimate")
    assert done.exit_code == 0, done.output
    lines = done.output.splitlines()
    assert lines[0] == f"{seasons}: two kinds of pictures, without pairs (Summer, Winter)"
    assert lines[1].startswith("  train: 4 images of Summer + 4 of Winter")
    assert "cyclegan-quick is meant for that" in done.output
    assert lines[-2:] == ["Begin with:", f"  i2i train {seasons} --recipe cyclegan-quick"]


def test_start_says_what_is_worth_a_look(tmp_path: Path) -> None:
    for number, (name, count) in enumerate({"anger": 4, "angerr": 2, "joy": 4}.items()):
        for each in range(count):
            path = tmp_path / "faces" / name / f"{each}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (16, 16), (40 * each, 80 * number, 100)).save(path)
    said = "'angerr' (2 images) is a letter away from 'anger' (4 images)"
    done = invoke("start", tmp_path / "faces", "--device", "cpu", "--no-estimate")
    assert f"\nWorth a look before (i2i doctor {tmp_path / 'faces'}):\n" in done.output
    assert said in done.output
    told = invoke("start", tmp_path / "faces", "--device", "cpu", "--no-estimate", "--json")
    assert said in " ".join(json.loads(told.stdout)["warnings"])


def test_start_measures_how_long_it_takes(seasons: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from i2i.training import cost

    def measured(options: object, device: object) -> cost.Estimate:
        return cost.Estimate("cpu", 1, 64, {}, 1, 1, 0.9, None, 3)

    monkeypatch.setattr(cost, "measure_apart", measured)
    done = invoke("start", seasons / "Winter", seasons / "Summer", "--device", "cpu")
    assert done.exit_code == 0, done.output
    assert "about 1.0 h here for 4,000 steps of 0.9 s" in done.output
    assert "before the first step, after 1, 3, 7 and 15 minutes, then every 10" in done.output


def test_the_doctor_ends_with_the_same_command(seasons: Path) -> None:
    asked = ("doctor", seasons, "--no-copies", "--device", "cpu")
    command = f"i2i train {seasons} --recipe cyclegan-quick"
    assert f"begin with:\n  {command}\n" in invoke(*asked).output
    assert json.loads(invoke(*asked, "--json").stdout)["begin"] == command
    own = invoke(*asked, "--recipe", "cut-quick", "--size", "32", "--no-estimate").output
    assert f"i2i train {seasons} --recipe cut-quick --size 32\n" in own


def test_train_takes_folders_and_chooses_what_fits(seasons: Path, tmp_path: Path) -> None:
    runs = ("--runs-dir", tmp_path / "runs")
    done = invoke("train", seasons / "Winter", seasons / "Summer", *TINY, *runs)
    assert done.exit_code == 0, done.output
    assert done.output.startswith(
        "recipe: cyclegan-quick (cyclegan wants a GPU, and there is none): two kinds of pictures, "
        "without pairs (Winter, Summer)\n"
    )
    run = tmp_path / "runs" / "a"
    assert read_sides(run) == ("Winter", "Summer")
    assert read_options(read_toml(run / "options.toml")).model == "cyclegan"
    assert "before the first step, after 1, 3, 7 and 15 minutes, then every 10, and" in done.output
    assert "saved: after 1, 3, 7 and 15 minutes, then every 10, and every 500 steps" in done.output
    assert "generators/cycle_Winter" in done.output
    assert "progress: it cannot be said yet" in done.output
    for step in (0, 1):
        with Image.open(run / "samples" / f"step-{step:08d}.png") as sheet:
            assert sheet.info[ROWS] == "1"  # of four images, one is held out
    # The names stand for the letters.
    result = tmp_path / "winter.png"
    asked = ("translate", seasons / "Summer" / "01.png", result, "--checkpoint", run)
    done = invoke(*asked, "--device", "cpu", "--direction", "summer-to-winter")
    assert done.exit_code == 0, done.output
    assert "Summer to Winter" in done.output
    by_letters = tmp_path / "letters.png"
    asked = ("translate", seasons / "Summer" / "01.png", by_letters, "--checkpoint", run)
    assert invoke(*asked, "--device", "cpu", "--direction", "BtoA").exit_code == 0
    assert result.read_bytes() == by_letters.read_bytes()


def test_the_direction_of_a_training_by_names(seasons: Path, tmp_path: Path) -> None:
    tiny = ["generator.blocks=1" if "downs" in each else each for each in TINY]
    asked = ("train", seasons, "--recipe", "cut-quick", "--runs-dir", tmp_path / "runs", *tiny)
    asked += ("--set", "game.nce_layers=[0,1]", "--set", "patch_sampler.width=4")
    done = invoke(*asked, "--direction", "WintertoSummer")
    assert done.exit_code == 0, done.output
    options = read_options(read_toml(tmp_path / "runs" / "a" / "options.toml"))
    assert options.data.direction == "BtoA"
    said = complaint(*asked, "--direction", "WintertoAutumn")
    assert "AtoB, BtoA, SummertoWinter, WintertoSummer" in " ".join(said.split())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train"], "Say where the images are"),
        (["train", "a", "b", "c"], "3 folders were given"),
        (["train", "a", "--dataroot", "b"], "--dataroot and a folder without a flag"),
        (["start", "a", "b", "c"], "More than two folders"),
    ],
)
def test_what_cannot_be_asked(arguments: list[str], message: str) -> None:
    assert message in " ".join(complaint(*arguments).split())


@pytest.fixture
def sketches(tmp_path: Path) -> Path:
    """Pairs in two folders of any names: black and white, of the same names."""
    for colour, name in ((0, "my photos"), (255, "sketches")):
        (tmp_path / "both" / name).mkdir(parents=True)
        for count in range(4):
            image = Image.new("RGB", (16, 16), (colour, colour, 40 * count))
            image.save(tmp_path / "both" / name / f"{count}.png")
    return tmp_path / "both"


@pytest.mark.parametrize("way", ["sketchestomy photos", None])
def test_pairs_in_two_folders_of_any_name(sketches: Path, tmp_path: Path, way: str | None) -> None:
    direction = ("--direction", way) if way else ()
    done = invoke("train", sketches, *TINY, *direction, "--runs-dir", tmp_path)
    assert done.exit_code == 0, done.output
    words = " ".join(done.output.split())
    assert words.startswith("recipe: pix2pix-quick (pix2pix wants a GPU, and there is none): pairs")
    source, target = ("sketches", "my photos") if way else ("my photos", "sketches")
    back = f"--direction '{target}to{source}'"
    assert f"data: {source!r} becomes {target!r} (the other way: {back})" in words
    assert read_sides(tmp_path / "a") == ("my photos", "sketches")
    expected = "BtoA" if way else "AtoB"
    assert read_options(read_toml(tmp_path / "a" / "options.toml")).data.direction == expected


def test_python_takes_the_names_too(sketches: Path, tmp_path: Path) -> None:
    how: dict[str, Any] = {
        "size": 16,
        "steps": 1,
        "generator": {"width": 2, "downs": 2},
        "discriminator": {"width": 2, "layers": 1},
        "data": {"workers": 0},
        "device": "cpu",
        "runs_dir": tmp_path,
    }
    run = i2i.train("pix2pix-quick", dataroot=sketches, direction="sketches to my photos", **how)
    assert read_options(read_toml(run.folder / "options.toml")).data.direction == "BtoA"
    with pytest.raises(i2i.I2iError, match="must be one of AtoB, BtoA, my photostosketches"):
        i2i.train("pix2pix-quick", dataroot=sketches, direction="photos to art", **how)
