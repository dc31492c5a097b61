"""Translators whose answer is known, and images for them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from torch import Tensor, neg, nn

from i2i.inference.results import LEDGER
from i2i.inference.translator import Translator

RNG = np.random.default_rng(0)


class Recorder(nn.Module):
    """Computes `function` and remembers what it was asked."""

    def __init__(
        self, function: Callable[[Tensor], Tensor] = lambda x: x, multiple: int = 1
    ) -> None:
        super().__init__()
        self.function = function
        self.multiple = multiple
        self.inputs: list[Tensor] = []

    def __deepcopy__(self, memo: dict[int, Any]) -> "Recorder":
        return self  # what a translator's copy was asked is read here

    def forward(self, images: Tensor) -> Tensor:
        assert images.shape[2] % self.multiple == images.shape[3] % self.multiple == 0
        self.inputs.append(images)
        return self.function(images)


def layers(*modules: nn.Module, multiple: int = 1) -> nn.Module:
    network = nn.Sequential(*modules)
    network.multiple = multiple
    return network


def translator(network: nn.Module, channels: int = 3, **arguments: Any) -> Translator:
    defaults = {"norm": "instance", "dropout": False, "device": "cpu"}
    return Translator(
        network,
        **{"input_channels": channels, "output_channels": channels, **defaults, **arguments},
    )


def negative(**arguments: Any) -> Translator:
    return translator(Recorder(neg), **arguments)


def noise(height: int, width: int, channels: int = 3) -> np.ndarray:
    return RNG.integers(0, 256, (height, width, channels), dtype=np.uint8)


def save(pixels: np.ndarray, path: Path, **settings: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels.squeeze(2) if pixels.shape[2] == 1 else pixels).save(path, **settings)
    return path


def load(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.array(image)


def files(folder: Path) -> list[str]:
    """Everything under `folder` that is not a folder, hidden files too; but not the ledgers."""
    paths = [path for path in folder.rglob("*") if not path.is_dir() and path.name != LEDGER]
    return sorted(str(path.relative_to(folder)) for path in paths)
