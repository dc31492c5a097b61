"""Checkpoints: one file that describes itself, written whole or not at all.

A checkpoint is a dictionary of tensors and plain values, saved by `torch.save` and loaded with
`weights_only`, so that loading never executes code. It holds the complete options of its run, so
nothing has to be said again when it is used.
"""

import os
import zipfile
from pathlib import Path
from typing import Any

import torch

from i2i.errors import CheckpointError

FORMAT = "i2i checkpoint"
VERSION = 1


def save_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Write `state` to `path` atomically: after a crash there is the old file or the new one.

    Raises:
        CheckpointError: the file cannot be written (the disk is full, say).
    """
    partial = path.with_name(f".{path.name}.partial")
    try:
        with partial.open("wb") as file:
            torch.save({"format": FORMAT, "version": VERSION, **state}, file)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
        _sync_folder(path.parent)
    except (OSError, RuntimeError) as error:  # torch.save reports a full disk as RuntimeError
        partial.unlink(missing_ok=True)
        raise CheckpointError(f"{path} could not be written: {error}.") from error


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
    _keep_split(state.get("options"))
    return state


def _keep_split(options: Any) -> None:
    """Hold out the same images as before there was a seed for that: it was that of the training."""
    if isinstance(options, dict):
        data, train = options.get("data"), options.get("train")
        if isinstance(data, dict) and isinstance(train, dict):
            data.setdefault("split_seed", train.get("seed", 0))


def _sync_folder(folder: Path) -> None:
    """Make the renaming itself survive a power cut; only POSIX can open a folder for that."""
    if os.name == "posix":
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
