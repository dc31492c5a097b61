"""Images in MNIST's format: one file of bytes for all images, one for all labels.

The format is called IDX (LeCun et al., "The MNIST database of handwritten digits"): two zero bytes,
the type (8: unsigned bytes), the number of dimensions, each dimension as a big-endian integer of 32
bits, and the values. Files may be compressed; then they are unpacked into the cache, so that all
processes of a loader share the memory in which the system keeps them.
"""

import gzip
import hashlib
import math
import os
import re
import struct
import zlib
from functools import cached_property
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from i2i.data.images.read import Pixels, natural_key, reason, to_pixels
from i2i.data.kinds.image_set import FoundImages, ImageSet, whole
from i2i.data.kinds.layouts import first_few
from i2i.errors import DataError
from i2i.system.atomic import replacing

Bytes = npt.NDArray[np.uint8]

_NAME = re.compile(r"(.*?)(train|t10k|test)[-_](images|labels)[-.]idx[13][-.]ubyte(\.gz)?")
_DIMENSIONS = {"images": 3, "labels": 1}
_PIECE = 2**20  # bytes that are unpacked at a time


class ByteStore:
    """Grey images in a file of MNIST's format that is not compressed.

    Args:
        file: the file; only what is looked at is read.
        shape: number of images, height, width.
        transposed: rows and columns are exchanged in the file, as in EMNIST.
    """

    def __init__(self, file: Path, shape: tuple[int, ...], *, transposed: bool = False) -> None:
        self.file = file
        self.shape = shape
        self.transposed = transposed

    def __len__(self) -> int:
        return self.shape[0]

    def __getstate__(self) -> dict[str, Any]:
        # Each process maps the file for itself: a map would be sent as a copy of the images.
        return {key: value for key, value in vars(self).items() if key != "_values"}

    def read(self, index: int, channels: int) -> Pixels:
        """Return an image as (H, W, channels) uint8."""
        values = self._values[index]
        return to_pixels(Image.fromarray(values.T if self.transposed else values), channels)

    def name(self, index: int) -> str:
        return str(index)

    @cached_property
    def fingerprint(self) -> str:
        with self.file.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    @cached_property
    def _values(self) -> Bytes:
        return _mapped(self.file, self.shape)


def has_idx(root: Path) -> bool:
    """Say whether a folder holds files of MNIST's format, judged by their names."""
    return any(_NAME.fullmatch(path.name) for path in root.iterdir())


def find_idx(root: Path, cache: Path) -> FoundImages:
    """Find the images in files of MNIST's format.

    These are train-images-idx3-ubyte and train-labels-idx1-ubyte, and t10k-... (or test-...) to
    validate with; before "idx" may stand a dot, before all a prefix, and after it ".gz". Labels may
    be missing. The classes are named by their numbers. In files whose prefix is that of EMNIST rows
    and columns are exchanged; they are put right.

    Arguments:
        root: the folder.
        cache: where compressed files are unpacked.

    Raises:
        DataError: a file is missing, damaged or another, or does not fit its partner.
    """
    files: dict[tuple[str, str], Path] = {}
    prefixes = set()
    # What is not compressed comes first, and is taken.
    for path in sorted(root.iterdir(), key=lambda path: natural_key(path.name)):
        if found := _NAME.fullmatch(path.name):
            prefixes.add(found[1])
            split = "train" if found[2] == "train" else "val"
            files.setdefault((split, found[3]), path)
    if len(prefixes) > 1:
        several = first_few(sorted(prefix.rstrip("-_") or "(no prefix)" for prefix in prefixes))
        raise DataError(f"'{root}' holds several data sets:\n{several}\nGive each its own folder.")
    transposed = any(prefix.startswith("emnist") for prefix in prefixes)
    if ("train", "images") not in files:
        there = first_few(sorted(path.name for path in files.values()))
        raise DataError(
            f"There is no file train-images-idx3-ubyte (or ...ubyte.gz) in '{root}', only:\n{there}"
        )
    train, labels = _split(files, "train", cache, transposed)
    names = [] if labels is None else [str(number) for number in range(int(labels.max()) + 1)]
    if ("val", "images") not in files:
        return FoundImages("MNIST format", whole(train, names, labels), None)
    held, held_labels = _split(files, "val", cache, transposed)
    if (labels is None) != (held_labels is None):
        raise DataError(
            f"In '{root}' only one of the two parts of the data set has labels "
            f"({files['train', 'images'].name} and {files['val', 'images'].name}): add those that "
            "are missing, or remove the others."
        )
    validation: ImageSet
    if held_labels is None:
        validation = whole(held)
    else:
        known = np.flatnonzero(held_labels < len(names))
        validation = ImageSet(held, known, tuple(names), held_labels[known].astype(np.int64))
    return FoundImages("MNIST format", whole(train, names, labels), validation)


def _split(
    files: dict[tuple[str, str], Path], split: str, cache: Path, transposed: bool
) -> tuple[ByteStore, Bytes | None]:
    images = files[split, "images"]
    store = ByteStore(*_unpacked(images, "images", cache), transposed=transposed)
    if (split, "labels") not in files:
        return store, None
    path = files[split, "labels"]
    labels = np.array(_mapped(*_unpacked(path, "labels", cache)))
    if len(labels) != len(store):
        raise DataError(
            f"'{images}' holds {len(store)} images, but '{path}' {len(labels)} labels: they "
            "do not belong together."
        )
    return store, labels


def _mapped(file: Path, shape: tuple[int, ...]) -> Bytes:
    return np.memmap(file, np.uint8, mode="r", offset=4 + 4 * len(shape), shape=shape)


def _unpacked(path: Path, what: str, cache: Path) -> tuple[Path, tuple[int, ...]]:
    """Return a file that is not compressed, once it is known to be whole, and its dimensions."""
    try:
        if path.suffix != ".gz":
            with path.open("rb") as file:
                shape = _header(file, path, what)
            _require_size(path, path.stat().st_size, shape)
            return path, shape
        with gzip.open(path) as packed:
            shape = _header(packed, path, what)
        stat = path.stat()
        key = f"{path.absolute()}/{stat.st_size}/{stat.st_mtime_ns}"
        unpacked = cache / "unpacked" / f"{hashlib.sha256(os.fsencode(key)).hexdigest()[:16]}.idx"
        if not unpacked.is_file():
            _unpack(path, unpacked, shape)
        return unpacked, shape
    except (OSError, EOFError, zlib.error) as error:
        done = f"unpacked into '{cache}'" if path.suffix == ".gz" else "read"
        raise DataError(f"'{path}' cannot be {done}: {reason(error)}.") from error


def _header(file: IO[bytes] | gzip.GzipFile, path: Path, what: str) -> tuple[int, ...]:
    """Read up to the values, and return the dimensions."""
    magic = file.read(4)
    wanted = bytes([0, 0, 8, _DIMENSIONS[what]])
    if magic != wanted:
        raise DataError(
            f"'{path}' is no file of {what} in MNIST's format: it begins with 0x{magic.hex()}; "
            f"0x{wanted.hex()} was expected."
        )
    rest = file.read(4 * _DIMENSIONS[what])
    if len(rest) < 4 * _DIMENSIONS[what]:
        raise DataError(f"'{path}' is truncated: it ends within its header.")
    shape = struct.unpack(f">{_DIMENSIONS[what]}I", rest)
    if 0 in shape:
        raise DataError(f"'{path}' holds nothing: its dimensions are {shape}.")
    return shape


def _require_size(path: Path, found: int, shape: tuple[int, ...]) -> None:
    """Compare the length in bytes with what the dimensions call for."""
    expected = 4 + 4 * len(shape) + math.prod(shape)
    if found != expected:
        state = "truncated" if found < expected else "too long"
        counted = "at least " if found > expected else ""
        raise DataError(
            f"'{path}' is {state}: its header {shape} calls for {expected} bytes, {counted}{found} "
            "were found."
        )


def _unpack(path: Path, target: Path, shape: tuple[int, ...]) -> None:
    """Unpack a file, which appears when it is complete; no more than the header calls for."""
    target.parent.mkdir(parents=True, exist_ok=True)
    most = 4 + 4 * len(shape) + math.prod(shape) + 1
    with replacing(target) as unfinished:
        with gzip.open(path) as packed, unfinished.open("wb") as written:
            while piece := packed.read(min(_PIECE, most - written.tell())):
                written.write(piece)
        _require_size(path, unfinished.stat().st_size, shape)
