"""The loop around the steps: log, validate, save, stop."""

import logging
import shlex
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
from i2i.training.callbacks import Callbacks, Training
from i2i.training.checkpoints import CheckpointManager
from i2i.training.interrupt import Interrupt
from i2i.training.monitor import ProgressLogger
from i2i.training.oom import OutOfMemoryError
from i2i.training.trainer import Losses, Trainer
from i2i.training.validation import Validation

_log = logging.getLogger(__name__)


def fit(
    training: Training,
    batches: Iterable[AnyBatch],
    *,
    take: Callable[..., Losses],
    monitor: ProgressLogger,
    keeper: CheckpointManager,
    callbacks: Callbacks,
    validation: Validation | None,
    interrupt: Interrupt,
    log_every_steps: int,
    validate_every_steps: int,
    save_every_steps: int,
    validation_share: float = 1.0,
) -> bool:
    """Train until `training.stop` steps are done, or somebody interrupts.

    Of several processes that train together, all call this; the first one validates.

    Whatever ends the training between two steps, it saves before it leaves. What is raised within
    a step leaves weights that are neither of before nor of after it: then a note of the exception
    names the last checkpoint, as it does in each of several processes.

    Arguments:
        training: what goes on. If it was resumed, and the validation that was due then was not
            done any more, it is done now.
        batches: one for each step that is left.
        take: does a step of the trainer, as `Trainer.step`; `OOMRetry.step` does so whatever the
            memory.
        monitor: reads the losses and shows them.
        keeper: saves.
        callbacks: are told what happens, `monitor` among them.
        validation: measures. Only the first process needs it.
        interrupt: says whether somebody wants the run to stop, and when it is time to save.
        log_every_steps, validate_every_steps, save_every_steps: in steps; all three are also done
            at the end.
        validation_share: of the time, at most; a validation that would take more is left out, but
            for the first and the last one.

    Returns:
        whether the run is over; if not, somebody interrupted it, or there were no more batches.

    Raises:
        TrainingError: a loss or a weight was not finite, or the memory does not suffice. Nothing is
            saved after that step.
        CheckpointError: the last checkpoint of the run could not be written.
    """
    trainer, stop = training.trainer, training.stop
    processes = trainer.processes
    validates = processes.of_first(validation is not None)
    budget, skipped = Budget(validation_share), False
    within_a_step = False

    def validate() -> None:
        """A collective."""
        with budget.charged():
            measured: dict[str, float] = {}
            if validation is not None and processes.first:
                with apart(trainer.model):
                    measured = validation.measure(trainer)
            callbacks.validation(training, processes.of_first(measured))
        training.ending = processes.of_first(training.ending)

    def save(*, last: bool = False) -> None:
        """Save; if that fails, a run that goes on tries again later."""
        try:
            path = keeper.save(trainer, last=last)
        except CheckpointError as error:
            if last:
                raise
            _log.info(f"{error} The run goes on; saving is tried again later.")
            return
        if path.parent != keeper.run.best.parent:
            _log.info(
                f"{keeper.run.folder} takes no checkpoint any more, so the last one is {path}; to "
                f"go on with it: i2i train --resume {shlex.quote(str(path.parent.parent))}"
            )
        callbacks.save(training, path)

    def ended(*, over: bool) -> bool:
        training.over = over
        callbacks.end(training)
        return over

    with monitor:
        try:
            callbacks.start(training)
            resumed = training.resumed
            if (
                resumed is not None
                and validates
                and (resumed % validate_every_steps == 0 or resumed == stop)
                and processes.of_first(keeper.validated) < resumed
            ):
                validate()
                save(last=resumed == stop)
                if training.ending:
                    return ended(over=True)
            for batch in _until(interrupt, monitor.batches(batches)):
                log = (trainer.steps_done + 1) % log_every_steps == 0
                within_a_step = True
                losses = take(batch, closely=log)
                within_a_step = False
                step = trainer.steps_done
                due = validates and (step % validate_every_steps == 0 or step == stop)
                measure = due and (step == stop or processes.of_first(budget.affords_another()))
                if due and not measure and not skipped:
                    skipped = True
                    _log.info(
                        f"step {step}: no validation, since the last took {budget.last or 0:.1f} s "
                        f"and all together may take {validation_share:.0%} of the time "
                        "(train.validation_share); from here on, some are left out"
                    )
                planned = step % save_every_steps == 0 or step == stop
                by_clock = interrupt.save_due()
                looks = measure or planned or by_clock
                training.logged, training.validates = log or looks, measure
                callbacks.step(training, losses)
                if looks:
                    _make_ready(trainer, monitor)
                    # Before the validation: whatever happens to that, this much is safe.
                    if planned or by_clock:
                        save()
                        interrupt.saved(by_clock=by_clock and not planned)
                if measure:
                    validate()
                ends = step == stop or bool(training.ending)
                if ends and not looks:
                    monitor.write(trainer.learning_rates(step - 1))
                    _make_ready(trainer, monitor)
                if (planned and measure) or ends:  # a checkpoint knows the best value so far
                    save(last=ends)
                if looks:
                    monitor.restart_clock()
                if ends:
                    if step < stop:
                        _log.info(f"step {step}: {training.ending}")
                    return ended(over=True)
            if trainer.steps_done < stop:
                monitor.write(trainer.learning_rates(max(0, trainer.steps_done - 1)))
                _make_ready(trainer, monitor)
                save(last=True)
            return ended(over=trainer.steps_done == stop)
        except Exception as error:
            of_callback = callbacks.failed is error and processes.alone
            if of_callback or _is_whole(error, within_a_step, processes.alone):
                callbacks.leaving = True
                cure = " --skip-bad" if isinstance(error, DataError) and not of_callback else ""
                _save_before_leaving(training, keeper, monitor, cure)
            elif not isinstance(error, TrainingError | CheckpointError | ProcessError):
                error.add_note(_what_is_left(trainer, keeper.run))
            callbacks.error(training, error)
            raise


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
    training: Training, keeper: CheckpointManager, monitor: ProgressLogger, cure: str
) -> None:
    trainer, step = training.trainer, training.step
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
