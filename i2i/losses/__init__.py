"""Loss functions: pure functions of tensors that return scalars and never run training."""

from i2i.losses.adversarial import ADVERSARIAL_LOSSES, Adversarial, relativistic
from i2i.losses.classification import binary_cross_entropy, cross_entropy
from i2i.losses.discriminator_outputs import DiscriminatorOutputs, mean_scores, real_scores
from i2i.losses.path_length import path_length_penalty, path_lengths
from i2i.losses.penalty import drift, gradient_penalty, r1, squared_slopes
from i2i.losses.reconstruction import diversity, feature_matching, l1, l2, ssim

__all__ = [
    "ADVERSARIAL_LOSSES",
    "Adversarial",
    "DiscriminatorOutputs",
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
    "real_scores",
    "relativistic",
    "squared_slopes",
    "ssim",
]
