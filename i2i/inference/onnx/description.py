"""What an exported file says of itself: everything that its user must know, in its metadata."""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from i2i import __version__
from i2i.core.latent import DISTRIBUTIONS, Latent
from i2i.errors import CheckpointError
from i2i.system import gate

SUFFIX = ".onnx"
VERSION = 1
SAMPLER = "sampler"
"""What a file that makes images from noise has as "i2i.kind"."""
_PREFIX = "i2i."
PADDING = (
    "reflect at both ends (numpy.pad, mode 'reflect') to the next multiple of i2i.multiple that is "
    "at least 8: half of the padding before, rounded down, the rest behind; crop the result alike"
)
"""How images of other sizes are brought to the input, in words: entry "i2i.padding"."""


@dataclass(frozen=True)
class Quantisation:
    """How the weights became integers, and what that cost.

    Attributes:
        convolutions: which of them compute with integers, in words.
        quantised: how many they are.
        calibrated_on: held-out images that the ranges of the activations come from.
        judged_on: other held-out images, for the following means over them.
        measure: what `fp32` and `int8` are, in words.
        fp32: of the network before, in dB.
        int8: of the network after, in dB.
        to_fp32: PSNR of the outputs after to those before, in dB.
    """

    convolutions: str
    quantised: int
    calibrated_on: int
    judged_on: int
    measure: str
    fp32: float
    int8: float
    to_fp32: float

    @property
    def loss(self) -> float:
        """What it cost, in dB."""
        return self.fp32 - self.int8

    def __str__(self) -> str:
        lost = "nothing"
        if round(self.loss, 3):
            lost = f"{abs(self.loss):.3f} dB"
        way = "gained" if round(self.loss, 3) < 0 else "lost"
        return (
            f"{self.convolutions} ({self.quantised}) in int8: {self.measure} {self.int8:.2f} dB, "
            f"in fp32 {self.fp32:.2f} dB: {lost} {way}; {self.to_fp32:.1f} dB to the "
            f"output in fp32 (calibrated on {self.calibrated_on} held-out images, judged on "
            f"{self.judged_on} others)"
        )


@dataclass(frozen=True)
class Description:
    """What an exported generator is.

    Each field is an entry "i2i.NAME" of the metadata of the file, in JSON.

    Attributes:
        options: of the run, all of them (`Options.to_dict`).
        made_from: the checkpoint.
        direction: "AtoB" or "BtoA".
        input_channels: of the images that it takes.
        output_channels: of those that it makes.
        planes: what the planes behind the channels of the input mean, in their order.
        multiple: height and width of the input must be multiples of this.
        norm: what images are normalised with: "instance", the image's own statistics, or the
            "running" ones.
        quantisation: how it became integers; None in fp32.
        version: of this list.
        i2i: the version of i2i that wrote it; "" of an older one that did not say.
        written: when, by the clock of UTC; likewise.
    """

    options: dict[str, Any]
    made_from: str
    direction: str
    input_channels: int
    output_channels: int
    planes: tuple[str, ...]
    multiple: int
    norm: str
    quantisation: Quantisation | None = None
    version: int = VERSION
    i2i: str = __version__
    written: str = ""

    @property
    def upscale(self) -> int:
        """How many times higher and wider results are, as the options of the generator say."""
        table = self.options.get("generator")
        told = table.get("upscale", 1) if isinstance(table, dict) else 1
        return told if type(told) is int and told > 0 else 1

    def to_metadata(self) -> dict[str, str]:
        """Return the entries of the metadata."""
        entries = asdict(self) | {"padding": PADDING}
        return {f"{_PREFIX}{name}": json.dumps(value) for name, value in entries.items()}

    @classmethod
    def from_metadata(cls, metadata: Mapping[str, str], path: Path) -> "Description":
        """Read what `to_metadata` wrote; `path` is the file, for errors.

        Raises:
            CheckpointError: the file is of another program or of a newer version, or an entry is
                missing or of another type.
        """
        if is_sampler(metadata, path):
            raise CheckpointError(
                f"{path} makes images from noise and translates none: docs/export.md says how "
                "other programs use it, and `i2i sample` makes images with the run."
            )
        version = _version(metadata, path)
        values = _values(metadata, _WANTED, path)
        values["planes"] = tuple(values["planes"])
        if values["quantisation"] is not None:
            values["quantisation"] = Quantisation(**values["quantisation"])
        more: dict[str, Any] = {name: _text(metadata, name, path) for name in ("i2i", "written")}
        return cls(**values, **more, version=version)


@dataclass(frozen=True)
class SamplerDescription:
    """What an exported generator of images from noise is; its entries are as those of
    `Description`.

    Attributes:
        options, made_from, version, i2i, written: as for `Description`.
        latent: what it makes images of.
        classes: that it is told, by their names.
        size: height and width of its images.
    """

    options: dict[str, Any]
    made_from: str
    latent: Latent
    classes: tuple[str, ...]
    size: int
    version: int = VERSION
    i2i: str = __version__
    written: str = ""

    def to_metadata(self) -> dict[str, str]:
        """Return the entries of the metadata."""
        entries = asdict(self) | {"kind": SAMPLER}
        return {f"{_PREFIX}{name}": json.dumps(value) for name, value in entries.items()}

    @classmethod
    def from_metadata(cls, metadata: Mapping[str, str], path: Path) -> "SamplerDescription":
        """Read what `to_metadata` wrote of a file of which `is_sampler` is true.

        Raises:
            CheckpointError: as for `Description`.
        """
        version = _version(metadata, path)
        values = _values(metadata, _WANTED_OF_SAMPLERS, path)
        latent = values["latent"]
        values["latent"] = Latent(**latent | {"categorical": tuple(latent["categorical"])})
        values["classes"] = tuple(values["classes"])
        more: dict[str, Any] = {name: _text(metadata, name, path) for name in ("i2i", "written")}
        return cls(**values, **more, version=version)


def is_sampler(metadata: Mapping[str, str], path: Path) -> bool:
    """Whether a file makes images from noise; else it translates.

    Raises:
        CheckpointError: it is of another program.
    """
    if f"{_PREFIX}version" not in metadata:
        raise CheckpointError(
            f"{path} was not written by i2i, and so does not say what it takes: expected a "
            "file that `i2i export --format onnx` or `--format int8` has written."
        )
    return _text(metadata, "kind", path) == SAMPLER


def _version(metadata: Mapping[str, str], path: Path) -> int:
    version = _entry(metadata, "version", path)
    if not isinstance(version, int) or isinstance(version, bool):
        raise _damaged(path, "version", version, "a whole number")
    if version > VERSION:
        by = _text(metadata, "i2i", path)
        raise CheckpointError(
            f"{path} has version {version}{f' of i2i {by}' * bool(by)}, this i2i "
            f"({__version__}) reads up to {VERSION}: install a newer i2i."
        )
    return version


def _values(
    metadata: Mapping[str, str], entries: Mapping[str, "_Entry"], path: Path
) -> dict[str, Any]:
    """The entries that must be there, each as it must be."""
    values = {name: _entry(metadata, name, path) for name in entries}
    if values.get("norm") == "picture":  # as files of version 0.1 say
        values["norm"] = "instance"
    for name, (fits, wanted) in entries.items():
        if not fits(values[name]):
            raise _damaged(path, name, values[name], wanted)
    return values


def _entry(metadata: Mapping[str, str], name: str, path: Path) -> Any:
    try:
        text = metadata[_PREFIX + name]
    except KeyError:
        raise CheckpointError(
            f"{path} has no {_PREFIX + name!r} in its metadata, so it is damaged: export it again."
        ) from None
    try:
        if len(text) > gate.MOST_JSON:
            raise gate.RefusedError(f"has more than {gate.MOST_JSON:,} letters")
        return gate.parse_json(text)
    except gate.RefusedError as error:
        raise CheckpointError(
            f"{path} is damaged, since {_PREFIX + name!r} in its metadata {error}: export it again."
        ) from error


def _text(metadata: Mapping[str, str], name: str, path: Path) -> str:
    """An entry that older files do not have."""
    if _PREFIX + name not in metadata:
        return ""
    found = _entry(metadata, name, path)
    if not isinstance(found, str):
        raise _damaged(path, name, found, "a text")
    return found


def _damaged(path: Path, name: str, value: object, wanted: str) -> CheckpointError:
    return CheckpointError(
        f"{path} has {_PREFIX}{name} (={gate.shortened(value)}) in its metadata, where {wanted} "
        "was expected, so it is damaged: export it again."
    )


def _whole(least: int, most: int) -> tuple[Callable[[Any], bool], str]:
    def fits(value: Any) -> bool:
        return type(value) is int and least <= value <= most

    return fits, f"a whole number in {least}..{most}"


def _one_of(*known: Any) -> tuple[Callable[[Any], bool], str]:
    return (lambda value: value in known), f"one of {', '.join(map(repr, known))}"


def _is_quantisation(value: Any) -> bool:
    """Whether it has all fields of `Quantisation`, by their types; numbers may be whole."""
    wanted: dict[str, Any] = {field.name: field.type for field in fields(Quantisation)}
    return value is None or (
        isinstance(value, dict)
        and value.keys() == wanted.keys()
        and all(
            isinstance(value[name], int | float if kind is float else kind)
            for name, kind in wanted.items()
        )
    )


def _are_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(each, str) for each in value)


def _is_latent(value: Any) -> bool:
    """Whether it has all fields of `Latent`, and they are possible."""
    if not isinstance(value, dict) or value.keys() != {field.name for field in fields(Latent)}:
        return False
    fits, _ = _whole(0, 65536)
    categorical = value["categorical"]
    return (
        value["distribution"] in DISTRIBUTIONS
        and isinstance(categorical, list)
        and all(fits(each) for each in (value["size"], value["continuous"], *categorical))
    )


_Entry = tuple[Callable[[Any], bool], str]

_WANTED: dict[str, _Entry] = {
    "options": (lambda value: isinstance(value, dict), "a table"),
    "made_from": (lambda value: isinstance(value, str), "a text"),
    "direction": _one_of("AtoB", "BtoA"),
    "input_channels": _whole(1, 65536),
    "output_channels": _whole(1, 65536),
    "planes": (_are_texts, "a list of texts"),
    "multiple": _whole(1, 65536),
    "norm": _one_of("instance", "running"),
    "quantisation": (_is_quantisation, "nothing or a table of how it was done"),
}
"""Each entry that must be there: what it may be, and that in words."""

_WANTED_OF_SAMPLERS: dict[str, _Entry] = {
    "options": _WANTED["options"],
    "made_from": _WANTED["made_from"],
    "latent": (_is_latent, "a table of what images are made of"),
    "classes": (_are_texts, "a list of texts"),
    "size": _whole(1, 65536),
}


def is_exported(checkpoint: Path | str | None) -> bool:
    """Say whether this names an exported file, by its ending."""
    return checkpoint is not None and Path(checkpoint).suffix.lower() == SUFFIX
