"""What each role asks of its network. Any module that has it will do, wherever it comes from.

A network is a module; these say what a model calls it with, and what comes back.
"""

from collections.abc import Sequence
from typing import Protocol

from torch import Tensor


class Generator(Protocol):
    """Translates images (N, C, H, W) in -1..1, whose height and width it may want to be divisible
    by its attribute `multiple`."""

    def __call__(self, images: Tensor, /) -> Tensor: ...


class LayeredGenerator(Generator, Protocol):
    """One whose encoder is looked at."""

    def features(self, images: Tensor, layers: Sequence[int], /) -> list[Tensor]:
        """The outputs of some of its layers, (N, C, H, W) each."""


class StyledGenerator(Protocol):
    """Translates images in a style (N, style)."""

    def __call__(self, images: Tensor, style: Tensor, /) -> Tensor: ...


class StyleNetwork(Protocol):
    """Makes styles (N, style) of noise, or of images, for domains (N,): their numbers."""

    def __call__(self, source: Tensor, domains: Tensor, /) -> Tensor: ...


class NoiseGenerator(Protocol):
    """Makes images of latent vectors (N, latent), and labels (N, classes) if it is told any."""

    size: int
    """Height and width of its images, when it is grown up."""

    def __call__(self, vectors: Tensor, labels: Tensor | None = None, /) -> Tensor: ...


class Discriminator(Protocol):
    """Scores images, (N, ...)."""

    def __call__(self, images: Tensor, /) -> Tensor: ...

    def features(self, images: Tensor, /) -> Tensor:
        """What its layers make of images, by which they can be compared."""


class ClassifyingDiscriminator(Protocol):
    """A discriminator that also tells the labels of images: scores, and logits (N, L)."""

    def __call__(self, images: Tensor, /) -> tuple[Tensor, Tensor]: ...

    def features(self, images: Tensor, /) -> Tensor: ...


class DomainDiscriminator(Protocol):
    """Scores images that are said to be of domains (N,): their numbers."""

    def __call__(self, images: Tensor, domains: Tensor, /) -> Tensor: ...


class NoiseDiscriminator(Protocol):
    """Scores images that are said to be of labels, if it is told any; beside the scores stand the
    logits of the codes, if the latent vectors have some."""

    def __call__(self, images: Tensor, labels: Tensor | None, /) -> Tensor | tuple[Tensor, ...]: ...

    def features(self, images: Tensor, labels: Tensor | None, /) -> Tensor: ...


class Growing(Protocol):
    """A network that grows (Karras et al., "Progressive growing of GANs", ICLR 2018)."""

    def grow(self, stage: int, alpha: float, /) -> None:
        """Be of a stage from now on, whose last layers have faded in by alpha, 0..1."""


class GrowingDiscriminator(Growing, Protocol):
    """One that grows, and knows what it sees of a real image."""

    def shrink(self, images: Tensor, /) -> Tensor:
        """Bring real images to the size of the stage."""
