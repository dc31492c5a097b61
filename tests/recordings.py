"""Recorded vectors in float64, and how near to them a result is; see tests/reference/README.md."""

import json
import os
import re
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


def trajectories(*models: str) -> list[Path]:
    """The recorded trainings of these models, here and unreduced ones."""
    folders = [REFERENCE, *([ORIGINALS] if ORIGINALS else [])]
    paths = [folder / f"trajectory_{model}.safetensors" for folder in folders for model in models]
    return [path for path in paths if path.exists()]


def spade_norm(name: str) -> dict[str, Any]:
    """Our arguments for one of the authors' names, such as "spectralspadesyncbatch3x3"."""
    found = re.fullmatch(r"(spectral)?spade(?:sync)?(batch|instance)(\d)x\d", name)
    assert found, name
    return {
        "spectral": found[1] is not None,
        "norm": found[2],
        "kernel": int(found[3]),
    }


def plain_norm(name: str) -> str:
    """Our name of SPADE's discriminator's or encoder's norm, such as "spectralinstance"."""
    return name.removeprefix("spectral").removeprefix("sync_").removeprefix("sync") or "none"


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


class Recording(Vectors):
    """A recorded training: initial weights, batches, losses of each step, final weights."""

    def start(self, name: str, network: nn.Module) -> nn.Module:
        """Give a network its initial weights, in float64."""
        return self.load(network.train(), f"initial.{name}")

    def batch(self, name: str, step: int) -> Tensor:
        """Part of a batch: images, which are stored as bytes, in -1..1; anything else as it is."""
        value = self[f"batches.{name}"][step]
        return value.double() / 127.5 - 1 if name in ("A", "B", "image") else value

    def check(self, losses: list[list[Tensor]], **networks: nn.Module) -> None:
        """Compare the losses of all steps and the final weights with the record, to 1e-9.

        The running means of batch norm, from which a bias in front of them cancels, to 1e-7.
        """
        found = torch.stack([torch.stack(step).detach() for step in losses])
        torch.testing.assert_close(found, self["losses"], rtol=1e-9, atol=0)
        final = {k: v for k, v in self.tensors.items() if k.startswith("final")}
        assert {key.split(".")[1] for key in final} == networks.keys()
        for key, value in final.items():
            kind, name, weight = key.split(".", 2)
            ours = networks[name].state_dict()[weight]
            if kind != "final":
                ours = ours.flatten()[:: int(kind.removeprefix("final_every"))]
            if not ours.is_floating_point():
                assert torch.equal(ours, value), key
                continue
            bound = 1e-7 if weight.endswith("running_mean") else 1e-9
            assert relative_error(ours, value) < bound, (key, relative_error(ours, value))
