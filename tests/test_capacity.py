"""Free memory, from files as Linux writes them, and what fits into it."""

from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from i2i.capacity import Line, fitting, free_memory

CPU = torch.device("cpu")


def write(root: Path, **files: str) -> None:
    for name, text in files.items():
        path = root / name.replace("__", "/").replace("_dot_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def test_without_a_container_it_is_what_linux_calls_available(tmp_path: Path) -> None:
    assert free_memory(CPU, tmp_path) is None
    write(tmp_path, proc__meminfo="MemTotal: 900 kB\nMemAvailable:  700 kB\nHugePages_Total: 0\n")
    assert free_memory(CPU, tmp_path) == 700 * 1024
    write(
        tmp_path,
        sys__fs__cgroup__memory_dot_max="max\n",
        sys__fs__cgroup__memory_dot_current="5\n",
    )
    assert free_memory(CPU, tmp_path) == 700 * 1024


@pytest.mark.parametrize(
    ("folder", "limit", "usage", "cached"),
    [
        ("sys/fs/cgroup", "memory.max", "memory.current", "inactive_file"),
        (
            "sys/fs/cgroup/memory",
            "memory.limit_in_bytes",
            "memory.usage_in_bytes",
            "total_inactive_file",
        ),
    ],
)
def test_the_limit_of_a_container_counts(
    folder: str, limit: str, usage: str, cached: str, tmp_path: Path
) -> None:
    write(tmp_path, proc__meminfo="MemAvailable:  700 kB\n")
    control = tmp_path / folder
    control.mkdir(parents=True)
    (control / limit).write_text("500000\n")
    (control / usage).write_text("120000\n")
    assert free_memory(CPU, tmp_path) == 380_000
    (control / "memory.stat").write_text(f"anon 7\n{cached} 20000\n")
    assert free_memory(CPU, tmp_path) == 400_000
    (control / usage).write_text("600000\n")
    assert free_memory(CPU, tmp_path) == 0
    (control / limit).write_text(f"{2**62}\n")
    assert free_memory(CPU, tmp_path) == 700 * 1024


@given(
    constant=st.integers(0, 10**9),
    slope=st.integers(1, 10**7),
    free=st.integers(0, 10**10),
    most=st.integers(1, 5000),
)
def test_what_fits_is_what_a_search_finds(constant: int, slope: int, free: int, most: int) -> None:
    line = Line((2, 5), (constant + 2 * slope, constant + 5 * slope))
    assert line.per_picture == slope
    powers = [n for n in range(1, most + 1) if n & (n - 1) == 0]
    # A line through two points rounds: what fits to the byte may be missed.
    near = [n for n in powers if constant + slope * n <= free + 1]
    exact = [n for n in powers if constant + slope * n <= free - 1]
    assert set(exact) <= set(fitting(line, free, most)) <= set(near)
