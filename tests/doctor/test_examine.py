"""Data sets with one fault each, and what is found in them; a clea one has none."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from i2i.cli import cli
from i2i.data.demo.sets import write_demo
from i2i.data.images.check import check_images
from i2i.doctor import Finding, as_dict, as_text, brief, detect_kind, examine
from i2i.errors import DataError

SIZE = 32


@pytest.fixture(scope="module")
def painted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("painted")
    for kind in ("paired", "unpaired", "domains"):
        write_demo(root / kind, kind, 6, SIZE)
    return root


@pytest.fixture
def data(painted: Path, tmp_path: Path) -> Callable[[str], Path]:
    """A clean data set of a kind, to be spoilt."""

    def copy(kind: str) -> Path:
        return Path(shutil.copytree(painted / kind, tmp_path / kind))

    return copy


def found(root: Path, severity: str | None = None, **how: object) -> dict[str, Finding]:
    findings = examine(root, **how).findings  # type: ignore[arg-type]
    kinds = [f.kind for f in findings if severity in (None, f.severity)]
    assert len(set(kinds)) == len(kinds)
    return {f.kind: f for f in findings if severity in (None, f.severity)}


def first(folder: Path, at: int = 0) -> Path:
    return sorted(folder.glob("*.png"))[at]


def noise(path: Path, size: tuple[int, int] = (SIZE, SIZE), seed: int = 0, **how: object) -> Path:
    width, height = size
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, **how)
    return path


@pytest.mark.parametrize("kind", ["paired", "unpaired", "domains"])
def test_a_clean_data_set_has_no_findings(data: Callable[[str], Path], kind: str) -> None:
    diagnosis = examine(data(kind), crop_size=SIZE, resize="stretch")
    # Side A of the pairs is a label map, of which a note says what a recipe may say.
    noted = [each for each in diagnosis.findings if each.kind == "classes"]
    assert list(diagnosis.findings) == noted
    assert diagnosis.exit_code == 0
    assert diagnosis.survey.kind == kind
    assert diagnosis.tables.sizes == {(SIZE, SIZE): diagnosis.images}
    assert diagnosis.tables.modes == {"RGB": diagnosis.images}
    assert diagnosis.tables.bits == {8: diagnosis.images}
    assert ("1 note." if noted else "Nothing is wrong.") in as_text(diagnosis)


def test_counts_are_those_of_the_demo(data: Callable[[str], Path]) -> None:
    diagnosis = examine(data("unpaired"))
    assert [(str(p), len(p.images)) for p in diagnosis.survey.parts] == [
        ("train A", 6),
        ("train B", 6),
        ("val A", 8),
        ("val B", 8),
    ]
    assert diagnosis.images == 28
    assert diagnosis.survey.samples == 6
    assert examine(data("domains")).survey.samples == 30


def test_a_image_in_training_and_test_is_the_first_finding(data: Callable[[str], Path]) -> None:
    root = data("unpaired")
    source = first(root / "trainA")
    leaked = Path(shutil.copy(source, root / "testA" / "leaked.png"))
    again = root / "testB" / "again.jpg"
    Image.open(first(root / "trainB")).resize((48, 48)).save(again, quality=90)
    shutil.copy(first(root / "trainA", 1), root / "trainA" / "twice.png")
    diagnosis = examine(root)
    leak, near, *_ = diagnosis.findings
    assert (leak.kind, leak.severity, near.kind, near.severity) == (
        *("leak", "error"),
        *("near leak", "error"),
    )
    assert leak.groups == ((source, leaked),)
    assert "1 of 18 images" in leak.text
    assert near.groups == ((first(root / "trainB"), again),)
    assert "1 of 18 images" in near.text
    assert "OVERLAP" in as_text(diagnosis)
    assert diagnosis.exit_code == 1
    assert {"leak"} == set(found(root, "error", fast=True))


def test_leaks_of_paired_data_are_those_of_each_side(data: Callable[[str], Path]) -> None:
    root = data("paired")
    shutil.copy(first(root / "train" / "B"), first(root / "val" / "B"))
    leak = found(root, "error")["leak"]
    assert "of B" in leak.text
    assert leak.groups == ((first(root / "train" / "B"), first(root / "val" / "B")),)


def test_partners_may_look_alike_but_not_be_the_same_file(data: Callable[[str], Path]) -> None:
    root = data("paired")
    a, b = first(root / "train" / "A"), first(root / "train" / "B")
    Image.open(b).convert("L").save(a)  # a task of colouring
    assert "same partners" not in found(root)
    assert "near leak" not in found(root)
    shutil.copy(b, a)
    assert found(root)["same partners"].groups == ((a, b),)


def test_copies_inside_a_set(data: Callable[[str], Path]) -> None:
    root = data("unpaired")
    source = first(root / "trainA")
    copy = Path(shutil.copy(source, root / "trainA" / "x.png"))
    Image.open(first(root / "trainA", 1)).save(root / "trainA" / "y.jpg", quality=85)
    shutil.copy(first(root / "trainB"), root / "trainA" / "z.png")
    all_found = found(root)
    assert set(all_found) == {"duplicates", "near duplicates", "both sides"}
    assert all_found["duplicates"].groups == ((source, copy),)
    assert all_found["duplicates"].severity == "warning"
    assert all_found["near duplicates"].severity == "note"
    assert all_found["both sides"].groups == ((root / "trainA" / "z.png", first(root / "trainB")),)
    Image.open(first(root / "trainB", 1)).save(root / "trainA" / "zz.jpg", quality=85)
    alike = found(root, "note")["both sides alike"]
    assert set(alike.groups[0]) == {root / "trainA" / "zz.jpg", first(root / "trainB", 1)}
    shutil.rmtree(root / "testA")
    shutil.rmtree(root / "testB")
    assert "held out" in found(root)["duplicates"].advice


def test_orphans_unequal_and_broken_pairs(data: Callable[[str], Path]) -> None:
    root = data("paired")
    a = root / "train" / "A"
    orphan = noise(a / "orphan.png")
    unequal = noise(first(a, 0), (SIZE, SIZE + 1), seed=1)
    broken = first(a, 1)
    broken.write_bytes(broken.read_bytes()[:-40])
    errors = found(root, "error")
    assert set(errors) == {"orphans", "mismatched", "unreadable"}
    assert errors["orphans"].groups == ((orphan,),)
    assert errors["mismatched"].groups == ((unequal, root / "train" / "B" / unequal.name),)
    assert f"{SIZE}x{SIZE + 1}" in errors["mismatched"].reasons[0]
    assert errors["unreadable"].groups == ((broken,),)
    assert "truncated" in errors["unreadable"].reasons[0]
    assert set(found(root, "error", fast=True)) == {"orphans", "mismatched"}


def test_side_by_side_of_odd_width(facades: Path) -> None:
    odd = noise(facades / "train" / "odd.png", (49, 24))
    assert found(facades, "error")["mismatched"].groups == ((odd,),)


def test_whole_images_that_are_hardly_pairs(tmp_path: Path) -> None:
    for number in range(4):
        noise(tmp_path / "train" / f"{number}.png", (SIZE, SIZE), number)
    assert "doubtful pairs" in found(tmp_path, "warning", kind="paired")
    assert found(tmp_path, "warning") == {}  # they are taken for whole images


def test_images_smaller_than_the_crop(data: Callable[[str], Path]) -> None:
    root = data("domains")
    assert set(found(root, crop_size=SIZE)) == set()
    small = noise(root / "train" / "day" / "small.png", (SIZE - 8, SIZE))
    finding = found(root, crop_size=SIZE)["small"]
    assert finding.groups == ((small,),)
    assert finding.severity == "warning"
    assert str(SIZE - 8) in finding.advice


def test_the_crop_of_pairs_side_by_side_is_that_of_a_half(facades: Path) -> None:
    assert "small" not in found(facades, crop_size=24)
    assert len(found(facades, crop_size=32)["small"].groups) == 10


def test_long_images_matter_only_where_they_are_stretched(data: Callable[[str], Path]) -> None:
    root = data("unpaired")
    noise(root / "trainA" / "long.png", (2 * SIZE, SIZE))
    assert found(root)["aspect"].severity == "note"
    assert found(root, resize="stretch")["aspect"].severity == "warning"
    assert "aspect" not in found(root, resize="shorter side")


def test_kinds_of_files(data: Callable[[str], Path]) -> None:
    root = data("unpaired")
    folder = root / "trainA"
    exif = Image.Exif()
    exif[0x0112] = 6
    image = Image.open(noise(folder / "noise.png", seed=7))

    def another(seed: int) -> Image.Image:
        rolled = np.random.default_rng(seed).integers(0, 256, (SIZE, SIZE, 3), dtype=np.uint8)
        return Image.fromarray(rolled)

    another(1).convert("L").save(folder / "grey.png")
    another(2).convert("L").convert("RGB").save(folder / "grey.jpg")
    deep = np.random.default_rng(3).integers(0, 65536, (SIZE, SIZE), dtype=np.uint16)
    Image.fromarray(deep).save(folder / "deep.png")
    opaque = another(4).convert("RGBA")
    opaque.save(folder / "opaque.png")
    clear = another(5).convert("RGBA")
    clear.putpixel((3, 3), (0, 0, 0, 0))
    clear.save(folder / "clear.png")
    another(6).convert("CMYK").save(folder / "cmyk.jpg", quality=95)
    another(8).save(folder / "turned.jpg", exif=exif, quality=95)
    another(9).save(folder / "profile.png", icc_profile=b"\0" * 128 + b"Display P3")
    another(10).save(folder / "srgb.png", icc_profile=b"\0" * 128 + b"sRGB IEC61966-2.1")
    another(11).save(folder / "moving.webp", save_all=True, append_images=[image])
    Image.new("RGB", (SIZE, SIZE), (9, 9, 9)).save(folder / "flat.png")
    diagnosis = examine(root)
    names = {
        f.kind: {path.name for group in f.groups for path in group} for f in diagnosis.findings
    }
    assert names == {
        "flat": {"flat.png"},
        "grey": {"grey.png", "grey.jpg", "deep.png"},
        "16 bits": {"deep.png"},
        "transparent": {"clear.png"},
        "cmyk": {"cmyk.jpg"},
        "rotated": {"turned.jpg"},
        "profile": {"profile.png"},
        "frames": {"moving.webp"},
    }
    assert {f.kind for f in diagnosis.findings if f.severity != "note"} == {"flat"}
    assert diagnosis.tables.orientations[6] == 1
    assert diagnosis.tables.modes["CMYK"] == 1
    assert diagnosis.tables.bits[16] == 1
    heads = set(found(root, fast=True))
    assert heads == {"grey", "16 bits", "cmyk", "rotated", "profile", "frames"}


def test_where_most_are_grey_the_coloured_ones_are_named(tmp_path: Path) -> None:
    for number in range(5):
        path = noise(tmp_path / f"{number}.png", seed=number)
        if number:
            Image.open(path).convert("L").save(path)
    finding = found(tmp_path)["grey"]
    assert finding.groups == ((tmp_path / "0.png",),)
    assert "have colours" in finding.text


def test_domains_out_of_balance(data: Callable[[str], Path]) -> None:
    root = data("domains")
    for path in sorted((root / "train" / "night").glob("*.png"))[1:]:
        path.unlink()
    finding = found(root)["balance"]
    assert finding.severity == "warning"
    assert "1 of night" in finding.text
    assert "data.balance" in finding.advice


def test_sides_out_of_balance_are_a_note(data: Callable[[str], Path]) -> None:
    root = data("unpaired")
    for path in sorted((root / "trainB").glob("*.png"))[1:]:
        path.unlink()
    assert found(root)["balance"].severity == "note"


def test_attributes(domains: Path) -> None:
    table = domains / "list_attr_celeba.txt"
    assert "rare attributes" not in found(domains, table=table)
    lines = table.read_text().splitlines()
    header = [lines[0], f"{lines[1]} Always"]
    table.write_text("\n".join(header + [f"{line} 1" for line in lines[2:]]) + "\n")
    finding = found(domains, table=table)["rare attributes"]
    assert "Always (100.0%)" in finding.text
    assert "Male" not in finding.text
    stranger = noise(domains / "train" / "red" / "stranger.png", seed=99)
    assert found(domains, "error", table=table)["unlisted"].groups == ((stranger,),)


def test_no_images_to_validate_with_are_a_note(data: Callable[[str], Path]) -> None:
    root = data("unpaired")
    shutil.rmtree(root / "testA")
    lonely = found(root)
    assert set(lonely) == {"no validation", "not used"}
    assert lonely["not used"].text == "testB without a folder of A: not used."
    shutil.rmtree(root / "testB")
    assert set(found(root)) == {"no validation"}
    assert examine(root).exit_code == 0


def test_what_a_folder_is_taken_for_and_why(data: Callable[[str], Path], tmp_path: Path) -> None:
    kind, how = detect_kind(data("paired"))
    assert kind == "paired"
    assert "6 images of A have a partner" in how
    assert "could be read as unpaired" in how
    assert detect_kind(data("unpaired")) == ("unpaired", "two sides")
    noise(tmp_path / "plain" / "1.png")
    assert detect_kind(tmp_path / "plain")[0] == "unconditional"
    noise(tmp_path / "half" / "trainA" / "1.png")
    kind, how = detect_kind(tmp_path / "half")
    assert (kind, how) == ("paired", "it looks like nothing known")
    assert "No pairs" in found(tmp_path / "half", "error")["layout"].text


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    (tmp_path / "faces").mkdir()
    with pytest.raises(DataError, match="Did you mean 'faces'"):
        examine(tmp_path / "facse")
    with pytest.raises(DataError, match="paired, unpaired"):
        examine(tmp_path / "faces", "pared")  # type: ignore[arg-type]
    assert "layout" in found(tmp_path / "faces", "error", kind="unconditional")


def test_nothing_is_decoded_twice(
    data: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = data("paired")
    shutil.copy(first(root / "train" / "B"), first(root / "val" / "B"))
    once = examine(root, cache=tmp_path / "cache")

    def forbidden(path: Path) -> str:
        raise AssertionError(path)

    monkeypatch.setattr("i2i.data.images.check.look_at", forbidden)
    assert examine(root, cache=tmp_path / "cache") == once
    seen = check_images(root.rglob("*.png"), tmp_path / "cache")
    lines = brief(root, "paired", seen)
    assert lines[0].startswith("warning: TRAIN AND TEST OVERLAP")
    assert lines[-1] == f"`i2i doctor {root}` says more."


def test_in_brief_there_is_nothing_to_say_of_a_clean_set(data: Callable[[str], Path]) -> None:
    root = data("domains")
    assert brief(root, "domains", check_images(root.rglob("*.png"))) == []


def test_everything_is_there_for_programs(data: Callable[[str], Path]) -> None:
    root = data("unpaired")
    shutil.copy(first(root / "trainA"), root / "testA" / "leaked.png")
    said = json.loads(json.dumps(as_dict(examine(root))))
    assert said["exit_code"] == 1
    assert said["kind"] == "unpaired"
    assert said["sizes"] == {f"{SIZE}x{SIZE}": 29}
    assert said["parts"][0] == {"split": "train", "name": "A", "images": 6}
    (leak,) = said["findings"]
    assert leak["kind"] == "leak"
    assert leak["groups"] == [[str(first(root / "trainA")), str(root / "testA" / "leaked.png")]]


def test_the_command_is_listed() -> None:
    assert "doctor" in cli.list_commands(None)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("width", "kind"), [(20, "unconditional"), (22, "unconditional"), (40, "paired")]
)
def test_single_images_are_not_taken_for_two_side_by_side(
    width: int, kind: str, tmp_path: Path
) -> None:
    generator = np.random.default_rng(0)
    for split, count in (("train", 5), ("test", 2)):
        (tmp_path / split).mkdir()
        for number in range(count):
            pixels = generator.integers(0, 256, (20, width, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / split / f"{split}{number}.png")
    assert detect_kind(tmp_path)[0] == kind


@pytest.mark.parametrize(
    ("kind", "sides"),
    [
        ("paired", ("{}/A", "{}/B")),
        ("unpaired", ("{}A", "{}B")),
        ("domains", ("{}/cat", "{}/dog")),
        ("unconditional", ("{}/cat", "{}/dog")),
    ],
)
def test_every_split_is_compared_with_every_other(
    tmp_path: Path, kind: str, sides: tuple[str, str]
) -> None:
    generator = np.random.default_rng(0)
    for side in sides:
        for split in ("Training", "valid", "Testing"):
            folder = tmp_path / side.format(split)
            folder.mkdir(parents=True)
            for number in range(3):
                pixels = generator.integers(0, 256, (24, 24, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(folder / f"{number}.png")
        tested = tmp_path / side.format("Testing")
        shutil.copy(tmp_path / side.format("Training") / "0.png", tested / "0.png")
        shutil.copy(tmp_path / side.format("valid") / "1.png", tested / "1.png")
    leaks = [each for each in examine(tmp_path, kind).findings if each.kind == "leak"]  # type: ignore[arg-type]
    said = {(each.severity, each.text.split(":")[0]) for each in leaks}
    assert said == {
        ("error", "TRAIN AND TEST OVERLAP"),
        ("warning", "VALIDATION AND TEST OVERLAP"),
    }
    assert all("to test with are among those to" in each.text for each in leaks)


def test_sides_are_judged_apart(tmp_path: Path) -> None:
    """Grey sketches and colour photos are what such pairs are for; one grey photo is not."""
    generator = np.random.default_rng(0)
    for number in range(6):
        for side, shape in (("A", (24, 24)), ("B", (24, 24, 3))):
            path = tmp_path / f"train{side}" / f"{number}.png"
            path.parent.mkdir(exist_ok=True)
            Image.fromarray(generator.integers(0, 256, shape, dtype=np.uint8)).save(path)
    assert "grey" not in {each.kind for each in examine(tmp_path, "paired").findings}
    Image.fromarray(generator.integers(0, 256, (24, 24), dtype=np.uint8)).save(
        tmp_path / "trainB" / "0.png"
    )
    (grey,) = (each for each in examine(tmp_path, "paired").findings if each.kind == "grey")
    assert grey.text == "1 of 6 images of B are grey, the others have colours."


@pytest.mark.parametrize("kind", ["domains", "unconditional"])
def test_names_that_will_be_in_the_way(tmp_path: Path, kind: str) -> None:
    for number, name in enumerate(("Anger", "anger", "a,b", "joy")):
        for image in range(6 if name == "joy" else 1):
            noise(tmp_path / "train" / name / f"{image}.png", seed=10 * number + image)
    warnings = found(tmp_path, kind=kind)
    assert warnings["names alike"].text == "'Anger' and 'anger' are nearly the same name."
    assert warnings["odd names"].text.startswith("'a,b': ")
    # Domains and classes alike are out of balance, with an advice of their own.
    assert warnings["balance"].text.startswith("Out of balance: 6 images of joy, 1 ")
    assert warnings["balance"].advice


@pytest.mark.parametrize("kind", ["domains", "unconditional"])
def test_names_that_look_like_typing_mistakes(tmp_path: Path, kind: str) -> None:
    for number, (name, count) in enumerate({"anger": 4, "angerr": 1, "joy": 3}.items()):
        for image in range(count):
            noise(tmp_path / "train" / name / f"{image}.png", seed=10 * number + image)
    warning = found(tmp_path, kind=kind)["misspelt name"]
    assert warning.text == (
        "'angerr' (1 image) is a letter away from 'anger' (4 images): is it a typing mistake?"
    )
    assert warning.severity == "warning"
