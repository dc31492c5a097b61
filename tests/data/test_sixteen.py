"""Files of 16 bits per channel: what is written here is read by others, and the reverse."""

import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image, ImageCms

from i2i.data.images.sixteen_bit import read_colours, write_png, write_tiff
from i2i.errors import DataError

RNG = np.random.default_rng(5)
WRITE = {"png": write_png, "tif": write_tiff}
PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def words(*shape: int) -> np.ndarray:
    return RNG.integers(0, 65536, shape, dtype=np.uint16)


@pytest.mark.parametrize("suffix", WRITE)
@pytest.mark.parametrize("profile", [None, PROFILE])
@pytest.mark.parametrize("shape", [(1, 1), (3, 5), (64, 7), (150, 33)])
def test_libraries_read_what_is_written(
    tmp_path: Path, suffix: str, profile: bytes | None, shape: tuple[int, int]
) -> None:
    for channels, mode in ((1, "I;16"), (3, "RGB"), (4, "RGBA")):
        values = words(channels, *shape).transpose(1, 2, 0)  # as tensors have it
        path = tmp_path / f"{channels}.{suffix}"
        WRITE[suffix](values, path, profile)
        read = cv2.imread(str(path), cv2.IMREAD_UNCHANGED).reshape(values.shape)
        np.testing.assert_array_equal(
            read, values[..., [2, 1, 0, 3][:channels]] if channels > 1 else values
        )
        with Image.open(path) as image:
            image.load()
            assert image.mode == mode
            assert image.info.get("icc_profile") == profile
            shown = np.array(image).reshape(values.shape)
        np.testing.assert_array_equal(shown, values if channels == 1 else values >> 8)


def test_grey_with_alpha_is_written_as_such(tmp_path: Path) -> None:
    values = words(6, 9, 2)
    write_png(values, tmp_path / "x.png", None)
    with Image.open(tmp_path / "x.png") as image:
        assert image.tile[0].args == "LA;16B"
    read = cv2.imread(str(tmp_path / "x.png"), cv2.IMREAD_UNCHANGED)
    np.testing.assert_array_equal(read[..., [0, 1, 2, 3]], values[..., [0, 0, 0, 1]])
    np.testing.assert_array_equal(read_colours(tmp_path / "x.png"), values)


@pytest.mark.parametrize("suffix", WRITE)
@pytest.mark.parametrize("channels", [3, 4])
def test_what_libraries_write_is_read(tmp_path: Path, suffix: str, channels: int) -> None:
    values = words(20, 31, channels)
    path = tmp_path / f"x.{suffix}"
    assert cv2.imwrite(str(path), values[..., [2, 1, 0, 3][:channels]])
    read = read_colours(path)
    assert read is not None
    assert read.flags.c_contiguous
    np.testing.assert_array_equal(read, values)


def test_other_images_are_left_to_pillow(tmp_path: Path) -> None:
    for name, values in (
        ("grey.png", words(4, 4)),
        ("grey.tif", words(4, 4)),
        ("colour.png", (words(4, 4, 3) >> 8).astype(np.uint8)),
        ("colour.jpg", (words(4, 4, 3) >> 8).astype(np.uint8)),
        ("alpha.tif", (words(4, 4, 4) >> 8).astype(np.uint8)),
    ):
        Image.fromarray(values).save(tmp_path / name)
        assert read_colours(tmp_path / name) is None


UPRIGHT = {
    1: lambda x: x,
    2: lambda x: x[:, ::-1],
    3: lambda x: x[::-1, ::-1],
    4: lambda x: x[::-1],
    5: lambda x: x.swapaxes(0, 1),
    6: lambda x: np.rot90(x, -1),  # a quarter turn clockwise
    7: lambda x: x[::-1, ::-1].swapaxes(0, 1),
    8: lambda x: np.rot90(x),
}


def turned_png(path: Path, values: np.ndarray, orientation: int) -> None:
    """Write a PNG and put the orientation behind its head, as the specification wants it."""
    write_png(values, path, None)
    content = path.read_bytes()
    exif = Image.Exif()
    exif[0x0112] = orientation
    chunk = b"eXIf" + exif.tobytes()[6:]
    chunk = struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk))
    path.write_bytes(content[:33] + chunk + content[33:])


def turned_tiff(path: Path, values: np.ndarray, orientation: int) -> None:
    """Write an uncompressed TIFF."""
    height, width, channels = values.shape
    tags = [
        (256, 4, 1, width), (257, 4, 1, height), (258, 3, 3, 8), (259, 3, 1, 1), (262, 3, 1, 2),
        (273, 4, 1, 14), (274, 3, 1, orientation), (277, 3, 1, channels), (278, 4, 1, height),
        (279, 4, 1, values.nbytes),
    ]  # fmt: skip
    directory = struct.pack("<H", len(tags)) + b"".join(struct.pack("<HHII", *tag) for tag in tags)
    head = b"II*\0" + struct.pack("<I", 14 + values.nbytes) + struct.pack("<3H", 16, 16, 16)
    path.write_bytes(head + values.astype("<u2").tobytes() + directory + bytes(4))


@pytest.mark.parametrize(("suffix", "write_turned"), [("png", turned_png), ("tif", turned_tiff)])
@pytest.mark.parametrize("orientation", UPRIGHT)
def test_orientation_is_honoured(
    tmp_path: Path, suffix: str, write_turned: Callable[..., None], orientation: int
) -> None:
    values = words(3, 5, 3)
    path = tmp_path / f"x.{suffix}"
    write_turned(path, values, orientation)
    np.testing.assert_array_equal(read_colours(path), UPRIGHT[orientation](values))


def test_what_only_one_library_reads_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_png(words(4, 4, 3), tmp_path / "x.png", None)
    monkeypatch.setattr(cv2, "imdecode", lambda *arguments: None)
    with pytest.raises(DataError, match=r"x\.png' cannot be read with 16 bits"):
        read_colours(tmp_path / "x.png")
