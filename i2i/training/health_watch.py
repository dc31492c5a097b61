"""Says what is wrong with a run while it goes on, and writes it down."""

import logging
from collections.abc import Iterable, Mapping

from torch import Tensor

from i2i.runs.health import IMMEDIATE, TOO_EARLY, is_early, judged, not_judged, verdicts
from i2i.runs.verdict import Verdict
from i2i.training.callbacks import Callback, Training
from i2i.training.monitor import MetricLogger

_log = logging.getLogger(__name__)

RECENT = 20
"""Rows of the log in which to look for what is seen at once."""

MANY = 4
"""Kinds of verdict that lack something, above which what each lacks is more than anybody reads."""


class HealthWatch(Callback):
    """Judges the log of a run again and again (see `i2i.runs.health`).

    What is new is said and goes to TensorBoard; `health.json` in the run folder has the state of
    things.

    Arguments:
        journal: whose rows are judged.
        monitor: the measure that tells progress, and whether "lower" or "higher" is better.
        sides: what the two domains are called.
    """

    def __init__(
        self,
        journal: MetricLogger,
        monitor: tuple[str, str] | None,
        sides: tuple[str, str] = ("A", "B"),
    ) -> None:
        self.journal = journal
        self.monitor = monitor
        self.sides = sides
        self.current: list[Verdict] = []
        self._said: set[tuple[str, str]] = set()

    def on_step(self, training: Training, losses: Mapping[str, Tensor]) -> None:
        if training.logged:
            self.look_at_once()

    def on_validation(self, training: Training, values: Mapping[str, float]) -> None:
        self.look()

    def look(self) -> None:
        """Judge what is in the log by now."""
        self.current = verdicts(self.journal.rows, monitor=self.monitor, sides=self.sides)
        self._tell(self.current)
        self.journal.verdicts(self.current)

    def look_at_once(self) -> None:
        """Look for what takes no time to be seen; cheap enough for every row of the log."""
        recent = verdicts(self.journal.rows[-RECENT:], sides=self.sides)
        found = [v for v in recent if v.kind in IMMEDIATE]
        new = {(v.kind, v.player) for v in found} - {(v.kind, v.player) for v in self.current}
        self._tell(found)
        if new:
            self.current += [v for v in found if (v.kind, v.player) in new]
            self.journal.verdicts(self.current)

    def _tell(self, found: Iterable[Verdict]) -> None:
        for verdict in found:
            if (verdict.kind, verdict.player) not in self._said:
                self._said.add((verdict.kind, verdict.player))
                _log.info(f"health: {verdict}")

    def summary(self) -> list[str]:
        """The state of things in the end, a line each."""
        looked = judged(self.journal.rows, monitor=self.monitor)
        if not self.current and is_early(looked):
            return [f"health: {TOO_EARLY}"]
        lines = [f"health: {verdict}" for verdict in self.current]
        if not lines:
            lines = [f"health: nothing to complain of (looked for: {', '.join(looked)})"]
        missing = not_judged(self.journal.rows, monitor=self.monitor)
        if missing:
            needs = "; ".join(f"{kind} (needs {need})" for kind, need in missing.items())
            if len(missing) > MANY:
                needs = f"{', '.join(missing)} (docs/health.md says what each needs)"
            lines.append(f"health: not judged: {needs}")
        return lines
