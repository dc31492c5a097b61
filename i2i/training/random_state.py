"""The random state of the host process: what trains or measures here leaves it as it was."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def random_state_kept(device: torch.device) -> Iterator[None]:
    """Put torch's global generators, of the CPU and of `device`, back afterwards.

    Networks and augmentations draw from the global generators, which a step therefore seeds; a
    program around it must not notice. (The package never draws from the global generators of numpy
    and of Python.)
    """
    if device.type == "mps":
        state = torch.mps.get_rng_state()
        try:
            with torch.random.fork_rng(devices=[]):
                yield
        finally:
            torch.mps.set_rng_state(state)
        return
    cuda = device.type == "cuda"
    index = [torch.cuda.current_device() if device.index is None else device.index] if cuda else []
    with torch.random.fork_rng(devices=index):
        yield
