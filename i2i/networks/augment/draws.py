"""What all augmentations of a discriminator's images have in common."""

from typing import Protocol

import torch
from torch import Tensor

Draws = dict[str, Tensor]
"""Random numbers by the name of what they are for, one or more for each image."""


class Augmentation(Protocol):
    """Draws random numbers for a batch, and applies them to tensors of its height and width."""

    def draw(self, images: Tensor, generator: torch.Generator | None = None) -> Draws:
        """Draw the numbers for images (N, C, H, W), on their device."""

    def transform(self, images: Tensor, draws: Draws, *, colour: bool = True) -> Tensor:
        """Augment (N, C, H, W) with the numbers drawn for it or for its like.

        Without `colour` it is moved and cut only, as a label map must be.
        """


def column(numbers: Tensor, images: Tensor) -> Tensor:
    """One number for each image, of the images' type, so that it goes with (N, C, H, W)."""
    return numbers.reshape(-1, 1, 1, 1).to(images.dtype)
