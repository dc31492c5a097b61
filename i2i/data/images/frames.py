"""Files that hold several images: the frames of an animation, the pages of a TIFF.

What is read comes back in a file of the same kind: pages as pages, an animation with the time that
each of its frames is shown.
"""

import io
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from i2i.data.images import file as image_file
from i2i.data.images import read as reading
from i2i.data.images import sixteen_bit as sixteen
from i2i.data.images.file import FORMATS, LoadedImage
from i2i.data.images.formats import open_file
from i2i.data.images.formats.tiff import tags_of
from i2i.errors import DataError

MOST_BYTES = 2**31
"""Pixels of all frames of one file, which are in memory together."""

PAGED = frozenset({".tif", ".tiff"})
"""Suffixes of the files whose images are pages."""

ANIMATED = frozenset({".avif", ".gif", ".png", ".webp"})
"""Suffixes of the files whose images are shown one after another."""

_SHOWN_AS_ONE = frozenset({"ICNS", "ICO", "MPO", "PSD"})
"""Formats whose further images are layers, other sizes, or a phone's preview."""

_SUBFILE_TYPE = 0x00FE  # of a page: bit 0 for the same at a lower resolution, bit 2 for a mask


class Frames(NamedTuple):
    """The images of a file, in their order; mostly just one.

    Attributes:
        images: at least one.
        durations: milliseconds that each is shown; empty where they are pages, or where there is
            just one.
        loop: how often an animation is repeated, 0 for ever; None where it is not said.
        geo: whether the file says where on earth it was taken (GeoTIFF).
    """

    images: list[LoadedImage]
    durations: tuple[float, ...] = ()
    loop: int | None = None
    geo: bool = False

    @property
    def nbytes(self) -> int:
        """Of all pixels."""
        return sum(image.pixels.nbytes for image in self.images)


def numbers(image: Image.Image) -> list[int]:
    """Return which frames of an open file are images of their own; [0] for most files."""
    count = 1 if image.format in _SHOWN_AS_ONE else getattr(image, "n_frames", 1)
    if image.format != "TIFF" or count == 1:
        return list(range(count))
    whole = []
    for number in range(count):
        image.seek(number)
        if not int(getattr(image, "tag_v2", {}).get(_SUBFILE_TYPE, 0)) & 0b101:
            whole.append(number)
    image.seek(0)
    return whole or [0]


def require_one(file: Path | io.BytesIO) -> None:
    """Raise DataError where a file holds several images; other faults are left to its reader."""
    try:
        with open_file(file) as image:
            count = len(numbers(image))
    except Exception:  # noqa: BLE001 (decoders of broken files raise nearly anything)
        return
    if count > 1:
        name = f"'{file}'" if isinstance(file, Path) else "This file"
        raise DataError(
            f"{name} holds {count} images, where one was expected: translate it with "
            "translate_folder, or give its frames one by one as Pillow images."
        )


def read(path: Path, channels: int, *, suffix: str, keep_alpha: bool) -> Frames:
    """Read all images of a file; each as `image_file.read` does.

    Arguments:
        path: the file.
        channels: that the network takes.
        suffix: of the file that they are to be written to.
        keep_alpha: put transparency aside, unless it is one of the channels.

    Raises:
        DataError: the file is missing, broken or no image; or it holds several images which the
            other file cannot hold, or which take more memory than `MOST_BYTES`.
    """
    try:
        with path.open("rb") as file, open_file(file) as image:
            geo = reading.GEO_KEYS in getattr(image, "tag_v2", {})
            chosen = numbers(image)
            if len(chosen) > 1:
                _require_room(path, image, len(chosen), channels, suffix)
                found = _read(path, image, chosen, channels, keep_alpha=keep_alpha)
                return found._replace(geo=geo)
    except DataError:
        raise
    except Exception as error:  # decoders of broken files raise nearly anything
        raise DataError(f"'{path}' cannot be read: {reading.reason(error)}.") from error
    one = image_file.read(path, channels, keep_alpha=keep_alpha)
    if geo and suffix in PAGED:
        one = one._replace(info={"tags": tags_of(path)})
    return Frames([one], geo=geo)


def _require_room(path: Path, image: Image.Image, count: int, channels: int, suffix: str) -> None:
    are_pages = image.format == "TIFF"
    what, fitting = ("pages", PAGED) if are_pages else ("frames", ANIMATED)
    can_hold = ", ".join(sorted(fitting & FORMATS.keys()))
    if suffix not in fitting:
        raise DataError(
            f"'{path}' cannot be used: it holds {count} {what}, which a file that ends in {suffix} "
            f"cannot hold: take one of {can_hold}."
        )
    size = count * image.width * image.height * channels
    if size > MOST_BYTES:
        raise DataError(
            f"'{path}' cannot be used: its {count} {what} of {image.width} x {image.height} pixels "
            f"take {size / 2**30:.1f} GiB, and {MOST_BYTES / 2**30:g} is the most: split it."
        )


def _read(
    path: Path, image: Image.Image, chosen: list[int], channels: int, *, keep_alpha: bool
) -> Frames:
    images, durations = [], []
    for number in chosen:
        image.seek(number)
        reading.require_all_bands(image)
        image.load()
        words = sixteen.read_colours(path, number) if image.format == "TIFF" else None
        try:
            if words is None:
                upright = reading.upright(image.copy())
                one = image_file.from_image(upright, channels, keep_alpha=keep_alpha)
            else:
                one = image_file.from_words(words, channels, keep_alpha=keep_alpha)
                one = one._replace(profile=image.info.get("icc_profile"))
        except DataError as error:
            raise DataError(f"'{path}' cannot be used: frame {number + 1}: {error}") from error
        images.append(one)
        durations.append(float(image.info.get("duration", 0)))
    if image.format == "TIFF":
        return Frames(images)
    return Frames(images, tuple(durations), image.info.get("loop"))


def write(frames: Frames, path: Path, suffix: str) -> None:
    """Write images to one file in the format of `suffix`; each as `image_file.write` does.

    Raises:
        DataError: there are not 1, 3 or 4 channels.
        OSError, ValueError: the file cannot be written, or the format cannot hold them.
    """
    if len(frames.images) == 1:
        image_file.write(frames.images[0], path, suffix)
    elif suffix in PAGED:
        _write_pages(frames.images, path, suffix)
    else:
        _write_animation(frames, path, suffix)


def _write_pages(pages: list[LoadedImage], path: Path, suffix: str) -> None:
    if any(page.pixels.dtype == np.uint16 for page in pages):
        words = [(_words(page), image_file.fitting_profile(page)) for page in pages]
        sixteen.write_tiff_pages(words, path)
        return
    first, *others = map(image_file.to_image, pages)
    first.save(path, **FORMATS[suffix], save_all=True, append_images=others)


def _words(page: LoadedImage) -> sixteen.Words:
    values = image_file.with_alpha(page)
    return values if values.dtype == np.uint16 else values.astype(np.uint16) * np.uint16(257)


def _write_animation(frames: Frames, path: Path, suffix: str) -> None:
    images = [image_file.to_image(image_file.in_bytes(frame)) for frame in frames.images]
    has_alpha = any(image.mode in ("LA", "RGBA") for image in images)
    if has_alpha or len({image.mode for image in images}) > 1:
        images = [image.convert("RGBA") for image in images]
    settings: dict[str, Any] = dict(FORMATS[suffix])
    if suffix == ".gif":  # what is transparent must not show the frame before
        settings["disposal"] = 2 if has_alpha else 1
    if frames.loop is not None:
        settings["loop"] = frames.loop
    whole = suffix in (".gif", ".webp", ".avif")  # which count in whole milliseconds
    durations = [round(each) if whole else each for each in frames.durations]
    first, *others = images
    first.save(path, **settings, save_all=True, append_images=others, duration=durations)
