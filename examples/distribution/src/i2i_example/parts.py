"""One part of each kind. The entry points of pyproject.toml name this module: importing it
registers everything."""

import io

import numpy as np
import torch.nn.functional as F
from torch import Tensor, nn

from i2i.core.registry import (
    register_adversarial_loss,
    register_data_kind,
    register_image_format,
    register_loss,
    register_model,
    register_network,
    register_tracker,
)
from i2i.data.images.formats import DecodedFile, ImageFormat
from i2i.data.kinds.paired import Paired
from i2i.losses import AdversarialLoss
from i2i.metrics.measures import register_measure
from i2i.models.pix2pix import Pix2Pix
from i2i.runs.trackers import Tracker


@register_data_kind("example-pairs")
class ExamplePairs(Paired):
    """Pairs as those of the package; a folder is never taken for them by itself."""

    rank = 1000


@register_model("example-pix2pix")
class ExamplePix2Pix(Pix2Pix):
    """pix2pix on such pairs."""

    data = "example-pairs"


@register_network("generator", "example-identity")
class Identity(nn.Module):
    """One convolution of a pixel."""

    multiple = 1

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.layer = nn.Conv2d(in_channels, out_channels, 1)

    def forward(self, images: Tensor) -> Tensor:
        colours: Tensor = self.layer(images)
        return colours.tanh()


@register_loss("example-huber")
def huber(output: Tensor, target: Tensor) -> Tensor:
    return F.huber_loss(output, target)


@register_adversarial_loss("example-linear")
class Linear(AdversarialLoss):
    """That of Wasserstein GANs under another name."""

    @staticmethod
    def real(scores: Tensor, label: float) -> Tensor:
        return -scores

    @staticmethod
    def fake(scores: Tensor, label: float) -> Tensor:
        return scores

    @staticmethod
    def fool(scores: Tensor) -> Tensor:
        return -scores


@register_image_format("example-npy")
class Arrays(ImageFormat):
    suffixes = (".npy",)

    def accepts(self, head: bytes) -> bool:
        return head.startswith(b"\x93NUMPY")

    def read(self, data: bytes) -> DecodedFile:
        return DecodedFile(np.load(io.BytesIO(data), allow_pickle=False))


@register_tracker("example-silent")
class Silent(Tracker):
    """Hears everything and says nothing."""


@register_measure("example-bias", higher_is_better=False, meaning="difference of the mean colours")
def bias(outputs: Tensor, references: Tensor) -> Tensor:
    return (outputs.mean(dim=(1, 2, 3)) - references.mean(dim=(1, 2, 3))).abs()
