"""Trainings that are killed again and again, and what is left of them."""

import contextlib
import math
import os
import random
import signal
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import forks
import torch

from i2i.runs.checkpoint import load_checkpoint
from i2i.runs.folder import Run
from i2i.runs.lock import read_owner

SIGNALS = [signal.SIGKILL, signal.SIGTERM, signal.SIGINT]


def leave_alone(arguments: Sequence[str], runs: Path, name: str) -> None:
    """Do the same training without any kill."""
    process = forks.start("-m", "i2i", "train", *arguments, "--runs-dir", runs, "--name", name)
    _, said = process.communicate(timeout=math.inf)
    assert process.returncode == 0, said


def torture(
    arguments: Sequence[str],
    runs: Path,
    name: str,
    *,
    kills: int,
    longest: float,
    seed: int = 0,
    signals: Sequence[signal.Signals] = SIGNALS,
) -> list[str]:
    """Run `i2i train ... --name NAME --resume-or-start` to its end, killed at random times.

    Arguments:
        arguments: of `i2i train`.
        runs, name: of the run.
        kills: how often; the first ones come before anything has been saved.
        longest: seconds that a process computes after it owns the run, at most; the time of other
            programs does not count.
        seed: of the times and signals.
        signals: one is drawn for each kill; all are taken once first.

    Returns:
        what happened, a line for each process.
    """
    dice = random.Random(seed)
    run = Run(runs / name)
    happened = []
    for number in range(kills + 1):
        chosen = signals[number] if number < len(signals) else dice.choice(signals)
        after = dice.uniform(0, longest)
        command = ["train", *arguments, "--runs-dir", str(runs), "--name", name]
        process = forks.start("-m", "i2i", *command, "--resume-or-start")
        if number < kills:
            # From the moment at which it owns the folder, so that most of the time is training.
            _wait(process.pid, partial(_owns, process.pid, run))
            _wait(process.pid, partial(_has_computed, process.pid, _computed(process.pid) + after))
            with contextlib.suppress(ProcessLookupError):  # it has come to its end
                # SIGKILL as the system or a scheduler sends it: to all, so that nobody cleans up.
                (os.killpg if chosen == signal.SIGKILL else os.kill)(process.pid, chosen)
        _, said = process.communicate(timeout=math.inf)
        code = process.wait()
        assert "Traceback" not in said, said
        # 1: Ctrl-C while the data is still looked at.
        expected = {0, -chosen, 128 + chosen, 1} if number < kills else {0}
        assert code in expected, (code, said)
        steps = [path.name for path in run.checkpoints()]
        happened.append(f"{chosen.name if number < kills else 'end'}: {code} {steps}")
    return happened


def _wait(process: int, done: Callable[[], bool]) -> None:
    """Wait until something is done, or a process is at its end."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and not done() and _computed(process) < math.inf:
        time.sleep(0.01)


def _owns(process: int, run: Run) -> bool:
    return (read_owner(run.folder) or {}).get("pid") == process


def _has_computed(process: int, seconds: float) -> bool:
    return _computed(process) >= seconds


def _computed(process: int) -> float:
    """How many seconds of the processor a process has used; infinite if it is not there."""
    try:
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return math.inf
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def differences(one: Any, other: Any, path: str = "") -> list[str]:
    """Where two nested states differ in a bit."""
    if isinstance(one, dict) and isinstance(other, dict):
        if one.keys() != other.keys():
            return [f"{path}: {sorted(one.keys() ^ other.keys())}"]
        return [line for key in one for line in differences(one[key], other[key], f"{path}.{key}")]
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        if len(one) != len(other):
            return [f"{path}: {len(one)} and {len(other)} items"]
        pairs = enumerate(zip(one, other, strict=True))
        return [line for at, pair in pairs for line in differences(*pair, f"{path}[{at}]")]
    if isinstance(one, torch.Tensor) and isinstance(other, torch.Tensor):
        return [] if torch.equal(one, other) else [f"{path}: other numbers"]
    return [] if one == other else [f"{path}: {one!r} and {other!r}"]


def last(runs: Path, name: str) -> dict[str, Any]:
    """The last checkpoint of a run, without what tells when it was written."""
    state = load_checkpoint(Run(runs / name).latest())
    return {key: value for key, value in state.items() if key != "written"}
