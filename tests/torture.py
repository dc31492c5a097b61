"""Trainings that are killed again and again, and what is left of them."""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from i2i.runs.checkpoint import load_checkpoint
from i2i.runs.folder import Run

SIGNALS = [signal.SIGKILL, signal.SIGTERM, signal.SIGINT]

ONE_THREAD = {"OMP_NUM_THREADS": "1"}
"""Sums over other numbers of threads have another order."""


def leave_alone(arguments: Sequence[str], runs: Path, name: str) -> None:
    """Do the same training without any kill."""
    command = [sys.executable, "-m", "i2i", "train", *arguments]
    command += ["--runs-dir", str(runs), "--name", name]
    environment = os.environ | ONE_THREAD
    subprocess.run(command, check=True, capture_output=True, env=environment)


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
        longest: seconds from the start of a process to its end, at most.
        seed: of the times and signals.
        signals: one is drawn for each kill; all are taken once first.

    Returns:
        what happened, a line for each process.
    """
    dice = random.Random(seed)
    command = [sys.executable, "-m", "i2i", "train", *arguments]
    command += ["--runs-dir", str(runs), "--name", name, "--resume-or-start"]
    happened = []
    for number in range(kills + 1):
        chosen = signals[number] if number < len(signals) else dice.choice(signals)
        process = subprocess.Popen(
            command,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | ONE_THREAD,
            start_new_session=True,
        )
        if number < kills:
            # From the moment at which there is a folder, so that most of the time is training.
            begun = Run(runs / name).folder / "owner.json"
            deadline = time.monotonic() + 120
            while not begun.exists() and process.poll() is None and time.monotonic() < deadline:
                time.sleep(0.01)
            time.sleep(dice.uniform(0, longest))
            # SIGKILL as the system or a scheduler sends it: to all, so that nobody cleans up.
            if chosen == signal.SIGKILL:
                os.killpg(process.pid, chosen)
            else:
                process.send_signal(chosen)
        _, said = process.communicate(timeout=600)
        assert "Traceback" not in said, said
        # 1: Ctrl-C while the data is still looked at.
        expected = {0, -chosen, 128 + chosen, 1} if number < kills else {0}
        assert process.returncode in expected, (process.returncode, said)
        steps = [path.name for path in Run(runs / name).checkpoints()]
        happened.append(f"{chosen.name if number < kills else 'end'}: {process.returncode} {steps}")
    return happened


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
