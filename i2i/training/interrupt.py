"""Ctrl-C and SIGTERM: finish the step, save, leave."""

import os
import signal
import time
from types import FrameType


class Interrupt:
    """Remembers that somebody wants the run to stop; a second signal leaves at once.

    As a context manager it takes the place of the signal handlers and puts them back. Signals can
    only be handled in the main thread; elsewhere this does nothing.

    Arguments:
        echo: seconds in which a signal that comes again is the same one: both a scheduler and the
            launcher may have sent it to one of several processes.
        silent: say nothing, since another process does.
    """

    def __init__(self, *, echo: float = 0.0, silent: bool = False) -> None:
        self.signal: int | None = None
        self._echo = echo
        self._silent = silent
        self._since = 0.0
        self._before: dict[int, object] = {}

    def __enter__(self) -> "Interrupt":
        for number in (signal.SIGINT, signal.SIGTERM):
            try:
                self._before[number] = signal.signal(number, self._handle)
            except ValueError:
                break
        return self

    def __exit__(self, *error: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]

    def asked(self) -> bool:
        """Whether to stop before the next step."""
        return self.signal is not None

    @property
    def exit_code(self) -> int:
        """What a shell expects: 130 after Ctrl-C, 143 after SIGTERM."""
        assert self.signal is not None
        return 128 + self.signal

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.signal is not None:
            if time.monotonic() - self._since < self._echo:
                return
            os._exit(128 + number)
        self.signal = number
        self._since = time.monotonic()
        if self._silent:
            return
        os.write(2, b"\nFinishing this step and saving; once more to leave at once.\n")
