"""What the models that learn from pairs share: how they are shown, measured and evaluated."""

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from i2i.core.batch import Pair
from i2i.core.model import Generated, Model
from i2i.metrics.images import l1_distance, mean_psnr, psnr, ssim_index


class PairedModel(Model[Pair]):
    """A generator whose images are compared with the truth; its discriminator sees the source too.

    A subclass sets `generator` and says what the discriminator makes of an image (`score`).
    """

    data = "paired"
    generators = ("generator",)
    comparisons: ClassVar[Mapping[str, tuple[str, ...]]] = {"generator": ("",)}
    monitor = "l1"
    condition = "image"
    generator: Any

    @abstractmethod
    def score(self, source: Tensor, image: Tensor) -> Tensor:
        """The mean score (N,) of images (N, target channels, H, W) beside their sources."""

    def translated(self, source: Tensor) -> Tensor:
        """What is made of sources (N, source channels, H, W): (N, target channels, H, W)."""
        made: Tensor = self.generator(source)
        return made

    def visualize(self, batch: Pair) -> dict[str, Tensor]:
        source, target = batch
        return {"input": source, "output": self.translated(source), "truth": target}

    def generate(self, batch: Pair) -> dict[str, Generated]:
        source, target = batch
        inputs = source
        if source.shape[2:] != target.shape[2:]:  # what copying would be of a smaller input
            inputs = F.interpolate(source, size=target.shape[2:], mode="bicubic").clamp(-1, 1)
        return {"output": Generated(self.translated(source), target, inputs, paired=True)}

    def validation_step(self, batch: Pair) -> dict[str, Tensor]:
        source, target = batch
        output = self.translated(source)
        return {
            "l1": l1_distance(output, target),
            "psnr": psnr(output, target),
            "ssim": ssim_index(output, target),
            "discriminator/score_real": self.score(source, target),
            "discriminator/score_fake": self.score(source, output),
        }

    def reduce(self, measured: Mapping[str, Tensor]) -> dict[str, float]:
        return {**super().reduce(measured), "psnr": mean_psnr(measured["psnr"]).item()}


def beside(source: Tensor, image: Tensor) -> Tensor:
    """What a conditional discriminator sees, of one or several images for each source; pixels of a
    source that is smaller are repeated."""
    if (ratio := image.shape[3] // source.shape[3]) > 1:
        source = F.interpolate(source, scale_factor=ratio, mode="nearest")
    several = len(image) // len(source)
    return torch.cat([source.repeat(several, 1, 1, 1) if several > 1 else source, image], dim=1)
