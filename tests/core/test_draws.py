"""Draws from the one generator that all threads have."""

import contextlib
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import torch
from torch import Tensor

from i2i.core.draws import draws_apart
from i2i.training.build import build_trainer
from shrunk import batch_for, shrunk


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


def test_only_the_generators_that_are_put_back_are_seeded(monkeypatch: pytest.MonkeyPatch) -> None:
    """`torch.manual_seed` would also seed those of all GPUs, now or when they are first used."""
    calls: list[Any] = []
    monkeypatch.setattr(torch.cuda, "manual_seed_all", calls.append)
    with draws_apart(4):
        assert torch.equal(torch.rand(3), known(4))
    assert calls == []


def test_two_trainers_in_two_threads_do_what_each_does_alone() -> None:
    """Dropout draws from the global generator in each step, which both seed and put back."""

    def weights(seed: int) -> dict[str, Tensor]:
        options = shrunk("cyclegan", "generator.dropout=true", f"train.seed={seed}")
        trainer = build_trainer(options, images=8)
        batch = batch_for(trainer.model, seed=seed)
        for _ in range(20):
            trainer.step(batch)
        return trainer.model.state_dict()

    alone = [weights(1), weights(2)]
    before = torch.get_rng_state()
    with ThreadPoolExecutor(2) as pool:
        together = list(pool.map(weights, (1, 2)))
    for expected, found in zip(alone, together, strict=True):
        assert all(torch.equal(found[name], value) for name, value in expected.items())
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")  # of processes with threads
@pytest.mark.skipif(not hasattr(os, "fork"), reason="Windows does not fork")
def test_a_fork_while_another_thread_draws_can_draw() -> None:
    drawing, enough = threading.Event(), threading.Event()

    def other() -> None:
        with draws_apart(1):
            drawing.set()
            enough.wait(0.2)

    thread = threading.Thread(target=other)
    thread.start()
    drawing.wait()
    if (child := os.fork()) == 0:
        with contextlib.suppress(BaseException), draws_apart(5):
            os._exit(0 if torch.equal(torch.rand(3), known(5)) else 1)
        os._exit(2)
    thread.join()
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
