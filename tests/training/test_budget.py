"""A budget of time, with a clock that the test turns."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from i2i.training.budget import Budget


class Watch:
    def __init__(self) -> None:
        self.time = 0.0

    def __call__(self) -> float:
        return self.time


def spend(budget: Budget, watch: Watch, seconds: float) -> None:
    with budget.charged():
        watch.time += seconds


def test_the_first_always_and_the_next_when_its_share_has_passed() -> None:
    watch = Watch()
    budget = Budget(0.05, watch)
    assert budget.affords_another()
    spend(budget, watch, 1.0)
    watch.time = 38.9  # two of them would be 2 of 39.9 seconds
    assert not budget.affords_another()
    watch.time = 39.1
    assert budget.affords_another()


def test_what_fails_is_charged_too() -> None:
    watch = Watch()
    budget = Budget(0.5, watch)

    def fail() -> None:
        with budget.charged():
            watch.time += 3
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert (budget.spent, budget.last) == (3, 3)


@given(
    share=st.floats(0.01, 1),
    costs=st.lists(st.floats(0.01, 5), min_size=2, max_size=20),
    step=st.floats(0.01, 5),
)
def test_equal_costs_stay_within_the_share(share: float, costs: list[float], step: float) -> None:
    watch = Watch()
    budget = Budget(share, watch)
    cost = costs[0]  # what the next one will cost is taken to be what the last one did
    done = 0
    for _ in range(200):
        watch.time += step
        if budget.affords_another():
            spend(budget, watch, cost)
            done += 1
            assert done == 1 or budget.spent <= share * watch.time * (1 + 1e-9)
