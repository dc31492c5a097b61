"""A discriminator's scores of real and of generated images, and what they tell of the game."""

from collections.abc import Callable
from contextvars import ContextVar
from functools import cached_property

import torch
from torch import Tensor

from i2i.losses.precision import at_least_float32

Outputs = tuple[Tensor, ...]

real_scores: ContextVar[Callable[[Tensor], None] | None] = ContextVar("real_scores", default=None)
"""Is told the scores of real images wherever a loss is computed of them; None for nobody."""


def tell_real_scores(scores: Tensor) -> None:
    """Tell scores of real images, of any shape, to whoever listens."""
    if (listener := real_scores.get()) is not None:
        listener(scores.detach())


class DiscriminatorOutputs:
    """Scores that are computed when they are first asked for, in the order in which they are.

    Arguments:
        judge: maps images (N, C, H, W) to scores (N, ...), or to a tuple of those and what else
            it tells of each image.
        real: real images.
        fake: generated ones, detached from their generator.
        together: whether both are judged in one batch. It makes a difference to batch norm, whose
            statistics are then those of the mixture.
        judge_fake: judges the generated ones where they have another condition; by default `judge`.
            Not with `together`.
    """

    def __init__(
        self,
        judge: Callable[[Tensor], Tensor | Outputs],
        real: Tensor,
        fake: Tensor,
        *,
        together: bool = False,
        judge_fake: Callable[[Tensor], Tensor | Outputs] | None = None,
    ) -> None:
        self._judge = judge
        self._judge_fake = judge_fake or judge
        self._images = (real, fake)
        self._together = together

    @cached_property
    def of_real(self) -> Outputs:
        """All that the discriminator tells of the real images, scores first."""
        return self._both[0] if self._together else _tuple(self._judge(self._images[0]))

    @cached_property
    def of_fake(self) -> Outputs:
        """All that the discriminator tells of the generated images, scores first."""
        return self._both[1] if self._together else _tuple(self._judge_fake(self._images[1]))

    @property
    def real(self) -> Tensor:
        """Scores of the real images."""
        return self.of_real[0]

    @property
    def fake(self) -> Tensor:
        """Scores of the generated images."""
        return self.of_fake[0]

    def readings(
        self, probability: Callable[[Tensor], Tensor] | None = None, ending: str = ""
    ) -> dict[str, Tensor]:
        """What the scores tell, for the log; nothing unless both have been asked for.

        - `score_real`, `score_fake`: the means;
        - `accuracy`: how well a threshold between both separates them, 0..1: the mean of the shares
          of real scores above the fake's mean and of fake scores below the real's mean;
        - `generated_error`: mean (p(x) - 1)**2 + mean p(y)**2, the "average generated error", if
          scores have a meaning as a probability p that an image is real: 0 for a discriminator
          that is always right, 1/2 for one that knows nothing.

        Arguments:
            probability: maps scores to it.
            ending: of the names.
        """
        if not {"of_real", "of_fake"} <= self.__dict__.keys():
            return {}
        real, fake = (at_least_float32(scores.detach()) for scores in (self.real, self.fake))
        means = real.mean(), fake.mean()
        told = {
            "score_real": means[0],
            "score_fake": means[1],
            "accuracy": ((real > means[1]).float().mean() + (fake < means[0]).float().mean()) / 2,
        }
        if probability is not None:
            error = (probability(real) - 1).square().mean() + probability(fake).square().mean()
            told["generated_error"] = error
        return {name + ending: value for name, value in told.items()}

    @cached_property
    def _both(self) -> tuple[Outputs, Outputs]:
        sizes = [len(images) for images in self._images]
        outputs = _tuple(self._judge(torch.cat(self._images)))
        real, fake = zip(*(output.split(sizes) for output in outputs), strict=True)
        return real, fake


def mean_scores(scores: Tensor) -> Tensor:
    """The mean score of each image, (N,), from scores of any shape (N, ...)."""
    return at_least_float32(scores).reshape(len(scores), -1).mean(dim=1)


def _tuple(outputs: Tensor | Outputs) -> Outputs:
    return (outputs,) if isinstance(outputs, Tensor) else outputs
