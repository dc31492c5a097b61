"""Unpack an archive that comes from somewhere else.

An archive is a program for writing files, and nobody knows who wrote it: it may name paths outside
of its folder, plant a link and write through it, or grow from kilobytes to terabytes. So nothing is
left to the libraries' own unpacking: members are plain files and folders with harmless names, each
comes once, and there is a limit to their number and size. What is refused leaves nothing behind.
"""

import errno
import gzip
import os
import shutil
import stat
import struct
import tarfile
import unicodedata
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO

from i2i.core.progress import progress
from i2i.errors import DataError

MOST_BYTES = 20 * 10**9
"""The largest data set of the catalogue is 8 GB."""

MOST_FILES = 500_000

MOST_RATIO = 20
"""Images hardly shrink in an archive; what grows more than this is no data set."""

SMALL = 100 * 10**6
"""Bytes that are harmless whatever the ratio."""

_CHUNK = 2**20
_LONGEST_NAME = 1024
_LONGEST_PART = 255
_TAR_TYPES = {
    tarfile.SYMTYPE: "a symbolic link",
    tarfile.LNKTYPE: "a hard link",
    tarfile.CHRTYPE: "a device",
    tarfile.BLKTYPE: "a device",
    tarfile.FIFOTYPE: "a pipe",
}
_BROKEN = (
    zipfile.BadZipFile,
    tarfile.TarError,
    gzip.BadGzipFile,
    zlib.error,
    struct.error,
    EOFError,
    ValueError,
    NotImplementedError,
)
"""What the libraries raise for an archive that is cut off, altered or none at all."""


@dataclass(frozen=True)
class _Member:
    name: str
    size: int
    folder: bool
    refused: str  # what it is, if neither a file nor a folder
    open: Callable[[], IO[bytes] | None]
    done: int  # how much of the archive lies before it ...
    total: int  # ... and how much there is


def unpack(
    archive: Path,
    target: Path,
    *,
    most_bytes: int = MOST_BYTES,
    most_files: int = MOST_FILES,
) -> None:
    """Unpack a .zip or .tar.gz into the new folder `target` and test thereby that it is whole.

    Every checksum in the archive is verified. If anything is wrong, `target` is removed again.

    Arguments:
        archive: its suffix says which of the two it is.
        target: must not exist.
        most_bytes: limit to the unpacked size; above 100 MB there is another one, 20 times the
            size of the archive.
        most_files: limit to the number of members.

    Raises:
        DataError: the archive is not whole, is too large, or has a member that is no plain file or
            folder, that would lie outside of `target`, or that comes twice (where upper and lower
            case are the same).
        OSError: `target` exists or cannot be written.
    """
    most_bytes = min(most_bytes, max(SMALL, MOST_RATIO * archive.stat().st_size))
    members = _zip_members if archive.suffix == ".zip" else _tar_members
    tree = _Tree()
    target.mkdir(parents=True)
    try:
        unpacked = 0
        with progress(f"unpacking {archive.name}") as update:
            for count, member in enumerate(members(archive), start=1):
                parts = _parts(member)
                tree.add(member.name, parts, member.folder)
                unpacked += member.size
                if unpacked > most_bytes or count > most_files:
                    raise _refusal(
                        member.name,
                        f"is beyond the limit of {most_files} files and {most_bytes / 1e9:.3g} GB",
                    )
                _write(member, target.joinpath(*parts))
                update(member.done, member.total)
    except BaseException as error:
        shutil.rmtree(target, ignore_errors=True)
        # What is beyond the end of a file is an invalid argument to the system.
        beyond = isinstance(error, OSError) and error.errno == errno.EINVAL
        if isinstance(error, _BROKEN) or beyond:
            kind = "zip" if archive.suffix == ".zip" else "tar.gz"
            raise DataError(f"'{archive}' is no whole {kind} archive: {error}.") from error
        raise


def _write(member: _Member, path: Path) -> None:
    if member.folder:
        path.mkdir(parents=True, exist_ok=True)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    source = member.open()
    assert source is not None
    with source, path.open("xb") as file:
        while chunk := source.read(_CHUNK):
            file.write(chunk)


def _zip_members(archive: Path) -> Iterator[_Member]:
    with zipfile.ZipFile(archive) as opened:
        members = opened.infolist()
        # zipfile does not count: damage in the list of members would make some vanish in silence.
        if _zip_count(archive) not in (len(members) % 2**16, 2**16 - 1):
            raise zipfile.BadZipFile("members are missing")
        done, total = 0, sum(member.file_size for member in members)
        for member in members:
            # Unix keeps the kind of a file in the upper half; other systems leave it empty.
            kind = stat.S_IFMT(member.external_attr >> 16)
            refused = ""
            if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
                refused = "a symbolic link" if kind == stat.S_IFLNK else "no plain file"
            elif member.flag_bits & 1:
                refused = "encrypted"
            elif member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                refused = "compressed in an unusual way"
            done += member.file_size
            yield _Member(
                member.filename,
                member.file_size,
                member.filename.endswith("/"),
                refused,
                partial(opened.open, member),
                done,
                total,
            )


def _zip_count(archive: Path) -> int:
    """How many members there are by the record at the end; 65535 if another one counts them."""
    with archive.open("rb") as file:
        file.seek(-min(archive.stat().st_size, 22 + 2**16), os.SEEK_END)
        tail = file.read()
    return int.from_bytes(tail[tail.rindex(b"PK\5\6") + 10 :][:2], "little")


class _TarBlocks(gzip.GzipFile):
    """The tar in a gzip; it knows what was read last, and reads no more than a chunk at once.

    Headers can be as long as they say of themselves, and tarfile would read them into memory.
    """

    last = b""

    def read(self, size: int | None = -1) -> bytes:
        if size is None or not 0 <= size <= _CHUNK:
            raise tarfile.ReadError("a header is too long")
        self.last = super().read(size)
        return self.last


def _tar_members(archive: Path) -> Iterator[_Member]:
    total = archive.stat().st_size
    with (
        archive.open("rb") as raw,
        _TarBlocks(fileobj=raw) as blocks,
        tarfile.TarFile(fileobj=blocks) as opened,
    ):
        while (member := opened.next()) is not None:
            opened.members = []  # type: ignore[attr-defined]  # tarfile would keep them all
            refused = ""
            if not (member.isreg() or member.isdir()) or member.issparse() or member.size < 0:
                refused = _TAR_TYPES.get(member.type, "no plain file")
            yield _Member(
                member.name,
                member.size if member.isreg() else 0,
                member.isdir(),
                refused,
                partial(opened.extractfile, member),
                raw.tell(),
                total,
            )
        # tarfile takes anything that is no header for the end, and does not look beyond it.
        ended = blocks.last != b"" and not blocks.last.strip(b"\0")
        while ended and blocks.read(_CHUNK):
            ended = not blocks.last.strip(b"\0")
        if not ended:
            raise tarfile.ReadError("it ends in the middle")


def _parts(member: _Member) -> tuple[str, ...]:
    """The names from the top down to a member; DataError unless all are harmless on any system."""
    name = member.name
    if member.refused:
        raise _refusal(name, f"is {member.refused}")
    # Colons are drives and hidden streams on Windows, backslashes are slashes there.
    parts = tuple(part for part in name.split("/") if part not in ("", "."))
    if name.startswith("/") or "\\" in name or ":" in name or ".." in parts:
        raise _refusal(name, "would lie outside of the folder")
    if any(unicodedata.category(character)[0] == "C" for character in name):
        raise _refusal(name, "has a name with control characters")
    if len(name) > _LONGEST_NAME or any(len(part.encode()) > _LONGEST_PART for part in parts):
        raise _refusal(f"{name[:60]}...", "has a name that is too long")
    if not (parts or member.folder) or not all(map(_folded, parts)):
        raise _refusal(name, "has no proper name")
    return parts


class _Tree:
    """All names so far, as they look where case, trailing dots and blanks do not count."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, ...], tuple[tuple[str, ...], bool]] = {}

    def add(self, name: str, parts: tuple[str, ...], folder: bool) -> None:
        for depth in range(1, len(parts) + 1):
            here = parts[:depth], folder or depth < len(parts)
            key = tuple(map(_folded, here[0]))
            if key not in self._known:
                self._known[key] = here
            elif self._known[key] != here or not here[1]:
                earlier = "/".join(self._known[key][0])
                raise _refusal(name, f"has the same name as {earlier!r}")


def _folded(part: str) -> str:
    return unicodedata.normalize("NFC", part).casefold().rstrip(". ")


def _refusal(name: str, why: str) -> DataError:
    return DataError(f"The archive is not unpacked, because its member {name!r} {why}.")
