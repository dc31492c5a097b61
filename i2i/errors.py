"""What can go wrong because of what a person asked for.

The tree::

    I2iError                a person can mend it: the command line prints it and exits with code 2
     ├── OptionsError       an unknown key, a value out of range, a recipe that is not there
     ├── DataError          a folder that is not a data set, an image that cannot be read
     ├── CheckpointError    a file that is truncated, foreign, or made for something else
     ├── RunError           a run folder that already exists, or has nothing to resume
     ├── TrainingError      a loss that is no longer finite, a turn that trains nobody
     ├── WorkerError        a process that prepares batches is gone
     └── ProcessError       another process of the same job has failed

Every message is one sentence or a short list that quotes the value, says what was expected and what
to do. A broken invariant of our own is an `assert`, never one of these.
"""

import errno
from collections.abc import Iterable
from difflib import get_close_matches

DISTRIBUTION = "i2i-toolkit"
"""What `pip install` knows the package by: the name `i2i` there is somebody else's."""
LONGEST = 200
"""Letters of a name that are compared with others; it takes their square in time."""


class I2iError(Exception):
    """A mistake that a person can mend; its text is all that they are shown."""


class OptionsError(I2iError):
    """An option that is unknown, out of range, or contradicts another."""


class DataError(I2iError):
    """Images or folders that are not what was asked for."""


class CheckpointError(I2iError):
    """A checkpoint that cannot be read or does not fit."""


class RunError(I2iError):
    """A run folder in the wrong state for what was asked."""


class TrainingError(I2iError):
    """Training cannot go on."""


class WorkerError(I2iError):
    """A process that prepares batches is gone."""


class ProcessError(I2iError):
    """Another process of the same job failed; `silent` where somebody else says so already."""

    def __init__(self, text: str, *, silent: bool = False) -> None:
        super().__init__(text)
        self.silent = silent


def in_words(error: OSError) -> str:
    """An error of the system as a sentence, with the names of the files that it is about."""
    if error.filename is None or not error.strerror:
        return str(error)
    names = [str(name) for name in (error.filename, error.filename2) if name is not None]
    if error.errno == errno.ENAMETOOLONG:
        name = max(names, key=len)
        return (
            f"{name[:LONGEST]!r}... is too long for the name of a file or folder "
            f"({len(name):,} letters): give a shorter one."
        )
    return f"{' -> '.join(map(repr, names))}: {error.strerror}."


def reason(error: Exception) -> str:
    """Why something failed, without the number that the system gives it."""
    return (error.strerror if isinstance(error, OSError) else None) or str(error)


def how_to_install(extra: str) -> str:
    """The command that brings what an extra of the package is for."""
    return f"pip install '{DISTRIBUTION}[{extra}]'"


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return " Did you mean 'x'?" for the closest of `known`, or "" where none is close.

    Capitals do not count.
    """
    found = closest(name, known)
    return "" if found is None else f" Did you mean {found!r}?"


def closest(name: str, known: Iterable[str]) -> str | None:
    """Return the one of `known` that is closest to a name, if one is close; see above."""
    by_lower = {each.lower(): each for each in known}
    close = get_close_matches(name[:LONGEST].lower(), by_lower, n=1)
    return by_lower[close[0]] if close else None
