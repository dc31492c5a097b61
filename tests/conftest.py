"""What all tests share: one thread, so that sums have one order, and a cache of their own."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keep the tests out of the cache folder of whoever runs them."""
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("I2I_CACHE", str(folder))
    return folder


@pytest.fixture
def facades(tmp_path: Path) -> Path:
    """A tiny paired data set, side by side: noise and the same noise inverted, 24 x 24 pixels."""
    root = tmp_path / "tiny-facades"
    generator = np.random.default_rng(0)
    for split, count in (("train", 7), ("val", 3)):
        (root / split).mkdir(parents=True)
        for number in range(count):
            left = generator.integers(0, 256, (24, 24, 3), dtype=np.uint8)
            both = np.concatenate([left, 255 - left], axis=1)
            Image.fromarray(both).save(root / split / f"{number}.png")
    return root
