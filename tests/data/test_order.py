"""Every element once an epoch, for ever, the same from any starting point."""

import pickle

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from i2i.data.loading.order import EpochOrder


@given(count=st.integers(1, 60), seed=st.integers(0, 2**63), epoch=st.integers(0, 10**9))
def test_every_epoch_is_a_permutation(count: int, seed: int, epoch: int) -> None:
    order = EpochOrder(count, seed)
    seen = [order(position) for position in range(epoch * count, (epoch + 1) * count)]
    assert {e for e, _ in seen} == {epoch}
    assert sorted(index for _, index in seen) == list(range(count))


def test_epochs_and_seeds_differ() -> None:
    orders = {
        tuple(EpochOrder(50, seed)(epoch * 50 + i)[1] for i in range(50))
        for seed in range(5)
        for epoch in range(5)
    }
    assert len(orders) == 25


def test_first_place_is_uniform() -> None:
    counts = np.bincount([EpochOrder(5, seed)(0)[1] for seed in range(2000)], minlength=5)
    # 400 each are expected, with a standard deviation of 18.
    assert np.abs(counts - 400).max() < 90


def test_the_past_does_not_matter() -> None:
    walked = EpochOrder(7, 3)
    path = [walked(position) for position in range(100)]
    assert [EpochOrder(7, 3)(position) for position in range(100)] == path
    jumps = np.random.default_rng(0).permutation(100).tolist()
    assert [walked(position) for position in jumps] == [path[position] for position in jumps]
    assert pickle.loads(pickle.dumps(walked))(99) == path[99]


def test_memory_is_bounded() -> None:
    order = EpochOrder(10, 0)
    for position in range(0, 1000, 3):
        order(position)
    assert len(order._permutations) <= 2
