"""DiffAugment against recorded vectors, and what they don't show."""

import pytest
import torch

from i2i.augment import DiffAugment
from i2i.augment.diffaugment import brighten, saturate, stretch_contrast
from vectors import Vectors, errors

BOUND = 1e-9


@pytest.mark.parametrize("policy", ["color", "translation", "cutout", "all"])
def test_the_policies_are_the_published_ones(policy):
    record = Vectors(f"diffaugment_{policy}")
    images = record["input.image"].requires_grad_()
    draws = record.below("draws.")
    result = DiffAugment(record.config["policy"]).transform(images, draws)
    (gradient,) = torch.autograd.grad(result.square().mean(), images)
    ours = {"image": result, "input_gradient": gradient}
    if policy == "color":
        ours["brightness"] = brighten(images, draws["brightness"])
        ours["saturation"] = saturate(images, draws["saturation"])
        ours["contrast"] = stretch_contrast(images, draws["contrast"])
    assert max(errors(ours, record.below("output.")).values()) < BOUND
