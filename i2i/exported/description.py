"""What an exported file says of itself: everything that its user must know, in its metadata."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from i2i.errors import CheckpointError

SUFFIX = ".onnx"
VERSION = 1
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
        calibrated_on: held-out pictures that the ranges of the activations come from.
        judged_on: other held-out pictures, for the following means over them.
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
            f"output in fp32 (calibrated on {self.calibrated_on} held-out pictures, judged on "
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
        input_channels: of the pictures that it takes.
        output_channels: of those that it makes.
        planes: what the planes behind the channels of the input mean, in their order.
        multiple: height and width of the input must be multiples of this.
        norm: what pictures are normalised with: the "picture"'s own statistics or "running" ones.
        quantisation: how it became integers; None in fp32.
        version: of this list.
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

    def to_metadata(self) -> dict[str, str]:
        """Return the entries of the metadata."""
        entries = asdict(self) | {"padding": PADDING}
        return {f"{_PREFIX}{name}": json.dumps(value) for name, value in entries.items()}

    @classmethod
    def from_metadata(cls, metadata: Mapping[str, str], path: Path) -> "Description":
        """Read what `to_metadata` wrote; `path` is the file, for errors.

        Raises:
            CheckpointError: the file is of another program or of a newer version.
        """
        if f"{_PREFIX}version" not in metadata:
            raise CheckpointError(
                f"{path} was not written by i2i, and so does not say what it takes: expected a "
                "file that `i2i export --format onnx` or `--format int8` has written."
            )
        version = json.loads(metadata[f"{_PREFIX}version"])
        if version > VERSION:
            raise CheckpointError(
                f"{path} has version {version}, this i2i reads up to {VERSION}: install a newer "
                "i2i."
            )
        values = {field.name: json.loads(metadata[_PREFIX + field.name]) for field in fields(cls)}
        values["planes"] = tuple(values["planes"])
        if values["quantisation"] is not None:
            values["quantisation"] = Quantisation(**values["quantisation"])
        return cls(**values)


def is_exported(checkpoint: Path | str | None) -> bool:
    """Say whether this names an exported file, by its ending."""
    return checkpoint is not None and Path(checkpoint).suffix.lower() == SUFFIX
