"""Portable float maps: grey or RGB in 32-bit floating point, as depth and radiance are kept."""

import re
from pathlib import Path

import numpy as np

from i2i.core.registry import register_image_format
from i2i.data.images.formats import DecodedFile, ImageFormat
from i2i.errors import DataError

_HEAD = re.compile(rb"(PF|Pf)\s+([0-9]{1,9})\s+([0-9]{1,9})\s+([-+0-9.eE]{1,40})\s")


@register_image_format("pfm")
class Pfm(ImageFormat):
    """Source: Debevec, "PFM portable float map", the format of HDR Shop: rows from the bottom to
    the top; a negative scale says that the bytes are little-endian."""

    suffixes = (".pfm",)

    def accepts(self, head: bytes) -> bool:
        return head[:2] in (b"PF", b"Pf") and head[2:3].isspace()

    def read(self, data: bytes) -> DecodedFile:
        head = _HEAD.match(data)
        if head is None:
            raise DataError("it has no head of a portable float map")
        width, height, channels = int(head[2]), int(head[3]), 3 if head[1] == b"PF" else 1
        expected, held = 4 * width * height * channels, len(data) - head.end()
        if not expected or held != expected:
            raise DataError(f"it declares {expected:,} bytes of values, and holds {held:,}")
        order = "<" if float(head[4]) < 0 else ">"
        values = np.frombuffer(data, f"{order}f4", offset=head.end())
        return DecodedFile(values.reshape(height, width, channels)[::-1].astype(np.float32))

    def write(self, image: DecodedFile, path: Path) -> None:
        values = image.values
        height, width, channels = values.shape
        if channels not in (1, 3) or values.dtype.kind != "f":
            raise DataError(
                f"a .pfm holds 1 or 3 channels of floating point, not {channels} of {values.dtype}"
            )
        name = b"PF" if channels == 3 else b"Pf"
        head = b"%s\n%d %d\n-1.0\n" % (name, width, height)
        path.write_bytes(head + values[::-1].astype("<f4").tobytes())
