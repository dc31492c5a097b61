"""How many processor cores there are to use."""

import os


def cores() -> int:
    """Return the number of cores that this process may use; a container may have few of many."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
