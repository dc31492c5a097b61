"""What one look at the file of an image says of it.

The look decodes all of the file, so that nothing that is broken escapes it; and it takes a
fingerprint, by which copies are found that were stored anew, resized or mirrored (`fingerprint`).
"""

import io
import re
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image

from i2i.data.images.arrays import as_picture, checked_array
from i2i.data.images.content_hash import hash_bytes
from i2i.data.images.declared import require_room
from i2i.data.images.formats import NoBandsError, array_format, open_file, sixteen_bits
from i2i.data.images.read import (
    GEO_KEYS,
    orientation,
    reason,
    require_all_bands,
    to_channels,
    upright,
)

FINGERPRINT_BITS = 256
_SIDE = 32  # of the thumbnail that the fingerprint is taken of
_KEPT = 16  # frequencies of each direction
FLAT = 4  # steps of 255 that an image of one colour may differ within
_LEAST_CONTRAST = 1.0  # standard deviation of a thumbnail, of 255: below, signs are those of noise

_COSINES = np.cos(
    np.pi * np.arange(_KEPT)[:, None] * (2 * np.arange(_SIDE)[None] + 1) / (2 * _SIDE)
).astype(np.float32)


class ImageInfo(NamedTuple):
    """What is known of an image. What follows `geo` needs all pixels; without them it is empty.

    Attributes:
        bytes, mtime_ns: of the file.
        width, height: of the upright image.
        mode: that of Pillow ("L", "RGB", "RGBA", "P", "I;16", "CMYK", ...).
        bits: of a channel in the file.
        orientation: that of EXIF, 1 to 8; 1 is upright.
        format: that of Pillow ("JPEG", "PNG", ...).
        frames: more than one in an animation or a stack.
        profile: whether it has a colour profile other than sRGB.
        digest: hash of the bytes of the file (`i2i.data.images.content_hash`).
        geo: whether it says where on earth it was taken (GeoTIFF).
        transparent: whether anything of it is.
        grey: whether no pixel has a colour.
        flat: whether all pixels have the same colour.
        print: its fingerprint, hexadecimal; "" where there is too little to see.
        complete: whether all pixels were decoded.
        unfit: why it cannot be read as 8 bits of grey or RGB, where all its bands and bits can
            (`i2i.data.images.arrays`); "" for most.
        low, high: the least and the greatest value of its colours, in steps of the file: of 65535
            for 16 bits, of 1 for floating point, of 255 for the others. Of an image of one colour
            both are its greatest.
    """

    bytes: int
    mtime_ns: int
    width: int
    height: int
    mode: str
    bits: int
    orientation: int
    format: str
    frames: int
    profile: bool
    digest: str
    geo: bool = False
    transparent: bool = False
    grey: bool = False
    flat: bool = False
    print: str = ""
    complete: bool = False
    low: float = 0
    high: float = 255
    unfit: str = ""


def look_at(path: Path, *, decode: bool = True) -> ImageInfo | str:
    """Look at an image; return why where that is not possible.

    Arguments:
        path: the file.
        decode: all pixels, which also finds files that end early; else the head of the file alone.
    """
    data = b""
    try:
        stat = path.stat()
        data = path.read_bytes()
        with open_file(io.BytesIO(data)) as image:
            width, height = image.size
            mode, format_, frames = image.mode, image.format or "", _frames(image)
            bits = _bits(image)
            if decode:
                require_room(image, len(data))
            require_all_bands(image)
            tags = getattr(image, "tag_v2", {})
            # Pillow turns a TIFF while it loads and forgets that it had to; `image.size` knows.
            turned = format_ == "TIFF"
            turn = tags.get(0x0112, 1) if turned else 1
            if decode:
                # A JPEG decoder can shrink as it goes: it still walks through all of the file, so
                # that nothing escapes it, in two thirds of the time.
                image.draft(None, (2 * _SIDE, 2 * _SIDE))
                image.load()
            if not turned and (decode or format_ != "PNG" or "exif" in image.info):
                turn = orientation(image)
                if turn >= 5:
                    width, height = height, width
            seen = ImageInfo(
                stat.st_size,
                stat.st_mtime_ns,
                width,
                height,
                mode,
                bits,
                turn if turn in range(1, 9) else 1,
                format_,
                frames,
                _has_foreign_profile(image),
                hash_bytes(data),
                GEO_KEYS in tags,
            )
            return _look_closely(seen, upright(image)) if decode else seen
    except Exception as error:  # noqa: BLE001 (decoders of broken files raise nearly anything)
        return _look_at_array(path, data, reason(error)) if decode else reason(error)


def _look_at_array(path: Path, data: bytes, why: str) -> ImageInfo | str:
    """Look at what holds no grey or RGB, but bands that can be read; else return why not."""
    reader = array_format(path.name, data[:16])
    if reader is None:
        return why
    try:
        stat = path.stat()
        image = checked_array(reader.read(data))
        values = image.values
        height, width, bands = values.shape
        # Small, before anything is computed of it.
        small = values[:: max(1, height // 256), :: max(1, width // 256)]
        picture = as_picture(small).convert("L").resize((_SIDE, _SIDE), Image.Resampling.BOX)
        luma = np.asarray(picture, dtype=np.float32)
        low, high = float(values.min()), float(values.max())
    except Exception as error:  # noqa: BLE001 (decoders of broken files raise nearly anything)
        return why if isinstance(error, NoBandsError) else reason(error)
    if not low <= high:  # there is a NaN
        return "it holds values that are not numbers (NaN): replace them"
    what = f"{bands} band{'s' * (bands > 1)} of {values.dtype}"
    return ImageInfo(
        stat.st_size,
        stat.st_mtime_ns,
        width,
        height,
        what,
        8 * values.dtype.itemsize,
        1,
        Path(path.name).suffix.lower().removeprefix("."),
        1,
        False,
        hash_bytes(data),
        bool({tag.code for tag in image.info.get("tags", ())} & {GEO_KEYS}),
        transparent=bool(image.info.get("alpha")),
        grey=bands == 1,
        flat=low == high,
        print="" if luma.std() < _LEAST_CONTRAST else fingerprint(luma),
        complete=True,
        low=low,
        high=high,
        unfit=f"it has {what} within {low:g}..{high:g}, which are no 8 bits of grey or RGB: say "
        f"data.A.channels = {bands} to use them as they are (or data.B.channels, of its side)",
    )


def fingerprint(thumbnail: npt.NDArray[np.float32]) -> str:
    """256 bits that change little when an image is resized, stored with losses, or brightened.

    The signs of the lowest 16 x 16 coefficients of a discrete cosine transform (of type II) of the
    luma, lowest first, each row holding the horizontal frequencies. Those of independent images
    differ in 128 bits on average, with a standard deviation of 8. The first one, the sum, is always
    positive.

    Source: Zauner: Implementation and Benchmarking of Perceptual Image Hash Functions, 2010, with
    more coefficients, and 0 in the place of their median, so that `mirrored` is easy.

    Arguments:
        thumbnail: luma, (32, 32).
    """
    signs = _COSINES @ thumbnail @ _COSINES.T > 0
    signs[0, 0] = True
    return np.packbits(signs).tobytes().hex()


def mirrored(prints: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """The fingerprints, (N, 32) bytes, of the same images with left and right exchanged.

    Mirroring changes the sign of each odd horizontal frequency, which are the odd bits.
    """
    flipped: npt.NDArray[np.uint8] = prints ^ np.uint8(0b01010101)
    return flipped


def _look_closely(seen: ImageInfo, image: Image.Image) -> ImageInfo:
    bands = _ranges(image)
    transparent = image.has_transparency_data
    if transparent and image.mode in ("LA", "RGBA"):
        transparent = bands[-1][0] < 255
    ranges = bands[:1] if image.mode in ("LA", "La") else bands[:3]
    if image.mode not in ("L", "LA", "RGB", "RGBA") or "transparency" in image.info:
        # The rarer kinds may hold values that cannot be converted, which is found here.
        deep = image.mode == "F" or image.mode.startswith("I")
        image = to_channels(image, 3)
        bands = _ranges(image)
        ranges = ranges if deep else bands
    high = max(high for _, high in ranges)
    one_colour = all(low == high for low, high in ranges)
    unit = 257 if seen.bits == 16 and not seen.mode.startswith("I") else 1  # Pillow has read 8
    small = image.resize((_SIDE, _SIDE), Image.Resampling.BOX)
    colours = np.asarray(to_channels(small, 3), dtype=np.int16)
    luma = np.asarray(to_channels(small, 1), dtype=np.float32)
    flat = all(high - low <= FLAT for low, high in bands)
    return seen._replace(
        transparent=transparent,
        grey=int(np.ptp(colours, axis=2).max()) <= FLAT,
        flat=flat,
        print="" if flat or luma.std() < _LEAST_CONTRAST else fingerprint(luma),
        complete=True,
        low=unit * (high if one_colour else min(low for low, _ in ranges)),
        high=unit * high,
    )


def _ranges(image: Image.Image) -> list[tuple[float, float]]:
    """The least and the greatest value of each channel."""
    ranges: Any = image.getextrema()
    return list(ranges) if isinstance(ranges[0], tuple) else [ranges]


def _bits(image: Image.Image) -> int:
    """Bits of a channel. Pillow reads colours of 16 bits as 8: the decoder's raw mode tells."""
    if image.mode == "1":
        return 1
    if image.mode in ("I", "F"):
        return 32
    if sixteen_bits(image) is not None:
        return 16
    tile = getattr(image, "tile", None)
    arguments = tile[0][3] if tile else ""
    raw = str(arguments[0] if isinstance(arguments, tuple) and arguments else arguments)
    return 16 if image.mode.startswith("I;16") or re.search(";16", raw) else 8


def _frames(image: Image.Image) -> int:
    if image.format == "MPO":  # a photo of a phone, with a preview behind it
        return 1
    try:
        return int(getattr(image, "n_frames", 1))
    except Exception:  # noqa: BLE001 (whatever is behind the first frame is not used)
        return 1


def _has_foreign_profile(image: Image.Image) -> bool:
    profile = image.info.get("icc_profile") or b""
    names = (b"sRGB", "sRGB".encode("utf-16-be"))
    return bool(profile) and not any(name in profile for name in names)
