import pytest

from i2i.training.pace import Pace


def due_at(pace_minutes: float, cost: float = 0.0, until: int = 60) -> list[int]:
    """The minutes at which something is due that is done at once."""
    now = [0.0]
    pace = Pace(60 * pace_minutes, now=lambda: now[0])
    found = []
    for minute in range(1, until + 1):
        now[0] = 60.0 * minute
        if pace.due():
            found.append(minute)
            pace.done(cost)
    return found


@pytest.mark.parametrize(
    ("longest", "expected"),
    [
        (10, [1, 3, 7, 15, 25, 35, 45, 55]),
        (3, [1, 3, *range(6, 61, 3)]),
        (0.5, list(range(1, 61))),
        (0, []),
    ],
)
def test_soon_at_first_then_at_most_as_far_apart(longest: float, expected: list[int]) -> None:
    assert due_at(longest) == expected


def test_what_takes_long_is_done_less_often() -> None:
    assert due_at(10, cost=60.0) == [1, 21, 41]


def test_done_for_another_reason_it_is_due_later() -> None:
    now = [0.0]
    pace = Pace(600, now=lambda: now[0])
    now[0] = 59.0
    pace.restart()
    now[0] = 118.0
    assert not pace.due()
    now[0] = 119.0
    assert pace.due()
