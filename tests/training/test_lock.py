"""One process trains a run; the locks of other machines may be invisible."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from i2i.errors import RunError
from i2i.runs import lock as module
from i2i.runs.lock import OWNER, RunLock, read_owner
from i2i.system.atomic import write_text


def test_a_second_one_is_refused_with_the_name_of_the_first(tmp_path: Path) -> None:
    first, second = RunLock(tmp_path), RunLock(tmp_path)
    first.acquire()
    with pytest.raises(RunError, match=rf"is being trained by process {os.getpid()} on .*20\d\d-"):
        second.acquire()
    first.release()
    assert read_owner(tmp_path) is None
    second.acquire()
    second.release()
    second.release()


def test_what_a_killed_process_has_left_is_taken_over_at_once(tmp_path: Path) -> None:
    code = (
        "import sys, time\nfrom pathlib import Path\nfrom i2i.runs.lock import RunLock\n"
        "RunLock(Path(sys.argv[1])).acquire()\nprint('mine', flush=True)\ntime.sleep(60)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "mine\n"
        with pytest.raises(RunError, match=f"process {process.pid} on "):
            RunLock(tmp_path).acquire()
        process.send_signal(signal.SIGKILL)
    owner = read_owner(tmp_path)
    assert owner is not None
    assert owner["pid"] == process.pid
    began = time.monotonic()
    own = RunLock(tmp_path)
    own.acquire()
    assert time.monotonic() - began < module.BEAT
    own.release()


@pytest.mark.parametrize("alive", [True, False])
def test_another_machine_is_believed_as_long_as_its_count_moves(
    alive: bool, tmp_path: Path
) -> None:
    there = {"pid": 7, "host": "elsewhere", "started": "2026-01-01T00:00:00", "beat": 3}
    write_text(tmp_path / OWNER, json.dumps(there))
    over = threading.Event()

    def live() -> None:
        for beat in range(4, 1000):
            if over.wait(0.05):
                return
            write_text(tmp_path / OWNER, json.dumps(there | {"beat": beat}))

    thread = threading.Thread(target=live)
    if alive:
        thread.start()
    own = RunLock(tmp_path, beat=0.2)
    if alive:
        with pytest.raises(RunError, match="process 7 on elsewhere"):
            own.acquire()
        over.set()
        thread.join()
    own.acquire()
    before = read_owner(tmp_path)
    assert before is not None
    assert before["pid"] == os.getpid()
    limit = time.monotonic() + 60
    while (owner := read_owner(tmp_path)) is None or owner["beat"] <= before["beat"]:
        assert time.monotonic() < limit, "the count does not move"
        time.sleep(0.02)
    assert owner["pid"] == os.getpid()
    own.release()


def test_a_folder_that_cannot_be_written_to_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read_only(path: Path, text: str) -> None:
        raise OSError(30, "Read-only file system", str(path))

    monkeypatch.setattr(module, "write_text", read_only)
    own = RunLock(tmp_path)
    with pytest.raises(RunError, match=r"cannot be written to \(Read-only file system\)"):
        own.acquire()
    monkeypatch.undo()
    own.acquire()  # nothing was left locked
    own.release()
