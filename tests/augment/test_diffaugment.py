"""DiffAugment against recorded vectors, and what they don't show."""

import pytest
import torch

from i2i.errors import OptionsError
from i2i.networks.augment import DiffAugment
from i2i.networks.augment.diffaugment import brighten, saturate, stretch_contrast
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


def test_an_image_and_its_label_map_move_alike():
    torch.manual_seed(0)
    augment, images = DiffAugment(), torch.randn(8, 3, 12, 16)
    draws = augment.draw(images)
    labels = images.sum(1, keepdim=True)
    moved = augment.transform(images, draws, colour=False)
    torch.testing.assert_close(
        augment.transform(labels, draws, colour=False), moved.sum(1, keepdim=True)
    )
    assert (augment.transform(images, draws) - moved).abs().max() > 0.1


def test_draws_have_the_published_ranges():
    augment, images = DiffAugment(), torch.zeros(2000, 3, 9, 16)
    draws = augment.draw(images, torch.Generator().manual_seed(0))
    assert list(draws) == [
        *("brightness", "saturation", "contrast"),
        *("translation.dim2", "translation.dim3", "cutout.dim2", "cutout.dim3"),
    ]
    ranges = {name: (int(draws[name].min()), int(draws[name].max())) for name in list(draws)[3:]}
    assert ranges == {
        "translation.dim2": (-1, 1),  # int(9 / 8 + 0.5)
        "translation.dim3": (-2, 2),
        "cutout.dim2": (0, 8),  # a box of 5, which is odd
        "cutout.dim3": (0, 16),
    }


def test_a_gradient_penalty_goes_through():
    torch.manual_seed(0)
    augment = DiffAugment("cutout,color,translation")
    images = torch.randn(2, 2, 6, 6, dtype=torch.float64, requires_grad=True)
    draws = augment.draw(images)

    def judge(x):
        return augment.transform(x, draws).square()

    assert torch.autograd.gradcheck(judge, images)
    assert torch.autograd.gradgradcheck(judge, images)


@pytest.mark.parametrize(
    ("policy", "message"),
    [("color,cutuot", r"contains 'cutuot'.* Did you mean 'cutout'"), (" ,", "must be words among")],
)
def test_policies_that_are_none_are_named(policy, message):
    with pytest.raises(OptionsError, match=message):
        DiffAugment(policy)
