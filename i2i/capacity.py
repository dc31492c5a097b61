"""How much memory is free for a training, and which batch sizes fit into it."""

from dataclasses import dataclass
from pathlib import Path

import torch

_CONTROL_GROUPS = (
    ("sys/fs/cgroup", "memory.max", "memory.current", "inactive_file"),
    (
        "sys/fs/cgroup/memory",
        "memory.limit_in_bytes",
        "memory.usage_in_bytes",
        "total_inactive_file",
    ),
)
"""Versions 2 and 1: the limit of a container, what it uses, and which of it is a mere copy of files
that is given up when memory is short."""


@dataclass(frozen=True)
class Line:
    """Memory as a linear function of the batch size, through two measurements.

    Attributes:
        at: the two batch sizes.
        memory: in bytes, at each of them.
    """

    at: tuple[int, int]
    memory: tuple[int, int]

    @property
    def per_picture(self) -> float:
        """Bytes for each picture in a step; not above 0 where it was too little to be seen."""
        (x, y), (m, n) = self.at, self.memory
        return (n - m) / (y - x)

    def __call__(self, batch_size: int) -> float:
        """Bytes for a batch."""
        return self.memory[0] + self.per_picture * (batch_size - self.at[0])


def fitting(line: Line, free: int, most: int) -> list[int]:
    """The powers of two from 1 to `most` as batch sizes that take no more than `free` bytes."""
    powers = [2**exponent for exponent in range(max(most, 1).bit_length())]
    return [power for power in powers if line(power) <= free]


def free_memory(device: torch.device, root: Path = Path("/")) -> int | None:
    """Bytes that a training on a device could take now; None where that cannot be told.

    Of a GPU, what its driver calls free; else the least of what Linux calls available and what the
    limit of a container leaves.

    Arguments:
        device: the device.
        root: of the file system that the system describes itself in.
    """
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    if device.type != "cpu":
        return None
    left = [_available(root / "proc/meminfo")]
    left += [_left(root / folder, *names) for folder, *names in _CONTROL_GROUPS]
    return min((each for each in left if each is not None), default=None)


def _available(meminfo: Path) -> int | None:
    kilobytes = _table(meminfo).get("MemAvailable:")
    return None if kilobytes is None else 1024 * kilobytes


def _left(folder: Path, limit: str, usage: str, cached: str) -> int | None:
    try:
        most, used = (int((folder / name).read_text()) for name in (limit, usage))
    except (OSError, ValueError):  # no such limit: "max"
        return None
    return max(0, most - used + _table(folder / "memory.stat").get(cached, 0))


def _table(path: Path) -> dict[str, int]:
    """The lines "name number ..." of a file; nothing if it is not there."""
    try:
        rows = [line.split() for line in path.read_text().splitlines()]
    except OSError:
        return {}
    return {row[0]: int(row[1]) for row in rows if len(row) > 1 and row[1].isdigit()}
