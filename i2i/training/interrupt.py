"""Ctrl-C, SIGTERM and their like: finish the step, save, leave.

SIGHUP comes when a terminal is closed or a connection is lost (not to what was started with
`nohup`, which ignores it, and so does a run), SIGUSR1 and SIGUSR2 from schedulers that are about to
end a job.
"""

import contextlib
import os
import signal
import time
from types import FrameType

from i2i.training.pace import Pace

SIGNALS = [
    getattr(signal, name)
    for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1", "SIGUSR2")
    if hasattr(signal, name)
]


class Interrupt:
    """Remembers that somebody wants the run to stop; a second Ctrl-C (or SIGTERM) leaves at once.

    As a context manager it takes the place of the signal handlers and puts them back. Signals can
    only be handled in the main thread; elsewhere this does nothing.

    Arguments:
        echo: seconds in which a signal that comes again is the same one: both a scheduler and the
            launcher may have sent it to one of several processes.
        silent: say nothing, since another process does.
        saves: says when a checkpoint is due by the clock.
    """

    def __init__(
        self, *, echo: float = 0.0, silent: bool = False, saves: Pace | None = None
    ) -> None:
        self.signal: int | None = None
        self.saves = saves or Pace(0)
        self._echo = echo
        self._silent = silent
        self._since = 0.0
        self._before: dict[int, object] = {}

    def __enter__(self) -> "Interrupt":
        for number in SIGNALS:
            if number == getattr(signal, "SIGHUP", None) and (
                signal.getsignal(number) is signal.SIG_IGN
            ):
                continue
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

    def save_due(self) -> bool:
        """Whether a checkpoint is due by the clock."""
        return self.saves.due()

    def saved(self, *, by_clock: bool) -> None:
        """A checkpoint was written, because it was due by the clock or for another reason."""
        if by_clock:
            self.saves.done()
        else:
            self.saves.restart()

    @property
    def exit_code(self) -> int:
        """What a shell expects: 130 after Ctrl-C, 143 after SIGTERM."""
        assert self.signal is not None
        return 128 + self.signal

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.signal is not None:
            # One who closes a terminal, or a scheduler, sends several of them.
            again = {self.signal, number} <= {signal.SIGINT, signal.SIGTERM}
            if not again or time.monotonic() - self._since < self._echo:
                return
            os._exit(128 + number)
        self.signal = number
        self._since = time.monotonic()
        if self._silent:
            return
        with contextlib.suppress(OSError):  # the terminal may have been closed
            os.write(2, b"\nFinishing this step and saving; once more to leave at once.\n")
