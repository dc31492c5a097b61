"""Semaphores with names, which outlive who made them.

Processes that are started afresh can share a semaphore only by its name. Whoever made it removes
the name, and a helper of Python's does so if that process is killed; but if the helper is killed
too (as by a scheduler, which kills a whole group), the names stay until the machine is started
again. So ours tell whose they are, and those of the dead are removed by the next training.
"""

import contextlib
import os
import re
import sys
from collections.abc import Iterator
from multiprocessing import process
from pathlib import Path

FOLDER = Path("/dev/shm")
"""Where Linux shows them, as `sem.NAME`."""


@contextlib.contextmanager
def named_after_us() -> Iterator[None]:
    """Let the semaphores that are made in here have the number of this process in their names."""
    if sys.platform != "linux":  # elsewhere names are short, and nobody lists them
        yield
        return
    config = process.current_process()._config  # type: ignore[attr-defined]
    before = config["semprefix"]
    config["semprefix"] = f"/i2i-{_namespace()}-{os.getpid()}"
    try:
        yield
    finally:
        config["semprefix"] = before


def sweep(folder: Path = FOLDER) -> int:
    """Remove the semaphores of dead processes of this user on this machine; returns how many."""
    removed = 0
    with contextlib.suppress(OSError):
        for path in folder.glob(f"sem.i2i-{_namespace()}-*"):
            owner = re.fullmatch(r"sem\.i2i-\d+-(\d+)-.*", path.name)
            if owner is None or _is_alive(int(owner[1])):
                continue
            with contextlib.suppress(OSError):  # another user's
                path.unlink()
                removed += 1
    return removed


def _namespace() -> str:
    """Tells containers apart that share semaphores, but count their processes each for itself."""
    try:
        return re.sub(r"\D", "", str(Path("/proc/self/ns/pid").readlink())) or "0"
    except OSError:
        return "0"


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:  # it is another user's
        return True
    return True
