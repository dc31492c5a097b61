"""What was trained on is written down; the split has a seed of its own."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from i2i.config.recipes import load_options, parse_setting
from i2i.data.images.content_hash import Member, content_hash, fingerprint
from i2i.data.kinds.splits import SPLITS_FILE, read_letters, read_sides, read_splits, write_splits
from i2i.data.sources import Source, open_source, resolve_options
from i2i.errors import DataError, OptionsError, RunError
from i2i.runs.checkpoint import load_checkpoint, save_checkpoint
from i2i.training import session as train
from shrunk import shrunk

KINDS = {
    "pix2pix": "paired",
    "cyclegan": "unpaired",
    "stargan": "domains",
    "dcgan": "unconditional",
}


def opened(recipe: str, root: Path, *settings: str) -> Source:
    options = load_options(
        recipe, "data.workers=0", "data.cache=off", *settings, size=16, dataroot=root
    )
    kind = KINDS[recipe]
    return open_source(resolve_options(options, kind), kind)


def data_of(recipe: str, root: Path, count: int = 20) -> Path:
    """Noise that fits the kind of data, without a split to validate with."""
    generator = np.random.default_rng(0)
    sides = {
        "paired": ("train/A", "train/B"),
        "unpaired": ("trainA", "trainB"),
        "domains": ("train/x", "train/y"),
        "unconditional": ("train/x", "train/y"),
    }
    for side in sides[KINDS[recipe]]:
        for number in range(count):
            path = root / side / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(generator.integers(0, 256, (16, 16, 3), dtype=np.uint8)).save(path)
    return root


@pytest.mark.parametrize("recipe", KINDS)
def test_the_split_has_a_seed_of_its_own(recipe: str, tmp_path: Path) -> None:
    root = data_of(recipe, tmp_path)
    one = opened(recipe, root, "train.seed=0").splits
    assert opened(recipe, root, "train.seed=1").splits == one
    assert opened(recipe, root, "data.split_seed=1").splits != one
    names = {member.name for split in one.values() for member in split}
    assert len(names) == sum(map(len, one.values())) == 40
    assert len(one["val"]) == 4
    assert one["test"] == []
    for name, content in one["train"]:
        assert content_hash(root / name) == content


@pytest.mark.parametrize("recipe", KINDS)
def test_a_fingerprint_is_of_the_content(recipe: str, tmp_path: Path) -> None:
    root = data_of(recipe, tmp_path / "here", 4)
    word = fingerprint(opened(recipe, root))
    shutil.copytree(root, tmp_path / "there")  # other times, other place
    assert fingerprint(opened(recipe, tmp_path / "there")) == word
    changed = root / opened(recipe, root).splits["train"][0].name
    with Image.open(changed) as image:
        inverted = Image.fromarray(255 - np.array(image))
    inverted.save(changed)
    assert fingerprint(opened(recipe, root)) != word


def test_images_to_test_with_are_listed_and_not_used(tmp_path: Path) -> None:
    root = data_of("pix2pix", tmp_path, 4)
    shutil.copytree(root / "train", root / "val")
    shutil.copytree(root / "train", root / "Testing")
    splits = opened("pix2pix", root).splits
    assert [len(splits[split]) for split in ("train", "val", "test")] == [8, 8, 8]
    assert splits["test"][0].name.startswith("Testing/A/")


def test_the_run_knows_what_it_was_trained_on(facades: Path, tmp_path: Path) -> None:
    options = shrunk("pix2pix", f"data.root={facades}")
    folder = train.start(options, tmp_path, "a", device="cpu").folder
    written = json.loads((folder / SPLITS_FILE).read_text())
    assert written["version"] == 1
    assert {split: len(members) for split, members in written["splits"].items()} == {
        "train": 7,
        "val": 3,
        "test": 0,
    }
    first = written["splits"]["train"][0]
    assert first == {"name": "train/0.png", "hash": content_hash(facades / "train" / "0.png")}
    assert read_splits(folder)["val"][2].name == "val/2.png"


def test_what_was_trained_on_once_stays_written_down(tmp_path: Path) -> None:
    write_splits(tmp_path, {"train": [Member("a", "1"), Member("b", "2")], "val": [], "test": []})
    write_splits(
        tmp_path, {"train": [Member("b", "2"), Member("c", "3")], "val": [Member("a", "1")]}
    )
    assert read_splits(tmp_path) == {
        "train": [Member("b", "2"), Member("c", "3"), Member("a", "1")],
        "val": [Member("a", "1")],
    }
    assert [path.name for path in tmp_path.iterdir()] == [SPLITS_FILE]
    for broken in (
        "",
        "[]",
        '{"version": 2}',
        '{"version": 1, "splits": {"train": [1]}}',
        "[" * 9999,
    ):
        (tmp_path / SPLITS_FILE).write_text(broken)
        with pytest.raises(RunError):
            read_splits(tmp_path)


def test_an_older_checkpoint_holds_out_what_it_held_out(tmp_path: Path) -> None:
    path = tmp_path / "step-00000001.pt"
    options = shrunk("pix2pix", "train.seed=5").to_dict()
    del options["data"]["split_seed"]
    save_checkpoint(path, {"options": options})
    assert load_checkpoint(path)["options"]["data"]["split_seed"] == 5
    options["data"]["split_seed"] = 3
    save_checkpoint(path, {"options": options})
    assert load_checkpoint(path)["options"]["data"]["split_seed"] == 3


@pytest.mark.parametrize("recipe", KINDS)
def test_nothing_starts_without_a_data_root(recipe: str, tmp_path: Path) -> None:
    options = shrunk(recipe)
    with pytest.raises(OptionsError, match=r"data\.root is empty"):
        train.start(options, tmp_path / "runs", device="cpu")
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("recipe", ["pix2pix", "stargan", "dcgan"])
def test_a_second_folder_is_for_unpaired_data(recipe: str, tmp_path: Path) -> None:
    root = data_of(recipe, tmp_path, 4)
    with pytest.raises(OptionsError, match=r"data\.root_b \(='x', --dataroot-b\) is for unpaired"):
        opened(recipe, root, "dataroot_b=x")


@pytest.mark.parametrize("recipe", ["pix2pix", "cyclegan"])
def test_what_only_labelled_data_has_is_refused(recipe: str, tmp_path: Path) -> None:
    root = data_of(recipe, tmp_path, 4)
    with pytest.raises(OptionsError, match=r"data\.table is for models of many domains"):
        opened(recipe, root, "data.table=x.csv")


def test_the_data_root_has_the_name_of_its_flag() -> None:
    assert parse_setting("dataroot=a b") == {"data": {"root": "a b"}}
    assert load_options("dcgan", dataroot=Path("x")).data.root == "x"
    assert load_options("cyclegan", "dataroot=y", dataroot_b="z").data.root_b == "z"


def test_a_place_is_read_as_it_is_typed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data_of("pix2pix", tmp_path / "my data", 4)
    monkeypatch.setenv("HOME", str(tmp_path))
    for typed in ("~/my data", f"'{tmp_path / 'my data'}'"):
        options = load_options("pix2pix", size=16, dataroot=typed)
        assert resolve_options(options, "paired").data.root == str(tmp_path / "my data")
    with pytest.raises(DataError, match="address on the network"):
        resolve_options(load_options("pix2pix", dataroot="https://x.org/a.zip"), "paired")


def test_what_is_left_out_is_named_once(tmp_path: Path, said: list[str]) -> None:
    root = data_of("cyclegan", tmp_path, 6)
    (root / "trainA" / "3.png").write_bytes(b"")
    (root / "trainA" / "4.mat").touch()
    (root / "testA").mkdir()
    opened("cyclegan", root, "data.skip_bad=true")
    text = "\n".join(said)
    assert text.count("trainA/3.png") == 1
    assert "left out 1 of 6 that cannot be used" in text
    assert "note: 1 files of kinds that are not read are passed over (1 .mat)" in text
    assert "note: testA without a folder of B: not used" in text
    assert "note: of A there is only 1 to validate with" in text


def test_two_folders_train_and_are_named(tmp_path: Path, said: list[str]) -> None:
    root = data_of("cyclegan", tmp_path, 4)
    (root / "trainA").rename(root / "Summer")
    (root / "trainB").rename(root / "Winter")
    assert opened("cyclegan", root).images == 3
    assert "data: A is 'Summer', B is 'Winter'" in said


def test_pairs_side_by_side_may_lie_in_several_folders(tmp_path: Path) -> None:
    for folder in ("day", "dusk", "night"):
        (tmp_path / "train" / folder).mkdir(parents=True)
        for number in range(2):
            pixels = np.random.default_rng(number).integers(0, 256, (16, 32, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "train" / folder / f"{number}.png")
    source = opened("pix2pix", tmp_path)
    assert source.images + source.validation_images == 6
    for path in tmp_path.rglob("*.png"):
        with Image.open(path) as image:
            image.resize((28, 16)).save(path)
    with pytest.raises(DataError, match=r"day, dusk, night of .* are 1\.75 times as wide"):
        opened("pix2pix", tmp_path)


def test_what_the_two_domains_are_called(tmp_path: Path) -> None:
    write_splits(tmp_path, {"train": [Member("a", "1")]}, ("Summer", "Winter"))
    assert read_sides(tmp_path) == ("Summer", "Winter")
    write_splits(tmp_path, {"train": [Member("a", "1")]})
    assert read_sides(tmp_path) == ("A", "B")
    assert read_sides(tmp_path / "nothing") == ("A", "B")
    (tmp_path / SPLITS_FILE).write_text('{"version": 1, "splits": {}, "sides": [3, "B"]}')
    assert read_sides(tmp_path) == ("A", "B")
    for broken in ("[" * 50_000, "[]", '{"version": 2}', '{"splits": {}}'):
        (tmp_path / SPLITS_FILE).write_text(broken)
        with pytest.raises(RunError):
            read_sides(tmp_path)


def test_of_which_side_each_image_is_stays_known(tmp_path: Path) -> None:
    a, b, c = (Member(f"{name}.png", f"{name}1") for name in "abc")
    none = {"val": [], "test": []}
    write_splits(tmp_path, {"train": [a, b], **none}, letters={"train": "AB", "val": ""})
    assert read_letters(tmp_path) == {"train": "AB"}
    write_splits(tmp_path, {"train": [c, b], **none}, letters={"train": "AB"})  # with other data
    assert read_splits(tmp_path)["train"] == [c, b, a]
    assert read_letters(tmp_path) == {"train": "ABA"}
    write_splits(tmp_path, {"train": [Member("d.png", "d1")], **none})  # of no sides
    assert read_letters(tmp_path) == {"train": "?ABA"}


@pytest.mark.parametrize("recipe", KINDS)
def test_the_letters_are_those_of_the_folders(recipe: str, tmp_path: Path) -> None:
    source = opened(recipe, data_of(recipe, tmp_path, 5), "data.test_share=0.2")
    for split, members in source.splits.items():
        folders = "".join(Path(member.name).parent.name[-1] for member in members)
        assert source.letters(split) == (folders if recipe in ("pix2pix", "cyclegan") else "")
        assert split == "val" or members
