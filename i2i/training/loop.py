"""The loop around the steps: log, validate, save, stop."""

from collections.abc import Iterable, Mapping
from typing import Any

from i2i.errors import CheckpointError
from i2i.training.checkpoint import save_checkpoint
from i2i.training.interrupt import Interrupt
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
        sign = {"lower": -1, "higher": 1}[better]
        if self.best is not None and sign * measured[name] <= sign * self.best:
            return False
        self.best = measured[name]
        save_checkpoint(self.run.best, self._state(trainer))
        return True

    def _state(self, trainer: Trainer) -> dict[str, Any]:
        return {**self.about, "best": self.best, **trainer.state_dict()}


def fit(
    trainer: Trainer,
    batches: Iterable[Any],
    *,
    stop: int,
    monitor: Monitor,
    keeper: Keeper,
    validation: Validation | None,
    log_every: int,
    validate_every: int,
    save_every: int,
) -> Interrupt:
    """Train until `stop` steps are done, or somebody interrupts.

    Arguments:
        trainer: does the steps.
        batches: one for each step that is left.
        stop: steps that are done in the end, counted from the beginning of the run.
        monitor: reads the losses and shows them.
        keeper: saves.
        validation: measures; without it no checkpoint is the best.
        log_every, validate_every, save_every: in steps; all three are also done at the end.

    Returns:
        the interrupt, whose `signal` is None if the run came to its end.

    Raises:
        TrainingError: a loss was not finite. Nothing is saved after that step.
    """
    journal = monitor.journal
    with Interrupt() as interrupt, monitor:
        for batch in monitor.batches(batches):
            losses = trainer.step(batch)
            step = trainer.steps_done
            monitor.gather(step, losses)
            stopping = interrupt.signal is not None
            last = step == stop or stopping
            validate = validation is not None and (step % validate_every == 0 or step == stop)
            save = step % save_every == 0 or last

            if step % log_every == 0 or validate or save:
                monitor.write(trainer.learning_rates())  # before anything is saved: it checks
            if validation is not None and validate:
                measured = validation.measure(trainer)
                journal.scalars(step, {f"validation/{k}": v for k, v in measured.items()})
                journal.sheet(step, "validation", validation.show(trainer))
                keeper.save_if_best(trainer, measured)
            if save:
                try:
                    monitor.last_good = keeper.save(trainer)
                except CheckpointError as error:
                    if last:
                        raise
                    monitor.say(f"{error} The run goes on; saving is tried again later.")
            if validate or save:
                monitor.restart_clock()
            if stopping:
                break
    return interrupt
