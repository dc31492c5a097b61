"""Splits by tables, folds, groups and shares, for every kind of data."""

import csv
import shutil
from pathlib import Path

import pytest
from test_splits import KINDS, data_of, opened

from i2i.config.recipes import load_options
from i2i.data.inspection.examine import examine
from i2i.data.kinds.division import hold_out
from i2i.data.kinds.split_table import read_split_table
from i2i.errors import DataError, OptionsError

SIDES = {"paired": "AB", "unpaired": "AB", "domains": "xy", "unconditional": "xy"}


def names(source_or_splits: object, split: str) -> set[str]:
    splits = getattr(source_or_splits, "splits", source_or_splits)
    return {member.name for member in splits[split]}


def table(path: Path, rows: list[tuple[str, ...]], header: tuple[str, ...]) -> Path:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([header, *rows])
    return path


def loose(recipe: str, root: Path, count: int = 20) -> Path:
    """The data without folders of splits."""
    data_of(recipe, root, count)
    for folder in [*root.iterdir()]:
        if folder.name == "train":
            for inner in [*folder.iterdir()]:
                inner.rename(root / inner.name)
            folder.rmdir()
        else:
            folder.rename(root / folder.name.removeprefix("train"))
    return root


@pytest.mark.parametrize("recipe", KINDS)
def test_a_table_says_the_split(recipe: str, tmp_path: Path) -> None:
    root = loose(recipe, tmp_path / "data")
    split = {**dict.fromkeys(range(12), "train"), 12: "dev", 13: "val", 14: "", 15: "test"}
    rows = [(f"{number}.png", split.get(number, "testing"), "more") for number in range(20)]
    table(root / "splits.csv", rows, ("name", "split", "remark"))
    setting = "data.split_table=splits.csv"
    if recipe in ("stargan", "dcgan"):  # a name is as much of a path as tells images apart
        rows = [(f"{side}/{name}", *rest) for name, *rest in rows for side in "xy"]
        table(root / "splits.csv", rows, ("name", "split", "remark"))
    source = opened(recipe, root, setting)
    assert {split: len(members) for split, members in source.splits.items()} == {
        "train": 24,
        "val": 4,
        "test": 10,
    }
    assert {Path(name).stem for name in names(source, "test")} == {"15", "16", "17", "18", "19"}
    tested = source.evaluated("test")
    assert tested.validation_images == (5 if recipe in ("pix2pix", "cyclegan") else 10)
    assert tested.validation[0][0].shape == (3, 16, 16)
    assert source.evaluated("train").validation_images == source.images
    found = examine(root, KINDS[recipe], rules=load_options(recipe, setting).data).survey
    assert not found.problems
    parts = dict.fromkeys(("train", "val", "test"), 0)
    for part in found.parts:
        parts[part.split] += len(part.images)
    assert parts == {"train": 24, "val": 4, "test": 10}


@pytest.mark.parametrize("recipe", KINDS)
def test_each_image_is_tested_with_in_one_fold(recipe: str, tmp_path: Path) -> None:
    root = data_of(recipe, tmp_path)
    folds = [
        opened(recipe, root, "data.folds=4", f"data.fold={fold}").splits for fold in range(1, 5)
    ]
    tested = [names(splits, "test") for splits in folds]
    assert [len(each) for each in tested] == [10, 10, 10, 10]
    assert len(set.union(*tested)) == 40
    for splits in folds:
        assert len(names(splits, "train") | names(splits, "val") | names(splits, "test")) == 40
    with pytest.raises(OptionsError, match=r"fold \(=5\) must be at most folds \(=4\)"):
        opened(recipe, root, "data.folds=4", "data.fold=5")
    with pytest.raises(DataError, match="Fold 25 of 30 has no image"):
        opened(recipe, root, "data.folds=30", "data.fold=25")


@pytest.mark.parametrize("recipe", KINDS)
def test_a_group_lies_in_one_split(recipe: str, tmp_path: Path) -> None:
    root = data_of(recipe, tmp_path)
    for path in sorted(root.rglob("*.png")):
        path.rename(path.with_name(f"p{int(path.stem) // 4}-{path.name}"))
    for settings in (("data.test_share=0.2",), ("data.folds=5", "data.fold=2")):
        splits = opened(recipe, root, r"data.group_by=p(\d+)-", *settings).splits
        groups = [
            {Path(name).name.split("-")[0] for name in names(splits, split)}
            for split in ("train", "val", "test")
        ]
        assert all(groups)
        assert sum(map(len, groups)) == 5 == len(set.union(*groups))
    with pytest.raises(DataError, match=r"group_by \(='q'\) is not found in '.*p0-0.png'"):
        opened(recipe, root, "data.group_by=q")
    with pytest.raises(OptionsError, match=r"group_by \(='\('\) is no pattern"):
        opened(recipe, root, "data.group_by=(")


def test_groups_come_from_the_table_and_may_not_be_torn(tmp_path: Path) -> None:
    root = data_of("pix2pix", tmp_path)
    rows = [(str(n), f"house {n // 5}") for n in range(20)]
    table(root / "groups.csv", rows, ("name", "group"))
    source = opened("pix2pix", root, "data.split_table=groups.csv", "data.folds=4")
    assert {int(Path(name).stem) // 5 for name in names(source, "test")} < {0, 1, 2, 3}
    assert len(names(source, "test")) == 10
    torn = [(name, "train" if name == "0" else "test", group) for name, group in rows]
    table(root / "groups.csv", torn, ("name", "split", "group"))
    with pytest.raises(DataError, match=r"1 groups lie in train and in test \(house 0\)"):
        opened("pix2pix", root, "data.split_table=groups.csv")


@pytest.mark.parametrize("recipe", KINDS)
def test_fewer_images_are_among_more(recipe: str, tmp_path: Path) -> None:
    root = data_of(recipe, tmp_path)
    sets = [opened(recipe, root, f"data.limit={limit}").splits for limit in (3, 7, 100)]
    assert [len(each["train"]) for each in sets] == [6, 14, 36]
    assert names(sets[0], "train") < names(sets[1], "train") < names(sets[2], "train")
    assert all(each["val"] == sets[0]["val"] for each in sets)


@pytest.mark.parametrize("recipe", KINDS)
def test_images_to_test_with_can_be_spared_from_validating(recipe: str, tmp_path: Path) -> None:
    root = data_of(recipe, tmp_path)
    for folder in [*root.iterdir()]:
        shutil.copytree(folder, root / folder.name.replace("train", "test"))
    assert len(opened(recipe, root).splits["val"]) == 40
    splits = opened(recipe, root, "data.val_share=0.2").splits
    assert [len(splits[split]) for split in ("train", "val", "test")] == [32, 8, 40]
    assert all(name.startswith("test") for name in names(splits, "test"))


def test_what_a_table_may_not_be(tmp_path: Path, said: list[str]) -> None:
    root = data_of("pix2pix", tmp_path / "data", 4)
    path = root / "t.csv"
    for text, why in (
        ("a,b\n1,2\n", "must have the columns name and split or group"),
        ("name,split\n", "lists no image"),
        ("name,split\n0,tset\n", r"line 2: split is 'tset': .*Did you mean 'test'"),
        ("name;split\n0;train\n0.png;val\n", "line 3: '0' was there already"),
        ("name,split\n,train\n", "line 2: there is no name"),
        ("name,split\nx,train\n", "None of the 4 images is listed .*the first is 'x'"),
        ("name,split\n0,train\n1,val\nx,val\n", r"1 of 3 rows in .* have no image \(x\)"),
        ("name,split\n0,val\n", "No image is left to train on"),
    ):
        path.write_text(text)
        with pytest.raises(DataError, match=why):
            opened("pix2pix", root, "data.split_table=t.csv")
    with pytest.raises(DataError, match="cannot be read"):
        read_split_table(tmp_path)
    path.write_text("name\tsplit\n0\ttrain\n1\tval\nx\tval\n")
    said.clear()
    opened("pix2pix", root, "data.split_table=t.csv", "data.skip_bad=true")
    assert any("1 rows in" in line for line in said)
    assert any("2 images have no row in" in line and "left out" in line for line in said)
    with pytest.raises(OptionsError, match="leave one of them out"):
        opened("pix2pix", root, "data.split_table=t.csv", "data.folds=2")


def test_a_misspelt_column_is_not_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    for wrong, right in (("spilt", "split"), ("splits", "split")):
        path.write_text(f"name,{wrong},group\n0,test,a\n")
        with pytest.raises(DataError, match=f"a column '{wrong}' and none '{right}': rename it"):
            read_split_table(path)
    path.write_text("name,split,Groups\n0,test,a\n")
    with pytest.raises(DataError, match="a column 'groups' and none 'group'"):
        read_split_table(path)
    path.write_text("Name, Split ,age,site\n0,test,44,b\n")
    assert read_split_table(path).rows == {"0": ("test", None)}


def test_groups_larger_than_the_share() -> None:
    class Item(str):
        @property
        def name(self) -> str:
            return str(self)

    items = {"": [Item(f"{group}{n}") for group in "ab" for n in range(10 if group == "a" else 3)]}
    train, held = hold_out(items, 0.1, group=lambda item: item[0])
    assert {each[0] for each in held[""]} == {"b"}
    assert len(train[""]) == 10
    with pytest.raises(DataError, match="are of one group"):
        hold_out({"": items[""][:5]}, 0.1, group=lambda item: item[0])
