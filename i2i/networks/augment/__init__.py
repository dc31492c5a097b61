"""Augmentation of what a discriminator sees, real and generated: differentiable, on the device.

An augmentation draws its random numbers (`draw`) apart from applying them (`transform`), so that
several tensors can be moved alike: an image and its condition, or the two images of a pair. All
shapes are fixed, and on an accelerator nothing waits for it.
"""

from i2i.networks.augment.adaptive import AdaptiveProbability
from i2i.networks.augment.diffaugment import DiffAugment
from i2i.networks.augment.draws import Augmentation, Draws
from i2i.networks.augment.pipe import AugmentPipe
from i2i.networks.augment.policy import Sometimes, augmentation_of

__all__ = [
    "AdaptiveProbability",
    "AugmentPipe",
    "Augmentation",
    "DiffAugment",
    "Draws",
    "Sometimes",
    "augmentation_of",
]
