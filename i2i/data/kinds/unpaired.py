"""Images of two kinds that do not belong together, as a data set to train on or validate with."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from torch.utils.data import Dataset

from i2i.core.batch import Unpaired
from i2i.data.augment.geometry import JointGeometry
from i2i.data.images.read import read_image
from i2i.data.kinds.paired import to_tensor
from i2i.data.loading.decoded_cache import Decoding, Images
from i2i.data.loading.order import EpochOrder


class UnpairedImages(Dataset[Unpaired], Decoding):
    """Images of two domains, addressed by their position in the training.

    An epoch shows every image of the larger domain once; the smaller one starts over, in a new
    order, as often as it must. The two are drawn, cut and mirrored independently of each other. The
    same position gives the same images, whoever asks and however often.

    Args:
        sides: The images of domain A and those of domain B, at least one of each.
        geometry: What is done to each image.
        channels: Of the images of A and of B: 1, 3 or 4.
        seed: Not negative; order and geometry follow from it.
        shuffle: Go through the images in another order in each epoch; else always as listed.
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
        self.images = [list(side) for side in sides]
        self.items = sum(map(len, self.images))
        self.geometry = geometry
        self.channels = channels
        # Sides that are equally long must not go through their images in the same order.
        self.seeds = [
            int(np.random.SeedSequence((seed, side)).generate_state(1)[0]) for side in (0, 1)
        ]
        self.orders = (
            [
                EpochOrder(len(images), side_seed)
                for images, side_seed in zip(self.images, self.seeds, strict=True)
            ]
            if shuffle
            else None
        )

    def __len__(self) -> int:
        """Return the number of images in the larger domain, which is the length of an epoch."""
        return max(map(len, self.images))

    def __getitem__(self, position: int) -> Unpaired:
        """Return an image of each domain, (C, H, W) uint8, for any position from 0 on.

        Raises:
            DataError: a file cannot be read.
        """
        sides = []
        for side in (0, 1):
            images = self.images[side]
            index = self.orders[side](position)[1] if self.orders else position % len(images)
            pixels = self.recalled(index + side * len(self.images[0]))
            sides.append(to_tensor(*self.geometry.cut(self.seeds[side], position, *pixels)))
        return Unpaired(*sides)

    def decoded(self, item: int) -> Images:
        first = len(self.images[0])
        side, index = (0, item) if item < first else (1, item - first)
        pixels = read_image(self.images[side][index], self.channels[side])
        return self.geometry.resize_all(pixels)
