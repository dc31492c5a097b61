"""An image that is read and written again is the same file for whoever looks at it."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

from i2i.data.images import file as image_file
from i2i.data.images import read as reading
from i2i.data.images import sixteen_bit as sixteen
from i2i.data.images.file import LoadedImage, from_image, read, resize, to_image, write
from i2i.data.images.formats import image_suffixes, writers
from i2i.errors import DataError

RNG = np.random.default_rng(11)
PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
GREY_PROFILE = PROFILE[:16] + b"GRAY" + PROFILE[20:]


def noise(*shape: int) -> np.ndarray:
    return RNG.integers(0, 256, shape, dtype=np.uint8)


def words(*shape: int) -> np.ndarray:
    return RNG.integers(0, 65536, shape, dtype=np.uint16)


def assert_same(one: LoadedImage, other: LoadedImage) -> None:
    assert one.pixels.dtype == other.pixels.dtype
    np.testing.assert_array_equal(one.pixels, other.pixels)
    assert (one.alpha is None) == (other.alpha is None)
    if one.alpha is not None:
        np.testing.assert_array_equal(one.alpha, other.alpha)
    assert one.profile == other.profile


@pytest.mark.parametrize("suffix", [".png", ".tif", ".webp"])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("has_alpha", [False, True])
@pytest.mark.parametrize("profile", [None, PROFILE, GREY_PROFILE])
def test_eight_bits_come_back(
    tmp_path: Path, suffix: str, channels: int, has_alpha: bool, profile: bytes | None
) -> None:
    fits = profile is None or (profile is PROFILE) == (channels == 3)
    image = LoadedImage(noise(16, 16, channels), noise(16, 16) if has_alpha else None, profile)
    path = tmp_path / f"x{suffix}"
    write(image, path, suffix)
    expected = image if fits else image._replace(profile=None)
    assert_same(read(path, channels, keep_alpha=True), expected)


@pytest.mark.parametrize("suffix", [".png", ".tif", ".tiff"])
@pytest.mark.parametrize(("channels", "has_alpha"), [(1, False), (3, False), (3, True)])
def test_sixteen_bits_come_back(
    tmp_path: Path, suffix: str, channels: int, has_alpha: bool
) -> None:
    image = LoadedImage(
        words(9, 21, channels),
        words(9, 21) if has_alpha else None,
        PROFILE if channels == 3 else GREY_PROFILE,
    )
    path = tmp_path / f"x{suffix}"
    write(image, path, suffix)
    assert_same(read(path, channels, keep_alpha=True), image)


def test_sixteen_bits_of_grey_with_alpha_come_back_from_png(tmp_path: Path) -> None:
    image = LoadedImage(words(9, 21, 1), words(9, 21))
    write(image, tmp_path / "x.png", ".png")
    assert_same(read(tmp_path / "x.png", 1, keep_alpha=True), image)


def test_jpeg_keeps_the_profile(tmp_path: Path) -> None:
    write(LoadedImage(noise(8, 8, 3), None, PROFILE), tmp_path / "x.jpg", ".jpg")
    assert read(tmp_path / "x.jpg", 3, keep_alpha=False).profile == PROFILE


def test_a_profile_for_inks_is_not_put_on_rgb(tmp_path: Path) -> None:
    profile = PROFILE[:16] + b"CMYK" + PROFILE[20:]
    Image.new("CMYK", (8, 8), (10, 20, 30, 40)).save(tmp_path / "x.jpg", icc_profile=profile)
    image = read(tmp_path / "x.jpg", 3, keep_alpha=False)
    write(image, tmp_path / "y.jpg", ".jpg")
    assert read(tmp_path / "y.jpg", 3, keep_alpha=False).profile is None


@pytest.mark.parametrize("suffix", [".jpg", ".webp", ".bmp"])
def test_sixteen_bits_are_rounded_where_only_eight_are_possible(
    tmp_path: Path, suffix: str
) -> None:
    values = np.array([0, 128, 129, 257, 32768, 65406, 65407, 65535], np.uint16)
    expected = np.array([0, 0, 1, 1, 128, 254, 255, 255])
    blocks = values.repeat(128).reshape(-1, 16, 8, 1).transpose(1, 0, 2, 3).reshape(16, 64, 1)
    write(LoadedImage(blocks.repeat(3, 2)), tmp_path / "x", suffix)
    back = read(tmp_path / "x", 3, keep_alpha=False).pixels.astype(int)
    shown = back.reshape(16, 8, 8, 3).transpose(1, 0, 2, 3).reshape(8, -1)
    assert np.abs(shown - expected[:, None]).max() <= (suffix == ".jpg")


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "CMYK", "LA", "RGBA"])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_without_alpha_images_are_those_of_the_training(mode: str, channels: int) -> None:
    image = Image.fromarray(noise(7, 5, 4)).convert("RGB" if mode == "CMYK" else "RGBA")
    image = image.convert(mode)
    expected = reading.to_pixels(image, channels)
    np.testing.assert_array_equal(from_image(image, channels, keep_alpha=False).pixels, expected)


@pytest.mark.parametrize("channels", [1, 3])
def test_colours_beside_the_alpha_are_those_of_the_file(channels: int) -> None:
    pixels = noise(6, 5, 4)
    image = from_image(Image.fromarray(pixels), channels, keep_alpha=True)
    opaque = Image.fromarray(np.ascontiguousarray(pixels[..., :3]))
    np.testing.assert_array_equal(image.alpha, pixels[..., 3])
    np.testing.assert_array_equal(image.pixels, reading.to_pixels(opaque, channels))


def test_transparent_entries_of_a_palette_become_alpha(tmp_path: Path) -> None:
    image = Image.fromarray(np.array([[0, 1, 1]], dtype=np.uint8))
    image.putpalette([200, 100, 50, 10, 20, 30])
    image.save(tmp_path / "x.png", transparency=1)
    image = read(tmp_path / "x.png", 3, keep_alpha=True)
    np.testing.assert_array_equal(image.pixels, [[[200, 100, 50], [10, 20, 30], [10, 20, 30]]])
    np.testing.assert_array_equal(image.alpha, [[255, 0, 0]])


def test_sixteen_bits_are_converted_as_eight_are(tmp_path: Path) -> None:
    """Values that are multiples of 257 stand for the same image of 8 bits."""
    pixels = noise(8, 9, 4)
    sixteen.write_png(pixels.astype(np.uint16) * 257, tmp_path / "x.png", None)
    image = Image.fromarray(pixels)
    for channels in (1, 3, 4):
        for keep_alpha in (False, True):
            deep = read(tmp_path / "x.png", channels, keep_alpha=keep_alpha)
            flat = from_image(image, channels, keep_alpha=keep_alpha)
            assert deep.pixels.dtype == np.uint16
            assert np.abs(deep.pixels / 257 - flat.pixels).max() <= 1
            assert (deep.alpha is None) == (flat.alpha is None)
            if flat.alpha is not None:
                np.testing.assert_array_equal(deep.alpha, flat.alpha.astype(np.uint16) * 257)


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_grey_of_sixteen_bits_is_repeated(channels: int) -> None:
    values = words(5, 6)
    image = from_image(Image.fromarray(values), channels, keep_alpha=True)
    expected = values[..., None].repeat(channels, 2)
    if channels == 4:
        expected[..., 3] = 65535
    np.testing.assert_array_equal(image.pixels, expected)


def test_floating_point_becomes_sixteen_bits() -> None:
    image = Image.fromarray(np.array([[0, 0.5, 1]], dtype=np.float32))
    np.testing.assert_array_equal(
        from_image(image, 1, keep_alpha=True).pixels[..., 0], [[0, 32768, 65535]]
    )
    with pytest.raises(DataError, match=r"0\.\.1"):
        from_image(Image.fromarray(np.array([[2.0]], dtype=np.float32)), 1, keep_alpha=True)


def test_files_that_are_none_are_named(tmp_path: Path) -> None:
    (tmp_path / "x.png").write_text("no image")
    with pytest.raises(DataError, match=r"x\.png' cannot be read: it is no image"):
        read(tmp_path / "x.png", 3, keep_alpha=True)
    Image.fromarray(np.array([[2.0]], dtype=np.float32)).save(tmp_path / "x.tif")
    with pytest.raises(DataError, match=r"x\.tif' cannot be used: .*0\.\.1"):
        read(tmp_path / "x.tif", 3, keep_alpha=True)


# Resizing


def test_eight_bits_are_resized_by_pillow() -> None:
    pixels = noise(20, 50, 3)
    expected = Image.fromarray(pixels).resize((20, 8), Image.Resampling.BICUBIC)
    np.testing.assert_array_equal(resize(LoadedImage(pixels), 8).pixels, np.array(expected))


@pytest.mark.parametrize("channels", [1, 3])
def test_sixteen_bits_are_resized_like_eight_but_finer(channels: int) -> None:
    pixels = noise(20, 50, channels)
    flat = resize(LoadedImage(pixels), 8).pixels
    deep = resize(LoadedImage(pixels.astype(np.uint16) * 257), 8).pixels
    assert deep.dtype == np.uint16
    assert np.abs(deep / 257 - flat).max() <= 1
    assert (deep % 257 != 0).any()


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_hidden_colours_stay_hidden(dtype: type) -> None:
    """Red on the left is opaque, green on the right invisible: no green may show at the border."""
    most = np.iinfo(dtype).max
    pixels = np.zeros((16, 32, 3), dtype)
    pixels[:, :16, 0] = pixels[:, 16:, 1] = most
    alpha = np.zeros((16, 32), dtype)
    alpha[:, :16] = most
    small = resize(LoadedImage(pixels, alpha), 5)
    assert small.alpha is not None
    assert small.alpha.shape == (5, 10)
    shows = small.alpha > 0.02 * most
    assert ((small.alpha > 0) & (small.alpha < most)).any()
    np.testing.assert_array_equal(small.pixels[shows], [[most, 0, 0]] * shows.sum())
    assert (small.pixels[:, -1] == [0, most, 0]).all()

    four = resize(LoadedImage(np.dstack([pixels, alpha]).astype(np.uint16)), 5)
    assert four.pixels.shape == (5, 10, 4)
    assert four.alpha is None


# As Pillow images


def test_images_have_the_modes_of_pillow() -> None:
    for loaded, mode in (
        (LoadedImage(noise(3, 4, 1)), "L"),
        (LoadedImage(noise(3, 4, 1), noise(3, 4)), "LA"),
        (LoadedImage(noise(3, 4, 3), None, PROFILE), "RGB"),
        (LoadedImage(noise(3, 4, 3), noise(3, 4)), "RGBA"),
        (LoadedImage(noise(3, 4, 4), noise(3, 4)), "RGBA"),
        (LoadedImage(words(3, 4, 1)), "I;16"),
        (LoadedImage(words(3, 4, 3)), "RGB"),
    ):
        image = to_image(loaded)
        assert image.mode == mode
        assert image.info.get("icc_profile") == loaded.profile
        if mode != "RGB":
            back = from_image(image, loaded.pixels.shape[2], keep_alpha=True)
            np.testing.assert_array_equal(back.pixels, loaded.pixels)
    with pytest.raises(DataError, match="2 channels"):
        to_image(LoadedImage(noise(3, 4, 2)))


def test_every_format_of_reading_can_be_written() -> None:
    assert image_file.FORMATS.keys() | writers().keys() >= image_suffixes()
    assert set(image_file.FORMATS) >= image_file.HOLD_ALPHA
