"""Formats of image files: those of Pillow, and what plug-ins register.

A registered format becomes one of Pillow's, so that whatever opens an image (training, translation,
the doctor) opens it too, by what is in the file.
"""

import io
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFile

from i2i.core.registry import IMAGE_FORMATS
from i2i.errors import DataError


class DecodedFile(NamedTuple):
    """What is in a file.

    Attributes:
        values: (H, W) or (H, W, C), integers or floating point. Where a side says nothing of its
            channels and range ([data.A]), C must be 1 to 4: grey, grey and alpha, RGB or RGBA, and
            the values uint8 in 0..255, uint16 in 0..65535, or floating point in 0..1.
        info: what is known beside, such as "icc_profile", a colour profile (bytes); what is
            written again knows it.
    """

    values: npt.NDArray[Any]
    info: dict[str, Any] = {}  # noqa: RUF012 (nobody changes it)


class NoBandsError(DataError):
    """The values of a file stand for something else, into which Pillow converts them."""


class ImageFormat:
    """A format of image files; a subclass reads it, and may write it."""

    suffixes: ClassVar[tuple[str, ...]] = ()
    """What names of such files end in, in small letters: (".npy",). Files with other names are no
    images of a data set."""

    in_pillow: ClassVar[bool] = True
    """Whether Pillow opens such files by this class, where values become 8 bits."""

    def accepts(self, head: bytes) -> bool:
        """Whether the first 16 bytes of a file are those of this format."""
        return False

    def read(self, data: bytes) -> DecodedFile:
        """Decode a file.

        Raises:
            Exception: of any kind; its text says what is wrong with the file.
        """
        raise NotImplementedError

    def write(self, image: DecodedFile, path: Path) -> None:
        """Write values (H, W, C) to a file; without it, such files are only read.

        Raises:
            DataError: the format cannot hold them.
        """
        raise NotImplementedError

    @classmethod
    def writes(cls) -> bool:
        """Whether it can be written."""
        return cls.write is not ImageFormat.write


def array_format(name: str, head: bytes) -> ImageFormat | None:
    """The registered format that reads a file as it is; None for those of Pillow.

    Arguments:
        name: of the file.
        head: its first 16 bytes.
    """
    readers: list[ImageFormat] = [
        kind() for kind in IMAGE_FORMATS.values() if kind.read is not ImageFormat.read
    ]
    by_content = [each for each in readers if each.accepts(head)]
    by_name = [each for each in readers if Path(name).suffix.lower() in each.suffixes]
    # What begins like no TIFF is none, whatever its name says; a plug-in comes before what is here.
    found = by_content or [each for each in by_name if each.in_pillow]
    return max(found, key=lambda each: not type(each).__module__.startswith(__name__), default=None)


def writers() -> dict[str, ImageFormat]:
    """Suffix -> the registered format that writes such files."""
    return {
        suffix: kind()
        for kind in IMAGE_FORMATS.values()
        if kind.writes()
        for suffix in kind.suffixes
    }


def image_suffixes() -> frozenset[str]:
    """What the names of files end in that are taken for images."""
    return frozenset(suffix for each in IMAGE_FORMATS.values() for suffix in each.suffixes)


def open_file(file: Path | io.BytesIO | Any) -> ImageFile.ImageFile:
    """As `PIL.Image.open`, with the registered formats: the head is read, maybe not the pixels."""
    global _changes
    if _changes != IMAGE_FORMATS.changes:  # this is asked for every file
        for name in IMAGE_FORMATS:
            if name not in _installed:
                _install(name, IMAGE_FORMATS[name]())
        _changes = IMAGE_FORMATS.changes
    return Image.open(file)


def sixteen_bits(image: Image.Image) -> npt.NDArray[np.uint16] | None:
    """The values (H, W, C), C > 1, of an opened image of a registered format that has 16 bits."""
    return image.words if isinstance(image, _Opened) else None


_installed: set[str] = set()
_changes = -1
"""`Registry.changes` when all were installed."""


class _Opened(ImageFile.ImageFile):
    """An image of a registered format, which Pillow makes."""

    reader: ClassVar[ImageFormat]
    words: npt.NDArray[np.uint16] | None = None

    def _open(self) -> None:
        assert self.fp is not None
        values, info = self.reader.read(self.fp.read())
        image, self.words = _to_pillow(np.asarray(values), str(self.format))
        self._size, self._mode, self.im = image.size, image.mode, image.im
        self.info.update(info)
        self.tile = []


def _install(name: str, reader: ImageFormat) -> None:
    _installed.add(name)
    if type(reader).read is ImageFormat.read or not reader.in_pillow:
        return  # of Pillow itself
    kind = type(name, (_Opened,), {"reader": reader, "format": name, "format_description": name})
    Image.preinit()
    Image.register_open(name, kind, lambda head: bool(reader.accepts(head)))
    # Pillow asks its own formats first, which may take for theirs what they cannot read.
    Image.ID.remove(name.upper())
    Image.ID.insert(0, name.upper())
    for suffix in reader.suffixes:
        Image.register_extension(name, suffix)


def _to_pillow(
    values: npt.NDArray[Any], name: str
) -> tuple[Image.Image, npt.NDArray[np.uint16] | None]:
    """An image as Pillow can hold it, and what of 16 bits it cannot."""
    if values.ndim == 3 and values.shape[2] == 1:
        values = values[:, :, 0]
    if values.ndim == 3 and values.shape[2] > 4 and values.size:
        raise DataError(
            f"it has {values.shape[2]} bands, of which only 1 to 4 can be colours: say how many "
            f"there are (data.A.channels = {values.shape[2]}, or data.B.channels)"
        )
    if values.ndim not in (2, 3) or not values.size:
        raise DataError(
            f"it has values of the shape {values.shape}, where (H, W) or (H, W, C) with 1 to 4 "
            f"channels were expected of the format {name}"
        )
    if values.dtype.kind == "f" and values.ndim == 3:
        if not (values.min() >= 0 and values.max() <= 1):  # not: NaN must be refused as well
            raise DataError(
                f"An image of floating point values must lie within 0..1; {values.min():g}.."
                f"{values.max():g} was found: say what they are (data.A.range, or data.B.range)"
            )
        values = np.rint(values * 65535).astype(np.uint16)
    elif values.dtype.kind == "f":
        values = values.astype(np.float32)
    if values.dtype not in (np.uint8, np.uint16, np.float32):
        raise DataError(
            f"it has values of the type {values.dtype}, where uint8, uint16 or floating point was "
            f"expected of the format {name}"
        )
    values = np.ascontiguousarray(values)
    if values.dtype == np.uint16 and values.ndim == 3:
        return Image.fromarray(np.rint(values / 257).astype(np.uint8)), values
    return Image.fromarray(values), None
