"""Taking part in a training: one small protocol, for what is built in and for a user's own.

What a run logs, shows, keeps and watches over hangs on it (`ProgressLogger`, `HealthWatch`, and the
callbacks of `i2i.training.watching`), and so do learning rates by a scheduler of torch
(`i2i.training.own_schedule`)::

    class Stop(i2i.Callback):
        def on_validation(self, training, values):
            if values["l1"] < 0.05:
                training.end("it is good enough.")

    i2i.train("pix2pix", dataroot="demo", callbacks=[Stop()])
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor

from i2i.errors import CheckpointError, I2iError, OptionsError, reason
from i2i.runs.folder import Run
from i2i.runs.log import Row

if TYPE_CHECKING:
    from i2i.training.monitor import MetricLogger
    from i2i.training.trainer import Trainer

_log = logging.getLogger(__name__)


class Training:
    """A training that goes on, as callbacks see it.

    Attributes:
        trainer: holds all that is trained: `trainer.model`, `trainer.optimizers`, `trainer.ema`.
        stop: steps that are done in the end, counted from the beginning of the run.
        resumed: the step after which the run goes on; None for a new one.
        logged: in `on_step`, whether this step has a new row in the log: the means since the last.
        validates: in `on_step`, whether a validation follows.
        ending: why the training ends after this step, if it was asked to; "" if not.
        over: in `on_end`, whether the run is over; else it was interrupted, and can be resumed.
    """

    def __init__(
        self,
        trainer: "Trainer",
        journal: "MetricLogger",
        run: Callable[[], Run],
        stop: int,
        resumed: int | None = None,
    ) -> None:
        self.trainer = trainer
        self.stop = stop
        self.resumed = resumed
        self.logged = False
        self.validates = False
        self.ending = ""
        self.over = False
        self._journal = journal
        self._run = run

    @property
    def step(self) -> int:
        """Steps that are done."""
        return self.trainer.steps_done

    @property
    def folder(self) -> Path:
        """The folder of the run."""
        return self._run().folder

    @property
    def rows(self) -> list[Row]:
        """The log so far, a row for each step that has one; see `Outcome.history`. Of several
        processes that train together, only the first has it."""
        return self._journal.rows

    def log(self, values: Mapping[str, float]) -> None:
        """Write numbers into the log and to all trackers, beside what is logged of this step.

        Arguments:
            values: name -> number; a name such as "mine/sharpness" keeps them together.
        """
        self._journal.scalars(self.step, values)

    def end(self, why: str) -> None:
        """Let the training end after this step, saved and resumable, as if it were over.

        Of several processes that train together, all must ask for it after the same step, or the
        first one in `on_validation`.

        Arguments:
            why: a sentence for the log.
        """
        self.ending = why or "a callback has asked for it."


class Callback:
    """Takes part in a training: what happens is told by these methods, all of which may stay out.

    They are called between steps, when weights, optimizers and average are those after a step.
    What a callback raises ends the training, and the run is saved first. Torch's, numpy's and
    Python's random state belongs to the program: no step draws from it.

    A callback with a state (`state_dict`) is a part of the run: the state is in each checkpoint,
    and the run goes on only with a callback of that name. Of others the checkpoint has the names: a
    run that goes on without them says so.
    """

    @property
    def name(self) -> str:
        """What it is called in checkpoints and messages."""
        return type(self).__name__

    def on_start(self, training: Training) -> None:
        """Before the first step of a new run, or of one that goes on; states are loaded."""

    def on_step(self, training: Training, losses: Mapping[str, Tensor]) -> None:
        """After each step.

        Arguments:
            training: what goes on.
            losses: of this step, by "player/term", as scalars on the device. To read one waits for
                the device: `training.rows[-1]`, if `training.logged`, has their means already.
        """

    def on_validation(self, training: Training, values: Mapping[str, float]) -> None:
        """After each validation, whose values are in the log under "validation/"."""

    def on_save(self, training: Training, path: Path) -> None:
        """After a checkpoint was written that the run can go on from."""

    def on_end(self, training: Training) -> None:
        """After the last step; everything is saved."""

    def on_error(self, training: Training, error: Exception) -> None:
        """Instead of `on_end`, if something has failed; what could be saved is saved."""

    def state_dict(self) -> Mapping[str, Any] | None:
        """What must be the same when the run goes on: tensors and plain values (numbers, texts,
        lists, dictionaries with texts as keys). None for a callback that keeps nothing."""
        return None

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a state."""


class Callbacks:
    """The callbacks of a training, told one after the other.

    Arguments:
        built_in: those of the package that have a state.
        own: those of a user.

    Raises:
        OptionsError: one of them is none, or has a state that a checkpoint cannot hold.
    """

    def __init__(self, built_in: Sequence[Callback] = (), own: Sequence[Callback] = ()) -> None:
        self.all = [*built_in, *own]
        self.failed: Exception | None = None
        """What a callback of a user has raised."""
        self.leaving = False
        """After an error: a callback that cannot tell its state has that which was saved last."""
        self._own = {*map(id, own)}
        self._named = named([*own, *built_in])
        self._kept: dict[str, Any] = {}
        self.state_dict()  # what is wrong with it must not show after a thousand steps

    def tell_first(self, others: Sequence[Callback]) -> None:
        """Tell others, which have no state, before those that there are."""
        self.all = [*others, *self.all]

    def start(self, training: Training) -> None:
        """Before the first step."""
        self._tell("on_start", training)

    def step(self, training: Training, losses: Mapping[str, Tensor]) -> None:
        """After a step."""
        self._tell("on_step", training, losses)

    def validation(self, training: Training, values: Mapping[str, float]) -> None:
        """After a validation."""
        self._tell("on_validation", training, values)

    def save(self, training: Training, path: Path) -> None:
        """After a checkpoint was written."""
        self._tell("on_save", training, path)

    def end(self, training: Training) -> None:
        """After the last step."""
        self._tell("on_end", training)

    def error(self, training: Training, error: Exception) -> None:
        """Tell all, whatever one of them makes of it: the first error is the one that counts."""
        for each in self.all:
            try:
                each.on_error(training, error)
            except Exception as another:  # noqa: BLE001 (as above)
                _log.info(f"the callback {each.name} fails in on_error: {reason(another)}")

    def state_dict(self) -> dict[str, Any]:
        """The states of those that have one, by name; None of those of a user that have none.

        Raises:
            OptionsError: one is no state that a checkpoint can hold.
        """
        states = {}
        for name, each in self._named.items():
            try:
                if (state := each.state_dict()) is not None:
                    states[name] = _plain(state, f"the state of the callback {name}")
                elif id(each) in self._own:
                    states[name] = None
            except Exception as error:
                if not self.leaving:
                    self._note(each, "state_dict", error)
                    raise
                if name in self._kept:
                    states[name] = self._kept[name]
                    _log.info(f"the callback {name} cannot tell its state: the last one is saved.")
        self._kept = states
        return states

    def load_state_dict(self, states: Mapping[str, Any]) -> None:
        """Go on from states.

        Raises:
            CheckpointError: one of the callbacks is not here, or does not take its state.
        """
        absent = sorted(states.keys() - self._named.keys())
        if missing := [name for name in absent if states[name] is not None]:
            raise CheckpointError(
                f"the run has a state of {', '.join(missing)}: give "
                f"{'them' if len(missing) > 1 else 'it'} again, by callbacks=[...] of i2i.resume."
            )
        if absent:
            _log.info(
                f"note: the run goes on without {', '.join(absent)}, which it had: give "
                f"{'them' if len(absent) > 1 else 'it'} again, by callbacks=[...] of i2i.resume, "
                "if that was not meant."
            )
        for name, state in states.items():
            if state is None:
                continue
            try:
                self._named[name].load_state_dict(state)
            except Exception as error:
                raise CheckpointError(
                    f"the callback {name} does not go on from its state in the checkpoint: "
                    f"{type(error).__name__}: {error}."
                ) from error

    def _tell(self, event: str, *arguments: Any) -> None:
        for each in self.all:
            try:
                getattr(each, event)(*arguments)
            except Exception as error:
                self._note(each, event, error)
                raise

    def _note(self, callback: Callback, event: str, error: Exception) -> None:
        if id(callback) in self._own and self.failed is not error:
            self.failed = error
            if not isinstance(error, I2iError):  # whose text says all
                error.add_note(f"In {event} of the callback {callback.name}.")


def named(callbacks: Sequence[Callback]) -> dict[str, Callback]:
    """Callbacks by name; of several of one name the second is NAME-2, and so on.

    Raises:
        OptionsError: one of them is none.
    """
    found: dict[str, Callback] = {}
    for each in callbacks:
        if not isinstance(each, Callback):
            raise OptionsError(
                f"callbacks: {each!r} must be an object of a subclass of i2i.Callback."
            )
        name, number = each.name, 1
        while name in found:
            number += 1
            name = f"{each.name}-{number}"
        found[name] = each
    return found


def _plain(value: Any, what: str) -> Any:
    """A copy of a state that a checkpoint can hold.

    Raises:
        OptionsError: it cannot.
    """
    if isinstance(value, Mapping) and all(isinstance(key, str | int) for key in value):
        return {key: _plain(each, what) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each, what) for each in value]
    if isinstance(value, Tensor):
        return value.detach().clone()
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, int | np.integer):
        return int(value)
    if isinstance(value, float | np.floating):
        return float(value)
    raise OptionsError(
        f"{what} holds a value of the type {type(value).__name__}: state_dict must give tensors "
        "and plain values (numbers, texts, lists, dictionaries of them)."
    )
