"""Single images: where they are found, their classes, and the samples made of them."""

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from i2i.config import Options
from i2i.config.recipes import load_options
from i2i.data.augment.geometry import JointGeometry, evaluation_geometry
from i2i.data.kinds.image_folder import FileStore, find_images
from i2i.data.kinds.image_set import FoundImages, ImageSet, whole
from i2i.data.kinds.unconditional import SingleImages, _divided
from i2i.data.loading.loader import make_loader
from i2i.data.sides import SideReader
from i2i.data.sources import Source, open_source, resolve_options
from i2i.errors import DataError, OptionsError

COLOURS = {"red": (200, 0, 0), "green": (0, 200, 0), "blue": (0, 0, 200)}


def paint(folder: Path, count: int, colour: tuple[int, int, int] = (9, 9, 9)) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        lit = tuple(value + number for value in colour)
        Image.new("RGB", (20, 20), lit).save(folder / f"{number}.png")
    return folder


def names(images: ImageSet | None) -> list[str]:
    assert images is not None
    return [images.store.name(int(index)) for index in images.indices]


def test_any_tree(tmp_path: Path) -> None:
    paint(tmp_path / "deep" / "down", 2)
    paint(tmp_path / "deep", 1)
    found = find_images(tmp_path)
    assert names(found.train) == ["deep/0.png", "deep/down/0.png", "deep/down/1.png"]
    assert found.validation is None
    assert found.classes == ()
    assert found.train.labels is None
    paint(tmp_path / "other", 1)
    assert find_images(tmp_path).classes == ("deep", "other")
    paint(tmp_path, 1)  # images beside folders: these are no classes
    found = find_images(tmp_path)
    assert found.classes == ()
    assert len(found.train) == 5


@pytest.mark.parametrize("split", ["test", "val", "valid", "validation"])
def test_a_split_of_any_trees(tmp_path: Path, split: str) -> None:
    paint(tmp_path / "train" / "a", 3)
    paint(tmp_path / split / "b", 2)
    found = find_images(tmp_path)
    assert (names(found.train)[0], len(found.train)) == ("a/0.png", 3)
    assert names(found.validation) == ["b/0.png", "b/1.png"]
    assert found.layout == "train/any images"


def test_classes_are_the_names_of_folders(tmp_path: Path) -> None:
    for count, name in enumerate(("c10", "c2", "c1"), start=1):
        paint(tmp_path / "train" / name, count)
        (tmp_path / "train" / "empty").mkdir(exist_ok=True)
    paint(tmp_path / "test" / "c10", 2)
    paint(tmp_path / "test" / "other", 2)
    found = find_images(tmp_path)
    assert found.classes == ("c1", "c2", "c10")
    assert found.train.labels is not None
    assert found.train.labels.tolist() == [0, 0, 0, 1, 1, 2]
    assert found.validation is not None
    assert found.validation.labels is not None
    assert found.validation.labels.tolist() == [2, 2]
    chosen = found.train.of_classes(["c10", "c1"])
    assert chosen.labels is not None
    assert chosen.labels.tolist() == [1, 1, 1, 0]
    assert names(chosen) == names(found.train)[:3] + names(found.train)[-1:]
    with pytest.raises(DataError, match=r"of a class 'c11'\. Did you mean .*There are: c1, c2"):
        found.train.of_classes(["c11"])


def test_what_holds_no_images(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no image in .*\n.*any tree[\s\S]*is empty"):
        find_images(tmp_path)
    paint(tmp_path / "val", 1)
    with pytest.raises(DataError, match="no folder 'train'"):
        find_images(tmp_path)
    (tmp_path / "train").mkdir()
    with pytest.raises(DataError, match=r"no image in '.*train'"):
        find_images(tmp_path)
    paint(tmp_path / "train" / "a", 1)
    paint(tmp_path / "train" / "b", 1)
    with pytest.raises(DataError, match=r"No folder in '.*val' is named like one of those in"):
        find_images(tmp_path)
    with pytest.raises(DataError, match="There is no folder"):
        find_images(tmp_path / "nowhere")


def coloured(tmp_path: Path, *counts: int) -> ImageSet:
    for (name, colour), count in zip(COLOURS.items(), counts, strict=True):
        paint(tmp_path / "train" / name, count, colour)
    found = find_images(tmp_path)
    return found.train.of_classes(["red", "green", "blue"])


def divided(images: ImageSet, seed: int = 0) -> tuple[ImageSet, ImageSet]:
    data = load_options("dcgan", f"data.split_seed={seed}").data
    found = FoundImages("", images, None)
    data = data.model_copy(update={"domains": images.classes})
    train, held, test, _ = _divided(found, data)
    assert len(test) == 0
    return train, held


def test_a_tenth_of_each_class_is_held_out(tmp_path: Path) -> None:
    images = coloured(tmp_path, 30, 20, 1)
    train, held = divided(images)
    assert [len(places) for places in train.by_class()] == [27, 18, 1]
    assert [len(places) for places in held.by_class()] == [3, 2, 0]
    assert sorted(names(train) + names(held)) == sorted(names(images))
    assert names(divided(images)[1]) == names(held)
    assert names(divided(images, 1)[1]) != names(held)
    shuffled = images.take(np.random.default_rng(0).permutation(51).tolist())
    assert sorted(names(divided(shuffled)[1])) == sorted(names(held))


def test_a_sample_has_the_label_of_its_colour(tmp_path: Path) -> None:
    data = SingleImages(coloured(tmp_path, 5, 4, 3), JointGeometry(20, 16), shuffle=True, seed=3)
    assert len(data) == 12
    for position in range(24):
        images, labels, mask = data[position]
        assert (images.shape, images.dtype) == ((3, 16, 16), torch.uint8)
        assert labels.tolist() == (images[:, 0, 0] >= 200).float().tolist()
        assert (labels.dtype, mask.tolist()) == (torch.float32, [1])
    shown = [[data[p].images[:, 0, 0].tolist() for p in range(at, at + 12)] for at in (0, 12)]
    assert shown[0] != shown[1]
    assert sorted(shown[0]) == sorted(shown[1])
    assert len({tuple(pixel) for pixel in shown[0]}) == 12


def test_unlabelled_samples_and_their_channels(tmp_path: Path) -> None:
    images = find_images(paint(tmp_path, 2, (255, 0, 0))).train
    sample = SingleImages(images, evaluation_geometry(16), reader=SideReader("A", 1))[0]
    assert sample.labels.shape == (0,)
    assert sample.images.shape == (1, 16, 16)
    assert set(sample.images.flatten().tolist()) == {76}  # 0.299 * 255


def test_classes_take_turns_in_validation(tmp_path: Path) -> None:
    data = SingleImages(coloured(tmp_path, 3, 1, 2), evaluation_geometry(16))
    assert [int(data[p].labels.argmax()) for p in range(6)] == [0, 1, 2, 0, 2, 0]
    assert torch.equal(data[6].images, data[0].images)


def test_workers_change_nothing(tmp_path: Path) -> None:
    images = coloured(tmp_path, 5, 4, 3)
    data = SingleImages(images, JointGeometry(24, 16), shuffle=True, seed=7)
    alone, helped = (
        list(make_loader(data, batch_size=4, start=1, stop=5, workers=workers))
        for workers in (0, 2)
    )
    for one, other in zip(alone, helped, strict=True):
        for a, b in zip(one, other, strict=True):
            assert torch.equal(a, b)
    copy = pickle.loads(pickle.dumps(data))
    assert torch.equal(copy[17].images, data[17].images)


def test_fingerprints_tell_images_apart(tmp_path: Path) -> None:
    images = coloured(tmp_path, 2, 2, 2)
    store = images.store
    assert isinstance(store, FileStore)
    others = [
        images.take([0, 1, 2, 3, 4]),
        images.of_classes([]),
        images.of_classes(["blue", "red", "green"]),
        whole(FileStore(store.root, store.paths[:-1] + store.paths[:1])),
    ]
    assert len({each.fingerprint for each in (images, *others)}) == 5
    assert coloured(tmp_path, 2, 2, 2).fingerprint == images.fingerprint


def settled(root: Path | str, *settings: str) -> Options:
    options = load_options("pix2pix", f"data.root={root}", *settings, "generator.downs=2", size=16)
    return resolve_options(options, "unconditional")


def opened(root: Path | str, *settings: str) -> Source:
    return open_source(settled(root, *settings), "unconditional")


def test_a_source_of_classes(tmp_path: Path, said: list[str]) -> None:
    coloured(tmp_path, 20, 10, 10)
    assert settled(tmp_path).data.domains == ("blue", "green", "red")
    source = opened(tmp_path)
    assert (source.images, source.validation_images) == (36, 4)
    assert "36 images to train on, 4 to validate with (held out" in said[-2]
    assert said[-2].endswith("classes: 3")
    (batch,) = source.validation_batches(4)
    assert batch.labels.argmax(dim=1).tolist() == [0, 1, 2, 2]
    source = opened(tmp_path, 'data.domains=["red"]')
    assert source.train[0].labels.tolist() == [1]
    assert source.images == 18
    paint(tmp_path / "test" / "red", 3)
    source = opened(tmp_path)
    assert (source.images, source.validation_images) == (40, 3)
    assert "(their own split)" in said[-2]


def test_a_source_without_classes(tmp_path: Path, said: list[str]) -> None:
    paint(tmp_path, 10)
    assert settled(tmp_path).data.domains == ()
    source = opened(tmp_path, "data.output_channels=1")
    assert said[-2].endswith("classes: none")
    assert source.train[0].images.shape == (1, 16, 16)
    assert source.train[0].labels.shape == (0,)
    with pytest.raises(DataError, match=r"class 'red'\. Nothing is known of these images"):
        settled(tmp_path, 'data.domains=["red"]')


def test_tables_are_for_others(tmp_path: Path) -> None:
    coloured(tmp_path, 2, 2, 2)
    with pytest.raises(OptionsError, match=r"data\.table is for models that change attributes"):
        settled(tmp_path, "data.table=list.txt")
    with pytest.raises(OptionsError, match=r"data\.more is for models"):
        settled(tmp_path, f'data.more=[{{root="{tmp_path}"}}]')


def test_a_broken_image_is_named(tmp_path: Path, said: list[str]) -> None:
    coloured(tmp_path, 3, 3, 3)
    (tmp_path / "train" / "green" / "2.png").write_bytes(b"no image")
    with pytest.raises(DataError, match=r"green/2\.png"):
        opened(tmp_path)
    source = opened(tmp_path, "data.skip_bad=true")
    assert source.images + source.validation_images == 8
    assert "left out 1 of 9" in said[0]
    for position in range(5):
        images, labels, _ = source.train[position]
        assert labels.argmax() == 2 - images[:, 0, 0].float().argmax()  # blue, green, red


def test_the_embedded_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from i2i.data.demo import sets as demo

    written: list[str] = []

    def small(kind: str, cache: Path, **options: object) -> Path:
        written.append(kind)
        if not (cache / "demo").exists():
            demo.write_demo(cache / "demo", kind, 4, 16)
        return cache / "demo"

    monkeypatch.setattr(demo, "demo_folder", small)
    assert settled("demo").data.domains == ("autumn", "day", "night", "sketch", "winter")
    source = opened("demo")
    assert set(written) == {"domains"}
    assert (source.images, source.validation_images) == (20, 40)
