"""The loop around the steps: log, validate, save, stop."""

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import torch

from i2i.errors import CheckpointError, TrainingError
from i2i.training.checkpoint import save_checkpoint
from i2i.training.interrupt import Interrupt
from i2i.training.memory import Rescue
from i2i.training.monitor import Monitor
from i2i.training.run import Run
from i2i.training.trainer import Trainer
from i2i.training.validation import Validation


class Keeper:
    """Saves a run: the newest checkpoints and the best.

    Arguments:
        run: where the checkpoints go.
        about: what else a checkpoint says of itself; plain values.
        keep: how many numbered checkpoints stay.
        decisive: the measure that decides which checkpoint is the best, and whether "lower" or
            "higher" is better; None if no checkpoint is the best.
        best: the best value so far (of a run that is resumed).
    """

    def __init__(
        self,
        run: Run,
        about: Mapping[str, Any],
        *,
        keep: int,
        decisive: tuple[str, str] | None,
        best: float | None,
    ) -> None:
        self.run = run
        self.about = about
        self.keep = keep
        self.decisive = decisive
        self.best = best

    def save(self, trainer: Trainer) -> str:
        """Write a numbered checkpoint and remove the oldest; returns its path."""
        path = self.run.checkpoint(trainer.steps_done)
        save_checkpoint(path, self._state(trainer))
        self.run.prune(self.keep)
        return str(path)

    def save_if_best(self, trainer: Trainer, measured: Mapping[str, float]) -> bool:
        """Write `best.pt` if the deciding measure was never as good before."""
        if self.decisive is None:
            return False
        name, better = self.decisive
        value, sign = measured[name], {"lower": -1, "higher": 1}[better]
        if not math.isfinite(value) or (self.best is not None and sign * value <= sign * self.best):
            return False
        save_checkpoint(self.run.best, {**self._state(trainer), "best": value})
        self.best = value
        return True

    def _state(self, trainer: Trainer) -> dict[str, Any]:
        return {**self.about, "best": self.best, **trainer.state_dict()}


def fit(
    trainer: Trainer,
    batches: Iterable[Any],
    *,
    rescue: Rescue,
    stop: int,
    monitor: Monitor,
    keeper: Keeper,
    validation: Validation | None,
    interrupt: Interrupt,
    log_every: int,
    validate_every: int,
    save_every: int,
) -> None:
    """Train until `stop` steps are done, or somebody interrupts.

    Arguments:
        trainer: holds what is trained.
        batches: one for each step that is left.
        rescue: does the steps of the trainer, whatever the memory.
        stop: steps that are done in the end, counted from the beginning of the run.
        monitor: reads the losses and shows them.
        keeper: saves.
        validation: measures; without it no checkpoint is the best.
        interrupt: says whether somebody wants the run to stop.
        log_every, validate_every, save_every: in steps; all three are also done at the end.

    Raises:
        TrainingError: a loss or a weight was not finite, or the memory does not suffice. Nothing is
            saved after that step.
        CheckpointError: the last checkpoint of the run could not be written.
    """
    journal = monitor.journal
    with monitor:
        for batch in _until(interrupt, monitor.batches(batches)):
            log = (trainer.steps_done + 1) % log_every == 0
            losses = rescue.step(batch, closely=log)
            step = trainer.steps_done
            monitor.gather(step, losses)
            validate = validation is not None and (step % validate_every == 0 or step == stop)
            save = step % save_every == 0 or step == stop

            if log or validate or save:
                monitor.write(trainer.learning_rates(step - 1))
            if validate or save:
                _require_finite_weights(trainer, monitor.last_good)
            if validation is not None and validate:
                measured = validation.measure(trainer)
                journal.scalars(step, {f"validation/{k}": v for k, v in measured.items()})
                journal.sheet(step, "validation", validation.show(trainer))
                try:
                    keeper.save_if_best(trainer, measured)
                except CheckpointError as error:
                    monitor.say(f"{error} The run goes on without it.")
            if save:  # after the validation: a checkpoint knows the best value so far
                _save(trainer, keeper, monitor, last=step == stop)
            if validate or save:
                monitor.restart_clock()
        if interrupt.signal is not None and trainer.steps_done < stop:
            monitor.write(trainer.learning_rates(max(0, trainer.steps_done - 1)))
            _require_finite_weights(trainer, monitor.last_good)
            _save(trainer, keeper, monitor, last=True)


def _until(interrupt: Interrupt, batches: Iterator[Any]) -> Iterator[Any]:
    """Hand on batches until somebody interrupts.

    A signal to all processes of a run may end the workers first; to fail for want of a batch that
    is not needed any more would lose the run.
    """
    while interrupt.signal is None:
        try:
            batch = next(batches, None)
        except (RuntimeError, OSError, EOFError):
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
