"""The files that i2i has written, told from those of other people, which it never replaces.

A folder of results has a file `LEDGER`. Each of its lines is a JSON object about one result: its
name, from the folder, and the digest of its content. A file of that name with other content is
somebody else's, or has been worked on since.
"""

import contextlib
import hashlib
import json
import os
import uuid
from collections.abc import Callable, Iterable
from pathlib import Path

from i2i.errors import DataError

LEDGER = ".i2i-written"


class ExistsError(DataError):
    """A result has a name that a file has already."""


class Results:
    """What is written to a folder, file by file; threads and processes may share it.

    Arguments:
        folder: of the results, made when the first one is written.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def own(self, paths: Iterable[Path]) -> set[Path]:
        """Return which of some files of the folder are results as i2i has written them."""
        paths = list(paths)
        known = self._known() if paths else {}
        return {path for path in paths if self._name(path) in known and self._is(path, known)}

    def check(self, paths: Iterable[Path], *, overwrite: bool, skippable: bool = False) -> None:
        """Raise ExistsError where results would take the place of other files.

        Arguments:
            paths: of all results to be written.
            overwrite: own results may be replaced.
            skippable: the command has --skip-existing, which is then named.
        """
        paths = list(paths)
        existing = [path for path in paths if os.path.lexists(path)]
        if not existing:
            return
        if not overwrite:
            what = f"{len(existing)} of {len(paths)} results exist already ({_some(existing)})"
            if len(paths) == 1:
                what = f"'{existing[0]}' exists already"
            skip = "--skip-existing to go on with the others, " if skippable else ""
            raise ExistsError(
                f"{what}: pass {skip}--overwrite to replace what i2i has written, or choose "
                "another output."
            )
        own = self.own(existing)
        if foreign := [path for path in existing if path not in own]:
            raise ExistsError(
                f"{len(foreign)} of {len(paths)} results would replace files that i2i has not "
                f"written, or that were changed since ({_some(foreign)}), which --overwrite does "
                "not do: move them away, or choose another output."
            )

    def write(self, path: Path, save: Callable[[Path], None], *, overwrite: bool = False) -> None:
        """Write a result, which appears under its name when it is complete.

        Arguments:
            path: its name, in the folder.
            save: writes to the path that it is given.
            overwrite: replace an own result of that name.

        Raises:
            ExistsError: there is a file of that name, which may have come just now.
            OSError, and whatever `save` raises; no half of a file stays.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f".{uuid.uuid4().hex}.part")
        try:
            save(part)
            replace = overwrite and path in self.own([path])
            # Noted before it is there: a break in between leaves a line about nothing.
            self._note(path, part)
            if replace:
                part.replace(path)
            else:
                _move(part, path)
        finally:
            with contextlib.suppress(OSError):
                part.unlink(missing_ok=True)

    def _note(self, path: Path, part: Path) -> None:
        line = json.dumps({"name": self._name(path), "digest": _digest(part)}) + "\n"
        # In one piece at the end, also where other processes do the same.
        file = os.open(self.folder / LEDGER, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
        try:
            os.write(file, line.encode())
        finally:
            os.close(file)

    def _known(self) -> dict[str, set[str]]:
        """Name -> the digests that it has had; lines that are none are passed over."""
        known: dict[str, set[str]] = {}
        try:
            lines = (self.folder / LEDGER).read_bytes().splitlines()
        except OSError:
            return known
        for line in lines:
            with contextlib.suppress(ValueError, TypeError, KeyError, RecursionError):
                entry = json.loads(line)
                known.setdefault(str(entry["name"]), set()).add(str(entry["digest"]))
        return known

    def _is(self, path: Path, known: dict[str, set[str]]) -> bool:
        if path.is_symlink():
            return False
        try:
            return _digest(path) in known[self._name(path)]
        except OSError:
            return False

    def _name(self, path: Path) -> str:
        return path.relative_to(self.folder).as_posix()


def _move(part: Path, path: Path) -> None:
    """Give a file its name, which no other file may have."""
    taken = ExistsError(f"'{path}' exists already: another program has written it meanwhile.")
    try:
        os.link(part, path)
    except FileExistsError:
        raise taken from None
    except OSError:  # a file system without hard links
        try:
            path.open("xb").close()
        except FileExistsError:
            raise taken from None
        part.replace(path)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()


def _some(paths: list[Path]) -> str:
    return ", ".join(map(str, paths[:3])) + (", ..." if len(paths) > 3 else "")
