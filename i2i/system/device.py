"""Devices and precisions by their names."""

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch

from i2i.errors import OptionsError, did_you_mean
from i2i.system.cpu import best_precision


def pick_device(name: str) -> torch.device:
    """The device that "auto", "cpu", "cuda", "cuda:1" or "mps" stands for.

    Raises:
        OptionsError: there is no such device here.
    """
    cuda, mps = torch.cuda.is_available(), torch.backends.mps.is_available()
    if name == "auto":
        return torch.device("cuda" if cuda else "mps" if mps else "cpu")
    kind, _, index = name.partition(":")
    here = {"cpu": True, "cuda": cuda, "mps": mps}
    if kind not in here or (index and not index.isdigit()):
        raise OptionsError(
            f"device (={name!r}) must be auto, cpu, cuda, cuda:1 or mps.{did_you_mean(kind, here)}"
        )
    if not here[kind] or (kind == "cuda" and int(index or 0) >= torch.cuda.device_count()):
        raise OptionsError(
            f"device (={name!r}) is not on this machine; `auto` takes what there is."
        )
    return torch.device(name)


def chosen_precision(name: str, device: torch.device) -> str:
    """The precision that "auto" stands for on this device; any other stands for itself."""
    return best_precision(device) if name == "auto" else name


def full_precision(beside: torch.Tensor) -> AbstractContextManager[Any]:
    """A context without autocast on the device of a tensor; tensors without data know none."""
    kind = beside.device.type
    return torch.autocast(kind, enabled=False) if kind != "meta" else nullcontext()
