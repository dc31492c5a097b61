"""How the learning rate changes over a run."""

import math
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Schedule:
    """What the learning rate is multiplied by, as a function of how far the run is.

    The run is divided into `length` units, epochs or steps; the factor is constant within a unit.

    - "constant": 1.
    - "linear": 1 for the first `hold` share of the run, then linearly towards 0. Unit t of n, with
      h of them at the full rate, has the factor 1 - max(0, t + 1 - h) / (n - h + 1). With 200
      epochs and `hold` 0.5 these are the 100 + 100 epochs of CycleGAN and pix2pix.
    - "step": multiplied by `factor` after each `every` share of the run.
    - "cosine": (1 + cos(pi t / n)) / 2 (Loshchilov and Hutter: SGDR, 2017, without restarts).
    """

    name: str
    length: int
    hold: float = 0.5
    every: float = 0.25
    factor: float = 0.1

    def at(self, unit: int) -> float:
        """The factor in unit `unit`, counted from 0; past the end it stays as in the last."""
        unit = min(unit, self.length - 1)
        match self.name:
            case "constant":
                return 1.0
            case "linear":
                held = round(self.hold * self.length)
                return 1.0 - max(0, unit + 1 - held) / (self.length - held + 1)
            case "step":
                return float(self.factor ** (unit // max(1, round(self.every * self.length))))
            case "cosine":
                return 0.5 * (1 + math.cos(math.pi * unit / self.length))
        raise AssertionError(self.name)


def warmed_up(rate: Callable[[int], float], steps: int) -> Callable[[int], float]:
    """A schedule whose factor rises linearly over the first steps: that of step t, counted from 0,
    is multiplied by min(1, (t + 1) / steps) (Goyal et al.: Accurate, Large Minibatch SGD, 2017)."""
    if steps == 0:
        return rate
    return lambda step: rate(step) * min(1.0, (step + 1) / steps)
