"""Loss functions: pure functions of tensors that return scalars and never run training."""

from i2i.objectives.adversarial import ADVERSARIAL_LOSSES, Adversarial
from i2i.objectives.classification import binary_cross_entropy, cross_entropy
from i2i.objectives.judgement import Judgement, mean_scores
from i2i.objectives.penalty import drift, gradient_penalty, r1
from i2i.objectives.reconstruction import feature_matching, l1, l2, ssim

__all__ = [
    "ADVERSARIAL_LOSSES",
    "Adversarial",
    "Judgement",
    "binary_cross_entropy",
    "cross_entropy",
    "drift",
    "feature_matching",
    "gradient_penalty",
    "l1",
    "l2",
    "mean_scores",
    "r1",
    "ssim",
]
