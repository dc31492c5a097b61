"""What the scripts share that train several times and compare: a training, its cost, figures."""

import contextlib
import json
import re
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

QUIET = [
    "data.workers=0",
    "data.look_for_copies=false",
    "train.log_every_steps=100",
    "train.visualize_every_minutes=0",
    "train.save_every_minutes=0",
    "train.monitor=none",
    "train.distance=off",
]
"""Settings of a training that does nothing but train: its processor time is that of its steps."""

DIRECTIONS = {"AtoB", "BtoA"}


def step_cost(options: Any, steps: int = 12) -> float:
    """Processor seconds of a step on random images, of which a few are not counted."""
    from i2i.models.build import build_model
    from i2i.training.build import build_trainer
    from i2i.training.cost import random_batch

    model = build_model(options)
    trainer = build_trainer(options, model, rate=lambda step: 1.0)
    batch = random_batch(options, model)
    for step in range(steps + 3):
        if step == 3:
            began = time.process_time()
        trainer.step(batch)
    return (time.process_time() - began) / steps


def train_one(options: Any, run: Path, device: str = "cpu") -> float:
    """Train, or go on with a run that was cut short; processor seconds that this took."""
    from i2i.training import session

    began = processor_seconds()
    if run.exists():
        outcome = session.resume(run, device=device)
    else:
        outcome = session.start(options, run.parent, run.name, device=device)
    if outcome.exit_code:
        raise SystemExit(outcome.exit_code)
    return processor_seconds() - began


def new_peak() -> None:
    """Let `peak_memory` begin anew, where the system can (Linux)."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def peak_memory() -> float:
    """The most MiB that this process has had in memory, since `new_peak` if there was one."""
    with contextlib.suppress(OSError):
        status = Path("/proc/self/status").read_text().split()
        return int(status[status.index("VmHWM:") + 1]) / 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 1024)


def processor_seconds() -> float:
    """What this process and those that it has waited for have used so far."""
    used = map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(each.ru_utime + each.ru_stime for each in used)


def last(run: Path, reading: str) -> float | None:
    """The last value of a reading in the log."""
    from i2i.runs.log import read_log

    values = [
        value
        for row in read_log(run / "log.jsonl").rows
        for name, value in row.items()
        if name.endswith(f"/{reading}")
    ]
    return values[-1] if values else None


def evaluate(
    run: Path, measures: Sequence[str], features: str, only: str | None = None
) -> dict[str, float]:
    """What `i2i evaluate` finds; of a game of several directions, the means of all, or one only."""
    return figures("--checkpoint", str(run), measures=measures, features=features, only=only)


def figures(
    *arguments: str, measures: Sequence[str], features: str, only: str | None = None
) -> dict[str, float]:
    """The figures of `i2i evaluate` with such arguments, without those of real images; the means
    of all comparisons, or those of one direction."""
    command = [sys.executable, "-m", "i2i", "evaluate", *arguments, "--features", features]
    found: dict[str, list[float]] = {}
    with tempfile.NamedTemporaryFile(suffix=".json") as file:
        command += ["--measures", ",".join(measures), "--json", file.name]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        told = json.loads(Path(file.name).read_text())
    for comparison in told["comparisons"]:
        if comparison["name"] == "real":  # images that were trained on, for comparison
            continue
        if only and comparison["name"] in DIRECTIONS - {only}:
            continue
        for figure in comparison["figures"]:
            # Each run has a classifier of its own, by whose name figures would not come together.
            name = re.sub(r"\(classifier-\w+\)", "", figure["name"])
            found.setdefault(name, []).append(figure["value"])
    return {name: statistics.mean(values) for name, values in found.items()}


def spread(values: list[float]) -> str:
    """The mean, with the standard deviation where there are several."""
    mean = f"{statistics.mean(values):.4g}"
    return mean if len(values) == 1 else f"{mean} ± {statistics.stdev(values):.2g}"
