"""What is known of images, kept in a small database (SQLite) in the cache.

A row begins with the size in bytes and the time of modification of its image: it is believed as
long as neither has changed. Single rows are asked for, so that memory does not grow with the data
set; several processes may read and write at once.
"""

import contextlib
import hashlib
import os
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar, get_type_hints

_WAIT = 30.0
"""Seconds that a process waits for another one that writes."""

_AT_ONCE = 500
"""Names in a question; SQLite allows 999 in its oldest versions that are met."""


class Row(Protocol):
    """A named tuple of numbers, texts and truth values."""

    @property
    def bytes(self) -> int: ...
    @property
    def mtime_ns(self) -> int: ...


R = TypeVar("R", bound=Row)


class Memory(Generic[R]):
    """The rows of the images of one data set.

    Arguments:
        cache: the folder of the file; it is made where it is missing. A file in it that is broken
            is replaced, as is one of another version.
        paths: at least one image: their common folder names the file, which therefore grows no
            larger than its data set.
        row: makes a row of its values.
        version: of the rows.
    """

    def __init__(self, cache: Path, paths: Sequence[Path], row: type[R], version: int) -> None:
        folders = {os.path.dirname(os.path.abspath(path)) for path in paths}  # noqa: PTH100, PTH120
        self._folder = os.path.commonpath(folders)
        word = hashlib.sha256(os.fsencode(self._folder)).hexdigest()[:16]
        self.file = cache / f"images-{word}.sqlite"
        self._row: Any = row
        self._kinds = get_type_hints(row)
        self._version = version

    def recall(self, paths: Sequence[Path]) -> dict[Path, R]:
        """The rows of those images that are known and have not changed since."""
        known: dict[Path, R] = {}
        with self._open() as database:
            for at in range(0, len(paths) if database else 0, _AT_ONCE):
                some = paths[at : at + _AT_ONCE]
                by_name = {self._name(path): path for path in some}
                marks = ", ".join("?" * len(by_name))
                asked = f"SELECT * FROM images WHERE name IN ({marks})"
                found: Any = database.execute(asked, [*by_name]) if database else ()
                for name, *values in found:
                    row = self._read(values)
                    if row is not None and _unchanged(path := by_name[name], row):
                        known[path] = row
        return {path: known[path] for path in paths if path in known}

    def remember(self, rows: Mapping[Path, R]) -> None:
        """Add rows, or replace those of the same images.

        A cache that cannot be written costs time, never a training.
        """
        marks = ", ".join("?" * (1 + len(self._kinds)))
        values: Mapping[Path, Any] = rows
        with self._open() as database:
            if database:
                database.executemany(
                    f"INSERT OR REPLACE INTO images VALUES ({marks})",
                    ((self._name(path), *row) for path, row in values.items()),
                )
                database.commit()

    @contextlib.contextmanager
    def _open(self) -> Iterator[sqlite3.Connection | None]:
        """The database, or None where there cannot be one; what fails within it is forgotten."""
        try:
            self.file.parent.mkdir(parents=True, exist_ok=True)
            try:
                database = self._connect()
            except sqlite3.OperationalError:  # it is used by others, or cannot be read
                raise
            except sqlite3.DatabaseError:
                self.file.unlink()
                database = self._connect()
        except (OSError, sqlite3.Error):
            yield None
            return
        with contextlib.closing(database):
            try:
                yield database
            except sqlite3.OperationalError:
                pass
            except sqlite3.DatabaseError:
                with contextlib.suppress(OSError):
                    self.file.unlink()

    def _connect(self) -> sqlite3.Connection:
        database = sqlite3.connect(self.file, timeout=_WAIT)
        try:
            # What is lost can be found again: a cache is for speed, not for the power cut.
            database.execute("PRAGMA synchronous = OFF")
            (version,) = database.execute("PRAGMA user_version").fetchone()
            columns = [name for _, name, *_ in database.execute("PRAGMA table_info(images)")]
            if version != self._version or columns != ["name", *self._kinds]:
                self.file.with_suffix(".json").unlink(missing_ok=True)  # as it was before
                database.executescript(
                    f"DROP TABLE IF EXISTS images; CREATE TABLE images (name BLOB PRIMARY KEY, "
                    f"{', '.join(self._kinds)}) WITHOUT ROWID; "
                    f"PRAGMA user_version = {self._version}"
                )
        except BaseException:
            database.close()
            raise
        return database

    def _name(self, path: Path) -> bytes:
        return os.fsencode(os.path.relpath(os.path.abspath(path), self._folder))  # noqa: PTH100

    def _read(self, values: Sequence[Any]) -> R | None:
        """A row of what is in the file; None where that is something else."""
        kinds = list(self._kinds.values())
        if len(values) != len(kinds):
            return None
        typed = []
        for value, kind in zip(values, kinds, strict=True):
            # SQLite has no truth values, and what is a whole number it may give as one.
            wanted = int if kind is bool else int | float if kind is float else kind
            if not isinstance(value, wanted):
                return None
            typed.append(bool(value) if kind is bool else value)
        row: R = self._row(*typed)
        return row


def _unchanged(path: Path, row: Row) -> bool:
    try:
        stat = path.stat()
    except OSError:
        return False
    return (stat.st_size, stat.st_mtime_ns) == (row.bytes, row.mtime_ns)
