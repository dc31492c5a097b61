"""Pictures that are looked at one by one: for models that make pictures from noise."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from i2i.data.cache import cache_folder
from i2i.data.check import Checked
from i2i.data.content_hash import Member, hash_pixels
from i2i.data.folders import split_of
from i2i.data.idx import ByteStore, find_idx, has_idx
from i2i.data.picture_folder import FileStore, find_pictures
from i2i.data.picture_set import FoundPictures, PictureSet
from i2i.data.single import SinglePictures
from i2i.data.torchvision_names import TORCHVISION
from i2i.data.torchvision_sets import find_named
from i2i.data.transforms import evaluation_geometry
from i2i.doctor.words import counted
from i2i.errors import DataError, OptionsError
from i2i.options import Data, Options
from i2i.sources.kept import keep_decoded
from i2i.sources.root import find_root
from i2i.sources.source import (
    HELD_OUT,
    Say,
    Source,
    geometry,
    members_of,
    readable,
    say_not_used,
)


def pictures(options: Options, say: Say, checked: Checked) -> Source:
    """Make data sets of single pictures, wherever they are kept."""
    data, seed = options.data, options.train.seed
    found = find_named_pictures(data.root, say) or _in_folder(data.root, say)
    if isinstance(found.train.store, FileStore):
        say_not_used([found.train.store.root], found.notes, say)
    train = _usable(found.train.of_classes(data.domains), data, say, checked)
    for name, places in zip(train.classes, train.by_class(), strict=False):
        if not len(places):
            raise DataError(f"There is no picture of the class {name!r} to train on: leave it out.")
    if found.validation is not None:
        validation = _usable(found.validation.of_classes(data.domains), data, say, checked)
        split = "their own split"
    else:
        train, validation = train.held_out(HELD_OUT, data.split_seed)
        split = "held out from those for training"
    say(
        f"data: {data.root} ({found.layout}), {counted(len(train), 'picture', 'pictures')} to "
        "train on, "
        f"{len(validation)} to validate with ({split}), classes: {len(train.classes) or 'none'}"
    )
    common: dict[str, Any] = {"channels": data.output_channels, "seed": seed}
    evaluation = evaluation_geometry(data.crop_size, data.resize)
    samples = SinglePictures(train, geometry(data), shuffle=True, **common)
    if not isinstance(train.store, ByteStore):  # which is read as it is, in no time
        store = train.store
        files = [store.paths[i] for i in train.indices] if isinstance(store, FileStore) else []
        keep_decoded(samples, files, data, say, samples.channels, train.fingerprint)
    return Source(
        train=samples,
        validation=SinglePictures(validation, evaluation, **common),
        pictures=len(train),
        validation_pictures=len(validation),
        fingerprint=train.fingerprint,
        members=partial(_members, {"train": train, "val": validation, "test": found.test}, checked),
    )


def _members(parts: Mapping[str, PictureSet | None], checked: Checked, split: str) -> list[Member]:
    """The images of a split: files by their content, others by their pixels."""
    pictures = parts[split]
    if pictures is None:
        return []
    store, indices = pictures.store, pictures.indices.tolist()
    if isinstance(store, FileStore):
        paths = [store.paths[index] for index in indices]
        root = store.root.parent if split_of(store.root.name) else store.root
        return members_of({split: paths}, [root], checked)(split)
    return [Member(store.name(index), hash_pixels(store.read(index, 3))) for index in indices]


def class_names(data: Data, say: Say) -> tuple[str, ...]:
    """Return the classes that a model learns: those chosen, or all that there are.

    Raises:
        DataError: there are no pictures, or none of a chosen class.
        OptionsError: the options ask for attributes or for further data sets.
    """
    for name in ("table", "attributes", "groups", "more"):
        if getattr(data, name):
            raise OptionsError(
                f"data.{name} is for models that change attributes or domains; this one makes "
                "pictures of classes, which are named by folders and chosen with data.domains."
            )
    found = find_named_pictures(data.root, say) or _in_folder(data.root, say)
    return found.train.of_classes(data.domains).classes or found.classes


def find_named_pictures(dataroot: str, say: Say) -> FoundPictures | None:
    """Return the pictures of a data set of torchvision, or None if `dataroot` names none.

    Raises:
        DataError: it cannot be had.
    """
    if dataroot in TORCHVISION and not Path(dataroot).is_dir():
        return find_named(dataroot, cache_folder(), say)
    return None


def _in_folder(dataroot: str, say: Say) -> FoundPictures:
    root = find_root(dataroot, "pictures", say)
    return find_idx(root, cache_folder()) if has_idx(root) else find_pictures(root)


def _usable(pictures: PictureSet, data: Data, say: Say, checked: Checked) -> PictureSet:
    """Check the pictures that are files; those in an array have been checked as a whole."""
    store = pictures.store
    if not isinstance(store, FileStore) or not len(pictures):
        return pictures
    paths = [store.paths[index] for index in pictures.indices]
    usable = set(readable(paths, data, say, checked))
    return pictures.take([place for place, path in enumerate(paths) if path in usable])
