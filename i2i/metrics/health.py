"""Signs of a generator that fails: what can be told of its outputs without a judge.

Pictures are (N, C, H, W) in -1..1. Every signal is a scalar tensor in float32.
`i2i.training.health` says what they mean; the pictures are compared small, since a collapse, a copy
or a wrong colour is seen at a glance, and noise and texture are not.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

THUMBNAIL = 16
"""Side of the pictures in which the layout of brightness and colour is compared."""

COPY_SIDE = 64
"""Side of the pictures in which copies are looked for: stripes and edges must still be there."""

LEAST_DIFFERENT = 2
"""Different real pictures without which nothing is said of how different the outputs are."""

EPSILON = 1e-6
"""Below this, differences of pictures in -1..1 are rounding."""


def diversity(outputs: Tensor, references: Tensor) -> Tensor:
    """Return how different the outputs are from each other, where real pictures give 1.

    The mean distance between two thumbnails, divided by that of the references; 0 for a generator
    that makes the same of every input.

    Arguments:
        outputs: of at least two different inputs.
        references: at least two different real pictures of the same domain; where there are fewer
            of them than outputs and some are repeated, each counts once.
    """
    return _spread(outputs) / _spread(different(references)).clamp_min(EPSILON)


def copy_distance(outputs: Tensor, inputs: Tensor) -> Tensor:
    """Return how far outputs are from their own inputs, where any other input is at 1.

    0 for a generator that hands its input on. Pictures with different numbers of channels are
    compared in grey.

    Arguments:
        outputs, inputs: at least two pictures each, one output for each input.
    """
    outputs, inputs = _alike(_shrunk(outputs, COPY_SIDE), _shrunk(inputs, COPY_SIDE))
    other = (inputs - inputs.roll(1, 0)).abs().mean()
    return (outputs - inputs).abs().mean() / other.clamp_min(EPSILON)


def colour_correlation(outputs: Tensor, originals: Tensor) -> Tensor:
    """Return how much the outputs are bright and coloured where the originals are, -1..1.

    The mean of Pearson's correlation over all values of a thumbnail; -1 for a negative, 0 for a
    picture without any light and shade.

    Arguments:
        outputs, originals: one output for each original (its truth, or its input).
    """
    outputs, originals = _alike(_shrunk(outputs, THUMBNAIL), _shrunk(originals, THUMBNAIL))
    a, b = (
        each.flatten(1) - each.flatten(1).mean(1, keepdim=True) for each in (outputs, originals)
    )
    return F.cosine_similarity(a, b, dim=1, eps=EPSILON).mean()


def colour_shift(outputs: Tensor, references: Tensor) -> Tensor:
    """Return how far the mean colour of the outputs is from that of real pictures, 0..2.

    The root mean square over the channels, so that black in place of white is 2.
    """
    means = [each.float().mean(dim=(0, 2, 3)) for each in (outputs, references)]
    return (means[0] - means[1]).square().mean().sqrt()


def health_signals(
    outputs: Tensor, references: Tensor, inputs: Tensor | None = None, paired: bool = False
) -> dict[str, Tensor]:
    """Return the signals of one generator, by name, as the log has them below validation/health/.

    `diversity` and `copy` compare pictures with each other and are left out for fewer than two that
    are different: a held-out picture that is repeated says nothing.
    `copy_truth`, only for pairs, is `copy` of the truth: pairs may be nearly alike by nature.

    Arguments:
        outputs: what the generator made of held-out pictures.
        references: real pictures of the domain that it aims at; for pairs the truth of each output.
        inputs: what it was made of, picture by picture; None where there is no such thing.
        paired: whether `references` are the truth.
    """
    signals = {"colour_shift": colour_shift(outputs, references)}
    if len(outputs) > 1 and _several(references) and (inputs is None or _several(inputs)):
        signals["diversity"] = diversity(outputs, references)
    if inputs is not None and len(outputs) > 1 and _several(inputs):
        signals["copy"] = copy_distance(outputs, inputs)
        if paired:
            signals["copy_truth"] = copy_distance(references, inputs)
    original = references if paired else inputs
    if original is not None:
        signals["colour"] = colour_correlation(outputs, original)
    return signals


def different(images: Tensor) -> Tensor:
    """Each of the pictures (N, C, H, W) once, in the order of their first places."""
    seen: dict[bytes, int] = {}
    for number, image in enumerate(images.cpu()):
        seen.setdefault(image.float().numpy().tobytes(), number)
    return images if len(seen) == len(images) else images[list(seen.values())]


def _several(images: Tensor) -> bool:
    return len(different(images)) >= LEAST_DIFFERENT


def _shrunk(images: Tensor, side: int) -> Tensor:
    """Pictures of at most `side` x `side`, each pixel the mean of those that it covers."""
    height, width = images.shape[-2:]
    return F.adaptive_avg_pool2d(images.float(), (min(height, side), min(width, side)))


def _alike(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Both as they are if they have the same channels, or else both in grey."""
    return (a, b) if a.shape[1] == b.shape[1] else (a.mean(1, True), b.mean(1, True))


def _spread(images: Tensor) -> Tensor:
    """The mean distance (root mean square) between two of the pictures."""
    thumbnails = _shrunk(images, THUMBNAIL).flatten(1)
    distances: Tensor = torch.pdist(thumbnails)
    return distances.mean() / math.sqrt(thumbnails.shape[1])
