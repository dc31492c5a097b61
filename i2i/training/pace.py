"""What is due by the clock, beside what is due by the number of steps."""

import time
from collections.abc import Callable

from i2i.config.training import Train

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


STEPS, SECONDS, WORTH_SAYING = 3, 5.0, 60.0
"""Steps and seconds that an estimate takes at least, and the shortest time that is spoken of."""


class FirstSteps:
    """Tells once how long a training takes, from its first steps as they were done: of the first
    one, in which much is made that is made once, the time is not counted.

    Arguments:
        total: steps that are to be done.
        period: after so many steps every player has moved.
        now: tells the time, in seconds.
    """

    def __init__(
        self, total: int, period: int = 1, now: Callable[[], float] = time.monotonic
    ) -> None:
        self.total = total
        self.period = period
        self._now = now
        self._since: tuple[float, int] | None = None
        self._told = False

    def reached(self, done: int) -> tuple[float, float] | None:
        """Note that so many steps are done.

        Returns:
            the seconds of a step and of all that are left, once they are known and worth a word.
        """
        if self._told:
            return None
        if self._since is None:
            self._since = self._now(), done
            return None
        seconds, steps = self._now() - self._since[0], done - self._since[1]
        if seconds < SECONDS or steps < STEPS or steps % self.period:
            return None
        self._told = True
        left = (self.total - done) * seconds / steps
        return (seconds / steps, left) if left >= WORTH_SAYING else None


def when_shown(train: Train) -> str:
    """When a run makes its image grids, in words."""
    validations = f"with each validation (every {train.validate_every_steps} steps at most)"
    return _listed("before the first step", in_words(train.visualize_every_minutes), validations)


def when_saved(train: Train) -> str:
    """When a run saves, in words."""
    return _listed(in_words(train.save_every_minutes), f"every {train.save_every_steps} steps")


def _listed(*words: str) -> str:
    *before, last = [word for word in words if word]
    return f"{', '.join(before)}, and {last}" if before else last


def in_words(minutes: float) -> str:
    """When a `Pace` is due of which the longest interval is so many minutes: "after 1, 3, 7 and 15
    minutes, then every 10"; "" if it never is."""
    if minutes <= 0:
        return ""
    interval = total = min(FIRST / 60, minutes)
    times = []
    while interval < minutes:
        times.append(total)
        interval = min(2 * interval, minutes)
        total += interval
    every = f"every {minutes:g} minutes" if minutes != 1 else "every minute"
    if not times:
        return every
    *before, last = [f"{time:g}" for time in times]
    named = f"{', '.join(before)} and {last} minutes" if before else f"{last} minute"
    return f"after {named}, then {every.removesuffix(' minutes')}"
