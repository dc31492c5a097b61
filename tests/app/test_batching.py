"""Which jobs are computed together, and what becomes of each."""

import threading
import time
from collections.abc import Sequence
from concurrent.futures import CancelledError
from typing import Any

import numpy as np
import pytest

from i2i.app.batching import Batcher, ClosedError, ExpiredError
from i2i.errors import CheckpointError, OptionsError


class Doubling:
    """Doubles numbers once it is let; remembers what it was given together."""

    def __init__(self) -> None:
        self.let = threading.Event()
        self.calls: list[tuple[str, list[int]]] = []

    def __call__(self, key: str, items: Sequence[int]) -> list[int]:
        self.calls.append((key, list(items)))
        assert self.let.wait(10)
        if 13 in items:
            raise CheckpointError("13 is not finite")
        if 99 in items:
            raise OptionsError("99 is no domain")
        return [2 * item for item in items]


def started(doubling: Doubling, batcher: Batcher) -> None:
    """Wait until the first job is being computed, so that what follows gathers."""
    while not doubling.calls:
        time.sleep(0.001)


def test_what_gathers_while_another_is_computed_is_computed_together_by_keys() -> None:
    doubling = Doubling()
    batcher = Batcher(doubling, most=3)
    futures = [batcher.submit("a", 0)]
    started(doubling, batcher)
    futures += [batcher.submit(key, n) for n, key in enumerate("abaabaa", 1)]
    doubling.let.set()
    assert [future.result(10) for future in futures] == [2 * n for n in range(8)]
    batcher.close()
    assert doubling.calls == [
        ("a", [0]),
        ("a", [1, 3, 4]),
        ("b", [2, 5]),
        ("a", [6, 7]),
    ]


def test_a_batch_is_no_heavier_than_allowed_but_for_a_single_job() -> None:
    doubling = Doubling()
    batcher = Batcher(doubling, most=8, heaviest=10)
    futures = [batcher.submit("a", 0)]
    started(doubling, batcher)
    futures += [batcher.submit("a", n, weight=w) for n, w in enumerate((6, 6, 4, 30), 1)]
    doubling.let.set()
    assert [future.result(10) for future in futures] == [0, 2, 4, 6, 8]
    batcher.close()
    assert [items for _, items in doubling.calls] == [[0], [1, 3], [2], [4]]


def test_an_announced_job_is_waited_for_and_a_single_one_is_not() -> None:
    doubling = Doubling()
    doubling.let.set()
    batcher = Batcher(doubling, linger=5.0)
    began = time.monotonic()
    assert batcher.submit("a", 1).result(10) == 2
    assert time.monotonic() - began < 2
    with batcher.coming():
        first = batcher.submit("a", 2)
        time.sleep(0.05)
        second = batcher.submit("a", 3)
        assert not first.done()
    assert (first.result(10), second.result(10)) == (4, 6)
    assert time.monotonic() - began < 4, "it waits no longer than for what was announced"
    batcher.close()
    assert [items for _, items in doubling.calls] == [[1], [2, 3]]


def test_what_is_late_or_cancelled_is_not_begun() -> None:
    doubling = Doubling()
    batcher = Batcher(doubling)
    first = batcher.submit("a", 0)
    started(doubling, batcher)
    late = batcher.submit("a", 1, deadline=time.monotonic())
    cancelled = batcher.submit("a", 2)
    last = batcher.submit("a", 3)
    assert cancelled.cancel()
    doubling.let.set()
    assert (first.result(10), last.result(10)) == (0, 6)
    with pytest.raises(ExpiredError):
        late.result(10)
    with pytest.raises(CancelledError):
        cancelled.result(10)
    batcher.close()
    assert [items for _, items in doubling.calls] == [[0], [3]]


def test_a_fault_of_one_is_no_fault_of_the_others() -> None:
    doubling = Doubling()
    batcher = Batcher(doubling)
    batcher.submit("a", 0)
    started(doubling, batcher)
    good, bad, other = (batcher.submit("a", n) for n in (1, 13, 2))
    wrong = [batcher.submit("b", n) for n in (99, 3)]
    doubling.let.set()
    assert (good.result(10), other.result(10)) == (2, 4)
    with pytest.raises(CheckpointError):
        bad.result(10)
    for each in wrong:  # what is asked for is the same for all of a batch
        with pytest.raises(OptionsError):
            each.result(10)
    batcher.close()


def test_what_waits_is_finished_when_it_is_closed_and_nothing_more_is_taken() -> None:
    doubling = Doubling()
    batcher = Batcher(doubling, most=1)
    futures = [batcher.submit("a", n) for n in range(4)]
    doubling.let.set()
    batcher.close()
    assert [future.result(0) for future in futures] == [0, 2, 4, 6]
    with pytest.raises(ClosedError):
        batcher.submit("a", 5)


def test_images_that_wait_are_not_compared_with_each_other() -> None:
    """One that is given up stands behind another of the same kind; arrays have no truth."""
    begun, let = threading.Event(), threading.Event()

    def negative(key: str, items: Sequence[Any]) -> list[Any]:
        begun.set()
        assert let.wait(10)
        return [255 - item for item in items]

    batcher = Batcher(negative, most=1)
    futures = [batcher.submit("a", np.full(4, n)) for n in range(4)]
    assert begun.wait(10)
    assert futures[2].cancel()
    let.set()
    assert [futures[n].result(10)[0] for n in (0, 1, 3)] == [255, 254, 252]
    batcher.close()
