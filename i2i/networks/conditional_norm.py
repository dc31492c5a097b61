"""Batch normalisation whose scale and shift depend on the class.

Dumoulin et al., "A learned representation for artistic style", ICLR 2017; de Vries et al.,
"Modulating early visual processing by language", NIPS 2017.
"""

import torch
from torch import Tensor, nn

from i2i.networks.blocks import BatchNorm2d


class ConditionalNorm2d(nn.Module):
    """Batch normalisation with one scale and one shift for each class.

    `set_inference` decides for it as for every `BatchNorm2d`.

    Args:
        channels: C.
        classes: how many there are; 0 for plain batch normalisation.
    """

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        self.norm = BatchNorm2d(channels, affine=not classes)
        self.scale = nn.Parameter(torch.ones(classes, channels)) if classes else None
        self.shift = nn.Parameter(torch.zeros(classes, channels)) if classes else None

    def forward(self, features: Tensor, labels: Tensor | None) -> Tensor:
        """Normalise (N, C, H, W) for labels (N, classes); a mixture of classes mixes scale and
        shift."""
        features = self.norm(features)
        if self.scale is None or self.shift is None:
            return features
        assert labels is not None
        labels = labels.to(self.scale.dtype)
        scale, shift = labels @ self.scale, labels @ self.shift
        return features * scale[:, :, None, None] + shift[:, :, None, None]
