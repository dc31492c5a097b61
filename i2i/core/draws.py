"""Torch's global generator of the CPU, for code that cannot do without: layers that draw their own
weights, networks of which nobody knows whether they draw."""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import RLock

import torch

_one_at_a_time = RLock()


@contextmanager
def draws_apart(seed: int | None = None) -> Iterator[None]:
    """Let the generator be drawn from, and put it back to what it was for the program around it.

    There is one for all threads: of several that do this, one draws at a time. Otherwise the second
    would take what the first has seeded for the state of the program.

    Arguments:
        seed: where it begins; by default where it is.
    """
    with _one_at_a_time, torch.random.fork_rng(devices=[]):
        if seed is not None:
            torch.manual_seed(seed)
        yield
