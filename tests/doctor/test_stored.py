"""The doctor on images for models that make images from noise: MNIST's format and classes."""

import struct
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from click.testing import CliRunner
from PIL import Image

from i2i.cli import cli
from i2i.data.kinds.image_set import FoundImages, whole
from i2i.doctor import Finding, as_dict, examine
from i2i.errors import DataError


def write(path: Path, values: npt.NDArray[np.uint8]) -> None:
    header = bytes([0, 0, 8, values.ndim]) + struct.pack(f">{values.ndim}I", *values.shape)
    path.write_bytes(header + values.tobytes())


def digits(root: Path, train: npt.NDArray[np.uint8], test: npt.NDArray[np.uint8]) -> Path:
    for split, images in (("train", train), ("t10k", test)):
        write(root / f"{split}-images-idx3-ubyte", images)
        write(root / f"{split}-labels-idx1-ubyte", np.arange(len(images), dtype=np.uint8) % 2)
    return root


def noise(count: int, seed: int = 0) -> npt.NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (count, 6, 5), dtype=np.uint8)


def found(root: Path, **how: object) -> dict[str, Finding]:
    findings = examine(root, **how).findings  # type: ignore[arg-type]
    return {finding.kind: finding for finding in findings}


def test_clean_files_in_mnist_format(tmp_path: Path) -> None:
    diagnosis = examine(digits(tmp_path, noise(8), noise(4, seed=1)))
    assert diagnosis.findings == ()
    assert diagnosis.survey.kind == "unconditional"
    assert diagnosis.survey.samples == 8
    assert diagnosis.tables.sizes == {(5, 6): 12}
    assert diagnosis.tables.modes == {"L": 12}
    assert diagnosis.bytes == 12 * 5 * 6
    parts = {(p["split"], p["name"]): p["images"] for p in as_dict(diagnosis)["parts"]}
    assert parts == {("train", "0"): 4, ("train", "1"): 4, ("val", "0"): 2, ("val", "1"): 2}


def test_copies_in_an_array_are_found_by_their_pixels(tmp_path: Path) -> None:
    train, test = noise(8), noise(4, seed=1)
    train[4] = train[2]  # both of class 0
    train[5] = train[6]  # of classes 1 and 0
    test[3] = train[0]
    train[7] = 9
    there = found(digits(tmp_path, train, test))
    assert set(there) == {"leak", "duplicates", "both sides", "flat"}

    def names(kind: str) -> list[set[str]]:
        return [{f"{p.parent.name}/{p.name}" for p in group} for group in there[kind].groups]

    assert {"train/0", "val/3"} in names("leak")
    assert names("duplicates") == [{"train/2", "train/4"}]
    assert {"train/5", "train/6"} in names("both sides")
    assert names("flat") == [{"train/7"}]
    assert "1 of 4 images to validate with" in there["leak"].text
    assert "more than one class" in there["both sides"].text


def test_a_header_that_lies_is_a_finding(tmp_path: Path) -> None:
    root = digits(tmp_path, noise(8), noise(4, seed=1))
    file = root / "train-images-idx3-ubyte"
    file.write_bytes(file.read_bytes()[:-1])
    there = found(root)
    assert set(there) == {"layout"}
    assert "is truncated" in there["layout"].text


def test_classes_out_of_balance_are_a_note(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for name, count in (("cat", 9), ("dog", 2)):
        (tmp_path / name).mkdir()
        for number in range(count):
            pixels = rng.integers(0, 256, (16, 16, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / name / f"{number}.png")
    there = found(tmp_path, kind="unconditional")
    assert set(there) == {"balance", "no validation"}
    assert there["balance"].severity == "note"
    assert "9 images of cat, 2 of dog" in there["balance"].text
    assert set(found(tmp_path, kind="unconditional", domains=["dog"])) == {"no validation"}
    assert "class 'bird'" in found(tmp_path, kind="unconditional", domains=["bird"])["layout"].text


class Colours:
    """A store in memory, one image of which is broken."""

    fingerprint = "colours"

    def __len__(self) -> int:
        return 3

    def read(self, index: int, channels: int) -> npt.NDArray[np.uint8]:
        if index == 1:
            raise DataError("LoadedImage 1 is broken.")
        return np.random.default_rng(index).integers(0, 256, (4, 4, channels), dtype=np.uint8)

    def name(self, index: int) -> str:
        return str(index)


def test_images_found_by_a_name(tmp_path: Path) -> None:
    diagnosis = examine(tmp_path, named=FoundImages("a store", whole(Colours()), None))
    assert {f.kind: f.groups for f in diagnosis.findings} == {
        "unreadable": ((tmp_path / "train" / "1",),),
        "no validation": (),
    }
    assert diagnosis.tables.modes == {"RGB": 2}
    assert diagnosis.survey.lines == ("train: 3 images (a store)", "val: none")


@pytest.mark.parametrize("command", [["doctor"], ["datasets", "check"]])
def test_both_commands_read_mnist_format(tmp_path: Path, command: list[str]) -> None:
    digits(tmp_path, noise(8), noise(4, seed=1))
    done = CliRunner().invoke(cli, [*command, str(tmp_path)])
    assert done.exit_code == 0, done.output
    assert "train: 8 images, 2 classes (MNIST format)" in done.output
    assert "val: 4 images, 2 classes (MNIST format)" in done.output
