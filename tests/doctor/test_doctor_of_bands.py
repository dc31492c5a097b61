"""The doctor knows bands and depths, and names the lines of a recipe that use them."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from i2i.config import Data
from i2i.config.recipes import load_options
from i2i.config.sides import DataSide
from i2i.data.images.arrays import write_array
from i2i.data.inspection.examine import examine

RANDOM = np.random.default_rng(0)
SIX = Data(load_size=16, crop_size=16, A=DataSide(channels=6))


@pytest.fixture
def scenes(tmp_path: Path) -> Path:
    for side in "AB":
        (tmp_path / f"train{side}").mkdir()
    for number in range(3):
        bands = RANDOM.integers(0, 4096, (20, 20, 6), dtype=np.uint16)
        write_array(bands, tmp_path / "trainA" / f"{number}.tif", ".tif")
        pixels = RANDOM.integers(0, 256, (20, 20, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / "trainB" / f"{number}.png")
    return tmp_path


def test_what_uses_all_bands_is_said(scenes: Path) -> None:
    findings = {each.kind: each for each in examine(scenes, "paired", copies=False).findings}
    assert "3 images cannot be used as they are" in findings["not understood"].text
    bands = findings["bands and bits"]
    assert "side A holds 6 bands of uint16 within" in bands.text
    assert "--set data.A.channels=6 --set data.A.range=auto" in bands.advice


def test_a_recipe_that_says_so_finds_nothing_wrong(scenes: Path) -> None:
    found = examine(scenes, "paired", copies=False, rules=SIX)
    kinds = {each.kind for each in found.findings}
    assert not kinds & {"not understood", "bands and bits", "16 bits", "range", "mixture"}
    assert found.tables.modes == {"6 bands of uint16": 3, "RGB": 3}


def test_a_mixture_is_counted(scenes: Path) -> None:
    odd = RANDOM.integers(0, 256, (20, 20, 6), dtype=np.uint8)
    write_array(odd, scenes / "trainA" / "2.tif", ".tif")
    findings = {each.kind: each for each in examine(scenes, copies=False, rules=SIX).findings}
    mixture = findings["mixture"]
    assert mixture.severity == "error"
    assert "2 of 6 bands of uint16, 1 of 6 bands of uint8" in mixture.text
    assert mixture.groups == ((scenes / "trainA" / "2.tif",),)


def test_grey_of_16_bits_need_not_be_squeezed(scenes: Path) -> None:
    for number in range(3):
        deep = RANDOM.integers(0, 65536, (20, 20), dtype=np.uint16)
        deep[0, 0] = 65535
        Image.fromarray(deep).save(scenes / "trainB" / f"{number}.png")
    findings = [each for each in examine(scenes, copies=False).findings if each.groups]
    (bits,) = (each for each in findings if "side B" in each.text)
    assert "(3 of 3 reach the end of their type" in bits.text
    assert "--set data.B.range=auto" in bits.advice


def test_bands_of_one_kind_of_images_are_no_dark_colours(tmp_path: Path) -> None:
    for name in ("dry", "wet"):
        (tmp_path / "train" / name).mkdir(parents=True)
        for number in range(3):
            values = np.random.default_rng(number).integers(0, 4096, (32, 32, 6), np.uint16)
            np.save(tmp_path / "train" / name / f"{number}.npy", values)
    settings = ("data.A.channels=6", "data.A.range=[0, 4095]")
    rules = load_options("stargan", f'data.root="{tmp_path}"', *settings).data
    found = examine(tmp_path, "domains", rules=rules)
    kinds = {each.kind for each in found.findings if each.severity == "error"}
    assert not kinds & {"range", "mixture", "unreadable"}, found.findings
    assert "16 bits" not in {each.kind for each in found.findings}
