"""From an upload to pixels and back to a file, as `i2i translate` reads and writes files.

A file lies in a folder of its own as long as it is worked on, under a name that the client has no
part in.
"""

import io
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from PIL import UnidentifiedImageError
from torch import Tensor

from i2i.core.inputs import Inputs
from i2i.data.images import file as image_file
from i2i.data.images import frames
from i2i.data.images.arrays import fitting_suffix, write_array
from i2i.data.images.file import FORMATS, HOLD_ALPHA, SUFFIXES, LoadedImage
from i2i.data.images.formats import open_file
from i2i.data.images.frames import Frames
from i2i.data.images.read import reason
from i2i.errors import DataError, OptionsError, did_you_mean
from i2i.inference.folder import translate_folder
from i2i.inference.sampler import Sampler
from i2i.inference.translator import Translator

MEDIA = {
    "png": "image/png",
    "jpg": "image/jpeg",
    "webp": "image/webp",
    "tif": "image/tiff",
    "gif": "image/gif",
    "bmp": "image/bmp",
}
"""Format of a result -> its media type."""


def require_format(name: str) -> str:
    """Return a format of `MEDIA`.

    Raises:
        OptionsError: it is none.
    """
    found = {"jpeg": "jpg", "tiff": "tif"}.get(name.lower(), name.lower())
    if found not in MEDIA or f".{found}" not in FORMATS:
        raise OptionsError(
            f"format (={name!r}) must be one of {', '.join(MEDIA)}.{did_you_mean(name, MEDIA)}"
        )
    return found


@contextmanager
def stored(data: bytes) -> Iterator[Path]:
    """A file with some bytes, for as long as the block lasts; no error tells where it is."""
    with tempfile.TemporaryDirectory(prefix="i2i-") as folder:
        path = Path(folder, "upload")
        path.write_bytes(data)
        try:
            yield path
        except DataError as error:
            raise DataError(str(error).replace(f"'{path}'", "the image")) from error


def count_pixels(path: Path, size: int | None = None) -> int:
    """Pixels that a file declares, of all its frames together, before any is decoded; or that they
    will have once their shorter side has `size`, where these are more.

    Raises:
        DataError: it is no image.
    """
    try:
        try:
            with open_file(path) as image:
                width, height = image.size
                count = len(frames.numbers(image))
        except UnidentifiedImageError as unknown:  # Pillow knows no TIFF of five bands
            try:
                with tifffile.TiffFile(path) as file:
                    whole: Any = file.pages[0]
                    width, height = whole.imagewidth, whole.imagelength
                    count = len(file.pages) * -(-whole.samplesperpixel // 3)
            except tifffile.TiffFileError:
                raise unknown from None
    except Exception as error:  # decoders of broken files raise nearly anything
        raise DataError(f"'{path}' cannot be read: {reason(error)}.") from error
    scale = 0.0 if size is None else size / max(1, min(width, height))
    return count * max(width * height, round(width * scale) * round(height * scale))


def read(path: Path, channels: int, form: str, size: int | None) -> Frames:
    """The frames of a file for a network of so many channels.

    Arguments:
        path: the file.
        channels: that the network takes.
        form: of the result, see `MEDIA`.
        size: resize so that the shorter side has this many pixels.

    Raises:
        DataError: it cannot be read, or the result cannot hold all of its frames.
    """
    ending = f".{form}"
    found = frames.read(path, channels, suffix=ending, keep_alpha=ending in HOLD_ALPHA)
    if size is None:
        return found
    return found._replace(images=[image_file.resize(image, size) for image in found.images])


def needs_files(translator: Translator) -> bool:
    """Whether a network takes or makes label maps or values of files, and not just colours."""
    return translator.labels != (None, None) or translator.filing is not None


def translate(translator: Translator, path: Path, form: str, size: int | None) -> bytes:
    """The bytes of the file that `i2i translate` makes of one.

    Raises:
        DataError, CheckpointError: it cannot be read, or not be translated.
        OptionsError: the network takes several files of each scene.
    """
    if isinstance(translator.labels[0], Inputs):
        raise OptionsError("this model takes several inputs of each scene: use `i2i translate`.")
    filing = translator.filing
    if filing is not None and translator.labels[1] is None:
        _require_holds(form, filing.channels[1], filing.dtype)
    try:
        with open_file(path) as image:
            ending = SUFFIXES.get(image.format or "", ".png")
    except UnidentifiedImageError:  # `count_pixels` has seen that it is one
        ending = ".tif"
    source, target = path.with_suffix(ending), path.with_name(f"result.{form}")
    path.rename(source)
    report = translate_folder(translator, source, target, size=size)
    for failure in report.failed:
        raise DataError(f"the image cannot be translated: {failure.reason}")
    return target.read_bytes()


def encode(result: Frames, form: str, folder: Path) -> bytes:
    """The bytes of a file of some frames.

    Arguments:
        result: the frames.
        form: see `MEDIA`.
        folder: to work in.

    Raises:
        DataError: the format cannot hold them.
    """
    path = folder / "result"
    try:
        frames.write(result, path, f".{form}")
    except ValueError as error:
        raise DataError(f"the result cannot be written as {form}: {error}.") from error
    return path.read_bytes()


def _require_holds(form: str, channels: int, dtype: np.dtype[Any]) -> None:
    if fitting_suffix(f".{form}", channels, dtype) != f".{form}":
        raise OptionsError(
            f"format (={form!r}) cannot hold what this model makes, {channels} bands of {dtype}: "
            "ask for tif."
        )


def encode_samples(sampler: Sampler, made: Tensor, form: str) -> list[bytes]:
    """The files of images from noise, (N, C, H, W) as they travel.

    Raises:
        OptionsError: the format cannot hold them.
    """
    if sampler.sides.scales[1] is None:
        return [encode_tensor(image, form) for image in made]
    _require_holds(form, sampler.channels, np.dtype(sampler.file_type))
    with tempfile.TemporaryDirectory(prefix="i2i-") as folder:
        path = Path(folder, "result")
        found = []
        for values in sampler.values(made):
            write_array(values, path, f".{form}")
            found.append(path.read_bytes())
        return found


def encode_tensor(image: Tensor, form: str) -> bytes:
    """The bytes of a file of (C, H, W), uint8."""
    buffer = io.BytesIO()
    loaded = LoadedImage(image.permute(1, 2, 0).contiguous().numpy())
    image_file.to_image(loaded).save(buffer, **FORMATS[f".{form}"])
    return buffer.getvalue()


def encode_grid(grid: Tensor) -> bytes:
    """A PNG of a grid of images, (rows, columns, C, H, W), uint8, side by side."""
    rows, columns, channels, height, width = grid.shape
    whole = grid.permute(2, 0, 3, 1, 4).reshape(channels, rows * height, columns * width)
    return encode_tensor(whole, "png")
