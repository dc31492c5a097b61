"""Lines and progress bars for whoever sits before a terminal or a notebook.

Lines go to stdout, warnings and bars to stderr, where they do not mix with what a command says.
A notebook's cells understand a carriage return too; where it has widgets, bars are those of tqdm.
"""

import contextlib
import importlib
import logging
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from typing import Any, Protocol, TextIO

from i2i.core.progress import Pace, Silent, Update, duration, reporting

INTERVAL = 0.2
"""Seconds between two drawings."""

WIDTH = 24


class Console(logging.Handler):
    """Shows what i2i logs and does, while it is entered.

    If nobody listens any more (`i2i train | head`), the work goes on in silence.
    """

    def __init__(self) -> None:
        super().__init__()
        self.aside = False
        """Whether all lines go to stderr, for a command whose stdout is a result."""
        self.quiet = False
        """Whether nothing is shown, for a command that is asked for that."""
        self._bar: AnyBar | None = None
        self._entered = contextlib.ExitStack()

    def __enter__(self) -> "Console":
        logger = logging.getLogger("i2i")
        level = logger.level
        self._entered.callback(logger.setLevel, level)
        self._entered.callback(logger.removeHandler, self)
        self._entered.enter_context(reporting(self))
        logger.addHandler(self)
        if level == logging.NOTSET:  # nobody wants more or less
            logger.setLevel(logging.INFO)
        return self

    def __exit__(self, *error: Any) -> None:
        self._entered.close()

    def emit(self, record: logging.LogRecord) -> None:
        if self.quiet:
            return
        warns = record.levelno >= logging.WARNING
        stream = sys.stderr if warns or self.aside else sys.stdout
        with contextlib.suppress(OSError, ValueError):
            if self._bar is not None:
                self._bar.clear()
            print(self.format(record), file=stream, flush=True)

    @property
    def live(self) -> bool:
        return not self.quiet and can_draw(sys.stderr)

    @contextlib.contextmanager
    def task(self, label: str) -> Iterator[Update]:
        if not self.live:
            with Silent().task(label) as update:
                yield update
            return
        bar = WidgetBar(label) if _has_widgets() else Bar(label)

        def show(done: int, total: int, text: str = "") -> None:
            if self._bar is not bar:
                if self._bar is not None:
                    self._bar.clear()
                self._bar = bar
            bar.update(done, total, text)

        try:
            yield show
        finally:
            bar.close()


def can_draw(stream: TextIO) -> bool:
    """Say whether a line on a stream can be written over: on a terminal, and in a notebook."""
    if os.environ.get("RANK", "0") != "0":  # of several processes, the first has the terminal
        return False
    return stream.isatty() or _in_notebook()


def _in_notebook() -> bool:
    module = sys.modules.get("IPython")
    shell = module.get_ipython() if module is not None else None
    return shell is not None and "IPKernelApp" in getattr(shell, "config", {})


def _has_widgets() -> bool:
    """Whether a notebook can show more than lines."""
    return (
        _in_notebook()
        and not sys.stderr.isatty()
        and find_spec("ipywidgets") is not None
        and find_spec("tqdm") is not None
    )


class AnyBar(Protocol):
    """Shows how far something is."""

    def update(self, done: int, total: int, text: str = "") -> None: ...

    def clear(self) -> None: ...

    def close(self) -> None: ...


class WidgetBar:
    """A bar of `tqdm.auto`, which a notebook shows beside the lines of a cell.

    Arguments:
        label: what is done.
    """

    def __init__(self, label: str) -> None:
        self._bar: Any = importlib.import_module("tqdm.auto").tqdm(
            desc=label, mininterval=INTERVAL, total=0
        )

    def update(self, done: int, total: int, text: str = "") -> None:
        """Show how much is done, and a text behind."""
        if total != self._bar.total:
            self._bar.reset(total)
        self._bar.set_postfix_str(text, refresh=False)
        self._bar.update(done - self._bar.n)

    def clear(self) -> None:
        """Nothing: a line has a place of its own."""

    def close(self) -> None:
        self._bar.close()


class Bar:
    """A line that shows how far something is.

    Arguments:
        label: what is done.
        stream: where to draw; by default stderr.
        clock: seconds, from any moment on.
    """

    def __init__(
        self,
        label: str,
        stream: TextIO | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.label = label
        self.text = ""
        self._pace = Pace(0, clock)
        self._clock = clock
        self._stream = sys.stderr if stream is None else stream
        self._drawn = 0
        self._done = 0
        self._last = -INTERVAL

    def update(self, done: int, total: int, text: str = "") -> None:
        """Show how much is done, and a text behind; often calls cost nothing."""
        self._done = done
        self.text = text
        self._pace.length = total
        self._pace.reached(done)
        now = self._clock()
        if now - self._last >= INTERVAL or done == total:
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
        total, left = self._pace.length, self._pace.left()
        full = WIDTH * self._done // max(1, total)
        parts = [
            f"{self.label}  [{'#' * full}{'-' * (WIDTH - full)}]  {self._done}/{total}",
            *([f"{duration(left)} left"] if left is not None and self._done < total else []),
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
