"""Which images are of one video, or of one patient."""

import re
from functools import lru_cache
from pathlib import Path, PurePath

from i2i.data.kinds.folders import side_of, split_of

GROUP_FILE = ".i2i-group"
"""In a folder of frames or slices: what they are of."""

MIRROR_FILE = ".i2i-unpacked"
"""In the folder that stands for a data set in which there are videos or volumes."""

PATIENT = "patient "
"""How groups begin that are surely of one person: by an identifier in the files or their names."""

_SUBJECT = re.compile(r"(?:^|[_/])(sub-[0-9A-Za-z]+)(?=[_/.]|$)")


def is_unpacked(root: Path) -> bool:
    """Whether a folder stands for a data set with videos or volumes."""
    return (root / MIRROR_FILE).is_file()


def group_of(path: Path) -> str | None:
    """What an image of an unpacked data set is of; None for one that was an image before."""
    return _written(path.parent)


@lru_cache(maxsize=65536)
def _written(folder: Path) -> str | None:
    try:
        return (folder / GROUP_FILE).read_text(encoding="utf-8")
    except OSError:
        return None


def patient_of(below: PurePath) -> str:
    """Of which patient a volume is, by its place in a data set.

    That is the subject of BIDS ("sub-01") where there is one in the path; else the first folder
    that is not a split or a side; else the name of the file up to its first dot.

    Arguments:
        below: the path from the root of the data set.
    """
    if found := _SUBJECT.search(below.as_posix()):
        return PATIENT + found[1]
    return _without_sides(below).parts[0].split(".")[0]


def video_of(below: PurePath) -> str:
    """What a video is called, by its place in a data set: the same on both sides, for pairs."""
    return _without_sides(below).as_posix()


def _without_sides(below: PurePath) -> PurePath:
    """A path without the folders that say which split and which side it belongs to."""

    def says_so(name: str) -> bool:
        return bool(split_of(name) or side_of(name) or name.upper() in ("A", "B"))

    return PurePath(*(name for name in below.parent.parts if not says_so(name)), below.name)
