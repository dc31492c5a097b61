"""Notices that a process of a job has failed, also where nobody else would.

An exception reaches the others only if somebody tells them; a machine that has lost its power
tells nobody; and who waits for a GPU that waits for another GPU cannot even listen. So a thread of
each process shows every second that it is alive and looks after its neighbour, by way of the
key-value store through which torch's process groups find each other.
"""

import contextlib
import os
import signal
import sys
import threading
import time
from typing import Any

BEAT = 1.0
"""Seconds between two signs of life."""

SILENCE = 30.0
"""Seconds without a sign of life after which a process counts as dead."""

GRACE = 10.0
"""Seconds that a process has for leaving by itself after another has failed."""

LONGEST_GOODBYE = 600
"""Seconds that processes have for saving when somebody ends them, or their launcher."""

_LOST = (
    "it does not answer any more; it was killed (for want of memory, perhaps), or its machine or "
    "the network is down."
)


class Watch:
    """Watches over the processes of a job.

    Arguments:
        store: a `torch.distributed.Store` that all of them see, for this purpose alone.
        rank: of this process among `world`.
        world: how many there are.
    """

    def __init__(self, store: Any, rank: int, world: int) -> None:
        self.store = store
        self.rank = rank
        self.world = world
        self._failed: tuple[int, str] | None = None
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)
        self._launcher = os.getppid()
        self._told = False
        self.store.set(f"beat{rank}", "0")

    def start(self) -> None:
        """Begin, when all processes have made theirs."""
        self._thread.start()

    def stop(self) -> None:
        self._over.set()
        if self._thread.is_alive():
            self._thread.join()
        if os.getppid() != self._launcher:  # another process was the first to notice
            self._tell_of_the_launcher()

    def announce(self, text: str) -> tuple[int, str]:
        """Say that this process has failed; returns who was the first to fail, and why."""
        return self._announce(self.rank, text)

    def find_failure(self) -> tuple[int, str] | None:
        """Who else has failed, and why, after waiting for those who have not said so."""
        if (before := self._beats()) is None:
            return self._failed
        for _ in range(5):
            if self._look() is not None:
                return self._failed
            time.sleep(BEAT)
        after = self._beats() or before
        for rank in range(self.world):
            if rank != self.rank and before[rank] == after[rank]:
                return self._announce(rank, _LOST)
        return self._failed

    def speaks(self) -> bool:
        """Whether this process is to tell the person of the failure: who failed does, if it can,
        and the first, where people look."""
        assert self._failed is not None
        culprit, text = self._failed
        speaker = 0 if culprit else 1
        return self.rank == culprit or (self.rank == speaker and (culprit != 0 or text == _LOST))

    def _beats(self) -> list[bytes] | None:
        with self._lock:
            try:
                return [self.store.get(f"beat{rank}") for rank in range(self.world)]
            except RuntimeError:
                self._without_store()
        return None

    def _look(self) -> tuple[int, str] | None:
        """Whether somebody has announced that they failed."""
        with self._lock:
            try:
                if self._failed is None and self.store.check(["failed"]):
                    rank, _, text = self.store.get("failed").decode().partition(" ")
                    self._failed = int(rank), text
            except RuntimeError:
                self._without_store()
        return self._failed

    def _announce(self, rank: int, text: str) -> tuple[int, str]:
        with self._lock:
            try:
                said = self.store.compare_set("failed", "", f"{rank} {text}").decode()
                culprit, _, text = said.partition(" ")
                self._failed = int(culprit), text
            except RuntimeError:
                if self._failed is None:
                    self._failed = rank, text
        return self._failed

    def _without_store(self) -> None:
        """The store is where process 0 is, or with its launcher."""
        if self._failed is None:
            self._failed = 0, _LOST

    def _run(self) -> None:
        neighbour = (self.rank + 1) % self.world
        last, heard, count = b"", time.monotonic(), 0
        beat: bytes | None
        while not self._over.wait(BEAT):
            count += 1
            if os.getppid() != self._launcher:
                self._leave_in_order()
                return
            with self._lock:
                try:
                    self.store.set(f"beat{self.rank}", str(count))
                    beat = self.store.get(f"beat{neighbour}")
                except RuntimeError:
                    beat = None
            if beat is None:
                if self._orphaned():  # the store has gone with the launcher
                    self._leave_in_order()
                    return
                self._without_store()
                break
            if beat != last:
                last, heard = beat, time.monotonic()
            elif time.monotonic() - heard > SILENCE:
                self._announce(neighbour, _LOST)
            if self._look() is not None:
                break
        if self._failed is None or self._over.wait(GRACE):
            return
        self._end()

    def _orphaned(self) -> bool:
        """Whether the launcher is gone; the system closes what it had open a little earlier."""
        until = time.monotonic() + BEAT
        while os.getppid() == self._launcher and time.monotonic() < until:
            time.sleep(BEAT / 20)
        return os.getppid() != self._launcher

    def _leave_in_order(self) -> None:
        """Do as if the launcher, which was killed, had passed on a signal before: all processes
        notice it, and what they have to tell each other goes other ways than the store."""
        self._tell_of_the_launcher()
        signal.raise_signal(signal.SIGTERM)
        if not self._over.wait(LONGEST_GOODBYE):
            os._exit(1)

    def _tell_of_the_launcher(self) -> None:
        if self.rank == 0 and not self._told:
            self._told = True
            _write_error("the process that launched the others was killed, so they save and leave.")

    def _end(self) -> None:
        assert self._failed is not None
        culprit, text = self._failed
        if self.speaks():
            _write_error(f"process {culprit} of {self.world} failed: {text}")
        os._exit(1)


def _write_error(text: str) -> None:
    with contextlib.suppress(OSError):
        sys.stderr.write(f"Error: {text}\n")
        sys.stderr.flush()
