"""What is put into a slot comes out of it, as long as the loader keeps its promise."""

from collections import deque
from typing import NamedTuple

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from i2i.data.loading.loader import make_loader
from i2i.data.loading.shared_memory import Parcel, Receiver, Sender, collate
from i2i.errors import WorkerError


class Mixed(NamedTuple):
    image: torch.Tensor
    label: torch.Tensor
    nothing: torch.Tensor
    number: torch.Tensor


def sample(number: int, side: int = 3) -> Mixed:
    generator = torch.Generator().manual_seed(number)
    return Mixed(
        torch.randint(0, 256, (3, side, side), dtype=torch.uint8, generator=generator),
        torch.rand(2, generator=generator),
        torch.zeros(0),
        torch.tensor(number),
    )


def assert_same(found: Mixed, samples: list[Mixed]) -> None:
    assert type(found) is Mixed
    for tensor, column in zip(found, zip(*samples, strict=True), strict=True):
        assert torch.equal(tensor, torch.stack(column))
        assert tensor.dtype == column[0].dtype


@pytest.mark.parametrize("count", [1, 3])
def test_samples_are_stacked_in_a_tuple_of_their_kind(count: int) -> None:
    samples = [sample(number) for number in range(count)]
    assert_same(collate(samples), samples)
    plain = collate([tuple(each) for each in samples])
    assert type(plain) is tuple
    assert_same(Mixed(*plain), samples)


@given(
    workers=st.integers(1, 4),
    ahead=st.integers(1, 4),
    sizes=st.lists(st.tuples(st.integers(1, 4), st.integers(1, 5)), min_size=1, max_size=40),
)
def test_no_batch_that_waits_is_overwritten(
    workers: int, ahead: int, sizes: list[tuple[int, int]]
) -> None:
    """As a loader does it: workers x ahead batches are asked for, and another one whenever one is
    taken, before it is copied."""
    senders = [Sender(worker, workers, ahead) for worker in range(workers)]
    batches = [
        [sample(10 * number + place, side) for place in range(count)]
        for number, (count, side) in enumerate(sizes)
    ]
    receiver = Receiver()
    waiting: deque[Parcel] = deque()
    asked = iter(enumerate(batches))

    def ask() -> None:
        for number, samples in asked:
            waiting.append(senders[number % workers].send(number, samples))
            return

    for _ in range(workers * ahead):
        ask()
    received = []
    while waiting:
        parcel = waiting.popleft()
        ask()
        received.append(receiver.receive(parcel))
    assert len(received) == len(batches)
    for found, samples in zip(received, batches, strict=True):
        assert_same(found, samples)
    assert len(receiver.slots) <= workers * (ahead + 1)


def test_memory_is_sent_once() -> None:
    sender = Sender(0, 1, 2)
    sent = [sender.send(number, [sample(number)]).memory is not None for number in range(9)]
    assert sent == [True] * 3 + [False] * 6
    assert sender.send(9, [sample(0)] * 9).memory is not None  # it has become too small
    assert sender.send(12, [sample(0)]).memory is None


class Samples(torch.utils.data.Dataset[Mixed]):
    def __getitem__(self, position: int) -> Mixed:
        return sample(position)


@pytest.mark.parametrize("workers", [0, 1, 2])
def test_batches_that_grow_and_shrink_arrive_whole(workers: int) -> None:
    before = [0, 2, 3, 8, 12, 13, 14, 15, 16, 20, 29, 30, 31, 32, 33, 34, 50, 51, 52, 53, 54, 70]
    steps = len(before) - 1
    # All are held, so that one that were overwritten later on would be noticed.
    batches = list(
        make_loader(Samples(), batch_size=before.__getitem__, start=0, stop=steps, workers=workers)
    )
    for step in range(steps):
        expected = [sample(number) for number in range(before[step], before[step + 1])]
        assert_same(batches[step], expected)


def test_too_little_shared_memory_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(tensor: torch.Tensor) -> torch.Tensor:
        raise RuntimeError("unable to allocate shared memory(shm): No space left on device (28)")

    monkeypatch.setattr(torch.Tensor, "share_memory_", full)
    sender = Sender(worker=0, workers=8, ahead=4)
    large = (torch.zeros(2**20, dtype=torch.uint8),)
    with pytest.raises(WorkerError, match=r"8 workers, which take 80 MiB .* --shm-size"):
        sender.send(0, [large, large])
