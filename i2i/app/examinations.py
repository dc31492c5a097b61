"""What is wrong with a folder of images, with small images of what is."""

import io
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from i2i.app.refusals import NotFoundError
from i2i.core.progress import Update, reporting
from i2i.data.catalogue.cache import cache_folder
from i2i.data.images import read as reading
from i2i.doctor import Diagnosis, as_dict, examine
from i2i.errors import DataError, I2iError

SIDE = 160
"""Pixels of the longer side of a small image."""

SHOWN = 24
"""Groups of files of a finding that are shown."""

KEPT = 8
"""Examinations that are remembered."""


@dataclass(eq=False)
class Examination:
    """One folder, examined in a thread."""

    folder: Path
    done: int = 0
    total: int = 0
    files: list[Path] = field(default_factory=list)
    result: Future[dict[str, Any]] = field(default_factory=Future)


class Examinations:
    """The last few that were asked for."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._all: dict[int, Examination] = {}
        self._count = 0
        self._threads = ThreadPoolExecutor(1, "doctor")

    def begin(self, folder: Path) -> int:
        """Examine a folder; returns the number of the examination."""
        examination = Examination(folder)
        with self._lock:
            self._count += 1
            self._all[self._count] = examination
            while len(self._all) > KEPT:
                del self._all[next(iter(self._all))]
        self._threads.submit(self._run, examination)
        return self._count

    def state(self, number: int) -> dict[str, Any]:
        """How far one is, and what it has found, for JSON.

        Raises:
            NotFoundError: there is none of this number, or it is forgotten.
            DataError: the folder is no data set.
        """
        examination = self._get(number)
        told: dict[str, Any] = {"done": examination.done, "total": examination.total}
        if examination.result.done():
            told["result"] = examination.result.result()
        return told

    def thumbnail(self, number: int, file: int) -> bytes | None:
        """A small image of a file that a finding is about, as PNG; None if it cannot be read.

        Raises:
            NotFoundError: there is no such file.
        """
        files = self._get(number).files
        if not 0 <= file < len(files):
            raise NotFoundError("there is no such image.")
        try:
            image = reading.to_channels(reading.open_image(files[file]), 3)
        except (DataError, OSError):
            return None
        image.thumbnail((SIDE, SIDE))
        buffer = io.BytesIO()
        image.save(buffer, "PNG")
        return buffer.getvalue()

    def close(self) -> None:
        """Take nothing more."""
        self._threads.shutdown(cancel_futures=True)

    def _get(self, number: int) -> Examination:
        with self._lock:
            if number not in self._all:
                raise NotFoundError(f"there is no examination {number}: examine the folder again.")
            return self._all[number]

    def _run(self, examination: Examination) -> None:
        try:
            with reporting(_Noting(examination)):
                found = examine(examination.folder, cache=cache_folder())
            examination.result.set_result(_shown(found, examination))
        except I2iError as error:
            examination.result.set_exception(error)
        except Exception as error:  # noqa: BLE001 (whoever waits is told)
            examination.result.set_exception(DataError(f"the folder cannot be examined: {error}"))


class _Noting:
    """A reporter that notes in an examination how far it is."""

    live = True

    def __init__(self, examination: Examination) -> None:
        self.examination = examination

    @contextmanager
    def task(self, label: str) -> Iterator[Update]:
        def note(done: int, total: int, text: str = "") -> None:
            self.examination.done, self.examination.total = done, total

        yield note


def _shown(found: Diagnosis, examination: Examination) -> dict[str, Any]:
    """A diagnosis with numbers for its files instead of their paths."""
    told = as_dict(found)
    for finding in told["findings"]:
        groups = finding.pop("groups")
        finding["count"] = len(groups)
        finding["groups"] = [
            [_entry(Path(path), examination) for path in group[:4]] for group in groups[:SHOWN]
        ]
        finding["reasons"] = finding["reasons"][:SHOWN]
    return told


def _entry(path: Path, examination: Examination) -> dict[str, Any]:
    examination.files.append(path)
    root = examination.folder
    name = str(path.relative_to(root) if path.is_relative_to(root) else path.name)
    return {"file": len(examination.files) - 1, "name": name}
