"""Recorded vectors in float64, and how near to them a result is; see tests/reference/README.md."""

import json
import os
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from torch import Tensor, nn

REFERENCE = Path(__file__).parent / "reference"
ORIGINALS = Path(os.environ["I2I_REFERENCE"]) if "I2I_REFERENCE" in os.environ else None


def recorded(kind: str) -> list[Path]:
    """The files of a kind: those here, which must exist, and unreduced ones."""
    here = sorted(REFERENCE.glob(f"{kind}*.safetensors"))
    assert here, kind
    return here + (sorted(ORIGINALS.glob(f"{kind}*.safetensors")) if ORIGINALS else [])


class Vectors:
    """The tensors of a file, floating-point ones as float64, and its metadata."""

    def __init__(self, path: Path) -> None:
        with safe_open(path, "pt") as stored:
            self.metadata: dict[str, Any] = {
                key: json.loads(value) for key, value in stored.metadata().items()
            }
            tensors = {key: stored.get_tensor(key) for key in stored.keys()}  # noqa: SIM118
        self.config: dict[str, Any] = self.metadata["config"]
        self.every: int = self.metadata.get("every", 1)
        self.tensors = {
            key: value.double() if value.is_floating_point() else value
            for key, value in tensors.items()
        }

    def __getitem__(self, key: str) -> Tensor:
        return self.tensors[key]

    def under(self, prefix: str) -> dict[str, Tensor]:
        """The tensors whose names begin with `prefix`, a dot behind it, by the rest of the name."""
        start = f"{prefix}."
        found = {k.removeprefix(start): v for k, v in self.tensors.items() if k.startswith(start)}
        assert found, prefix
        return found

    def load(self, network: nn.Module, prefix: str = "state") -> nn.Module:
        """Give a network its weights, in float64; every name must fit."""
        network = network.double()
        network.load_state_dict(self.under(prefix), strict=True)
        return network

    def error(self, key: str, ours: Tensor) -> float:
        """The relative error of our value of a tensor; the larger in two norms."""
        theirs = self.tensors[key]
        ours = ours.detach()
        if ours.shape != theirs.shape:
            assert ours.numel() > 2048, (key, ours.shape, theirs.shape)
            ours = ours.flatten()[:: self.every]
        return relative_error(ours, theirs)


def relative_error(ours: Tensor, theirs: Tensor) -> float:
    """The larger of the errors in the Euclidean and in the maximum norm."""
    assert ours.shape == theirs.shape, (ours.shape, theirs.shape)
    assert ours.dtype == torch.float64
    difference = ours - theirs
    euclidean = difference.norm() / theirs.norm()
    return max(euclidean, difference.abs().max() / theirs.abs().max()).item()
