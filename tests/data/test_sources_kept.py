"""How much memory decoded images may take."""

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from i2i.config import Data
from i2i.data.augment.geometry import JointGeometry
from i2i.data.kinds.layouts import PairFiles
from i2i.data.kinds.paired import PairedImages
from i2i.data.sources import cached as module
from i2i.data.sources.cached import keep_decoded
from i2i.distributed import processes
from i2i.distributed.processes import Processes

pytestmark = pytest.mark.skipif(not hasattr(os, "memfd_create"), reason="Linux keeps images")

FREE = 800_000


@pytest.fixture
def pairs(tmp_path: Path) -> PairedImages:
    Image.fromarray(np.zeros((20, 40, 3), np.uint8)).save(tmp_path / "a.png")
    return PairedImages([PairFiles(tmp_path / "a.png", None, "a")], JointGeometry(20, 16))


@pytest.mark.parametrize("here", [1, 2, 8])
def test_processes_of_a_machine_share_half_of_its_free_memory(
    pairs: PairedImages, here: int, monkeypatch: pytest.MonkeyPatch, said: list[str]
) -> None:
    monkeypatch.setattr(module, "free_memory", lambda device: FREE)
    monkeypatch.setattr(processes, "_processes", Processes(1, 16, 1, here))
    keep_decoded(pairs, [], Data(load_size=20, crop_size=16, cache="memory"))
    assert pairs.kept is not None
    assert pairs.kept.limit == FREE // 2 // here
    assert "kept in memory" in said[0]


def test_images_that_do_not_fit_a_share_of_the_memory_go_to_the_disk(
    pairs: PairedImages, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: list[str]
) -> None:
    monkeypatch.setenv("I2I_CACHE", str(tmp_path))
    for here, where in ((1, "memory"), (200, "decoded")):
        monkeypatch.setattr(module, "free_memory", lambda device: FREE)
        monkeypatch.setattr(processes, "_processes", Processes(1, 400, 1, here))
        said.clear()
        keep_decoded(
            pairs, [tmp_path / "a.png"], Data(load_size=20, crop_size=16, cache="auto"), said.append
        )
        assert where in said[0]
