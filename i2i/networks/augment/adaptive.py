"""How often to augment, found out while training.

Karras et al., "Training generative adversarial networks with limited data", NeurIPS 2020, section
3.1: a discriminator that overfits gives most real images a positive score. Where more of them are
positive than wanted, augmentation becomes more probable, else less.
"""

import torch
from torch import Tensor, nn


class AdaptiveProbability(nn.Module):
    """Moves the probability p of an augmentation by the signs of the scores of real images.

    After a number of batches (published: 4) p becomes::

        max(p + sign(E[sign D(x)] - target) * images / (kimg * 1000), 0)

    with the mean over all scores since then, of augmented real images and in whatever turn. There
    is no upper bound. Nothing waits for the device; the state goes into a checkpoint.

    Args:
        target: the mean sign that is wanted, 0.6 as published.
        kimg: thousands of images in which p can move by 1, 500 as published, 100 for fine-tuning.
    """

    signs: Tensor
    scores: Tensor

    def __init__(self, *, target: float = 0.6, kimg: float = 500.0) -> None:
        super().__init__()
        self.target, self.kimg = target, kimg
        self.register_buffer("signs", torch.zeros(()))
        self.register_buffer("scores", torch.zeros(()))

    @torch.no_grad()
    def observe(self, scores: Tensor) -> None:
        """Take the discriminator's scores of augmented real images into account, of any shape."""
        self.add(count_signs(scores))

    @torch.no_grad()
    def add(self, counted: Tensor) -> None:
        """Take into account what `count_signs` counted."""
        self.signs += counted[0]
        self.scores += counted[1]

    @torch.no_grad()
    def adjust(self, p: Tensor, images: int | Tensor) -> None:
        """Move p, in place, by what `images`, seen since the last time, allow; without scores it
        stays."""
        direction = torch.sign(self.signs / self.scores - self.target)
        direction = torch.where(self.scores > 0, direction, 0.0)
        p.add_(direction.to(p.dtype) * (images / (self.kimg * 1000))).clamp_(min=0)
        self.signs.zero_()
        self.scores.zero_()


@torch.no_grad()
def count_signs(scores: Tensor) -> Tensor:
    """The sum of the signs of scores of any shape, and how many they are, (2,).

    A score that is not a number, as may be in a step of fp16 that is left out, has the sign 0.
    """
    kind = torch.promote_types(scores.dtype, torch.float32)
    counted = scores.sign().nan_to_num(0.0).sum(dtype=kind)
    return torch.stack([counted, torch.full_like(counted, scores.numel())])
