"""Several processes that do one job: how they share it, and how they end when one of them fails."""

import socket
import threading
import time
from datetime import timedelta
from typing import Any

import pytest
import ranks
import torch.distributed as dist

from i2i.distributed import heartbeat as watch
from i2i.distributed.heartbeat import Watch
from i2i.distributed.processes import ALONE, Processes, _failure, share, together
from i2i.errors import OptionsError, ProcessError


@pytest.mark.parametrize("world", [1, 2, 3, 8])
def test_each_item_is_for_one_process(world: int) -> None:
    items = list(range(10))
    shares = [list(share(items, rank, world)) for rank in range(world)]
    assert sorted(item for each in shares for item in each) == items
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


def test_one_process_is_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RANK", "WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)
    with together() as processes:
        assert processes == ALONE
        processes.barrier()
        assert processes.gather(3) == processes.gather_first(3) == [3]
        assert processes.of_first("x") == "x"
        assert processes.in_turns(lambda: 5) == 5
        assert processes.device("cuda:1") == "cuda:1"


def test_processes_whose_launcher_is_gone_do_not_wait_for_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    place = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "RANK": "1", "WORLD_SIZE": "2"}
    for name, value in place.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("i2i.distributed.processes.JOINING", timedelta(seconds=1))
    with pytest.raises(ProcessError, match=f"nobody answers at 127.0.0.1:{port}"), together():
        pass


def test_devices_of_several_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    second = Processes(1, 2, 1, 2)
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert second.device("auto") == "cpu"
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    assert second.device("auto") == second.device("cuda") == "cuda:1"
    assert second.device("cpu") == "cpu"
    for name in ("cuda:0", "mps"):
        with pytest.raises(OptionsError, match=f"'{name}'.*2 processes"):
            second.device(name)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "BEAT", 0.02)


def watches(world: int) -> list[Watch]:
    store = dist.HashStore()
    return [Watch(store, rank, world) for rank in range(world)]


@pytest.mark.usefixtures("quick")
def test_who_fails_first_is_known_to_all() -> None:
    one, two, three = watches(3)
    for each in (one, two, three):
        each.start()
    assert two.announce("no memory") == (1, "no memory")
    assert three.announce("something else") == (1, "no memory")
    assert one.find_failure() == (1, "no memory")
    assert [each.speaks() for each in (one, two, three)] == [True, True, False]
    for each in (one, two, three):
        each.stop()


@pytest.mark.usefixtures("quick")
def test_what_is_noted_of_an_error_is_told_to_all() -> None:
    """As what there is to go on with (`i2i.training.loop.fit`), which only who failed knows."""
    one, two = watches(2)
    for each in (one, two):
        each.start()
    error = ZeroDivisionError("a plug-in's")
    error.add_note("The last checkpoint is x.")
    assert _failure(error, two) is error
    told = _failure(RuntimeError("Connection closed by peer"), one)
    assert str(told) == (
        "process 1 of 2 failed, so all have ended: ZeroDivisionError: a plug-in's The last "
        "checkpoint is x."
    )
    for each in (one, two):
        each.stop()


@pytest.mark.usefixtures("quick")
def test_who_gives_no_sign_of_life_is_named() -> None:
    all_of_them = watches(3)
    for each in all_of_them[:2]:
        each.start()
    found = all_of_them[0].find_failure()
    assert found is not None
    assert found[0] == 2
    assert "does not answer" in found[1]
    for each in all_of_them:
        each.stop()


@pytest.mark.usefixtures("quick")
def test_nobody_is_blamed_while_all_live() -> None:
    both = watches(2)
    for each in both:
        each.start()
    assert both[0].find_failure() is None
    for each in both:
        each.stop()


@pytest.mark.usefixtures("quick")
def test_who_cannot_leave_is_ended(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    left: list[int] = []
    ended = threading.Event()

    def leave(code: int) -> None:
        left.append(code)
        ended.set()

    monkeypatch.setattr(watch, "GRACE", 0.05)
    monkeypatch.setattr(watch, "SILENCE", 0.3)
    monkeypatch.setattr("os._exit", leave)
    first, _ = watches(2)  # the second never starts
    first.start()
    assert ended.wait(20)
    first.stop()
    assert left == [1]
    assert "Error: process 1 of 2 failed: it does not answer" in capsys.readouterr().err


@pytest.fixture(scope="module")
def failures(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[tuple[int, str]]]:
    """How two processes end that fail in every way; all at once, since they mostly wait."""
    folder = tmp_path_factory.mktemp("failures")
    began = {
        how: ranks.start(2, ranks.__file__, "fail", folder, environment={"HOW": how})
        for how in ("mistake", "exception", "kill", "same mistake")
    }
    return {how: ranks.finish(processes, timeout=240) for how, processes in began.items()}


def test_a_mistake_is_said_once_by_who_made_it(failures: Any) -> None:
    (first_code, first), (code, said) = failures["mistake"]
    assert (first_code, code) == (2, 2)
    assert said.splitlines()[-1] == "Error: '7.png' cannot be read."
    assert "Error: process 1 of 2 failed, so all have ended: '7.png' cannot be read." in first
    assert "Traceback" not in first + said


def test_a_mistake_that_all_make_is_said_once(failures: Any) -> None:
    (first_code, first), (code, said) = failures["same mistake"]
    assert (first_code, code) == (2, 2)
    assert (first + said).count("'7.png' cannot be read") == 1


def test_an_exception_shows_where_and_ends_the_others(failures: Any) -> None:
    (first_code, first), (code, said) = failures["exception"]
    assert (first_code, code) == (2, 1)
    assert "RuntimeError: this is a bug" in said
    assert "Traceback" in said
    assert "process 1 of 2 failed, so all have ended: RuntimeError: this is a bug" in first


def test_a_killed_process_is_named(failures: Any) -> None:
    (first_code, first), (code, _) = failures["kill"]
    assert (first_code, code) == (2, -9)
    assert "process 1 of 2 failed, so all have ended: it does not answer any more" in first


@pytest.mark.slow
def test_a_process_that_sleeps_ends_the_others_within_a_minute(tmp_path: Any) -> None:
    first, second = ranks.start(2, ranks.__file__, "fail", tmp_path, environment={"HOW": "sleep"})
    began = time.monotonic()
    try:
        _, said = first.communicate(timeout=100)
    finally:
        second.kill()
        second.communicate()
    assert first.returncode == 1
    assert "process 1 of 2 failed: it does not answer any more" in said
    assert time.monotonic() - began < 60
    assert watch.SILENCE + watch.GRACE + 5 * watch.BEAT < 60  # here, the silence is shorter
