"""Checkpoints: one file that describes itself, written whole or not at all.

A checkpoint is a dictionary of tensors and plain values, saved by `torch.save` and read through the
gate, so that loading never executes code nor takes more memory than the file has bytes. It holds
the complete options of its run, so nothing has to be said again when it is used; but where the data
lies on this machine, only the `options.toml` of the run folder says.
"""

import zipfile
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from i2i import __version__
from i2i.core.plugins import require_plugins
from i2i.errors import CheckpointError
from i2i.runs.bundle import bundle_weights, load_bundle, outline_bundle
from i2i.system import gate
from i2i.system.atomic import FULL, free_bytes, replacing

FORMAT = "i2i checkpoint"
VERSION = 1

_PARTS: dict[str, tuple[type, ...]] = {
    "options": (dict,),
    "data": (str,),
    "best": (float, int, type(None)),
    "step": (int,),
    "model": (dict,),
    "optimizers": (dict,),
    "scalers": (dict,),
    "average": (dict,),
}
"""What a checkpoint has, and of which types."""

_MORE: dict[str, tuple[type, ...]] = {
    "stale": (int,),
    "best_flaws": (list, tuple),
    "decisive": (list, tuple, type(None)),
    "histories": (dict,),
    "ranks": (list, tuple),
    "init": (dict,),
}
"""What it has only if it can be resumed, which imported weights cannot."""


def save_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Write `state` to `path` atomically: after a crash there is the old file or the new one.

    Beside it stand the version of the format, that of i2i, and the time (UTC). In a run folder,
    whose `options.toml` says where the data is, absolute paths are left out of its own options
    (`gate.without_places`): a checkpoint is handed on, and says nothing of this machine.

    Raises:
        CheckpointError: the file cannot be written (the disk is full, say).
    """
    written = datetime.now(UTC).isoformat(timespec="seconds")
    state = {"format": FORMAT, "version": VERSION, "i2i": __version__, "written": written, **state}
    if "options" in state and gate.is_file(_options_file(path)):
        state["options"] = gate.without_places(state["options"])
    try:
        with replacing(path) as partial, partial.open("wb") as file:
            torch.save(state, file)
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
            f"{path} is an exported generator, which translates images and nothing else: "
            f"expected {expected}."
        )


def load_checkpoint(
    path: Path,
    device: torch.device | str = "cpu",
    *,
    require: Callable[[dict[str, Any]], None] = lambda outline: None,
) -> dict[str, Any]:
    """Read what `save_checkpoint` wrote, but for the time, so that equal runs have equal states; or
    a bundle (`i2i.runs.bundle`), as a checkpoint without the state of its training.

    Arguments:
        path: the file; if it lies in a run folder, that tells where the data of its options is.
        device: where the tensors go.
        require: is given the outline, tensors without their numbers, before they are read; raises
            if something is wrong with it.

    Raises:
        CheckpointError: the file is missing, truncated, of another program or of a newer version.
    """
    outline = read_outline(path)
    options = outline.get("options")
    if isinstance(options, Mapping) and isinstance(options.get("plugins"), list | tuple):
        named = [each for each in options["plugins"] if isinstance(each, Mapping)]
        require_plugins(named, path.resolve().parent.parent)
    require(outline)
    if (weights := bundle_weights(path)) is not None:
        state = load_bundle(weights, device)
    else:
        try:
            state = gate.load_tensors(path, device)
        except gate.RefusedError as error:
            raise _refusal(path, error) from error
    state = _with_new_keys(state)
    state.pop("written", None)
    _keep_split(state.get("options"))
    if "options" in state:
        state["options"] = gate.with_places(state["options"], _told(path))
    return state


def read_outline(path: Path) -> dict[str, Any]:
    """Read what a checkpoint holds, with a `gate.TensorOutline` in place of each tensor.

    Raises:
        CheckpointError: as for `load_checkpoint`.
    """
    if (weights := bundle_weights(path)) is not None:
        return {"format": FORMAT, "version": VERSION, **outline_bundle(weights)}
    if not gate.is_file(path):
        raise CheckpointError(f"{path} is no file: expected a checkpoint of i2i.")
    refuse_exported(path, "a run folder or a checkpoint")
    if not zipfile.is_zipfile(path):  # the index of a zip file stands at its end
        raise CheckpointError(
            f"{path} is truncated or no checkpoint at all ({path.stat().st_size} bytes): "
            "take an older one from the same folder."
        )
    try:
        outline = gate.outline(path)
    except gate.RefusedError as error:
        raise _refusal(path, error) from error
    _require_ours(outline, path)
    return _with_new_keys(dict(outline))


def _refusal(path: Path, error: gate.RefusedError) -> CheckpointError:
    return CheckpointError(
        f"{path} cannot be read as a checkpoint of i2i, because it {error}: take an older one "
        "from the same folder."
    )


def _require_ours(outline: Any, path: Path) -> None:
    if not isinstance(outline, dict) or outline.get("format") != FORMAT:
        raise CheckpointError(f"{path} holds weights, but is no checkpoint of i2i.")
    version = outline.get("version")
    if not isinstance(version, int) or isinstance(version, bool):
        raise CheckpointError(
            f"{path} has no checkpoint version (={gate.shortened(version)}): expected a whole "
            "number, so it is damaged; take an older one from the same folder."
        )
    if version > VERSION:
        raise CheckpointError(
            f"{path} has checkpoint version {version}{_by(outline)}, this i2i ({__version__}) "
            f"reads up to {VERSION}: install a newer i2i."
        )


def require_parts(outline: Mapping[str, Any], path: Path) -> None:
    """Raise `CheckpointError` unless all parts of a checkpoint are there, by their types.

    Arguments:
        outline: of the file, or all of it.
        path: the file, for the error.
    """
    for name, types in {**_PARTS, **_MORE}.items():
        if name not in outline and name in _MORE:
            continue
        if name not in outline:
            raise CheckpointError(
                f"{path} has no {name!r}: it is damaged, or written by something else than i2i; "
                "take an older one from the same folder."
            )
        value = outline[name]
        if not isinstance(value, types) or isinstance(value, bool):
            wanted = " or ".join(kind.__name__ for kind in types)
            raise CheckpointError(
                f"{path} has {name} = {gate.shortened(value)}: expected {wanted}, so it is "
                "damaged; take an older one from the same folder."
            )
    if outline["step"] < 0 or not all(isinstance(key, str) for key in outline["model"]):
        raise CheckpointError(f"{path} is damaged: take an older one from the same folder.")


def about(path: Path) -> str:
    """Say by which i2i a checkpoint was written and when, in words; "" where it does not say.

    Raises:
        CheckpointError: as for `load_checkpoint`.
    """
    found = read_outline(path)
    if not (by := _by(found)):
        return ""
    return f"{by.removeprefix(', written ')}, checkpoint version {found['version']}"


def origin(outline: Mapping[str, Any]) -> str:
    """Say which versions a checkpoint is of, and which this i2i is, in words."""
    return (
        f"checkpoint version {outline.get('version')}{_by(outline)}; this is i2i {__version__}, "
        f"which writes version {VERSION}"
    )


def _by(outline: Mapping[str, Any]) -> str:
    """By which i2i, and when; older ones did not say."""
    by, written = outline.get("i2i"), outline.get("written")
    if not isinstance(by, str) or not isinstance(written, str):
        return ""
    return f", written by i2i {by[:20]} on {written[:10]}"


def _options_file(path: Path) -> Path:
    """Where the run of a checkpoint has its options, if it lies in the folder of one."""
    folder = path.absolute().parent
    return folder.with_name("options.toml") if folder.name == "checkpoints" else Path()


def _told(path: Path) -> Any:
    """The options that the run folder around a checkpoint tells, or nothing."""
    file = _options_file(path)
    if not gate.is_file(file):
        return {}
    try:
        return gate.parse_toml(gate.read_text(file, gate.MOST_TOML))
    except gate.RefusedError:  # whatever is wrong with it, the checkpoint is as good as before
        return {}


def _with_new_keys(state: dict[str, Any]) -> dict[str, Any]:
    """A checkpoint with the names that buffers have now; those of version 0.1 had others."""
    weights = state.get("model")
    if isinstance(weights, Mapping):
        state["model"] = {
            f"{key.removesuffix('.pictures')}.images"
            if isinstance(key, str) and key.startswith("pool_") and key.endswith(".pictures")
            else key: value
            for key, value in weights.items()
        }
    return state


def _keep_split(options: Any) -> None:
    """Hold out the same images as before there was a seed for that: it was that of the training."""
    if isinstance(options, dict):
        data, train = options.get("data"), options.get("train")
        if isinstance(data, dict) and isinstance(train, dict):
            data.setdefault("split_seed", train.get("seed", 0))
