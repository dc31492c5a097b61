"""Windows of a TIFF that is too large for the memory, and a tiled one written row by row of tiles.

Only what a window needs is read from the file: the tiles or strips that it touches, of which the
last ones are kept.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import tifffile

from i2i.data.images.formats.tiff import GEO_TAGS, Tag, kept_tags, whole_pages
from i2i.errors import DataError

Values = npt.NDArray[Any]

BYTES_KEPT = 2**26
"""Of decoded tiles or strips that are kept, since neighbouring windows share them."""

LARGEST_SEGMENT = 2**28
"""Bytes of a decoded tile or strip beyond which a file cannot be read in windows."""

SIDE = 256
"""Of the tiles that are written."""

DEPTHS = ("uint8", "uint16")

_ALPHA = (1, 2)  # what ExtraSamples says of a last band that is no colour


class Layout(NamedTuple):
    """What a TIFF holds.

    Attributes:
        bands: with `has_alpha`, the last one says how opaque each pixel is.
        compressed: whether its tiles or strips are.
        tags: those to be copied: where on earth it is.
    """

    height: int
    width: int
    bands: int
    dtype: np.dtype[Any]
    has_alpha: bool
    compressed: bool
    tags: tuple[Tag, ...]


class TiffWindows:
    """A TIFF that is open for reading windows; also a context that closes it.

    Arguments:
        path: of the file.
        numbers: whether the entries of a palette are read as they are, not refused as colours.

    Raises:
        DataError: it holds no single image of 8 or 16 bits, or not in tiles or strips that are
            small enough.
    """

    def __init__(self, path: Path, *, numbers: bool = False) -> None:
        self.path = path
        self._numbers = numbers
        try:
            self._file = tifffile.TiffFile(path)
        except Exception as error:  # a broken head raises nearly anything
            raise DataError(f"'{path}' cannot be read: {error}.") from error
        try:
            self._page = self._only_page()
            self.layout = self._examined()
        except BaseException:
            self._file.close()
            raise
        self._decoded: OrderedDict[int, tuple[Values, int, int, int]] = OrderedDict()
        self._bytes_decoded = 0
        self._mapped: Values | None = None
        if self._page.is_memmappable and not self._page.is_tiled:
            self._mapped = tifffile.memmap(path, page=self._page.index, mode="r")

    def __enter__(self) -> "TiffWindows":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def _only_page(self) -> Any:
        pages = whole_pages(self._file)
        if len(pages) != 1:
            raise self._unusable(f"it holds {len(pages)} images, where one was expected")
        return pages[0].aspage()

    def _examined(self) -> Layout:
        page = self._page
        if page.dtype is None or page.dtype.name not in DEPTHS or page.imagedepth != 1:
            raise self._unusable(
                f"its values are {page.dtype}: of images of this size, {' or '.join(DEPTHS)} is "
                "read"
            )
        is_palette = page.photometric.name == "PALETTE"
        if not (is_palette and self._numbers) and page.photometric.name in (
            "PALETTE",
            "CFA",
            "YCBCR",
            "CIELAB",
            "SEPARATED",
        ):
            raise self._unusable(f"its colours are stored as {page.photometric.name}: save as RGB")
        if self._segment_bytes() > LARGEST_SEGMENT:
            raise self._unusable(
                "it is stored in one piece, so that no part of it can be read alone: store it in "
                "tiles (gdal_translate -co TILED=YES)"
            )
        extra = [int(each) for each in page.extrasamples]
        return Layout(
            page.imagelength,
            page.imagewidth,
            page.samplesperpixel,
            page.dtype,
            bool(extra) and extra[-1] in _ALPHA,
            int(page.compression) != 1,
            kept_tags(page),
        )

    def _segment_bytes(self) -> int:
        page = self._page
        if page.is_memmappable:
            return 0
        if page.is_tiled:
            rows, columns = page.tilelength, page.tilewidth
        else:
            rows, columns = min(page.rowsperstrip, page.imagelength), page.imagewidth
        together = page.samplesperpixel if int(page.planarconfig) == 1 else 1
        return int(rows * columns * together * page.dtype.itemsize)

    def read(self, rows: slice, columns: slice) -> Values:
        """Return a part of the image, (rows, columns, bands).

        Raises:
            DataError: a tile or strip is broken.
        """
        try:
            return self._read(rows, columns)
        except Exception as error:  # decoders of broken tiles raise nearly anything
            raise DataError(f"'{self.path}' cannot be read: {error}.") from error

    def _read(self, rows: slice, columns: slice) -> Values:
        layout = self.layout
        planar = int(self._page.planarconfig) == 2
        if self._mapped is not None:
            whole = self._mapped.reshape(self._page.shape)
            if planar and whole.ndim == 3:
                whole = whole.transpose(1, 2, 0)
            part = np.array(whole[rows, columns])
            return part.reshape(*part.shape[:2], layout.bands)
        shape = (rows.stop - rows.start, columns.stop - columns.start, layout.bands)
        window = np.full(shape, self._page.nodata, layout.dtype)
        for index in self._touched(rows, columns, planar=planar):
            values, band, top, left = self._segment(index)
            first, last = max(top, rows.start), min(top + values.shape[0], rows.stop)
            begin, end = max(left, columns.start), min(left + values.shape[1], columns.stop)
            window[
                first - rows.start : last - rows.start,
                begin - columns.start : end - columns.start,
                band : band + values.shape[2],
            ] = values[first - top : last - top, begin - left : end - left]
        return window

    def _touched(self, rows: slice, columns: slice, *, planar: bool) -> Iterator[int]:
        """The numbers of the tiles or strips that a window needs."""
        page = self._page
        high = page.tilelength if page.is_tiled else min(page.rowsperstrip, page.imagelength)
        wide = page.tilewidth if page.is_tiled else page.imagewidth
        down, across = -(-page.imagelength // high), -(-page.imagewidth // wide)
        for band in range(page.samplesperpixel if planar else 1):
            for row in range(rows.start // high, -(-rows.stop // high)):
                for column in range(columns.start // wide, -(-columns.stop // wide)):
                    yield (band * down + row) * across + column

    def _segment(self, index: int) -> tuple[Values, int, int, int]:
        """A tile or strip (H, W, bands), and its first band, row and column."""
        if index in self._decoded:
            self._decoded.move_to_end(index)
            return self._decoded[index]
        page = self._page
        data = None
        if page.databytecounts[index]:
            file = page.parent.filehandle
            file.seek(page.dataoffsets[index])
            data = file.read(page.databytecounts[index])
        values, (band, _, top, left, _), shape = page.decode(
            data, index, jpegtables=page.jpegtables
        )
        if values is None:  # of a sparse file
            values = np.full(shape, page.nodata, page.dtype)
        found = (values[0, : page.imagelength - top, : page.imagewidth - left], band, top, left)
        self._decoded[index] = found
        self._bytes_decoded += found[0].nbytes
        while self._bytes_decoded > BYTES_KEPT and len(self._decoded) > 1:
            _, (oldest, *_) = self._decoded.popitem(last=False)
            self._bytes_decoded -= oldest.nbytes
        return found

    def _unusable(self, why: str) -> DataError:
        return DataError(f"'{self.path}' cannot be used: {why}.")


def is_larger_than(path: Path, size: int) -> bool:
    """Whether a file is a TIFF whose first image takes more than so many bytes."""
    try:
        with tifffile.TiffFile(path) as file:
            page: Any = file.pages[0]
            pixels = page.imagelength * page.imagewidth * page.samplesperpixel
            return bool(pixels * page.bitspersample > 8 * size)
    except Exception:  # noqa: BLE001 (a broken head raises nearly anything; its reader says so)
        return False


def write_tiled(
    path: Path,
    read: Callable[[slice, slice], Values],
    like: Layout,
    bands: int,
    *,
    has_alpha: bool,
) -> None:
    """Write a tiled BigTIFF tile by tile, with the tags and the compression of another.

    Arguments:
        read: returns a part of it, (rows, columns, bands) of the type of `like`.
        like: what it is made of.
        bands: that it has.
        has_alpha: whether the last of them is no colour.

    Raises:
        OSError: the file cannot be written.
    """

    def tiles() -> Iterator[Values]:
        for top in range(0, like.height, SIDE):
            for left in range(0, like.width, SIDE):
                rows = slice(top, min(top + SIDE, like.height))
                columns = slice(left, min(left + SIDE, like.width))
                yield np.ascontiguousarray(read(rows, columns))

    colours = bands - has_alpha
    more = colours - (3 if colours == 3 else 1)
    tifffile.imwrite(
        path,
        tiles(),
        bigtiff=True,
        shape=(like.height, like.width, bands) if bands > 1 else (like.height, like.width),
        dtype=like.dtype,
        tile=(SIDE, SIDE),
        photometric="rgb" if colours == 3 else "minisblack",
        planarconfig="contig" if bands > 1 else None,
        extrasamples=["unspecified"] * more + ["unassalpha"] * has_alpha or None,
        compression="zlib" if like.compressed else None,
        predictor=like.compressed,
        extratags=[(*tag, True) for tag in like.tags if tag.code in GEO_TAGS],
        metadata=None,
    )
