"""Folders of images that are looked at one by one, with or without classes."""

import hashlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from i2i.data.images.paths import Paths, chained
from i2i.data.images.read import (
    Pixels,
    any_image,
    is_image,
    list_images,
    nothing_here,
    read_image,
    require_folder,
)
from i2i.data.kinds.folders import data_folders, side_of, split_folders, split_of
from i2i.data.kinds.image_set import FoundImages, ImageSet, joined, whole
from i2i.data.kinds.layouts import contents, first_words, folder_names, named_like_splits
from i2i.errors import DataError

IMAGE_LAYOUTS = """\
Images may lie in any tree. Two or more folders side by side, with images in them and none
beside them, are classes; test holds images to validate with (or testing, eval, val, valid,
validation, dev; in any case):

  root/             root/               root/             root/
  ├── 1.jpg         ├── train/          ├── cat/          ├── train/
  ├── 2.jpg         │   ├── 1.jpg       │   ├── 1.jpg     │   ├── cat/
  └── more/         │   └── 2.jpg       │   └── 2.jpg     │   └── dog/
      └── 3.jpg     └── test/           └── dog/          └── test/
                        └── 7.jpg           └── 1.jpg         ├── cat/
                                                              └── dog/"""


@dataclass(frozen=True)
class FileStore:
    """LoadedImage files below a folder."""

    root: Path
    paths: Sequence[Path]

    def __len__(self) -> int:
        return len(self.paths)

    def read(self, index: int, channels: int) -> Pixels:
        return read_image(self.paths[index], channels)

    def name(self, index: int) -> str:
        return self.paths[index].relative_to(self.root).as_posix()

    def names(self) -> Iterator[str]:
        """The names of all images."""
        if isinstance(self.paths, Paths) and self.paths.root.is_relative_to(self.root):
            return self.paths.below(self.root).names()
        return (path.relative_to(self.root).as_posix() for path in self.paths)

    @cached_property
    def fingerprint(self) -> str:
        names = "\n".join(self.names())
        return hashlib.sha256(os.fsencode(names)).hexdigest()


def find_images(root: Path) -> FoundImages:
    """Find all images in a folder, and the class of each if its sub-folders are classes.

    The validation images are those of the classes that are trained on.

    Raises:
        DataError: `root` is not there, holds no image, or a validation split only.
    """
    require_folder(root)
    train = next(iter(split_folders(root, "train")), None)
    parent = train or root
    held = next((each for each in split_folders(root, "val") if train and any_image(each)), None)
    test = next((each for each in split_folders(root, "test") if train and any_image(each)), None)
    if train is None:
        _refuse_splits(root)
    if not any_image(parent):
        raise DataError(f"{nothing_here(parent)}\n{IMAGE_LAYOUTS}\n{contents(root)}")
    classes = _classes(parent)
    if held and classes and not any(any_image(held / name) for name in classes):
        raise DataError(
            f"No folder in '{held}' is named like one of those in '{parent}', so that its images "
            "have no class: sort them into such folders, or move them elsewhere."
        )
    notes = []
    if held and classes:
        there = folder_names(held)
        if extra := [name for name in there if name not in classes]:
            notes.append(f"{first_words(extra)} in '{held}': no class to train on, left out")
        if missing := [name for name in classes if name not in there]:
            notes.append(f"{first_words(missing)}: no folder in '{held}'")
    layout = (f"{parent.name}/" if train else "") + ("<class>" if classes else "any images")
    validation = _images(held, classes) if held else None
    tested = validation if test == held else _images(test, classes) if test else None
    return FoundImages(layout, _images(parent, classes), validation, tested, tuple(notes))


def all_images(found: FoundImages) -> ImageSet:
    """All images of a data set, in whichever folders of splits they lie."""
    named = {"train": found.train, "val": found.validation, "test": found.test}
    sets = {name: images for name, images in named.items() if images is not None}
    stores = [images.store for images in sets.values()]
    if not all(isinstance(store, FileStore) for store in stores):
        return joined(sets)
    paths: dict[Path, int | None] = {}
    for images in sets.values():
        assert isinstance(images.store, FileStore)
        labels = [None] * len(images) if images.labels is None else images.labels.tolist()
        for index, label in zip(images.indices, labels, strict=True):
            paths.setdefault(images.store.paths[index], label)
    root = found.train.store.root  # type: ignore[attr-defined]
    root = root.parent if len(sets) > 1 else root
    known = found.train.labels is not None
    return whole(
        FileStore(root, tuple(paths)),
        found.train.classes,
        np.array(list(paths.values())) if known else None,
    )


def _refuse_splits(root: Path) -> None:
    """Raise DataError where what is to be held out would be trained on."""
    folders = [path for path in data_folders(root) if any_image(path)]
    if any(split_of(path.name) for path in folders):
        raise DataError(
            f"'{root}' holds images to validate with, but no folder 'train'.\n{IMAGE_LAYOUTS}"
        )
    names = [path.name for path in folders]
    if named_like_splits(names):
        sides = " Name one side, such as" if any(map(side_of, names)) else " Name the one, such as"
        raise DataError(
            f"The folders in '{root}' ({first_words(names)}) look like splits and sides of a data "
            f"set, not like classes.{sides} '{folders[0]}', or rename them train/ and test/."
        )
    if len(folders) == 1 and not any(path.is_file() for path in root.iterdir()):
        inner = [path.name for path in data_folders(folders[0])]
        if any(map(split_of, inner)) or named_like_splits(inner):
            raise DataError(f"'{root}' holds nothing but '{folders[0]}': name that one.")


def _classes(parent: Path) -> list[str]:
    if any(is_image(path.name) for path in parent.iterdir() if path.is_file()):
        return []
    names = [name for name in folder_names(parent) if any_image(parent / name)]
    return names if len(names) > 1 else []


def _images(parent: Path, classes: Sequence[str]) -> ImageSet:
    if not classes:
        return whole(FileStore(parent, list_images(parent)))
    there = [list_images(parent / name) if (parent / name).is_dir() else () for name in classes]
    labels = np.repeat(np.arange(len(classes)), [len(paths) for paths in there])
    return whole(FileStore(parent, chained(there)), classes, labels)
