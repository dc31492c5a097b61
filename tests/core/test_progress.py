"""Progress bars: what they say, where, and what the time left is estimated from."""

import io
import sys
import types

import pytest

from i2i.core.progress import Bar, Pace, can_draw, duration, progress_bar


class Clock:
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_the_time_left_comes_from_recent_steps_and_not_from_the_start() -> None:
    clock = Clock()
    pace = Pace(10_000, clock)
    clock.now = 500.0  # starting up took long
    for done in range(1, 11):
        clock.now += 20.0
        pace.reached(done)
        assert pace.left() is None  # ten steps have not gone by since the first
    clock.now += 20.0
    pace.reached(11)
    assert pace.left() == pytest.approx(9989 * 20)
    for done in range(12, 1012):
        clock.now += 0.5
        pace.reached(done)
    assert pace.left() == pytest.approx((10_000 - 1011) * 0.5, rel=0.02)


def test_durations() -> None:
    assert [duration(s) for s in (0, 59.6, 245, 7800)] == [
        "0min 00s",
        "1min 00s",
        "4min 05s",
        "2h 10min",
    ]


def test_a_bar_is_drawn_over_itself_and_makes_room_for_lines() -> None:
    clock, stream = Clock(), io.StringIO()
    bar = Bar("training", 40, stream, clock)
    for done in range(41):
        clock.now += 1.0
        bar.update(done, "l1 0.5")
    bar.clear()
    drawn = stream.getvalue().split("\r")
    assert "training  [############------------]  20/40  0min 20s left  l1 0.5" in drawn
    assert "left" not in drawn[5]  # step 4
    assert drawn[-1] == ""
    assert set(drawn[-2]) == {" "}
    bar.update(40)
    bar.close()
    assert stream.getvalue().endswith("40/40  l1 0.5\n")


def test_frequent_updates_are_drawn_now_and_then() -> None:
    clock, stream = Clock(), io.StringIO()
    bar = Bar("reading", 1000, stream, clock)
    for done in range(1000):
        clock.now += 0.01
        bar.update(done)
    assert 40 <= stream.getvalue().count("\r") <= 51


def test_bars_are_for_terminals_and_notebooks(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    assert not can_draw(stream)
    shell = types.SimpleNamespace(config={"IPKernelApp": {}})
    monkeypatch.setitem(
        sys.modules,
        "IPython",
        types.SimpleNamespace(get_ipython=lambda: shell),  # type: ignore[arg-type]
    )
    assert can_draw(stream)
    monkeypatch.setenv("RANK", "1")
    assert not can_draw(stream)


def test_nothing_is_drawn_elsewhere(capsys: pytest.CaptureFixture[str]) -> None:
    with progress_bar("reading") as progress:
        progress(1, 2)
    assert capsys.readouterr() == ("", "")
