"""Checkpoints: one file that describes itself, written whole or not at all.

A checkpoint is a dictionary of tensors and plain values, saved by `torch.save` and loaded with
`weights_only`, so that loading never executes code. It holds the complete options of its run, so
nothing has to be said again when it is used.
"""

import zipfile
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from i2i.atomic import FULL, free_bytes, replacing
from i2i.errors import CheckpointError

FORMAT = "i2i checkpoint"
VERSION = 1


def save_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Write `state` to `path` atomically: after a crash there is the old file or the new one.

    Raises:
        CheckpointError: the file cannot be written (the disk is full, say).
    """
    try:
        with replacing(path) as partial, partial.open("wb") as file:
            torch.save({"format": FORMAT, "version": VERSION, **state}, file)
    except (OSError, RuntimeError) as error:  # torch.save reports a full disk as RuntimeError
        raise _unwritten(path, bytes_of(state), error) from error


def bytes_of(state: Any) -> int:
    """How much the tensors in nested containers hold; about the size of the file."""
    if isinstance(state, Tensor):
        return state.nbytes
    values = state.values() if isinstance(state, dict) else state
    return sum(map(bytes_of, values)) if isinstance(state, dict | list | tuple) else 0


def _unwritten(path: Path, needed: int, error: OSError | RuntimeError) -> CheckpointError:
    free = free_bytes(path.parent)
    full = getattr(error, "errno", None) in FULL
    if full or (not isinstance(error, OSError) and free is not None and free < needed):
        why = getattr(error, "strerror", None) or "No space left on device"
        left = "" if free is None else f", and {free / 2**20:.1f} are free there"
        return CheckpointError(
            f"{path} could not be written ({why}): it takes {needed / 2**20:.1f} MiB{left}. Remove "
            "old runs, or name a folder with more room by --runs-dir or --rescue-dir."
        )
    why = (getattr(error, "strerror", None) or str(error)).splitlines()[0]
    return CheckpointError(f"{path} could not be written: {why}.")


def refuse_exported(path: Path, expected: str) -> None:
    """Raise `CheckpointError` if this is a file that `i2i export` has written, by its ending."""
    if path.suffix.lower() == ".onnx" and path.is_file():
        raise CheckpointError(
            f"{path} is an exported generator, which translates pictures and nothing else: "
            f"expected {expected}."
        )


def load_checkpoint(path: Path, device: torch.device | str = "cpu") -> dict[str, Any]:
    """Read what `save_checkpoint` wrote.

    Raises:
        CheckpointError: the file is missing, truncated, of another program or of a newer version.
    """
    if not path.is_file():
        raise CheckpointError(f"{path} is no file: expected a checkpoint of i2i.")
    refuse_exported(path, "a run folder or a checkpoint")
    if not zipfile.is_zipfile(path):  # the index of a zip file stands at its end
        raise CheckpointError(
            f"{path} is truncated or no checkpoint at all ({path.stat().st_size} bytes): "
            "take an older one from the same folder."
        )
    try:
        state = torch.load(path, map_location=device, weights_only=True)
    except Exception as error:
        why = (str(error) or type(error).__name__).splitlines()[0]
        raise CheckpointError(f"{path} cannot be read as a checkpoint of i2i: {why}") from error
    if not isinstance(state, dict) or state.get("format") != FORMAT:
        raise CheckpointError(f"{path} holds weights, but is no checkpoint of i2i.")
    if state["version"] > VERSION:
        raise CheckpointError(
            f"{path} has checkpoint version {state['version']}, this i2i reads up to {VERSION}: "
            "install a newer i2i."
        )
    return state
