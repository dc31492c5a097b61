"""Transforms of albumentations that a recipe names, `[[data.transforms]]`.

They come after the crop, in the order of the recipe, in training alone. Each draws from a seed of
its own that follows from (seed, position): the same position gives the same image, whoever asks.
"""

import inspect
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random
from types import MappingProxyType
from typing import Any

import numpy as np

from i2i.config.data import Transform
from i2i.core.label_maps import LabelMaps
from i2i.core.size import AnySize, Size
from i2i.data.images.read import Pixels
from i2i.errors import OptionsError, did_you_mean

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")  # else the import asks the network
import albumentations as A

# Sets these random numbers apart from others that are derived from the same seed.
_STREAM = 6

_BASES = (A.DualTransform, A.ImageOnlyTransform)


@dataclass(frozen=True)
class Step:
    """A transform, the sides that it changes ("A", "B" or "AB"), and whether it moves pixels."""

    transform: Any
    sides: str
    geometric: bool


class UserTransforms:
    """The transforms of a recipe.

    Arguments:
        chosen: the tables of the recipe.
        size: of the images that they get: the side of squares, or (width, height).
        channels: side -> its channels; "A" alone where there are no sides.
        paired: whether the two sides belong together, pixel for pixel.
        labels: the sides that are label maps, which only geometry changes, without mixing pixels.

    Raises:
        OptionsError: a name or an argument is unknown, a value is not one, a transform changes the
            size, or changes one image of a pair where it must change both, or the other way round.
    """

    def __init__(
        self,
        chosen: Sequence[Transform],
        *,
        size: AnySize,
        channels: Mapping[str, int],
        paired: bool,
        labels: Mapping[str, LabelMaps] = MappingProxyType({}),
    ) -> None:
        self.labels = frozenset(labels)
        self.steps = [
            _step(each, f"data.transforms.{number}", size, channels, paired, labels)
            for number, each in enumerate(chosen)
        ]

    def __call__(
        self, seed: int, position: int, images: tuple[Pixels, ...], sides: str
    ) -> tuple[Pixels, ...]:
        """Transform images (H, W, C) uint8 of some sides; what is geometry moves all alike."""
        changed = dict(zip(sides, images, strict=True))
        for number, step in enumerate(self.steps):
            there = [side for side in step.sides if side in changed]
            if not there or (self.labels.issuperset(there) and not step.geometric):
                continue
            generator = np.random.default_rng((seed, _STREAM, position, number))
            # Of Python's and numpy's generators a transform asks either.
            own = int(generator.integers(2**63))
            step.transform.set_random_state(generator, Random(own))
            plain = [side for side in there if side not in self.labels]
            maps = [side for side in there if side in self.labels]
            given = dict(zip(("image", "image2"), (changed[side] for side in plain), strict=False))
            if not plain:  # it wants one
                given["image"] = np.zeros((*changed[maps[0]].shape[:2], 1), np.uint8)
            if maps:
                given["masks"] = np.stack([changed[side] for side in maps])
            made = step.transform(**given)
            for key, side in zip(("image", "image2"), plain, strict=False):
                changed[side] = _with_channels(made[key])
            for side, mask in zip(maps, made["masks"] if maps else (), strict=True):
                changed[side] = _with_channels(mask)
        return tuple(changed[side] for side in sides)


def _step(
    chosen: Transform,
    where: str,
    size: AnySize,
    channels: Mapping[str, int],
    paired: bool,
    labels: Mapping[str, LabelMaps],
) -> Step:
    kind: Any = getattr(A, chosen.name, None)
    if not _fits(kind):
        names = [name for name in dir(A) if _fits(getattr(A, name))]
        raise OptionsError(
            f"{where}.name (={chosen.name!r}) is no transform of albumentations for images."
            f"{did_you_mean(chosen.name, names)}"
        )
    known = list(inspect.signature(kind).parameters)
    arguments = chosen.arguments
    for name in arguments:
        if name not in known:
            raise OptionsError(
                f"{where}.{name} is no argument of {chosen.name}.{did_you_mean(name, known)} "
                f"Known: {', '.join(known)}."
            )
    if labels and "fill_mask" in known:  # what comes in from beyond the border is of no class
        arguments = {"fill_mask": max(each.classes for each in labels.values()), **arguments}
    try:
        transform = kind(**arguments, p=chosen.p)
    except Exception as error:
        raise OptionsError(f"{where} ({chosen.name}): {_in_a_line(error)}.") from error
    geometric = isinstance(transform, A.DualTransform)
    sides = "AB" if chosen.on == "both" else chosen.on
    if chosen.on == "B" and "B" not in channels:
        raise OptionsError(f"{where}.on (='B'): these images have no sides, so leave it out.")
    if paired and geometric and sides != "AB":
        raise OptionsError(
            f"{where}.on (={chosen.on!r}): {chosen.name} moves pixels, and both images of a pair "
            "must move alike: on = 'both'."
        )
    if paired and not geometric and sides == "AB":
        raise OptionsError(
            f"{where}.on (='both'): {chosen.name} changes colours, which mean something in label "
            "maps: say on = 'A' or on = 'B', the side of a pair whose colours may change."
        )
    if not geometric and sides in labels:
        raise OptionsError(
            f"{where}.on (={sides!r}): {chosen.name} changes colours, and side {sides} has label "
            "maps, which have none: name the other side."
        )
    transform.add_targets({"image2": "image"})
    for count in {channels[side] for side in sides if side in channels and side not in labels}:
        _try(transform, chosen, where, (*Size.of(size).shape, count))
    return Step(transform, sides, geometric)


def _fits(kind: object) -> bool:
    return (
        isinstance(kind, type)
        and issubclass(kind, _BASES)
        and kind not in _BASES
        and not inspect.isabstract(kind)
    )


def _try(transform: Any, chosen: Transform, where: str, shape: tuple[int, int, int]) -> None:
    """Refuse what would fail, or change the form of images, in the middle of a training."""
    image = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    probability, transform.p = transform.p, 1.0
    transform.set_random_state(np.random.default_rng(0), Random(0))
    try:
        made = _with_channels(transform(image=image)["image"])
    except Exception as error:
        raise OptionsError(
            f"{where} ({chosen.name}) fails on an image of the shape {shape}: {_in_a_line(error)}."
        ) from error
    finally:
        transform.p = probability
    if made.shape != image.shape or made.dtype != np.uint8:
        raise OptionsError(
            f"{where} ({chosen.name}) makes {made.dtype} of the shape {made.shape} of an image of "
            f"the shape {shape}: take one that keeps the size."
        )


def _with_channels(pixels: Any) -> Pixels:
    """(H, W, C), also of grey images, whose channel some transforms drop."""
    return np.ascontiguousarray(pixels if pixels.ndim == 3 else pixels[:, :, None])


def _in_a_line(error: Exception) -> str:
    said: Any = getattr(error, "errors", None)
    if callable(said):  # one of pydantic, which says one thing a line
        return "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}".rstrip(".") for e in said())
    return " ".join(str(error).split()).rstrip(".")
