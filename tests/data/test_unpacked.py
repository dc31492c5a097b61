"""Videos and volumes in a data set: folders of images to everything else."""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from clips import frames_of, make_clip
from i2i.config.recipes import load_options
from i2i.data.images.read import list_images, read_image
from i2i.data.sources import open_source, resolve_options
from i2i.data.unpacked import Unpacking, group_of, unpacked
from i2i.data.unpacked.groups import patient_of
from i2i.errors import DataError
from volumes import save_nifti, save_series, scene


def clip(path: Path, count: int = 9, side: int = 24) -> Any:
    path.parent.mkdir(parents=True, exist_ok=True)
    frames = frames_of(count, side, side)
    make_clip(path, frames=frames, codec="ffv1", pixels="bgr0", sound=None)
    return frames


def test_data_set_of_images_is_left_alone(facades: Path) -> None:
    assert unpacked(facades, Unpacking()) == facades


def test_frames_are_images_in_the_place_of_the_video(tmp_path: Path, own_cache: Path) -> None:
    root = tmp_path / "set"
    frames = clip(root / "trainA" / "deep" / "day.mkv")
    (root / "trainB").mkdir()
    Image.new("RGB", (24, 24), "red").save(root / "trainB" / "1.png")
    found = unpacked(root, Unpacking(frame_step=4))
    assert found.is_relative_to(own_cache)
    names = [path.relative_to(found).as_posix() for path in list_images(found)]
    assert names == [
        "trainA/deep/day/000001.png",
        "trainA/deep/day/000005.png",
        "trainA/deep/day/000009.png",
        "trainB/1.png",
    ]
    for path, number in zip(list_images(found), (0, 4, 8), strict=False):
        np.testing.assert_array_equal(read_image(path, 3), frames[number])
        assert group_of(path) == "deep/day"
    assert group_of(found / "trainB" / "1.png") is None
    assert sorted(path.name for path in root.rglob("*.*")) == ["1.png", "day.mkv"]


def test_nothing_is_taken_apart_twice_and_what_changes_is_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "set"
    clip(root / "a.mkv")
    first = unpacked(root, Unpacking())
    monkeypatch.setattr("i2i.data.unpacked.mirror.VideoReader", None)
    assert unpacked(root, Unpacking()) == first
    Image.new("RGB", (24, 24)).save(root / "more.png")
    assert len(list_images(unpacked(root, Unpacking()))) == 10  # the frames are those of before
    monkeypatch.undo()
    clip(root / "a.mkv", count=5)
    assert len(list_images(unpacked(root, Unpacking()))) == 6


def test_slices_are_grey_images_of_the_window_of_their_side(tmp_path: Path) -> None:
    root = tmp_path / "set"
    values = scene((6, 7, 5))
    for side in "AB":
        (root / f"train{side}").mkdir(parents=True)
        save_nifti(root / f"train{side}" / "p1.nii.gz", values.astype(np.float32))
    found = unpacked(root, Unpacking("coronal", ((-1000.0, 400.0), (0.0, 100.0))))
    names = [path.relative_to(found).as_posix() for path in list_images(found)]
    assert names[0] == "trainA/p1/0001.png"
    assert len(names) == 2 * 7
    expected = {"A": (values + 1000) / 1400, "B": values / 100}
    for path in list_images(found):
        with Image.open(path) as image:
            assert image.mode == "I;16"
            pixels = np.asarray(image)
        side, number = path.relative_to(found).parts[0][-1], int(path.stem) - 1
        # From RAS+ to left, back and down: all axes turn round.
        shown = expected[side][::-1, ::-1, ::-1][:, number].T.clip(0, 1) * 65535
        np.testing.assert_allclose(pixels, shown, atol=0.51)


@pytest.mark.parametrize(
    ("path", "patient"),
    [
        ("trainA/p1.nii.gz", "p1"),
        ("train/A/p2/t1.nii", "p2"),
        ("p3/deep/t1.nii", "p3"),
        ("trainB/sub-07_ses-1_T1w.nii.gz", "patient sub-07"),
        ("sub-08/anat/T1w.nii.gz", "patient sub-08"),
    ],
)
def test_patient_is_told_by_the_path(path: str, patient: str) -> None:
    assert patient_of(Path(path)) == patient


def test_series_of_a_patient_are_one_group_without_a_name(tmp_path: Path) -> None:
    root = tmp_path / "set"
    for number, patient in enumerate(("4711", "4711", "0815")):
        save_series(root / str(number), scene((3, 6, 5)), uid=f"1.2.{number}", patient=patient)
    found = unpacked(root, Unpacking())
    groups = [group_of(path) for path in list_images(found)]
    assert len(groups) == 9
    assert groups[0] == groups[5] != groups[6]
    assert "4711" not in str(groups)


def test_broken_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(b"no video")
    with pytest.raises(DataError, match=r"a\.mp4' cannot be read: Invalid data"):
        unpacked(tmp_path, Unpacking())
    (tmp_path / "a.mp4").unlink()
    (tmp_path / "b.dcm").write_bytes(b"DICM")
    with pytest.raises(DataError, match=r"b\.dcm' cannot be read"):
        unpacked(tmp_path, Unpacking())


def test_what_is_broken_can_be_left_out(tmp_path: Path) -> None:
    clip(tmp_path / "a.mkv", count=3)
    (tmp_path / "b.mp4").write_bytes(b"no video")
    (tmp_path / "c.dcm").write_bytes(b"DICM")
    found = unpacked(tmp_path, Unpacking(skip_bad=True))
    assert [path.parent.name for path in list_images(found)] == ["a"] * 3


def test_videos_are_other_files_where_their_library_is_not_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip(tmp_path / "a.mkv")
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(DataError, match=r"pip install 'i2i-toolkit\[video\]'"):
        unpacked(tmp_path, Unpacking())
    Image.new("RGB", (8, 8)).save(tmp_path / "1.png")
    assert unpacked(tmp_path, Unpacking()) == tmp_path


def test_disk_that_is_too_small_is_said_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip(tmp_path / "set" / "a.mkv")
    monkeypatch.setattr("i2i.data.unpacked.mirror.free_bytes", lambda folder: 1000)
    with pytest.raises(DataError, match=r"its frames take about 0\.0 GiB.*data\.frame_step"):
        unpacked(tmp_path / "set", Unpacking())


def open_clips(root: Path, **settings: object) -> Any:
    said = [f"{key}={value}" for key, value in settings.items()]
    options = load_options("cyclegan-quick", f"data.root={root}", *said, size=16)
    return open_source(resolve_options(options, "unpaired"), "unpaired")


def test_frames_of_a_video_are_on_one_side_of_a_split(tmp_path: Path) -> None:
    root = tmp_path / "set"
    for number in range(6):
        clip(root / "trainA" / f"a{number}.mkv", count=4)
        clip(root / "trainB" / f"b{number}.mkv", count=4)
    source = open_clips(root)
    train, held = (
        {Path(member.name).parent.as_posix() for member in source.splits[split]}
        for split in ("train", "val")
    )
    assert held
    assert not train & held
    assert len(train | held) == 12
    again = open_clips(root)
    for position in (0, 7, 30):
        for one, other in zip(source.train[position], again.train[position], strict=True):
            np.testing.assert_array_equal(one, other)


def test_patient_on_both_sides_of_a_split_is_refused(tmp_path: Path) -> None:
    root = tmp_path / "set"
    for side in "AB":
        for split, number in (("train", 1), ("train", 2), ("test", 2)):
            folder = root / f"{split}{side}" / f"{split}{number}"
            uid = f"1.2.{number}.{'AB'.index(side)}"
            save_series(folder, scene((2, 16, 16)), uid=uid, patient=str(number))
    with pytest.raises(DataError, match="1 groups lie in train and in val"):
        open_clips(root)
