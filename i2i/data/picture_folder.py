"""Folders of pictures that are looked at one by one, with or without classes."""

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from i2i.data.layouts import VALIDATION, contents, folder_names
from i2i.data.picture_set import FoundPictures, PictureSet, whole
from i2i.data.reading import (
    Pixels,
    any_picture,
    is_picture,
    list_pictures,
    read_picture,
    require_folder,
)
from i2i.errors import DataError

PICTURE_LAYOUTS = """\
Pictures may lie in any tree. Two or more folders side by side, with pictures in them and none
beside them, are classes; test holds pictures to validate with (or val, valid, validation):

  root/             root/               root/             root/
  ├── 1.jpg         ├── train/          ├── cat/          ├── train/
  ├── 2.jpg         │   ├── 1.jpg       │   ├── 1.jpg     │   ├── cat/
  └── more/         │   └── 2.jpg       │   └── 2.jpg     │   └── dog/
      └── 3.jpg     └── test/           └── dog/          └── test/
                        └── 7.jpg           └── 1.jpg         ├── cat/
                                                              └── dog/"""


@dataclass(frozen=True)
class FileStore:
    """Picture files below a folder."""

    root: Path
    paths: tuple[Path, ...]

    def __len__(self) -> int:
        return len(self.paths)

    def read(self, index: int, channels: int) -> Pixels:
        return read_picture(self.paths[index], channels)

    def name(self, index: int) -> str:
        return self.paths[index].relative_to(self.root).as_posix()

    @cached_property
    def fingerprint(self) -> str:
        names = "\n".join(self.name(index) for index in range(len(self)))
        return hashlib.sha256(os.fsencode(names)).hexdigest()


def find_pictures(root: Path) -> FoundPictures:
    """Find all pictures in a folder, and the class of each if its sub-folders are classes.

    The validation pictures are those of the classes that are trained on.

    Raises:
        DataError: `root` is not there, holds no picture, or a validation split only.
    """
    require_folder(root)
    split = (root / "train").is_dir()
    parent = root / "train" if split else root
    held = next((root / n for n in VALIDATION if split and any_picture(root / n)), None)
    if not split and any(any_picture(root / name) for name in VALIDATION):
        raise DataError(
            f"'{root}' holds pictures to validate with, but no folder 'train'.\n{PICTURE_LAYOUTS}"
        )
    if not any_picture(parent):
        raise DataError(f"There is no picture in '{parent}'.\n{PICTURE_LAYOUTS}\n{contents(root)}")
    classes = _classes(parent)
    if held and classes and not any(any_picture(held / name) for name in classes):
        raise DataError(
            f"No folder in '{held}' is named like one of those in '{parent}', so that its pictures "
            "have no class: sort them into such folders, or move them elsewhere."
        )
    layout = ("train/" if split else "") + ("<class>" if classes else "any pictures")
    return FoundPictures(
        layout, _pictures(parent, classes), _pictures(held, classes) if held else None
    )


def _classes(parent: Path) -> list[str]:
    if any(is_picture(path.name) for path in parent.iterdir() if path.is_file()):
        return []
    names = [name for name in folder_names(parent) if any_picture(parent / name)]
    return names if len(names) > 1 else []


def _pictures(parent: Path, classes: Sequence[str]) -> PictureSet:
    if not classes:
        return whole(FileStore(parent, tuple(list_pictures(parent))))
    there = [list_pictures(parent / name) if (parent / name).is_dir() else [] for name in classes]
    labels = np.repeat(np.arange(len(classes)), [len(paths) for paths in there])
    store = FileStore(parent, tuple(path for paths in there for path in paths))
    return whole(store, classes, labels)
