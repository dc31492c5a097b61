"""Progress bars, on stderr alone, where they do not mix with what a command says.

They work on a terminal and in a notebook, whose cells understand a carriage return too.
"""

import contextlib
import os
import shutil
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import TextIO

ENOUGH = 10
"""Steps before which nothing is said about the time that is left: the first ones are no measure."""

RECENT = 60.0
"""Seconds whose steps the time left is estimated from, or the last `ENOUGH` steps if those took
longer."""

INTERVAL = 0.2
"""Seconds between two drawings."""

WIDTH = 24


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


def can_draw(stream: TextIO) -> bool:
    """Say whether a line on a stream can be written over: on a terminal, and in a notebook."""
    if os.environ.get("RANK", "0") != "0":  # of several processes, the first has the terminal
        return False
    return stream.isatty() or _in_notebook()


def _in_notebook() -> bool:
    module = sys.modules.get("IPython")
    shell = module.get_ipython() if module is not None else None
    return shell is not None and "IPKernelApp" in getattr(shell, "config", {})


class Bar:
    """A line that shows how far something is.

    Arguments:
        label: what is done.
        length: steps altogether.
        stream: where to draw; by default stderr.
        clock: seconds, from any moment on.
    """

    def __init__(
        self,
        label: str,
        length: int,
        stream: TextIO | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.label = label
        self.length = length
        self.pace = Pace(length, clock)
        self.text = ""
        self._clock = clock
        self._stream = sys.stderr if stream is None else stream
        self._drawn = 0
        self._done = 0
        self._last = -INTERVAL

    def update(self, done: int, text: str | None = None) -> None:
        """Show that so many steps are done, and a text behind; often calls cost nothing."""
        self._done = done
        self.text = self.text if text is None else text
        self.pace.reached(done)
        now = self._clock()
        if now - self._last >= INTERVAL or done == self.length:
            self._last = now
            self._draw()

    def clear(self) -> None:
        """Make room for another line; the next update draws again."""
        if self._drawn:
            self._write("\r" + " " * self._drawn + "\r")
            self._drawn = 0

    def close(self) -> None:
        if self._drawn:
            self._draw()
            self._write("\n")
            self._drawn = 0

    def _draw(self) -> None:
        full = WIDTH * self._done // max(1, self.length)
        left = self.pace.left()
        parts = [
            f"{self.label}  [{'#' * full}{'-' * (WIDTH - full)}]  {self._done}/{self.length}",
            *([f"{duration(left)} left"] if left is not None and self._done < self.length else []),
            *([self.text] if self.text else []),
        ]
        line, room = "  ".join(parts), shutil.get_terminal_size().columns - 1
        # A longer line would not be written over but repeated.
        line = line if len(line) <= room else line[: max(0, room - 1)] + "…"
        self._write("\r" + line.ljust(self._drawn))
        self._drawn = len(line)

    def _write(self, text: str) -> None:
        with contextlib.suppress(OSError, ValueError):  # whoever listened has gone
            self._stream.write(text)
            self._stream.flush()


@contextlib.contextmanager
def progress_bar(label: str) -> Iterator[Callable[[int, int], None]]:
    """Give a function to be called with how much is done and how much there is altogether."""
    bar: Bar | None = None

    def progress(done: int, total: int) -> None:
        nonlocal bar
        if bar is None:
            bar = Bar(label, total)
        bar.length = bar.pace.length = total
        bar.update(done)

    try:
        yield progress if can_draw(sys.stderr) else lambda done, total: None
    finally:
        if bar is not None:
            bar.close()
