"""The table of torchvision's data sets against torchvision itself, and files written by hand."""

import bz2
import inspect
import json
import pickle
import re
import struct
from pathlib import Path
from typing import Any
from urllib.error import URLError

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision import datasets

from i2i.config.recipes import load_options, shipped
from i2i.data.augment.geometry import evaluation_geometry
from i2i.data.catalogue.cards import catalogued, read_catalogue
from i2i.data.catalogue.torchvision_names import TORCHVISION, Named
from i2i.data.catalogue.torchvision_sets import find_named, torchvision_folder
from i2i.data.kinds.image_set import FoundImages
from i2i.data.kinds.unconditional import SingleImages
from i2i.data.loading.loader import make_loader
from i2i.data.sides import SideReader
from i2i.data.sources import open_source, resolve_options
from i2i.errors import DataError


def found(name: str, cache: Path) -> FoundImages:
    return find_named(name, cache)


@pytest.mark.parametrize("named", TORCHVISION.values(), ids=TORCHVISION)
def test_torchvision_knows_every_entry(named: Named, tmp_path: Path) -> None:
    maker = getattr(datasets, named.maker)
    for arguments in (each for each in named.splits if each is not None):
        every = {**arguments, "download": False} if named.downloads else arguments
        inspect.signature(maker).bind(root="", **every)
        # Arguments are looked at first, and then there are no files; or a package is missing.
        with pytest.raises((RuntimeError, OSError, ImportError)):
            maker(root=str(tmp_path), **every)
    source = "".join(
        inspect.getsource(each) for each in maker.__mro__ if "torchvision" in each.__module__
    )
    for attribute in filter(None, (named.labels, named.classes)):
        assert re.search(rf"(self\.|\b){attribute}\b[^=\n]* = ", source), attribute


def test_names_are_those_of_no_card() -> None:
    cards = read_catalogue(shipped("datasets"))
    assert not set(cards) & set(TORCHVISION)


def write_idx(folder: Path, prefix: str, levels: list[int], labels: list[int]) -> None:
    """Images of 28 x 28, grey, and white above on the right."""
    folder.mkdir(parents=True, exist_ok=True)
    images = np.repeat(np.array(levels, dtype=np.uint8), 28 * 28).reshape(-1, 28, 28)
    images[:, 0, -1] = 255
    header = struct.pack(">IIII", 2051, *images.shape)
    (folder / f"{prefix}-images-idx3-ubyte").write_bytes(header + images.tobytes())
    header = struct.pack(">II", 2049, len(labels))
    (folder / f"{prefix}-labels-idx1-ubyte").write_bytes(header + bytes(labels))


def write_mnist(cache: Path, name: str = "MNIST") -> None:
    raw = cache / "torchvision" / name / name / "raw"
    write_idx(raw, "train", [0, 10, 20, 30, 40], [0, 1, 2, 3, 0])
    write_idx(raw, "t10k", [50, 60, 70], [3, 9, 1])


def test_mnist(own_cache: Path) -> None:
    write_mnist(own_cache)
    digits = found("mnist", own_cache)
    assert digits.classes == ("0", "1", "2", "3")
    assert digits.layout == "torchvision's MNIST"
    train = digits.train.of_classes(digits.classes)
    assert train.labels is not None
    assert train.labels.tolist() == [0, 1, 2, 3, 0]
    pixels = train.read(3, 1)
    assert pixels.shape == (28, 28, 1)
    assert (pixels[0, -1, 0], pixels[-1, 0, 0]) == (255, 30)
    assert train.read(3, 3).shape == (28, 28, 3)
    assert digits.validation is not None
    held = digits.validation.of_classes(digits.classes)
    assert [int(held.read(n, 1)[1, 1, 0]) for n in range(len(held))] == [50, 70]


def test_classes_become_names_of_folders(own_cache: Path, said: list[str]) -> None:
    write_mnist(own_cache, "FashionMNIST")
    options = load_options(
        "pix2pix", "data.root=fashion-mnist", "generator.downs=2", "data.output_channels=1", size=32
    )
    options = resolve_options(options, "unconditional")
    assert options.data.domains == ("T-shirt-top", "Trouser", "Pullover", "Dress")
    source = open_source(options, "unconditional")
    assert said[-2].startswith("data: fashion-mnist (torchvision's FashionMNIST), 5 images")
    (batch,) = source.validation_batches(2)
    assert batch.images.shape == (2, 1, 32, 32)
    assert batch.labels.tolist() == [[0, 1, 0, 0], [0, 0, 0, 1]]


def test_letters_are_upright_and_those_without_images_left_out(own_cache: Path) -> None:
    raw = own_cache / "torchvision" / "EMNIST" / "EMNIST" / "raw"
    write_idx(raw, "emnist-letters-train", [1, 2, 3], [1, 2, 26])
    write_idx(raw, "emnist-letters-test", [4], [2])
    letters = found("emnist-letters", own_cache)
    assert letters.classes == ("a", "b", "z")
    pixels = letters.train.read(0, 1)
    assert (pixels[-1, 0, 0], pixels[0, -1, 0]) == (255, 1)


def test_workers_open_the_files_for_themselves(own_cache: Path) -> None:
    write_mnist(own_cache)
    images = found("mnist", own_cache).train
    data = SingleImages(images, evaluation_geometry(28), reader=SideReader("A", 1), shuffle=True)
    data[0]
    assert len(pickle.dumps(images)) < 3000
    (alone,), (helped,) = (
        list(make_loader(data, batch_size=5, start=0, stop=1, workers=workers))
        for workers in (0, 1)
    )
    for one, other in zip(alone, helped, strict=True):
        assert torch.equal(one, other)


def write_usps(root: Path) -> None:
    root.mkdir(parents=True)
    for name, label in (("usps.bz2", 3), ("usps.t.bz2", 1)):
        values = " ".join(f"{n}:{1 if n == 1 else -1}" for n in range(1, 257))
        (root / name).write_bytes(bz2.compress(f"{label} {values}\n1 {values}\n".encode()))


def write_eurosat(root: Path) -> None:
    paint(
        root / "eurosat" / "2750" / "Forest" / "1.jpg", root / "eurosat" / "2750" / "Sea" / "1.jpg"
    )


def write_caltech(root: Path) -> None:
    parent = root / "caltech101" / "101_ObjectCategories"
    paint(*(parent / name / "image_0001.jpg" for name in ("Faces", "ant", "BACKGROUND_Google")))


def write_gtsrb(root: Path) -> None:
    base = root / "gtsrb"
    paint(*(base / "GTSRB" / "Training" / f"0000{n}" / "1.ppm" for n in (0, 1)))
    paint(base / "GTSRB" / "Final_Test" / "Images" / "1.ppm")
    (base / "GT-final_test.csv").write_text("Filename;ClassId\n1.ppm;1\n")


def write_food(root: Path) -> None:
    base = root / "food-101"
    paint(*(base / "images" / dish / "1.jpg" for dish in ("pie", "soup")))
    (base / "meta").mkdir()
    for split in ("train", "test"):
        listed = {dish: [f"{dish}/1"] for dish in ("pie", "soup")}
        (base / "meta" / f"{split}.json").write_text(json.dumps(listed))


def write_imagenette(root: Path) -> None:
    for split in ("train", "val"):
        base = root / "imagenette2-320" / split
        paint(*(base / number / "1.jpeg" for number in ("n01440764", "n03445777")))


def write_dtd(root: Path) -> None:
    base = root / "dtd" / "dtd"
    paint(*(base / "images" / name / "1.jpg" for name in ("dotted", "woven")))
    (base / "labels").mkdir()
    (base / "imdb").mkdir()
    for split in ("train", "val"):
        (base / "labels" / f"{split}1.txt").write_text("dotted/1.jpg\nwoven/1.jpg\n")


def paint(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (12, 10), (250, 0, 0)).save(path)


@pytest.mark.parametrize(
    ("name", "write", "classes", "labels"),
    [
        ("usps", write_usps, ("0", "2"), [2, 0]),
        ("eurosat", write_eurosat, ("Forest", "Sea"), [0, 1]),
        ("caltech101", write_caltech, ("Faces", "ant"), [0, 1]),
        ("gtsrb", write_gtsrb, ("0", "1"), [0, 1]),
        ("food101", write_food, ("pie", "soup"), [0, 1]),
        ("dtd", write_dtd, ("dotted", "woven"), [0, 1]),
        ("imagenette", write_imagenette, ("tench", "golf ball"), [0, 1]),
    ],
)
def test_others(
    name: str, write: Any, classes: tuple[str, ...], labels: list[int], own_cache: Path
) -> None:
    write(torchvision_folder(name, own_cache))
    there = found(name, own_cache)
    assert there.classes == classes
    assert there.train.labels is not None
    assert there.train.labels.tolist() == labels
    pixels = there.train.read(1, 3)
    assert pixels.dtype == np.uint8
    assert pixels[0, 0, 0] >= 250
    assert (there.validation is None) == (TORCHVISION[name].splits[1] is None)


def test_a_broken_image(own_cache: Path) -> None:
    root = torchvision_folder("eurosat", own_cache)
    write_eurosat(root)
    images = found("eurosat", own_cache).train
    (root / "eurosat" / "2750" / "Sea" / "1.jpg").write_bytes(b"no image")
    with pytest.raises(DataError, match=r"LoadedImage 1 of EuroSAT in '.*' cannot be read"):
        images.read(1, 3)


def test_cifar(own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    base = torchvision_folder("cifar10", own_cache) / "cifar-10-batches-py"
    base.mkdir(parents=True)
    red = np.concatenate([np.full(1024, 200), np.zeros(2048)]).astype(np.uint8)
    for batch, _ in datasets.CIFAR10.train_list + datasets.CIFAR10.test_list:
        (base / batch).write_bytes(pickle.dumps({"data": np.stack([red] * 2), "labels": [4, 7]}))
    names = [f"thing {n}" for n in range(10)]
    (base / "batches.meta").write_bytes(pickle.dumps({"label_names": names}))
    monkeypatch.setattr(datasets.CIFAR10, "_check_integrity", lambda self: True)
    monkeypatch.setattr("torchvision.datasets.cifar.check_integrity", lambda *args: True)
    cifar = found("cifar10", own_cache)
    assert cifar.classes == ("thing 4", "thing 7")
    assert len(cifar.train) == 10
    assert cifar.train.read(0, 3)[5, 5].tolist() == [200, 0, 0]


def test_what_cannot_be_downloaded(
    own_cache: Path, monkeypatch: pytest.MonkeyPatch, said: list[str]
) -> None:
    def offline(self: object) -> None:
        raise URLError("no route to host")

    monkeypatch.setattr(datasets.MNIST, "download", offline)
    with pytest.raises(DataError) as caught:
        find_named("kmnist", own_cache)
    folder = own_cache / "torchvision" / "KMNIST"
    assert said == [f"downloading kmnist into {folder}"]
    assert "'kmnist' cannot be had (<urlopen error no route to host>)" in str(caught.value)
    assert str(caught.value).endswith(f"copy what is then in its root to '{folder}'.")
    assert "\n" not in str(caught.value)


def test_what_is_downloaded(
    own_cache: Path, monkeypatch: pytest.MonkeyPatch, said: list[str]
) -> None:
    monkeypatch.setattr(datasets.MNIST, "download", lambda self: write_mnist(own_cache))
    assert len(find_named("mnist", own_cache).train) == 5
    assert len(said) == 1
    find_named("mnist", own_cache)
    assert len(said) == 1


def test_what_has_to_be_fetched_by_hand(own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def incomplete(root: str, classes: list[str]) -> None:
        raise OSError(f"{root}/{classes[0]}_lmdb: no such file")

    monkeypatch.setattr(datasets, "LSUN", incomplete)
    folders = "put the folders tower_train_lmdb and tower_val_lmdb of LSUN into '.*LSUN'"
    with pytest.raises(DataError, match=rf"by hand \(.*no such file\): {folders}"):
        found("lsun-tower", own_cache)

    def without_package(root: str, classes: list[str]) -> None:
        raise ModuleNotFoundError("No module named 'lmdb'")

    monkeypatch.setattr(datasets, "LSUN", without_package)
    with pytest.raises(DataError, match="needs the package lmdb: pip install lmdb"):
        found("lsun-tower", own_cache)


def test_names_of_another_kind_and_unknown_ones(own_cache: Path) -> None:
    with pytest.raises(DataError, match="'mnist' is of the kind unconditional; paired is wanted"):
        catalogued("mnist", shipped("datasets"), own_cache, kind="paired")
    with pytest.raises(DataError, match="Did you mean 'fashion-mnist'"):
        catalogued("fashionmnist", shipped("datasets"), own_cache, kind="unconditional")
    assert (own_cache / "datasets").exists() is False
