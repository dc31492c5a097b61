"""How far something is: whoever does it tells the reporter, which decides how that looks::

    with progress("checking images") as update:
        for done, path in enumerate(paths, 1):
            ...
            update(done, len(paths))

Lines for people go through `logging`, each module's to `logging.getLogger(__name__)`: what is worth
knowing as `info`, what may be wrong as `warning`. The command line shows both on a
`i2i.core.console.Console`; a program that embeds i2i gives a reporter and handlers of its own.
"""

import contextlib
import logging
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from contextvars import ContextVar
from typing import Protocol

ENOUGH = 10
"""Steps before which nothing is said about the time that is left: the first ones are no measure."""

RECENT = 60.0
"""Seconds whose steps the time left is estimated from, or the last `ENOUGH` steps if those took
longer."""


class Update(Protocol):
    """Is told how much is done, of how much altogether, and what else to show."""

    def __call__(self, done: int, total: int, text: str = "") -> None: ...


class Reporter(Protocol):
    """Shows what is being done."""

    @property
    def live(self) -> bool:
        """Whether somebody watches; else long tasks log a line now and then."""

    def task(self, label: str) -> AbstractContextManager[Update]:
        """Begin to do something, and end it."""


class Silent:
    """The reporter of those who want none."""

    live = False

    def task(self, label: str) -> AbstractContextManager[Update]:
        return contextlib.nullcontext(_ignore)


def _ignore(done: int, total: int, text: str = "") -> None:
    pass


_SILENT: Reporter = Silent()
_current: ContextVar[Reporter] = ContextVar("reporter", default=_SILENT)
"""A thread begins with the silent one, so that several jobs in a program do not mix."""


def reporter() -> Reporter:
    """The reporter of this context."""
    return _current.get()


def progress(label: str) -> AbstractContextManager[Update]:
    """Begin to do something, for the reporter of this context."""
    return reporter().task(label)


@contextlib.contextmanager
def reporting(to: Reporter) -> Iterator[None]:
    """Let a reporter show what is done from here on, in this thread or task."""
    token = _current.set(to)
    try:
        yield
    finally:
        _current.reset(token)


@contextlib.contextmanager
def audible() -> Iterator[None]:
    """Show lines and progress on the console, if the program has said nothing of where they go.

    Whoever configures `logging` (a handler of the root or of "i2i") or gives a reporter decides it.
    """
    from i2i.core.console import Console

    configured = logging.getLogger("i2i").hasHandlers() or reporter() is not _SILENT
    with contextlib.nullcontext() if configured else Console():
        yield


def duration(seconds: float) -> str:
    """Return a time for people: "4min 05s", "2h 10min"."""
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h {minutes:02d}min" if hours else f"{minutes}min {seconds:02d}s"


class Pace:
    """Estimates the time that is left from recent steps.

    What came before the first call, such as starting up, is not counted.

    Arguments:
        length: steps altogether.
        clock: seconds, from any moment on.
    """

    def __init__(self, length: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.length = length
        self._clock = clock
        self._points: deque[tuple[float, int]] = deque()
        self._first: int | None = None

    def reached(self, done: int) -> None:
        """Note that so many steps are done by now."""
        now = self._clock()
        self._first = done if self._first is None else self._first
        self._points.append((now, done))
        while len(self._points) > 2 and self._points[1][0] < now - RECENT:
            if done - self._points[1][1] < ENOUGH:
                break
            self._points.popleft()

    def left(self) -> float | None:
        """Seconds; None as long as it cannot be told."""
        if self._first is None or self._points[-1][1] - self._first < ENOUGH:
            return None
        (began, before), (now, done) = self._points[0], self._points[-1]
        if done == before:
            return None
        return (self.length - done) * (now - began) / (done - before)
