"""Images that were decoded and resized once, for all epochs after the first.

What is kept is what comes before the random crop: the samples are those that reading the files
again would give. All processes that prepare batches share one file, in memory or on a disk::

    header      what the file is, and how many items there are
    table       for each item, where its record begins; 0: not kept yet
    records     height, width, channels, types and a checksum, and the bytes of the item's images,
                one channel after the other: as a network wants them, so that a crop is copied by
                rows

Records are appended, which the system does for one process after the other, and enter the table
when they are complete. So nobody waits for anybody, and a process that is killed, or another run
that writes the same file, leave nothing that is half done. Reading copies from the file instead of
mapping it: it comes from memory all the same, and a disk that is full is an error that can be
handled, where it would end a process that writes through a map.
"""

import hashlib
import os
import struct
import sys
import weakref
import zlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from i2i.data.images.read import Pixels
from i2i.system.atomic import write_bytes

Images = tuple[Pixels, ...]
"""Images of one item, each (H, W, C) uint8 with the H and W of the others; or uint16, or float32
(`i2i.core.scale`)."""

SUFFIX = ".images"

_MAGIC = b"i2i4"
_HEADER = struct.Struct("=4s?3xQ32s")  # the magic word, whether writing failed, items, fingerprint
_FAILED = 4  # where in the header that is
_ENTRY = struct.Struct("=Q")
_MOST = 8  # images of an item
_RECORD = struct.Struct(f"=QII{_MOST}H{_MOST}sI")  # item, height, width, channels, types, checksum
_TYPES: dict[str, np.dtype[Any]] = {
    "B": np.dtype(np.uint8),
    "H": np.dtype(np.uint16),
    "f": np.dtype(np.float32),
}

_Shapes = tuple[int, int, tuple[int, ...], bytes]
"""Height, width, and the channels and the type of each image of a record."""

_Part = tuple[slice, np.dtype[Any], tuple[int, int, int]]
"""Which bytes of a record an image is, its type, and (C, H, W)."""


class Decoding(ABC):
    """A data set whose samples begin with something that is the same in every epoch."""

    items: int
    kept: "DecodedCache | None" = None

    @abstractmethod
    def decoded(self, item: int) -> Images:
        """Return the images of one of the `items` as they are before anything random is done."""

    def recalled(self, item: int) -> Images:
        """`decoded`, from what is kept if there is such a thing."""
        return self.decoded(item) if self.kept is None else self.kept(item, self.decoded)


class DecodedCache:
    """Remembers the images of items in a file. Loaders send it to other processes.

    Arguments:
        path: of the file that `in_memory` or `on_disk` has made.
        items: how many there are.
        limit: bytes that the file may grow to; what does not fit is decoded anew every time.
        owned: a descriptor to close in the end.
    """

    def __init__(self, path: str, items: int, limit: int, owned: int | None = None) -> None:
        self.path = path
        self.items = items
        self.limit = limit
        if owned is not None:
            weakref.finalize(self, os.close, owned)
        self._file: _File | None = None

    def __reduce__(self) -> tuple[type["DecodedCache"], tuple[str, int, int]]:
        return type(self), (self.path, self.items, self.limit)

    def __call__(self, item: int, decode: Callable[[int], Images]) -> Images:
        """Return what `decode(item)` does, if need be by calling it."""
        if self._file is None:
            self._file = _File(self.path, self.items, self.limit)
        return self._file.recall(item) or self._file.keep(item, decode(item))


class _File:
    """The file as one process has it open; a file that cannot be used only costs time."""

    def __init__(self, path: str, items: int, limit: int) -> None:
        self.limit = limit
        self.places: dict[int, tuple[int, int, list[_Part]]] = {}  # of what was found to be whole
        self.begin = _HEADER.size + items * _ENTRY.size
        self.descriptors: list[int] = []
        self.writes = True
        try:
            # What is appended goes to the end, wherever one wants to write, so that the table needs
            # a second descriptor.
            for flag in (0, os.O_APPEND):
                descriptor = os.open(path, os.O_RDWR | flag | getattr(os, "O_BINARY", 0))
                self.descriptors.append(descriptor)
                weakref.finalize(self, os.close, descriptor)
        except OSError:
            self.descriptors.clear()

    def recall(self, item: int) -> Images | None:
        if not self.descriptors:
            return None
        try:
            if item not in self.places:
                return self._first(item)
            begin, size, parts = self.places[item]
            return _split(self._read(begin, size), parts)
        except OSError:
            return None

    def _first(self, item: int) -> Images | None:
        """Recall what this process has not seen yet, if it is whole."""
        (begin,) = _ENTRY.unpack(self._read(_HEADER.size + item * _ENTRY.size, _ENTRY.size).data)
        if begin < self.begin:
            return None
        who, height, width, *channels, types, checksum = _RECORD.unpack(
            self._read(begin, _RECORD.size).data
        )
        begin += _RECORD.size
        shapes = height, width, tuple(channels), types
        if who != item or not set(types) <= set(b"BHf\0"):
            return None
        size = _size(shapes)
        if not 0 < size <= os.fstat(self.descriptors[0]).st_size - begin:
            return None
        pixels = self._read(begin, size)
        if checksum != _checksum(item, shapes, pixels):
            return None
        parts = _parts(shapes)
        self.places[item] = begin, size, parts
        return _split(pixels, parts)

    def _read(self, begin: int, size: int) -> Pixels:
        values: Pixels = np.empty(size, np.uint8)
        if os.preadv(self.descriptors[0], [values.data], begin) != size:
            raise OSError("the file ends too early")
        return values

    def keep(self, item: int, images: Images) -> Images:
        height, width = images[0].shape[:2]
        assert len(images) <= _MOST
        assert all(image.shape[:2] == (height, width) for image in images)
        size = _RECORD.size + sum(image.nbytes for image in images)
        if not self.descriptors or not self.writes:
            return images
        table, end = self.descriptors
        try:
            if os.fstat(end).st_size + size > self.limit:
                self.writes = False
                return images
            channels = tuple(image.shape[2] for image in images) + (0,) * (_MOST - len(images))
            types = "".join(image.dtype.char for image in images).encode().ljust(_MOST, b"\0")
            shapes = height, width, channels, types
            planes = [image.transpose(2, 0, 1).reshape(-1).view(np.uint8) for image in images]
            pixels = np.concatenate(planes)
            checksum = _checksum(item, shapes, pixels)
            record = _RECORD.pack(item, height, width, *channels, types, checksum)
            if os.writev(end, [record, pixels.data]) != size:
                raise OSError("no space is left")
            begin = os.lseek(end, 0, os.SEEK_CUR) - size
            os.pwrite(table, _ENTRY.pack(begin), _HEADER.size + item * _ENTRY.size)
        except OSError as error:
            self._give_up(error)
        return images

    def _give_up(self, error: OSError) -> None:
        self.writes = False
        with suppress(OSError):
            if not self._read(_FAILED, 1)[0]:  # one of several processes says it
                os.pwrite(self.descriptors[0], b"\1", _FAILED)
                print(
                    f"note: no more decoded images can be kept ({error.strerror or error}); "
                    "the others are read from their files every time.",
                    file=sys.stderr,
                )


def _parts(shapes: _Shapes) -> list[_Part]:
    """Where the images of a record are in its bytes."""
    height, width, channels, types = shapes
    found: list[_Part] = []
    begin = 0
    for depth, code in zip(channels, types.decode(), strict=True):
        if not depth:
            break
        dtype = _TYPES[code]
        end = begin + height * width * depth * dtype.itemsize
        found.append((slice(begin, end), dtype, (depth, height, width)))
        begin = end
    return found


def _split(pixels: Pixels, parts: Sequence[_Part]) -> Images:
    """The images (H, W, C) in the bytes of a record."""
    images: list[Any] = []
    for place, dtype, shape in parts:
        plane: Any = pixels[place]
        if dtype.itemsize > 1:
            # What begins at an odd place must be copied to be read as words.
            plane = (plane.copy() if place.start % dtype.itemsize else plane).view(dtype)
        images.append(plane.reshape(shape).transpose(1, 2, 0))
    return tuple(images)


def _size(shapes: _Shapes) -> int:
    """Bytes of the images of a record."""
    height, width, channels, types = shapes
    each = zip(channels, types.decode(), strict=True)
    return height * width * sum(n * _TYPES[code].itemsize for n, code in each if code in _TYPES)


def _checksum(item: int, shapes: _Shapes, pixels: Pixels) -> int:
    height, width, channels, types = shapes
    record = _RECORD.pack(item, height, width, *channels, types, 0)
    return zlib.crc32(pixels.data, zlib.crc32(record))


def _empty(items: int, fingerprint: bytes) -> bytes:
    return _HEADER.pack(_MAGIC, False, items, fingerprint) + bytes(items * _ENTRY.size)


def in_memory(items: int, limit: int) -> DecodedCache | None:
    """Keep images in memory that belongs to this process and ends with it.

    Returns:
        None where the system cannot share such memory between processes (it is Linux that can).
    """
    if not hasattr(os, "memfd_create") or not Path("/proc/self/fd").is_dir():
        return None
    try:
        descriptor = os.memfd_create("i2i")
        os.write(descriptor, _empty(items, b""))
    except OSError:
        return None
    path = f"/proc/{os.getpid()}/fd/{descriptor}"
    return DecodedCache(path, items, limit, owned=descriptor)


def on_disk(folder: Path, fingerprint: bytes, items: int, limit: int) -> DecodedCache | None:
    """Keep images in a file that outlives the run, and serves the next one on the same images.

    Arguments:
        folder: of such files; it is made where it is missing.
        fingerprint: 32 bytes that other images, or other sizes of them, would not have.
        items: how many there are.
        limit: bytes that the file may grow to.

    Returns:
        None if the folder cannot be written to, or the system cannot read at a place of a file.
    """
    if not hasattr(os, "preadv"):
        return None
    path = folder / f"{fingerprint.hex()[:16]}{SUFFIX}"
    expected = _HEADER.pack(_MAGIC, False, items, fingerprint)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not _is_ours(path, expected):
            write_bytes(path, _empty(items, fingerprint))
        os.utime(path)
    except OSError:
        return None
    return DecodedCache(str(path), items, limit)


def _is_ours(path: Path, expected: bytes) -> bool:
    try:
        with path.open("r+b") as file:
            begin = file.read(_HEADER.size)
            if begin[:_FAILED] + b"\0" + begin[_FAILED + 1 :] != expected:
                return False
            file.seek(_FAILED)  # there may be space again
            file.write(b"\0")
    except OSError:
        return False
    return True


def make_room(folder: Path, needed: int, limit: int, keep: str) -> None:
    """Remove files of other images, those that were not used for longest first, until `needed`
    bytes more are within the limit."""
    with suppress(OSError):
        files = [path for path in folder.glob(f"*{SUFFIX}") if path != Path(keep)]
        oldest = sorted((path.stat().st_mtime_ns, path.stat().st_size, path) for path in files)
        used = sum(size for _, size, _ in oldest)
        for _, size, path in oldest:
            if used + needed <= limit:
                break
            path.unlink()
            used -= size


def fingerprint(paths: Iterable[Path], *about: object) -> bytes:
    """Return 32 bytes that change with the files (name, size, time) and with what is said about
    them.

    Raises:
        OSError: a file is gone.
    """
    digest = hashlib.sha256(repr(about).encode())
    for path in paths:
        stat = path.stat()
        digest.update(os.fsencode(path.absolute()) + b"\0")
        digest.update(struct.pack("=QQ", stat.st_size, stat.st_mtime_ns))
    return digest.digest()


def estimated_bytes(dataset: Decoding, samples: int = 5) -> int:
    """Return how many bytes the images of a data set will take, judged by a few of them."""
    chosen = np.unique(np.linspace(0, dataset.items - 1, samples).astype(int)).tolist()
    sizes = [sum(image.nbytes for image in dataset.decoded(item)) for item in chosen]
    each = sum(sizes) / len(sizes) + _RECORD.size + _ENTRY.size
    return _HEADER.size + round(each * dataset.items)
