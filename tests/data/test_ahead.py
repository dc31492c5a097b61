"""Copies begin two batches ahead and arrive in order; errors keep their place."""

import gc
import weakref
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import NamedTuple

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from i2i.data.loading.loader import make_loader
from i2i.data.loading.prefetch import copied_ahead, on_device
from i2i.errors import DataError


class Numbered(NamedTuple):
    number: torch.Tensor


class Written:
    """Copies nothing, and writes down when copies begin and when they are waited for."""

    def __init__(self) -> None:
        self.events: list[str] = []

    def begin(self, batch: Numbered) -> Callable[[], Numbered]:
        self.events.append(f"begin {batch.number.item()}")

        def finish() -> Numbered:
            self.events.append(f"wait {batch.number.item()}")
            return Numbered(batch.number + 100)

        return finish


def numbered(count: int) -> Iterator[Numbered]:
    return (Numbered(torch.tensor(number)) for number in range(count))


def failing(count: int, error: Exception) -> Iterator[Numbered]:
    yield from numbered(count)
    raise error


@given(count=st.integers(0, 9), ahead=st.integers(0, 4))
def test_all_arrive_in_order_with_so_many_underway(count: int, ahead: int) -> None:
    copies = Written()
    found = []
    for batch in copied_ahead(numbered(count), copies, ahead):
        number = len(found)
        begun = [event for event in copies.events if event.startswith("begin")]
        assert begun == [f"begin {n}" for n in range(min(count, number + ahead + 1))]
        assert copies.events[-1] == f"wait {number}"
        found.append(batch.number.item())
    assert found == [number + 100 for number in range(count)]


def test_two_are_underway_while_a_step_computes() -> None:
    copies = Written()
    batches = copied_ahead(numbered(9), copies)
    next(batches)
    assert copies.events == ["begin 0", "begin 1", "begin 2", "wait 0"]
    next(batches)
    assert copies.events[4:] == ["begin 3", "wait 1"]


@pytest.mark.parametrize("count", range(5))
def test_an_error_is_raised_when_its_turn_has_come(count: int) -> None:
    batches = copied_ahead(failing(count, DataError("a broken image")), Written())
    assert [next(batches).number.item() for _ in range(count)] == [n + 100 for n in range(count)]
    with pytest.raises(DataError, match="a broken image"):
        next(batches)
    assert list(batches) == []


def test_nothing_after_an_error_is_used() -> None:
    class Stumbling:
        def __init__(self) -> None:
            self.count = 0

        def __iter__(self) -> "Stumbling":
            return self

        def __next__(self) -> Numbered:
            self.count += 1
            if self.count == 2:
                raise DataError("a broken image")
            return Numbered(torch.tensor(self.count))

    batches = copied_ahead(Stumbling(), Written())
    assert next(batches).number.item() == 101
    with pytest.raises(DataError):
        next(batches)
    assert list(batches) == []


def test_a_copy_that_fails_is_an_error_of_its_own_step() -> None:
    class Full(Written):
        def begin(self, batch: Numbered) -> Callable[[], Numbered]:
            if batch.number == 2:
                raise torch.OutOfMemoryError("out of memory")
            return super().begin(batch)

    batches = copied_ahead(numbered(9), Full())
    assert [next(batches).number.item() for _ in range(2)] == [100, 101]
    with pytest.raises(torch.OutOfMemoryError):
        next(batches)


def test_who_stops_early_ends_the_loader_and_drops_what_was_fetched() -> None:
    closed: list[int] = []
    fetched: list[weakref.ref[torch.Tensor]] = []

    def endless() -> Iterator[Numbered]:
        try:
            while True:
                batch = Numbered(torch.tensor(len(fetched)))
                fetched.append(weakref.ref(batch.number))
                yield batch
                del batch
        finally:
            closed.append(len(fetched))

    gc.disable()  # nothing may wait for it
    try:
        batches = copied_ahead(endless(), Written())
        next(batches)
        next(batches)
        batches.close()  # type: ignore[attr-defined]
        assert closed == [4]
        assert [each() for each in fetched] == [None] * 4
    finally:
        gc.enable()


def test_an_error_lets_the_loader_go() -> None:
    class Held:
        pass

    held: list[weakref.ref[Held]] = []

    def loader() -> Iterator[Numbered]:
        workers = Held()
        held.append(weakref.ref(workers))
        yield from numbered(1)
        raise DataError("a broken image")

    gc.disable()
    try:
        batches = copied_ahead(loader(), Written())
        next(batches)
        with suppress(DataError):
            next(batches)
        assert held[0]() is None
    finally:
        gc.enable()


def test_without_a_gpu_batches_pass_untouched() -> None:
    class Numbers(torch.utils.data.Dataset[Numbered]):
        def __getitem__(self, position: int) -> Numbered:
            return Numbered(torch.tensor(position))

    batches = make_loader(Numbers(), batch_size=2, start=0, stop=3, workers=0)
    assert on_device(batches, torch.device("cpu")) is batches
