"""Images of 16 bits per channel, which Pillow knows only in grey.

It reads colours of 16 bits as 8 and cannot write them. Reading is left to OpenCV; it cannot write
grey with alpha, nor colour profiles, and since both formats need little, they are written here.
"""

import re
import struct
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from i2i.data.images import read as reading
from i2i.data.images.formats import open_file, sixteen_bits
from i2i.errors import DataError

Words = npt.NDArray[np.uint16]

_ROWS_PER_STRIP = 64


def read_colours(path: Path, page: int = 0) -> Words | None:
    """Read an image of 16 bits per channel that is not just grey, upright.

    Arguments:
        path: the file.
        page: which of several, counted from 0.

    Returns:
        (H, W, C) with C = 2 (grey and alpha), 3 (RGB) or 4 (RGBA) channels, or None if the image
        is another one.

    Raises:
        DataError: OpenCV cannot read what Pillow can.
    """
    with path.open("rb") as file, open_file(file) as image:
        image.seek(page)
        if (words := sixteen_bits(image)) is not None:
            return words
        # The raw mode is an argument of the decoder, or the first of several.
        arguments = image.tile[0][3] if image.tile else ""
        raw_mode = arguments[0] if isinstance(arguments, tuple) else arguments
        match = re.match("(LA|RGB|RGBA);16", str(raw_mode))
        if not match:
            return None
        # Either library turns TIFF images by itself; other ones are left as they are.
        turn = 1 if image.format == "TIFF" else reading.orientation(image)

    import cv2  # which is slow

    # It warns of each tag of a TIFF that it does not know, four times a GeoTIFF.
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_ERROR)

    # Not imread, which fails where a TIFF is to be turned.
    data = np.fromfile(path, np.uint8)
    values: Any
    if page:
        _, pages = cv2.imdecodemulti(data, cv2.IMREAD_UNCHANGED, range=(page, page + 1))
        values = pages[0] if pages else None
    else:
        values = cv2.imdecode(data, cv2.IMREAD_UNCHANGED)
    if values is None or values.dtype != np.uint16 or values.ndim != 3:
        raise DataError(f"'{path}' cannot be read with 16 bits: save it as PNG.")
    values = values[:, :, [0, 3] if match[1] == "LA" else [2, 1, 0, 3][: values.shape[2]]]
    if turn >= 5:
        values = values.swapaxes(0, 1)
    if turn in (3, 4, 7, 8):
        values = values[::-1]
    if turn in (2, 3, 6, 7):
        values = values[:, ::-1]
    return np.ascontiguousarray(values, dtype=np.uint16)


def write_png(values: Words, path: Path, profile: bytes | None) -> None:
    """Write (H, W, C) with C = 1 (grey), 2 (grey and alpha), 3 (RGB) or 4 (RGBA) channels.

    Source: Portable Network Graphics, third edition, sections 5, 9 and 11.
    """
    height, width, channels = values.shape
    colour_type = {1: 0, 2: 4, 3: 2, 4: 6}[channels]
    rows = np.ascontiguousarray(values, dtype=">u2").reshape(height, -1).view(np.uint8)
    filtered = np.empty((height, 1 + rows.shape[1]), np.uint8)
    filtered[:, 0] = 2  # each byte is stored as the difference to the one above
    filtered[0, 1:] = rows[0]
    np.subtract(rows[1:], rows[:-1], out=filtered[1:, 1:])
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", width, height, 16, colour_type, 0, 0, 0))]
    if profile:
        chunks.append((b"iCCP", b"ICC profile\0\0" + zlib.compress(profile)))
    chunks += [(b"IDAT", zlib.compress(filtered.tobytes(), 4)), (b"IEND", b"")]
    with path.open("wb") as file:
        file.write(b"\x89PNG\r\n\x1a\n")
        for kind, data in chunks:
            check = zlib.crc32(data, zlib.crc32(kind))
            file.writelines([struct.pack(">I", len(data)), kind, data, struct.pack(">I", check)])


def write_tiff(values: Words, path: Path, profile: bytes | None) -> None:
    """Write (H, W, C) with C = 1 (grey), 2 (grey and alpha), 3 (RGB) or 4 (RGBA) channels."""
    write_tiff_pages([(values, profile)], path)


def write_tiff_pages(pages: Sequence[tuple[Words, bytes | None]], path: Path) -> None:
    """Write pages, each as in `write_tiff` with a colour profile or without one.

    Source: TIFF revision 6.0, sections 2, 14 and 18, and its technical note on "Deflate".
    """
    with path.open("wb") as file:
        file.write(b"II*\0" + bytes(4))
        link = 4  # where the place of the next directory is written
        for values, profile in pages:
            start = file.tell()
            strips, directory, next_link = _tiff_page(values, profile, start)
            file.writelines(strips)
            file.write(bytes((start - file.tell()) % 2))
            place = file.tell()
            file.write(directory)
            end = file.tell()
            file.seek(link)
            file.write(struct.pack("<I", place))
            file.seek(end)
            file.write(bytes(end % 2))
            link = place + next_link


def _tiff_page(values: Words, profile: bytes | None, begin: int) -> tuple[list[bytes], bytes, int]:
    """Return the strips of a page, of which the first lies at `begin`, an even number; the
    directory that follows them, at an even place; and where in it the link to the next page is."""
    height, width, channels = values.shape
    differences = values.astype("<u2")
    differences[:, 1:] -= values[:, :-1]
    strips = [
        zlib.compress(differences[start : start + _ROWS_PER_STRIP].tobytes(), 4)
        for start in range(0, height, _ROWS_PER_STRIP)
    ]
    short, long, undefined = 3, 4, 7
    sizes = {short: 2, long: 4, undefined: 1}
    offsets = [begin + sum(map(len, strips[:i])) for i in range(len(strips))]
    tags: list[tuple[int, int, list[int] | bytes]] = [
        (256, long, [width]),
        (257, long, [height]),
        (258, short, [16] * channels),
        (259, short, [8]),  # deflate
        (262, short, [2 if channels >= 3 else 1]),  # RGB, or black is zero
        (273, long, offsets),
        (277, short, [channels]),
        (278, long, [_ROWS_PER_STRIP]),
        (279, long, [len(strip) for strip in strips]),
        (284, short, [1]),  # channels side by side
        (317, short, [2]),  # differences along a row
    ]
    if channels in (2, 4):
        tags.append((338, short, [2]))  # the last channel is alpha, not multiplied in
    if profile:
        tags.append((34675, undefined, profile))

    start = offsets[-1] + len(strips[-1])
    start += start % 2
    beside = start + 2 + 12 * len(tags) + 4  # where what does not fit into four bytes goes
    directory, values_beside = struct.pack("<H", len(tags)), b""
    for tag, kind, entry in tags:
        data = (
            entry
            if isinstance(entry, bytes)
            else b"".join(number.to_bytes(sizes[kind], "little") for number in entry)
        )
        count = len(data) // sizes[kind]
        if len(data) > 4:
            where = beside + len(values_beside)
            values_beside += data + bytes(len(data) % 2)
            data = struct.pack("<I", where)
        directory += struct.pack("<HHI", tag, kind, count) + data.ljust(4, b"\0")
    return strips, directory + bytes(4) + values_beside, len(directory)
