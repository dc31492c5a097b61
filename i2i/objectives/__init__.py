"""Loss functions: pure functions of tensors that return scalars and never run training."""

from i2i.objectives.adversarial import ADVERSARIAL_LOSSES, Adversarial
from i2i.objectives.classification import binary_cross_entropy, cross_entropy
from i2i.objectives.penalty import gradient_penalty, r1
from i2i.objectives.reconstruction import l1, l2, ssim

__all__ = [
    "ADVERSARIAL_LOSSES",
    "Adversarial",
    "binary_cross_entropy",
    "cross_entropy",
    "gradient_penalty",
    "l1",
    "l2",
    "r1",
    "ssim",
]
