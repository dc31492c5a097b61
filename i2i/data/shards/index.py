"""What lies where in the tar files of a data set: a small database (SQLite) beside them.

An image is read by its place alone, so that the order of a training, its splits and its resumption
are those of the folder that was packed. The usual readers of such files (webdataset) go through
them one after the other instead, and begin a shard anew when they are resumed; and they hold out,
deal out and count by shards.
"""

import sqlite3
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from i2i.errors import DataError, how_to_install

INDEX = "shards.sqlite"
"""Its name, beside the tar files."""

VERSION = 1

TABLES = """
CREATE TABLE shards (number INTEGER PRIMARY KEY, name TEXT, size INTEGER);
CREATE TABLE images (
    name TEXT PRIMARY KEY, shard INTEGER, begin INTEGER, size INTEGER, hash TEXT
) WITHOUT ROWID;
CREATE TABLE folders (name TEXT PRIMARY KEY, above TEXT) WITHOUT ROWID;
CREATE TABLE place (address TEXT);
"""
"""`begin` and `size` are those of the content within the tar file, in bytes; `hash` is that of
`i2i.data.images.content_hash`. Folders are those of the names, "" the outermost. `place` is empty,
or says where on the network the tar files lie."""


class Packed(NamedTuple):
    """Where an image lies."""

    shard: int
    begin: int
    size: int
    hash: str


class Index:
    """The index of a data set, to be asked.

    Arguments:
        folder: that holds the file.

    Raises:
        DataError: it is not there or broken, or a tar file is missing or has another size.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        try:
            # Nobody writes to it any more, and so it may lie where nobody can.
            address = f"{(folder / INDEX).absolute().as_uri()}?mode=ro&immutable=1"
            self._database = sqlite3.connect(address, uri=True, check_same_thread=False)
            (version,) = self._ask("PRAGMA user_version")[0]
            if version != VERSION:
                raise DataError(
                    f"'{folder / INDEX}' is of version {version}, this i2i reads version "
                    f"{VERSION}: pack the data set anew (i2i datasets pack)."
                )
            self.shards = {
                number: (name, size) for number, name, size in self._ask("SELECT * FROM shards")
            }
            places = [place for (place,) in self._ask("SELECT * FROM place")]
        except sqlite3.Error as error:
            raise DataError(f"'{folder / INDEX}' cannot be read ({error}): pack anew.") from error
        self.address: str = places[0] if places else ""
        if not self.address:
            for name, size in self.shards.values():
                _require_whole(folder / name, size)

    def __len__(self) -> int:
        return int(self._ask("SELECT COUNT(*) FROM images")[0][0])

    def find(self, name: str) -> Packed | None:
        """Where an image lies; None if there is none of this name."""
        asked = "SELECT shard, begin, size, hash FROM images WHERE name = ?"
        found = self._ask(asked, name)
        return Packed(*found[0]) if found else None

    def below(self, folder: str) -> Iterator[str]:
        """The names of all images in a folder, relative to it."""
        first = folder + "/" if folder else ""
        # What begins with a text lies between it and the next one.
        asked = "SELECT name FROM images WHERE name >= ? AND name < ?"
        last = first[:-1] + chr(ord("/") + 1) if first else "\U0010ffff"
        cursor = self._database.execute(asked, (first, last))
        return (name[len(first) :] for (name,) in cursor)

    def folders(self, above: str) -> list[str]:
        """The names of the folders directly in another."""
        asked = "SELECT name FROM folders WHERE above = ? AND name != ''"
        return [name.rpartition("/")[2] for (name,) in self._ask(asked, above)]

    def is_folder(self, name: str) -> bool:
        return bool(self._ask("SELECT 1 FROM folders WHERE name = ?", name))

    def read(self, name: str) -> bytes:
        """The content of an image.

        Raises:
            FileNotFoundError: there is none of this name.
            OSError: the tar file cannot be read, or ends before it.
        """
        packed = self.find(name)
        if packed is None:
            raise FileNotFoundError(2, "No such file or directory", f"{self.folder}/{name}")
        shard, _ = self.shards[packed.shard]
        if self.address:
            data = _fetch(f"{self.address}/{shard}", packed.begin, packed.begin + packed.size)
        else:
            with (self.folder / shard).open("rb") as file:
                file.seek(packed.begin)
                data = file.read(packed.size)
        if len(data) != packed.size:
            raise OSError(5, f"'{shard}' ends before it: fetch or pack that file anew")
        return data

    def _ask(self, asked: str, *values: Any) -> list[Any]:
        return self._database.execute(asked, values).fetchall()


@lru_cache(maxsize=64)
def index_of(folder: str, stamp: int) -> Index:
    """The index in a folder as this process has it open; `stamp` changes when it is replaced."""
    return Index(Path(folder))


def file_system(address: str) -> tuple[Any, str]:
    """What reads an address on the network, and how it calls it.

    Raises:
        DataError: a library is missing, or there is no such kind of address.
    """
    try:
        import fsspec

        system, path = fsspec.core.url_to_fs(address)
    except ImportError as error:
        raise DataError(
            f"'{address}' cannot be read ({error}): {how_to_install('shards')}"
        ) from error
    except ValueError as error:
        raise DataError(f"'{address}' cannot be read: {error}.") from error
    return system, path


def _fetch(address: str, begin: int, end: int) -> bytes:
    system, path = file_system(address)
    try:
        data: bytes = system.cat_file(path, start=begin, end=end)
    except Exception as error:  # whatever the library for this kind of address raises
        raise OSError(5, f"'{address}' cannot be read ({error})") from error
    return data


def _require_whole(shard: Path, size: int) -> None:
    try:
        found = shard.stat().st_size
    except OSError as error:
        raise DataError(
            f"'{shard}' cannot be read ({error.strerror}), which holds images of this data set."
        ) from error
    if found != size:
        raise DataError(
            f"'{shard}' has {found:,} bytes where {size:,} were packed: copy or pack it anew."
        )
