"""The learning rates of the players, and who decides on them."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor
from torch.optim import Optimizer

Theirs = dict[str, list[float | None]]
"""Player -> for each group of its parameters the rate that somebody else has set, or None."""


class LearningRates:
    """Sets the rate of every group of parameters to its base rate times a factor, before each step.

    One rule makes room for others: **a rate that somebody else has set is theirs**. As soon as a
    group has another rate than the one that was set here last (by hand, or by a scheduler of
    `torch.optim.lr_scheduler`), it is left alone from then on, and so is a group that was added.

    Arguments:
        optimizers: of the players; their present rates are the base rates.
    """

    def __init__(self, optimizers: Mapping[str, Optimizer]) -> None:
        self.optimizers = optimizers
        self._base = {
            player: [float(group["lr"]) for group in optimizer.param_groups]
            for player, optimizer in optimizers.items()
        }
        self._last: dict[str, list[_Rate | None]] = {
            player: [_Rate(group["lr"], base) for group, base in self._pairs(player)]
            for player in optimizers
        }

    def set(self, factor: float) -> None:
        """Set every rate that is nobody else's to `factor` times its base rate."""
        for player, last in self._last.items():
            for number, (group, base) in enumerate(self._pairs(player)):
                rate = last[number]
                if rate is None or not rate.stands_in(group):
                    last[number] = None
                    continue
                if isinstance(group["lr"], Tensor):
                    group["lr"].fill_(base * factor)
                else:
                    group["lr"] = base * factor
                last[number] = _Rate(group["lr"], base * factor)

    def at(self, factor: float) -> dict[str, list[float]]:
        """The rates of each player's groups where the factor is `factor`."""
        theirs = self.theirs()
        return {
            player: [
                base * factor if other is None else other
                for (_, base), other in zip(self._pairs(player), theirs[player], strict=True)
            ]
            for player in self.optimizers
        }

    def theirs(self) -> Theirs:
        """The rates that somebody else has set."""
        return {
            player: [
                None if rate is not None and rate.stands_in(group) else float(group["lr"])
                for rate, (group, _) in zip(self._last[player], self._pairs(player), strict=True)
            ]
            for player in self.optimizers
        }

    def restore(self, theirs: Mapping[str, Sequence[float | None]]) -> None:
        """Go on as `theirs` says; a player that is not named has all of its rates from here."""
        for player in self.optimizers:
            others = theirs.get(player) or [None] * len(self._last[player])
            for number, ((group, base), other) in enumerate(
                zip(self._pairs(player), others, strict=False)
            ):
                rate = base if other is None else other
                if isinstance(group["lr"], Tensor):
                    group["lr"].fill_(rate)
                else:
                    group["lr"] = rate
                self._last[player][number] = None if other is not None else _Rate(group["lr"], rate)

    def _pairs(self, player: str) -> list[tuple[dict[str, Any], float]]:
        """The groups that were there from the beginning, with their base rates."""
        return list(zip(self.optimizers[player].param_groups, self._base[player], strict=False))


class _Rate:
    """A rate as it was set; one on a device is read again only if somebody wrote to it."""

    def __init__(self, place: Any, value: float) -> None:
        self.place = place if isinstance(place, Tensor) else None
        self.version = place._version if isinstance(place, Tensor) else 0
        self.value = value

    def stands_in(self, group: Mapping[str, Any]) -> bool:
        rate = group["lr"]
        if not isinstance(rate, Tensor):
            return self.place is None and bool(rate == self.value)
        if rate is self.place and rate._version == self.version:
            return True
        # A device may hold it in float32.
        return math.isclose(float(rate), self.value, rel_tol=1e-6)
