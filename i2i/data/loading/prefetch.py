"""Batches that are on the device when a step asks for them.

On a GPU, copies have a stream of their own: while it computes a step, the batches of the next two
arrive, as bytes. Nobody waits for a copy but the device.
"""

from collections import deque
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Protocol, TypeVar

import torch

T = TypeVar("T", bound=tuple[torch.Tensor, ...])

AHEAD = 2
"""Batches that are copied while another is computed with."""


class Copies(Protocol[T]):
    """Copies batches to where they are computed with."""

    def begin(self, batch: T) -> Callable[[], T]:
        """Ask for a copy of a batch.

        Returns:
            what makes all that is computed from now on wait for the copy, and returns it.
        """
        ...


class CopyStream:
    """Copies from page-locked memory to a CUDA device, beside the stream that computes."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.stream = torch.cuda.Stream(device)

    def begin(self, batch: T) -> Callable[[], T]:
        # This stream never waits for the one that computes: the memory of a batch before is used
        # again when nobody reads it any more, for which `record_stream` below sees.
        with torch.cuda.stream(self.stream):
            copy = type(batch)(*(tensor.to(self.device, non_blocking=True) for tensor in batch))
            done = self.stream.record_event()

        def finish() -> T:
            computing = torch.cuda.current_stream(self.device)
            computing.wait_event(done)
            for tensor in copy:
                tensor.record_stream(computing)
            return copy

        return finish


def on_device(batches: Iterator[T], device: torch.device) -> Iterator[T]:
    """Return the same batches; on a CUDA device if that is where they are wanted.

    Arguments:
        batches: named tuples of tensors, in page-locked memory if they are for a CUDA device.
        device: where they will be computed with. Elsewhere than on CUDA they stay as they are.
    """
    return copied_ahead(batches, CopyStream(device)) if device.type == "cuda" else batches


def copied_ahead(batches: Iterator[T], copies: Copies[T], ahead: int = AHEAD) -> Iterator[T]:
    """Hand on copies of batches, each after the copies of the next `ahead` have begun: so the first
    one waits for as many more.

    An error is raised in place of the batch that it stands for, after those before.
    """
    begun: deque[Callable[[], T]] = deque()
    failure: Exception | None = None
    try:
        while True:
            if failure is None:
                try:
                    begun.extend(map(copies.begin, islice(batches, ahead + 1 - len(begun))))
                except Exception as error:  # noqa: BLE001 (whatever it is, its turn will come)
                    failure = error
            if not begun:
                break
            yield begun.popleft()()
        if failure is not None:
            raise failure
    finally:
        # An error that this frame referred to would keep the workers alive: see `loader`.
        del failure, batches
