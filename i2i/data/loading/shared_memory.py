"""Batches that a worker leaves in memory which it shares with the process that trains.

For every tensor torch makes shared memory anew and sends a descriptor of it: up to a millisecond in
either process, longer than reading the images takes. Here a worker puts its batches by turns into
a few slots of memory, each of which is sent once.

Nobody needs to be told that a slot is free. A loader lets `ahead` batches of each worker wait: it
asks for batch n + workers x ahead when it hands over batch n, which is copied from its slot before
the next one is taken. So of ahead + 1 slots, the one whose turn it is has been copied.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from i2i.errors import WorkerError

Sample = tuple[Tensor, ...]

_ALIGNMENT = 64


@dataclass(frozen=True)
class _Place:
    """A tensor in a slot."""

    begin: int
    shape: torch.Size
    dtype: torch.dtype

    def within(self, memory: Tensor) -> Tensor:
        size = self.shape.numel() * self.dtype.itemsize
        return memory[self.begin : self.begin + size].view(self.dtype).view(self.shape)


@dataclass(frozen=True)
class Parcel:
    """What is sent instead of a batch."""

    kind: type[Sample]
    places: tuple[_Place, ...]
    slot: tuple[int, int]  # the worker, and which of its slots
    memory: Tensor | None  # the slot itself, where it has not been sent before


class Sender:
    """Puts the batches of a worker into its slots.

    Arguments:
        worker: its number among `workers`.
        workers: how many there are.
        ahead: how many batches of each the loader lets wait.
    """

    def __init__(self, worker: int, workers: int, ahead: int) -> None:
        self.worker = worker
        self.workers = workers
        self.slots = [torch.empty(0, dtype=torch.uint8)] * (ahead + 1)

    def send(self, number: int, samples: Sequence[Sample]) -> Parcel:
        """Collate samples into the slot for batch `number`, counted from 0 over all workers.

        Raises:
            WorkerError: the system has no more memory to share.
        """
        places, end = [], 0
        for tensor in samples[0]:
            places.append(_Place(end, torch.Size((len(samples), *tensor.shape)), tensor.dtype))
            size = len(samples) * tensor.nbytes
            end += -(-size // _ALIGNMENT) * _ALIGNMENT
        slot = number // self.workers % len(self.slots)
        new = len(self.slots[slot]) < end
        if new:
            self.slots[slot] = self._shared(end)
        memory = self.slots[slot]
        for place, column in zip(places, zip(*samples, strict=True), strict=True):
            torch.stack(column, out=place.within(memory))
        kind = type(samples[0])
        return Parcel(kind, tuple(places), (self.worker, slot), memory if new else None)

    def _shared(self, size: int) -> Tensor:
        try:
            memory: Tensor = torch.empty(size, dtype=torch.uint8).share_memory_()
        except RuntimeError as error:
            total = size * len(self.slots) * self.workers / 2**20
            raise WorkerError(
                f"There is too little shared memory for the batches of {self.workers} workers, "
                f"which take {total:.0f} MiB ({error}): take fewer with --workers, or 0, or give "
                "the container more (docker run --shm-size=1g)."
            ) from None
        return memory


class Receiver:
    """Takes batches out of the slots of all workers.

    Arguments:
        pin_memory: copy them to page-locked memory.
    """

    def __init__(self, *, pin_memory: bool = False) -> None:
        self.empty: Callable[..., Tensor] = partial(torch.empty, pin_memory=pin_memory)
        self.slots: dict[tuple[int, int], Tensor] = {}

    def receive(self, parcel: Parcel) -> Any:
        """Return a copy of the batch; from now on its slot may be used again."""
        if parcel.memory is not None:
            self.slots[parcel.slot] = parcel.memory
        memory = self.slots[parcel.slot]
        return _tuple(
            parcel.kind,
            (
                self.empty(place.shape, dtype=place.dtype).copy_(place.within(memory))
                for place in parcel.places
            ),
        )


def collate(samples: Sequence[Sample], *, pin_memory: bool = False) -> Any:
    """Stack the tensors of samples that are alike, into page-locked memory if asked to."""
    empty = partial(torch.empty, pin_memory=pin_memory)
    return _tuple(
        type(samples[0]),
        (
            torch.stack(column, out=empty((len(column), *column[0].shape), dtype=column[0].dtype))
            for column in zip(*samples, strict=True)
        ),
    )


def _tuple(kind: type[Sample], tensors: Iterable[Tensor]) -> Any:
    return kind(*tensors) if hasattr(kind, "_fields") else kind(tensors)  # named, or plain
