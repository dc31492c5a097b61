"""From an upload to pixels and back to a file, as `i2i translate` reads and writes files.

A file lies in a folder of its own as long as it is worked on, under a name that the client has no
part in.
"""

import io
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from torch import Tensor

from i2i.core.inputs import Inputs
from i2i.data.images import file as image_file
from i2i.data.images import frames
from i2i.data.images.file import FORMATS, HOLD_ALPHA, SUFFIXES, LoadedImage
from i2i.data.images.formats import open_file
from i2i.data.images.frames import Frames
from i2i.data.images.read import reason
from i2i.errors import DataError, OptionsError, did_you_mean
from i2i.inference.folder import translate_folder
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
        with open_file(path) as image:
            width, height = image.size
            count = len(frames.numbers(image))
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
    with open_file(path) as image:
        ending = SUFFIXES.get(image.format or "", ".png")
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
