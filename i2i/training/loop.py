"""The loop around the steps: log, validate, save, stop."""

import logging
import shlex
import time
from collections.abc import Callable, Iterable, Iterator

import torch

from i2i.core.batch import AnyBatch
from i2i.distributed.gradients import apart, average_statistics
from i2i.errors import (
    CheckpointError,
    DataError,
    I2iError,
    ProcessError,
    TrainingError,
    WorkerError,
)
from i2i.runs.folder import Run
from i2i.training.budget import Budget
from i2i.training.checkpoints import CheckpointManager
from i2i.training.health_watch import HealthWatch
from i2i.training.interrupt import Interrupt
from i2i.training.monitor import ProgressLogger
from i2i.training.oom import OutOfMemoryError
from i2i.training.pace import Pace
from i2i.training.trainer import Losses, Trainer
from i2i.training.validation import Validation

_log = logging.getLogger(__name__)


def fit(
    trainer: Trainer,
    batches: Iterable[AnyBatch],
    *,
    take: Callable[..., Losses],
    stop: int,
    monitor: ProgressLogger,
    keeper: CheckpointManager,
    validation: Validation | None,
    interrupt: Interrupt,
    log_every_steps: int,
    validate_every_steps: int,
    save_every_steps: int,
    validation_share: float = 1.0,
    patience: int | None = None,
    health: HealthWatch | None = None,
    sheets: Pace | None = None,
    resumed: int | None = None,
) -> bool:
    """Train until `stop` steps are done, or somebody interrupts.

    Of several processes that train together, all call this; the first one validates.

    Whatever ends the training between two steps, it saves before it leaves. What is raised within
    a step leaves weights that are neither of before nor of after it: then a note of the exception
    names the last checkpoint, as it does in each of several processes.

    Arguments:
        trainer: holds what is trained.
        batches: one for each step that is left.
        take: does a step of the trainer, as `Trainer.step`; `OOMRetry.step` does so whatever the
            memory.
        stop: steps that are done in the end, counted from the beginning of the run.
        monitor: reads the losses and shows them.
        keeper: saves.
        validation: measures; without it no checkpoint is the best. Only the first process needs it.
        interrupt: says whether somebody wants the run to stop, and when it is time to save.
        log_every_steps, validate_every_steps, save_every_steps: in steps; all three are also done
            at the end.
        validation_share: of the time, at most; a validation that would take more is left out, but
            for the first and the last one.
        patience: validations in succession without a better one than the best before, after which
            the training ends.
        health: says what is wrong.
        sheets: says when an image sheet is due by the clock, beside those of the validations.
        resumed: the step after which the run was saved; if the validation that was due there was
            not done any more, it is done now.

    Returns:
        whether the run is over; if not, somebody interrupted it, or there were no more batches.

    Raises:
        TrainingError: a loss or a weight was not finite, or the memory does not suffice. Nothing is
            saved after that step.
        CheckpointError: the last checkpoint of the run could not be written.
    """
    processes = trainer.processes
    validates = processes.of_first(validation is not None)
    watching = _Watching(trainer, validation, keeper, monitor, health, sheets or Pace(0))
    budget, skipped = Budget(validation_share), False
    within_a_step = False

    def validate() -> int:
        """A collective; returns for how many validations there was no better one."""
        with budget.charged():
            watching.validate()
        return processes.of_first(keeper.stale)

    def stale(validations: int) -> bool:
        return patience is not None and validations >= patience

    with monitor:
        try:
            if resumed is None:
                watching.show()
            elif (
                validates
                and (resumed % validate_every_steps == 0 or resumed == stop)
                and processes.of_first(keeper.validated) < resumed
            ):
                count = validate()
                _save(trainer, keeper, monitor, last=resumed == stop)
                if stale(count):
                    return True
            for batch in _until(interrupt, monitor.batches(batches)):
                log = (trainer.steps_done + 1) % log_every_steps == 0
                within_a_step = True
                losses = take(batch, closely=log)
                within_a_step = False
                step = trainer.steps_done
                monitor.gather(step, losses)
                due = validates and (step % validate_every_steps == 0 or step == stop)
                measure = due and (step == stop or processes.of_first(budget.affords_another()))
                if due and not measure and not skipped:
                    skipped = True
                    _log.info(
                        f"step {step}: no validation, since the last took {budget.last or 0:.1f} s "
                        f"and all together may take {validation_share:.0%} of the time "
                        "(train.validation_share); from here on, some are left out"
                    )
                by_clock = interrupt.save_due()
                save = step % save_every_steps == 0 or step == stop

                if log or measure or save or by_clock:
                    monitor.write(trainer.learning_rates(step - 1))
                    if health is not None:
                        health.look_at_once()
                if measure or save or by_clock:
                    _make_ready(trainer, monitor)
                    # Before the validation: whatever happens to that, this much is safe.
                    if save or by_clock:
                        _save(trainer, keeper, monitor)
                        interrupt.saved(by_clock=by_clock and not save)
                ends = step == stop
                if measure:
                    count = validate()
                    ends = ends or stale(count)
                if (save and measure) or ends:  # a checkpoint knows the best value so far
                    _save(trainer, keeper, monitor, last=ends)
                if not measure:
                    watching.show_by_clock()
                if measure or save or by_clock:
                    monitor.restart_clock()
                if ends:
                    if step < stop:
                        _log.info(
                            f"step {step}: no better validation in {count} of them, so the "
                            "training ends here (go on with a larger --patience)."
                        )
                    return True
            if trainer.steps_done < stop:
                monitor.write(trainer.learning_rates(max(0, trainer.steps_done - 1)))
                _make_ready(trainer, monitor)
                _save(trainer, keeper, monitor, last=True)
        except Exception as error:
            if _is_whole(error, within_a_step, processes.alone):
                bad_data = isinstance(error, DataError)
                _save_before_leaving(trainer, keeper, monitor, " --skip-bad" if bad_data else "")
            elif not isinstance(error, TrainingError | CheckpointError | ProcessError):
                error.add_note(_what_is_left(trainer, keeper.run))
            raise
    return trainer.steps_done == stop


class _Watching:
    """What the first process looks at while the others wait."""

    def __init__(
        self,
        trainer: Trainer,
        validation: Validation | None,
        keeper: CheckpointManager,
        monitor: ProgressLogger,
        health: HealthWatch | None,
        sheets: Pace,
    ) -> None:
        self.trainer = trainer
        self.validation = validation if trainer.processes.first else None
        self.keeper = keeper
        self.monitor = monitor
        self.health = health
        self.sheets = sheets
        self.told = False

    def validate(self) -> None:
        """Measure, show, and keep what is the best."""
        if self.validation is None:
            return
        step, journal = self.trainer.steps_done, self.monitor.journal
        with apart(self.trainer.model):
            measured = self.validation.measure(self.trainer)
        journal.scalars(step, {f"validation/{k}": v for k, v in measured.items()})
        journal.marked(self.validation.marked)
        self.show()
        self.keeper.validated = step
        try:
            self.keeper.save_if_best(self.trainer, measured)
            self._tell_what_was_passed_over()
        except CheckpointError as error:
            _log.info(f"{error} The run goes on without it.")
        if self.health is not None:
            self.health.look()

    def _tell_what_was_passed_over(self) -> None:
        if self.keeper.passed_over and not self.told:
            self.told = True
            _log.info(
                f"step {self.trainer.steps_done}: by the measure that decides this would be the "
                f"best, but its outputs are plainly wrong ({', '.join(self.keeper.passed_over)}; "
                "see docs/health.md), so best.pt stays"
            )

    def show(self) -> None:
        """Make an image sheet."""
        if self.validation is None:
            return
        with apart(self.trainer.model):
            sheet = self.validation.show(self.trainer)
        self.monitor.journal.sheet(self.trainer.steps_done, "validation", sheet)
        self.sheets.restart()

    def show_by_clock(self) -> None:
        if self.validation is not None and self.sheets.due():
            began = time.perf_counter()
            self.show()
            self.sheets.done(time.perf_counter() - began)
            self.monitor.restart_clock()


def _is_whole(error: Exception, within_a_step: bool, alone: bool) -> bool:
    """Whether the state that an error left behind is that after a step, worth saving.

    Several processes save together; one that has failed cannot ask the others to.
    """
    if not alone or isinstance(error, CheckpointError):
        return False
    if isinstance(error, OutOfMemoryError):
        return error.undone
    return not within_a_step and not isinstance(error, TrainingError)


def _save_before_leaving(
    trainer: Trainer, keeper: CheckpointManager, monitor: ProgressLogger, cure: str
) -> None:
    step = trainer.steps_done
    if step == 0:
        return
    try:
        monitor.write(trainer.learning_rates(step - 1))
        _make_ready(trainer, monitor)
        path = keeper.save(trainer, last=True)
    except I2iError as error:
        _log.info(f"step {step}: {error}")
        return
    _log.info(
        f"saved after step {step}, before an error ended the training; go on with: "
        f"i2i train --resume {shlex.quote(str(path.parent.parent))}{cure}"
    )


def _what_is_left(trainer: Trainer, run: Run) -> str:
    """What there is to go on with after an error that left weights of neither before nor after a
    step, or of which the other processes know nothing."""
    saved = run.checkpoints()
    if not saved:
        return f"{run.folder} has no checkpoint yet, so nothing is left of step 1 and after."
    return (
        f"The last checkpoint is {saved[-1]}, of {trainer.steps_done} steps that were done; go on "
        f"with: i2i train --resume {shlex.quote(str(run.folder))}"
    )


def _make_ready(trainer: Trainer, monitor: ProgressLogger) -> None:
    """Make sure that the weights are worth keeping. A collective."""
    _require_finite_weights(trainer, monitor.last_good)
    average_statistics(trainer.model, trainer.processes)


def _until(interrupt: Interrupt, batches: Iterator[AnyBatch]) -> Iterator[AnyBatch]:
    """Hand on batches until somebody interrupts.

    A signal to all processes of a run may end the workers first; to fail for want of a batch that
    is not needed any more would lose the run.
    """
    while not interrupt.asked():
        try:
            batch = next(batches, None)
        except (RuntimeError, OSError, WorkerError):
            if interrupt.signal is None:
                raise
            return
        if batch is None:
            return
        yield batch


def _require_finite_weights(trainer: Trainer, last_good: str) -> None:
    """A finite loss may have a gradient that is not; what comes of it must not be saved."""
    finite = [parameter.isfinite().all() for parameter in trainer.model.parameters()]
    if not torch.stack(finite).all():
        broken = [
            name for name, p in trainer.model.named_parameters() if not bool(p.isfinite().all())
        ]
        raise TrainingError(
            f"step {trainer.steps_done}: {len(broken)} weights are no longer finite "
            f"({broken[0]}, ...), so the run cannot go on. The last good checkpoint: {last_good}. "
            "A lower learning rate, precision fp32 or bf16, or another seed may help."
        )


def _save(
    trainer: Trainer, keeper: CheckpointManager, monitor: ProgressLogger, *, last: bool = False
) -> None:
    """Save; if that fails, a run that goes on tries again later."""
    try:
        path = keeper.save(trainer, last=last)
    except CheckpointError as error:
        if last:
            raise
        _log.info(f"{error} The run goes on; saving is tried again later.")
        return
    monitor.last_good = str(path)
    monitor.journal.checkpoint(trainer.steps_done, path)
    if path.parent != keeper.run.best.parent:
        _log.info(
            f"{keeper.run.folder} takes no checkpoint any more, so the last one is {path}; to go "
            f"on with it: i2i train --resume {shlex.quote(str(path.parent.parent))}"
        )
