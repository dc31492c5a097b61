"""Whether a trainer can go on from a checkpoint: looked at before anything of it is taken over."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from i2i.errors import CheckpointError
from i2i.system.gate import misfits, shortened
from i2i.training.trainer import Trainer

_KEPT = {
    torch.optim.Adam: {"step", "exp_avg", "exp_avg_sq"},
    torch.optim.RMSprop: {"step", "square_avg"},
}
"""What an optimizer keeps for each weight that it has moved."""


def require_resumable(trainer: Trainer, state: Mapping[str, Any], name: str) -> None:
    """Raise `CheckpointError` unless `trainer.load_state_dict` and the steps after it will succeed.

    Arguments:
        trainer: built of the options of the run.
        state: the checkpoint, whose parts are of the right types (`require_parts`).
        name: of the checkpoint, for the error.
    """
    wrong = next(_problems(trainer, state), "")
    if wrong:
        raise CheckpointError(
            f"{name} cannot be resumed, because {wrong}: it is damaged, or its options were "
            "changed; take an older one from the same folder."
        )


def _problems(trainer: Trainer, state: Mapping[str, Any]) -> Iterator[str]:
    if wrong := misfits(trainer.model.state_dict(), state["model"]):
        yield f"its weights do not fit: {wrong}"
    for part in ("stale", "histories"):
        if part not in state:
            yield f"it has no {part!r}"
    for part, wanted in (
        ("optimizers", trainer.optimizers),
        ("scalers", trainer.precision.scalers),
        ("histories", trainer.histories),
    ):
        for player in wanted:
            if not isinstance(state[part].get(player), dict):
                yield f"it has nothing of the {player} in its {part}"
    for player, optimizer in trainer.optimizers.items():
        kept = state["optimizers"][player].get("state")
        # An optimizer counts its weights group by group, whatever their order in the networks.
        weights = [each for group in optimizer.param_groups for each in group["params"]]
        yield from _optimizer(player, kept, weights, _KEPT.get(type(optimizer)))
    for player, scaler in trainer.precision.scalers.items():
        for key in scaler.state_dict():
            value = state["scalers"][player].get(key)
            if not isinstance(value, int | float) or isinstance(value, bool):
                yield f"the {player}'s {key} (={shortened(value)}) is no number"
    if trainer.ema is not None and (wrong := misfits(trainer.ema.state_dict(), state["average"])):
        yield f"its moving average does not fit: {wrong}"
    counted = None if trainer.ema is None else trainer.ema.updates
    updates = state.get("average_updates")
    if counted is not None and updates is not None and not _like(updates, counted):
        yield f"the updates of its moving average (={shortened(updates)}) are no number"
    if (augmentation := trainer.augmentation) is not None:
        kept = state.get("augmentation")
        if wrong := misfits(augmentation.kept(), kept if isinstance(kept, dict) else {}):
            yield f"the probability of its augmentation does not fit: {wrong}"
    if not _are_rates(state.get("rates", {})):
        yield f"its learning rates (={shortened(state['rates'])}) are no numbers"
    for player, history in trainer.histories.items():
        past, ours = state["histories"][player], history.state_dict()
        if not _like(past.get("turns"), ours["turns"]) or not _alike(
            past.get("mean"), ours["mean"]
        ):
            yield f"the past of the {player} does not fit its networks"
    yield from _ranks(state.get("ranks", []), trainer.model.state_dict())


def _optimizer(
    player: str, kept: Any, parameters: Sequence[Tensor], names: set[str] | None
) -> Iterator[str]:
    if not isinstance(kept, dict):
        yield f"the optimizer of the {player} has no state"
        return
    for number, row in kept.items():
        if not isinstance(number, int) or not 0 <= number < len(parameters):
            yield f"the optimizer of the {player} has a weight {shortened(number)}"
        elif not isinstance(row, dict) or (names is not None and row.keys() != names):
            yield f"the optimizer of the {player} does not hold {', '.join(sorted(names or ()))}"
        else:
            for name, value in row.items():
                scalar = isinstance(value, int | float | None) or value.numel() == 1
                if not (
                    scalar if name == "step" else value is None or _like(value, parameters[number])
                ):
                    yield f"{name} of weight {number} of the {player} has another shape"


def _ranks(ranks: Any, own: Mapping[str, Any]) -> Iterator[str]:
    """What the other processes of a run had: buffers of the model, a dictionary each."""
    fits = isinstance(ranks, list | tuple) and all(
        isinstance(each, dict)
        and all(name in own and _like(value, own[name]) for name, value in each.items())
        for each in ranks
    )
    if not fits:
        yield "what other processes had does not fit the networks"


def _are_rates(told: Any) -> bool:
    """Whether it gives each player a list of rates that somebody else has set; None for none."""
    return isinstance(told, dict) and all(
        isinstance(each, list)
        and all(
            rate is None or (isinstance(rate, int | float) and not isinstance(rate, bool))
            for rate in each
        )
        for each in told.values()
    )


def _alike(found: Any, own: Sequence[Tensor]) -> bool:
    return (
        isinstance(found, list | tuple) and len(found) == len(own) and all(map(_like, found, own))
    )


def _like(found: Any, own: Tensor) -> bool:
    return isinstance(found, Tensor) and found.shape == own.shape
