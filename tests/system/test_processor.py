"""Cores of the container rather than of the host; bf16 where the processor has it."""

import os

import pytest
import torch

from i2i.system import cpu as processor
from i2i.system.cpu import best_precision, cores, has_vnni, settle_threads


@pytest.fixture
def files(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[str]]:
    """The files of the system, by name; none at first. The process may run on eight cores."""
    known: dict[str, list[str]] = {}
    monkeypatch.setattr(processor, "_lines", lambda path: known.get(path, []))
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(8)), raising=False)
    return known


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("max 100000", 8),
        ("400000 100000", 4),
        ("150000 100000", 1),
        ("50000 100000", 1),
        ("1600000 100000", 8),
        ("250000 50000", 5),
    ],
)
def test_cores_are_those_of_the_control_group(
    files: dict[str, list[str]], words: str, expected: int
) -> None:
    files["/sys/fs/cgroup/cpu.max"] = [words]
    assert cores() == expected
    files.clear()
    quota, period = words.replace("max", "-1").split()
    files["/sys/fs/cgroup/cpu/cpu.cfs_quota_us"] = [quota]
    files["/sys/fs/cgroup/cpu/cpu.cfs_period_us"] = [period]
    assert cores() == expected


def test_without_a_control_group_all_cores_count(files: dict[str, list[str]]) -> None:
    assert cores() == 8


def test_threads_are_only_ever_fewer(monkeypatch: pytest.MonkeyPatch) -> None:
    chosen: list[int] = []
    monkeypatch.setattr(torch, "set_num_threads", chosen.append)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 4)
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)
    for count in (2, 16):
        monkeypatch.setattr(processor, "cores", lambda count=count: count)
        settle_threads()
    assert chosen == [2, 4]
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    settle_threads()
    assert chosen == [2, 4]


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ("fpu avx512f avx512_bf16", "bf16"),
        ("fpu amx_bf16 amx_tile", "bf16"),
        ("fpu avx512f avx2", "fp32"),
    ],
)
def test_bf16_is_best_where_the_processor_has_it(
    files: dict[str, list[str]], flags: str, expected: str
) -> None:
    files["/proc/cpuinfo"] = ["processor\t: 0", f"flags\t\t: {flags}", "bugs\t: none"]
    assert best_precision(torch.device("cpu")) == expected
    assert best_precision(torch.device("mps")) == "fp32"


def test_a_processor_that_is_not_known_computes_in_fp32(files: dict[str, list[str]]) -> None:
    assert best_precision(torch.device("cpu")) == "fp32"


@pytest.mark.parametrize(
    ("flags", "expected"), [("avx512_vnni", True), ("avx_vnni", True), ("avx512bw", False)]
)
def test_whether_bytes_are_added_up_at_once(
    files: dict[str, list[str]], flags: str, expected: bool
) -> None:
    files["/proc/cpuinfo"] = [f"flags\t\t: fpu {flags}"]
    assert has_vnni() == expected
