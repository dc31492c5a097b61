"""Constants that change over the first part of a run: one shape for all of them.

Half a cosine leads from the value that an option has to the one that it ends with:
final + (value - final) (1 + cos(pi t)) / 2, where t goes from 0 to 1 over the first `until` of the
run (Huang et al., "The GAN is dead; long live the GAN!", NeurIPS 2024, appendix). Everything
follows from the share of the run that is over, so that a resumed run is the same run.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Anneal:
    """The values that constants end with; None stays as it is.

    Attributes:
        until: share of the run after which nothing changes any more, above 0.
        rate: what every learning rate is multiplied by in the end.
        beta2: of Adam.
        half_life: of the moving average, in images.
        weights: term -> its weight in the end.
    """

    until: float = 1.0
    rate: float | None = None
    beta2: float | None = None
    half_life: float | None = None
    weights: Mapping[str, float] = field(default_factory=dict)

    def at(self, share: float, value: float, final: float | None) -> float:
        """What `value` has become when `share` of the run is over, 0..1."""
        if final is None:
            return value
        way = min(share / self.until, 1.0)
        return final + (value - final) * 0.5 * (1 + math.cos(math.pi * way))

    def over(self, share: float) -> bool:
        """Whether everything has its last value."""
        return share >= self.until
