"""Text in TOML and JSON, within bounds."""

import json
import stat
import tomllib
from pathlib import Path
from typing import Any

from i2i.system.gate.values import MOST_VALUES, RefusedError, require_plain

MOST_TOML = 2**20
"""Bytes. The longest recipe of the package has 4,000; labels may add names by the thousand."""

MOST_JSON = 2**24
"""Bytes, of files that are read whole."""

_MOST_DOTS = 1000
"""In one line of TOML: the reader's time grows with the square of the parts of a key."""


def is_file(path: Path) -> bool:
    """Say whether there is a file of this name; what can be no name at all is none."""
    try:
        return path.is_file()
    except (OSError, ValueError):  # a name that is too long, or has a zero in it
        return False


def read_text(path: Path, most: int) -> str:
    """Read a file of text in UTF-8.

    Arguments:
        path: the file.
        most: bytes that it may have.

    Raises:
        RefusedError: it is missing, no plain file, too large, or no text.
    """
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # a pipe would wait for a writer
            raise RefusedError("cannot be read: it is no plain file")
        with path.open("rb") as file:
            found = file.read(most + 1)
    except OSError as error:
        raise RefusedError(f"cannot be read: {error.strerror or error}") from error
    except RefusedError:
        raise
    except ValueError as error:  # a name with a zero in it
        raise RefusedError(f"cannot be read: {error}") from None
    if len(found) > most:
        raise RefusedError(f"has more than {most:,} bytes")
    try:
        return found.decode()
    except UnicodeDecodeError as error:
        raise RefusedError(f"is no text in UTF-8: {error}") from None


def parse_toml(text: str) -> dict[str, Any]:
    """Read TOML into plain values; dates are none.

    Raises:
        RefusedError: it is not valid, or beyond the bounds of `values`.
    """
    if any(line.count(".") > _MOST_DOTS for line in text.splitlines()):
        raise RefusedError(f"is nested too deep: it has a line of more than {_MOST_DOTS:,} dots")
    try:
        found = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise RefusedError(f"is not valid TOML: {error}") from None
    except (RecursionError, MemoryError):
        raise RefusedError("is nested too deep") from None
    except ValueError as error:  # whole numbers of more digits than Python reads
        raise RefusedError(f"is not valid TOML: {_first(error)}") from None
    require_plain(found)
    return found


def parse_json(text: str, most: int = MOST_VALUES) -> Any:
    """Read JSON into plain values, `most` of them altogether.

    Raises:
        RefusedError: it is not valid, or beyond the bounds of `values`.
    """
    try:
        found = json.loads(text)
    except (RecursionError, MemoryError):
        raise RefusedError("is nested too deep") from None
    except ValueError as error:
        raise RefusedError(f"is not valid JSON: {_first(error)}") from None
    require_plain(found, most=most)
    return found


def _first(error: ValueError) -> str:
    return str(error).split(";")[0]
