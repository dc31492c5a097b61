"""What a run shows of itself and decides by its validations: callbacks of the package."""

import logging
import time
from collections.abc import Mapping

from torch import Tensor

from i2i.distributed.gradients import apart
from i2i.errors import CheckpointError
from i2i.training.callbacks import Callback, Training
from i2i.training.checkpoints import CheckpointManager
from i2i.training.monitor import ProgressLogger
from i2i.training.pace import Pace
from i2i.training.validation import Validation

_log = logging.getLogger(__name__)


class Sheets(Callback):
    """Makes image sheets: before the first step, with each validation, and by the clock.

    Arguments:
        validation: makes them.
        monitor: takes them, and does not count the time that they take.
        pace: says when one is due by the clock.
    """

    def __init__(self, validation: Validation, monitor: ProgressLogger, pace: Pace) -> None:
        self.validation = validation
        self.monitor = monitor
        self.pace = pace

    def on_start(self, training: Training) -> None:
        if training.resumed is None:
            self._show(training)

    def on_step(self, training: Training, losses: Mapping[str, Tensor]) -> None:
        if not training.validates and self.pace.due():
            began = time.perf_counter()
            self._show(training)
            self.pace.done(time.perf_counter() - began)
            self.monitor.restart_clock()

    def on_validation(self, training: Training, values: Mapping[str, float]) -> None:
        self.monitor.journal.marked(self.validation.marked)
        self._show(training)

    def _show(self, training: Training) -> None:
        with apart(training.trainer.model):
            sheet = self.validation.show(training.trainer)
        self.monitor.journal.sheet(training.step, "validation", sheet)
        self.pace.restart()


class KeepBest(Callback):
    """Keeps what is the best by the measure that decides."""

    def __init__(self, keeper: CheckpointManager) -> None:
        self.keeper = keeper
        self._told = False

    def on_validation(self, training: Training, values: Mapping[str, float]) -> None:
        self.keeper.validated = training.step
        try:
            self.keeper.save_if_best(training.trainer, values)
        except CheckpointError as error:
            _log.info(f"{error} The run goes on without it.")
            return
        if self.keeper.passed_over and not self._told:
            self._told = True
            _log.info(
                f"step {training.step}: by the measure that decides this would be the best, but "
                f"its outputs are plainly wrong ({', '.join(self.keeper.passed_over)}; see "
                "docs/health.md), so best.pt stays"
            )


class EarlyStop(Callback):
    """Ends a training after so many validations in succession without a better one."""

    def __init__(self, keeper: CheckpointManager, patience: int) -> None:
        self.keeper = keeper
        self.patience = patience

    def on_validation(self, training: Training, values: Mapping[str, float]) -> None:
        if self.keeper.stale >= self.patience:
            training.end(
                f"no better validation in {self.keeper.stale} of them, so the training ends here "
                "(go on with a larger --patience)."
            )
