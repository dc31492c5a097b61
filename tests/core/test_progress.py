"""Progress bars: what they say, where, and what the time left is estimated from."""

import contextlib
import io
import logging
import sys
import threading
import types
from collections.abc import Iterator

import pytest

from i2i.core.console import Bar, Console, can_draw
from i2i.core.progress import Pace, Silent, Update, audible, duration, progress, reporter, reporting

LOG = logging.getLogger("i2i.tests")


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
    bar = Bar("training", stream, clock)
    for done in range(41):
        clock.now += 1.0
        bar.update(done, 40, "l1 0.5")
    bar.clear()
    drawn = stream.getvalue().split("\r")
    assert "training  [############------------]  20/40  0min 20s left  l1 0.5" in drawn
    assert "left" not in drawn[5]  # step 4
    assert drawn[-1] == ""
    assert set(drawn[-2]) == {" "}
    bar.update(40, 40, "l1 0.5")
    bar.close()
    assert stream.getvalue().endswith("40/40  l1 0.5\n")


def test_frequent_updates_are_drawn_now_and_then() -> None:
    clock, stream = Clock(), io.StringIO()
    bar = Bar("reading", stream, clock)
    for done in range(1000):
        clock.now += 0.01
        bar.update(done, 1000)
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
    with Console(), progress("reading") as update:
        update(1, 2)
    assert capsys.readouterr() == ("", "")


def test_lines_go_to_stdout_and_warnings_to_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    LOG.info("before")
    with Console() as console:
        LOG.info("%d%% done", 50)
        LOG.debug("a detail")
        LOG.warning("a doubt")
        console.aside = True
        LOG.info("beside a result")
    LOG.info("after")
    assert capsys.readouterr() == ("50% done\n", "a doubt\nbeside a result\n")
    assert logging.getLogger("i2i").level == logging.NOTSET


class Terminal(io.StringIO):
    """A terminal, on which both streams arrive."""

    def isatty(self) -> bool:
        return True


def test_lines_are_not_written_into_the_middle_of_a_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Terminal()
    for stream in ("stdout", "stderr"):
        monkeypatch.setattr(sys, stream, screen)
    with Console(), progress("training") as outer:
        outer(1, 3, "l1 0.5")
        LOG.info("saved")
        with progress("checking images") as inner:
            inner(4, 4)
        outer(3, 3)
    shown = screen.getvalue()
    bar, wiped, line, *rest = shown.replace("\n", "\r").split("\r")[1:]
    assert bar.endswith("1/3  l1 0.5")
    assert set(wiped) == {" "}
    assert len(wiped) == len(bar)
    assert line == "saved"
    drawn = [each.rstrip() for each in rest if each.strip()]
    assert [each.split("  ")[0] for each in drawn] == ["checking images"] * 2 + ["training"] * 2
    assert shown.endswith("3/3\n")


class Page:
    """A reporter of a program that shows progress in its own way."""

    live = True

    def __init__(self) -> None:
        self.told: list[tuple[object, ...]] = []

    @contextlib.contextmanager
    def task(self, label: str) -> Iterator[Update]:
        yield lambda done, total, text="": self.told.append((label, done, total, text))


def test_each_thread_has_a_reporter_of_its_own() -> None:
    pages = [Page(), Page()]

    def work(page: Page, steps: int) -> None:
        with reporting(page), progress("work") as update:
            for step in range(steps):
                update(step + 1, steps, "text")

    threads = [threading.Thread(target=work, args=each) for each in zip(pages, (2, 1), strict=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert pages[0].told == [("work", 1, 2, "text"), ("work", 2, 2, "text")]
    assert pages[1].told == [("work", 1, 1, "text")]
    assert isinstance(reporter(), Silent)


def test_who_configures_nothing_sees_what_goes_on(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with audible():  # pytest has handlers at the root
        LOG.info("for whoever configured logging")
    assert capsys.readouterr().out == ""
    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    with audible():
        LOG.info("seen")
    with reporting(Page()), audible():
        LOG.info("for whoever gave a reporter")
    assert capsys.readouterr().out == "seen\n"
