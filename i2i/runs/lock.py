"""Who trains a run: one process at a time, on whichever machine.

A lock of the operating system ends with the process that holds it, however that ends. But not every
network file system tells one machine of the locks of another. So the owner also writes down who it
is, with a count that goes up every few seconds: what another machine has written is believed as
long as the count moves. Whoever only reads a run (translate, report, info, evaluate) asks nobody.
"""

import contextlib
import json
import os
import socket
import threading
import time
from datetime import datetime
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from i2i.errors import RunError
from i2i.system.atomic import write_text

BEAT = 5.0
"""Seconds between two signs of life of the owner."""

LOCK, OWNER = ".lock", "owner.json"


class RunLock:
    """The right to train in a run folder.

    Arguments:
        folder: of the run, which exists.
        beat: seconds between two signs of life.
    """

    def __init__(self, folder: Path, beat: float = BEAT) -> None:
        self.folder = folder
        self.beat = beat
        self.owner = {
            "pid": os.getpid(),
            "host": socket.gethostname(),
            "started": datetime.now().astimezone().isoformat(timespec="seconds"),
        }
        self._lock = _system_lock(folder)
        self._over = threading.Event()
        self._thread: threading.Thread | None = None

    def acquire(self) -> None:
        """Become the owner; what a dead one has left is taken over.

        Raises:
            RunError: somebody else is, or nothing can be written to the folder.
        """
        known = self._take()  # whether the system says that nobody else has the lock
        former = read_owner(self.folder)
        try:
            if former is not None and not (known and former.get("host") == self.owner["host"]):
                self._require_dead(former)
            self._sign(0)
        except BaseException:
            self._lock.release()
            raise
        self._over.clear()
        self._thread = threading.Thread(target=self._live, name="run lock", daemon=True)
        self._thread.start()

    def release(self) -> None:
        """Let others have the run; does nothing for who is not the owner."""
        if self._thread is None:
            return
        self._over.set()
        self._thread.join()
        self._thread = None
        if _same(read_owner(self.folder), self.owner):
            with contextlib.suppress(OSError):
                (self.folder / OWNER).unlink()
        with contextlib.suppress(OSError):
            self._lock.release()

    def renew(self) -> None:
        """Own the folder again after it was removed and made again."""
        self.release()
        self._lock = _system_lock(self.folder)
        self.acquire()

    def _take(self) -> bool:
        try:
            self._lock.acquire()
        except Timeout:
            raise _refusal(self.folder, read_owner(self.folder)) from None
        except NotImplementedError:  # a file system without locks
            return False
        except OSError as error:
            if os.access(self.folder, os.W_OK) and not isinstance(error, PermissionError):
                return False  # it has locks, but they do not work
            raise unwritable(self.folder, error) from error
        return True

    def _require_dead(self, former: dict[str, Any]) -> None:
        """Watch an owner of whom nothing else is known."""
        until = time.monotonic() + 3 * self.beat
        while time.monotonic() < until:
            time.sleep(self.beat / 4)
            now = read_owner(self.folder)
            if now is None:
                return
            if now != former:
                raise _refusal(self.folder, now)

    def _sign(self, count: int) -> None:
        try:
            write_text(self.folder / OWNER, json.dumps({**self.owner, "beat": count}) + "\n")
        except OSError as error:
            raise unwritable(self.folder, error) from error

    def _live(self) -> None:
        count = 0
        while not self._over.wait(self.beat):
            count += 1
            # Who has something to save will tell of a folder that is gone, or of a full disk.
            with contextlib.suppress(RunError):
                self._sign(count)


def read_owner(folder: Path) -> dict[str, Any] | None:
    """Who has said to train a run; None if nobody has, or nobody knows."""
    try:
        found = json.loads((folder / OWNER).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def unwritable(folder: Path, error: OSError) -> RunError:
    """What to raise where nothing can be written to a run folder."""
    return RunError(
        f"{folder} cannot be written to ({error.strerror or error}), so the run cannot go on "
        "there: make room, mend the permissions, or resume a copy of it elsewhere."
    )


def _system_lock(folder: Path) -> FileLock:
    return FileLock(folder / LOCK, timeout=0, thread_local=False)


def _same(found: dict[str, Any] | None, owner: dict[str, Any]) -> bool:
    return found is not None and all(found.get(key) == value for key, value in owner.items())


def _refusal(folder: Path, owner: dict[str, Any] | None) -> RunError:
    who = "another process"
    if owner is not None:
        who = (
            f"process {owner.get('pid')} on {owner.get('host')}, which began at "
            f"{owner.get('started')}"
        )
    return RunError(
        f"{folder} is being trained by {who}: wait for its end or stop it; meanwhile the run can "
        "be used by translate, evaluate, info and report."
    )
