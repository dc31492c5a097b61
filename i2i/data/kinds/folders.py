"""What the name of a folder says: which split it is, which side, or that it is no data at all.

Splits are known by their usual names, whatever their case. Folders of results that i2i has written
carry a marker file and are never data: a training beside its own runs and samples does not learn
from them.
"""

import contextlib
import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from i2i.data.shards.path import ShardPath
from i2i.errors import DataError
from i2i.system.atomic import write_text

SPLITS: dict[str, tuple[str, ...]] = {
    "train": ("train", "training"),
    "val": ("val", "valid", "validation", "dev"),
    "test": ("test", "testing", "eval"),
}
"""Split -> its names in lower case."""

MARKER = ".i2i-results"
"""Name of the file that tells a folder of results from data."""

_MARKED = """\
This folder was written by i2i, which therefore never takes it for data to learn from.
Remove this file if it shall be data.
"""

_NEVER_DATA = {"__macosx", "@eadir", "__pycache__", "$recycle.bin", "#recycle", "lost+found"}
"""Folders that systems leave beside images, often with thumbnails of them. Those whose name
begins with a dot (.ipynb_checkpoints, .Trash) are never data either."""

_SPLIT_NAMES = {name: split for split, names in SPLITS.items() for name in names}
_SIDED = re.compile(rf"({'|'.join(_SPLIT_NAMES)})[ _-]?([ab])")
_LIKE_A_SPLIT = re.compile(rf"({'|'.join(_SPLIT_NAMES)})([^a-z].*|[ab])?", re.DOTALL)


def split_of(name: str) -> str | None:
    """Return "train", "val" or "test" for a name of `SPLITS`, in any case; None for others."""
    return _SPLIT_NAMES.get(name.casefold())


def side_of(name: str) -> tuple[str, str] | None:
    """Return the split and the side ("A" or "B") of names like trainA, test_b; None for others."""
    found = _SIDED.fullmatch(name.casefold())
    return (_SPLIT_NAMES[found[1]], found[2].upper()) if found else None


def like_a_split(name: str) -> str | None:
    """Return the split that a folder is probably meant to be: also of trainA, test-set, val2017."""
    found = _LIKE_A_SPLIT.fullmatch(name.casefold())
    return _SPLIT_NAMES[found[1]] if found else None


def split_folders(parent: Path, split: str) -> list[Path]:
    """Return the folder of a split in another, which need not exist; of "val" also "test".

    The test images validate only where there is nothing else to validate with.

    Returns:
        none, or one; for "val" where both are there, that to validate with before that to test.

    Raises:
        DataError: two names of the same split are there.
    """
    wanted = ("val", "test") if split == "val" else (split,)
    return [folder for each in wanted for folder in _one_of(parent, each)]


def _one_of(parent: Path, split: str) -> list[Path]:
    found = [path for path in data_folders(parent) if split_of(path.name) == split]
    if len(found) > 1:
        names = " and ".join(f"{path.name}/" for path in found)
        raise DataError(
            f"'{parent}' holds {names}, which are names of the same split ({split}): join them, or "
            "move one elsewhere."
        )
    return found


def data_folders(parent: Path) -> list[Path]:
    """Return the folders in another that may hold data, by name; none if it is not there."""
    if isinstance(parent, ShardPath):
        return sorted(parent / name for name in parent.folders())
    if not parent.is_dir():
        return []
    own = is_results(parent)
    return sorted(path for path in parent.iterdir() if path.is_dir() and may_hold_data(path, own))


def may_hold_data(folder: Path, within_results: bool = False) -> bool:
    """Say whether a folder that was found in another is looked into.

    Arguments:
        folder: its path.
        within_results: whether the other one was named although it holds results.
    """
    if folder.name[0] == "." or folder.name.casefold() in _NEVER_DATA:
        return False
    return within_results or not is_results(folder)


def is_results(folder: Path) -> bool:
    """Say whether i2i has written a folder: it is marked, a run, or holds nothing but such."""
    if (folder / MARKER).is_file() or _is_run(folder):
        return True
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        inside = 0
        for entry in entries:
            if entry.name[0] == ".":
                continue
            path = Path(entry.path)
            if not entry.is_dir() or not ((path / MARKER).is_file() or _is_run(path)):
                return False
            inside += 1
        return inside > 0
    return False


def _is_run(folder: Path) -> bool:
    return (folder / "checkpoints").is_dir() and (folder / "options.toml").is_file()


@contextlib.contextmanager
def results_folder(folder: Path) -> Iterator[None]:
    """Mark a folder that results are written to meanwhile; one that held other things is not.

    So nobody's own images are marked by a result that is written beside them. A marker that
    cannot be written is no reason to fail.
    """
    fresh = not folder.exists() or (folder.is_dir() and not any(folder.iterdir()))
    try:
        yield
    finally:
        within_marked = any((above / MARKER).is_file() for above in folder.absolute().parents)
        if fresh and folder.is_dir() and not within_marked:
            with contextlib.suppress(OSError):
                write_text(folder / MARKER, _MARKED)


def results_in(folders: Iterable[Path]) -> list[Path]:
    """Return the folders of results that lie directly in some folders: what was passed over."""
    return sorted(
        path
        for folder in dict.fromkeys(folders)
        if not isinstance(folder, ShardPath) and folder.is_dir() and not is_results(folder)
        for path in folder.iterdir()
        if path.is_dir() and path.name[0] != "." and is_results(path)
    )
