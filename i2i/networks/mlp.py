"""Fully connected networks: the first GAN.

Goodfellow et al., "Generative adversarial nets", NIPS 2014, section 5. Its generator has rectified
linear units, its discriminator maxout with dropout. Leaky ReLU stands here for maxout, as in nearly
everything since: it is a maxout of two pieces with one set of weights shared between them, so that
it passes gradients everywhere as well, at half of the weights.
"""

import math
from typing import Annotated

from annotated_types import Ge, Le, Lt
from torch import Tensor, nn

from i2i.core.registry import register_network
from i2i.errors import OptionsError
from i2i.networks.condition import (
    CodeHead,
    ScoringDiscriminator,
    beside_noise,
    require_counts,
    require_square,
)


@register_network("generator", "mlp")
class MLPGenerator(nn.Module):
    """Fully connected layers with ReLU from noise to all pixels of an image, tanh at the end.

    Args:
        latent: numbers of noise.
        out_channels: channels of the images.
        width: units of each hidden layer.
        layers: hidden layers, at least 1.
        size: height and width of the images, of any number of pixels.
        classes: length of the labels that stand beside the noise; 0 for none.

    Raises:
        OptionsError: a number that is too small.
    """

    def __init__(
        self,
        latent: int,
        out_channels: int,
        *,
        width: Annotated[int, Ge(1), Le(16384), "units of each hidden layer"] = 256,
        layers: Annotated[int, Ge(1), Le(256), "hidden layers"] = 2,
        size: int,
        classes: int = 0,
    ) -> None:
        super().__init__()
        require_counts(latent=latent, width=width, layers=layers, size=size, classes=classes)
        self.latent, self.size, self.classes = latent, size, classes
        self.out_channels = out_channels
        modules: list[nn.Module] = []
        before = latent + classes
        for _ in range(layers):
            modules += [nn.Linear(before, width), nn.ReLU(inplace=True)]
            before = width
        modules += [nn.Linear(before, out_channels * size**2), nn.Tanh()]
        self.main = nn.Sequential(*modules)

    def forward(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        """Map noise (N, latent), and labels (N, classes), to (N, out_channels, size, size) in
        -1..1."""
        pixels: Tensor = self.main(beside_noise(z, labels, self.classes))
        return pixels.reshape(-1, self.out_channels, self.size, self.size)


@register_network("discriminator", "mlp")
class MLPDiscriminator(ScoringDiscriminator):
    """Fully connected layers with leaky ReLU from all pixels of an image to one score, a logit.

    Args:
        in_channels: channels of the images.
        width: units of each hidden layer.
        layers: hidden layers, at least 1.
        dropout: share of the hidden units that is dropped in training, 0 for none; 0.5 in the
            paper on dropout, by which the first GAN goes.
        size: height and width of the images.
        classes: length of the labels that stand beside the pixels; 0 for none.
        codes: logits of the auxiliary head, see `CodeHead`; 0 for none.

    Raises:
        OptionsError: a number that is out of range.
    """

    def __init__(
        self,
        in_channels: int,
        *,
        width: Annotated[int, Ge(1), Le(16384), "units of each hidden layer"] = 256,
        layers: Annotated[int, Ge(1), Le(256), "hidden layers"] = 2,
        dropout: Annotated[float, Ge(0), Lt(1), "share of the hidden units dropped"] = 0.0,
        size: int,
        classes: int = 0,
        codes: int = 0,
    ) -> None:
        super().__init__()
        require_counts(width=width, layers=layers, size=size, classes=classes, codes=codes)
        if not (math.isfinite(dropout) and 0 <= dropout < 1):
            raise OptionsError(f"dropout is {dropout}, but must be at least 0 and less than 1.")
        self.size, self.classes = size, classes
        modules: list[nn.Module] = []
        before = in_channels * size**2 + classes
        for _ in range(layers):
            modules += [nn.Linear(before, width), nn.LeakyReLU(0.2, inplace=True)]
            if dropout:
                modules.append(nn.Dropout(dropout))
            before = width
        self.body = nn.Sequential(*modules)
        self.score = nn.Linear(width, 1)
        self.codes = CodeHead(width, codes, norm="none") if codes else None

    def scores(self, features: Tensor, labels: Tensor | None) -> Tensor:
        scores: Tensor = self.score(features)
        return scores

    def features(self, images: Tensor, labels: Tensor | None = None) -> Tensor:
        """What the score is computed from, (N, width)."""
        require_square(images, self.size)
        features: Tensor = self.body(beside_noise(images.flatten(1), labels, self.classes))
        return features
