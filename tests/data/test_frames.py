"""Pages and animations, there and back."""

from pathlib import Path

import numpy as np
import pytest
from known import RNG, noise
from PIL import Image, features

from i2i.data.images import frames
from i2i.data.images import sixteen_bit as sixteen
from i2i.data.images.file import LoadedImage
from i2i.data.images.frames import Frames
from i2i.errors import DataError


def read(path: Path, channels: int = 3, suffix: str | None = None) -> Frames:
    return frames.read(path, channels, suffix=suffix or path.suffix, keep_alpha=True)


def test_pages_of_any_size_depth_and_kind(tmp_path: Path) -> None:
    pages = [LoadedImage(noise(5, 8)), LoadedImage(noise(9, 4, 1)), LoadedImage(noise(3, 3, 4))]
    frames.write(Frames(pages), tmp_path / "a.tif", ".tif")
    with Image.open(tmp_path / "a.tif") as image:
        assert image.n_frames == 3
        for number, page in enumerate(pages):
            image.seek(number)
            np.testing.assert_array_equal(np.array(image), page.pixels.squeeze())
    found = read(tmp_path / "a.tif", channels=4)
    assert found.durations == ()
    assert [page.pixels.shape for page in found.images] == [(5, 8, 4), (9, 4, 4), (3, 3, 4)]
    np.testing.assert_array_equal(found.images[0].pixels[..., :3], pages[0].pixels)
    np.testing.assert_array_equal(found.images[2].pixels, pages[2].pixels)


@pytest.mark.parametrize("channels", [1, 3])
def test_pages_of_sixteen_bits_keep_them(tmp_path: Path, channels: int) -> None:
    deep = [RNG.integers(0, 65536, (6, 70, channels), dtype=np.uint16) for _ in range(3)]
    odd = RNG.integers(0, 65536, (5, 3, channels), dtype=np.uint16)  # strips of odd lengths
    pages = [*map(LoadedImage, [*deep, odd]), LoadedImage(noise(4, 4, channels))]
    frames.write(Frames(pages), tmp_path / "a.tiff", ".tiff")
    found = read(tmp_path / "a.tiff", channels).images
    for page, expected in zip(found[:-1], [*deep, odd], strict=True):
        np.testing.assert_array_equal(page.pixels, expected)
    np.testing.assert_array_equal(found[-1].pixels, pages[-1].pixels.astype(np.uint16) * 257)


def test_one_page_is_written_as_before(tmp_path: Path) -> None:
    values = RNG.integers(0, 65536, (70, 5, 3), dtype=np.uint16)
    sixteen.write_tiff(values, tmp_path / "a.tif", None)
    np.testing.assert_array_equal(sixteen.read_colours(tmp_path / "a.tif"), values)


def test_thumbnails_and_masks_are_no_pages(tmp_path: Path) -> None:
    from PIL.TiffImagePlugin import ImageFileDirectory_v2

    pages = [Image.fromarray(noise(8, 8)) for _ in range(2)]
    reduced = Image.fromarray(noise(4, 4))
    tags = ImageFileDirectory_v2()
    tags[254] = 1  # a reduced version of another page
    reduced.encoderinfo = {"tiffinfo": tags}
    pages[0].save(tmp_path / "a.tif", save_all=True, append_images=[reduced, pages[1]])
    with Image.open(tmp_path / "a.tif") as image:
        assert image.n_frames == 3
        kept = frames.numbers(image)
    if kept == [0, 1, 2]:
        pytest.skip("this Pillow does not write the tag of a single page")
    assert kept == [0, 2]


ANIMATIONS = [".gif", ".png", ".webp", *([".avif"] if features.check("avif") else [])]


@pytest.mark.parametrize("suffix", ANIMATIONS)
@pytest.mark.parametrize("channels", [1, 3])
def test_animations_keep_their_frames_durations_and_repetitions(
    tmp_path: Path, suffix: str, channels: int
) -> None:
    # Of one colour each, which palettes and losses leave as it is.
    images = [np.full((16, 16, channels), value, np.uint8) for value in (10, 90, 170, 250)]
    durations = (40.0, 120.0, 80.0, 200.0)
    frames.write(Frames([*map(LoadedImage, images)], durations, 3), tmp_path / f"a{suffix}", suffix)
    with Image.open(tmp_path / f"a{suffix}") as image:
        assert image.n_frames == 4
    found = read(tmp_path / f"a{suffix}", channels)
    assert found.durations == durations
    assert found.loop == (None if suffix == ".avif" else 3)
    for frame, expected in zip(found.images, images, strict=True):
        assert np.abs(frame.pixels.astype(int) - expected).max() <= (6 if suffix == ".avif" else 1)


@pytest.mark.parametrize("suffix", [".gif", ".png", ".webp"])
def test_transparent_frames_do_not_show_the_frame_before(tmp_path: Path, suffix: str) -> None:
    pixels = noise(16, 16) // 64 * 64
    alphas = [np.zeros((16, 16), np.uint8) for _ in range(3)]
    for number, alpha in enumerate(alphas):
        alpha[:, 5 * number : 5 * number + 5] = 255
    animation = Frames([LoadedImage(pixels, alpha) for alpha in alphas], (50.0,) * 3, 0)
    frames.write(animation, tmp_path / f"a{suffix}", suffix)
    for frame, alpha in zip(read(tmp_path / f"a{suffix}").images, alphas, strict=True):
        np.testing.assert_array_equal(frame.alpha, alpha)


def test_what_the_other_file_cannot_hold_is_refused(tmp_path: Path) -> None:
    images = [Image.fromarray(noise(8, 8)) for _ in range(5)]
    images[0].save(tmp_path / "a.tif", save_all=True, append_images=images[1:])
    with pytest.raises(DataError, match=r"a\.tif.* holds 5 pages, .* ends in \.png cannot hold"):
        read(tmp_path / "a.tif", suffix=".png")
    images[0].save(tmp_path / "a.gif", save_all=True, append_images=images[1:])
    with pytest.raises(DataError, match=r"holds 5 frames, .* ends in \.jpg cannot .*\.gif, \.png"):
        read(tmp_path / "a.gif", suffix=".jpg")


def test_more_than_fits_into_memory_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = [Image.fromarray(noise(8, 8)) for _ in range(5)]
    images[0].save(tmp_path / "a.tif", save_all=True, append_images=images[1:])
    monkeypatch.setattr(frames, "MOST_BYTES", 5 * 8 * 8 * 3)
    assert len(read(tmp_path / "a.tif").images) == 5
    monkeypatch.setattr(frames, "MOST_BYTES", 5 * 8 * 8 * 3 - 1)
    with pytest.raises(DataError, match=r"5 pages of 8 x 8 pixels take .* split it"):
        read(tmp_path / "a.tif")


def test_a_broken_frame_is_the_fault_of_its_file(tmp_path: Path) -> None:
    images = [Image.fromarray(noise(32, 32)) for _ in range(4)]
    images[0].save(tmp_path / "a.webp", save_all=True, append_images=images[1:], lossless=True)
    whole = (tmp_path / "a.webp").read_bytes()
    (tmp_path / "a.webp").write_bytes(whole[: len(whole) * 2 // 3])
    with pytest.raises(DataError, match=r"a\.webp' cannot be read"):
        read(tmp_path / "a.webp")


@pytest.mark.parametrize("suffix", [".gif", ".png", ".webp"])
def test_a_grey_image_keeps_its_transparency(tmp_path: Path, suffix: str) -> None:
    alpha = np.zeros((8, 8), np.uint8)
    alpha[:4] = 255
    frames.write(
        Frames([LoadedImage(np.full((8, 8, 1), 90, np.uint8), alpha)]), tmp_path / "a", suffix
    )
    [found] = read(tmp_path / "a", 1, suffix).images
    np.testing.assert_array_equal(found.alpha, alpha)
    assert (found.pixels[:4] == 90).all()
