"""Images that are looked at one by one: for models that make images from noise."""

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path, PurePath
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch
from torch.utils.data import Dataset

from i2i.config import Data, Options
from i2i.core.batch import Labelled, to_tensor
from i2i.core.registry import register_data_kind
from i2i.core.sides import Fields
from i2i.core.text import counted
from i2i.data.augment.geometry import JointGeometry, evaluation_geometry
from i2i.data.catalogue.cache import cache_folder
from i2i.data.catalogue.idx import ByteStore, find_idx, has_idx
from i2i.data.catalogue.torchvision_names import TORCHVISION
from i2i.data.catalogue.torchvision_sets import find_named
from i2i.data.images.check import CheckResult
from i2i.data.images.content_hash import Member, hash_pixels
from i2i.data.images.paths import Integers, take
from i2i.data.images.read import list_images
from i2i.data.inspection.survey import SPLITS, Part, Survey, Wanted
from i2i.data.kinds.division import Division, says_anything
from i2i.data.kinds.folders import data_folders, side_of, split_of
from i2i.data.kinds.image_folder import FileStore, all_images, find_images
from i2i.data.kinds.image_set import FoundImages, ImageSet
from i2i.data.kinds.kind import Beginning
from i2i.data.kinds.labelled_images import LabelledKind, in_turns
from i2i.data.loading.decoded_cache import Decoding, Images
from i2i.data.loading.order import EpochOrder
from i2i.data.sides import RGB, SideReader, readers
from i2i.data.sources.cached import keep_decoded
from i2i.data.sources.looking import looked_at, sound_first
from i2i.data.sources.root import find_root
from i2i.data.sources.source import (
    Source,
    geometry,
    members_of,
    readable,
    say_not_used,
    unreadable,
)
from i2i.errors import DataError, OptionsError

_log = logging.getLogger(__name__)


@register_data_kind("unconditional")
class Unconditional(LabelledKind):
    """Images of one kind, or of classes."""

    fields: ClassVar[Fields] = {"images": 1}
    sides = "A"
    translates = False
    task = "Images from noise"
    rank = 40
    beginning = Beginning(
        recipe="dcgan",
        quick="r3gan-quick",
        holds="pictures of one kind: there is nothing to turn them into",
        why="a GAN learns to make new pictures like them from noise; to translate, name a second "
        "folder",
        few=300,
        usual=10_000,
    )
    demo = "domains"
    part = "class"
    unused = ()
    balance_advice = (
        "Rare classes are seen rarely and learnt less well; choose some with --set "
        "data.domains=[...], or add images."
    )

    def require_meaning(self, options: Options) -> None:
        super().require_meaning(options)
        for name in ("table", "attributes", "groups", "more"):
            if getattr(options.data, name):
                raise OptionsError(
                    f"data.{name} is for models that change attributes or domains; this one makes "
                    "images of classes, which are named by folders and chosen with data.domains."
                )

    def labels(self, options: Options) -> dict[str, Any]:
        found = self._find(options.data)
        names = found.train.of_classes(options.data.domains).classes or found.classes
        return {"domains": list(names)}

    def files(self, options: Options) -> Mapping[str, Sequence[tuple[Path, int | None]]]:
        images = self._find(options.data).train.of_classes(options.data.domains)
        return {"A": [(path, None) for path in _paths(images)]}

    def open(self, options: Options, checked: CheckResult) -> Source:
        data, seed = options.data, options.train.seed
        found = self._find(data)
        reader = readers(data, Path(), self.letters(options))["A"]
        if isinstance(found.train.store, FileStore):
            say_not_used([found.train.store.root], found.notes)
        usable = partial(_usable, data=data, checked=checked, reader=reader)
        train, validation, test, how = _divided(found, data, usable)
        share = _share(found, data)
        if share < 1:
            bad = unreadable(data, checked, reader)
            validation = _sound(validation, options.train.validation_images, bad)
        _log.info(
            f"data: {data.root} ({found.layout}), {counted(len(train), 'image', 'images')} to "
            "train on, "
            f"{len(validation)} to validate with ({how}), classes: {len(train.classes) or 'none'}"
        )
        common: dict[str, Any] = {"reader": reader, "seed": seed}
        evaluation = evaluation_geometry(data.crop_size, data.resize)
        samples = SingleImages(train, geometry(data), shuffle=True, **common)
        if not isinstance(train.store, ByteStore):  # which is read as it is, in no time
            keep_decoded(samples, _paths(train), data, reader, train.fingerprint)
        parts = {"train": train, "val": validation, "test": test}
        return Source(
            train=samples,
            validation=SingleImages(validation, evaluation, **common),
            images=len(train),
            validation_images=len(validation),
            fingerprint=train.fingerprint,
            members=partial(_members, parts, checked, share=share),
            views={
                "train": partial(SingleImages, train, evaluation, **common),
                "val": lambda: SingleImages(usable(validation), evaluation, **common),
                "test": lambda: SingleImages(usable(test), evaluation, **common),
            },
            unlooked=_paths(train) if share < 1 else (),
        )

    def find_named(self, dataroot: str) -> FoundImages | None:
        if dataroot in TORCHVISION and not Path(dataroot).is_dir():
            return find_named(dataroot, cache_folder())
        return None

    def _find(self, data: Data) -> FoundImages:
        named = self.find_named(data.root)
        found = named or _in_folder(find_root(data.root, self.name, data))
        if data.A.as_filed and not isinstance(found.train.store, FileStore):
            raise OptionsError(
                f"data.A is about the values of files, and the images of '{data.root}' are 8 bits "
                f"in one file ({found.layout}): leave it out."
            )
        return found

    def detect(self, root: Path, fits: Mapping[str, str]) -> Mapping[str, str]:
        if has_idx(root):
            return {self.name: "files in MNIST's format"}
        if not fits and list_images(root) and not _looks_arranged(root):
            return {self.name: "there are no pairs, sides or domains"}
        return {}

    def survey(self, found: Survey, wanted: Wanted) -> Iterable[Callable[[Survey], Survey]]:
        return [partial(_survey, names=wanted.domains, named=wanted.named, rules=wanted.rules)]


def _members(
    parts: Mapping[str, ImageSet], checked: CheckResult, split: str, *, share: float = 1.0
) -> Sequence[Member]:
    """The images of a split: files by their content, others by their pixels."""
    images = parts[split]
    store, indices = images.store, images.indices
    if isinstance(store, FileStore):
        return members_of({split: _paths(images)}, _roots(images), checked, share=share)(split)
    return [
        Member(store.name(index), hash_pixels(store.read(index, 3))) for index in indices.tolist()
    ]


def _share(found: FoundImages, data: Data) -> float:
    """Which share of the images is looked at before a training."""
    sets = [images for images in (found.train, found.validation) if images is not None]
    return looked_at(data, sum(len(images) for images in sets if _is_files(images)))


def _is_files(images: ImageSet) -> bool:
    return isinstance(images.store, FileStore)


def _sound(images: ImageSet, first: int, bad: Callable[[Sequence[Path]], list[bool]]) -> ImageSet:
    """Without those that cannot be read of the first so many, which take turns by class."""
    if not _is_files(images):
        return images
    order = in_turns([places.tolist() for places in images.by_class()])
    files = _paths(images)
    kept = sound_first(order, first, lambda places: bad(take(files, places)))
    return images.take(sorted(kept))


class _Place(NamedTuple):
    """An image: the number of its set, its place there, and what tells it from the others."""

    of: int
    place: int
    name: str


@dataclass(frozen=True)
class _Places(Sequence[_Place]):
    """Some images of a set, each of which is made when it is asked for."""

    of: int
    images: ImageSet
    places: Integers

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, at: Any) -> Any:
        if isinstance(at, slice):
            return replace(self, places=self.places[at])
        place = int(self.places[at])
        return _Place(self.of, place, self.images.store.name(int(self.images.indices[place])))

    def take(self, places: Sequence[int] | Integers) -> "_Places":
        return replace(self, places=self.places[np.asarray(places, dtype=np.int64)])

    def names(self) -> Iterator[str]:
        store, indices = self.images.store, self.images.indices[self.places]
        if isinstance(store, FileStore):
            return replace(store, paths=take(store.paths, indices)).names()
        return map(store.name, indices.tolist())


def _places(of: int, images: ImageSet) -> dict[str, Sequence[_Place]]:
    """The images of each class; of all where nothing is known, under ""."""
    by_class = zip(images.classes or ("",), images.by_class(), strict=True)
    return {name: _Places(of, images, places) for name, places in by_class}


def _numbers(places: Sequence[_Place]) -> Integers:
    if isinstance(places, _Places):
        return places.places
    return np.array([each.place for each in places], dtype=np.int64)


def _divided(
    found: FoundImages,
    data: Data,
    usable: Callable[..., ImageSet] = lambda images, share: images,
) -> tuple[ImageSet, ImageSet, ImageSet, str]:
    """The images to train on, to validate with and to test with, and how they were chosen."""
    division = Division(data, _roots(found.train), lambda image: PurePath(image.name))
    raw = _sets(found, division)
    alike = raw[1] is raw[2]  # those to test with validate, as there are no others
    learnt, held, test = (each.of_classes(data.domains) for each in raw)
    share = _share(found, data)
    # What is to be tested with is checked when that is done.
    sets = [usable(learnt, share=share), usable(held, share=share)]
    for name, places in zip(sets[0].classes, sets[0].by_class(), strict=False):
        if not len(places):
            raise DataError(f"There is no image of the class {name!r} to train on: leave it out.")
    sets.append(sets[1] if alike else test)
    own = [_places(at, images) for at, images in enumerate(sets)]
    divided = division.divide(own[0], own[1], own[1] if alike else own[2])
    for note in divided.notes:
        _log.info(f"note: {note}")

    def taken(parts: Mapping[str, Sequence[_Place]]) -> ImageSet:
        own = [places for places in parts.values() if len(places)]
        if not own:
            return sets[0].take([])
        return sets[own[0][0].of].take(np.sort(np.concatenate([*map(_numbers, own)])))

    return taken(divided.train), taken(divided.val), taken(divided.test), divided.how


def _paths(images: ImageSet) -> Sequence[Path]:
    """The files of images; none where they are no files."""
    store = images.store
    return take(store.paths, images.indices) if isinstance(store, FileStore) else ()


def _roots(images: ImageSet) -> list[Path]:
    """The folder of a data set of files; none where images are no files."""
    store = images.store
    if not isinstance(store, FileStore):
        return []
    return [store.root.parent if split_of(store.root.name) else store.root]


def _sets(found: FoundImages, division: Division) -> list[ImageSet]:
    """The images of all splits, or all of them as one."""
    none = found.train.take([])
    if division.pooled:
        return [all_images(found), none, none]
    held, test = found.validation, found.test
    if test is None and held is not None and not isinstance(held.store, FileStore):
        test = held  # data sets in one file have a second one to test with
    return [found.train, held or none, test or none]


def _in_folder(root: Path) -> FoundImages:
    return find_idx(root, cache_folder()) if has_idx(root) else find_images(root)


def _usable(
    images: ImageSet, data: Data, checked: CheckResult, reader: SideReader, share: float = 1.0
) -> ImageSet:
    """Check the images that are files; those in an array have been checked as a whole."""
    if not isinstance(images.store, FileStore) or not len(images):
        return images
    paths = _paths(images)
    found = readable(paths, data, checked, reader, share=share)
    if share < 1:
        return images
    usable = set(found)
    return images.take([place for place, path in enumerate(paths) if path in usable])


def _looks_arranged(root: Path) -> bool:
    """Whether folders are named as if they were sides, so that something is missing."""
    folders = data_folders(root)
    inner = [path for folder in folders if split_of(folder.name) for path in data_folders(folder)]
    return any(side_of(path.name) for path in folders) or any(
        path.name.upper() in ("A", "B") for path in (*folders, *inner)
    )


def _survey(
    found: Survey, names: Sequence[str], named: FoundImages | None, rules: Data | None
) -> Survey:
    """What training makes of single images, class by class where they have any."""
    root = found.root
    if named is None:
        named = _in_folder(root)
    names = names or named.classes
    found = replace(found, notes=(*found.notes, *named.notes))
    held, test = named.validation, named.test
    if held is test:
        test = None
    sets, how = [named.train, held, test], named.layout
    if rules is not None and says_anything(rules):
        data = rules.model_copy(update={"domains": tuple(names)})
        *sets, how = _divided(named, data)
    for split, images in zip(SPLITS, sets, strict=True):
        if images is None or not len(images):
            found = found.without(split)
            continue
        images = images.of_classes(names)
        store = images.store
        if isinstance(store, FileStore):
            paths = _paths(images)
        else:
            paths = [root / split / store.name(int(index)) for index in images.indices]
            places = zip(paths, ((store, int(index)) for index in images.indices), strict=True)
            found = replace(found, stored={**found.stored, **dict(places)})
        parts = [
            Part(split, name, tuple(paths[place] for place in places))
            for name, places in zip(names or ("",), images.by_class(), strict=True)
        ]
        classes = f", {len(names)} classes" if names else ""
        line = f"{split}: {counted(len(images), 'image', 'images')}{classes} ({how})"
        found = found.adding(line, *(part for part in parts if part.images))
        missing = [part.name for part in parts if not part.images]
        if split == "train" and missing:
            raise DataError(f"There is no image of the class {missing[0]!r} to train on.")
    return replace(found, store_layout=named.layout if found.stored else "")


class SingleImages(Dataset[Labelled], Decoding):
    """Images and their classes, addressed by their position in the training.

    An epoch shows every image once. The same position gives the same image with the same crop,
    whoever asks. Without shuffling, the classes take turns, so that the first few images show
    something of all.

    Args:
        images: At least one, to be shuffled.
        geometry: What is done to each image.
        reader: What reads the images; by default as 8 bits of RGB.
        seed: Not negative; order and geometry follow from it.
        shuffle: Go through the images in another order in each epoch; else in a fixed order.
    """

    def __init__(
        self,
        images: ImageSet,
        geometry: JointGeometry,
        *,
        reader: SideReader = RGB,
        seed: int = 0,
        shuffle: bool = False,
    ) -> None:
        self.images = images
        self.items = len(images)
        self.geometry = geometry
        self.reader = reader
        self.seed = seed
        self.order = EpochOrder(len(images), seed) if shuffle else None
        self._listed = [] if shuffle else in_turns([p.tolist() for p in images.by_class()])

    def __len__(self) -> int:
        """Return the number of images, which is the length of an epoch."""
        return len(self.images)

    def __getitem__(self, position: int) -> Labelled:
        """Return an image (C, H, W), for any position from 0 on; its label, one-hot with a
        number for each class (none where nothing is known); and a mask of 1.

        Raises:
            DataError: the image cannot be read.
        """
        place = self.order(position)[1] if self.order else self._listed[position % len(self)]
        (pixels,) = self.geometry.cut(self.seed, position, *self.recalled(place))
        labels = torch.zeros(len(self.images.classes))
        if self.images.labels is not None:
            labels[self.images.labels[place]] = 1.0
        return Labelled(to_tensor(pixels), labels, torch.ones(1))

    def decoded(self, item: int) -> Images:
        store = self.images.store
        if isinstance(store, FileStore):
            pixels = self.reader.read(store.paths[int(self.images.indices[item])])
        else:
            pixels = self.images.read(item, self.reader.depth)
        return self.geometry.resize_all(pixels)
