"""Folders of images to compare, and no network connection."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image


@pytest.fixture(autouse=True)
def no_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.hub, "_hub_dir", str(tmp_path / "hub"))
    monkeypatch.setattr("socket.getaddrinfo", _unreachable)


def _unreachable(*arguments: object, **more: object) -> None:
    raise OSError("no network in a test")


@pytest.fixture
def truth(tmp_path: Path) -> Path:
    """Smooth images of 32 x 32 in two folders."""
    generator = np.random.default_rng(0)
    folder = tmp_path / "truth"
    for number in range(6):
        path = folder / ("day" if number < 3 else "night") / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        coarse = generator.integers(0, 256, (4, 4, 3), dtype=np.uint8)
        Image.fromarray(coarse).resize((32, 32), Image.Resampling.BICUBIC).save(path)
    return folder


@pytest.fixture
def result(truth: Path, tmp_path: Path) -> Path:
    """The same images with noise, of which the one called 4 has most; and one without partner."""
    generator = np.random.default_rng(1)
    folder = tmp_path / "result"
    for path in truth.rglob("*.png"):
        pixels = np.asarray(Image.open(path)).astype(float)
        scale = 40 if path.stem == "4" else 5
        pixels += generator.normal(scale=scale, size=pixels.shape)
        target = folder / path.relative_to(truth).with_suffix(".bmp")
        target.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels.clip(0, 255).round().astype(np.uint8)).save(target)
    Image.fromarray(np.zeros((32, 32, 3), np.uint8)).save(folder / "other.png")
    return folder
