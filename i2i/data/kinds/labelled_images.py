"""Labelled images of one data set or several, as a data set; and batches of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain, zip_longest
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.data import Dataset

from i2i.core.batch import Labelled, Referenced, to_tensor
from i2i.core.labels import LabelSet, LabelSpace
from i2i.core.size import AnySize
from i2i.data.augment.geometry import JointGeometry
from i2i.data.kinds.kind import DataKind, noise, shrunk
from i2i.data.loading.decoded_cache import Decoding, Images
from i2i.data.loading.order import EpochOrder
from i2i.data.sides import RGB, SideReader
from i2i.errors import DataError

T = TypeVar("T")

# Sets these random numbers apart from others that are derived from the same seed.
_STREAM = 3


@dataclass(frozen=True)
class LabelledFiles:
    """The images of one data set and their labels, (number of images, number of names)."""

    label_set: LabelSet
    images: Sequence[Path]
    labels: npt.NDArray[np.bool_]

    def __post_init__(self) -> None:
        assert self.labels.shape == (len(self.images), len(self.label_set.names))

    def cells(self) -> list[list[int]]:
        """Return which images to choose among so that all labels are seen equally often.

        These are the images of each domain; or, for each attribute, those that have it and those
        that do not.
        """
        columns = list(self.labels.T)
        if not self.label_set.exclusive:
            columns = [values for column in columns for values in (column, ~column)]
        return [np.flatnonzero(column).tolist() for column in columns]

    def require_examples(self) -> None:
        """Raise DataError for a label that cannot be learnt: all images have it, or none has."""
        for name, column in zip(self.label_set.names, self.labels.T, strict=True):
            if column.all() or not column.any():
                share = "all" if column.all() else "none"
                raise DataError(
                    f"{name!r} holds for {share} of the {len(column)} images to train on: leave "
                    "it out, or add images."
                )


class LabelledImages(Dataset[Labelled | Referenced], Decoding):
    """Labelled images, addressed by their position in the training (see `i2i.data.loading.order`).

    In training, all images of a batch come from one data set, and the data sets take turns in
    random order (StarGAN, section 3.3). A data set goes through its images in another order in
    each epoch; balanced, it goes through its labels instead and through the images of each.
    Without shuffling, data sets and their domains take turns, so that the first few images show
    something of all. The same position gives the same image with the same crop, whoever asks.

    Args:
        sets: One for each data set; together at least one image, to be shuffled one in each.
        geometry: What is done to each image.
        reader: What reads the images; by default as 8 bits of RGB.
        batch_size: Successive positions that make up a batch.
        seed: Not negative; order and geometry follow from it.
        shuffle: Draw at random, as above; else go through all images, in a fixed order.
        balance: Show all labels equally often.
        references: Let each sample come with two images of a domain, for which all domains take
            turns in random order; only shuffled, of one data set. The two go through the images of
            the domain in orders of their own, and are cropped and mirrored apart.
    """

    def __init__(
        self,
        sets: Sequence[LabelledFiles],
        geometry: JointGeometry,
        *,
        reader: SideReader = RGB,
        batch_size: int = 1,
        seed: int = 0,
        shuffle: bool = False,
        balance: bool = False,
        references: bool = False,
    ) -> None:
        assert not references or (shuffle and len(sets) == 1)
        self.sets = list(sets)
        self.geometry = geometry
        self.reader = reader
        self.batch_size = batch_size
        self.seed = seed
        self.shuffle = shuffle
        self.begins = np.cumsum([0, *(len(each.images) for each in sets)])
        self.items = int(self.begins[-1])
        self.offsets = np.cumsum([0, *(len(each.label_set.names) for each in sets)])
        self._references = _References(self.sets[0], seed) if references else None
        if shuffle:
            self._turns = EpochOrder(len(self.sets), _seed(seed, 0))
            self._draws = [
                _Draw(each.cells() if balance else [list(range(len(each.images)))], seed, number)
                for number, each in enumerate(self.sets)
            ]
        else:
            self._listed = in_turns(
                [
                    [(number, index) for index in in_turns(_spread(each))]
                    for number, each in enumerate(self.sets)
                ]
            )

    def __len__(self) -> int:
        """Return the number of images, which is the length of an epoch."""
        return sum(len(each.images) for each in self.sets)

    def __getitem__(self, position: int) -> Labelled | Referenced:
        """Return an image (C, H, W), its labels and its mask, for any position from 0 on;
        and two references and their labels.

        Raises:
            DataError: the file cannot be read.
        """
        labelled = self._labelled(position)
        if self._references is None:
            return labelled
        images = []
        for which, index in enumerate(drawn := self._references(position)):
            seed = _seed(self.seed, 4, which)
            (pixels,) = self.geometry.cut(seed, position, *self.recalled(index))
            images.append(to_tensor(pixels))
        targets = torch.from_numpy(self.sets[0].labels[drawn[0]].astype(np.float32))
        references, others = images
        return Referenced(*labelled, references, others, targets)

    def _labelled(self, position: int) -> Labelled:
        number, index = self.index(position)
        files = self.sets[number]
        (pixels,) = self.geometry.cut(
            self.seed, position, *self.recalled(int(self.begins[number]) + index)
        )
        labels = torch.zeros(int(self.offsets[-1]))
        own = torch.from_numpy(files.labels[index].astype(np.float32))
        labels[self.offsets[number] : self.offsets[number + 1]] = own
        mask = torch.zeros(len(self.sets))
        mask[number] = 1.0
        return Labelled(to_tensor(pixels), labels, mask)

    def describe(self, position: int) -> str:
        """The file of an image and the labels that it has, for a person."""
        number, index = self.index(position)
        files = self.sets[number]
        row = zip(files.label_set.names, files.labels[index], strict=True)
        held = (name for name, holds in row if holds)
        return f"{files.images[index].name}\n{', '.join(held)}"

    def decoded(self, item: int) -> Images:
        number = int(np.searchsorted(self.begins, item, side="right")) - 1
        path = self.sets[number].images[item - int(self.begins[number])]
        return self.geometry.resize_all(self.reader.read(path))

    def index(self, position: int) -> tuple[int, int]:
        """Return which data set, and which of its images, comes at a position."""
        if not self.shuffle:
            return self._listed[position % len(self._listed)]
        batch, place = divmod(position, self.batch_size)
        turn, number = self._turns(batch)
        return number, self._draws[number](turn * self.batch_size + place)


class _Draw:
    """Goes through cells of images in turns, and through the images of each cell."""

    def __init__(self, cells: list[list[int]], seed: int, number: int) -> None:
        self.cells = cells
        self.turns = EpochOrder(len(cells), _seed(seed, 1, number))
        self.orders = [
            EpochOrder(len(cell), _seed(seed, 2, number, at)) for at, cell in enumerate(cells)
        ]

    def __call__(self, position: int) -> int:
        turn, cell = self.turns(position)
        return self.cells[cell][self.orders[cell](turn)[1]]


class _References:
    """Draws two images of one domain for each position, different ones where there are two."""

    def __init__(self, files: LabelledFiles, seed: int) -> None:
        self.cells = files.cells()
        self.turns = EpochOrder(len(self.cells), _seed(seed, 3))
        self.orders = [
            EpochOrder(len(cell), _seed(seed, 3, at)) for at, cell in enumerate(self.cells)
        ]

    def __call__(self, position: int) -> tuple[int, int]:
        turn, at = self.turns(position)
        cell = self.cells[at]
        epoch, one = self.orders[at](turn)
        # Each epoch pairs every image with that which comes a number of images later.
        later = 1 + epoch % (len(cell) - 1) if len(cell) > 1 else 0
        other = self.orders[at](epoch * len(cell) + (turn + later) % len(cell))[1]
        return cell[one], cell[other]


def _seed(*entropy: int) -> int:
    return int(np.random.SeedSequence((_STREAM, *entropy)).generate_state(1)[0])


def _spread(files: LabelledFiles) -> list[list[int]]:
    return files.cells() if files.label_set.exclusive else [list(range(len(files.images)))]


def in_turns(rows: Sequence[Sequence[T]]) -> list[T]:
    """Take the first of each row, then the second of each that has one, and so on."""
    none = object()
    taken = chain.from_iterable(zip_longest(*rows, fillvalue=none))
    return [item for item in taken if item is not none]  # type: ignore[misc]


def first_labelled(dataset: Any, count: int | None, *, side: int | None = None) -> Labelled:
    """The first samples of a data set as one batch, shrunk if a side is given."""
    total = len(dataset) if count is None else min(count, len(dataset))
    samples = [dataset[number] for number in range(total)]
    images = torch.stack([shrunk(sample.images, side) for sample in samples])
    return Labelled(images, *(torch.stack([s[field] for s in samples]) for field in (1, 2)))


def labels_in_turn(images: Tensor, space: LabelSpace) -> Labelled:
    """Images (N, C, H, W) as if the labels took turns; without names they have none."""
    count, names = len(images), len(space.names)
    labels = torch.eye(names)[torch.arange(count) % names] if names else torch.zeros(count, 0)
    return Labelled(images, labels, torch.ones(count, len(space.sets)))


def with_references(batch: Labelled) -> Referenced:
    """A batch in which each image is to become like its predecessor, or like that mirrored."""
    references = batch.images.roll(1, 0)
    return Referenced(*batch, references, references.flip(-1), batch.labels.roll(1, 0))


class LabelledKind(DataKind):
    """What kinds of labelled images have in common."""

    batch = Labelled

    def count_samples(self, parts: Sequence[int]) -> int:
        return sum(parts)

    def random_batch(
        self,
        count: int,
        size: AnySize,
        channels: tuple[int, int],
        labels: LabelSpace,
        generator: torch.Generator,
    ) -> Labelled:
        seen = channels[0] if self.translates else channels[1]
        return labels_in_turn(noise(count, seen, size, generator), labels)
