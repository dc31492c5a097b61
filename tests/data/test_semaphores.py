"""Semaphores that a killed training has left."""

import os
import subprocess
import sys
from multiprocessing import get_context
from pathlib import Path

import pytest

from i2i.data.semaphores import FOLDER, _namespace, named_after_us, sweep

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="nobody else lists semaphores")


def test_those_of_the_dead_are_removed_and_no_others(tmp_path: Path) -> None:
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    here = f"sem.i2i-{_namespace()}"
    dead = tmp_path / f"{here}-{child.pid}-abc"
    others = [f"{here}-{os.getpid()}-abc", f"{here}-1-abc", "sem.mp-abc", "sem.i2i-1-2-abc"]
    for path in (dead, *(tmp_path / name for name in others)):
        path.touch()
    assert sweep(tmp_path) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(others)
    assert sweep(tmp_path / "missing") == 0


def test_ours_say_whose_they_are() -> None:
    with named_after_us():
        lock = get_context("spawn").Lock()
    name = f"sem.i2i-{_namespace()}-{os.getpid()}-"
    assert any(path.name.startswith(name) for path in FOLDER.iterdir())
    del lock
    other = get_context("spawn").Lock()
    assert sum(path.name.startswith(name) for path in FOLDER.iterdir()) == 0
    assert other is not None
