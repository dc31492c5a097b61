"""Is a batch what a model learns from? Answered before a step, without waiting for a device."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from i2i.core.batch import Labelled, Pair, Referenced, Unpaired, to_signed
from i2i.core.inputs import Inputs
from i2i.core.model import Model
from i2i.core.registry import DATA_KINDS
from i2i.core.sides import Held, Sides
from i2i.data.kinds import find_kind
from i2i.errors import DataError

_log = logging.getLogger(__name__)

TOLERANCE = 0.01
"""How far beyond -1..1 a value may be: resampling overshoots a little, other ranges by far."""


@dataclass
class BatchCheck:
    """Refuses batches that a model cannot learn from, and says what it wants.

    Floating point numbers become those of the weights. Values are looked at where that waits for
    nothing: on the CPU in every batch, on another device in the first one. Bytes are always right.
    Floats of 0..1 pass, since bright images in -1..1 look the same, but it is said once if nothing
    in the first batch is darker than the middle.

    Arguments:
        kind: the named tuple that a batch is.
        channels: its fields that hold images -> their channels.
        columns: its fields that hold labels -> their columns, or None for any number.
        maps: its fields that hold label maps or several inputs -> what is in them.
        model: who learns, by name, for messages.
        ratio: of pairs, how many times wider and higher the target is.
    """

    kind: Any
    channels: Mapping[str, int]
    columns: Mapping[str, int | None] = field(default_factory=dict)
    maps: Mapping[str, Held] = field(default_factory=dict)
    model: str = "this model"
    ratio: int = 1
    _seen: bool = field(default=False, init=False)

    @property
    def wanted(self) -> str:
        """What a batch must be, in words."""
        parts = [
            f"{name} (N, {count}, H, W){self._or_maps(name)}"
            for name, count in self.channels.items()
        ]
        parts += [
            f"{name} (N, {'L' if count is None else count})" for name, count in self.columns.items()
        ]
        return (
            f"{self.model} learns from i2i.{self.kind.__name__}({', '.join(self.kind._fields)}): "
            f"{', '.join(parts)}, images as torch.uint8 in 0..255 or floating point in -1..1"
        )

    def _or_maps(self, name: str) -> str:
        if name not in self.maps:
            return ""
        held = self.maps[name]
        if isinstance(held, Inputs):
            return f" planes of {', '.join(held.names)} or (N, {held.channels}, H, W) torch.uint8"
        return f" planes of 0 and 1 or (N, {held.channels}, H, W) torch.uint8 labels"

    def __call__(self, batch: Any, dtype: torch.dtype = torch.float32) -> Any:
        """Return the batch, its floating point numbers as `dtype`.

        Raises:
            DataError: it is something else; the message says what was found and what is wanted.
        """
        if not isinstance(batch, self.kind):
            raise DataError(f"The batch is {_described(batch)}: {self.wanted}.")
        parts: dict[str, Any] = batch._asdict()
        for name, part in parts.items():
            if not isinstance(part, Tensor):
                raise DataError(f"{name} of the batch is {_described(part)}: {self.wanted}.")
        ranges: list[tuple[float, float]] = []
        for name, channels in self.channels.items():
            parts[name] = self._images(name, parts[name], channels, dtype, ranges)
        if not self._seen and ranges and 0 <= min(ranges)[0] < max(high for _, high in ranges):
            _log.warning(
                "note: no value of the first batch is below 0, as if images were in 0..1: %s "
                "(2 * x - 1 maps 0..1 to it).",
                self.wanted,
            )
        for name, columns in self.columns.items():
            part = parts[name]
            if part.ndim != 2 or (columns is not None and part.shape[1] != columns):
                raise DataError(
                    f"{name} of the batch has the shape {tuple(part.shape)}: {self.wanted}; labels "
                    "are 0 or 1, a column for each name."
                )
            parts[name] = part.to(dtype)
        sizes = {name: len(part) for name, part in parts.items()}
        if len(set(sizes.values())) > 1 or 0 in sizes.values():
            found = ", ".join(f"{count} of {name}" for name, count in sizes.items())
            raise DataError(f"The batch holds {found}: expected as many of each, at least one.")
        if self.kind is Pair:
            self._require_fitting(parts["source"].shape, parts["target"].shape)
        self._seen = True
        return self.kind(**parts)

    def _require_fitting(self, source: torch.Size, target: torch.Size) -> None:
        if tuple(self.ratio * side for side in source[2:]) == tuple(target[2:]):
            return
        times = "" if self.ratio == 1 else f"; the target {self.ratio} times as high and wide"
        raise DataError(
            f"source and target of the batch have the shapes {tuple(source)} and {tuple(target)}: "
            f"expected the same height and width{times}."
        )

    def _images(
        self,
        name: str,
        images: Tensor,
        channels: int,
        dtype: torch.dtype,
        ranges: list[tuple[float, float]],
    ) -> Tensor:
        """The images as `dtype`; to `ranges` the least and the greatest value are added, if they
        are floating point numbers that have been looked at."""
        if name in self.maps and images.dtype == torch.uint8:
            channels = self.maps[name].channels
        if not to_signed(images[:0]).is_floating_point():
            raise DataError(f"{name} of the batch is {images.dtype}: {self.wanted}.")
        if images.ndim != 4 or images.shape[1] != channels:
            hint = ""
            if images.ndim == 4 and images.shape[3] == channels:
                hint = " (the channels are last: images.permute(0, 3, 1, 2) puts them first)"
            raise DataError(
                f"{name} of the batch has the shape {tuple(images.shape)}{hint}: {self.wanted}."
            )
        if not images.is_floating_point():
            return images
        if images.numel() and (images.device.type == "cpu" or not self._seen):
            least, most = (value.item() for value in images.detach().aminmax())
            if not (least >= -1 - TOLERANCE and most <= 1 + TOLERANCE):  # also if one is NaN
                raise DataError(
                    f"{name} of the batch is {images.dtype} with values from {least:.4g} to "
                    f"{most:.4g}: {self.wanted} (x / 127.5 - 1 maps 0..255 to it, 2 * x - 1 maps "
                    "0..1)."
                )
            if name not in self.maps:
                ranges.append((least, most))
        return images.to(dtype)


def check_for(
    model: Model,
    *,
    input_channels: int,
    output_channels: int,
    labels: int,
    sets: int,
    sides: Sides = Sides(),  # noqa: B008 (nobody can change it)
) -> BatchCheck | None:
    """The check of a model's batches; None for a kind of data that is not known here.

    Arguments:
        model: who learns.
        input_channels, output_channels: of the images on both sides.
        labels: how many names labels have.
        sets: how many data sets there are.
        sides: what the fields of a batch hold.
    """
    maps = {name: held for name in sides.fields if (held := sides.of(name)) is not None}
    name = type(model).__name__
    if model.data not in DATA_KINDS:
        return None
    kind = find_kind(model.data)
    if kind.batch is Pair:
        both = {"source": input_channels, "target": output_channels}
        ratio = int(getattr(model.get_submodule(model.generators[0]), "upscale", 1))
        return BatchCheck(Pair, both, maps=maps, model=name, ratio=ratio)
    if kind.batch is Unpaired:
        both = {"a": input_channels, "b": output_channels}
        return BatchCheck(Unpaired, both, maps=maps, model=name)
    if kind.batch is not Labelled:
        return None
    if model.references:
        images = ("images", "references", "others")
        return BatchCheck(
            Referenced,
            dict.fromkeys(images, input_channels),
            {"labels": labels, "mask": sets, "targets": labels},
            model=name,
        )
    if kind.translates:
        return BatchCheck(
            Labelled, {"images": input_channels}, {"labels": labels, "mask": sets}, model=name
        )
    # Who is told nothing does not look at the labels.
    generator = model.get_submodule(model.generators[0])
    told = labels if getattr(generator, "classes", 0) else None
    return BatchCheck(
        Labelled, {"images": output_channels}, {"labels": told, "mask": None}, model=name
    )


def _described(thing: Any) -> str:
    """What something is, in words: its type, and what it holds."""
    if isinstance(thing, Tensor):
        return f"one tensor of the shape {tuple(thing.shape)}"
    name = type(thing).__name__
    if isinstance(thing, list | tuple):
        inside = ", ".join(
            str(tuple(each.shape)) if isinstance(each, Tensor) else type(each).__name__
            for each in thing[:4]
        )
        return f"a {name} of {len(thing)} ({inside}{', ...' if len(thing) > 4 else ''})"
    if isinstance(thing, Mapping):
        return f"a {name} with the keys {', '.join(map(str, list(thing)[:6]))}"
    return f"of type {name}"
