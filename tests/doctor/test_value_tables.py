"""What the doctor says of values that are more than colours of 8 bits: how they spread."""

from pathlib import Path

import numpy as np
import pytest

from i2i.data.images.arrays import write_array
from i2i.data.inspection.examine import examine
from i2i.data.inspection.histograms import MOST_BANDS, Spread, spreads


def write(path: Path, values: np.ndarray) -> Path:  # type: ignore[type-arg]
    path.parent.mkdir(parents=True, exist_ok=True)
    write_array(values, path, path.suffix)
    return path


def test_each_band_is_counted_in_ten_steps(tmp_path: Path) -> None:
    ramp = np.arange(100, dtype=np.uint16).reshape(10, 10)
    rare = np.full((10, 10), 65535, np.uint16)
    rare[:9] = 0
    path = write(tmp_path / "a.tif", np.stack([ramp, rare], axis=2))
    (first, second), files = spreads([path, path])
    assert files == 2
    assert first == Spread(0, 49.5, 99, (20,) * 10, 0.0)
    assert second == Spread(0, 0, 65535, (180, *[0] * 8, 20), 0.1)
    assert str(first) == "██████████ 0..99, median 49.5"
    assert str(second) == "█▁▁▁▁▁▁▁▁▂ 0..65535, median 0, 10.0% saturated"


def test_what_cannot_be_counted_is_left_out(tmp_path: Path) -> None:
    real = np.ones((4, 4, 1), np.float32)
    real[0, 0], real[0, 1] = np.nan, np.inf
    good = write(tmp_path / "a.npy", real)
    (tmp_path / "b.npy").write_text("no array")
    other = write(tmp_path / "c.npy", np.zeros((4, 4, 3), np.float32))
    found, files = spreads([good, tmp_path / "b.npy", other])
    assert files == 1
    assert (found[0].low, found[0].high, sum(found[0].counts)) == (1, 1, 14)
    assert spreads([tmp_path / "b.npy"]) == ([], 0)
    many = write(tmp_path / "d.npy", np.zeros((4, 4, MOST_BANDS + 5), np.float32))
    assert len(spreads([many])[0]) == MOST_BANDS


@pytest.mark.parametrize("share", [0.0, 0.3])
def test_the_doctor_shows_them_and_warns_of_saturation(tmp_path: Path, share: float) -> None:
    random = np.random.default_rng(0)
    for split in ("train", "val"):
        for number in range(3):
            values = random.integers(100, 4000, (16, 16, 1), dtype=np.uint16)
            values.reshape(-1)[: int(256 * share)] = 65535
            write(tmp_path / split / "A" / f"{number}.tif", values)
            colours = random.integers(0, 256, (16, 16, 3), dtype=np.uint8)
            write(tmp_path / split / "B" / f"{number}.png", colours)
    found = [e for e in examine(tmp_path, "paired", copies=False).findings if e.kind == "values"]
    assert len(found) == 1
    assert found[0].text.startswith("side A: how often its values are there, of 6 of 6 images:\n")
    assert found[0].severity == ("warning" if share else "note")
    assert bool(found[0].advice) == bool(share)
    fast = examine(tmp_path, "paired", copies=False, fast=True).findings
    assert not [each for each in fast if each.kind == "values"]
