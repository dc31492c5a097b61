"""Draws from the one generator that all threads have."""

import threading

import torch
from torch import Tensor

from i2i.core.draws import draws_apart


def known(seed: int) -> Tensor:
    return torch.rand(3, generator=torch.Generator().manual_seed(seed))


def test_threads_draw_one_after_the_other_and_leave_no_trace() -> None:
    before, drawn = torch.get_rng_state(), []

    def other() -> None:
        with draws_apart(2):
            drawn.append(torch.rand(3))

    thread = threading.Thread(target=other)
    with draws_apart(1):
        thread.start()
        thread.join(0.1)
        assert thread.is_alive()
        assert torch.equal(torch.rand(3), known(1))
    thread.join()
    assert torch.equal(drawn[0], known(2))
    assert torch.equal(torch.get_rng_state(), before)


def test_within_itself_and_without_a_seed() -> None:
    with draws_apart(3):
        with draws_apart():
            assert torch.equal(torch.rand(3), known(3))
        assert torch.equal(torch.rand(3), known(3))
