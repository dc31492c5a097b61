"""Images that are looked at one by one, as a data set to train on or to validate with."""

import torch
from torch.utils.data import Dataset

from i2i.core.batch import Labelled
from i2i.data.augment.geometry import JointGeometry
from i2i.data.kinds.domains import in_turns
from i2i.data.kinds.image_set import ImageSet
from i2i.data.kinds.paired import to_tensor
from i2i.data.loading.decoded_cache import Decoding, Images
from i2i.data.loading.order import EpochOrder


class SingleImages(Dataset[Labelled], Decoding):
    """Images and their classes, addressed by their position in the training.

    An epoch shows every image once. The same position gives the same image with the same crop,
    whoever asks. Without shuffling, the classes take turns, so that the first few images show
    something of all.

    Args:
        images: At least one, to be shuffled.
        geometry: What is done to each image.
        channels: Of the images: 1, 3 or 4.
        seed: Not negative; order and geometry follow from it.
        shuffle: Go through the images in another order in each epoch; else in a fixed order.
    """

    def __init__(
        self,
        images: ImageSet,
        geometry: JointGeometry,
        *,
        channels: int = 3,
        seed: int = 0,
        shuffle: bool = False,
    ) -> None:
        self.images = images
        self.items = len(images)
        self.geometry = geometry
        self.channels = channels
        self.seed = seed
        self.order = EpochOrder(len(images), seed) if shuffle else None
        self._listed = [] if shuffle else in_turns([p.tolist() for p in images.by_class()])

    def __len__(self) -> int:
        """Return the number of images, which is the length of an epoch."""
        return len(self.images)

    def __getitem__(self, position: int) -> Labelled:
        """Return an image (C, H, W) uint8, for any position from 0 on; its label, one-hot with a
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
        return self.geometry.resize_all(self.images.read(item, self.channels))
