"""How far a set of generated images is from real ones, often and quickly: while training."""

from collections.abc import Callable, MutableMapping
from dataclasses import dataclass

from torch import Tensor
from torch.utils.weak import WeakTensorKeyDictionary

from i2i.metrics.features import Features
from i2i.metrics.kernel import kernel_distance
from i2i.metrics.sliced import patch_distance

PATCHES = 2**13
PROJECTIONS = 128
"""Of each level; a quarter of the work of `i2i evaluate`."""


@dataclass(frozen=True)
class Distance:
    """A distance between two sets of images (N, C, H, W), bytes; lower is better.

    Its name says what it compares, so that no two kinds of distance are ever confused.
    """

    name: str
    between: Callable[[Tensor, Tensor], float]


def sliced_wasserstein(seed: int = 0) -> Distance:
    """Patches of the images themselves (Karras et al., 2018), normalised by the real ones, so
    that brightness and tint count. It needs no network."""

    def between(generated: Tensor, reference: Tensor) -> float:
        return patch_distance(
            generated,
            reference,
            patches=PATCHES,
            projections=PROJECTIONS,
            normalisation="reference",
            seed=seed,
        ).mean

    return Distance("swd-reference", between)


def kernel(features: Features, seed: int = 0) -> Distance:
    """KID, which is not biased by how few images there are, of the features of a network."""
    described: MutableMapping[Tensor, Tensor] = WeakTensorKeyDictionary()

    def between(generated: Tensor, reference: Tensor) -> float:
        # A run compares with the same tensors each time; what is forgotten there is so here.
        if reference not in described:
            described[reference] = features(reference)
        return kernel_distance(features(generated), described[reference], seed=seed).mean

    return Distance(f"kid({features.name})", between)
