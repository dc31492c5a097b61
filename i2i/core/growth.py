"""When networks that grow from coarse to fine have which resolution.

Karras, Aila, Laine, Lehtinen: Progressive Growing of GANs for Improved Quality, Stability, and
Variation, ICLR 2018, section 2: each new resolution fades in and then holds for a while.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate


@dataclass(frozen=True)
class Stage:
    """A resolution: `fade` steps in which its layers fade in, `hold` steps after that.

    `size` is the height and width of its images, `batch_size` how many there are in a step.
    """

    size: int
    batch_size: int
    fade: int
    hold: int


class Growth:
    """Which stage a step belongs to; after the last stage's steps, that stage goes on.

    Arguments:
        stages: from coarse to fine.
    """

    def __init__(self, stages: Sequence[Stage]) -> None:
        assert stages
        self.stages = tuple(stages)
        lengths = [stage.fade + stage.hold for stage in stages]
        self._begins = [0, *accumulate(lengths[:-1])]
        sizes = [length * stage.batch_size for length, stage in zip(lengths, stages, strict=True)]
        self._images = [0, *accumulate(sizes[:-1])]

    @property
    def steps(self) -> int:
        """How many steps all stages take."""
        return self._begins[-1] + self.stages[-1].fade + self.stages[-1].hold

    @property
    def last_begin(self) -> int:
        """The step that the last stage begins with."""
        return self._begins[-1]

    def stage(self, step: int) -> int:
        """The number of the stage of a step, from 0."""
        return max(number for number, begin in enumerate(self._begins) if begin <= step)

    def begins(self, step: int) -> bool:
        """Whether a stage begins with this step."""
        return step in self._begins

    def alpha(self, step: int) -> float:
        """The share of the newest layers in a step: from just above 0 to 1 while they fade in."""
        number = self.stage(step)
        fade = self.stages[number].fade
        return min(1.0, (step - self._begins[number] + 1) / fade) if fade else 1.0

    def batch_size(self, step: int) -> int:
        """Images in a step."""
        return self.stages[self.stage(step)].batch_size

    def images(self, step: int) -> int:
        """Images seen before a step."""
        number = self.stage(step)
        within = (step - self._begins[number]) * self.stages[number].batch_size
        return self._images[number] + within
