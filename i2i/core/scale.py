"""What the values of files mean to networks: a range of them is -1..1, and back without loss.

Between files and networks, values travel in one of three types, the narrowest that loses nothing:
uint8 where the range is 0..255; uint16, 0..65535 for the range, where integers span up to 65535;
else float32, -1..1 for the range. On the device all become -1..1 (`i2i.core.batch.to_signed`).
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from i2i.errors import DataError

Range = tuple[float, float]

DTYPES = ("uint8", "uint16", "int16", "uint32", "int32", "float16", "float32", "float64")


@dataclass(frozen=True)
class Scale:
    """The range of the bands of some images.

    Attributes:
        dtype: of the files, by the name that NumPy has for it.
        ranges: the values that become -1 and 1: one pair for all bands, or one for each.
    """

    dtype: str
    ranges: tuple[Range, ...]

    @property
    def travels(self) -> np.dtype[Any]:
        """The type in which values go to the device."""
        if np.dtype(self.dtype).kind not in "iu":
            return np.dtype(np.float32)
        if self.dtype == "uint8" and all(each == (0, 255) for each in self.ranges):
            return np.dtype(np.uint8)
        narrow = all(high - low <= 65535 for low, high in self.ranges)
        return np.dtype(np.uint16 if narrow else np.float32)

    def encode(self, values: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Values (..., C) of a file as they travel; what is beyond the range becomes its end.

        Raises:
            DataError: some are not numbers.
        """
        if values.dtype.kind == "f" and not np.isfinite(values).all():
            wrong = int((~np.isfinite(values)).sum())
            raise DataError(
                f"{wrong:,} of its {values.size:,} values are NaN or infinite: replace them by a "
                "number (that of the sea, the sky, or the mean)"
            )
        to = self.travels
        whole = all(each == (0, np.iinfo(to).max) for each in self.ranges) if to != "f4" else False
        if whole and values.dtype == to:
            return values
        low, high = self._bounds()
        share = (values.astype(np.float64).clip(low, high) - low) / (high - low)
        if to == np.float32:
            return (2 * share - 1).astype(np.float32)
        return np.rint(np.iinfo(to).max * share).astype(to)

    def decode(self, signed: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Values (..., C) of a file for what a network has made, -1..1 in floating point; integers
        are rounded, and kept within what their type can hold."""
        low, high = self._bounds()
        values = low + (signed.astype(np.float64) + 1) / 2 * (high - low)
        to = np.dtype(self.dtype)
        if to.kind in "iu":
            limits = np.iinfo(to)
            values = np.rint(values).clip(limits.min, limits.max)
        return values.astype(to)

    def _bounds(self) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        low, high = np.array(self.ranges, np.float64).T
        return low, high


def signed(values: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    """What travels, as networks see it: -1..1."""
    if values.dtype == np.float32:
        return values
    half = np.iinfo(values.dtype).max / 2
    return (values.astype(np.float64) / half - 1).astype(np.float32)
