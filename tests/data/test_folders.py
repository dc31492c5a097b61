"""Splits have many names, and folders of results are never data: for all kinds of data."""

from pathlib import Path

import pytest
from PIL import Image

from i2i.data.catalogue.attributes import find_attributed, read_table
from i2i.data.images.read import list_images, nothing_here, passed_over, typed_path
from i2i.data.inspection.survey import detect_kind
from i2i.data.kinds.folders import (
    MARKER,
    data_folders,
    is_results,
    like_a_split,
    results_folder,
    side_of,
    split_folders,
    split_of,
)
from i2i.data.kinds.image_folder import find_images
from i2i.data.kinds.layouts import find_domains, find_pairs, find_unpaired, lonely_sides
from i2i.errors import DataError

TRAIN = ("train", "Train", "TRAINING")
VAL = ("val", "Valid", "validation", "DEV", "Test", "testing", "Eval")


def touch(root: Path, *names: str) -> Path:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return root


def test_names_of_splits_and_sides() -> None:
    assert [split_of(name) for name in TRAIN] == ["train"] * 3
    assert [split_of(name) for name in VAL] == ["val"] * 4 + ["test"] * 3
    assert [split_of(name) for name in ("trains", "A", "", "evaluation")] == [None] * 4
    assert side_of("trainA") == side_of("Training_a") == ("train", "A")
    assert side_of("TESTB") == side_of("eval-b") == ("test", "B")
    assert side_of("test") is side_of("trainC") is None
    assert [like_a_split(n) for n in ("train2017", "val_images", "testA")] == [
        "train",
        "val",
        "test",
    ]
    assert [like_a_split(n) for n in ("trainer", "valley", "testimony", "devil")] == [None] * 4


@pytest.mark.parametrize("held", VAL)
@pytest.mark.parametrize("train", TRAIN)
def test_every_kind_knows_every_name(tmp_path: Path, train: str, held: str) -> None:
    joined = touch(tmp_path / "joined", *(f"{s}{x}/1.png" for s in (train, held) for x in "AB"))
    for split, name in (("train", train), ("val", held)):
        pairs = find_pairs(joined, split).pairs
        assert [pair.a for pair in pairs] == [joined / f"{name}A" / "1.png"]
        sides = find_unpaired(joined, split)
        assert sides is not None
        assert sides.b == (joined / f"{name}B" / "1.png",)

    domains = touch(
        tmp_path / "d", *(f"{s}/{x}/1.png" for s in (train, held) for x in ("cat", "dog"))
    )
    learnt = find_domains(domains, "train")
    assert learnt is not None
    assert learnt.images == {x: (domains / train / x / "1.png",) for x in ("cat", "dog")}
    validation = find_domains(domains, "val", ["cat", "dog"])
    assert validation is not None
    assert validation.images["dog"] == (domains / held / "dog" / "1.png",)

    classes = find_images(domains)
    assert classes.classes == ("cat", "dog")
    assert len(classes.train) == 2
    assert classes.validation is not None
    assert len(classes.validation) == 2

    table = tmp_path / "t.csv"
    table.write_text(f"file,A\n{train}/cat/1.png,1\n{train}/dog/1.png,0\n{held}/cat/1.png,1\n")
    listed = find_attributed(domains, read_table(table), drop_unlisted=True)
    assert len(listed.train) == 2
    assert listed.validation is not None
    assert len(listed.validation) == 1


def test_images_to_test_with_are_apart_from_those_that_validate(tmp_path: Path) -> None:
    root = touch(tmp_path, *(f"{s}/{x}/1.png" for s in ("train", "val", "Test") for x in "AB"))
    assert find_pairs(root, "val").pairs[0].a == root / "val" / "A" / "1.png"
    assert find_pairs(root, "test").pairs[0].a == root / "Test" / "A" / "1.png"
    assert [path.name for path in split_folders(root, "val")] == ["val", "Test"]


def test_two_names_of_one_split_are_refused(tmp_path: Path) -> None:
    touch(tmp_path, "train/cat/1.png", "training/cat/1.png", "train/dog/1.png")
    for find in (lambda: find_domains(tmp_path, "train"), lambda: find_images(tmp_path)):
        with pytest.raises(DataError, match="train/ and training/, which are names of the same"):
            find()


@pytest.mark.parametrize("names", [("trainA", "trainB", "testA"), ("train2017", "val2017")])
def test_folders_like_splits_are_neither_domains_nor_classes(
    tmp_path: Path, names: tuple[str, ...]
) -> None:
    touch(tmp_path, *(f"{name}/1.png" for name in names))
    with pytest.raises(DataError, match="No domains"):
        find_domains(tmp_path, "train")
    with pytest.raises(DataError, match="look like splits"):
        find_images(tmp_path)


def test_splits_one_folder_further_down_are_not_trained_on(tmp_path: Path) -> None:
    touch(tmp_path, "hair/Training/1.png", "hair/Testing/1.png")
    with pytest.raises(DataError, match=r"holds nothing but '.*hair': name that one"):
        find_images(tmp_path)
    with pytest.raises(DataError, match=r"Is '.*hair' the root that you mean\?"):
        find_domains(tmp_path, "train")


def test_own_results_and_leavings_of_systems_are_no_data(tmp_path: Path) -> None:
    touch(tmp_path, "cat/1.png", "dog/1.png")
    with results_folder(tmp_path / "out"):
        touch(tmp_path, "out/000000.png", "out/sheet.png")
    touch(tmp_path, "runs/a/options.toml", "runs/a/checkpoints/x.pt", "runs/a/samples/1.png")
    touch(tmp_path, *(f"{n}/1.png" for n in ("__MACOSX", "@eaDir", ".ipynb_checkpoints")))
    touch(tmp_path, "cat/@eaDir/1.png/thumb.png", "cat/Thumbs.db")
    assert [path.name for path in data_folders(tmp_path)] == ["cat", "dog"]
    assert find_images(tmp_path).classes == ("cat", "dog")
    found = find_domains(tmp_path, "train")
    assert found is not None
    assert list(found.images) == ["cat", "dog"]
    assert list_images(tmp_path) == [tmp_path / "cat" / "1.png", tmp_path / "dog" / "1.png"]
    # Whoever names it, means it.
    assert len(list_images(tmp_path / "out")) == 2
    assert len(list_images(tmp_path / "runs")) == 1


def test_only_a_new_folder_is_marked(tmp_path: Path) -> None:
    own = touch(tmp_path, "photos/1.png") / "photos"
    with results_folder(own):
        touch(own, "2.png")
    assert not is_results(own)
    (tmp_path / "empty").mkdir()
    with results_folder(tmp_path / "empty"), results_folder(tmp_path / "empty" / "within"):
        touch(tmp_path, "empty/within/1.png")
    assert (tmp_path / "empty" / MARKER).is_file()
    with results_folder(tmp_path / "never"):
        pass
    assert not (tmp_path / "never").exists()


def test_exactly_two_folders_are_the_two_sides(tmp_path: Path) -> None:
    touch(tmp_path, "Summer/1.png", "Winter/1.png", "Winter/2.png", "notes.txt")
    found = find_unpaired(tmp_path, "train")
    assert found is not None
    assert found.names == ("Summer", "Winter")
    assert (len(found.a), len(found.b)) == (1, 2)
    assert found.layout == "Summer (A) + Winter (B)"
    assert find_unpaired(tmp_path, "val") is None
    touch(tmp_path, "Autumn/1.png")
    with pytest.raises(DataError, match="No two kinds"):
        find_unpaired(tmp_path, "train")


@pytest.mark.parametrize("letters", ["AB", "ab"])
def test_two_folders_named_a_and_b_are_the_two_sides(tmp_path: Path, letters: str) -> None:
    for letter in letters:
        (tmp_path / letter).mkdir()
        for number in range(3):
            Image.new("RGB", (8, 8)).save(tmp_path / letter / f"{number}.png")
    pairs = find_pairs(tmp_path, "train")
    first = pairs.pairs[0]
    assert (first.a, first.b) == tuple(tmp_path / letter / "0.png" for letter in letters)
    assert (len(pairs.pairs), pairs.layout) == (3, f"{letters[0]} + {letters[1]}")
    found = find_unpaired(tmp_path, "train")
    assert found is not None
    assert (len(found.a), len(found.b), found.names) == (3, 3, ("A", "B"))
    assert detect_kind(tmp_path)[0] == "paired"
    (tmp_path / letters[1] / "0.png").rename(tmp_path / letters[1] / "4.png")
    for number in (1, 2):
        (tmp_path / letters[0] / f"{number}.png").unlink()
    assert detect_kind(tmp_path)[0] == "unpaired"


def test_two_folders_in_the_splits_are_the_two_sides(tmp_path: Path) -> None:
    touch(tmp_path, *(f"{s}/{x}/1.png" for s in ("train", "test") for x in ("day", "night")))
    for split, name in (("train", "train"), ("val", "test")):
        found = find_unpaired(tmp_path, split)
        assert found is not None
        assert found.names == ("day", "night")
        assert found.a == (tmp_path / name / "day" / "1.png",)


def test_one_side_within_the_other_is_refused(tmp_path: Path) -> None:
    touch(tmp_path, "Photos/1.png", "Photos/Winter/2.png")
    for b in (tmp_path / "Photos" / "Winter", tmp_path / "Photos"):
        with pytest.raises(DataError, match=r"images in .* \(B\) are in .* \(A\) as well"):
            find_unpaired(tmp_path / "Photos", "train", b)
    (tmp_path / "trainA").mkdir()
    touch(tmp_path, "trainA/1.png")
    (tmp_path / "trainB").symlink_to(tmp_path / "trainA")
    with pytest.raises(DataError, match="as well"):
        find_unpaired(tmp_path, "train")


def test_one_side_alone_is_known(tmp_path: Path) -> None:
    touch(tmp_path, "trainA/1.png", "trainB/1.png", "testA/1.png", "val/B/1.png")
    assert lonely_sides(tmp_path) == ["testA without a folder of B", "val/B without a folder of A"]


def test_other_domains_to_validate_with_are_said(tmp_path: Path) -> None:
    touch(tmp_path, "train/cat/1.png", "train/dog/1.png", "val/cat/1.png", "val/fox/1.png")
    held = find_domains(tmp_path, "val", ["cat", "dog"])
    assert held is not None
    folder = tmp_path / "val"
    assert held.notes == (
        f"fox in '{folder}': not among the domains, left out",
        f"dog: no folder in '{folder}'",
    )
    assert find_images(tmp_path).notes == (
        f"fox in '{folder}': no class to train on, left out",
        f"dog: no folder in '{folder}'",
    )


def test_files_that_are_not_read_are_counted(tmp_path: Path) -> None:
    touch(tmp_path, *(f"trainA/{n}.mat" for n in range(8)), "trainA/readme.txt", "trainB/1.png")
    with pytest.raises(DataError, match=r"no image in '.*trainA'.*8 \.mat, 1 \.txt"):
        find_pairs(tmp_path, "train")
    with pytest.raises(DataError, match=r"8 \.mat"):
        find_unpaired(tmp_path, "train")
    assert len(passed_over([tmp_path])) == 8
    touch(tmp_path, "phone/1.HEIC", "camera/1.cr2", "words/a.txt")
    for folder in ("phone", "camera"):
        assert nothing_here(tmp_path / folder).endswith(
            ". Save these as JPEG, PNG or TIFF first, RAW in the program that develops it."
        )
    assert "Save these" not in nothing_here(tmp_path / "words")
    assert nothing_here(tmp_path / "none") == f"There is no image in '{tmp_path / 'none'}'."


def test_names_that_were_compared_are_said(tmp_path: Path) -> None:
    touch(tmp_path, "trainA/1_A.png", "trainB/1_B.png")
    with pytest.raises(DataError, match="'1_A' was looked for there, '1_B' here"):
        find_pairs(tmp_path, "train")


def test_paths_as_people_type_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/somebody")
    assert typed_path("~/pics") == "/home/somebody/pics"
    assert typed_path(" '/a b/c' ") == typed_path('"/a b/c"') == typed_path("/a b/c") == "/a b/c"
    assert typed_path("C:\\pics") == "C:\\pics"
    for address in ("https://x.org/a.zip", "s3://bucket/a"):
        with pytest.raises(DataError, match="is an address on the network"):
            typed_path(address)
