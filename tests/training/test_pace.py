import pytest

from i2i.training.pace import FirstSteps, Pace, in_words


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


@pytest.mark.parametrize(
    ("minutes", "words"),
    [
        (10, "after 1, 3, 7 and 15 minutes, then every 10"),
        (3, "after 1 and 3 minutes, then every 3"),
        (2, "after 1 minute, then every 2"),
        (1, "every minute"),
        (0.5, "every 0.5 minutes"),
        (0, ""),
    ],
)
def test_when_in_words(minutes: float, words: str) -> None:
    assert in_words(minutes) == words


def told_after(seconds: list[float], total: int, period: int = 1) -> dict[int, tuple[float, float]]:
    """Step -> what is told after it, of steps that take so long."""
    now = [0.0]
    first = FirstSteps(total, period, now=lambda: now[0])
    found = {}
    for step, each in enumerate(seconds, 1):
        now[0] += each
        if told := first.reached(step):
            found[step] = told
    return found


def test_the_first_steps_tell_how_long_all_take() -> None:
    # The first step is not counted; after it five seconds must pass, and three steps.
    assert told_after([30, *[4] * 9], 104) == {4: (4, 400)}
    assert told_after([30, *[0.5] * 20], 1011) == {11: (0.5, 500)}
    # Whole periods alone: steps of 1, 1 and 4 seconds, six in three.
    assert told_after([9, 1, 1, 4, 1, 1, 4, 1], 304, period=3) == {4: (2, 600)}


def test_nothing_is_told_of_a_minute() -> None:
    assert told_after([3] * 10, 23) == {}
    assert told_after([3] * 10, 24) == {4: (3, 60)}
