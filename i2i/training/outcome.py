"""How a run ended, and what there is to see of it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from i2i.runs.history import history
from i2i.training.figure import figure
from i2i.training.own import NOTHING, OwnParts


@dataclass(frozen=True)
class Outcome:
    """How a run ended: its folder, the steps done, and the exit code for the shell (0 or 128+n)."""

    folder: Path
    steps: int
    exit_code: int
    own: OwnParts = field(default=NOTHING, repr=False, compare=False)
    """The objects that it was made from."""

    def history(self, *, frame: bool | None = None) -> Any:
        """What was logged, a row for each logged step; see `i2i.history`."""
        return history(self.folder, frame=frame)

    def figure(self, images: int | Sequence[int] = 4, **how: Any) -> Any:
        """What the run makes of some images that it is validated with; see `i2i.figure`."""
        own = {"validation": self.own.validation}
        with self.own.given():
            return figure(self.folder, images, **{**own, **how})
