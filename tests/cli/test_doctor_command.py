"""`i2i doctor`: exit codes, what is printed, and JSON."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image

from i2i.cli import cli
from i2i.data.demo.sets import write_demo
from i2i.errors import DataError

SMALL = [
    *("--set", "generator.width=2", "--set", "generator.downs=2"),
    *("--set", "discriminator.width=2", "--set", "discriminator.layers=1"),
]


def doctor(*arguments: object) -> Result:
    return CliRunner().invoke(cli, ["doctor", *map(str, arguments)])


def test_a_clean_set_exits_with_0(facades: Path) -> None:
    done = doctor(facades)
    assert done.exit_code == 0, done.output
    assert "paired (whole images in train/, two side by side in each)" in done.output
    assert "train: 7 pairs (train, side by side)" in done.output
    assert "Nothing is wrong." in done.output


def test_findings_exit_with_1(facades: Path) -> None:
    shutil.copy(facades / "train" / "0.png", facades / "val" / "9.png")
    done = doctor(facades)
    assert done.exit_code == 1
    assert "ERROR: TRAIN AND TEST OVERLAP" in done.output
    assert "train/0.png = val/9.png" in done.output
    said = json.loads(doctor(facades, "--json").output)
    assert said["exit_code"] == 1
    assert said["findings"][0]["kind"] == "leak"
    assert json.loads(doctor(facades, "--fast", "--json").output)["complete"] is False


def test_a_model_is_measured(facades: Path) -> None:
    arguments = [facades, "--model", "pix2pix", "--size", 16, "--device", "cpu", *SMALL]
    done = doctor(*arguments, "--set", "train.epochs=3")
    assert done.exit_code == 0, done.output
    assert "pix2pix at 16 pixels, 1 in a step, fp32, on cpu (measured in 3 steps" in done.output
    assert "an epoch       7 steps" in done.output
    assert "the whole run  21 steps" in done.output
    said = json.loads(doctor(*arguments, "--json", "--set", "train.steps=5").output)
    assert said["estimate"]["run_steps"] == 5
    assert said["estimate"]["seconds"] > 0
    without = json.loads(doctor(*arguments, "--json", "--no-estimate").output)
    assert "estimate" not in without


def test_labels_are_found_for_the_estimate(domains: Path) -> None:
    small = ["--set", "generator.width=2", "--set", "discriminator.width=2"]
    for more in ([], ["--table", domains / "list_attr_celeba.txt"]):
        done = doctor(domains, *more, "--recipe", "stargan", "--size", 16, *small)
        assert "stargan at 16 pixels, 16 in a step, fp32" in done.output, done.output


def test_a_name_of_the_catalogue(facades: Path, own_cache: Path) -> None:
    shutil.copytree(facades, own_cache / "datasets" / "maps")
    done = doctor("maps")
    assert done.exit_code == 0, done.output
    assert "train: 7 pairs" in done.output


def test_the_size_alone_is_enough_for_the_crop(facades: Path) -> None:
    done = doctor(facades, "--size", 32)
    assert done.exit_code == 1
    assert "10 of 10 images are smaller than the crop of 32" in done.output


def test_the_kind_is_that_of_the_recipe_unless_said(unpaired: Path) -> None:
    done = doctor(unpaired, "--model", "pix2pix", "--no-estimate")
    assert "paired (as asked for)" in done.output
    assert done.exit_code == 1
    assert doctor(unpaired, "--kind", "unpaired").exit_code == 0


def test_what_does_not_go_together(facades: Path) -> None:
    assert doctor(facades, "--set", "train.steps=1").exit_code == 2
    assert doctor(facades, "--estimate").exit_code == 2
    done = doctor(facades, "--recipe", "pix2pix-small", "--model", "cyclegan")
    assert done.exit_code == 2
    assert "is for 'pix2pix'" in done.output
    assert isinstance(doctor(facades / "nothing").exception, DataError)


@pytest.mark.parametrize(("loss", "code"), [("1.0", 0), ("null", 1)])
def test_a_run(tmp_path: Path, loss: str, code: int) -> None:
    from i2i.config.recipes import load_options

    run = tmp_path / "run"
    (run / "checkpoints").mkdir(parents=True)
    (run / "options.toml").write_text(load_options("pix2pix").to_toml())
    (run / "log.jsonl").write_text(f'{{"step": 7, "generator/l1": {loss}}}\n')
    done = doctor(run)
    assert done.exit_code == code
    assert "step 7" in done.output
    assert json.loads(doctor(run, "--json").output)["exit_code"] == code
    for of_data in (
        ["--model", "pix2pix"],
        ["--size", "64"],
        ["--device", "cpu"],
        ["--set", "a.b=1"],
    ):
        refused = doctor(run, *of_data)
        assert refused.exit_code == 2
        assert f"{of_data[0]}: of a run, all is known" in refused.output


def test_what_torchvision_downloads_can_be_named(own_cache: Path) -> None:
    base = own_cache / "torchvision" / "EuroSAT" / "eurosat" / "2750"
    rng = np.random.default_rng(0)
    for name in ("Forest", "Sea"):
        (base / name).mkdir(parents=True)
        for number in range(2):
            pixels = rng.integers(0, 256, (16, 16, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(base / name / f"{number}.png")
    shutil.copy(base / "Sea" / "0.png", base / "Sea" / "2.png")
    done = doctor("eurosat")
    assert done.exit_code == 1, done.output
    assert "unconditional (by its name)" in done.output
    assert "train: 5 images, 2 classes (torchvision's EuroSAT)" in done.output
    assert "1 of 5 images are exact copies" in done.output
    assert isinstance(doctor("eurosat", "--kind", "paired").exception, DataError)
    small = ["--set", "generator.width=2", "--set", "discriminator.width=2"]
    done = doctor("eurosat", "--model", "cgan", "--size", 16, *small)
    assert "gan at 16 pixels" in done.output, done.output


def test_the_embedded_data_set_can_be_named(own_cache: Path, monkeypatch: Any) -> None:
    def painted(kind: str, cache: Path) -> Path:
        root = cache / "demo"
        write_demo(root, kind, 3, 16)
        return root

    monkeypatch.setattr("i2i.data.demo.sets.demo_folder", painted)
    assert "train: 3 pairs" in doctor("demo").output


def test_further_data_sets_are_examined_too(domains: Path, tmp_path: Path) -> None:
    other = shutil.copytree(domains, tmp_path / "other")
    for name in ("red", "green", "blue"):
        (other / "train" / name).rename(other / "train" / f"{name}-2")
    shutil.rmtree(other / "test")
    copied = other / "train" / "red-2" / "0.png"
    shutil.copy(copied, copied.with_name("copy.png"))
    arguments = [domains, "--model", "stargan", "--size", 16, "--no-estimate"]
    assert doctor(*arguments).exit_code == 0
    arguments += ["--set", f'data.more=[{{root="{other}"}}]']
    done = doctor(*arguments)
    assert done.exit_code == 1
    assert f"{other}: domains" in done.output
    said = json.loads(doctor(*arguments, "--json").output)
    assert [each["root"] for each in said["more"]] == [str(other)]


def test_a_table_is_looked_for_where_training_does(
    domains: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Below the data set, wherever the command is given."""
    images = sorted(domains.rglob("*.png"))
    rows = [
        f"{p.relative_to(domains).as_posix()},{i % 2},{i // 3 % 2}" for i, p in enumerate(images)
    ]
    (domains / "table.csv").write_text("\n".join(["file,smile,male", *rows]) + "\n")
    monkeypatch.chdir(tmp_path)
    asked = (domains, "--kind", "domains", "--table", "table.csv")
    assert "with 2 attributes (table.csv, train + test)" in doctor(*asked).output
    (tmp_path / "table.csv").write_text("file,other\n0.png,1\n")  # the one below the root counts
    assert "with 2 attributes (table.csv, train + test)" in doctor(*asked).output


def test_two_folders_are_two_sides(tmp_path: Path) -> None:
    for number, side in enumerate(("Summer", "Winter")):
        (tmp_path / side).mkdir()
        pixels = np.random.default_rng(number).integers(0, 256, (4, 16, 16, 3), dtype=np.uint8)
        for name, each in enumerate(pixels):
            Image.fromarray(each).save(tmp_path / side / f"{number}{name}.png")
    both = tmp_path / "Summer", tmp_path / "Winter"
    done = doctor(*both, "--size", "16")
    assert done.exit_code == 0, done.output
    assert "train: 4 images of Summer + 4 of Winter, unpaired (two folders)" in done.output
    assert done.output == doctor(both[0], "--dataroot-b", both[1], "--size", "16").output
    assert doctor(*both, "--dataroot-b", both[1]).exit_code == 2


def test_a_folder_of_raw_files_is_no_matter_of_layouts(tmp_path: Path) -> None:
    (tmp_path / "1.CR2").write_bytes(b"II*")
    done = doctor(tmp_path)
    assert done.exit_code == 1
    assert f"ERROR: There is no image in '{tmp_path}': of the files there (1 .cr2)" in done.output
    assert "layouts" not in done.output
