"""With how many threads does a run compute, where other programs use the processor too?

The threads of torch wait for each other after every layer. If one of them has to wait for a core,
all do, often for milliseconds: beside one other program, two threads were measured to be nine times
as slow as one.

Another number of threads adds up in another order. So it is chosen when a run begins, stands in its
options, and stays what it is whenever the run goes on.
"""

import logging
import time
from collections.abc import Callable

import torch
import torch.nn.functional as F

from i2i.config import Options
from i2i.system.cpu import cores, threads_set_by_hand

_log = logging.getLogger(__name__)

BUSY = 1.5
"""How many times as fast another number of threads must be for it to be worth something."""

MOST_SAID = 10.0
"""Above so many times as fast the number is not said any more."""

IDLE_SHARE = 0.5
"""Share of the time of all threads in which the process computes. Below it, threads wait: for a
core, for each other, or for images. Which of these it is, is then measured."""

INTERVAL = 600.0
"""Seconds between two measurements while a training goes on."""

REPEATS = 3

Measure = Callable[[int, int], tuple[int, float]]


def fastest_threads(now: int, most: int) -> tuple[int, float]:
    """With how many threads a piece of training is fastest at present, and how many times as fast
    as with `now` threads. Asked are `now` and its halves, and `most`.

    It takes some tens of milliseconds, and some hundreds on a processor that is busy; the number
    of threads is afterwards what it was.
    """
    counts, fewer = [most, now], now
    while fewer > 1:
        fewer //= 2
        counts.append(fewer)
    before, seconds = torch.get_num_threads(), dict[int, float]()
    with torch.no_grad():
        images, weight = torch.full((4, 32, 32, 32), 0.5), torch.full((32, 32, 3, 3), 0.01)
        try:
            for count in dict.fromkeys(counts):
                torch.set_num_threads(count)
                times = []
                for _ in range(REPEATS + 1):
                    began = time.perf_counter()
                    for _ in range(4):
                        F.relu(F.conv2d(images, weight, padding=1))
                    times.append(time.perf_counter() - began)
                seconds[count] = min(times[1:])  # the first one makes what is made once
        finally:
            torch.set_num_threads(before)
    best = min(seconds, key=seconds.__getitem__)
    return best, seconds[now] / seconds[best]


def resolve_threads(
    options: Options,
    device: torch.device,
    *,
    new: bool,
    processes: int = 1,
    measure: Measure = fastest_threads,
) -> Options:
    """Let torch compute with as many threads as `train.threads` asks for, and say in the options of
    a new run with how many that is.

    Arguments:
        options: of the run.
        device: to compute on; only of the processor are threads chosen.
        new: whether the run begins. "auto" is all cores, or what is fastest where they are busy.
        processes: on this machine that train together.
        measure: finds the fastest number of threads.
    """
    asked = options.train.threads
    if device.type != "cpu":
        return options
    if asked == "auto":
        threads = torch.get_num_threads()
        if not new:
            return options
        if processes == 1 and threads > 1 and not threads_set_by_hand():
            fewer, gain = measure(threads, threads)
            if gain >= BUSY:
                _log.info(
                    f"note: the processor is busy, another program uses it too. This run computes "
                    f"with {_threads(fewer)} instead of {threads}, {_times(gain)} as fast at "
                    f"present, and keeps that number (--threads {threads} for all cores)."
                )
                threads = fewer
    else:
        threads = min(asked, max(1, cores() // processes))
        if threads < asked:
            _log.info(
                f"note: train.threads is {asked}, but there are cores for {_threads(threads)} here."
                + ("" if new else " Sums are added up in another order from here on.")
            )
    torch.set_num_threads(threads)
    train = options.train.model_copy(update={"threads": threads})
    return options.model_copy(update={"train": train})


class BusyWatch:
    """Says when another number of threads would be much faster: at the start of a training, and
    when it begins.

    Arguments:
        threads: of torch.
        most: so many are worth trying, where they may have been too many when the run began.
        measure: finds the fastest number of threads.
        clock, cpu: seconds that have passed, and that this process has computed.
    """

    def __init__(
        self,
        threads: int | None = None,
        most: int | None = None,
        *,
        measure: Measure = fastest_threads,
        clock: Callable[[], float] = time.perf_counter,
        cpu: Callable[[], float] = time.process_time,
    ) -> None:
        self.threads = torch.get_num_threads() if threads is None else threads
        self.most = most or self.threads
        self._fastest, self._clock, self._cpu = measure, clock, cpu
        self._said = False
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
        waits = self.threads > 1 and wall > 0 and computed / (wall * self.threads) < IDLE_SHARE
        worth_trying = waits or self.threads < self.most
        self._said = self._said and worth_trying
        if worth_trying and self._clock() - self._measured >= INTERVAL:
            self._measure(
                f" This process computed for {computed:.0f} s in {wall:.0f} s with "
                f"{_threads(self.threads)}."
            )
        self.restart()

    def restart(self) -> None:
        """Leave the time since the last look out: something else was done."""
        self._since, self._computed = self._clock(), self._cpu()

    def _measure(self, seen: str) -> None:
        count, gain = self._fastest(self.threads, self.most)
        self._measured = self._clock()
        if gain >= BUSY and not self._said:
            state = (
                f"busy, another program uses it too.{seen}"
                if count < self.threads
                else "no longer busy."
            )
            _log.info(
                f"note: the processor is {state} With {_threads(count)} instead of {self.threads} "
                f"(--threads {count} when the run is resumed; sums are then added up in another "
                f"order) it would be {_times(gain)} as fast at present."
            )
        self._said = gain >= BUSY


def _times(gain: float) -> str:
    """How many times as fast, as far as a measurement of milliseconds can tell: a single thread may
    not have been interrupted in it once."""
    return f"about {gain:.1f} times" if gain < MOST_SAID else f"more than {MOST_SAID:g} times"


def _threads(count: int) -> str:
    return "one thread" if count == 1 else f"{count} threads"
