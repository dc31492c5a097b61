"""Loss functions: pure functions of tensors that return scalars and never run training."""

from i2i.objectives.adversarial import ADVERSARIAL_LOSSES, Adversarial, relativistic
from i2i.objectives.classification import binary_cross_entropy, cross_entropy
from i2i.objectives.judgement import Judgement, mean_scores
from i2i.objectives.path_length import path_length_penalty, path_lengths
from i2i.objectives.penalty import drift, gradient_penalty, r1, squared_slopes
from i2i.objectives.reconstruction import diversity, feature_matching, l1, l2, ssim

__all__ = [
    "ADVERSARIAL_LOSSES",
    "Adversarial",
    "Judgement",
    "binary_cross_entropy",
    "cross_entropy",
    "diversity",
    "drift",
    "feature_matching",
    "gradient_penalty",
    "l1",
    "l2",
    "mean_scores",
    "path_length_penalty",
    "path_lengths",
    "r1",
    "relativistic",
    "squared_slopes",
    "ssim",
]
