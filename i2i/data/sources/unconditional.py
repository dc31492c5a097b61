"""Images that are looked at one by one: for models that make images from noise."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from i2i.config import Data, Options
from i2i.core.text import counted
from i2i.data.augment.geometry import evaluation_geometry
from i2i.data.catalogue.cache import cache_folder
from i2i.data.catalogue.idx import ByteStore, find_idx, has_idx
from i2i.data.catalogue.torchvision_names import TORCHVISION
from i2i.data.catalogue.torchvision_sets import find_named
from i2i.data.images.check import CheckResult
from i2i.data.images.content_hash import Member, hash_pixels
from i2i.data.kinds.folders import split_of
from i2i.data.kinds.image_folder import FileStore, find_images
from i2i.data.kinds.image_set import FoundImages, ImageSet
from i2i.data.kinds.unconditional import SingleImages
from i2i.data.sources.cached import keep_decoded
from i2i.data.sources.root import find_root
from i2i.data.sources.source import (
    HELD_OUT,
    Say,
    Source,
    geometry,
    members_of,
    readable,
    say_not_used,
)
from i2i.errors import DataError, OptionsError


def images(options: Options, say: Say, checked: CheckResult) -> Source:
    """Make data sets of single images, wherever they are kept."""
    data, seed = options.data, options.train.seed
    found = find_named_images(data.root, say) or _in_folder(data.root, say)
    if isinstance(found.train.store, FileStore):
        say_not_used([found.train.store.root], found.notes, say)
    train = _usable(found.train.of_classes(data.domains), data, say, checked)
    for name, places in zip(train.classes, train.by_class(), strict=False):
        if not len(places):
            raise DataError(f"There is no image of the class {name!r} to train on: leave it out.")
    if found.validation is not None:
        validation = _usable(found.validation.of_classes(data.domains), data, say, checked)
        split = "their own split"
    else:
        train, validation = train.held_out(HELD_OUT, data.split_seed)
        split = "held out from those for training"
    say(
        f"data: {data.root} ({found.layout}), {counted(len(train), 'image', 'images')} to "
        "train on, "
        f"{len(validation)} to validate with ({split}), classes: {len(train.classes) or 'none'}"
    )
    common: dict[str, Any] = {"channels": data.output_channels, "seed": seed}
    evaluation = evaluation_geometry(data.crop_size, data.resize)
    samples = SingleImages(train, geometry(data), shuffle=True, **common)
    if not isinstance(train.store, ByteStore):  # which is read as it is, in no time
        store = train.store
        files = [store.paths[i] for i in train.indices] if isinstance(store, FileStore) else []
        keep_decoded(samples, files, data, say, samples.channels, train.fingerprint)
    return Source(
        train=samples,
        validation=SingleImages(validation, evaluation, **common),
        images=len(train),
        validation_images=len(validation),
        fingerprint=train.fingerprint,
        members=partial(_members, {"train": train, "val": validation, "test": found.test}, checked),
    )


def _members(
    parts: Mapping[str, ImageSet | None], checked: CheckResult, split: str
) -> list[Member]:
    """The images of a split: files by their content, others by their pixels."""
    images = parts[split]
    if images is None:
        return []
    store, indices = images.store, images.indices.tolist()
    if isinstance(store, FileStore):
        paths = [store.paths[index] for index in indices]
        root = store.root.parent if split_of(store.root.name) else store.root
        return members_of({split: paths}, [root], checked)(split)
    return [Member(store.name(index), hash_pixels(store.read(index, 3))) for index in indices]


def class_names(data: Data, say: Say) -> tuple[str, ...]:
    """Return the classes that a model learns: those chosen, or all that there are.

    Raises:
        DataError: there are no images, or none of a chosen class.
        OptionsError: the options ask for attributes or for further data sets.
    """
    for name in ("table", "attributes", "groups", "more"):
        if getattr(data, name):
            raise OptionsError(
                f"data.{name} is for models that change attributes or domains; this one makes "
                "images of classes, which are named by folders and chosen with data.domains."
            )
    found = find_named_images(data.root, say) or _in_folder(data.root, say)
    return found.train.of_classes(data.domains).classes or found.classes


def find_named_images(dataroot: str, say: Say) -> FoundImages | None:
    """Return the images of a data set of torchvision, or None if `dataroot` names none.

    Raises:
        DataError: it cannot be had.
    """
    if dataroot in TORCHVISION and not Path(dataroot).is_dir():
        return find_named(dataroot, cache_folder(), say)
    return None


def _in_folder(dataroot: str, say: Say) -> FoundImages:
    root = find_root(dataroot, "unconditional", say)
    return find_idx(root, cache_folder()) if has_idx(root) else find_images(root)


def _usable(images: ImageSet, data: Data, say: Say, checked: CheckResult) -> ImageSet:
    """Check the images that are files; those in an array have been checked as a whole."""
    store = images.store
    if not isinstance(store, FileStore) or not len(images):
        return images
    paths = [store.paths[index] for index in images.indices]
    usable = set(readable(paths, data, say, checked))
    return images.take([place for place, path in enumerate(paths) if path in usable])
