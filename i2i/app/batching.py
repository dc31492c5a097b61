"""Requests of many clients, computed together where they are alike.

One thread computes for a model. While it is busy, jobs gather; then it takes the oldest one and all
others that may be computed together with it, up to a number. It waits for more, a few
milliseconds, only while somebody has announced one: a single client never waits for company.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Hashable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from i2i.errors import CheckpointError, I2iError
from i2i.system.memory import OUT_OF_MEMORY, is_out_of_memory


class ExpiredError(I2iError):
    """The time of a job was over before its turn came."""


class ClosedError(I2iError):
    """The model takes no more jobs."""


@dataclass(eq=False)
class _Job:
    key: Hashable
    item: Any
    weight: int
    deadline: float
    future: Future[Any] = field(default_factory=Future)
    arrived: float = field(default_factory=time.monotonic)


class Batcher:
    """Computes jobs in a thread of its own, those of one key together.

    Arguments:
        compute: (key, items) -> as many results; never runs twice at the same time.
        most: jobs of a batch.
        heaviest: weight of a batch, unless one job alone is heavier.
        linger: seconds to wait for jobs that were announced.
        watch: is told how many were computed together, each time.
    """

    def __init__(
        self,
        compute: Callable[[Any, Sequence[Any]], Sequence[Any]],
        *,
        most: int = 8,
        heaviest: int = 2**22,
        linger: float = 0.01,
        watch: Callable[[int], None] = lambda count: None,
    ) -> None:
        self._compute = compute
        self._most = most
        self._heaviest = heaviest
        self._linger = linger
        self._watch = watch
        self._jobs: deque[_Job] = deque()
        self._change = threading.Condition()
        self._coming = 0
        self._closed = False
        self._thread = threading.Thread(target=self._work, name="batcher", daemon=True)
        self._thread.start()

    def __len__(self) -> int:
        """Jobs that wait."""
        return len(self._jobs)

    @contextmanager
    def coming(self) -> Iterator[None]:
        """Announce the jobs that are submitted in the block."""
        with self._change:
            self._coming += 1
        try:
            yield
        finally:
            with self._change:
                self._coming -= 1
                self._change.notify()

    def submit(
        self, key: Hashable, item: Any, *, weight: int = 1, deadline: float = float("inf")
    ) -> Future[Any]:
        """Queue a job.

        Arguments:
            key: jobs of equal keys may be computed together.
            item: what `compute` is given.
            weight: of the job.
            deadline: moment of `time.monotonic` from which on it is not begun any more: the future
                then raises `ExpiredError`.

        Raises:
            ClosedError: `close` was called.
        """
        job = _Job(key, item, weight, deadline)
        with self._change:
            if self._closed:
                raise ClosedError("this model is being unloaded: ask again.")
            self._jobs.append(job)
            self._change.notify()
        return job.future

    def close(self) -> None:
        """Finish what waits, and take nothing more."""
        with self._change:
            self._closed = True
            self._change.notify()
        self._thread.join()

    def _work(self) -> None:
        while batch := self._next():
            alive = [job for job in batch if job.future.set_running_or_notify_cancel()]
            if alive:
                self._watch(len(alive))
                self._settle(alive)

    def _next(self) -> list[_Job]:
        """Wait for jobs and take a batch of them; empty when closed and done."""
        with self._change:
            while True:
                self._drop_expired()
                if self._jobs:
                    batch = self._batch()
                    until = batch[0].arrived + self._linger
                    left = until - time.monotonic()
                    if left <= 0 or not self._coming or self._closed or self._is_full(batch):
                        for job in batch:
                            self._jobs.remove(job)
                        return batch
                    self._change.wait(left)
                elif self._closed:
                    return []
                else:
                    self._change.wait()

    def _drop_expired(self) -> None:
        now = time.monotonic()
        for job in [job for job in self._jobs if job.deadline <= now or job.future.cancelled()]:
            self._jobs.remove(job)
            if job.future.set_running_or_notify_cancel():
                job.future.set_exception(ExpiredError("the time was over before its turn came."))

    def _batch(self) -> list[_Job]:
        batch: list[_Job] = []
        weight = 0
        for job in self._jobs:
            alike = not batch or (job.key == batch[0].key and weight + job.weight <= self._heaviest)
            if alike and len(batch) < self._most:
                batch.append(job)
                weight += job.weight
        return batch

    def _is_full(self, batch: list[_Job]) -> bool:
        weight = sum(job.weight for job in batch)
        return len(batch) >= self._most or weight + batch[0].weight > self._heaviest

    def _settle(self, jobs: list[_Job]) -> None:
        """Compute jobs, one by one where together they fail for a reason that may be one's own."""
        try:
            results = self._compute(jobs[0].key, [job.item for job in jobs])
            assert len(results) == len(jobs), (len(results), len(jobs))
        except Exception as error:  # noqa: BLE001 (whoever waits for it is told)
            own = isinstance(error, CheckpointError) or (
                isinstance(error, OUT_OF_MEMORY) and is_out_of_memory(error)
            )
            if own and len(jobs) > 1:
                for job in jobs:
                    self._settle([job])
            else:
                for job in jobs:
                    job.future.set_exception(error)
            return
        for job, result in zip(jobs, results, strict=True):
            job.future.set_result(result)
