"""Batches for the steps of a training, prepared by other processes while this one computes.

Which samples make up a batch follows from the number of the step alone, so that any number of
workers gives the same batches and a resumed training goes on where it stopped.
"""

import atexit
import os
import signal
import sys
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context, parent_process, resource_tracker
from multiprocessing.process import BaseProcess
from operator import mul
from threading import Thread
from typing import Any, Literal, NamedTuple, TypeVar
from weakref import WeakSet

import torch
from torch.utils.data import DataLoader, Dataset, get_worker_info

from i2i.core.plugins import LoadedPlugins
from i2i.data.loading.shared_memory import Parcel, Receiver, Sender, collate
from i2i.data.semaphores import named_after_us, sweep
from i2i.errors import DataError, I2iError, WorkerError
from i2i.system.cpu import cores

T = TypeVar("T")

# Forking a process in which torch already runs threads may hang its children (and Python 3.12 warns
# of it); starting afresh costs every worker the import of torch. So, where there is one, a server
# is started that imports once, runs nothing, and forks from there. macOS does not survive that.
START = "forkserver" if sys.platform == "linux" else "spawn"
"""How processes are started."""
_AHEAD = 4  # batches that wait, of each worker
_TRIES = 100  # samples in succession that cannot be read: then it is not the images
_PRELOAD = [
    "i2i.data.kinds.paired",
    "i2i.data.kinds.unpaired",
    "i2i.data.kinds.domains",
    "i2i.data.kinds.unconditional",
]


_OF_SCHEDULERS = {
    getattr(signal, name) for name in ("SIGHUP", "SIGUSR1", "SIGUSR2") if hasattr(signal, name)
}
"""What comes to all processes of a job, or of a terminal that is closed."""


# The interpreter waits at its end for workers whose loader is still there, because the traceback of
# an error refers to it, say; and they ignore the signal that should end them.
_open: WeakSet[Generator[Any]] = WeakSet()


@atexit.register
def _close() -> None:
    for batches in list(_open):
        batches.close()


@dataclass(frozen=True)
class _Positions:
    """The positions of each step's batch in the order of a data set, after the batch's number."""

    before: Callable[[int], int]
    start: int
    stop: int
    rank: int
    world: int

    def __len__(self) -> int:
        return max(0, self.stop - self.start)

    def __iter__(self) -> Iterator[Any]:  # torch expects lists
        for step in range(self.start, self.stop):
            size = (self.before(step + 1) - self.before(step)) // self.world
            first = self.before(step) + self.rank * size
            yield step - self.start, range(first, first + size)


def make_loader(
    dataset: Dataset[T],
    *,
    batch_size: int | Callable[[int], int],
    start: int,
    stop: int,
    workers: int | Literal["auto"] = "auto",
    pin_memory: bool = False,
    rank: int = 0,
    world: int = 1,
    skipped: Callable[[str], None] | None = None,
) -> Iterator[T]:
    """Start the workers and return the batches of the steps start, start + 1, ..., stop - 1.

    Args:
        dataset: Gives a tuple of tensors for any position from 0 on.
        batch_size: Samples in a batch of this process; every batch is full. Where it changes from
            step to step, how many samples of all processes come before a step.
        start: The first step, counted from 0 over the whole training.
        stop: The step after the last.
        workers: How many processes prepare batches; 0 prepares them in this one when they are due;
            "auto" is `default_workers()`. With workers, a script needs the usual
            `if __name__ == "__main__":`.
        pin_memory: Put batches into page-locked memory, from where a CUDA device copies while
            others compute. Each has to be copied once in any case, out of what is shared with the
            worker, so that it takes no thread.
        rank: Number of this process among `world` that train together; each batch of
            world x batch_size successive samples is dealt out to them in turn.
        world: Number of processes that train together.
        skipped: Told what is wrong with a sample that cannot be read, in whose place the next one
            comes that can. Without it, the first such sample ends the iteration.

    Raises:
        I2iError: while iterating, what the data set raised, also in a worker, and without the
            worker's traceback.
        WorkerError: while iterating, a worker was ended by somebody else.
    """
    if workers == "auto":
        workers = default_workers()
    options: dict[str, Any] = {}
    if workers:
        context = get_context(START)
        if START == "forkserver":
            context.set_forkserver_preload(_PRELOAD)
        options = {
            "multiprocessing_context": context,
            "worker_init_fn": _settle_worker,
            "prefetch_factor": _AHEAD,
        }
    before = partial(mul, batch_size * world) if isinstance(batch_size, int) else batch_size
    loader = DataLoader(
        _Batches(dataset, pin_memory, lenient=skipped is not None),
        batch_sampler=_Positions(before, start, stop, rank, world),
        num_workers=workers,
        collate_fn=_as_it_is,
        generator=torch.Generator(),  # or it would draw from that of the program
        **options,
    )
    sweep()
    with _born_deaf_to_signals(), named_after_us():
        batches = iter(loader)
    received = _received(batches, Receiver(pin_memory=pin_memory), skipped)
    _open.add(received)
    return received


def default_workers(processes: int = 1) -> int:
    """Return one worker for each core that this process may use except one, at most 8.

    Args:
        processes: How many processes of a training share the cores of this machine.
    """
    return max(0, min(8, cores() // processes - 1))


class _Batches(Dataset[Any]):
    """Whole batches of a data set, those of a worker in shared memory.

    What a person can mend is returned as a value: raised in a worker, it comes with a traceback.
    """

    def __init__(self, dataset: Dataset[Any], pin_memory: bool, lenient: bool) -> None:
        self.plugins = LoadedPlugins()  # first, so that a worker has them when it meets the rest
        self.dataset = dataset
        self.pin_memory = pin_memory
        self.lenient = lenient
        self.sender: Sender | None = None

    def __getitems__(self, batch: tuple[int, range]) -> Any:
        number, positions = batch
        bad: list[str] = []
        try:
            samples = [self._sample(position, bad) for position in positions]
            worker = get_worker_info()
            if worker is None:
                made = collate(samples, pin_memory=self.pin_memory)
            else:
                self.sender = self.sender or Sender(worker.id, worker.num_workers, _AHEAD)
                made = self.sender.send(number, samples)
        except I2iError as error:
            return error
        return _WithoutBad(made, bad) if bad else made

    def _sample(self, position: int, bad: list[str]) -> Any:
        """The sample of a position, or of the next whose sample can be read."""
        last = position + (_TRIES if self.lenient else 0)
        while True:
            try:
                return self.dataset[position]
            except DataError as error:
                if position == last:
                    raise
                bad.append(str(error))
            position += 1


class _WithoutBad(NamedTuple):
    """A batch, and what is wrong with the samples in whose place others are."""

    batch: Any
    bad: list[str]


def _as_it_is(batch: Any) -> Any:
    return batch


def _received(
    batches: Iterator[Any], receiver: Receiver, skipped: Callable[[str], None] | None
) -> Generator[Any]:
    batch = None
    try:
        for batch in batches:
            if isinstance(batch, I2iError):
                raise batch
            if isinstance(batch, _WithoutBad):
                assert skipped is not None
                for text in batch.bad:
                    skipped(text)
                batch = batch.batch
            yield receiver.receive(batch) if isinstance(batch, Parcel) else batch
    except (RuntimeError, ConnectionError, EOFError) as error:
        if isinstance(error, RuntimeError) and "exited unexpectedly" not in str(error):
            raise
        raise WorkerError(
            f"A process that prepares batches was ended ({error}), maybe by the system for want "
            "of memory: take fewer with --workers, or 0."
        ) from None
    finally:
        # The traceback of an error that came out of torch's iterator keeps it alive, and with it
        # the workers.
        if (end_workers := getattr(batches, "_shutdown_workers", None)) is not None:
            end_workers()
        # An error refers to this frame. If the frame went on to refer to the error, both would wait
        # for the garbage collector, and there the workers take five seconds each to end.
        del batch, batches


@contextmanager
def _born_deaf_to_signals() -> Iterator[None]:
    """Let processes that start in here inherit blocked signals: the main process stops in order.

    A signal meanwhile is not lost, the main process gets it afterwards.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _OF_SCHEDULERS)
    try:
        resource_tracker.ensure_running()  # it unblocks these two when it has to be started first
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _settle_worker(worker: int) -> None:
    """Ignore the signals also where they could not be blocked, and leave the cores to others."""
    import cv2

    for number in (signal.SIGINT, signal.SIGTERM, *_OF_SCHEDULERS):
        signal.signal(number, signal.SIG_IGN)  # a scheduler signals all processes of a job
    torch.set_num_threads(1)
    cv2.setNumThreads(0)
    # Torch asks now and then who its parent is; that is the server, which a training that is killed
    # leaves behind.
    parent = parent_process()
    assert parent is not None
    Thread(target=_end_with, args=(parent,), daemon=True).start()


def _end_with(process: BaseProcess) -> None:
    process.join()
    os._exit(1)
