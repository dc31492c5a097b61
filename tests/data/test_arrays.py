"""Files with any bands of any depth: what is read is what other libraries have written."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image

from i2i.data.images.arrays import as_picture, fitting_suffix, read_array, to_bands, write_array
from i2i.data.images.formats import DecodedFile
from i2i.data.images.formats.tiff import Tag, rescaled
from i2i.data.images.read import read_image
from i2i.errors import DataError

RANDOM = np.random.default_rng(0)


def values(dtype: str, channels: int, height: int = 21, width: int = 34) -> Any:
    if np.dtype(dtype).kind == "f":
        return RANDOM.normal(0, 100, (height, width, channels)).astype(dtype)
    limits = np.iinfo(dtype)
    return RANDOM.integers(
        limits.min, limits.max, (height, width, channels), dtype=dtype, endpoint=True
    )


TIFFS: dict[str, dict[str, Any]] = {
    "contig": {"planarconfig": "contig"},
    "planar": {"planarconfig": "separate"},
    "tiled": {"planarconfig": "contig", "tile": (16, 16)},
    "planar, tiled": {"planarconfig": "separate", "tile": (16, 16)},
    "BigTIFF": {"planarconfig": "contig", "bigtiff": True},
    "big-endian": {"planarconfig": "contig", "byteorder": ">"},
    "LZW": {"planarconfig": "contig", "compression": "lzw", "predictor": True},
    "deflate": {"planarconfig": "contig", "compression": "zlib"},
}


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "float32"])
@pytest.mark.parametrize("layout", TIFFS)
@pytest.mark.parametrize("channels", [2, 3, 6])
def test_tiff(tmp_path: Path, layout: str, dtype: str, channels: int) -> None:
    settings = dict(TIFFS[layout])
    file = {key: settings.pop(key) for key in ("bigtiff", "byteorder") if key in settings}
    if settings.get("predictor") and dtype == "float32":
        settings["predictor"] = 3
    there = values(dtype, channels)
    path = tmp_path / "a.tif"
    planar = settings["planarconfig"] == "separate"
    with tifffile.TiffWriter(path, **file) as writer:
        writer.write(
            there.transpose(2, 0, 1) if planar else there, photometric="minisblack", **settings
        )
    read = read_array(path)
    assert read.values.dtype == dtype
    np.testing.assert_array_equal(read.values, there)
    write_array(read.values, tmp_path / "b.tif", ".tif", read.info)
    again = tifffile.imread(tmp_path / "b.tif")
    np.testing.assert_array_equal(again.transpose(1, 2, 0) if planar else again, there)
    with tifffile.TiffFile(tmp_path / "b.tif") as written:
        assert (written.pages[0].planarconfig == 2) == planar


def test_pages_of_one_band_each_are_bands(tmp_path: Path) -> None:
    there = values("uint16", 4)
    with tifffile.TiffWriter(tmp_path / "a.tif") as writer:
        for band in range(4):
            writer.write(there[:, :, band], photometric="minisblack")
    read = read_array(tmp_path / "a.tif")
    np.testing.assert_array_equal(read.values, there)
    np.testing.assert_array_equal(to_bands(read, 1), there[:, :, :1])
    write_array(read.values, tmp_path / "b.tif", ".tif", read.info)
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "b.tif").transpose(1, 2, 0), there)


def test_overviews_and_masks_are_no_bands(tmp_path: Path) -> None:
    there = values("uint16", 1)[:, :, 0]
    with tifffile.TiffWriter(tmp_path / "a.tif") as writer:
        writer.write(there, photometric="minisblack")
        writer.write(there[::2, ::2], photometric="minisblack", subfiletype=1)
    np.testing.assert_array_equal(read_array(tmp_path / "a.tif").values[:, :, 0], there)


@pytest.mark.parametrize("dtype", ["uint8", "int16", "int32", "float16", ">f8"])
@pytest.mark.parametrize("shape", [(5, 7), (5, 7, 1), (5, 7, 9)])
@pytest.mark.parametrize("suffix", [".npy", ".npz"])
def test_numpy(tmp_path: Path, suffix: str, dtype: str, shape: tuple[int, ...]) -> None:
    there = RANDOM.uniform(0, 100, shape).astype(dtype)
    path = tmp_path / f"a{suffix}"
    if suffix == ".npy":
        np.save(path, there)
    else:
        np.savez_compressed(path, bands=there)
    read = read_array(path)
    np.testing.assert_array_equal(read.values, there.reshape(5, 7, -1))
    write_array(read.values, tmp_path / f"b{suffix}", suffix, read.info)
    again = np.load(tmp_path / f"b{suffix}")
    again = again if suffix == ".npy" else again["bands"]
    assert again.shape == there.shape
    np.testing.assert_array_equal(again, there)


def test_of_several_arrays_one_is_called_image(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    np.savez(path, mask=np.zeros((3, 4)), image=np.ones((3, 4, 2)))
    assert (read_array(path).values == 1).all()
    np.savez(path, a=np.zeros((3, 4)), b=np.ones((3, 4, 2)))
    with pytest.raises(DataError, match="holds the arrays a, b"):
        read_array(path)


def test_float_maps_lie_upside_down(tmp_path: Path) -> None:
    there = values("float32", 3, 2, 3)
    data = b"PF\n3 2\n1.0\n" + there[::-1].astype(">f4").tobytes()
    (tmp_path / "a.pfm").write_bytes(data)
    np.testing.assert_array_equal(read_array(tmp_path / "a.pfm").values, there)
    write_array(there[:, :, :1], tmp_path / "b.pfm", ".pfm")
    head, size, scale, rest = (tmp_path / "b.pfm").read_bytes().split(b"\n", 3)
    assert (head, size) == (b"Pf", b"3 2")
    assert float(scale) < 0
    np.testing.assert_array_equal(np.frombuffer(rest, "<f4").reshape(2, 3)[::-1], there[:, :, 0])


@pytest.mark.parametrize(
    ("mode", "bands"), [("L", 1), ("LA", 2), ("RGB", 3), ("RGBA", 4), ("I;16", 1)]
)
def test_png(tmp_path: Path, mode: str, bands: int) -> None:
    there = values("uint16" if mode == "I;16" else "uint8", bands)
    Image.fromarray(there[:, :, 0] if bands == 1 else there).save(tmp_path / "a.png")
    read = read_array(tmp_path / "a.png")
    np.testing.assert_array_equal(read.values, there)
    assert bool(read.info.get("alpha")) == (mode in ("LA", "RGBA"))


def test_what_stands_for_something_else_is_converted(tmp_path: Path) -> None:
    image = Image.fromarray(values("uint8", 3))
    for mode, expected in (("CMYK", "RGB"), ("YCbCr", "RGB"), ("1", "L"), ("P", "RGB")):
        made = image.convert(mode)
        made.save(tmp_path / "a.tif", compression=None)
        read = read_array if mode in ("1",) else None
        there = np.array(made.convert(expected))
        if read is not None:
            np.testing.assert_array_equal(read(tmp_path / "a.tif").values[:, :, 0] > 0, there > 0)
            continue
        np.testing.assert_array_equal(read_image(tmp_path / "a.tif", 3), there)
        np.testing.assert_array_equal(read_array(tmp_path / "a.tif").values, there)


def test_bands_become_what_was_asked_for() -> None:
    colours = values("uint16", 3)
    assert to_bands(DecodedFile(colours), 1).dtype == np.uint16
    luma = colours @ np.array([0.299, 0.587, 0.114])
    assert np.abs(to_bands(DecodedFile(colours), 1)[:, :, 0] - luma).max() <= 0.5
    grey = colours[:, :, :1]
    assert (to_bands(DecodedFile(grey), 3) == grey).all()
    seen = np.full((2, 2, 4), 65535, np.uint16)
    seen[0, :, 3] = 0  # transparent, over white
    seen[:, :, :3] = 100
    made = to_bands(DecodedFile(seen, {"alpha": True}), 3)
    assert made[:, 0].tolist() == [[65535] * 3, [100] * 3]
    opaque = to_bands(DecodedFile(colours), 4)
    assert (opaque[:, :, 3] == 65535).all()
    with pytest.raises(DataError, match=r"it has 4 bands, where 3 .*channels = 4"):
        to_bands(DecodedFile(values("uint16", 4)), 3)
    with pytest.raises(DataError, match="the last axis"):
        to_bands(DecodedFile(np.zeros((6, 30, 40))), 6)


@pytest.mark.parametrize(
    ("suffix", "channels", "dtype", "expected"),
    [
        (".png", 3, "uint8", ".png"),
        (".png", 4, "uint16", ".png"),
        (".png", 6, "uint8", ".tif"),
        (".png", 1, "float32", ".tif"),
        (".jpg", 3, "uint16", ".tif"),
        (".jpg", 4, "uint8", ".tif"),
        (".npy", 9, "float32", ".npy"),
        (".pfm", 3, "float32", ".pfm"),
        (".pfm", 3, "uint8", ".tif"),
        (".tiff", 6, "int16", ".tiff"),
    ],
)
def test_results_go_where_they_fit(
    tmp_path: Path, suffix: str, channels: int, dtype: str, expected: str
) -> None:
    assert fitting_suffix(suffix, channels, np.dtype(dtype)) == expected
    there = values(dtype, channels)
    path = tmp_path / f"a{expected}"
    write_array(there, path, expected)
    if expected != ".jpg":
        np.testing.assert_array_equal(read_array(path).values, there)
    if expected != suffix:
        with pytest.raises(DataError, match="hold"):
            write_array(there, tmp_path / f"b{suffix}", suffix)


GEO = (
    Tag(33550, 12, 3, (10.0, 10.0, 0.0)),
    Tag(33922, 12, 6, (4.0, 2.0, 0.0, 600000.0, 5100000.0, 0.0)),
    Tag(34735, 3, 8, (1, 1, 0, 1, 1024, 0, 1, 1)),
    Tag(42113, 2, 2, "0"),
    Tag(282, 5, 1, (72, 1)),
    Tag(283, 5, 1, (72, 1)),
    Tag(296, 3, 1, 3),
)


def test_where_on_earth_it_is_stays(tmp_path: Path) -> None:
    there = values("uint16", 5)
    write_array(there, tmp_path / "a.tif", ".tif", {"tags": GEO})
    read = read_array(tmp_path / "a.tif")
    assert {tag.code: tag.value for tag in read.info["tags"]} == {t.code: t.value for t in GEO}
    write_array(there[:, :, :3].astype(np.uint8), tmp_path / "b.tif", ".tif", read.info)
    with tifffile.TiffFile(tmp_path / "b.tif") as file:
        tags = file.pages[0].tags
        assert tags[33922].value == GEO[1].value
        assert tags[34735].value == GEO[2].value
        assert tags[42113].value == "0"
        assert tags[282].value == (72, 1)
        assert tags[296].value == 3


def test_a_larger_image_of_the_same_ground_has_smaller_pixels() -> None:
    tags = {tag.code: tag.value for tag in rescaled(GEO, 2, 4)}
    assert tags[33550] == (5.0, 2.5, 0.0)
    assert tags[33922] == (8.0, 8.0, 0.0, 600000.0, 5100000.0, 0.0)
    assert tags[282] == (144, 1)
    assert tags[283] == (288, 1)


@pytest.mark.parametrize(
    ("name", "data", "why"),
    [
        ("a.npy", b"\x93NUMPY\x01\x00", "EOF"),
        ("a.npz", b"PK\x03\x04nothing", "zip"),
        ("a.pfm", b"PF\n3 2\n1.0\nshort", "declares 72 bytes"),
        ("a.pfm", b"PF\nx", "no head"),
        ("a.tif", b"II*\0\x08\0\0\0", ""),
        ("a.npy", b"", ""),
    ],
)
def test_what_is_wrong_is_said(tmp_path: Path, name: str, data: bytes, why: str) -> None:
    path = tmp_path / name
    path.write_bytes(data)
    with pytest.raises(DataError, match=f"a\\.\\w+' cannot be (read|used).*{why}"):
        read_array(path)


def test_objects_are_not_unpickled(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.array([[object()]]), allow_pickle=True)
    with pytest.raises(DataError, match="where numbers were expected"):
        read_array(tmp_path / "a.npy")


def test_a_declared_size_is_not_believed(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.zeros((4, 4)))
    data = (tmp_path / "a.npy").read_bytes().replace(b"(4, 4)", b"(9**9,4)"[:6])
    (tmp_path / "a.npy").write_bytes(data)
    with pytest.raises(DataError, match="cannot be read"):
        read_array(tmp_path / "a.npy")


def test_pictures_of_bands_are_stretched() -> None:
    there = np.zeros((10, 10, 6), np.float32)
    there[:, :, 2] = np.arange(100).reshape(10, 10) * 1e4
    picture = np.array(as_picture(there, (3, 1, 2)))
    assert picture.shape == (10, 10, 3)
    assert (picture[0, 0, 0], picture[-1, -1, 0]) == (0, 255)
    assert not picture[:, :, 1:].any()
