"""Where to begin with a folder: the recipe, the command, how many more images."""

import re
import shlex
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from i2i.config.recipes import load_options
from i2i.data.sources import resolve_options
from i2i.doctor.start import look_at, recommend
from i2i.errors import DataError


def paint(folder: Path, count: int, first: int = 0) -> Path:
    """So many small images of noise, none of them like another."""
    folder.mkdir(parents=True, exist_ok=True)
    generator = np.random.default_rng(len(str(folder)) + first)
    for number in range(first, first + count):
        pixels = generator.integers(0, 256, (24, 24, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{folder.name}{number}.png")
    return folder


@pytest.fixture
def seasons(tmp_path: Path) -> Path:
    paint(tmp_path / "seasons" / "Winter", 3)
    return paint(tmp_path / "seasons" / "Summer", 5).parent


def test_two_folders_of_any_name_are_two_sides(seasons: Path) -> None:
    found = look_at(str(seasons))
    assert found.survey.sides == ("Summer", "Winter")
    start = recommend(found, "cpu")
    assert start is not None
    assert (start.recipe, start.larger) == ("cyclegan-quick", "cyclegan")
    assert start.holds == "two kinds of pictures, without pairs (Summer, Winter)"
    assert start.command("my seasons") == "i2i train 'my seasons' --recipe cyclegan-quick"
    assert "95 more of Summer, 97 more of Winter" in start.more  # of 100
    with_gpu = recommend(found, "cuda")
    assert with_gpu is not None
    assert (with_gpu.recipe, with_gpu.larger) == ("cyclegan", "")


def test_two_folders_apart_keep_their_order(seasons: Path) -> None:
    found = look_at(str(seasons / "Winter"), str(seasons / "Summer"))
    assert found.survey.sides == ("Winter", "Summer")
    start = recommend(found, "cpu")
    assert start is not None
    command = start.command("Winter", "Summer")
    assert command == "i2i train Winter Summer --recipe cyclegan-quick"


def test_names_that_agree_are_said_to_be_pairs_perhaps(tmp_path: Path) -> None:
    for side in ("drawn", "photo"):
        paint(tmp_path / side, 5)
        for path in (tmp_path / side).iterdir():
            path.rename(path.with_name(path.name.removeprefix(side)))
    (tmp_path / "photo" / "0.png").unlink()
    paint(tmp_path / "photo", 1)
    start = recommend(look_at(str(tmp_path)), "cpu")
    assert start is not None
    assert start.recipe == "cyclegan-quick"
    (note,) = start.notes
    assert note.startswith("4 images have one of the same name on the other side.")
    (tmp_path / "photo" / "1.png").unlink()
    paint(tmp_path / "photo", 2)
    start = recommend(look_at(str(tmp_path)), "cpu")
    assert start is not None
    assert start.notes == ()  # 3 of 5 are less than four fifths


def test_names_and_sizes_that_all_agree_make_pairs(tmp_path: Path) -> None:
    """Whatever else lies beside the two folders."""
    for side in ("drawn", "photo"):
        paint(tmp_path / side, 5)
        for path in (tmp_path / side).iterdir():
            path.rename(path.with_name(path.name.removeprefix(side)))
    Image.new("RGB", (9, 9)).save(tmp_path / "cover.png")
    found = look_at(str(tmp_path))
    assert found.survey.sides == ("drawn", "photo")
    assert f"cover.png beside the folders in '{tmp_path}': not used" in found.survey.notes
    start = recommend(found, "cpu")
    assert start is not None
    assert start.recipe == "pix2pix-quick"
    assert start.holds.endswith("(drawn, photo)")
    assert start.notes[0].endswith("If they do not belong together: --recipe cyclegan-quick.")
    Image.new("RGB", (24, 25)).save(tmp_path / "photo" / "3.png")
    start = recommend(look_at(str(tmp_path)), "cpu")
    assert start is not None
    assert start.recipe == "cyclegan-quick"  # photos that are numbered alike by chance


def test_pairs(facades: Path) -> None:
    start = recommend(look_at(str(facades)), "cpu")
    assert start is not None
    assert start.recipe == "pix2pix-quick"
    assert "7 pairs are few" in start.more
    assert "43 more would help" in start.more  # of 50


def test_pairs_whose_input_numbers_classes(facades: Path, tmp_path: Path) -> None:
    root = tmp_path / "streets"
    for split, count in (("train", 4), ("val", 2)):
        paint(root / f"{split}B", count)
        (root / f"{split}A").mkdir()
        for path in (root / f"{split}B").iterdir():
            numbers = np.repeat(np.arange(24, dtype=np.uint8)[None] // 4, 24, 0)  # 0..5
            Image.fromarray(numbers).save(root / f"{split}A" / path.name)
    start = recommend(look_at(str(root)), "cpu")
    assert start is not None
    assert start.recipe == "spade-quick"
    assert start.settings == ("data.A.kind=labels", "data.A.classes=6")
    asked = "--recipe spade-quick --set data.A.kind=labels --set data.A.classes=6"
    assert start.command("streets") == f"i2i train streets {asked}"


def test_domains_and_images_of_one_kind(domains: Path, seasons: Path) -> None:
    start = recommend(look_at(str(domains)), "cpu")
    assert start is not None
    assert start.recipe == "stargan-quick"
    assert "(blue, green, red)" in start.holds
    start = recommend(look_at(str(seasons / "Summer")), "cpu")
    assert start is not None
    assert start.recipe == "r3gan-quick"
    assert "295 more would help" in start.more  # of 300


def test_a_table_of_attributes_is_seen(tmp_path: Path) -> None:
    folder = paint(tmp_path / "faces" / "images", 4).parent
    (folder / "notes.txt").write_text("Found in the attic.\n")
    other = "file,Old\nelse.png,1\n"
    (folder / "attic.csv").write_text(other)  # of other images
    start = recommend(look_at(str(folder)), "cpu")
    assert start is not None
    assert start.notes == ()
    rows = "".join(f"images{n}.png {(-1) ** n} 1\n" for n in range(4))
    (folder / "list_attr.txt").write_text(f"4\nSmiling Young\n{rows}")
    start = recommend(look_at(str(folder)), "cpu")
    assert start is not None
    assert start.recipe == "r3gan-quick"
    (note,) = start.notes
    assert "list_attr.txt says which attributes" in note
    assert "(Smiling, Young)" in note
    (command,) = re.findall(r"i2i (train .*?) \(", note)
    _, root, *flags = shlex.split(command)
    assert (root, flags[:2]) == (str(folder), ["--recipe", "stargan-quick"])
    options = resolve_options(load_options(flags[1], flags[3], dataroot=root), "domains")
    assert options.data.labels.names == ("Smiling", "Young")


@pytest.mark.parametrize(
    ("count", "said"),
    [
        (
            99,
            "99 images are few: enough for a first look, but soon known by heart. 1 more of x",
        ),
        (100, "Enough to begin with. 1,000 are usual: 900 more of x would help more than"),
        (1000, "As many as such models were published with."),
    ],
)
def test_how_many_more(count: int, said: str) -> None:
    from i2i.data.inspection.survey import Part
    from i2i.doctor.start import _more

    parts = [
        Part("train", "A", tuple(Path(f"a{n}") for n in range(count))),
        Part("train", "B", tuple(Path(f"b{n}") for n in range(2000))),
    ]
    assert _more(parts, 100, 1000, ("x", "y"), pairs=False).startswith(said)


def test_what_cannot_be_used_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="There is no folder"):
        look_at(str(tmp_path / "nothing"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"^There is no image in '.*empty'\.$"):
        look_at(str(tmp_path / "empty"))


def test_a_stray_image_changes_nothing(seasons: Path) -> None:
    before = look_at(str(seasons)).survey
    for name in ("sheet.png", "zoo.jpg"):
        Image.new("RGB", (9, 9)).save(seasons / name)
    after = look_at(str(seasons)).survey
    assert (after.kind, after.sides, after.parts) == (before.kind, before.sides, before.parts)
    assert after.notes == (f"sheet.png and 1 more beside the folders in '{seasons}': not used",)


def test_a_folder_without_images_beside_two_is_no_side(seasons: Path) -> None:
    (seasons / "Notes").mkdir()
    (seasons / "Notes" / "cameras.txt").write_text("which camera")
    assert look_at(str(seasons)).survey.sides == ("Summer", "Winter")


def test_a_name_that_is_nearly_that_of_a_folder(
    seasons: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(seasons)
    with pytest.raises(DataError, match=r"no folder 'Wintre'.*Did you mean 'Winter'\?"):
        look_at("Summer", "Wintre")
