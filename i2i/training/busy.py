"""Is the processor busy with something else? Then many threads are slower tha one.

The threads of torch wait for each other after every layer. If one of them has to wait for a core,
all do, often for milliseconds: beside one other program, two threads were measured to be nine times
as slow as one.
"""

import logging
import time
from collections.abc import Callable

import torch
import torch.nn.functional as F

_log = logging.getLogger(__name__)

BUSY = 1.5
"""How many times as fast one thread must be for it to be worth saying."""

IDLE_SHARE = 0.5
"""Share of the time of all threads in which the process computes. Below it, threads wait: for a
core, for each other, or for images. Which of these it is, is then measured."""

INTERVAL = 600.0
"""Seconds between two measurements while a training goes on."""

REPEATS = 3


def gain_of_one_thread() -> float:
    """How many times as fast as now a piece of training would be with one thread.

    It takes some tens of milliseconds, and some hundreds on a processor that is busy; the number
    of threads is afterwards what it was.
    """
    threads = torch.get_num_threads()
    with torch.no_grad():
        images, weight = torch.full((4, 32, 32, 32), 0.5), torch.full((32, 32, 3, 3), 0.01)
        best = {}
        try:
            for count in (threads, 1):
                torch.set_num_threads(count)
                times = []
                for _ in range(REPEATS + 1):
                    began = time.perf_counter()
                    for _ in range(4):
                        F.relu(F.conv2d(images, weight, padding=1))
                    times.append(time.perf_counter() - began)
                best[count] = min(times[1:])  # the first one makes what is made once
        finally:
            torch.set_num_threads(threads)
    return best[threads] / best[1]


class BusyWatch:
    """Says when the processor is busy: at the start of a training, and when it begins.

    The number of threads stays as it is, since another one adds up in another order: it is for
    whoever starts a run to choose (OMP_NUM_THREADS=1).

    Arguments:
        threads: of torch.
        gain: measures how many times as fast one thread would be.
        clock, cpu: seconds that have passed, and that this process has computed.
    """

    def __init__(
        self,
        threads: int | None = None,
        *,
        gain: Callable[[], float] = gain_of_one_thread,
        clock: Callable[[], float] = time.perf_counter,
        cpu: Callable[[], float] = time.process_time,
    ) -> None:
        self.threads = torch.get_num_threads() if threads is None else threads
        self._gain, self._clock, self._cpu = gain, clock, cpu
        self._busy = False
        self._measured = self._since = clock()
        self._computed = cpu()

    def begin(self) -> None:
        """Measure before the first step."""
        if self.threads > 1:
            self._measure("")
        self.restart()

    def look(self) -> None:
        """Judge the time since the last look or restart."""
        wall, computed = self._clock() - self._since, self._cpu() - self._computed
        waits = wall > 0 and computed / (wall * self.threads) < IDLE_SHARE
        self._busy = self._busy and waits
        if self.threads > 1 and waits and self._clock() - self._measured >= INTERVAL:
            self._measure(
                f" This process computed for {computed:.0f} s in {wall:.0f} s with "
                f"{self.threads} threads."
            )
        self.restart()

    def restart(self) -> None:
        """Leave the time since the last look out: something else was done."""
        self._since, self._computed = self._clock(), self._cpu()

    def _measure(self, seen: str) -> None:
        gain = self._gain()
        self._measured = self._clock()
        if gain >= BUSY and not self._busy:
            _log.info(
                f"note: the processor is busy, another program uses it too.{seen} With one thread "
                f"instead of {self.threads} (OMP_NUM_THREADS=1, when a run is started or resumed; "
                f"sums are then added up in another order) it would be about {gain:.1f} times as "
                "fast at present."
            )
        self._busy = gain >= BUSY
