"""A data set written into tar files, in the layout that webdataset reads.

The files of a sample lie one after the other, and have one name up to the first dot: of the pair
train/A/7.jpg and train/B/7.png, they are train/7.a.jpg and train/7.b.png. Samples are shuffled, so
that whoever reads the files from end to end sees all kinds.
"""

import hashlib
import io
import os
import sqlite3
import tarfile
from collections.abc import Iterator, Sequence
from contextlib import closing
from itertools import groupby
from pathlib import Path, PurePosixPath

from i2i.core.progress import progress
from i2i.data.images.content_hash import hash_bytes
from i2i.data.images.read import list_images, nothing_here
from i2i.data.kinds.folders import side_of
from i2i.data.shards.index import INDEX, TABLES, VERSION
from i2i.errors import DataError

SHARD = 2**30
"""Bytes of a tar file, about."""


def pack(folder: Path, target: Path, *, size: int = SHARD) -> tuple[int, int]:
    """Write all images of a folder, with their places in it, into tar files and an index of them.

    Arguments:
        folder: the data set.
        target: a folder that is empty or not there yet.
        size: bytes after which a new tar file begins.

    Returns:
        how many images and how many tar files were written.

    Raises:
        DataError: there is no image, one cannot be read, or the target holds something.
        OSError: it cannot be written.
    """
    images = list_images(folder)
    if not images:
        raise DataError(nothing_here(folder))
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise DataError(f"'{target}' is there already, and not empty: name another folder.")
    target.mkdir(parents=True, exist_ok=True)
    names = list(images.names())
    for name in names:
        if not name.isprintable():
            raise DataError(f"{name!r} cannot be packed under this name: rename it.")
    number, places = 0, list[tuple[str, int, int, int, str]]()
    shard: tarfile.TarFile | None = None
    # Until it is complete, there is no index, and nobody takes the folder for a data set.
    with closing(sqlite3.connect(target / f"{INDEX}.partial")) as database:
        database.executescript(f"{TABLES} PRAGMA user_version = {VERSION}")
        with progress("packing images") as update:
            done = 0
            for members in _samples(names):
                if shard is not None and shard.offset >= size:
                    shard.close()
                    number, shard = number + 1, None
                if shard is None:
                    shard = tarfile.open(target / shard_name(number), "x")  # noqa: SIM115
                for member, name in members:
                    data = _read(folder / name)
                    head = tarfile.TarInfo(member)
                    head.size = len(data)
                    shard.addfile(head, io.BytesIO(data))
                    end = shard.offset - -len(data) % tarfile.BLOCKSIZE
                    begin = end - len(data)
                    places.append((name, number, begin, len(data), hash_bytes(data)))
                    done += 1
                if len(places) > 1000:
                    _note(database, places)
                    update(done, len(names))
            update(done, len(names))
        assert shard is not None
        shard.close()
        _note(database, places)
        for each in range(number + 1):
            at = target / shard_name(each)
            row = each, at.name, at.stat().st_size
            database.execute("INSERT INTO shards VALUES (?, ?, ?)", row)
        _note_folders(database, names)
        database.commit()
    (target / f"{INDEX}.partial").rename(target / INDEX)
    return len(names), number + 1


def shard_name(number: int) -> str:
    return f"shard-{number:06d}.tar"


def _samples(names: Sequence[str]) -> Iterator[list[tuple[str, str]]]:
    """The files of each sample: what they are called in the tar file, and in the folder."""

    def word(at: int) -> bytes:
        return hashlib.sha256(os.fsencode(_key(names[at])[0])).digest()

    order = sorted(range(len(names)), key=lambda at: (word(at), names[at]))
    for _, same in groupby(order, key=word):
        yield [(_member(names[at]), names[at]) for at in same]


def _key(name: str) -> tuple[str, str]:
    """What the files of a pair have in common, and which side one is: "a", "b" or ""."""
    parts, side = [], ""
    *folders, last = PurePosixPath(name).parts
    for part in folders:
        if not side and (found := side_of(part)):
            parts.append(found[0])
            side = found[1].lower()
        elif not side and part.upper() in ("A", "B"):
            side = part.lower()
        else:
            parts.append(part)
    return "/".join([*parts, os.path.splitext(last)[0].replace(".", "_")]), side  # noqa: PTH122


def _member(name: str) -> str:
    key, side = _key(name)
    return f"{key}.{side}." * bool(side) + f"{key}." * (not side) + name.rpartition(".")[2]


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise DataError(f"'{path}' cannot be read: {error.strerror}.") from error


def _note(database: sqlite3.Connection, places: list[tuple[str, int, int, int, str]]) -> None:
    database.executemany("INSERT INTO images VALUES (?, ?, ?, ?, ?)", places)
    places.clear()


def _note_folders(database: sqlite3.Connection, names: Sequence[str]) -> None:
    """All folders of some names, and the outermost."""
    folders = {""}
    for inner in {name.rpartition("/")[0] for name in names}:
        folders.update("/".join(inner.split("/")[:end]) for end in range(1, inner.count("/") + 2))
    rows = [(name, name.rpartition("/")[0]) for name in sorted(folders)]
    database.executemany("INSERT INTO folders VALUES (?, ?)", rows)
