"""Images that are looked at one by one, wherever they are kept, and the class of each."""

import hashlib
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import Protocol

import numpy as np
import numpy.typing as npt

from i2i.data.images.read import Pixels
from i2i.errors import DataError, did_you_mean

Integers = npt.NDArray[np.int64]


class ImageStore(Protocol):
    """Where images are kept: files, or an array. Loaders send it to other processes."""

    def __len__(self) -> int: ...

    def read(self, index: int, channels: int) -> Pixels:
        """Return an image as (H, W, channels) uint8; for the conversions see `to_channels`.

        Raises:
            DataError: it cannot be read.
        """
        ...

    def name(self, index: int) -> str:
        """Return what tells an image from the others in the store."""
        ...

    @property
    def fingerprint(self) -> str:
        """A word that other images would not have."""
        ...


@dataclass(frozen=True)
class ImageSet:
    """Some images of a store, in an order, and what is known of them."""

    store: ImageStore
    indices: Integers  # which images of the store
    classes: tuple[str, ...] = ()
    labels: Integers | None = None  # the place of each image's class in `classes`

    def __post_init__(self) -> None:
        assert (self.labels is None) == (not self.classes)
        assert self.labels is None or self.labels.shape == self.indices.shape

    def __len__(self) -> int:
        return len(self.indices)

    def read(self, place: int, channels: int) -> Pixels:
        """Return an image as (H, W, channels) uint8, or raise DataError."""
        return self.store.read(int(self.indices[place]), channels)

    @property
    def fingerprint(self) -> str:
        """A short word that changes with the images, their order and their classes."""
        digest = hashlib.sha256(self.store.fingerprint.encode())
        for array in (self.indices, self.labels):
            digest.update(b"none" if array is None else array.tobytes())
        return digest.hexdigest()[:16]

    def take(self, places: Sequence[int] | Integers) -> "ImageSet":
        """Return the images at these places."""
        chosen = np.asarray(places, dtype=np.int64)
        labels = None if self.labels is None else self.labels[chosen]
        return replace(self, indices=self.indices[chosen], labels=labels)

    def by_class(self) -> list[Integers]:
        """Return the places of the images of each class; of all where nothing is known."""
        if self.labels is None:
            return [np.arange(len(self))]
        return [np.flatnonzero(self.labels == number) for number in range(len(self.classes))]

    def of_classes(self, names: Sequence[str]) -> "ImageSet":
        """Return the images of some classes, which are numbered anew; of none: without labels.

        Raises:
            DataError: there is no such class.
        """
        if not names:
            return replace(self, classes=(), labels=None)
        for name in names:
            if name not in self.classes:
                there = f"There are: {', '.join(self.classes)}." if self.classes else ""
                raise DataError(
                    f"There are no images of a class {name!r}.{did_you_mean(name, self.classes)} "
                    f"{there or 'Nothing is known of these images.'}"
                )
        assert self.labels is not None
        number = np.full(len(self.classes), -1)
        for new, name in enumerate(names):
            number[self.classes.index(name)] = new
        kept = self.take(np.flatnonzero(number[self.labels] >= 0).tolist())
        assert kept.labels is not None
        return replace(kept, classes=tuple(names), labels=number[kept.labels])


class JoinedStore:
    """Several stores as one, the images of one after those of the other."""

    def __init__(self, stores: Mapping[str, ImageStore]) -> None:
        """Args: stores: by what is put before the names of their images."""
        self.stores = dict(stores)
        self._ends = list(accumulate(map(len, self.stores.values())))

    def __len__(self) -> int:
        return self._ends[-1]

    def read(self, index: int, channels: int) -> Pixels:
        _, store, inner = self._find(index)
        return store.read(inner, channels)

    def name(self, index: int) -> str:
        prefix, store, inner = self._find(index)
        return f"{prefix}/{store.name(inner)}"

    @property
    def fingerprint(self) -> str:
        words = " ".join(store.fingerprint for store in self.stores.values())
        return hashlib.sha256(words.encode()).hexdigest()

    def _find(self, index: int) -> tuple[str, ImageStore, int]:
        at = bisect_right(self._ends, index)
        prefix = list(self.stores)[at]
        store = self.stores[prefix]
        return prefix, store, index - (self._ends[at] - len(store))


@dataclass(frozen=True)
class FoundImages:
    """The images of a data set, and those to validate and to test with if it has such splits.

    The classes of all are the same; not all of them need have images. Where there is nothing else
    to validate with, the images to test with do that.
    """

    layout: str  # as a person would write it
    train: ImageSet
    validation: ImageSet | None
    test: ImageSet | None = None
    notes: tuple[str, ...] = ()  # what does not go together, for a person

    @property
    def classes(self) -> tuple[str, ...]:
        """The classes that can be learnt: those with images to train on, if there are two."""
        pairs = zip(self.train.classes, self.train.by_class(), strict=False)
        names = tuple(name for name, places in pairs if len(places))
        return names if len(names) > 1 else ()


def joined(sets: Mapping[str, ImageSet]) -> ImageSet:
    """Several sets of the same classes as one; their names are put before those of their images."""
    if len(sets) == 1:
        return next(iter(sets.values()))
    stores = {name: images.store for name, images in sets.items()}
    offsets = np.cumsum([0, *(len(store) for store in stores.values())])
    parts = list(sets.values())
    indices = [images.indices + offset for images, offset in zip(parts, offsets, strict=False)]
    labels = [images.labels for images in parts if images.labels is not None]
    return ImageSet(
        JoinedStore(stores),
        np.concatenate(indices),
        parts[0].classes,
        np.concatenate(labels) if labels else None,
    )


def whole(
    store: ImageStore, classes: Sequence[str] = (), labels: npt.ArrayLike | None = None
) -> ImageSet:
    """Return all images of a store in its order; `labels` are the places in `classes`."""
    numbers = None if labels is None else np.asarray(labels, dtype=np.int64)
    return ImageSet(store, np.arange(len(store)), tuple(classes), numbers)
