"""Pictures that are looked at one by one, as a data set to train on or to validate with."""

import torch
from torch.utils.data import Dataset

from i2i.batch import Labelled
from i2i.data.domains import in_turns
from i2i.data.kept import Decoding, Pictures
from i2i.data.order import EpochOrder
from i2i.data.paired import to_tensor
from i2i.data.picture_set import PictureSet
from i2i.data.transforms import JointGeometry


class SinglePictures(Dataset[Labelled], Decoding):
    """Pictures and their classes, addressed by their position in the training.

    An epoch shows every picture once. The same position gives the same picture with the same crop,
    whoever asks. Without shuffling, the classes take turns, so that the first few pictures show
    something of all.

    Args:
        pictures: At least one, to be shuffled.
        geometry: What is done to each picture.
        channels: Of the pictures: 1, 3 or 4.
        seed: Not negative; order and geometry follow from it.
        shuffle: Go through the pictures in another order in each epoch; else in a fixed order.
    """

    def __init__(
        self,
        pictures: PictureSet,
        geometry: JointGeometry,
        *,
        channels: int = 3,
        seed: int = 0,
        shuffle: bool = False,
    ) -> None:
        self.pictures = pictures
        self.items = len(pictures)
        self.geometry = geometry
        self.channels = channels
        self.seed = seed
        self.order = EpochOrder(len(pictures), seed) if shuffle else None
        self._listed = [] if shuffle else in_turns([p.tolist() for p in pictures.by_class()])

    def __len__(self) -> int:
        """Return the number of pictures, which is the length of an epoch."""
        return len(self.pictures)

    def __getitem__(self, position: int) -> Labelled:
        """Return a picture (C, H, W) uint8, for any position from 0 on; its label, one-hot with a
        number for each class (none where nothing is known); and a mask of 1.

        Raises:
            DataError: the picture cannot be read.
        """
        place = self.order(position)[1] if self.order else self._listed[position % len(self)]
        (pixels,) = self.geometry.cut(self.seed, position, *self.recalled(place))
        labels = torch.zeros(len(self.pictures.classes))
        if self.pictures.labels is not None:
            labels[self.pictures.labels[place]] = 1.0
        return Labelled(to_tensor(pixels), labels, torch.ones(1))

    def decoded(self, item: int) -> Pictures:
        return self.geometry.resize_all(self.pictures.read(item, self.channels))
