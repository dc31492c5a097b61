"""Images and what they should become, as a data set to train on or to validate with."""

from collections.abc import Sequence
from typing import Literal, get_args

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from i2i.core.batch import Pair
from i2i.data.augment.geometry import JointGeometry
from i2i.data.images.read import Pixels, read_image
from i2i.data.kinds.layouts import PairFiles
from i2i.data.loading.decoded_cache import Decoding, Images
from i2i.data.loading.order import EpochOrder
from i2i.errors import DataError, OptionsError

Direction = Literal["AtoB", "BtoA"]


class PairedImages(Dataset[Pair], Decoding):
    """Pairs of images, addressed by their position in the training (see `i2i.data.loading.order`).

    The same position gives the same pair with the same crop, whoever asks and however often.

    Args:
        pairs: At least one.
        geometry: What is done to both images of a pair.
        direction: "AtoB" or "BtoA": which side is the source.
        input_channels: Channels of the source: 1, 3 or 4.
        output_channels: Channels of the target: 1, 3 or 4.
        seed: Not negative; order and geometry follow from it.
        shuffle: Go through the pairs in another order in each epoch; else always as listed.

    Raises:
        OptionsError: `direction` is neither of the two.
    """

    def __init__(
        self,
        pairs: Sequence[PairFiles],
        geometry: JointGeometry,
        *,
        direction: Direction = "AtoB",
        input_channels: int = 3,
        output_channels: int = 3,
        seed: int = 0,
        shuffle: bool = False,
    ) -> None:
        if direction not in get_args(Direction):
            raise OptionsError(f"direction (={direction!r}) must be 'AtoB' or 'BtoA'.")
        self.pairs = list(pairs)
        self.items = len(self.pairs)
        self.geometry = geometry
        self.forward = direction == "AtoB"
        channels = (input_channels, output_channels)
        self.depths = channels if self.forward else channels[::-1]  # of A and of B
        self.seed = seed
        self.order = EpochOrder(len(self.pairs), seed) if shuffle else None

    def __len__(self) -> int:
        """Return the number of pairs, which is the length of an epoch."""
        return len(self.pairs)

    def __getitem__(self, position: int) -> Pair:
        """Return source and target, (C, H, W) uint8, for any position from 0 on.

        Raises:
            DataError: a file cannot be read, or the two images differ in size.
        """
        a, b = self.geometry.cut(self.seed, position, *self.recalled(self.index(position)))
        source, target = (a, b) if self.forward else (b, a)
        return Pair(to_tensor(source), to_tensor(target))

    def index(self, position: int) -> int:
        """Return which of the pairs comes at a position."""
        return self.order(position)[1] if self.order else position % len(self.pairs)

    def decoded(self, item: int) -> Images:
        return self.geometry.resize_all(*self._read(self.pairs[item]))

    def _read(self, files: PairFiles) -> tuple[Pixels, Pixels]:
        channels_a, channels_b = self.depths
        a = read_image(files.a, channels_a)
        if files.b is None:
            width = a.shape[1]
            if width % 2:
                raise DataError(
                    f"'{files.a}' is {width} pixels wide; two images side by side need an even "
                    "width."
                )
            b = a if channels_a == channels_b else read_image(files.a, channels_b)
            return a[:, : width // 2], b[:, width // 2 :]
        b = read_image(files.b, channels_b)
        if a.shape[:2] != b.shape[:2]:
            raise DataError(
                f"'{files.a}' is {a.shape[1]}x{a.shape[0]} and '{files.b}' is "
                f"{b.shape[1]}x{b.shape[0]}; the two images of a pair must have the same size."
            )
        return a, b


def to_tensor(pixels: Pixels) -> Tensor:
    """(H, W, C) pixels as a (C, H, W) tensor."""
    return torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1)))
