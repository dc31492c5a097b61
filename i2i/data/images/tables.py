"""Tables (CSV) in which files of images are named: how they are opened, and which name fits."""

import codecs
import csv
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePath, PurePosixPath
from typing import TextIO

from i2i.data.images.formats import image_suffixes
from i2i.errors import DataError

_SIGNS = frozenset(",;\t")  # that separate cells


@contextmanager
def opened_table(path: Path) -> Iterator[TextIO]:
    """A table to read from, in UTF-8, or in UTF-16 as spreadsheets write it.

    Raises:
        DataError: it cannot be read; also in the block.
    """
    try:
        with path.open("rb") as file:
            start = file.read(4096)
        wide = start[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE) and not _SIGNS.isdisjoint(
            start.decode("utf-16", errors="ignore")
        )
        with path.open(encoding="utf-16" if wide else "utf-8-sig", newline="") as text:
            yield text
    except UnicodeDecodeError as error:
        raise DataError(
            f"The table '{path}' cannot be read: it is not in UTF-8. Save it again with that "
            "encoding (spreadsheets call it CSV UTF-8)."
        ) from error
    except (OSError, csv.Error) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise DataError(f"The table '{path}' cannot be read: {why}.") from error


def delimiter_of(header: str) -> str:
    """What separates the cells of a table: a comma, a semicolon or a tab."""
    return max(",;\t", key=header.count)


def key_of(name: str) -> str:
    """What a table calls an image: with "/" between folders, without the suffix of images."""
    path = PurePosixPath(name.strip().replace("\\", "/"))
    return str(path.with_suffix("") if path.suffix.lower() in image_suffixes() else path)


def keys_of(image: PurePath) -> Iterator[str]:
    """What a table may call an image, without its suffix: all of its path, or ever less of it."""
    whole = (image.absolute() if isinstance(image, Path) else image).with_suffix("")
    yield whole.as_posix()
    parts = whole.relative_to(whole.anchor).parts
    for at in range(len(parts)):
        yield "/".join(parts[at:])
