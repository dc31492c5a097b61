"""A bundle: weights to hand on, in a folder that any program can read and that can run nothing.

::

    NAME/
        config.json        the options that rebuild the networks, and how images go in and come out
        model.safetensors  the weights, as they are used
        README.md          the model card

It is read as a checkpoint without the state of its training: whatever takes a checkpoint takes it.
"""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from i2i import __version__
from i2i.errors import CheckpointError
from i2i.system import gate
from i2i.system.atomic import write_bytes, write_text

FORMAT = "i2i bundle"
VERSION = 1

CONFIG = "config.json"
WEIGHTS = "model.safetensors"
CARD = "README.md"

_MOST = 2**20
"""Bytes of config.json, as of a recipe."""

_NOTHING: dict[str, Any] = {
    "data": "",
    "best": None,
    "optimizers": {},
    "scalers": {},
    "average": {},
}
"""What a checkpoint has besides, for training."""


def bundle_weights(path: Path) -> Path | None:
    """The file of weights of a bundle, if this is one: its folder, or that file itself."""
    weights = path if path.name == WEIGHTS else path / WEIGHTS
    there = gate.is_file(weights) and gate.is_file(weights.with_name(CONFIG))
    return weights if there else None


def write_bundle(
    folder: Path,
    options: Mapping[str, Any],
    weights: Mapping[str, Tensor],
    *,
    step: int,
    about: Mapping[str, Any],
) -> None:
    """Write the weights and the configuration of a bundle.

    Arguments:
        folder: where; it must be there.
        options: complete, as plain values; what they say of this machine is left out.
        weights: "network.name" -> tensor.
        step: how many steps the weights were trained for.
        about: what else config.json tells, for people and other programs.

    Raises:
        OSError: the files cannot be written.
    """
    from safetensors.torch import save

    own = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in weights.items()}
    config = {
        "format": FORMAT,
        "version": VERSION,
        "library_name": "i2i",
        "i2i": __version__,
        "written": datetime.now(UTC).isoformat(timespec="seconds"),
        "model_type": options["model"],
        "step": step,
        **about,
        "options": gate.without_places(options),
    }
    write_bytes(folder / WEIGHTS, save(own, metadata={"format": "pt"}))
    write_text(folder / CONFIG, json.dumps(config, indent=2, ensure_ascii=False) + "\n")


def outline_bundle(weights: Path) -> dict[str, Any]:
    """What a checkpoint of this bundle holds, with an outline in place of each tensor.

    Raises:
        CheckpointError: a file of it is missing, damaged, or of a newer version.
    """
    return _read(weights, gate.outline_safetensors)


def load_bundle(weights: Path, device: torch.device | str = "cpu") -> dict[str, Any]:
    """A bundle as a checkpoint; weights stored in 16 bits are given in 32.

    Raises:
        CheckpointError: as for `outline_bundle`.
    """

    def load(path: Path) -> dict[str, Tensor]:
        found = gate.load_safetensors(path, device)
        return {
            name: tensor.float() if tensor.is_floating_point() else tensor
            for name, tensor in found.items()
        }

    return _read(weights, load)


def _read(weights: Path, read: Any) -> dict[str, Any]:
    config = weights.with_name(CONFIG)
    path = config
    try:
        told = gate.parse_json(gate.read_text(config, _MOST))
        path = weights
        model = read(weights)
    except gate.RefusedError as error:
        raise CheckpointError(f"{path} {error}: export or download the folder again.") from error
    if not isinstance(told, dict) or told.get("format") != FORMAT:
        raise CheckpointError(f"{config} is not of a folder that i2i exported.")
    version = told.get("version")
    if not isinstance(version, int) or version > VERSION:
        raise CheckpointError(
            f"{config} has the version {gate.shortened(version)}, this i2i ({__version__}) reads "
            f"up to {VERSION}: install a newer i2i."
        )
    for key, kind in (("options", dict), ("step", int), ("i2i", str)):
        if not isinstance(told.get(key), kind):
            raise CheckpointError(
                f"{config} has {key} = {gate.shortened(told.get(key))}: it is damaged; export or "
                "download the folder again."
            )
    kept = {key: told[key] for key in ("options", "step", "i2i")}
    return {**_NOTHING, **kept, "written": str(told.get("written", "")), "model": model}
