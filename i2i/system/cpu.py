"""What the processor of this machine offers to this process: cores, arithmetic in few bits."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import torch

from i2i.errors import ProcessError

_SET_BY_HAND = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")


def cores() -> int:
    """Return how many cores this process may use: those it may run on, and no more than the share
    of their time that its control group is given, at least 1."""
    if hasattr(os, "sched_getaffinity"):
        count = len(os.sched_getaffinity(0))
    else:
        count = os.cpu_count() or 1
    quota = _quota()
    # Threads that share a quota all stop when it is used up, so that half a core is not rounded up.
    return count if quota is None else max(1, min(count, int(quota)))


def threads_set_by_hand() -> bool:
    """Whether the environment says how many threads are to compute."""
    return any(name in os.environ for name in _SET_BY_HAND)


@contextlib.contextmanager
def own_threads() -> Iterator[None]:
    """Settle the threads of torch for as long as the block lasts, whatever it makes of them."""
    threads = torch.get_num_threads()
    settle_threads()
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def settle_threads() -> None:
    """Let torch compute with no more threads than there are cores for this process.

    It counts the cores of the host, of which a container may have only some. Whoever has set
    OMP_NUM_THREADS or MKL_NUM_THREADS knows better.
    """
    if not threads_set_by_hand():
        torch.set_num_threads(min(cores(), torch.get_num_threads()))


_threads_used = False
_threads_lost = False


def note_threads() -> None:
    """Remember that torch may have several threads at work by now; see `require_threads`."""
    global _threads_used
    _threads_used |= torch.get_num_threads() > 1


def require_threads() -> None:
    """Raise a ProcessError where torch would wait forever for threads that a fork has not copied.

    OpenMP keeps its threads for the next computation. A forked process inherits the knowledge of
    them, but not the threads.
    """
    if _threads_lost and torch.get_num_threads() > 1:
        raise ProcessError(
            "this process was forked from one in which torch had computed with "
            f"{torch.get_num_threads()} threads, which are not there any more: load the model "
            "after the fork (gunicorn: without --preload), start processes by 'spawn', or call "
            "torch.set_num_threads(1) first."
        )


def _lose_threads() -> None:
    global _threads_lost
    _threads_lost = _threads_used


if hasattr(os, "register_at_fork"):  # Windows does not fork
    os.register_at_fork(after_in_child=_lose_threads)


def best_precision(device: torch.device) -> str:
    """Return "bf16" if `device` has instructions for it, else "fp32"."""
    if device.type == "cuda":
        with torch.cuda.device(device):
            return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp32"
    if device.type == "cpu":
        return "bf16" if {"avx512_bf16", "amx_bf16"} & _flags() else "fp32"
    return "fp32"


def has_vnni() -> bool:
    """Say whether this processor is known to multiply bytes and add them up in 32 bits at once."""
    return bool({"avx512_vnni", "avx_vnni"} & _flags())


def _flags() -> set[str]:
    for line in _lines("/proc/cpuinfo"):
        name, _, values = line.partition(":")
        if name.strip() == "flags":
            return set(values.split())
    return set()


def _quota() -> float | None:
    """The cores' worth of time that the control group is given (version 2 or 1); None for all."""
    words = " ".join(_lines("/sys/fs/cgroup/cpu.max")).split()
    if not words:
        folder = "/sys/fs/cgroup/cpu"
        words = _lines(f"{folder}/cpu.cfs_quota_us") + _lines(f"{folder}/cpu.cfs_period_us")
    if len(words) != 2 or not all(word.isdigit() for word in words):  # "max", or -1
        return None
    return int(words[0]) / int(words[1])


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return []
