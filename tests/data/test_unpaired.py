from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from i2i.data.augment.geometry import JointGeometry, evaluation_geometry
from i2i.data.kinds.layouts import find_all_unpaired, find_unpaired
from i2i.data.kinds.unpaired import UnpairedImages
from i2i.errors import DataError


def paint(folder: Path, count: int, size: tuple[int, int] = (20, 20)) -> Path:
    folder.mkdir(parents=True)
    for number in range(count):
        level = 10 * number + 5
        Image.new("RGB", size, (level, level, level)).save(folder / f"{number}.png")
    return folder


@pytest.mark.parametrize(
    ("a", "b"), [("trainA", "trainB"), ("train/A", "train/B"), ("A/train", "B/train")]
)
def test_layouts(tmp_path: Path, a: str, b: str) -> None:
    paint(tmp_path / a, 3)
    paint(tmp_path / b / "deep", 5)
    found = find_unpaired(tmp_path, "train")
    assert found is not None
    assert (len(found.a), len(found.b)) == (3, 5)
    assert found.layout == f"{a} + {b}"
    assert find_unpaired(tmp_path, "val") is None
    paint(tmp_path / a.replace("train", "test"), 2)
    paint(tmp_path / b.replace("train", "test"), 2)
    held = find_unpaired(tmp_path, "val")
    assert held is not None
    assert (len(held.a), len(held.b)) == (2, 2)


def test_two_folders_that_lie_apart(tmp_path: Path) -> None:
    a, b = paint(tmp_path / "x" / "horses", 2), paint(tmp_path / "y" / "zebras", 3)
    found = find_unpaired(a, "train", b)
    assert found is not None
    assert [path.parent for path in found.a + found.b] == [a] * 2 + [b] * 3
    assert find_unpaired(a, "val", b) is None
    paint(a / "train", 1)
    paint(b / "train", 1)
    split = find_unpaired(a, "train", b)
    assert split is not None
    assert [len(split.a), len(split.b)] == [1, 1]


def test_two_folders_of_any_name_with_splits_in_them(tmp_path: Path) -> None:
    for name, count in (("Summer", 3), ("Winter", 5)):
        paint(tmp_path / name / "train", count)
        paint(tmp_path / name / "test", 2)
    found = find_unpaired(tmp_path, "train")
    assert found is not None
    assert (len(found.a), len(found.b), found.names) == (3, 5, ("Summer", "Winter"))
    assert found.layout == "Summer/train (A) + Winter/train (B)"
    for split in ("val", "test"):  # no others to validate with
        held = find_unpaired(tmp_path, split)
        assert held is not None
        assert {path.parent.parent.name for path in held.a} == {"Summer"}
        assert (len(held.a), len(held.b)) == (2, 2)
    everything = find_all_unpaired(tmp_path)
    assert (len(everything.a), len(everything.b)) == (5, 7)


def test_what_is_no_unpaired_data_set(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="trainA"):
        find_unpaired(tmp_path, "train")
    paint(tmp_path / "trainA", 1)
    (tmp_path / "trainB").mkdir()
    with pytest.raises(DataError, match=r"no image in .*trainB"):
        find_unpaired(tmp_path, "train")
    paint(tmp_path / "trainB" / "x", 1)
    paint(tmp_path / "train" / "A", 1)
    paint(tmp_path / "train" / "B", 1)
    with pytest.raises(DataError, match="more than one layout"):
        find_unpaired(tmp_path, "train")
    with pytest.raises(DataError, match="no folder"):
        find_unpaired(tmp_path, "train", tmp_path / "nothing")


@pytest.fixture
def images(tmp_path: Path) -> UnpairedImages:
    a = sorted(paint(tmp_path / "a", 3).iterdir())
    b = sorted(paint(tmp_path / "b", 7).iterdir())
    return UnpairedImages((a, b), JointGeometry(20, 16), channels=(3, 1), seed=4, shuffle=True)


def levels(images: list[torch.Tensor]) -> list[int]:
    return [int(image.unique().item()) for image in images]


def test_an_epoch_is_the_larger_side_and_the_smaller_starts_over(
    images: UnpairedImages,
) -> None:
    assert len(images) == 7
    samples = [images[position] for position in range(21)]
    b = levels([sample.b for sample in samples])
    for epoch in range(3):
        assert sorted(b[7 * epoch : 7 * epoch + 7]) == [5, 15, 25, 35, 45, 55, 65]
    assert b[:7] != b[7:14]
    a = levels([sample.a for sample in samples])
    rounds = [a[at : at + 3] for at in range(0, 21, 3)]
    assert all(sorted(each) == [5, 15, 25] for each in rounds)
    assert len({tuple(each) for each in rounds}) > 1
    assert (samples[0].a.shape, samples[0].b.shape) == ((3, 16, 16), (1, 16, 16))


def test_a_position_always_gives_the_same(images: UnpairedImages) -> None:
    first, again = images[5], images[5]
    assert torch.equal(first.a, again.a)
    assert torch.equal(first.b, again.b)


def test_sides_of_one_length_are_drawn_cut_and_mirrored_independently(tmp_path: Path) -> None:
    ramp = np.zeros((40, 40, 3), np.uint8)
    ramp[..., 0] = np.arange(40)[None] * 6  # tells where a crop begins, and whether it is mirrored
    paths = []
    for number in range(50):
        ramp[..., 1] = number
        paths.append(tmp_path / f"{number:02d}.png")
        Image.fromarray(ramp).save(paths[-1])
    data = UnpairedImages((paths, paths), JointGeometry(40, 8), seed=0, shuffle=True)
    samples = [data[position] for position in range(400)]

    def facts(image: torch.Tensor) -> tuple[int, bool, int]:
        row = image[0, 0].int()
        return int(image[1, 0, 0]), bool(row[0] > row[-1]), int(row.min())

    a, b = ([facts(image) for image in side] for side in zip(*samples, strict=True))
    same_image = np.mean([x[0] == y[0] for x, y in zip(a, b, strict=True)])
    same_mirror = np.mean([x[1] == y[1] for x, y in zip(a, b, strict=True)])
    same_crop = np.mean([x[2] == y[2] for x, y in zip(a, b, strict=True)])
    assert same_image < 0.08  # 1 in 50 expected
    assert 0.4 < same_mirror < 0.6
    assert same_crop < 0.1  # 1 in 33 expected


def test_validation_goes_through_the_images_as_listed(tmp_path: Path) -> None:
    a = sorted(paint(tmp_path / "a", 2).iterdir())
    b = sorted(paint(tmp_path / "b", 3).iterdir())
    data = UnpairedImages((a, b), evaluation_geometry(16))
    samples = [data[position] for position in range(len(data))]
    assert levels([sample.a for sample in samples]) == [5, 15, 5]
    assert levels([sample.b for sample in samples]) == [5, 15, 25]


def test_folders_apart_of_which_one_is_split_are_refused(tmp_path: Path) -> None:
    flat = paint(tmp_path / "flat", 2)
    split = tmp_path / "split"
    paint(split / "train", 1)
    paint(split / "test", 1)
    for a, b in ((flat, split), (split, flat)):
        with pytest.raises(DataError, match="not both folders have train/"):
            find_unpaired(a, "train", b)
