"""Arrays that NumPy has saved: .npy, and .npz with one image in it."""

import io
import math
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from i2i.core.registry import register_image_format
from i2i.data.images.formats import DecodedFile, ImageFormat
from i2i.errors import DataError

IMAGE = "image"
"""Of several arrays in a .npz, the one that is taken."""

_HEADERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}


@register_image_format("npy")
class Npy(ImageFormat):
    """One array, (H, W) or (H, W, C)."""

    suffixes = (".npy",)

    def accepts(self, head: bytes) -> bool:
        return head.startswith(np.lib.format.MAGIC_PREFIX)

    def read(self, data: bytes) -> DecodedFile:
        values = _array(data)
        return DecodedFile(values, {"flat": values.ndim == 2})

    def write(self, image: DecodedFile, path: Path) -> None:
        with path.open("wb") as file:
            np.save(file, _as_read(image), allow_pickle=False)


@register_image_format("npz")
class Npz(ImageFormat):
    """Several arrays, of which one is the image: the only one, or that which is called `image`."""

    suffixes = (".npz",)

    def accepts(self, head: bytes) -> bool:
        return head.startswith(b"PK\x03\x04")  # of any ZIP: what is in it is seen on reading

    def read(self, data: bytes) -> DecodedFile:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            names = {Path(each).stem: each for each in archive.namelist() if each.endswith(".npy")}
            if not names:
                raise DataError("there is no array in it")
            name = IMAGE if IMAGE in names else next(iter(names))
            if len(names) > 1 and name != IMAGE:
                raise DataError(
                    f"it holds the arrays {', '.join(sorted(names))}: save the one that is meant "
                    f"as {IMAGE!r}, or alone"
                )
            entry = archive.getinfo(names[name])
            if entry.file_size > 1100 * max(entry.compress_size, 1):  # more than deflate can do
                raise DataError(f"it declares {entry.file_size:,} bytes, which it cannot hold")
            values = _array(archive.read(entry))
        return DecodedFile(values, {"flat": values.ndim == 2, "key": name})

    def write(self, image: DecodedFile, path: Path) -> None:
        with path.open("wb") as file:
            arrays: Any = {str(image.info.get("key", IMAGE)): _as_read(image)}
            np.savez_compressed(file, **arrays)


def _array(data: bytes) -> np.ndarray[Any, Any]:
    """The array of a .npy, which must hold what its head declares."""
    file = io.BytesIO(data)
    version = np.lib.format.read_magic(file)
    if version not in _HEADERS:
        raise DataError(f"it is of the version {version} of the format, which is not read")
    shape, _, dtype = _HEADERS[version](file)
    if dtype.hasobject or dtype.kind not in "biuf":
        raise DataError(f"it holds {dtype}, where numbers were expected")
    declared = math.prod(shape) * dtype.itemsize
    if declared != len(data) - file.tell() or not declared:
        raise DataError(
            f"it declares {declared:,} bytes of values of the shape {shape}, and holds "
            f"{len(data) - file.tell():,}"
        )
    file.seek(0)
    values: np.ndarray[Any, Any] = np.load(file, allow_pickle=False)
    return values


def _as_read(image: DecodedFile) -> np.ndarray[Any, Any]:
    values = image.values
    flat = image.info.get("flat") and values.ndim == 3 and values.shape[2] == 1
    return values[:, :, 0] if flat else values
