"""What only the files of a side can tell: how many bands, of which type, and the range of each."""

from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from i2i.core.progress import progress
from i2i.core.scale import DTYPES
from i2i.data.images.arrays import read_array, to_bands
from i2i.errors import DataError

SAMPLES = 2**14
"""Values of an image that percentiles are taken of, of each band."""


@dataclass(frozen=True)
class Measured:
    """What some files hold.

    Attributes:
        dtype: by the name that NumPy has for it.
        channels: bands.
        ranges: of each band.
    """

    dtype: str
    channels: int
    ranges: tuple[tuple[float, float], ...]


def measure(
    files: Sequence[tuple[Path, int | None]],
    *,
    channels: int | None = None,
    percentiles: tuple[float, float] | None = None,
) -> Measured:
    """Read all files of a side.

    Arguments:
        files: each with the half of it that is meant, 0 or 1; None for all of it.
        channels: bands that are wanted; by default as many as there are.
        percentiles: of the values of all images, which bound the range of a band; by default the
            least and the greatest value do.

    Raises:
        DataError: a file cannot be read, has other bands or another type than the others, or
            values that are not numbers.
    """
    kinds: Counter[str] = Counter()
    first: dict[str, Path] = {}
    bounds: list[npt.NDArray[Any]] = []
    samples: list[npt.NDArray[Any]] = []
    with ThreadPoolExecutor() as pool, progress("measuring values") as update:

        def look(file: tuple[Path, int | None]) -> npt.NDArray[Any]:
            path, half = file
            return _values(path, half, channels)

        for done, (path, values) in enumerate(_in_turn(pool, look, files), 1):
            kind = f"{values.shape[1]} bands of {values.dtype}"
            kinds[kind] += 1
            first.setdefault(kind, path)
            if not np.isfinite(values).all():
                raise DataError(f"'{path}' cannot be used: it holds NaN, or infinite values.")
            if len(kinds) > 1:
                continue  # which is refused in the end, with all counts
            bounds += [values.min(axis=0), values.max(axis=0)]
            if percentiles is not None:
                step = max(1, len(values) // SAMPLES)
                samples.append(values[::step].astype(np.float64))
            update(done, len(files))
    if len(kinds) > 1:
        said = [f"{count} with {kind} ('{first[kind]}')" for kind, count in kinds.most_common()]
        raise DataError(
            f"The images of a side must be alike, and there are {', '.join(said)}: convert them, "
            "or say the dtype of their side."
        )
    dtype = str(values.dtype)
    if dtype not in DTYPES:
        dtype = "float64" if values.dtype.kind == "f" else "int32"
    if percentiles is not None:
        low, high = np.percentile(np.concatenate(samples), percentiles, axis=0)
    else:
        both = np.stack(bounds).astype(np.float64)
        low, high = both.min(axis=0), both.max(axis=0)
    high = np.where(high > low, high, low + 1)  # a band of one value becomes -1
    ranges = tuple(zip(low.tolist(), high.tolist(), strict=True))
    return Measured(dtype, values.shape[1], ranges if len(set(ranges)) > 1 else ranges[:1])


def _values(path: Path, half: int | None, channels: int | None) -> npt.NDArray[Any]:
    """The values (pixels, bands) of a file or its half."""
    image = read_array(path)
    try:
        values = image.values if channels is None else to_bands(image, channels)
    except DataError as error:
        raise DataError(f"'{path}' cannot be used: {error}.") from error
    if half is not None:
        middle = values.shape[1] // 2
        values = values[:, half * middle : (half + 1) * middle]
    return values.reshape(-1, values.shape[2])


def _in_turn(
    pool: ThreadPoolExecutor, look: Any, files: Sequence[tuple[Path, int | None]]
) -> Iterator[tuple[Path, npt.NDArray[Any]]]:
    """What is in the files, a few of which are read ahead."""
    for begin in range(0, len(files), 16):
        part = files[begin : begin + 16]
        yield from zip((path for path, _ in part), pool.map(look, part), strict=True)
