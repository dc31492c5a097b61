"""How much memory there is."""

import os
import sys
from pathlib import Path

import torch

if sys.platform != "win32":
    import resource

OUT_OF_MEMORY = (torch.OutOfMemoryError, MemoryError, RuntimeError)
"""What may be raised when memory is short; `is_out_of_memory` tells."""

_PHRASES = (
    "out of memory",
    "can't allocate memory",
    "cannot allocate memory",
    "not enough memory",
    "status_alloc_failed",
    "could not create a primitive",  # oneDNN, which does not say why
)


def is_out_of_memory(error: BaseException) -> bool:
    """Say whether an error means that memory was short: the CPU raises a plain RuntimeError."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    text = str(error).lower()
    return isinstance(error, RuntimeError) and any(phrase in text for phrase in _PHRASES)


def free_memory(device: torch.device) -> int | None:
    """Return how many bytes a computation on `device` may still take; None if nobody knows.

    On the CPU this is what the system can give without swapping, or, if that is less, what is left
    of the limit of the control group (in a container) or of the process (`ulimit -v`).
    """
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        cached = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return free + cached
    if device.type == "mps":
        return torch.mps.recommended_max_memory() - torch.mps.driver_allocated_memory()
    known = [free for free in (_system(), _control_group(), _address_space()) if free is not None]
    return min(known) if known else None


def _system() -> int | None:
    for line in _lines("/proc/meminfo"):
        name, amount, *_ = line.split()
        if name == "MemAvailable:":
            return int(amount) * 1024
    try:
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):  # Windows has no sysconf, macOS not these names
        return None


def _control_group() -> int | None:
    """What is left of the limit of the control group, version 2 or 1."""
    for folder, limit, used, cache in (
        ("/sys/fs/cgroup", "memory.max", "memory.current", "inactive_file"),
        (
            "/sys/fs/cgroup/memory",
            "memory.limit_in_bytes",
            "memory.usage_in_bytes",
            "total_inactive_file",
        ),
    ):
        limits, uses = _lines(f"{folder}/{limit}"), _lines(f"{folder}/{used}")
        if limits and uses and limits[0].isdigit():
            statistics = dict(line.split() for line in _lines(f"{folder}/memory.stat"))
            return int(limits[0]) - int(uses[0]) + int(statistics.get(cache, 0))
    return None


def _address_space() -> int | None:
    """What is left of the limit of the addresses of this process."""
    if sys.platform == "win32":
        return None
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    pages = _lines("/proc/self/statm")
    if limit == resource.RLIM_INFINITY or not pages:
        return None
    return max(0, limit - int(pages[0].split()[0]) * resource.getpagesize())


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text(encoding="ascii").splitlines()
    except OSError:
        return []
