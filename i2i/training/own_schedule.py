"""Learning rates by a function of a program's own, or by a scheduler of torch."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

from i2i.errors import OptionsError
from i2i.training.callbacks import Callback, Training

OwnSchedule = Callable[[int], float] | Callable[[Optimizer], LRScheduler]
"""Step, counted from 0 -> what every learning rate is multiplied by; or what makes a scheduler of
torch for an optimizer: its class, with its arguments by `functools.partial`."""


def is_torch_schedule(schedule: Any) -> bool:
    """Whether it makes schedulers of torch."""
    made_by = schedule
    while isinstance(made_by, partial):
        made_by = made_by.func
    return isinstance(made_by, type) and issubclass(made_by, LRScheduler)


def require_schedule(schedule: Any) -> None:
    """Raise `OptionsError` unless it is an `OwnSchedule`."""
    if is_torch_schedule(schedule):
        return
    if isinstance(schedule, LRScheduler):
        raise OptionsError(
            f"schedule (={type(schedule).__name__}) belongs to an optimizer that is not of this "
            "training: give what makes it, partial(CosineAnnealingLR, T_max=1000) say."
        )
    if not callable(schedule):
        raise OptionsError(
            f"schedule (={schedule!r}) must be a function of the step, or make a scheduler of "
            "torch: partial(CosineAnnealingLR, T_max=1000), say."
        )
    try:
        factor = schedule(0)
    except Exception as error:
        raise OptionsError(
            f"schedule fails for step 0 ({type(error).__name__}: {error}): it is called with the "
            "number of the step. A scheduler of torch is given as its class, with its arguments by "
            "functools.partial."
        ) from error
    if isinstance(factor, bool) or not isinstance(factor, int | float):
        raise OptionsError(
            f"schedule(0) is {factor!r}: expected the number that every learning rate is "
            "multiplied by in step 0."
        )


def schedule_name(schedule: Any) -> str:
    """What options call it."""
    while isinstance(schedule, partial):
        schedule = schedule.func
    return str(getattr(schedule, "__name__", type(schedule).__name__))


class TorchSchedules(Callback):
    """A scheduler of torch for the optimizer of each player, which moves on after each step.

    `ReduceLROnPlateau` moves on after each validation instead, by the measure that decides.

    Arguments:
        make: what makes one of an optimizer.
        optimizers: of the players.
        monitor: the measure that decides on the best checkpoint, and whether "lower" or "higher"
            is better.

    Raises:
        OptionsError: it needs such a measure, and there is none; or it takes the worse for better.
    """

    name = "learning rates"

    def __init__(
        self,
        make: Callable[[Optimizer], LRScheduler],
        optimizers: Mapping[str, Optimizer],
        monitor: tuple[str, str] | None = None,
    ) -> None:
        self.optimizers = optimizers
        self.schedulers = {player: _made(make, each) for player, each in optimizers.items()}
        self.monitor = monitor and monitor[0]
        for each in self.schedulers.values():
            if not isinstance(each, ReduceLROnPlateau):
                continue
            if monitor is None:
                raise OptionsError(
                    "schedule (=ReduceLROnPlateau) goes by a measure of validations: set "
                    "train.monitor, and give images to validate with."
                )
            measure, better = monitor
            if each.mode != (mode := {"lower": "min", "higher": "max"}[better]):
                raise OptionsError(
                    f"schedule (=ReduceLROnPlateau) has the mode {each.mode!r}, and of {measure} "
                    f"{better} is better: give partial(ReduceLROnPlateau, mode={mode!r})."
                )

    def on_step(self, training: Training, losses: Mapping[str, Tensor]) -> None:
        for scheduler in self.schedulers.values():
            if not _by_measure(scheduler):
                scheduler.step()

    def on_validation(self, training: Training, values: Mapping[str, float]) -> None:
        for scheduler in self.schedulers.values():
            if isinstance(scheduler, ReduceLROnPlateau) and self.monitor is not None:
                scheduler.step(values[self.monitor])

    def state_dict(self) -> dict[str, Any]:
        return {
            player: {
                # Without functions, which the scheduler that goes on has anyway.
                "scheduler": {k: v for k, v in each.state_dict().items() if not callable(v)},
                # Some change the momentum, too, which no checkpoint holds otherwise.
                "momentum": [
                    {key: group[key] for key in _MOMENTUM if key in group}
                    for group in self.optimizers[player].param_groups
                ],
            }
            for player, each in self.schedulers.items()
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        for player, scheduler in self.schedulers.items():
            scheduler.load_state_dict(state[player]["scheduler"])
            groups = self.optimizers[player].param_groups
            for group, kept in zip(groups, state[player]["momentum"], strict=True):
                # A checkpoint makes lists of pairs.
                group |= {k: tuple(v) if isinstance(v, list) else v for k, v in kept.items()}


def _made(make: Callable[[Optimizer], LRScheduler], optimizer: Optimizer) -> LRScheduler:
    try:
        return make(optimizer)
    except Exception as error:
        name = schedule_name(make)
        raise OptionsError(
            f"schedule (={name}) cannot be made ({type(error).__name__}: {error}): give its other "
            f"arguments by functools.partial({name}, ...)."
        ) from error


_MOMENTUM = ("betas", "momentum")


def _by_measure(scheduler: LRScheduler) -> bool:
    return isinstance(scheduler, ReduceLROnPlateau)
