"""Weights in the format of safetensors: a table of names, types and shapes, then the numbers.

There is nothing in such a file that could run. What it says of itself is read within the bounds of
`values` all the same, before any memory is taken.
"""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from i2i.system.gate.tensors import MOST_DIMENSIONS, MOST_PICKLE, TensorOutline
from i2i.system.gate.text import parse_json
from i2i.system.gate.values import RefusedError, shortened

_TYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "I64": torch.int64,
    "I32": torch.int32,
    "U8": torch.uint8,
    "BOOL": torch.bool,
}


def outline_safetensors(path: Path) -> dict[str, TensorOutline]:
    """Read the names, shapes and types of the tensors in a file, without their numbers.

    Raises:
        RefusedError: it is no such file, is damaged, or says that it holds more than it does.
    """
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            if size < 8 or not 2 <= length <= min(MOST_PICKLE, size - 8):
                raise RefusedError("is truncated, or no file of safetensors")
            header = file.read(length)
    except OSError as error:
        raise RefusedError(f"cannot be read: {error.strerror or error}") from error
    try:
        table = parse_json(header.decode())
    except UnicodeDecodeError as error:
        raise RefusedError(f"describes its tensors in no text: {error}") from None
    if not isinstance(table, dict):
        raise RefusedError("does not describe its tensors")
    table.pop("__metadata__", None)
    rows = {name: _row(name, row) for name, row in table.items()}
    end = 0
    for name, (begin, finish, outline) in sorted(rows.items(), key=lambda item: item[1][:2]):
        if begin != end or finish - begin != outline.nbytes:
            raise RefusedError(f"is damaged: {shortened(name)} has fewer or more numbers than said")
        end = finish
    if end != size - 8 - length:
        raise RefusedError(f"is truncated or damaged: {size:,} bytes, {8 + length + end:,} are due")
    return {name: outline for name, (_, _, outline) in rows.items()}


def load_safetensors(path: Path, device: torch.device | str = "cpu") -> dict[str, Tensor]:
    """Read the tensors of a file, once its outline was let through.

    Raises:
        RefusedError: as for `outline_safetensors`.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    outline_safetensors(path)
    try:
        found: dict[str, Tensor] = load_file(path, device=str(device))
    except (SafetensorError, OSError, ValueError) as error:
        raise RefusedError(f"cannot be read: {str(error).splitlines()[0]}") from error
    return found


def _row(name: str, row: Any) -> tuple[int, int, TensorOutline]:
    """Where the numbers of a tensor begin and end, and its outline."""
    told = row if isinstance(row, Mapping) else {}
    kind = told.get("dtype")
    dtype = _TYPES.get(kind) if isinstance(kind, str) else None
    shape, place = _counts(told.get("shape")), _counts(told.get("data_offsets"))
    if dtype is None or shape is None or len(shape) > MOST_DIMENSIONS:
        raise RefusedError(f"has a tensor {shortened(name)} of no known kind")
    if place is None or len(place) != 2 or math.prod(shape) >= 2**63:
        raise RefusedError(f"has a tensor {shortened(name)} in an impossible place")
    return place[0], place[1], TensorOutline(tuple(shape), dtype)


def _counts(value: Any) -> list[int] | None:
    """A list of counts; None if it is something else."""
    fits = isinstance(value, list) and all(
        isinstance(each, int) and not isinstance(each, bool) and 0 <= each < 2**63 for each in value
    )
    return value if fits else None
