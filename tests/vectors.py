"""Recorded vectors of published implementations, from tests/reference/, in float64."""

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from torch import Tensor, nn

REFERENCE = Path(__file__).parent / "reference"


class Vectors:
    """One file: its configuration, and its tensors by name."""

    def __init__(self, file: str | Path) -> None:
        path = Path(file)
        path = path if path.is_absolute() else REFERENCE / f"{file}.safetensors"
        with safe_open(path, "pt") as stored:
            self.metadata = stored.metadata()
            self.tensors = {key: exact(stored.get_tensor(key)) for key in stored.keys()}  # noqa: SIM118
        self.config: dict[str, Any] = json.loads(self.metadata["config"])

    def __getitem__(self, name: str) -> Tensor:
        return self.tensors[name]

    def __contains__(self, name: str) -> bool:
        return name in self.tensors

    def below(self, prefix: str) -> dict[str, Tensor]:
        """The tensors whose names begin with `prefix`, without it."""
        return {
            name.removeprefix(prefix): tensor
            for name, tensor in self.tensors.items()
            if name.startswith(prefix)
        }

    def one_hot(self, name: str, classes: int) -> Tensor | None:
        """Class numbers as rows; None without classes."""
        return nn.functional.one_hot(self[name], classes).double() if classes else None


def exact(tensor: Tensor) -> Tensor:
    """float64 of what a record holds: pixels become -1..1, integers stay."""
    if tensor.dtype == torch.uint8:
        return tensor.double() / 127.5 - 1
    return tensor.double() if tensor.is_floating_point() else tensor


def load(network: nn.Module, state: dict[str, Tensor], *, constants: tuple[str, ...] = ()) -> None:
    """Give recorded weights; what ends like one of `constants` may be missing."""
    missing, unexpected = network.load_state_dict(state, strict=False)
    assert not unexpected, unexpected
    assert all(name.endswith(constants) for name in missing) if constants else not missing, missing


def error(ours: Tensor, theirs: Tensor) -> float:
    """The largest difference, relative to the largest value."""
    assert ours.shape == theirs.shape, (ours.shape, theirs.shape)
    assert ours.dtype == theirs.dtype == torch.float64
    scale = theirs.abs().max().clamp(min=1e-30)
    return ((ours - theirs).abs().max() / scale).item()


def errors(ours: dict[str, Tensor], theirs: dict[str, Tensor]) -> dict[str, float]:
    """`error` of each of what is recorded."""
    assert theirs
    return {name: error(ours[name], value) for name, value in theirs.items()}
