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
from i2i.core.scale import signed
from i2i.core.size import AnySize, Size
from i2i.data.images.read import Pixels
from i2i.errors import OptionsError, did_you_mean

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")  # else the import asks the network
import albumentations as A

# Sets these random numbers apart from others that are derived from the same seed.
_STREAM = 6

_KEYS = ("image", *(f"image{number}" for number in range(2, 9)))
"""What transforms call images that move alike."""

_BYTES = np.dtype(np.uint8)

_BASES = (A.DualTransform, A.ImageOnlyTransform)


@dataclass(frozen=True)
class Step:
    """A transform, what it changes (sides, or inputs of one), and whether it moves pixels."""

    transform: Any
    sides: tuple[str, ...]
    geometric: bool


class UserTransforms:
    """The transforms of a recipe.

    Arguments:
        chosen: the tables of the recipe.
        size: of the images that they get: the side of squares, or (width, height).
        channels: side, or input of one ("A.parts.depth"), -> its channels; "A" alone where there
            are no sides.
        paired: whether the two sides belong together, pixel for pixel.
        labels: those that are label maps, which only geometry changes, without mixing pixels.
        types: of the values of those that are not uint8, as they travel (`i2i.core.scale`).
            Transforms see them as floating point in 0..1.
        ratios: of those that are larger than the others, how many times; nothing can move them
            alike.

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
        types: Mapping[str, np.dtype[Any]] = MappingProxyType({}),
        ratios: Mapping[str, int] = MappingProxyType({}),
    ) -> None:
        self.labels = frozenset(labels)
        self.steps = [
            _step(each, f"data.transforms.{number}", size, channels, paired, labels, types)
            for number, each in enumerate(chosen)
        ]
        for number, step in enumerate(self.steps):
            if ratios and step.geometric:
                raise OptionsError(
                    f"data.transforms.{number} ({chosen[number].name}) moves pixels, which it "
                    "cannot do alike in images of two sizes (generator.upscale): leave it out, "
                    "or take those of [data.augment]."
                )

    def __call__(
        self, seed: int, position: int, images: tuple[Pixels, ...], sides: Sequence[str]
    ) -> tuple[Pixels, ...]:
        """Transform images (H, W, C) of some sides; what is geometry moves all alike."""
        changed = dict(zip(sides, images, strict=True))
        for number, step in enumerate(self.steps):
            there = [side for side in step.sides if side in changed]
            plain = [side for side in there if side not in self.labels]
            maps = [side for side in there if side in self.labels]
            if not (there if step.geometric else plain):
                continue
            drawn = (seed, _STREAM, position, number)
            if not step.geometric:
                for side in plain:
                    _seed(step.transform, drawn)
                    made = step.transform(image=_to_unit(changed[side]))["image"]
                    changed[side] = _from_unit(_with_channels(made), changed[side].dtype)
                continue
            _seed(step.transform, drawn)
            given = {key: _to_unit(changed[side]) for key, side in zip(_KEYS, plain, strict=False)}
            if not plain:  # it wants one
                given["image"] = np.zeros((*changed[maps[0]].shape[:2], 1), np.uint8)
            if maps:
                planes = np.concatenate([changed[side] for side in maps], axis=2)
                given["masks"] = np.ascontiguousarray(planes.transpose(2, 0, 1))[..., None]
            moved = step.transform(**given)
            for key, side in zip(_KEYS, plain, strict=False):
                changed[side] = _from_unit(_with_channels(moved[key]), changed[side].dtype)
            single = iter(moved["masks"] if maps else ())
            for side in maps:
                own = [_with_channels(next(single)) for _ in range(changed[side].shape[2])]
                changed[side] = np.concatenate(own, axis=2)
        return tuple(changed[side] for side in sides)


def _seed(transform: Any, drawn: tuple[int, ...]) -> None:
    """Let all that a transform draws follow from some numbers."""
    generator = np.random.default_rng(drawn)
    # Of Python's and numpy's generators a transform asks either.
    own = int(generator.integers(2**63))
    transform.set_random_state(generator, Random(own))


def _to_unit(values: Pixels) -> Pixels:
    """Values that travel as transforms take them: uint8, or floating point in 0..1."""
    if values.dtype == np.uint8:
        return values
    unit: Any = (signed(values) + 1) / 2
    return unit  # type: ignore[no-any-return]


def _from_unit(values: Pixels, dtype: np.dtype[Any]) -> Pixels:
    """What a transform has made of `_to_unit` of values of a type."""
    if dtype == np.uint8:
        return values
    unit = values.clip(0, 1)
    back: Any = 2 * unit - 1 if dtype == np.float32 else np.rint(unit * np.iinfo(dtype).max)
    return back.astype(dtype)  # type: ignore[no-any-return]


def _step(
    chosen: Transform,
    where: str,
    size: AnySize,
    channels: Mapping[str, int],
    paired: bool,
    labels: Mapping[str, LabelMaps],
    types: Mapping[str, np.dtype[Any]],
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
    sides = tuple(side for side in channels if chosen.on == "both" or _is_on(side, chosen.on))
    if not sides and list(channels) == ["A"]:
        raise OptionsError(
            f"{where}.on (={chosen.on!r}): these images have no sides, so leave it out."
        )
    if not sides:
        words = ["both", "A", "B", *(side.rpartition(".")[2] for side in channels if "." in side)]
        raise OptionsError(
            f"{where}.on (={chosen.on!r}) must be one of {', '.join(dict.fromkeys(words))}."
            f"{did_you_mean(chosen.on, words)}"
        )
    if paired and geometric and len(sides) < len(channels):
        raise OptionsError(
            f"{where}.on (={chosen.on!r}): {chosen.name} moves pixels, and both images of a pair "
            "must move alike: on = 'both'."
        )
    if paired and not geometric and chosen.on == "both":
        raise OptionsError(
            f"{where}.on (='both'): {chosen.name} changes colours, which mean something in label "
            "maps: say on = 'A' or on = 'B', the side of a pair whose colours may change."
        )
    if not geometric and set(sides) <= set(labels):
        raise OptionsError(
            f"{where}.on (={chosen.on!r}): {chosen.name} changes colours, and side "
            f"{', '.join(sides)} has label maps, which have none: name another."
        )
    transform.add_targets(dict.fromkeys(_KEYS[1:], "image"))
    seen = {(channels[side], types.get(side, _BYTES)) for side in sides if side not in labels}
    for count, kind_of in sorted(seen, key=str):
        _try(transform, chosen, where, (*Size.of(size).shape, count), kind_of)
    return Step(transform, sides, geometric)


def _is_on(side: str, word: str) -> bool:
    """Whether a word of a recipe means a side, an input of it, or all of its inputs."""
    return side == word or side.startswith(f"{word}.parts.") or side.endswith(f".parts.{word}")


def _fits(kind: object) -> bool:
    return (
        isinstance(kind, type)
        and issubclass(kind, _BASES)
        and kind not in _BASES
        and not inspect.isabstract(kind)
    )


def _try(
    transform: Any,
    chosen: Transform,
    where: str,
    shape: tuple[int, int, int],
    dtype: np.dtype[Any],
) -> None:
    """Refuse what would fail, or change the form of images, in the middle of a training."""
    noise = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    image = noise if dtype == np.uint8 else (noise / 255).astype(np.float32)
    probability, transform.p = transform.p, 1.0
    transform.set_random_state(np.random.default_rng(0), Random(0))
    try:
        made = _with_channels(transform(image=image)["image"])
    except Exception as error:
        raise OptionsError(
            f"{where} ({chosen.name}) fails on an image of the shape {shape} and the type "
            f"{image.dtype}: {_in_a_line(error)}."
        ) from error
    finally:
        transform.p = probability
    if made.shape != image.shape or made.dtype != image.dtype:
        raise OptionsError(
            f"{where} ({chosen.name}) makes {made.dtype} of the shape {made.shape} of an image of "
            f"the shape {shape} and the type {image.dtype}: take one that keeps the size and the "
            "type."
        )


def _with_channels(pixels: Any) -> Pixels:
    """(H, W, C), also of grey images, whose channel some transforms drop."""
    return np.ascontiguousarray(pixels if pixels.ndim == 3 else pixels[:, :, None])


def _in_a_line(error: Exception) -> str:
    said: Any = getattr(error, "errors", None)
    if callable(said):  # one of pydantic, which says one thing a line
        return "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}".rstrip(".") for e in said())
    return " ".join(str(error).split()).rstrip(".")
