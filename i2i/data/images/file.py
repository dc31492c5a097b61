"""A loaded as a file has it and as a file shall have it again.

Training needs images in one form only, 8 bits and a fixed number of channels (`reading`).
Translation gives back what it was given: 16 bits stay 16 bits, transparency and colour profile are
carried over, and a network that returns its input returns every value of the file.
"""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image, features

from i2i.core.label_maps import RGB
from i2i.core.size import AnySize
from i2i.data.images import read as reading
from i2i.data.images import sixteen_bit as sixteen
from i2i.data.images.formats import DecodedFile, writers
from i2i.errors import DataError

AnyArray = npt.NDArray[Any]
AnyPixels = npt.NDArray[np.unsignedinteger[Any]]

# As faithful as each format can be: lossless where it offers that, and JPEG without subsampling of
# colour, whose halved resolution would show along the sharp edges of label maps. Level 6, the usual
# one of PNG, takes more than twice as long as 4 for files that are 3 % smaller. Without `exact`,
# WebP forgets colours under transparent pixels.
_JPEG: dict[str, Any] = {"format": "JPEG", "quality": 95, "subsampling": "4:4:4"}
_TIFF: dict[str, Any] = {"format": "TIFF", "compression": "tiff_lzw"}
_PPM: dict[str, Any] = {"format": "PPM"}
FORMATS: dict[str, dict[str, Any]] = {
    ".png": {"format": "PNG", "compress_level": 4},
    ".jpg": _JPEG,
    ".jpeg": _JPEG,
    ".webp": {"format": "WEBP", "lossless": True, "exact": True},
    ".tif": _TIFF,
    ".tiff": _TIFF,
    ".bmp": {"format": "BMP"},
    ".gif": {"format": "GIF"},
    ".jfif": _JPEG,
    ".jpe": _JPEG,
    ".pgm": _PPM,
    ".ppm": _PPM,
}
"""How Pillow saves, for each suffix."""

if features.check("avif"):  # Pillow 11.3
    FORMATS[".avif"] = {"format": "AVIF", "quality": 95, "subsampling": "4:4:4"}
if features.check("jpg_2000"):
    FORMATS[".jp2"] = {"format": "JPEG2000", "irreversible": False}

SUFFIXES = {"JPEG": ".jpg", "TIFF": ".tif", "MPO": ".jpg", "PPM": ".ppm"} | {
    str(settings["format"]): suffix
    for suffix, settings in FORMATS.items()
    if settings is not _JPEG and settings is not _TIFF and settings is not _PPM
}
"""What a file in one of Pillow's formats is called; the others cannot be written."""

HOLD_ALPHA = frozenset({".avif", ".gif", ".jp2", ".png", ".webp", ".tif", ".tiff"})
"""Suffixes of the formats that can hold transparency."""

HOLD_PALETTE = frozenset({".bmp", ".gif", ".png", ".tif", ".tiff"})
"""Suffixes of the formats that can hold numbers and a palette of their colours."""

_WRITE_16_BITS = {
    ".png": sixteen.write_png,
    ".tif": sixteen.write_tiff,
    ".tiff": sixteen.write_tiff,
}


class LoadedImage(NamedTuple):
    """The pixels that a network sees or has made, and what belongs to them.

    Attributes:
        pixels: (H, W, channels), uint8 or uint16.
        alpha: (H, W) of the same type, where the loaded has transparency that no channel holds.
        profile: the ICC colour profile that the file has.
        exif: what the camera wrote, to be written again (`metadata`).
        palette: of label maps, the colour of each number that a pixel may have.
        info: what else its format knows, for a file of the same format (`DecodedFile.info`).
    """

    pixels: AnyPixels
    alpha: AnyPixels | None = None
    profile: bytes | None = None
    exif: bytes | None = None
    palette: tuple[RGB, ...] = ()
    info: Mapping[str, Any] = MappingProxyType({})


def read(path: Path, channels: int, *, keep_alpha: bool) -> LoadedImage:
    """Read a loaded, upright, for a network that takes 1 (grey), 3 (RGB) or 4 (RGBA) channels.

    Conversions are those of `reading.to_channels`, but with two differences: 16 bits stay 16 bits,
    and transparency is not composited if it is kept.

    Arguments:
        path: the file.
        channels: that the network takes.
        keep_alpha: put transparency aside, unless it is one of the channels. The colours are then
            those that the file has, also where they do not show: what is composited over white here
            and made transparent again would get white fringes.

    Raises:
        DataError: the file is missing, truncated, not a loaded, or cannot be converted.
    """
    image = reading.open_image(path)  # also the judge of what is wrong with a file
    values = sixteen.read_colours(path)
    try:
        if values is None:
            return from_image(image, channels, keep_alpha=keep_alpha)
        loaded = from_words(values, channels, keep_alpha=keep_alpha)
    except DataError as error:
        raise DataError(f"'{path}' cannot be used: {error}") from error
    return loaded._replace(profile=image.info.get("icc_profile"))


def from_image(image: Image.Image, channels: int, *, keep_alpha: bool) -> LoadedImage:
    """As `read`, from a loaded Pillow image, which has 16 bits in grey at most."""
    profile = image.info.get("icc_profile")
    if image.mode == "F" or image.mode.startswith("I"):
        values = reading.to_integers(image, 65535).astype(np.uint16)
        return from_words(values[:, :, None], channels, keep_alpha=False)._replace(profile=profile)
    alpha = None
    if keep_alpha and channels != 4 and image.has_transparency_data and image.mode != "La":
        is_grey = image.mode in ("1", "L", "LA")
        image = image.convert("RGBA")
        alpha = np.array(image.getchannel("A"))
        image = image.getchannel("R") if is_grey else image.convert("RGB")
    return LoadedImage(reading.to_pixels(image, channels), alpha, profile)


def from_words(values: sixteen.Words, channels: int, *, keep_alpha: bool) -> LoadedImage:
    """Convert (H, W, 1 to 4) of 16 bits: grey, grey and alpha, RGB or RGBA."""
    has_alpha = values.shape[2] in (2, 4)
    colours = values[:, :, : values.shape[2] - has_alpha]
    alpha = values[:, :, -1] if has_alpha else np.full_like(values[:, :, 0], 65535)
    if has_alpha and channels != 4 and not keep_alpha:
        opacity = alpha[:, :, None] / 65535
        colours = _to_words(colours * opacity + 65535 * (1 - opacity))
    if channels == 1 and colours.shape[2] == 3:
        colours = _to_words(colours @ np.array([[0.299], [0.587], [0.114]]))
    elif channels != 1 and colours.shape[2] == 1:
        colours = colours.repeat(3, axis=2)
    if channels == 4:
        return LoadedImage(np.concatenate([colours, alpha[:, :, None]], axis=2))
    return LoadedImage(colours, alpha if has_alpha and keep_alpha else None)


def _to_words(values: npt.NDArray[np.float64]) -> sixteen.Words:
    return np.rint(values).astype(np.uint16)


def half(image: LoadedImage, side: str, path: Path) -> LoadedImage:
    """Return the left ("A") or the right ("B") half of an image, of the file `path`.

    Raises:
        DataError: its width is odd.
    """
    width = image.pixels.shape[1]
    if width % 2:
        raise DataError(
            f"'{path}' cannot be used: it is {width} pixels wide, of which no half is whole: pairs "
            "lie side by side in an even width."
        )
    part = slice(0, width // 2) if side == "A" else slice(width // 2, None)
    alpha = None if image.alpha is None else image.alpha[:, part]
    info = {key: value for key, value in image.info.items() if key != "tags"}
    return image._replace(pixels=image.pixels[:, part], alpha=alpha, info=info)


def resize(loaded: LoadedImage, size: AnySize) -> LoadedImage:
    """Make the shorter side `size` pixels long, keeping the aspect, or make the image of the size
    (width, height); bicubic with antialiasing.

    Colours count in proportion to their alpha, so that those which do not show stay hidden.
    """
    height, width, channels = loaded.pixels.shape
    if isinstance(size, int):
        scale = size / min(height, width)
        sides = (round(width * scale), round(height * scale))
    else:
        sides = size
    if loaded.pixels.dtype == np.uint8 and loaded.alpha is None:
        image = to_image(loaded._replace(profile=None))
        pixels = np.array(image.resize(sides, Image.Resampling.BICUBIC))
        return loaded._replace(pixels=pixels.reshape(*pixels.shape[:2], channels))
    if channels == 4:
        apart = LoadedImage(loaded.pixels[:, :, :3], loaded.pixels[:, :, 3], loaded.profile)
        return LoadedImage(with_alpha(resize(apart, size)), None, loaded.profile)

    most = np.iinfo(loaded.pixels.dtype).max

    def resized(values: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        return np.array(Image.fromarray(values).resize(sides, Image.Resampling.BICUBIC))

    def rounded(values: npt.NDArray[np.float32]) -> AnyPixels:
        integers: AnyPixels = np.rint(values.clip(0, most)).astype(loaded.pixels.dtype)
        return integers

    colours = [loaded.pixels[:, :, i].astype(np.float32) for i in range(channels)]
    if loaded.alpha is None:
        return loaded._replace(pixels=rounded(np.dstack([resized(c) for c in colours])))
    opacity = (loaded.alpha / most).astype(np.float32)
    new = resized(opacity)
    shows = new > 0.5 / most
    colours = [
        np.where(shows, resized(colour * opacity) / np.where(shows, new, 1), resized(colour))
        for colour in colours
    ]
    return loaded._replace(pixels=rounded(np.dstack(colours)), alpha=rounded(new * most))


def of_size(loaded: LoadedImage, height: int, width: int) -> LoadedImage:
    """What belongs to an image beside its pixels, for pixels of another size: its transparency is
    resized (bicubic)."""
    if loaded.alpha is None or loaded.alpha.shape == (height, width):
        return loaded
    alpha = LoadedImage(loaded.alpha[:, :, None])
    return loaded._replace(alpha=resize(alpha, (width, height)).pixels[:, :, 0])


def to_image(loaded: LoadedImage) -> Image.Image:
    """Return a Pillow image, which has 8 bits unless it is grey and opaque.

    Raises:
        DataError: there are not 1, 3 or 4 channels.
    """
    values = with_alpha(loaded)
    if values.dtype == np.uint16 and values.shape[2] > 1:
        values = np.rint(values / 257).astype(np.uint8)
    image = Image.fromarray(values[:, :, 0] if values.shape[2] == 1 else values)
    if loaded.palette:
        image.putpalette([value for colour in loaded.palette for value in colour])
    if profile := fitting_profile(loaded):
        image.info["icc_profile"] = profile
    return image


def write(loaded: LoadedImage, path: Path, suffix: str) -> None:
    """Write a loaded in the format of `suffix`; with 16 bits if it has them and the format can.

    The profile is written if it is one for the colours of the loaded (grey or RGB) and the format
    holds profiles (all but BMP).

    Raises:
        DataError: there are not 1, 3 or 4 channels.
        OSError, ValueError: the file cannot be written, or the format cannot hold the loaded.
    """
    writer = writers().get(suffix)
    if writer is not None and (suffix not in FORMATS or loaded.info.get("tags")):
        values, profile = with_alpha(loaded), fitting_profile(loaded)
        if suffix == ".pfm":  # which holds floating point
            values = (values / np.iinfo(values.dtype).max).astype(np.float32)
        info = {**loaded.info, "alpha": values.shape[2] in (2, 4)}
        writer.write(
            DecodedFile(values, info | ({"icc_profile": profile} if profile else {})), path
        )
        return
    if loaded.pixels.dtype == np.uint16 and suffix in _WRITE_16_BITS:
        words = with_alpha(loaded).astype(np.uint16, copy=False)
        _WRITE_16_BITS[suffix](words, path, fitting_profile(loaded))
    else:
        image = to_image(in_bytes(loaded))
        if suffix == ".gif" and image.mode == "LA":  # whose alpha Pillow would drop
            image = image.convert("RGBA")
        if image.mode == "P" and suffix not in HOLD_PALETTE:
            image = image.convert("RGB")
        about: dict[str, Any] = {} if loaded.exif is None else {"exif": loaded.exif}
        image.save(path, **FORMATS[suffix], icc_profile=image.info.get("icc_profile"), **about)


HOLD_EXIF = {".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".avif"}
"""Formats whose 8-bit files hold what a camera writes."""

_UPRIGHT = {0x0112: 1}
"""The tag of the orientation: pixels are turned upright when they are read."""


def metadata(path: Path) -> bytes | None:
    """What a camera wrote into a file (EXIF: its name, date, place), for an upright image; None
    where there is nothing."""
    try:
        with Image.open(path) as image:
            exif = image.getexif()
            if not exif:
                return None
            exif.update({tag: 1 for tag in _UPRIGHT if tag in exif})
            return exif.tobytes()
    except Exception:  # noqa: BLE001 (what is broken raises nearly anything, and is no loss)
        return None


def in_bytes(loaded: LoadedImage) -> LoadedImage:
    """Return a loaded of 8 bits per channel, rounded."""
    if loaded.pixels.dtype == np.uint8:
        return loaded

    def rounded(values: AnyPixels) -> AnyPixels:
        return np.rint(values / 257).astype(np.uint8)

    alpha = None if loaded.alpha is None else rounded(loaded.alpha)
    return loaded._replace(pixels=rounded(loaded.pixels), alpha=alpha)


def with_alpha(loaded: LoadedImage) -> AnyPixels:
    """Return (H, W, 1 to 4); a fourth channel of the pixels is alpha already."""
    channels = loaded.pixels.shape[2]
    if channels not in (1, 3, 4):
        raise DataError(f"A result of {channels} channels is no loaded, which has 1, 3 or 4.")
    if loaded.alpha is None or channels == 4:
        return loaded.pixels
    return np.concatenate([loaded.pixels, loaded.alpha[:, :, None]], axis=2)


def fitting_profile(loaded: LoadedImage) -> bytes | None:
    """Return the profile if it describes such colours: its head says for which it is made."""
    space = b"GRAY" if loaded.pixels.shape[2] == 1 else b"RGB "
    profile = loaded.profile
    return profile if profile is not None and profile[16:20] == space else None
