"""What is known of images, kept in a small file in the cache.

A row of the file begins with the size in bytes and the time of modification of its image: it is
believed as long as neither has changed.
"""

import hashlib
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar, get_type_hints

from i2i.system import gate
from i2i.system.atomic import write_text

_MOST_BYTES, _MOST_VALUES = 2**30, 2**26
"""Three million images."""


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
            is ignored and rewritten.
        paths: at least one image: their common folder names the file, which therefore grows no
            larger than its data set.
        row: makes a row of its values.
        version: of the rows; those of another version are ignored.
    """

    def __init__(self, cache: Path, paths: Sequence[Path], row: type[R], version: int) -> None:
        folder = os.path.commonpath([path.absolute().parent for path in paths])
        self.file = cache / f"images-{hashlib.sha256(os.fsencode(folder)).hexdigest()[:16]}.json"
        self._row: Any = row
        self._kinds = list(get_type_hints(row).values())
        self._version = version
        self._rows = self._read()

    def recall(self, paths: Sequence[Path]) -> dict[Path, R]:
        """The rows of those images that are known and have not changed since."""
        known = {path: row for path in paths if (row := self._rows.get(str(path.absolute())))}
        return {path: row for path, row in known.items() if _unchanged(path, row)}

    def remember(self, rows: dict[Path, R]) -> None:
        """Replace the file as a whole; what else it holds is kept if the image is still there.

        A cache that cannot be written costs time, never a training.
        """
        others = {path: row for path, row in self._rows.items() if Path(path).exists()}
        self._rows = others | {str(path.absolute()): row for path, row in rows.items()}
        try:
            self.file.parent.mkdir(parents=True, exist_ok=True)
            write_text(self.file, json.dumps({"version": self._version, "images": self._rows}))
        except OSError:
            return

    def _read(self) -> dict[str, R]:
        try:
            written = gate.parse_json(gate.read_text(self.file, _MOST_BYTES), _MOST_VALUES)
            if written["version"] != self._version:
                return {}
            rows = {path: self._row(*values) for path, values in written["images"].items()}
        except (gate.RefusedError, TypeError, KeyError, AttributeError):
            return {}
        # Numbers may be whole in JSON and not in Python; what is a number must be one.
        kinds = [int | float if kind is float else kind for kind in self._kinds]
        return {
            path: row
            for path, row in rows.items()
            if all(isinstance(value, kind) for value, kind in zip(row, kinds, strict=True))
        }


def _unchanged(path: Path, row: Row) -> bool:
    try:
        stat = path.stat()
    except OSError:
        return False
    return (stat.st_size, stat.st_mtime_ns) == (row.bytes, row.mtime_ns)
