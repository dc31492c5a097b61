"""Where free memory is looked up, and which errors mean that there was none."""

from collections.abc import Callable

import pytest
import torch

from i2i.system import memory
from i2i.system.memory import free_memory, is_out_of_memory

CPU = torch.device("cpu")
MEMINFO = ["MemTotal: 8000 kB", "MemFree: 100 kB", "MemAvailable: 3000 kB", "HugePages_Free: 0"]


@pytest.fixture
def files(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[str]]:
    """The files of the system, by name; none at first."""
    known: dict[str, list[str]] = {}
    monkeypatch.setattr(memory, "_lines", lambda path: known.get(path, []))
    return known


def test_the_system_says_what_is_available(files: dict[str, list[str]]) -> None:
    files["/proc/meminfo"] = MEMINFO
    assert free_memory(CPU) == 3000 * 1024


@pytest.mark.parametrize(
    ("folder", "limit", "used", "cache"),
    [
        ("/sys/fs/cgroup", "memory.max", "memory.current", "inactive_file"),
        (
            "/sys/fs/cgroup/memory",
            "memory.limit_in_bytes",
            "memory.usage_in_bytes",
            "total_inactive_file",
        ),
    ],
)
def test_a_container_may_take_less(
    files: dict[str, list[str]], folder: str, limit: str, used: str, cache: str
) -> None:
    files["/proc/meminfo"] = MEMINFO
    files |= {f"{folder}/{limit}": ["2000000"], f"{folder}/{used}": ["900000"]}
    assert free_memory(CPU) == 1_100_000
    files[f"{folder}/memory.stat"] = ["anon 7", f"{cache} 300000"]
    assert free_memory(CPU) == 1_400_000
    files[f"{folder}/{limit}"] = ["max"]
    assert free_memory(CPU) == 3000 * 1024


def test_without_linux_the_c_library_is_asked_or_nobody_knows(
    files: dict[str, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    pages = {"SC_AVPHYS_PAGES": 11, "SC_PAGE_SIZE": 4096}
    monkeypatch.setattr(memory.os, "sysconf", pages.__getitem__)
    assert free_memory(CPU) == 11 * 4096

    def unknown(name: str) -> int:
        raise ValueError("unrecognized configuration name")

    monkeypatch.setattr(memory.os, "sysconf", unknown)
    assert free_memory(CPU) is None


def test_this_machine_has_memory() -> None:
    free = free_memory(CPU)
    assert free is None or 2**20 < free < 2**50


def raised(function: Callable[[], object]) -> BaseException:
    with pytest.raises(Exception) as caught:  # noqa: PT011 (which one is the question)
        function()
    return caught.value


def test_errors_of_the_allocators_are_known() -> None:
    assert is_out_of_memory(torch.OutOfMemoryError("x"))
    assert is_out_of_memory(MemoryError())
    # The real one of the CPU, for more than any machine can address.
    assert is_out_of_memory(raised(lambda: torch.empty(2**58, dtype=torch.uint8)))
    assert not is_out_of_memory(raised(lambda: torch.zeros(2) + torch.zeros(3)))
    assert not is_out_of_memory(OSError("out of memory"))
