"""Horses given to what makes zebras of them, and zebras: what is said of the latter."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from commands import invoke
from PIL import Image

from i2i.inference.wrong_way import wrong_way
from i2i.training import session as train
from shrunk import shrunk

BOTH = ("AtoB", "BtoA")


def images(folder: Path, count: int, seed: int) -> list[Path]:
    folder.mkdir(parents=True)
    generator = np.random.default_rng(seed)
    for number in range(count):
        pixels = generator.integers(0, 256, (16, 16, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")
    return sorted(folder.iterdir())


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """Trained on the folders Horse and Zebra."""
    images(tmp_path / "Horse", 4, 0)
    images(tmp_path / "Zebra", 3, 1)
    roots = (f"data.root={tmp_path / 'Horse'}", f"data.root_b={tmp_path / 'Zebra'}")
    options = shrunk("cyclegan", *roots, "train.steps=1")
    return train.start(options, tmp_path / "runs", "a", device="cpu").folder


def test_images_are_known_by_their_content_and_their_folder(run: Path, tmp_path: Path) -> None:
    zebras = images(tmp_path / "new" / "zebra", 2, 2)  # which the run has never seen
    copies = tmp_path / "copies"
    shutil.copytree(tmp_path / "Zebra", copies)
    copied, own = sorted(copies.iterdir()), sorted((tmp_path / "Horse").iterdir())
    both = "3 of 3 images are of Zebra (B) (3 by their content), and here Horse (A) is translated "
    assert wrong_way(run, "AtoB", BOTH, copied) == (
        f"{both}to Zebra (B): --direction BtoA goes from Zebra (B) to Horse (A)."
    )
    assert "it has not learnt the way back" in wrong_way(run, "AtoB", ["AtoB"], copied)
    assert wrong_way(run, "BtoA", BOTH, copied) == ""
    assert "2 of 2 images are of Zebra (B) (2 by their folder)" in wrong_way(
        run, "AtoB", BOTH, zebras
    )
    assert "2 of 6 images are of Zebra" in wrong_way(run, "AtoB", BOTH, [*own, *zebras])
    assert "4 of 4 images are of Horse (A)" in wrong_way(run, "BtoA", BOTH, own)
    assert wrong_way(run, "AtoB", BOTH, own) == ""
    assert wrong_way(run, "AtoB", BOTH, images(tmp_path / "elsewhere", 2, 3)) == ""
    assert wrong_way(tmp_path, "AtoB", BOTH, copied) == ""  # no run


def test_what_is_on_both_sides_is_of_neither(run: Path, tmp_path: Path) -> None:
    shutil.copy(tmp_path / "Horse" / "0.png", tmp_path / "Zebra" / "0.png")
    roots = (f"data.root={tmp_path / 'Horse'}", f"data.root_b={tmp_path / 'Zebra'}")
    options = shrunk("cyclegan", *roots, "train.steps=1")
    again = train.start(options, tmp_path / "runs", "b", device="cpu").folder
    mine = tmp_path / "mine"
    mine.mkdir()
    shutil.copy(tmp_path / "Horse" / "0.png", mine)
    assert wrong_way(again, "AtoB", BOTH, [mine / "0.png"]) == ""
    assert wrong_way(again, "BtoA", BOTH, [mine / "0.png"]) == ""


def test_the_command_says_it_before_it_begins(run: Path, tmp_path: Path) -> None:
    copies = tmp_path / "copies"
    shutil.copytree(tmp_path / "Zebra", copies)
    said = invoke("translate", copies, tmp_path / "x", "--run", run).output
    assert said.index("3 of 3 images are of Zebra (B)") < said.index("3 images translated")
    right = invoke("translate", copies, tmp_path / "y", "--run", run, "--direction", "BtoA").output
    assert "are of Zebra" not in right


def test_the_half_that_the_model_makes_is_named() -> None:
    assert "--side A is meant" in wrong_way(Path(), "AtoB", ["AtoB"], [], "B")
    assert "--side B is meant" in wrong_way(Path(), "BtoA", ["BtoA"], [], "A")
    assert wrong_way(Path(), "BtoA", ["BtoA"], [], "B") == ""
