"""What belongs to an image besides 8 bits of colour goes from file to file as well."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from known import Recorder, load, negative, noise, save, translator
from PIL import Image, ImageCms

from i2i.data.images import sixteen_bit as sixteen
from i2i.inference.folder import translate_folder
from i2i.networks.resnet import ResNet

PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def all_values(channels: int, dtype: type) -> np.ndarray:
    """Every value that there is, in each channel another one; as square as possible."""
    most = np.iinfo(dtype).max
    side = round((most + 1) ** 0.5)
    values = np.arange(most + 1).reshape(side, side, 1)
    return ((values + 1000 * np.arange(channels)) % (most + 1)).astype(dtype)


@pytest.mark.parametrize("suffix", [".png", ".tif", ".webp", ".bmp"])
@pytest.mark.parametrize("channels", [1, 3])
def test_identity_gives_back_every_value_of_eight_bits(
    tmp_path: Path, suffix: str, channels: int
) -> None:
    pixels = all_values(channels, np.uint8)
    path = save(pixels, tmp_path / "in" / f"x{suffix}", lossless=True)
    translate_folder(translator(Recorder(), channels), path.parent, tmp_path / "out")
    written = load(tmp_path / "out" / path.name)
    np.testing.assert_array_equal(written, load(path))
    np.testing.assert_array_equal(written.reshape(16, 16, -1)[..., :channels], pixels)


@pytest.mark.parametrize("suffix", [".png", ".tif"])
@pytest.mark.parametrize("channels", [1, 3])
def test_identity_gives_back_every_value_of_sixteen_bits(
    tmp_path: Path, suffix: str, channels: int
) -> None:
    pixels = all_values(channels, np.uint16)
    path = tmp_path / "in" / f"x{suffix}"
    path.parent.mkdir()
    assert cv2.imwrite(str(path), pixels[..., ::-1])
    network = Recorder()
    translate_folder(translator(network, channels), path.parent, tmp_path / "out")
    written = cv2.imread(str(tmp_path / "out" / path.name), cv2.IMREAD_UNCHANGED)
    assert written.dtype == np.uint16
    np.testing.assert_array_equal(written.reshape(pixels.shape)[..., ::-1], pixels)
    # The network has seen all of it, too.
    [seen] = network.inputs
    expected = pixels.transpose(2, 0, 1) / 65535.0 * 2 - 1
    assert np.abs(seen[0].numpy() - expected).max() < 1e-6


def test_grey_of_sixteen_bits_becomes_colour_of_sixteen_bits(tmp_path: Path) -> None:
    words = all_values(1, np.uint16)
    path = save(words, tmp_path / "in" / "x.png")
    translate_folder(negative(), path.parent, tmp_path / "out")
    written = cv2.imread(str(tmp_path / "out" / "x.png"), cv2.IMREAD_UNCHANGED)
    np.testing.assert_array_equal(written, 65535 - words.repeat(3, 2))
    translate_folder(negative(), path.parent, tmp_path / "flat", suffix="bmp")
    np.testing.assert_array_equal(
        load(tmp_path / "flat" / "x.bmp")[..., 0], np.rint((65535 - words[..., 0]) / 257)
    )


def test_both_depths_of_one_size_are_not_stacked(tmp_path: Path) -> None:
    for name, values in (("a", noise(8, 8, 1)), ("b", noise(8, 8, 1).astype(np.uint16) * 255)):
        save(values, tmp_path / "in" / f"{name}.png")
    translate_folder(negative(channels=1), tmp_path / "in", tmp_path / "out")
    for name, most in (("a", 255), ("b", 65535)):
        before = load(tmp_path / "in" / f"{name}.png")
        np.testing.assert_array_equal(load(tmp_path / "out" / f"{name}.png"), most - before)


@pytest.mark.parametrize("suffix", [".png", ".tif", ".webp"])
@pytest.mark.parametrize("channels", [1, 3])
def test_alpha_is_carried_over_and_colours_under_it_are_translated(
    tmp_path: Path, suffix: str, channels: int
) -> None:
    pixels = noise(12, 9, 4)
    pixels[..., 1:3] = pixels[..., :1]  # grey, whichever way it is looked at
    path = save(pixels, tmp_path / "in" / f"x{suffix}", lossless=True, exact=True)
    translate_folder(negative(channels=channels), path.parent, tmp_path / "out")
    with Image.open(tmp_path / "out" / path.name) as image:
        assert image.mode == ("LA" if channels == 1 and suffix != ".webp" else "RGBA")
        written = np.array(image.convert("RGBA"))
    np.testing.assert_array_equal(written[..., 3], pixels[..., 3])
    np.testing.assert_array_equal(written[..., :3], 255 - pixels[..., :3])
    translate_folder(negative(channels=channels), path.parent, tmp_path / "small", size=6)
    with Image.open(tmp_path / "small" / path.name) as image:
        assert image.size == (6, 8)
        assert image.has_transparency_data


def test_alpha_that_the_format_cannot_hold_is_composited_over_white(tmp_path: Path) -> None:
    pixels = noise(16, 16, 4)
    path = save(pixels, tmp_path / "in" / "x.png")
    translate_folder(negative(), path.parent, tmp_path / "out", suffix="bmp")
    opacity = pixels[..., 3:] / 255
    over_white = pixels[..., :3] * opacity + 255 * (1 - opacity)
    assert np.abs(load(tmp_path / "out" / "x.bmp") - (255 - over_white)).max() <= 1


def test_a_network_that_takes_alpha_decides_about_it(tmp_path: Path) -> None:
    pixels = noise(8, 8, 4)
    path = save(pixels, tmp_path / "in" / "x.png")
    translate_folder(negative(channels=4), path.parent, tmp_path / "out")
    np.testing.assert_array_equal(load(tmp_path / "out" / "x.png"), 255 - pixels)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif", ".webp"])
@pytest.mark.parametrize("depth", [8, 16])
def test_colour_profile_is_carried_over_if_it_still_fits(
    tmp_path: Path, suffix: str, depth: int
) -> None:
    path = tmp_path / "in" / f"x{suffix}"
    if depth == 8:
        save(noise(8, 8), path, icc_profile=PROFILE)
    elif suffix in (".png", ".tif"):
        path.parent.mkdir()
        words = noise(8, 8).astype(np.uint16) * 255
        (sixteen.write_png if suffix == ".png" else sixteen.write_tiff)(words, path, PROFILE)
    else:
        pytest.skip("there is no such file")
    translate_folder(negative(), path, tmp_path / "colour")
    translate_folder(negative(channels=1), path, tmp_path / "grey")
    for folder, expected in (("colour", PROFILE), ("grey", None)):
        with Image.open(tmp_path / folder / path.name) as image:
            assert image.info.get("icc_profile") == expected


def test_result_of_a_turned_photo_is_upright_and_says_so(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    path = save(noise(6, 9), tmp_path / "in" / "a.jpg", exif=exif)
    translate_folder(negative(), path.parent, tmp_path / "out")
    with Image.open(tmp_path / "out" / "a.jpg") as image:
        assert image.size == (6, 9)
        assert image.getexif().get(0x0112, 1) == 1


def test_large_images_are_translated_in_tiles(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = ResNet(3, 3, width=4, blocks=1, norm="instance")
    pixels = noise(90, 120)
    save(pixels, tmp_path / "in" / "x.png")
    for tile in ("off", 48):
        translate_folder(translator(network, tile=tile), tmp_path / "in", tmp_path / str(tile))
    whole, tiled = (load(tmp_path / name / "x.png").astype(int) for name in ("off", "48"))
    assert np.abs(tiled - whole).max() <= 1
    assert (tiled == whole).mean() > 0.999
