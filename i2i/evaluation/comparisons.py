"""What is compared with what."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from torch import Tensor

from i2i.evaluation.images import ImageSet
from i2i.metrics.classifier import Classifier


@dataclass(frozen=True)
class Judge:
    """A classifier of the real images, and what it should find in those that were made: all of
    one name, or each of them of a class by its number, (N,); None where nothing was asked for."""

    classifier: Callable[[], Classifier]
    wanted: str | Tensor | None


@dataclass(frozen=True)
class Comparison:
    """Images that a generator made, and real ones that they should be like.

    Whatever makes images (from images, or from noise) is evaluated by saying which comparisons
    it is to be measured by.
    """

    name: str
    """Tells the comparisons of one evaluation apart: "AtoB", a domain; "" for the only one; "real"
    for real images in the place of generated ones, as the best that can be expected."""

    generated: ImageSet

    reference: ImageSet

    pairs: Sequence[tuple[int, int]] = ()
    """Numbers of generated images and of those in the reference that they should be equal to."""

    sources: ImageSet | None = None
    """What the generated images were made of, in the same order, where that is known."""

    judge: Judge | None = None

    agreement: Callable[[], float] | None = None
    """Computes how well the categories that a model has found agree with the classes."""

    notes: Sequence[str] = ()
    """What a person has to know of it before they look at a number, a sentence each."""

    generated_error: Callable[[], float] | None = None
    """Computes the average generated error of the model's own discriminator."""
