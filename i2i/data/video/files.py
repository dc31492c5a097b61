"""Which files are videos, and the library that reads them."""

from pathlib import Path
from typing import Any

from i2i.errors import DataError, how_to_install

CONTAINERS = {".mp4": "mp4", ".m4v": "mp4", ".mov": "mov", ".mkv": "matroska", ".webm": "webm"}
"""What can be written: the suffix, and what FFmpeg calls the format."""

OTHERS = frozenset(
    {".3gp", ".avi", ".flv", ".m2ts", ".mpeg", ".mpg", ".mts", ".ogv", ".ts", ".wmv"}
)
"""Suffixes of what is read alone; a result is a Matroska file, which holds any sound."""

SUFFIXES = OTHERS | CONTAINERS.keys()


def is_video(path: Path) -> bool:
    """Say by its name whether a file is a video."""
    return path.suffix.lower() in SUFFIXES


def result_suffix(path: Path) -> str:
    """What the name of the translation of a video ends in."""
    suffix = path.suffix.lower()
    return suffix if suffix in CONTAINERS else ".mkv"


def library(path: Path) -> Any:
    """Return the module `av`.

    Raises:
        DataError: it is not installed; names the file that it is wanted for.
    """
    try:
        import av
    except ImportError as error:
        raise DataError(
            f"'{path}' cannot be used: videos need PyAV: {how_to_install('video')}"
        ) from error
    return av
