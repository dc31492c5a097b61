"""What an image says of its size, judged before it is decoded.

A file of a few thousand bytes can declare hundreds of megapixels, and a decoder believes it: it
takes gigabytes before it finds out that there is nothing in them.
"""

import torch
from PIL import Image

from i2i.errors import DataError
from i2i.system.memory import free_memory

HARMLESS = 2**24
"""Pixels that find room on any machine."""

BLANK = 2**26
"""Pixels from which on a file must hold something: 8192 x 8192."""

DENSEST = 10_000
"""Pixels in a byte. Deflate cannot do more than 8,256 (1,032 bytes of eight pixels of one bit), so
that no blank PNG is refused."""

COPIES = 3
"""Of the pixels while an image is read: decoded, turned or converted, and as an array."""

_BYTES = {"1": 1, "L": 1, "P": 1, "LA": 4, "I;16": 2, "I;16B": 2, "I;16L": 2}
"""Of a pixel in memory; 4 in any other mode of Pillow."""


def require_room(image: Image.Image, size: int) -> None:
    """Refuse an image whose file cannot hold what it declares, or whose pixels find no room.

    Arguments:
        image: opened, not loaded.
        size: bytes of its file.

    Raises:
        DataError: says what was declared.
    """
    require_declared(image.width, image.height, _BYTES.get(image.mode, 4), size)


def require_declared(width: int, height: int, each: int, size: int) -> None:
    """As `require_room`, for pixels of `each` so many bytes."""
    pixels = width * height
    if pixels * max(1, each // 4) <= HARMLESS:
        return
    declared = f"it declares {width} x {height} pixels ({pixels / 1e6:,.0f} megapixels)"
    if pixels > BLANK and pixels > DENSEST * size:
        raise DataError(f"{declared} in a file of {size:,} bytes, which cannot hold them")
    need = pixels * each * COPIES
    free = free_memory(torch.device("cpu"))
    if free is not None and need > free:
        raise DataError(
            f"{declared}, which take {need / 2**30:.1f} GiB to read where {free / 2**30:.1f} are "
            "free: cut it into smaller images"
        )
