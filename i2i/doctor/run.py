"""What the log of a run says of it."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

from i2i.config import read_options
from i2i.config.recipes import read_toml
from i2i.data.kinds.splits import sides_of_run
from i2i.runs.folder import Run
from i2i.runs.health import verdicts
from i2i.runs.improvement import improvement
from i2i.runs.log import read_log
from i2i.runs.thresholds import WARM_UP
from i2i.runs.verdict import Verdict

DATA_WAIT = 0.25
"""Share of the time above which a run is said to wait for its images."""


@dataclass(frozen=True)
class RunSummary:
    """The state of a run.

    Attributes:
        folder: of the run.
        steps: that its log reaches.
        stop: that it is long; None if its options do not say so in steps.
        ended: whether it was done to its end; None where that cannot be told.
        verdicts: what is wrong with its training, see `i2i.runs.health`.
        images_per_second: median over the log; None if it was not logged.
        data_wait: median share of the time that steps waited for images; None likewise.
        broken_lines: lines of the log that are none; half a last line is not counted.
        progress: whether it still improves, in words; "" where nothing was measured that decides.
    """

    folder: Path
    steps: int
    stop: int | None
    ended: bool | None
    verdicts: Sequence[Verdict]
    images_per_second: float | None
    data_wait: float | None
    broken_lines: int
    progress: str = ""

    @property
    def complaints(self) -> list[str]:
        """What is wrong and what to try, a line each."""
        found = [str(verdict) for verdict in self.verdicts]
        # A short run has hardly more than its start in the log.
        long = self.steps >= WARM_UP
        if long and self.data_wait is not None and self.data_wait > DATA_WAIT:
            found.append(
                f"Steps wait for images {self.data_wait:.0%} of the time: give more --workers, "
                "or make the images smaller beforehand."
            )
        if self.broken_lines:
            found.append(
                f"The log has {self.broken_lines} broken line{'s' * (self.broken_lines > 1)}, left "
                "out here: the file was changed, or the machine failed."
            )
        return found

    @property
    def exit_code(self) -> int:
        return int(bool(self.complaints))

    def as_text(self) -> str:
        length = f" of {self.stop}" if self.stop else ""
        state = {True: ", done", False: ", not done", None: ""}[self.ended]
        lines = [f"{self.folder}: step {self.steps}{length}{state}"]
        if self.images_per_second is not None:
            lines.append(f"  {self.images_per_second:.3g} images a second (median)")
        if self.data_wait is not None:
            lines.append(f"  {self.data_wait:.1%} of the time spent waiting for images (median)")
        if self.progress:
            lines.append(f"  {self.progress}")
        return "\n".join([*lines, *(f"WARNING: {each}" for each in self.complaints)])

    def as_dict(self) -> dict[str, Any]:
        return {
            "run": str(self.folder),
            "steps": self.steps,
            "stop": self.stop,
            "ended": self.ended,
            "verdicts": [asdict(verdict) for verdict in self.verdicts],
            "images_per_second": self.images_per_second,
            "data_wait": self.data_wait,
            "broken_lines": self.broken_lines,
            "progress": self.progress,
            "complaints": self.complaints,
            "exit_code": self.exit_code,
        }


def is_run(folder: Path) -> bool:
    """Whether a folder is that of a run."""
    return (folder / "checkpoints").is_dir() and (folder / "options.toml").is_file()


def examine_run(folder: Path) -> RunSummary:
    """Say how far a run is and what is wrong with it.

    Raises:
        RunError: there is no log.
        OptionsError: its options cannot be read.
    """
    log = read_log(Run(folder).log)
    rows = log.rows
    options = read_options(read_toml(folder / "options.toml"))
    steps = max((int(row["step"]) for row in rows), default=0)
    stop = options.train.steps
    progress = improvement(rows, options.train.monitored)
    sides = sides_of_run(folder)
    return RunSummary(
        folder=folder,
        steps=steps,
        stop=stop,
        # With patience it may have ended earlier.
        ended=steps >= stop if stop and options.train.patience is None else None,
        verdicts=verdicts(rows, monitor=options.train.monitored, sides=sides),
        images_per_second=_median(rows, "speed/images_per_second"),
        data_wait=_median(rows, "speed/data_wait"),
        broken_lines=log.broken - log.torn,
        progress="" if progress is None else progress.text(sides),
    )


def _median(rows: Sequence[Mapping[str, float | None]], name: str) -> float | None:
    values = [value for row in rows if (value := row.get(name)) is not None]
    return median(values) if values else None
