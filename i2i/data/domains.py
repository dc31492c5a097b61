"""Labelled pictures of one data set or several, to train on or to validate with."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain, zip_longest
from pathlib import Path
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import torch
from torch.utils.data import Dataset

from i2i.batch import Labelled
from i2i.data.kept import Decoding, Pictures
from i2i.data.order import EpochOrder
from i2i.data.paired import to_tensor
from i2i.data.reading import read_picture
from i2i.data.transforms import JointGeometry
from i2i.errors import DataError
from i2i.labels import LabelSet

T = TypeVar("T")

# Sets these random numbers apart from others that are derived from the same seed.
_STREAM = 3


@dataclass(frozen=True)
class LabelledFiles:
    """The pictures of one data set and their labels, (number of pictures, number of names)."""

    label_set: LabelSet
    pictures: tuple[Path, ...]
    labels: npt.NDArray[np.bool_]

    def __post_init__(self) -> None:
        assert self.labels.shape == (len(self.pictures), len(self.label_set.names))

    def cells(self) -> list[list[int]]:
        """Return which pictures to choose among so that all labels are seen equally often.

        These are the pictures of each domain; or, for each attribute, those that have it and those
        that do not.
        """
        columns = list(self.labels.T)
        if not self.label_set.exclusive:
            columns = [values for column in columns for values in (column, ~column)]
        return [np.flatnonzero(column).tolist() for column in columns]

    def require_examples(self) -> None:
        """Raise DataError for a label that cannot be learnt: all pictures have it, or none has."""
        for name, column in zip(self.label_set.names, self.labels.T, strict=True):
            if column.all() or not column.any():
                share = "all" if column.all() else "none"
                raise DataError(
                    f"{name!r} holds for {share} of the {len(column)} pictures to train on: leave "
                    "it out, or add pictures."
                )


class LabelledPictures(Dataset[Labelled], Decoding):
    """Labelled pictures, addressed by their position in the training (see `i2i.data.order`).

    In training, all pictures of a batch come from one data set, and the data sets take turns in
    random order (StarGAN, section 3.3). A data set goes through its pictures in another order in
    each epoch; balanced, it goes through its labels instead and through the pictures of each.
    Without shuffling, data sets and their domains take turns, so that the first few pictures show
    something of all. The same position gives the same picture with the same crop, whoever asks.

    Args:
        sets: One for each data set; together at least one picture, to be shuffled one in each.
        geometry: What is done to each picture.
        channels: Of the pictures: 1, 3 or 4.
        batch_size: Successive positions that make up a batch.
        seed: Not negative; order and geometry follow from it.
        shuffle: Draw at random, as above; else go through all pictures, in a fixed order.
        balance: Show all labels equally often.
    """

    def __init__(
        self,
        sets: Sequence[LabelledFiles],
        geometry: JointGeometry,
        *,
        channels: int = 3,
        batch_size: int = 1,
        seed: int = 0,
        shuffle: bool = False,
        balance: bool = False,
    ) -> None:
        self.sets = list(sets)
        self.geometry = geometry
        self.channels = channels
        self.batch_size = batch_size
        self.seed = seed
        self.shuffle = shuffle
        self.begins = np.cumsum([0, *(len(each.pictures) for each in sets)])
        self.items = int(self.begins[-1])
        self.offsets = np.cumsum([0, *(len(each.label_set.names) for each in sets)])
        if shuffle:
            self._turns = EpochOrder(len(self.sets), _seed(seed, 0))
            self._draws = [
                _Draw(each.cells() if balance else [list(range(len(each.pictures)))], seed, number)
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
        """Return the number of pictures, which is the length of an epoch."""
        return sum(len(each.pictures) for each in self.sets)

    def __getitem__(self, position: int) -> Labelled:
        """Return a picture (C, H, W) uint8, its labels and its mask, for any position from 0 on.

        Raises:
            DataError: the file cannot be read.
        """
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

    def decoded(self, item: int) -> Pictures:
        number = int(np.searchsorted(self.begins, item, side="right")) - 1
        path = self.sets[number].pictures[item - int(self.begins[number])]
        return self.geometry.resize_all(read_picture(path, self.channels))

    def index(self, position: int) -> tuple[int, int]:
        """Return which data set, and which of its pictures, comes at a position."""
        if not self.shuffle:
            return self._listed[position % len(self._listed)]
        batch, place = divmod(position, self.batch_size)
        turn, number = self._turns(batch)
        return number, self._draws[number](turn * self.batch_size + place)


class _Draw:
    """Goes through cells of pictures in turns, and through the pictures of each cell."""

    def __init__(self, cells: list[list[int]], seed: int, number: int) -> None:
        self.cells = cells
        self.turns = EpochOrder(len(cells), _seed(seed, 1, number))
        self.orders = [
            EpochOrder(len(cell), _seed(seed, 2, number, at)) for at, cell in enumerate(cells)
        ]

    def __call__(self, position: int) -> int:
        turn, cell = self.turns(position)
        return self.cells[cell][self.orders[cell](turn)[1]]


def _seed(*entropy: int) -> int:
    return int(np.random.SeedSequence((_STREAM, *entropy)).generate_state(1)[0])


def _spread(files: LabelledFiles) -> list[list[int]]:
    return files.cells() if files.label_set.exclusive else [list(range(len(files.pictures)))]


def in_turns(rows: Sequence[Sequence[T]]) -> list[T]:
    """Take the first of each row, then the second of each that has one, and so on."""
    none = object()
    taken = chain.from_iterable(zip_longest(*rows, fillvalue=none))
    return [item for item in taken if item is not none]  # type: ignore[misc]
