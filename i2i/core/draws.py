"""Torch's global generators, for code that cannot do without: layers that draw their own weights,
networks of which nobody knows whether they draw.

(The package never draws from the global generators of numpy and of Python.)
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from threading import RLock

import torch

CPU = torch.device("cpu")

one_at_a_time = RLock()
"""Held while the global generators are not those of the program: there is one set of them for all
threads. A second thread would take what the first has seeded for the state of the program."""

if hasattr(os, "register_at_fork"):  # Windows does not fork
    # A child has no thread that would ever give back what another thread holds.
    free = one_at_a_time.release
    os.register_at_fork(before=one_at_a_time.acquire, after_in_parent=free, after_in_child=free)


@contextmanager
def draws_apart(seed: int | None = None, device: torch.device = CPU) -> Iterator[None]:
    """Let the generators be drawn from, and put them back to what they were for the program around.

    Of several threads that do this, one draws at a time.

    Arguments:
        seed: where they begin; by default where they are.
        device: whose generator too, beside that of the CPU.
    """
    with one_at_a_time:
        states = [(generator, generator.get_state()) for generator in generators(device)]
        try:
            if seed is not None:
                seed_generators(device, seed)
            yield
        finally:
            for generator, state in states:
                generator.set_state(state)


def seed_generators(device: torch.device, seed: int) -> None:
    """Seed torch's global generators of the CPU and of a device."""
    # Not `torch.manual_seed`, which visits every backend: it takes a tenth of a millisecond, and
    # changes generators that nobody puts back.
    for generator in generators(device):
        generator.manual_seed(seed)


def generators(device: torch.device) -> list[torch.Generator]:
    """Torch's global generators of the CPU and of a device."""
    found: list[torch.Generator] = [torch.default_generator]
    if device.type == "cuda":
        torch.cuda.init()  # before that there are none
        index = torch.cuda.current_device() if device.index is None else device.index
        found.append(torch.cuda.default_generators[index])
    elif device.type == "mps":
        found.append(torch.mps._get_default_mps_generator())
    return found
