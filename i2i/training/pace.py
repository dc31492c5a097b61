"""What is due by the clock, beside what is due by the number of steps."""

import time
from collections.abc import Callable

FIRST = 60.0
"""Seconds until something is due for the first time."""

MOST = 0.05
"""Share of the time that it may take."""


class Pace:
    """Says when something is due again: after a minute, then after twice as long each time, up to
    a longest interval. So a run that was wrong from the start shows it soon, and one that goes on
    for days is not disturbed.

    Arguments:
        longest: seconds; 0 if it is never due.
        now: tells the time, in seconds.
    """

    def __init__(self, longest: float, now: Callable[[], float] = time.monotonic) -> None:
        self.longest = longest
        self._now = now
        self._interval = min(FIRST, longest)
        self._since = now()

    def due(self) -> bool:
        return self.longest > 0 and self._now() - self._since >= self._interval

    def done(self, seconds: float = 0.0) -> None:
        """It was done by the clock, which took so long."""
        self._interval = max(min(2 * self._interval, self.longest), seconds / MOST)
        self._since = self._now()

    def restart(self) -> None:
        """It was done for another reason: the interval begins anew."""
        self._since = self._now()
