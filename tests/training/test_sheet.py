from pathlib import Path

import numpy as np
import torch
from PIL import Image

from i2i.config.recipes import load_options
from i2i.data.sources import open_source, resolve_options
from i2i.models.build import data_kind
from i2i.runs.image_grid import contact_sheet, image_grid, visible
from i2i.training.session import start
from shrunk import shrunk


def test_images_stand_in_columns_and_rows() -> None:
    shades = torch.tensor([-1.0, 0.0, 1.0]).view(3, 1, 1, 1)
    grey = shades.expand(3, 1, 60, 70)
    red = torch.stack([shades[:, 0], -torch.ones(3, 1, 1), -torch.ones(3, 1, 1)], dim=1)
    sheet = np.asarray(image_grid({"input": grey, "output": red.expand(3, 3, 60, 70)}))
    assert sheet.shape == (20 + 3 * 64, 4 + 2 * 74, 3)
    for row, value in enumerate((0, 128, 255)):
        middle = 20 + row * 64 + 30
        assert sheet[middle, 4 + 35].tolist() == [value] * 3
        assert sheet[middle, 4 + 74 + 35].tolist() == [value, 0, 0]
    assert sheet[:20].min() < 128  # the headings


def test_tiny_images_are_enlarged_alike_and_large_ones_left() -> None:
    tiny = torch.arange(2 * 28 * 28).view(2, 1, 28, 28) % 255
    assert torch.equal(visible(tiny)[:, :, 1::3, 2::3], tiny)
    assert visible(tiny).shape == (2, 1, 84, 84)
    assert visible(torch.zeros(1, 3, 97, 40)).shape == (1, 3, 97, 40)
    sheet = image_grid({"small": tiny[:, :, :14, :14].byte(), "large": tiny.byte()})
    assert sheet.size == (4 + 42 + 4 + 84 + 4, 20 + 2 * 88)


def test_a_contact_sheet_goes_on_in_the_next_row() -> None:
    shades = torch.arange(10, dtype=torch.uint8).view(10, 1, 1, 1).expand(10, 3, 100, 120)
    sheet = np.asarray(contact_sheet(shades))
    assert sheet.shape == (2 * 101 - 1, 8 * 121 - 1, 3)
    assert [sheet[50, 60 + 121 * column, 0] for column in range(8)] == [*range(8)]
    assert [sheet[151, 60 + 121 * column, 0] for column in range(3)] == [8, 9, 255]


def test_rows_have_names_beside_them_and_images_are_where_they_were() -> None:
    images = torch.zeros(2, 1, 100, 100, dtype=torch.uint8)
    plain = np.asarray(image_grid({"a": images}))
    named = np.asarray(image_grid({"a": images}, ["first.png", "a/" * 30 + "last.png"]))
    margin = named.shape[1] - plain.shape[1]
    assert 0 < margin < 250  # however long a name is
    assert named.shape[0] == plain.shape[0]
    np.testing.assert_array_equal(named[:, margin:], plain)
    beside = named[:, :margin].mean(axis=(1, 2))
    assert (beside[20:120] < 255).any()
    assert (beside[124:224] < 255).any()
    last = np.asarray(image_grid({"a": images}, ["second\nand its domain"]))
    beside = last[:, : last.shape[1] - plain.shape[1]].mean(axis=(1, 2))
    assert (beside[20:120] == 255).all()  # what comes before those that are named
    assert (beside[124:174] < 255).any()
    assert (beside[174:224] < 255).any()  # the second line


def test_a_data_set_names_what_it_validates_with(
    facades: Path, unpaired: Path, domains: Path
) -> None:
    """In the order of the rows of a sheet: pairs, files of both sides, files and domains."""
    for options, expected in (
        (shrunk("pix2pix", f"data.root={facades}"), ["0", "1", "2"]),
        (shrunk("cyclegan", f"data.root={unpaired}"), ["0.png\n0.png", "1.png\n1.png"]),
        (
            shrunk("stargan", f"data.root={domains}"),
            ["0.png\nred", "0.png\ngreen", "0.png\nblue", "1.png\nred", "1.png\ngreen"],
        ),
        (load_options("dcgan", dataroot=unpaired / "trainA"), []),
    ):
        kind = data_kind(options)
        source = open_source(resolve_options(options, kind), kind)
        assert source.validation_names(5) == expected


def test_a_sheet_may_have_fewer_rows_than_are_asked_for(facades: Path, tmp_path: Path) -> None:
    few = ("train.validation_images=2", "train.visualize_images=8", "train.steps=1")
    options = shrunk("pix2pix", f"data.root={facades}", *few)
    outcome = start(options, tmp_path, "a", device="cpu")
    with Image.open(outcome.folder / "samples" / "step-00000001.png") as sheet:
        assert sheet.height == 20 + 2 * (96 + 4)
