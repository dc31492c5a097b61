"""Images as arrays of the values that their files hold, with all bands and bits, and back.

What stands for something else is converted, as `i2i.data.images.read.to_channels` says: a palette
becomes its colours, CMYK, YCbCr and Lab become RGB, 1 bit becomes 0 and 255.
"""

import contextlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from i2i.data.images import file as image_file
from i2i.data.images import read as reading
from i2i.data.images import sixteen_bit as sixteen
from i2i.data.images.file import FORMATS, LoadedImage
from i2i.data.images.formats import DecodedFile, NoBandsError, array_format, writers
from i2i.errors import DataError

AnyValues = npt.NDArray[Any]

LUMA = (0.299, 0.587, 0.114)
"""Of R, G and B, by ITU-R BT.601."""


def read_array(path: Path) -> DecodedFile:
    """Read the values (H, W, C) of a file in its own type, upright.

    Returns:
        with "alpha" in `info` where the last band is transparency, "paged" where each band lies in
        a page of its own, and what its format knows besides.

    Raises:
        DataError: the file is missing, broken, or holds no image.
    """
    try:
        with path.open("rb") as file:
            found = array_format(path.name, file.read(16))
            if found is not None:
                file.seek(0)
                with contextlib.suppress(NoBandsError):
                    return checked_array(found.read(file.read()))
        return _of_pillow(path)
    except MemoryError as error:
        raise DataError(f"'{path}' cannot be read: there is too little memory for it.") from error
    except Exception as error:
        if isinstance(error, DataError) and str(error).startswith(f"'{path}' "):
            raise
        raise DataError(f"'{path}' cannot be read: {reading.reason(error)}.") from error


def checked_array(image: DecodedFile) -> DecodedFile:
    """What a format has decoded as values (H, W, C) of numbers.

    Raises:
        DataError: it is something else.
    """
    values = np.asarray(image.values)
    if values.ndim == 2:
        values = values[:, :, None]
    if values.ndim != 3 or not values.size or values.dtype.kind not in "biuf":
        raise DataError(
            f"it has {values.dtype} of the shape {values.shape}, where numbers (H, W) or (H, W, C) "
            "were expected"
        )
    if values.dtype.kind == "b":
        values = values.astype(np.uint8)
    values = values.astype(values.dtype.newbyteorder("="), copy=False)
    return image._replace(values=values)


def _of_pillow(path: Path) -> DecodedFile:
    image = reading.open_image(path)
    info: dict[str, Any] = {}
    if profile := image.info.get("icc_profile"):
        info["icc_profile"] = profile
    words = sixteen.read_colours(path)
    if words is not None:
        return DecodedFile(words, info | {"alpha": words.shape[2] in (2, 4)})
    if image.mode == "F" or image.mode.startswith("I"):
        values = np.asarray(image)[:, :, None]
        deep = values.dtype.itemsize == 2
        return DecodedFile(values.astype(np.uint16) if deep else values, info)
    grey = image.mode in ("1", "L", "LA", "La")
    if image.has_transparency_data:
        image = image.convert("LA" if grey else "RGBA")
        info["alpha"] = True
    else:
        image = reading.to_channels(image, 1 if grey else 3)
    pixels = np.array(image)
    return DecodedFile(pixels.reshape(image.height, image.width, -1), info)


def to_bands(image: DecodedFile, channels: int) -> AnyValues:
    """Return values (H, W, channels) of the same type: as they are where there are so many bands.

    Grey becomes RGB by repetition, RGB becomes grey as luma; transparency is composited over white,
    and added where four channels are wanted of three; of pages that hold one band each, the first
    is taken where one channel is wanted.

    Raises:
        DataError: there is another number of bands.
    """
    values = image.values
    count = values.shape[2]
    if count == channels:
        return values
    if image.info.get("paged") and channels == 1:
        return values[:, :, :1]
    alpha = bool(image.info.get("alpha")) and count in (2, 4)
    colours = values[:, :, :-1] if alpha else values
    if colours.shape[2] not in (1, 3) or channels not in (1, 3, 4):
        turned = values.shape[0] == channels
        hint = " (the bands must be the last axis: (H, W, C))" if turned else ""
        raise DataError(
            f"it has {count} band{'s' * (count > 1)}, where {channels} were expected{hint}: say "
            f"how many there are (channels = {count} of its side)"
        )
    white = _white(values)
    if alpha and channels != 4:
        opacity = values[:, :, -1:] / white
        colours = _like(values, colours * opacity + white * (1 - opacity))
    if channels == 1 and colours.shape[2] == 3:
        return _like(values, colours @ np.array(LUMA)[:, None])
    if channels != 1 and colours.shape[2] == 1:
        colours = colours.repeat(3, axis=2)
    if channels == 4:
        opaque = values[:, :, -1:] if alpha else np.full_like(colours[:, :, :1], white)
        return np.concatenate([colours, opaque], axis=2)
    return colours


def _white(values: AnyValues) -> float:
    return float(np.iinfo(values.dtype).max) if values.dtype.kind in "iu" else 1.0


def _like(values: AnyValues, made: AnyValues) -> AnyValues:
    """Results of an arithmetic in the type of what they were made of."""
    return (np.rint(made) if values.dtype.kind in "iu" else made).astype(values.dtype)


def fitting_suffix(suffix: str, channels: int, dtype: np.dtype[Any]) -> str:
    """The suffix of a file that can hold such values: the same one if it can, else .tif."""
    if suffix in (".npy", ".npz", ".tif", ".tiff"):
        return suffix
    if suffix in writers():
        holds = suffix != ".pfm" or (channels in (1, 3) and dtype.kind == "f")
        return suffix if holds else ".tif"
    if dtype == np.uint8 and channels in (1, 3):
        return suffix
    if dtype == np.uint8 and channels == 4 and suffix in image_file.HOLD_ALPHA:
        return suffix
    if dtype == np.uint16 and channels in (1, 2, 3, 4) and suffix == ".png":
        return suffix
    return ".tif"


def written_suffixes() -> tuple[str, ...]:
    """What the names of files may end in that can be written."""
    return tuple(dict.fromkeys([*FORMATS, *writers()]))


def write_array(
    values: AnyValues, path: Path, suffix: str, info: Mapping[str, Any] | None = None
) -> None:
    """Write values (H, W, C) as they are, in the format of a suffix.

    Arguments:
        values: of any type that the format can hold (`fitting_suffix`).
        path: of the file.
        suffix: of its name in the end; `path` may have another one.
        info: of the file that they were made of, as `read_array` has it.

    Raises:
        DataError: the format cannot hold them.
        OSError: the file cannot be written.
    """
    image = DecodedFile(values, dict(info or {}))
    if (writer := writers().get(suffix)) is not None:
        writer.write(image, path)
        return
    if fitting_suffix(suffix, values.shape[2], values.dtype) != suffix or suffix not in FORMATS:
        raise DataError(
            f"a file that ends in {suffix} cannot hold {values.shape[2]} bands of {values.dtype}: "
            "take .tif or .npy"
        )
    image_file.write(LoadedImage(values, None, image.info.get("icc_profile")), path, suffix)


def as_picture(values: AnyValues, show: tuple[int, ...] = ()) -> Image.Image:
    """Values (H, W, C) as a picture: the bands of `show` (from 1), or the first three, or the only
    one, each stretched from its 2nd to its 98th percentile."""
    count = values.shape[2]
    bands = [band - 1 for band in show if band <= count] or list(range(3 if count >= 3 else 1))
    if len(bands) == 2:
        bands = bands[:1]
    chosen = values[:, :, bands].astype(np.float32)
    flat = chosen.reshape(-1, len(bands))
    low, high = np.nanpercentile(flat, [2, 98], axis=0)
    spread = np.where(high > low, high - low, 1)
    pixels = np.nan_to_num((chosen - low) / spread).clip(0, 1)
    eight = np.rint(255 * pixels).astype(np.uint8)
    return Image.fromarray(eight[:, :, 0] if len(bands) == 1 else eight)
