"""Which checkpoints of a run are kept."""

import math
from collections.abc import Mapping
from typing import Any

from i2i.processes import ALONE, Processes
from i2i.training.checkpoint import save_checkpoint
from i2i.training.distributed import gather_own_states
from i2i.training.run import Run
from i2i.training.trainer import Trainer


class Keeper:
    """Saves a run: the newest checkpoints and the best.

    Arguments:
        run: where the checkpoints go.
        about: what else a checkpoint says of itself; plain values.
        keep: how many numbered checkpoints stay.
        decisive: the measure that decides which checkpoint is the best, and whether "lower" or
            "higher" is better; None if no checkpoint is the best.
        former: a checkpoint of the run that is resumed. What was the best by another measure or on
            other data counts no more.
        processes: those that train together; the first one writes.
    """

    def __init__(
        self,
        run: Run,
        about: Mapping[str, Any],
        *,
        keep: int,
        decisive: tuple[str, str] | None,
        former: Mapping[str, Any] | None = None,
        processes: Processes = ALONE,
    ) -> None:
        self.run = run
        self.about = about
        self.keep = keep
        self.decisive = decisive
        self.processes = processes
        self.best: float | None = None
        self.stale = 0
        """Validations since the best one."""
        if former is not None and decisive is not None:
            same = former.get("decisive") == list(decisive)
            if same and former.get("data") == about.get("data"):
                self.best, self.stale = former["best"], former["stale"]

    def save(self, trainer: Trainer) -> str:
        """Write a numbered checkpoint and remove the oldest; returns its path. A collective."""
        path = self.run.checkpoint(trainer.steps_done)
        others = gather_own_states(trainer.model, self.processes)
        if self.processes.first:
            save_checkpoint(path, {**self._state(trainer), "ranks": others})
            self.run.prune(self.keep)
        return str(path)

    def save_if_best(self, trainer: Trainer, measured: Mapping[str, float]) -> bool:
        """Write `best.pt` if the deciding measure was never as good before."""
        if self.decisive is None:
            return False
        name, better = self.decisive
        value, sign = measured[name], {"lower": -1, "higher": 1}[better]
        self.stale += 1
        if not math.isfinite(value) or (self.best is not None and sign * value <= sign * self.best):
            return False
        former, self.best, self.stale = (self.best, self.stale), value, 0
        try:
            save_checkpoint(self.run.best, self._state(trainer))
        except Exception:
            self.best, self.stale = former
            raise
        return True

    def _state(self, trainer: Trainer) -> dict[str, Any]:
        return {
            **self.about,
            "decisive": None if self.decisive is None else list(self.decisive),
            "best": self.best,
            "stale": self.stale,
            **trainer.state_dict(),
        }
