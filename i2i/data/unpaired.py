"""Pictures of two kinds that do not belong together, as a data set to train on or validate with."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from torch.utils.data import Dataset

from i2i.batch import Unpaired
from i2i.data.kept import Decoding, Pictures
from i2i.data.order import EpochOrder
from i2i.data.paired import to_tensor
from i2i.data.reading import read_picture
from i2i.data.transforms import JointGeometry


class UnpairedPictures(Dataset[Unpaired], Decoding):
    """Pictures of two domains, addressed by their position in the training.

    An epoch shows every picture of the larger domain once; the smaller one starts over, in a new
    order, as often as it must. The two are drawn, cut and mirrored independently of each other. The
    same position gives the same pictures, whoever asks and however often.

    Args:
        sides: The pictures of domain A and those of domain B, at least one of each.
        geometry: What is done to each picture.
        channels: Of the pictures of A and of B: 1, 3 or 4.
        seed: Not negative; order and geometry follow from it.
        shuffle: Go through the pictures in another order in each epoch; else always as listed.
    """

    def __init__(
        self,
        sides: Sequence[Sequence[Path]],
        geometry: JointGeometry,
        *,
        channels: tuple[int, int] = (3, 3),
        seed: int = 0,
        shuffle: bool = False,
    ) -> None:
        assert len(sides) == 2
        self.pictures = [list(side) for side in sides]
        self.items = sum(map(len, self.pictures))
        self.geometry = geometry
        self.channels = channels
        # Sides that are equally long must not go through their pictures in the same order.
        self.seeds = [
            int(np.random.SeedSequence((seed, side)).generate_state(1)[0]) for side in (0, 1)
        ]
        self.orders = (
            [
                EpochOrder(len(pictures), side_seed)
                for pictures, side_seed in zip(self.pictures, self.seeds, strict=True)
            ]
            if shuffle
            else None
        )

    def __len__(self) -> int:
        """Return the number of pictures in the larger domain, which is the length of an epoch."""
        return max(map(len, self.pictures))

    def __getitem__(self, position: int) -> Unpaired:
        """Return a picture of each domain, (C, H, W) uint8, for any position from 0 on.

        Raises:
            DataError: a file cannot be read.
        """
        sides = []
        for side in (0, 1):
            pictures = self.pictures[side]
            index = self.orders[side](position)[1] if self.orders else position % len(pictures)
            pixels = self.recalled(index + side * len(self.pictures[0]))
            sides.append(to_tensor(*self.geometry.cut(self.seeds[side], position, *pixels)))
        return Unpaired(*sides)

    def decoded(self, item: int) -> Pictures:
        first = len(self.pictures[0])
        side, index = (0, item) if item < first else (1, item - first)
        pixels = read_picture(self.pictures[side][index], self.channels[side])
        return self.geometry.resize_all(pixels)
