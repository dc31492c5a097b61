"""Partners are found by name in every layout, and what is wrong with a folder is said."""

import random
from pathlib import Path

import pytest

from i2i.data.kinds.division import hold_out as hold_out_parts
from i2i.data.kinds.layouts import LAYOUTS, PairFiles, find_pairs, has_split, lonely_sides
from i2i.errors import DataError

IN_FOLDERS = {
    "trainA + trainB": ("trainA", "trainB"),
    "train/A + train/B": ("train/A", "train/B"),
    "A/train + B/train": ("A/train", "B/train"),
}


def touch(root: Path, *names: str) -> Path:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return root


def relative(root: Path, pairs: tuple[PairFiles, ...]) -> list[tuple[str, str | None, str]]:
    return [
        (
            pair.a.relative_to(root).as_posix(),
            pair.b.relative_to(root).as_posix() if pair.b else None,
            pair.name,
        )
        for pair in pairs
    ]


@pytest.mark.parametrize("layout", IN_FOLDERS)
def test_partners_match_by_name_and_not_by_position(tmp_path: Path, layout: str) -> None:
    a, b = IN_FOLDERS[layout]
    touch(tmp_path, f"{a}/2.jpg", f"{a}/10.jpg", f"{a}/in/x.1.jpg")
    touch(tmp_path, f"{b}/10.png", f"{b}/2.JPG", f"{b}/in/x.1.png", f"{b}/notes.txt")
    found = find_pairs(tmp_path, "train")
    assert found.layout == layout
    assert relative(tmp_path, found.pairs) == [
        (f"{a}/2.jpg", f"{b}/2.JPG", "2"),
        (f"{a}/10.jpg", f"{b}/10.png", "10"),
        (f"{a}/in/x.1.jpg", f"{b}/in/x.1.png", "in/x.1"),
    ]


def test_side_by_side(tmp_path: Path) -> None:
    touch(tmp_path, "train/2.jpg", "train/1.jpg", "train/more/1.jpg", "val/7.jpg")
    found = find_pairs(tmp_path, "train")
    assert found.layout == "train, side by side"
    assert relative(tmp_path, found.pairs) == [
        ("train/1.jpg", None, "1"),
        ("train/2.jpg", None, "2"),
        ("train/more/1.jpg", None, "more/1"),
    ]


@pytest.mark.parametrize("name", ["val", "valid", "validation", "test"])
def test_the_validation_split_has_many_names(tmp_path: Path, name: str) -> None:
    touch(tmp_path, "train/1.jpg", f"{name}/7.jpg")
    assert has_split(tmp_path, "val")
    assert relative(tmp_path, find_pairs(tmp_path, "val").pairs) == [(f"{name}/7.jpg", None, "7")]


def test_of_several_validation_splits_val_wins(tmp_path: Path) -> None:
    touch(tmp_path, "testA/1.jpg", "testB/1.jpg", "valA/2.jpg", "valB/2.jpg")
    assert find_pairs(tmp_path, "val").layout == "valA + valB"


def test_no_validation_split(tmp_path: Path) -> None:
    touch(tmp_path, "train/1.jpg")
    assert has_split(tmp_path, "train")
    assert not has_split(tmp_path, "val")


def test_orphans_are_counted_and_listed_or_dropped(tmp_path: Path) -> None:
    touch(tmp_path, *(f"trainA/{i}.jpg" for i in range(20)))
    touch(tmp_path, *(f"trainB/{i}.jpg" for i in range(15, 22)))
    with pytest.raises(DataError) as error:
        find_pairs(tmp_path, "train")
    text = str(error.value)
    assert "on the other side (17):\n" in text
    assert "trainA/0.jpg" in text
    assert "trainA/9.jpg" in text
    assert "trainA/10.jpg" not in text
    assert "and 7 more" in text
    assert "--skip-bad" in text

    found = find_pairs(tmp_path, "train", drop_orphans=True)
    assert [pair.name for pair in found.pairs] == ["15", "16", "17", "18", "19"]
    assert [path.name for path in found.orphans_a] == [f"{i}.jpg" for i in range(15)]
    assert [path.name for path in found.orphans_b] == ["20.jpg", "21.jpg"]


def test_unpaired_images_are_not_taken_for_orphans(tmp_path: Path) -> None:
    touch(tmp_path, "trainA/horse.jpg", "trainB/zebra.jpg")
    with pytest.raises(DataError, match=r"No image in .*trainA' \(1\) .* unpaired"):
        find_pairs(tmp_path, "train", drop_orphans=True)


@pytest.mark.parametrize("folders", [("train",), ("trainA", "trainB")])
def test_two_files_of_one_name_are_both_named(tmp_path: Path, folders: tuple[str, ...]) -> None:
    for folder in folders:
        touch(tmp_path, f"{folder}/1.jpg")
    touch(tmp_path, f"{folders[0]}/1.png")
    with pytest.raises(DataError, match=r"1\.jpg' and '.*1\.png' have the same name"):
        find_pairs(tmp_path, "train")


def test_an_unknown_layout_gets_a_drawing_and_what_was_found(tmp_path: Path) -> None:
    touch(tmp_path, "images/1.jpg", "readme.txt", ".hidden")
    with pytest.raises(DataError) as error:
        find_pairs(tmp_path, "train")
    text = str(error.value)
    for drawn in ("├── train/", "├── trainA/", "A/1.jpg", "├── A/", "└── B/", "left half"):
        assert drawn in text
    assert "  images/\n  readme.txt" in text
    assert ".hidden" not in text
    assert max(map(len, text.splitlines()[1:-4])) <= 100


def test_an_empty_root_and_half_a_layout(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is empty"):
        find_pairs(tmp_path, "train")
    touch(tmp_path, "train/A/1.jpg")
    with pytest.raises(DataError, match="No pairs for 'train'"):
        find_pairs(tmp_path, "train")


def test_a_split_given_as_root_is_recognised(tmp_path: Path) -> None:
    touch(tmp_path, "facades/train/1.jpg")
    with pytest.raises(DataError, match=r"Is '.*facades' the root that you mean\?"):
        find_pairs(tmp_path / "facades" / "train", "train")


def test_a_root_that_is_not_there_gets_a_suggestion(tmp_path: Path) -> None:
    (tmp_path / "facades").mkdir()
    with pytest.raises(DataError, match=r"Did you mean 'facades'\?"):
        find_pairs(tmp_path / "facade", "train")


def test_two_layouts_at_once_are_refused(tmp_path: Path) -> None:
    touch(tmp_path, "trainA/1.jpg", "trainB/1.jpg", "train/1.jpg")
    with pytest.raises(DataError, match=r"trainA \+ trainB and train, side by side"):
        find_pairs(tmp_path, "train")


def hold_out(
    pairs: list[PairFiles], share: float = 0.1, seed: int = 0
) -> tuple[list[PairFiles], list[PairFiles]]:
    train, held = hold_out_parts({"": pairs}, share, seed)
    return train[""], held[""]


def pairs_named(root: str, names: list[str]) -> list[PairFiles]:
    return [PairFiles(Path(root, f"{name}.jpg"), None, name) for name in names]


def test_what_is_held_out_depends_on_names_and_seed_only() -> None:
    names = [f"{i:03}" for i in range(100)]
    training, held = hold_out(pairs_named("here", names), share=0.2, seed=3)
    assert len(held) == 20
    assert sorted(p.name for p in training + held) == names
    assert [p.name for p in held] == sorted(p.name for p in held)

    random.Random(0).shuffle(names)
    _, again = hold_out(pairs_named("elsewhere", names), share=0.2, seed=3)
    assert {p.name for p in again} == {p.name for p in held}
    _, other = hold_out(pairs_named("here", names), share=0.2, seed=4)
    assert {p.name for p in other} != {p.name for p in held}


@pytest.mark.parametrize(("count", "held"), [(1, 0), (2, 1), (5, 1), (30, 3)])
def test_one_is_held_out_at_least_and_never_all(count: int, held: int) -> None:
    names = [str(i) for i in range(count)]
    assert len(hold_out(pairs_named("x", names))[1]) == held
    assert len(hold_out(pairs_named("x", names), share=1.0)[0]) == 1


def test_folders_of_domains_are_not_taken_for_pairs_side_by_side(tmp_path: Path) -> None:
    touch(tmp_path, "train/anger/1.png", "train/fear/1.png", "train/joy/1.png")
    assert not has_split(tmp_path, "train")
    with pytest.raises(DataError, match="No pairs for 'train'"):
        find_pairs(tmp_path, "train")


@pytest.mark.parametrize("before", ["", "train/"])
def test_two_folders_of_any_name_hold_pairs(tmp_path: Path, before: str) -> None:
    """With a stray image beside them, and in the order of their names."""
    parent = tmp_path / before
    touch(parent, "photo/1.png", "photo/more/2.png", "drawn/1.jpg", "drawn/more/2.jpg", "x.png")
    found = find_pairs(tmp_path, "train")
    assert found.names == ("drawn", "photo")
    assert [(pair.a, pair.b) for pair in found.pairs] == [
        (parent / "drawn/1.jpg", parent / "photo/1.png"),
        (parent / "drawn/more/2.jpg", parent / "photo/more/2.png"),
    ]
    assert not has_split(tmp_path, "val")
    assert lonely_sides(tmp_path) == [f"x.png beside the folders in '{parent}'"]
    touch(parent, "photo/3.png")
    with pytest.raises(DataError, match="without a partner of the same name"):
        find_pairs(tmp_path, "train")


def test_pairs_with_splits_in_two_folders_of_any_name(tmp_path: Path) -> None:
    touch(tmp_path, "photo/train/1.png", "drawn/train/1.png", "photo/val/2.png", "drawn/val/2.png")
    for split, name in (("train", "1"), ("val", "2")):
        found = find_pairs(tmp_path, split)
        assert found.names == ("drawn", "photo")
        assert [pair.name for pair in found.pairs] == [name]


def test_the_columns_of_the_drawing_stand_below_each_other() -> None:
    head, *lines = LAYOUTS[LAYOUTS.index("  root/") :].split("\n\n")[0].splitlines()
    begins = [at for at in range(len(head)) if head[at:].startswith("root/")]
    assert len(begins) == 4
    for line in lines:
        for begin in begins[1:]:
            assert line[begin - 2 : begin].strip() == ""
            assert line[begin : begin + 1] in ("", " ", "├", "│", "└")
