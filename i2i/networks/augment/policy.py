"""Augmentations by name, each with a probability `p` that may be changed while training."""

import torch
from torch import Tensor, nn

from i2i.errors import OptionsError, did_you_mean
from i2i.networks.augment.diffaugment import POLICIES, DiffAugment
from i2i.networks.augment.draws import Augmentation, Draws
from i2i.networks.augment.pipe import COLOUR, GEOMETRY, PARTS, R3GAN, AugmentPipe
from i2i.system.device import full_precision

GROUPS = {"b": GEOMETRY[:3], "g": GEOMETRY[3:], "c": COLOUR}
"""What the letters of "bgc" stand for: pixel blitting, geometry, colour."""


class Sometimes(nn.Module):
    """An augmentation that happens to each image as a whole with probability p.

    Args:
        augmentation: what happens.
        p: what the probability starts from. It is the buffer `p`, which may be changed in place.
    """

    p: Tensor

    def __init__(self, augmentation: Augmentation, p: float = 1.0) -> None:
        super().__init__()
        self.augmentation = augmentation
        self.register_buffer("p", torch.tensor(float(p)))

    def draw(self, images: Tensor, generator: torch.Generator | None = None) -> Draws:
        """The draws of the augmentation, and behind them "gate", (N,), in 0..1."""
        draws = self.augmentation.draw(images, generator)
        gate = torch.rand(len(images), device=images.device, generator=generator)
        return {**draws, "gate": gate}

    def transform(self, images: Tensor, draws: Draws, *, colour: bool = True) -> Tensor:
        """Augment those of (N, C, H, W) whose gate is below p."""
        with full_precision(images):
            wide = images.to(torch.promote_types(images.dtype, torch.float32))
            augmented = self.augmentation.transform(wide, draws, colour=colour)
            happens = (draws["gate"] < self.p).reshape(-1, 1, 1, 1)
            return torch.where(happens, augmented, wide).to(images.dtype)


def augmentation_of(policy: str, p: float) -> Sometimes | AugmentPipe:
    """Make an augmentation.

    >>> list(augmentation_of("bg", 0.5).strengths)
    ['xflip', 'rotate90', 'xint', 'scale', 'rotate', 'aniso', 'xfrac']

    Args:
        policy: "bgc" of StyleGAN2-ADA or some of its letters; "r3gan"; words of `DiffAugment`; or
            parts of `AugmentPipe`, each of strength 1; words and parts with commas between them.
        p: what its probability starts from.

    Raises:
        OptionsError: there is no such policy.
    """
    words = [word.strip() for word in policy.split(",")]
    if words == ["r3gan"]:
        return AugmentPipe(R3GAN, p)
    if words[0] in ("b", "g", "c", "bg", "bc", "gc", "bgc") and len(words) == 1:
        return AugmentPipe({part: 1.0 for letter in words[0] for part in GROUPS[letter]}, p)
    if set(words) <= {*POLICIES}:
        return Sometimes(DiffAugment(policy), p)
    if set(words) <= {*PARTS}:
        return AugmentPipe(dict.fromkeys(words, 1.0), p)
    known = ("bgc", "r3gan", *POLICIES, *PARTS)
    wrong = next((word for word in words if word not in known), "")
    hint = did_you_mean(wrong, known) if wrong else " Words and parts are not mixed."
    raise OptionsError(
        f"the policy is {policy!r}, but must be 'bgc' or some of its letters, 'r3gan', some of the "
        f"words {', '.join(POLICIES)}, or some of the parts {', '.join(PARTS)}.{hint}"
    )
