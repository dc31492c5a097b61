"""The loop around the steps: log, validate, save, stop."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import torch

from i2i.errors import CheckpointError, TrainingError, WorkerError
from i2i.training.budget import Budget
from i2i.training.complaints import HealthWatch
from i2i.training.distributed import apart, average_statistics
from i2i.training.interrupt import Interrupt
from i2i.training.keeper import Keeper
from i2i.training.monitor import Journal, Monitor
from i2i.training.trainer import Losses, Trainer
from i2i.training.validation import Validation


def fit(
    trainer: Trainer,
    batches: Iterable[Any],
    *,
    take: Callable[..., Losses],
    stop: int,
    monitor: Monitor,
    keeper: Keeper,
    validation: Validation | None,
    interrupt: Interrupt,
    log_every: int,
    validate_every: int,
    save_every: int,
    validation_share: float = 1.0,
    stop_after: int | None = None,
    health: HealthWatch | None = None,
) -> bool:
    """Train until `stop` steps are done, or somebody interrupts.

    Of several processes that train together, all call this; the first one validates.

    Arguments:
        trainer: holds what is trained.
        batches: one for each step that is left.
        take: does a step of the trainer, as `Trainer.step`; `Rescue.step` does so whatever the
            memory.
        stop: steps that are done in the end, counted from the beginning of the run.
        monitor: reads the losses and shows them.
        keeper: saves.
        validation: measures; without it no checkpoint is the best.
        interrupt: says whether somebody wants the run to stop.
        log_every, validate_every, save_every: in steps; all three are also done at the end.
        validation_share: of the time, at most; a validation that would take more is left out, but
            for the first and the last one.
        stop_after: validations in succession without a better one than the best before, after which
            the training ends.
        health: says what is wrong.

    Returns:
        whether the run is over; if not, somebody interrupted it.

    Raises:
        TrainingError: a loss or a weight was not finite, or the memory does not suffice. Nothing is
            saved after that step.
        CheckpointError: the last checkpoint of the run could not be written.
    """
    journal, processes = monitor.journal, trainer.processes
    budget, skipped = Budget(validation_share), False
    with monitor:
        for batch in _until(interrupt, monitor.batches(batches)):
            log = (trainer.steps_done + 1) % log_every == 0
            losses = take(batch, closely=log)
            step = trainer.steps_done
            monitor.gather(step, losses)
            due = validation is not None and (step % validate_every == 0 or step == stop)
            validate = due and (step == stop or processes.of_first(budget.affords_another()))
            if due and not validate and not skipped:
                skipped = True
                monitor.say(
                    f"step {step}: no validation, since the last took {budget.last or 0:.1f} s and "
                    f"all together may take {validation_share:.0%} of the time "
                    "(train.validation_share); from here on, some are left out"
                )
            save = step % save_every == 0 or step == stop

            if log or validate or save:
                monitor.write(trainer.learning_rates(step - 1))
                if health is not None:
                    health.look_at_once()
            if validate or save:
                _require_finite_weights(trainer, monitor.last_good)
                average_statistics(trainer.model, trainer.processes)
            if validation is not None and validate and processes.first:
                validation.make_ready()  # only the first time does this take any
                with budget.charged():
                    _validate(trainer, validation, journal, keeper, monitor)
                    if health is not None:
                        health.look()
            stale = processes.of_first(keeper.stale) if validate else 0
            ends = step == stop or (stop_after is not None and stale >= stop_after)
            save = save or ends
            if save:  # after the validation: a checkpoint knows the best value so far
                _save(trainer, keeper, monitor, last=ends)
            if validate or save:
                monitor.restart_clock()
            if ends:
                if step < stop:
                    monitor.say(
                        f"step {step}: no better validation in {stale} of them, so the training "
                        "ends here (go on with a larger --stop-after)."
                    )
                return True
        if interrupt.signal is not None and trainer.steps_done < stop:
            monitor.write(trainer.learning_rates(max(0, trainer.steps_done - 1)))
            _require_finite_weights(trainer, monitor.last_good)
            average_statistics(trainer.model, trainer.processes)
            _save(trainer, keeper, monitor, last=True)
    return trainer.steps_done == stop


def _validate(
    trainer: Trainer, validation: Validation, journal: Journal, keeper: Keeper, monitor: Monitor
) -> None:
    with apart(trainer.model):
        measured, sheet = validation.measure(trainer), validation.show(trainer)
    journal.scalars(trainer.steps_done, {f"validation/{k}": v for k, v in measured.items()})
    journal.sheet(trainer.steps_done, "validation", sheet)
    try:
        keeper.save_if_best(trainer, measured)
    except CheckpointError as error:
        monitor.say(f"{error} The run goes on without it.")


def _until(interrupt: Interrupt, batches: Iterator[Any]) -> Iterator[Any]:
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


def _save(trainer: Trainer, keeper: Keeper, monitor: Monitor, *, last: bool) -> None:
    """Save; if that fails, a run that goes on tries again later."""
    try:
        monitor.last_good = keeper.save(trainer)
    except CheckpointError as error:
        if last:
            raise
        monitor.say(f"{error} The run goes on; saving is tried again later.")
