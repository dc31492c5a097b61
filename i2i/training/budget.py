"""How much of the time of a run may go into looking at it."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Budget:
    """Says whether another validation still fits into a share of the time since it was made.

    The first one, whose cost nobody knows yet, always does.

    Arguments:
        share: 0..1.
        now: tells the time, in seconds.
    """

    def __init__(self, share: float, now: Callable[[], float] = time.perf_counter) -> None:
        self.share = share
        self.spent = 0.0
        self.last: float | None = None
        self._now = now
        self._began = now()

    def affords_another(self) -> bool:
        """Whether a validation that takes as long as the last one keeps within the share."""
        if self.last is None:
            return True
        return self.spent + self.last <= self.share * (self._now() - self._began + self.last)

    @contextmanager
    def charged(self) -> Iterator[None]:
        """Count the time spent in here."""
        began = self._now()
        try:
            yield
        finally:
            self.last = self._now() - began
            self.spent += self.last
