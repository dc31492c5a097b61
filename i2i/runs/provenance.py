"""What a figure in a paper can be traced back to: code, data, time and energy.

What a machine does not tell is left out: no run fails for want of it.
"""

import contextlib
import ctypes
import json
import os
import subprocess
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch

from i2i.system.atomic import write_text
from i2i.system.gate import RefusedError, parse_json, read_text

RESOURCES = "resources.json"
"""In the folder of a run: what each of its sessions took, oldest first."""

_PATIENCE = 5
"""Seconds that git may take, in a folder on a network, say."""

_RAPL = Path("/sys/class/powercap")

_MOST_BYTES = 2**24


def code_state(folder: Path) -> dict[str, Any] | None:
    """The commit that a folder is at, and whether anything in it differs from that.

    Returns:
        "commit", 40 hexadecimal digits; "changed"; None where the folder is in no repository that
        knows a file in it, or there is no git.
    """
    try:
        if not _git(folder, "ls-files", "--", "."):  # an environment within somebody's repository
            return None
        commit = _git(folder, "rev-parse", "HEAD").strip()
        changed = bool(_git(folder, "status", "--porcelain", "--", ".").strip())
    except (OSError, subprocess.SubprocessError):
        return None
    return {"commit": commit, "changed": changed}


def _git(folder: Path, *arguments: str) -> str:
    return subprocess.run(
        ["git", "-C", str(folder), *arguments],
        check=True,
        capture_output=True,
        text=True,
        timeout=_PATIENCE,
        env={**os.environ, "GIT_OPTIONAL_LOCKS": "0"},
    ).stdout


def code_states() -> dict[str, Any]:
    """The states of the package and of the folder that a run is started in, as far as known."""
    places = {"i2i": Path(__file__).parent.parent, "folder": Path.cwd()}
    states = {name: code_state(path) for name, path in places.items()}
    return {name: state for name, state in states.items() if state is not None}


class Resources:
    """Counts what a session of a run takes, from its making to `write`.

    Arguments:
        folder: of the run.
        device: that it computes on.
        step: after which the session began.
    """

    def __init__(self, folder: Path, device: torch.device, step: int) -> None:
        self.folder = folder
        self.device = device
        self.step = step
        self._wall = time.perf_counter()
        self._cpu = _cpu_seconds()
        self._meters = list(_meters(device))
        self._energy = [read() for _, read, _ in self._meters]

    def write(self, step: int, more: Mapping[str, Any]) -> None:
        """Add the session to the file of the run.

        Arguments:
            step: after which it ends.
            more: what else is to stand there.
        """
        own, workers = (now - then for now, then in zip(_cpu_seconds(), self._cpu, strict=True))
        session: dict[str, Any] = {
            "from step": self.step,
            "to step": step,
            "seconds": round(time.perf_counter() - self._wall, 3),
            "cpu seconds": round(own, 3),
            "cpu seconds of workers": round(workers, 3),
            **more,
        }
        if self.device.type == "cuda":
            peak = torch.cuda.max_memory_allocated(self.device)
            session["peak memory of the device, MiB"] = round(peak / 2**20)
        for (name, read, span), before in zip(self._meters, self._energy, strict=True):
            with contextlib.suppress(OSError, ValueError):
                joules = (read() - before) % span
                session[f"energy of the {name}, J"] = round(joules, 1)
        with contextlib.suppress(OSError):  # it is the training that matters
            write_text(
                self.folder / RESOURCES,
                json.dumps([*sessions(self.folder), session], indent=2) + "\n",
            )


def sessions(folder: Path) -> list[dict[str, Any]]:
    """What the sessions of a run took, oldest first; nothing where the file cannot be read."""
    try:
        found = parse_json(read_text(folder / RESOURCES, _MOST_BYTES))
    except RefusedError:
        return []
    return [each for each in found if isinstance(each, dict)] if isinstance(found, list) else []


def _cpu_seconds() -> tuple[float, float]:
    """Of this process, and of those that it has started and that have ended."""
    spent = os.times()
    return spent.user + spent.system, spent.children_user + spent.children_system


Meter = tuple[str, Any, float]
"""What it measures, a function that reads joules, and after how many it begins anew."""


def _meters(device: torch.device) -> Iterator[Meter]:
    """The counters of energy that may be read: of the processor (RAPL, of all that runs on it) and
    of a GPU (NVML, likewise)."""
    for package in sorted(_RAPL.glob("intel-rapl:[0-9]*")) if _RAPL.is_dir() else ():
        if ":" in package.name.removeprefix("intel-rapl:"):
            continue  # a part of a package, whose energy is that of the package, too

        def read(path: Path = package / "energy_uj") -> float:
            return int(path.read_text()) / 1e6

        with contextlib.suppress(OSError, ValueError):  # mostly for root alone
            read()
            span = int((package / "max_energy_range_uj").read_text()) / 1e6
            yield f"processor {package.name[-1]}", read, span
    if device.type == "cuda" and (meter := _gpu_meter(device)) is not None:
        yield "GPU", meter, float("inf")


def _gpu_meter(device: torch.device) -> Any:
    """A function that reads the joules that a GPU has taken since the driver was loaded."""
    try:
        nvml = ctypes.CDLL("libnvidia-ml.so.1")
        handle, spent = ctypes.c_void_p(), ctypes.c_ulonglong()
        uuid = f"GPU-{torch.cuda.get_device_properties(device).uuid}".encode()
        if nvml.nvmlInit_v2() or nvml.nvmlDeviceGetHandleByUUID(uuid, ctypes.byref(handle)):
            return None
    except (OSError, AttributeError, RuntimeError):
        return None

    def read() -> float:
        if nvml.nvmlDeviceGetTotalEnergyConsumption(handle, ctypes.byref(spent)):
            raise OSError("NVML does not tell the energy of this GPU")
        return spent.value / 1000

    try:
        read()
    except (OSError, AttributeError):
        return None
    return read
