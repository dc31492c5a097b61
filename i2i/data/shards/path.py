"""Paths into tar files: what looks for images finds the folders that were packed."""

import io
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from i2i.data.shards.index import INDEX, Index, Packed, index_of


class ShardPath(type(Path())):  # type: ignore[misc]
    """A path in a folder with an index of tar files: what it names lies in those, or beside them.

    It answers what is asked of images, which can only be read.
    """

    def _located(self) -> tuple[Index, str] | None:
        """The index that a path is below, and its name there; None where there is none."""
        text = os.path.abspath(self)  # noqa: PTH100
        folder, name = text, ""
        while True:
            if (index := _opened(folder)) is not None:
                return index, name
            above, last = os.path.split(folder)
            if above == folder:
                return None
            folder, name = above, f"{last}/{name}" if name else last

    def _packed(self) -> tuple[Index, str, Packed] | None:
        located = self._located()
        found = located and located[0].find(located[1])
        return (*located, found) if located and found else None

    def file_names(self) -> Iterator[str]:
        """The names of all images below this folder, relative to it."""
        located = self._located()
        return located[0].below(located[1]) if located else iter(())

    def folders(self) -> list[str]:
        """The names of the folders directly in this one."""
        located = self._located()
        return located[0].folders(located[1]) if located else []

    def is_dir(self) -> bool:
        located = self._located()
        return bool(located and located[0].is_folder(located[1])) or super().is_dir()

    def is_file(self) -> bool:
        return self._packed() is not None or super().is_file()

    def exists(self) -> bool:
        return self.is_dir() or self.is_file()

    def iterdir(self) -> Any:
        located = self._located()
        if not located or not located[0].is_folder(located[1]):
            return super().iterdir()
        files = (name for name in self.file_names() if "/" not in name)
        return (self / name for name in (*self.folders(), *files))

    def stat(self, **how: Any) -> Any:
        if (packed := self._packed()) is None:
            return super().stat(**how)
        # The time stands for the content: another image under this name has another one.
        time = int(packed[2].hash[:15], 16)
        return SimpleNamespace(
            st_size=packed[2].size, st_mtime_ns=time, st_mtime=time / 1e9, st_mode=stat.S_IFREG
        )

    def read_bytes(self) -> bytes:
        if (packed := self._packed()) is None:
            return bytes(super().read_bytes())
        return packed[0].read(packed[1])

    def open(self, mode: str = "r", *more: Any, **how: Any) -> Any:
        if mode == "rb" and self._packed() is not None:
            return io.BytesIO(self.read_bytes())
        return super().open(mode, *more, **how)


def _opened(folder: str) -> Index | None:
    try:
        stamp = os.stat(os.path.join(folder, INDEX)).st_mtime_ns  # noqa: PTH116, PTH118
    except OSError:
        return None
    return index_of(folder, stamp)


def holds_shards(folder: Path) -> bool:
    """Whether a folder is a data set in tar files."""
    return (Path(folder) / INDEX).is_file()
