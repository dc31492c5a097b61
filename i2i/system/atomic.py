"""Files that appear whole or not at all: after a crash there is the old file or the new one."""

import contextlib
import errno
import os
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

PARTIAL = ".partial"
"""How the names of files end that are not complete yet; those of a program that was killed stay."""

FULL = (errno.ENOSPC, errno.EDQUOT) if hasattr(errno, "EDQUOT") else (errno.ENOSPC,)
"""What the system says where a disk, or somebody's share of it, is full."""


@contextlib.contextmanager
def replacing(path: Path, *, durable: bool = True) -> Iterator[Path]:
    """Give a file beside `path`, empty and of a name of its own, which takes the place of `path`
    when it has been written and has reached the disk.

    If anything is raised meanwhile, it is removed and `path` stays as it was.

    Arguments:
        path: the file; its folder must be there.
        durable: whether to wait for the disk, so that not even a power cut leaves half a file. One
            of thousands that are made again in seconds need not.

    Raises:
        OSError: the folder is missing or cannot be written to, or the disk is full.
    """
    partial = path.with_name(f".{path.name[-100:]}.{secrets.token_hex(4)}{PARTIAL}")
    try:
        partial.open("xb").close()
        yield partial
        if durable:
            with partial.open("r+b") as file:
                os.fsync(file.fileno())
        partial.replace(path)
        if durable:
            _sync_folder(path.parent)
    except BaseException:
        with contextlib.suppress(OSError):  # of a disk that can only be read, even this fails
            partial.unlink()
        raise


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file whole or not at all.

    Raises:
        OSError: as `replacing`, and with the name of the file.
    """
    try:
        with replacing(path) as partial:
            partial.write_bytes(data)
    except OSError as error:
        raise OSError(error.errno, error.strerror or str(error), str(path)) from error


def write_text(path: Path, text: str) -> None:
    """Write a text in UTF-8, whole or not at all.

    Raises:
        OSError: as `replacing`, and with the name of the file.
    """
    write_bytes(path, text.encode())


def free_bytes(folder: Path) -> int | None:
    """How much the disk of a folder still takes; None where nobody knows."""
    try:
        return shutil.disk_usage(folder).free
    except OSError:
        return None


def _sync_folder(folder: Path) -> None:
    """Make the renaming itself survive a power cut; only POSIX can open a folder for that."""
    if os.name == "posix":
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
