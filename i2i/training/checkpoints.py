"""Which checkpoints of a run are kept."""

import contextlib
import math
import shutil
import tempfile
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from i2i.distributed.gradients import gather_own_states
from i2i.distributed.processes import ALONE, Processes
from i2i.errors import CheckpointError
from i2i.runs.checkpoint import save_checkpoint
from i2i.runs.folder import Run
from i2i.runs.outputs import flaws
from i2i.training.trainer import Trainer


class CheckpointManager:
    """Saves a run: the newest checkpoints and the best.

    Arguments:
        run: where the checkpoints go.
        about: what else a checkpoint says of itself; plain values.
        keep: how many of the newest numbered checkpoints stay.
        kept: which others stay: "newest" for none, "all", or "thinned" (see there).
        unit: steps between two checkpoints, mostly.
        every: the first one in each so many steps stays, too.
        monitor: the measure that decides which checkpoint is the best, and whether "lower" or
            "higher" is better; None if no checkpoint is the best. One whose outputs are plainly
            wrong (`i2i.runs.outputs.flaws`) is the best only as long as there is none without.
        former: a checkpoint of the run that is resumed. What was the best by another measure or on
            other data counts no more.
        processes: those that train together; the first one writes.
        restore: makes the folder of the run again if it is gone.
        rescue: a folder for the last checkpoint, if that of the run does not take it; by default
            that of the system for temporary files.
        more: gives what belongs into a checkpoint beside all this: the states of callbacks.
    """

    def __init__(
        self,
        run: Run,
        about: Mapping[str, Any],
        *,
        keep: int,
        kept: str = "newest",
        unit: int = 1,
        every: int | None = None,
        monitor: tuple[str, str] | None,
        former: Mapping[str, Any] | None = None,
        processes: Processes = ALONE,
        restore: Callable[[], object] = lambda: None,
        rescue: Path | None = None,
        more: Callable[[], Mapping[str, Any]] = dict,
    ) -> None:
        self.run = run
        self.about = about
        self.keep = keep
        self.kept = kept
        self.unit = unit
        self.every = every
        self.monitor = monitor
        self.processes = processes
        self.restore = restore
        self.rescue = rescue
        self.more = more
        self.validated = 0
        """The step after which a validation was done last."""
        self.best: float | None = None
        self.best_flaws: list[str] = []
        """What is wrong with the best one."""
        self.passed_over: list[str] = []
        """What kept the last one that was measured from being the best."""
        self.stale = 0
        """Validations since the best one."""
        if former is not None:
            self.validated = former.get("validated", former.get("step", 0))
        if former is not None and monitor is not None:
            same = former.get("decisive") == list(monitor)
            if same and all(former.get(of) == about.get(of) for of in ("data", "contents")):
                self.best, self.stale = former["best"], former["stale"]
                self.best_flaws = list(former.get("best_flaws", ()))

    def save(self, trainer: Trainer, *, last: bool = False) -> Path:
        """Write a numbered checkpoint and remove the oldest; returns its path. A collective.

        Arguments:
            trainer: what is saved.
            last: whether there is no later chance: then, if the folder of the run does not take it,
                a run folder of its own is made elsewhere.

        Raises:
            CheckpointError: it could not be written.
        """
        path = self.run.checkpoint(trainer.steps_done)
        others = gather_own_states(trainer.model, self.processes)
        if self.processes.first:
            state = {**self._state(trainer), "ranks": others}
            try:
                self._restore(path)
                save_checkpoint(path, state)
            except CheckpointError as error:
                if not last:
                    raise
                return self._save_elsewhere(state, path.name, error)
            with contextlib.suppress(OSError):  # what is left over costs room, nothing else
                self.run.prune(self._spared)
        return path

    def _spared(self, steps: Sequence[int]) -> Collection[int]:
        """Which of the checkpoints after these numbers of steps stay."""
        spared = {*steps[-self.keep :]}
        match self.kept:
            case "all":
                return {*steps}
            case "thinned":
                spared |= thinned(steps, self.unit)
        if self.every is not None:
            spared |= _first_in_each(self.every, [step for step in steps if step >= self.every])
        return spared

    def _restore(self, path: Path) -> None:
        try:
            self.restore()
        except OSError as error:
            raise CheckpointError(f"{path} could not be written: {error.strerror}.") from error

    def _save_elsewhere(self, state: dict[str, Any], name: str, why: CheckpointError) -> Path:
        """A second chance: a run folder that can be resumed, with this checkpoint alone."""
        above = self.rescue or Path(tempfile.gettempdir())
        try:
            above.mkdir(parents=True, exist_ok=True)
            folder = Path(tempfile.mkdtemp(prefix=f"{self.run.folder.name}-rescued-", dir=above))
        except OSError as error:
            raise CheckpointError(f"{why} Nor does {above} take it: {error.strerror}.") from error
        try:
            run = Run(folder)
            run.make_again()
            with contextlib.suppress(OSError):
                shutil.copyfile(self.run.options, run.options)
            save_checkpoint(run.best.with_name(name), state)
        except (CheckpointError, OSError) as error:
            shutil.rmtree(folder, ignore_errors=True)
            raise CheckpointError(f"{why} Nor elsewhere: {error}") from error
        return run.best.with_name(name)

    def save_if_best(self, trainer: Trainer, measured: Mapping[str, float]) -> bool:
        """Write `best.pt` if the deciding measure was never as good before, of checkpoints whose
        outputs are not plainly wrong if there is one."""
        if self.monitor is None:
            return False
        name, better = self.monitor
        self._restore(self.run.best)
        value, sign = measured[name], {"lower": -1, "higher": 1}[better]
        self.stale += 1
        self.passed_over = []
        if not math.isfinite(value):
            return False
        found = flaws({f"validation/{k}": v for k, v in measured.items()}, name)
        if self.best is not None:
            better_value = sign * value > sign * self.best
            if (not found, sign * value) <= (not self.best_flaws, sign * self.best):
                self.passed_over = found if better_value else []
                return False
        former = self.best, self.best_flaws, self.stale
        self.best, self.best_flaws, self.stale = value, found, 0
        try:
            save_checkpoint(self.run.best, self._state(trainer))
        except Exception:
            self.best, self.best_flaws, self.stale = former
            raise
        return True

    def _state(self, trainer: Trainer) -> dict[str, Any]:
        return {
            **self.about,
            "decisive": None if self.monitor is None else list(self.monitor),
            "best": self.best,
            "best_flaws": self.best_flaws,
            "stale": self.stale,
            "validated": self.validated,
            **self.more(),
            **trainer.state_dict(),
        }


DENSE = 8
"""Checkpoints at the full density, and then at each half of the one before."""


def thinned(steps: Sequence[int], unit: int) -> set[int]:
    """Which checkpoints stay if there are to be fewer the older they are.

    Of those that are up to `DENSE` units older than the newest one in each unit stays; of those up
    to twice as old one in two units, up to four times as old one in four, and so on. What goes
    would not have stayed later either.

    Arguments:
        steps: of the checkpoints that are there, oldest first; at least one.
        unit: steps between two of them, mostly.
    """
    spared = set()
    for step in steps:
        octave = max(0, ((steps[-1] - step) // (DENSE * unit)).bit_length())
        if step in _first_in_each(unit * 2**octave, steps):
            spared.add(step)
    return spared


def _first_in_each(width: int, steps: Sequence[int]) -> set[int]:
    """The first of some steps, in ascending order, in each stretch of this width."""
    first: dict[int, int] = {}
    for step in steps:
        first.setdefault(step // width, step)
    return {*first.values()}
