"""A file becomes the pixels that a person sees in it, or an error that names it."""

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from i2i.data.images.read import list_images, read_image, to_channels, to_pixels
from i2i.errors import DataError

RNG = np.random.default_rng(7)


def noise(*shape: int) -> np.ndarray:
    return RNG.integers(0, 256, shape, dtype=np.uint8)


def smooth(height: int, width: int) -> np.ndarray:
    rows, columns = np.mgrid[0:height, 0:width]
    return np.stack([4 * rows, 4 * columns, 2 * (rows + columns)], axis=2).astype(np.uint8)


def touch(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    return path


def luma(rgb: np.ndarray) -> np.ndarray:
    """Grey as ITU-R BT.601 has it, in floating point."""
    return rgb @ np.array([0.299, 0.587, 0.114])


def test_images_are_listed_naturally_and_hidden_ones_are_not(tmp_path: Path) -> None:
    wanted = ["2.JPG", "10.jpeg", "a/1.png", "a/1b.webp", "a/02.tif", "b.TIFF", "c.bmp"]
    for name in [*wanted, ".x.jpg", ".thumbs/1.jpg", "a/notes.txt", "jpg", "animation.gif"]:
        touch(tmp_path / name)
    listed = [path.relative_to(tmp_path).as_posix() for path in list_images(tmp_path)]
    assert listed == wanted


def test_linked_folders_are_followed_but_not_in_circles(tmp_path: Path) -> None:
    elsewhere = touch(tmp_path / "elsewhere" / "1.png").parent
    root = touch(tmp_path / "root" / "2.png").parent
    (root / "link").symlink_to(elsewhere)
    (root / "circle").symlink_to(root)
    assert sorted(path.name for path in list_images(root)) == ["1.png", "2.png"]


def test_a_folder_that_is_not_there_gets_a_suggestion(tmp_path: Path) -> None:
    (tmp_path / "facades").mkdir()
    with pytest.raises(DataError, match=r"facade'.* Did you mean 'facades'\?"):
        list_images(tmp_path / "facade")
    with pytest.raises(DataError, match="is a file"):
        list_images(touch(tmp_path / "1.png"))


@pytest.mark.parametrize("suffix", ["png", "bmp", "tif", "webp"])
def test_lossless_formats_keep_every_value(tmp_path: Path, suffix: str) -> None:
    pixels = noise(5, 7, 3)
    path = tmp_path / f"x.{suffix}"
    Image.fromarray(pixels).save(path, lossless=True)
    read = read_image(path, 3)
    assert read.flags.writeable
    assert read.dtype == np.uint8
    np.testing.assert_array_equal(read, pixels)


def test_jpeg_is_close(tmp_path: Path) -> None:
    pixels = smooth(32, 48)
    Image.fromarray(pixels).save(tmp_path / "x.jpg", quality=95)
    assert np.abs(read_image(tmp_path / "x.jpg", 3).astype(int) - pixels).mean() < 2


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


@pytest.mark.parametrize("suffix", ["png", "tif"])
@pytest.mark.parametrize("orientation", UPRIGHT)
def test_exif_orientation_is_honoured(tmp_path: Path, orientation: int, suffix: str) -> None:
    pixels = noise(3, 5, 3)
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / f"x.{suffix}"
    Image.fromarray(pixels).save(path, exif=exif)
    np.testing.assert_array_equal(read_image(path, 3), UPRIGHT[orientation](pixels))


def test_a_broken_exif_block_does_not_cost_the_image(tmp_path: Path) -> None:
    pixels = noise(4, 4, 3)
    Image.fromarray(pixels).save(tmp_path / "x.png", exif=b"Exif\0\0II*\0\xff\xff")
    np.testing.assert_array_equal(read_image(tmp_path / "x.png", 3), pixels)


def test_grey_is_repeated_and_colour_becomes_luma() -> None:
    grey, colour = noise(6, 4), noise(6, 4, 3)
    repeated = to_pixels(Image.fromarray(grey), 3)
    np.testing.assert_array_equal(repeated, np.stack([grey] * 3, axis=2))
    as_luma = to_pixels(Image.fromarray(colour), 1)
    assert as_luma.shape == (6, 4, 1)
    assert np.abs(as_luma[..., 0] - luma(colour)).max() <= 0.51
    np.testing.assert_array_equal(to_pixels(Image.fromarray(grey), 1)[..., 0], grey)


def test_a_palette_becomes_its_colours(tmp_path: Path) -> None:
    palette = noise(256, 3)
    indices = noise(5, 6)
    image = Image.fromarray(indices)
    image.putpalette(palette.tobytes())
    assert image.mode == "P"
    image.save(tmp_path / "x.png")
    np.testing.assert_array_equal(read_image(tmp_path / "x.png", 3), palette[indices])
    grey = read_image(tmp_path / "x.png", 1)[..., 0]
    assert np.abs(grey - luma(palette[indices])).max() <= 0.51


def test_transparency_is_composited_over_white() -> None:
    pixels = noise(8, 8, 4)
    alpha = pixels[..., 3:] / 255
    expected = pixels[..., :3] * alpha + 255 * (1 - alpha)
    over_white = to_pixels(Image.fromarray(pixels), 3)
    assert np.abs(over_white - expected).max() <= 1
    np.testing.assert_array_equal(to_pixels(Image.fromarray(pixels), 4), pixels)

    grey_alpha = Image.fromarray(pixels[..., 2:].copy())
    assert grey_alpha.mode == "LA"
    expected = pixels[..., 2] * alpha[..., 0] + 255 * (1 - alpha[..., 0])
    assert np.abs(to_pixels(grey_alpha, 1)[..., 0] - expected).max() <= 1


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("transparency", [1, bytes([255, 0])])
def test_a_transparent_palette_entry_is_white(
    tmp_path: Path, transparency: int | bytes, channels: int
) -> None:
    image = Image.fromarray(np.array([[0, 1]], dtype=np.uint8))
    image.putpalette([200, 200, 200, 10, 20, 30])
    image.save(tmp_path / "x.png", transparency=transparency)
    read = read_image(tmp_path / "x.png", channels)
    np.testing.assert_array_equal(read, [[[200] * channels, [255] * channels]])


def test_a_transparent_key_colour_is_white_and_has_no_alpha(tmp_path: Path) -> None:
    pixels = np.array([[[1, 2, 3], [4, 5, 6]]], dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "x.png", transparency=(4, 5, 6))
    np.testing.assert_array_equal(read_image(tmp_path / "x.png", 3), [[[1, 2, 3], [255, 255, 255]]])
    np.testing.assert_array_equal(read_image(tmp_path / "x.png", 4)[..., 3], [[255, 0]])


def test_opaque_images_get_an_opaque_alpha() -> None:
    assert (to_pixels(Image.fromarray(noise(3, 3, 3)), 4)[..., 3] == 255).all()


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_sixteen_bits_are_scaled_and_not_clipped(tmp_path: Path, suffix: str) -> None:
    values = np.array([[0, 128, 129, 257, 32768, 65406, 65407, 65535]], dtype=np.uint16)
    expected = [[0, 0, 1, 1, 128, 254, 255, 255]]  # value / 257, rounded
    path = tmp_path / f"x.{suffix}"
    Image.fromarray(values).save(path)
    np.testing.assert_array_equal(read_image(path, 1)[..., 0], expected)
    np.testing.assert_array_equal(read_image(path, 3)[..., 2], expected)
    wide = Image.fromarray(values.astype(np.int32))
    assert wide.mode == "I"
    np.testing.assert_array_equal(to_pixels(wide, 1)[..., 0], expected)


def test_big_endian_sixteen_bits(tmp_path: Path) -> None:
    image = Image.frombytes("I;16B", (2, 1), struct.pack(">HH", 257, 65535))
    np.testing.assert_array_equal(to_pixels(image, 1)[..., 0], [[1, 255]])


def test_floating_point_is_taken_as_0_to_1(tmp_path: Path) -> None:
    Image.fromarray(np.array([[0, 0.5, 1]], dtype=np.float32)).save(tmp_path / "x.tif")
    np.testing.assert_array_equal(read_image(tmp_path / "x.tif", 1)[..., 0], [[0, 128, 255]])


@pytest.mark.parametrize("value", [-0.1, 1.5, np.nan])
def test_floating_point_of_another_range_is_refused(tmp_path: Path, value: float) -> None:
    path = tmp_path / "x.tif"
    Image.fromarray(np.array([[0, value]], dtype=np.float32)).save(path)
    with pytest.raises(DataError, match=r"x\.tif.*floating point.*0\.\.1"):
        read_image(path, 3)


def test_integers_beyond_sixteen_bits_are_refused() -> None:
    with pytest.raises(DataError, match=r"0\.\.65535; -1\.\.70000"):
        to_channels(Image.fromarray(np.array([[-1, 70000]], dtype=np.int32)), 3)


def test_black_and_white_and_cmyk(tmp_path: Path) -> None:
    bits = Image.fromarray(np.array([[True, False]]))
    assert bits.mode == "1"
    np.testing.assert_array_equal(to_pixels(bits, 1)[..., 0], [[255, 0]])
    np.testing.assert_array_equal(to_pixels(bits, 3), [[[255] * 3, [0] * 3]])

    inks = Image.frombytes("CMYK", (2, 1), bytes([255, 0, 0, 0, 0, 0, 0, 255]))
    inks.save(tmp_path / "x.tif")
    read = read_image(tmp_path / "x.tif", 3)
    np.testing.assert_array_equal(read, [[[0, 255, 255], [0, 0, 0]]])  # cyan, black


def test_other_channels_and_modes_are_refused() -> None:
    with pytest.raises(DataError, match=r"channels \(=2\) must be 1"):
        to_channels(Image.new("RGB", (1, 1)), 2)
    with pytest.raises(DataError, match="'La' cannot be converted to RGB"):
        to_channels(Image.new("LA", (1, 1)).convert("La"), 3)


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tif", "bmp"])
def test_truncated_files_are_named(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"x.{suffix}"
    Image.fromarray(noise(64, 64, 3)).save(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(DataError, match=rf"x\.{suffix}' cannot be read: "):
        read_image(path, 3)


def test_foreign_and_missing_files_are_named(tmp_path: Path) -> None:
    path = tmp_path / "x.png"
    with pytest.raises(DataError, match=r"x\.png' cannot be read: No such file or directory\."):
        read_image(path, 3)
    path.write_text("no image")
    with pytest.raises(DataError, match=r"x\.png' cannot be read: it is no image of a known"):
        read_image(path, 3)


def blank_png(path: Path, width: int, height: int) -> Path:
    """Write only the head of a black and white image; its pixels would take long."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    head = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", b""))
    return path


def test_a_large_photo_is_welcome_and_a_bomb_is_not(tmp_path: Path) -> None:
    # 100 megapixels: Pillow on its own would warn, and a warning is an error here.
    Image.new("1", (10_000, 10_000)).save(tmp_path / "large.png")
    assert read_image(tmp_path / "large.png", 1).shape == (10_000, 10_000, 1)
    bomb = blank_png(tmp_path / "bomb.png", 40_000, 40_000)
    with pytest.raises(DataError, match=r"bomb\.png' cannot be read: .*exceeds limit"):
        read_image(bomb, 1)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("compression", ["raw", "tiff_lzw"])
@pytest.mark.parametrize("mode", ["L", "RGB", "I;16"])
def test_every_orientation_of_a_tiff_however_it_is_stored(
    tmp_path: Path, orientation: int, compression: str, mode: str
) -> None:
    pixels = np.arange(7 * 9, dtype=np.uint8).reshape(7, 9)
    levels = pixels.astype(np.uint16) * 257 if mode == "I;16" else pixels
    image = Image.fromarray(levels)
    exif = Image.Exif()
    exif[0x0112] = orientation
    image = image.convert("RGB") if mode == "RGB" else image
    image.save(tmp_path / "x.tif", compression=compression, exif=exif)
    upright = {
        1: pixels,
        2: pixels[:, ::-1],
        3: pixels[::-1, ::-1],
        4: pixels[::-1],
        5: pixels.T,
        6: np.rot90(pixels, -1),
        7: pixels[::-1, ::-1].T,
        8: np.rot90(pixels),
    }[orientation]
    np.testing.assert_array_equal(read_image(tmp_path / "x.tif", 1)[..., 0], upright)
