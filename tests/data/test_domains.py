from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from i2i.config import Options
from i2i.config.recipes import load_options
from i2i.core.batch import Referenced
from i2i.core.labels import LabelSet
from i2i.data.augment.geometry import JointGeometry, evaluation_geometry
from i2i.data.kinds.labelled_images import LabelledFiles, LabelledImages
from i2i.data.kinds.layouts import find_domains
from i2i.data.sources import open_source, resolve_options
from i2i.errors import DataError, OptionsError


def paint(folder: Path, count: int, level: int = 0) -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{number}.png" for number in range(count)]
    for number, path in enumerate(paths):
        Image.new("RGB", (20, 20), (level, number, 0)).save(path)
    return paths


def test_no_domain_is_called_as_the_word_for_all(tmp_path: Path) -> None:
    for name in ("all", "joy", "anger"):
        paint(tmp_path / name, 3)
    options = load_options("stargan", dataroot=tmp_path)
    with pytest.raises(DataError, match="a label 'all', the word that asks"):
        resolve_options(options, "domains")
    some = load_options("stargan", 'data.domains=["joy", "anger"]', dataroot=tmp_path)
    assert resolve_options(some, "domains").data.domains == ("joy", "anger")


def test_folders_of_domains_with_and_without_splits(tmp_path: Path) -> None:
    for name, count in (("day", 3), ("night", 2)):
        paint(tmp_path / "plain" / name, count)
        paint(tmp_path / "split" / "train" / name / "deep", count)
    plain = find_domains(tmp_path / "plain", "train")
    split = find_domains(tmp_path / "split", "train")
    assert plain is not None
    assert split is not None
    assert (plain.layout, split.layout) == ("<domain>", "train/<domain>")
    for found in (plain, split):
        assert {name: len(p) for name, p in found.images.items()} == {"day": 3, "night": 2}
    for root in ("plain", "split"):
        assert find_domains(tmp_path / root, "val", ("day", "night")) is None
    paint(tmp_path / "split" / "test" / "night", 4)
    paint(tmp_path / "split" / "test" / "other", 4)
    held = find_domains(tmp_path / "split", "val", ("day", "night"))
    assert held is not None
    assert {name: len(p) for name, p in held.images.items()} == {"night": 4}
    paint(tmp_path / "split" / "valid" / "day", 1)
    held = find_domains(tmp_path / "split", "val", ("day", "night"))
    assert held is not None
    assert held.layout == "valid/<domain>"


def test_domains_are_chosen_in_order_and_found_in_natural_order(tmp_path: Path) -> None:
    for name in ("age10", "age2", "age1", ".hidden"):
        paint(tmp_path / name, 1)
    (tmp_path / "README.txt").write_text("hello")
    every = find_domains(tmp_path, "train")
    some = find_domains(tmp_path, "train", ["age10", "age1"])
    assert every is not None
    assert some is not None
    assert list(every.images) == ["age1", "age2", "age10"]
    assert list(some.images) == ["age10", "age1"]


def test_what_has_no_domains(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"No domains in.*\n.*names of folders[\s\S]*is empty"):
        find_domains(tmp_path, "train")
    paint(tmp_path / "train", 2)
    with pytest.raises(DataError, match="No domains in"):
        find_domains(tmp_path, "train")
    paint(tmp_path / "val", 2)
    with pytest.raises(DataError, match="No domains in"):
        find_domains(tmp_path, "train")
    paint(tmp_path / "train" / "happy", 1)
    (tmp_path / "train" / "sad").mkdir()
    with pytest.raises(DataError, match=r"no image in '.*sad': fill or remove"):
        find_domains(tmp_path, "train")
    with pytest.raises(DataError, match=r"'hapy'.*Did you mean 'happy'\? There are: happy, sad"):
        find_domains(tmp_path, "train", ["hapy"])


DOMAINS = LabelSet(("x", "y", "z"), exclusive=True)
ATTRIBUTES = LabelSet(("p", "q"), exclusive=False)


def domains(tmp_path: Path, *counts: int) -> LabelledFiles:
    paths = [paint(tmp_path / "d" / name, n) for name, n in zip("xyz", counts, strict=True)]
    labels = np.repeat(np.eye(3, dtype=bool), counts, axis=0)
    return LabelledFiles(DOMAINS, tuple(path for each in paths for path in each), labels)


def attributes(tmp_path: Path, rows: list[list[int]]) -> LabelledFiles:
    paths = paint(tmp_path / "a", len(rows), level=200)
    return LabelledFiles(ATTRIBUTES, tuple(paths), np.array(rows, dtype=bool))


def test_samples_say_what_is_known(tmp_path: Path) -> None:
    sets = [domains(tmp_path, 2, 2, 2), attributes(tmp_path, [[1, 0], [1, 1], [0, 1]])]
    data = LabelledImages(sets, evaluation_geometry(16))
    assert len(data) == 9
    samples = [data[position] for position in range(9)]
    assert samples[0].images.shape == (3, 16, 16)
    assert samples[0].images.dtype == torch.uint8
    assert [tuple(s.labels.int().tolist()) for s in samples] == [
        (1, 0, 0, 0, 0),
        (0, 0, 0, 1, 0),
        (0, 1, 0, 0, 0),
        (0, 0, 0, 1, 1),
        (0, 0, 1, 0, 0),
        (0, 0, 0, 0, 1),
        (1, 0, 0, 0, 0),
        (0, 1, 0, 0, 0),
        (0, 0, 1, 0, 0),
    ]
    for sample in samples:
        assert sample.mask.tolist() == ([0, 1] if sample.images[0, 0, 0] == 200 else [1, 0])


def test_an_epoch_shows_every_image_once_in_an_order_of_its_own(tmp_path: Path) -> None:
    data = LabelledImages(
        [domains(tmp_path, 5, 1, 3)], JointGeometry(20, 16), batch_size=4, seed=3, shuffle=True
    )
    drawn = [data.index(position)[1] for position in range(27)]
    epochs = [drawn[at : at + 9] for at in (0, 9, 18)]
    assert all(sorted(epoch) == list(range(9)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == 3
    assert torch.equal(data[13].images, data[13].images)


def test_balanced_domains_are_seen_equally_often_and_their_images_too(tmp_path: Path) -> None:
    files = domains(tmp_path, 50, 1, 5)
    data = LabelledImages([files], JointGeometry(20, 16), shuffle=True, balance=True)
    drawn = [data.index(position)[1] for position in range(150)]
    seen = Counter(drawn)
    assert all(seen[i] == 1 for i in range(50))
    assert seen[50] == 50
    assert all(seen[i] == 10 for i in range(51, 56))
    assert Counter(files.labels[drawn[:3]].argmax(axis=1).tolist()) == {0: 1, 1: 1, 2: 1}


def test_balanced_attributes_hold_half_of_the_time(tmp_path: Path) -> None:
    rows = [[1, 0]] + [[0, 0]] * 40 + [[0, 1]] * 9
    files = attributes(tmp_path, rows)
    plain, balanced = (
        LabelledImages([files], JointGeometry(20, 16), shuffle=True, balance=balance)
        for balance in (False, True)
    )
    shares = [
        files.labels[[data.index(position)[1] for position in range(2000)]].mean(axis=0)
        for data in (plain, balanced)
    ]
    np.testing.assert_allclose(shares[0], [1 / 50, 9 / 50], atol=0.001)
    # Half of the draws look at one attribute, and of these one half has it.
    assert shares[1][0] > 0.25
    assert shares[1][1] > 0.25


def test_a_batch_comes_from_one_data_set_and_all_get_their_turn(tmp_path: Path) -> None:
    sets = [
        domains(tmp_path, 3, 3, 3),
        *(attributes(tmp_path / name, [[1, 0], [0, 1]]) for name in "abcd"),
    ]
    data = LabelledImages(sets, JointGeometry(20, 16), batch_size=3, seed=1, shuffle=True)
    batches = [{data.index(3 * batch + place)[0] for place in range(3)} for batch in range(500)]
    assert all(len(numbers) == 1 for numbers in batches)
    turns = [numbers.pop() for numbers in batches]
    assert Counter(turns) == dict.fromkeys(range(5), 100)
    # The generator moves in every fifth step: it, too, has to meet all of five data sets.
    assert set(turns[4::5]) == set(range(5))
    first = [data.index(p)[1] for p in range(1500) if data.index(p)[0] == 0][:18]
    assert sorted(first[:9]) == sorted(first[9:]) == list(range(9))


def test_labels_without_examples(tmp_path: Path) -> None:
    domains(tmp_path, 1, 1, 1).require_examples()
    with pytest.raises(DataError, match="'q' holds for none of the 2 images"):
        attributes(tmp_path, [[1, 0], [0, 0]]).require_examples()
    with pytest.raises(DataError, match="'p' holds for all of the 2 images"):
        attributes(tmp_path, [[1, 0], [1, 1]]).require_examples()


def settled(root: Path, *settings: str) -> Options:
    return resolve_options(
        load_options("stargan", f"data.root={root}", *settings, size=16), "domains"
    )


def test_the_names_are_written_into_the_options(domains: Path) -> None:
    options = settled(domains)
    assert options.data.domains == ("blue", "green", "red")
    assert options.data.labels.sets[0].exclusive
    assert resolve_options(options, "domains") == options
    table = settled(domains, "data.table=list_attr_celeba.txt")
    assert table.data.attributes == ("Black_Hair", "Blond_Hair", "Brown_Hair", "Male", "Young")
    assert not table.data.labels.sets[0].exclusive
    both = settled(
        domains,
        "data.table=list_attr_celeba.txt",
        'data.attributes=["Young", "Male"]',
        f'data.more=[{{root="{domains}", domains=["red", "blue"]}}]',
    )
    assert both.data.labels.names == ("Young", "Male", "red", "blue")
    assert both.data.labels.planes == 6


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ('data.domains=["red", "gren"]', "no folder of the domain 'gren'.*Did you mean 'green'"),
        ("data.table=list.txt", r"list\.txt' cannot be read"),
        ('data.attributes=["Young"]', r"columns of a table: name its file with data\.table"),
        ('data.more=[{domains=["a", "b"]}]', "a data set has no root"),
    ],
)
def test_what_cannot_be_settled(domains: Path, setting: str, message: str) -> None:
    with pytest.raises((DataError, OptionsError), match=message):
        settled(domains, setting)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (['data.domains=["a", "b"]', "data.table=x"], "either domains or attributes"),
        (['data.attributes=["a"]', 'data.groups=[["b"]]'], "groups: 'b' is none of the attributes"),
        (['data.attributes=["a"]', 'data.groups=[["b"]]'], r"Change data\.groups as well"),
        (["data.attributes=a, b"], r"attributes .='a, b'.: must be a list, such as .\"a\", \"b\"."),
        (["data.groups=[3]"], r"groups\.0 .=3.: must be a list, such as \[3\]"),
        (['data.domains=["a", "b"]', 'data.more=[{root="x", domains=["b"]}]'], "'b' is there more"),
        (['data.more=[{roots="x"}]'], r"data\.more\.0\.roots is no option\. Did you mean 'root'"),
        (["discriminator.norm=batch"], r"discriminator\.norm is no option"),
    ],
)
def test_labels_that_contradict_each_other(settings: list[str], message: str) -> None:
    with pytest.raises(OptionsError, match=message):
        load_options("stargan", *settings)


def test_a_source_of_folders(domains: Path, said: list[str]) -> None:
    source = open_source(settled(domains), "domains")
    assert (source.images, source.validation_images) == (15, 6)
    assert "4 of blue, 5 of green, 6 of red; 6 to validate with (their own split)" in said[0]
    (batch,) = source.validation_batches(6)
    assert batch.labels.argmax(dim=1).tolist() == [0, 1, 2, 0, 1, 2]


def test_a_source_of_plain_folders_holds_some_of_each_domain_out(domains: Path) -> None:
    source = open_source(settled(domains / "train"), "domains")
    assert (source.images, source.validation_images) == (12, 3)
    (batch,) = source.validation_batches(3)
    assert batch.labels.sum(dim=0).tolist() == [1, 1, 1]


def test_a_source_with_a_table(domains: Path, said: list[str]) -> None:
    table = "data.table=list_attr_celeba.txt"
    source = open_source(settled(domains, table), "domains")
    assert (source.images, source.validation_images) == (15, 6)
    assert "5 attributes" in said[-2]
    for position in range(15):
        images, labels, mask = source.train[position]
        colour = int(images.float().mean(dim=(1, 2)).argmax())
        assert labels[:3].tolist() == [float(channel == colour) for channel in range(3)]
        assert mask.tolist() == [1]
    said.clear()
    open_source(settled(domains, table, 'data.groups=[["Black_Hair", "Male"]]'), "domains")
    assert any("4 of 21 images have more than one of Black_Hair, Male, of which" in e for e in said)
    (domains / "train" / "red" / "0.png").rename(domains / "train" / "red" / "new.png")
    with pytest.raises(DataError, match=r"without a row.*\(1 of 21\):\n.*new\.png"):
        open_source(settled(domains, table), "domains")
    said.clear()
    smaller = settled(domains, table, "data.skip_bad=true")
    assert open_source(smaller, "domains").images == 14
    assert any("left out 1 of 15" in line and "new.png: no row in" in line for line in said)
    assert any("1 of 21 rows" in line and "have no image" in line for line in said)


def test_a_broken_image_is_named(domains: Path) -> None:
    (domains / "train" / "green" / "2.png").write_bytes(b"no image")
    with pytest.raises(DataError, match=r"green/2\.png"):
        open_source(settled(domains), "domains")
    assert open_source(settled(domains, "data.skip_bad=true"), "domains").images == 14


def test_references_are_pairs_of_one_domain(tmp_path: Path) -> None:
    files = domains(tmp_path, 6, 3, 1)
    geometry = JointGeometry(20, 20, flip=False)
    data = LabelledImages(
        [files], geometry, batch_size=4, seed=3, shuffle=True, balance=True, references=True
    )
    plain = LabelledImages([files], geometry, batch_size=4, seed=3, shuffle=True, balance=True)
    pairs: dict[int, list[tuple[int, int]]] = {0: [], 1: [], 2: []}
    for position in range(54):
        sample = data[position]
        assert isinstance(sample, Referenced)
        alone = plain[position]
        assert torch.equal(sample.images, alone.images)
        assert torch.equal(sample.labels, alone.labels)
        # The second channel of a painted image is its number.
        numbers = [int(image[1, 0, 0]) for image in (sample.references, sample.others)]
        pairs[int(sample.targets.argmax())].append((numbers[0], numbers[1]))
    assert {domain: len(each) for domain, each in pairs.items()} == {0: 18, 1: 18, 2: 18}
    assert Counter(one for one, _ in pairs[0]) == dict.fromkeys(range(6), 3)
    assert Counter(other for _, other in pairs[0]) == dict.fromkeys(range(6), 3)
    assert all(one != other for domain in (0, 1) for one, other in pairs[domain])
    assert len(set(pairs[1])) == 6  # all ordered pairs of three, in 18 draws
    assert set(pairs[2]) == {(0, 0)}
    again = LabelledImages(
        [files], geometry, batch_size=4, seed=3, shuffle=True, balance=True, references=True
    )[17]
    assert all(map(torch.equal, again, data[17]))


def test_references_are_cropped_apart(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (40, 40, 3), dtype=np.uint8)
    paths = [tmp_path / name / "0.png" for name in "xyz"]
    for path in paths:
        path.parent.mkdir()
        Image.fromarray(noise).save(path)
    files = LabelledFiles(DOMAINS, tuple(paths), np.eye(3, dtype=bool))
    data = LabelledImages([files], JointGeometry(40, 16), shuffle=True, references=True)
    for position in range(5):
        images = [image.numpy() for image in data[position] if image.ndim == 3]
        assert len(images) == 3
        assert not any(np.array_equal(images[i], images[j]) for i, j in ((0, 1), (1, 2), (0, 2)))
