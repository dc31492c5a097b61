"""Says what is wrong with a run while it goes on, and writes it down."""

from collections.abc import Callable

from i2i.training.health import TOO_EARLY, Verdict, is_early, judged, verdicts
from i2i.training.monitor import Journal


class HealthWatch:
    """Judges the log of a run again and again (see `i2i.training.health`).

    What is new is said and goes to TensorBoard; `health.json` in the run folder has the state of
    things.

    Arguments:
        journal: whose rows are judged.
        decisive: the measure that tells progress, and whether "lower" or "higher" is better.
        say: prints a line.
    """

    def __init__(
        self, journal: Journal, decisive: tuple[str, str] | None, say: Callable[[str], None]
    ) -> None:
        self.journal = journal
        self.decisive = decisive
        self.current: list[Verdict] = []
        self._say = say
        self._said: set[tuple[str, str]] = set()

    def look(self) -> None:
        """Judge what is in the log by now."""
        self.current = verdicts(self.journal.rows, decisive=self.decisive)
        for verdict in self.current:
            if (verdict.kind, verdict.player) not in self._said:
                self._said.add((verdict.kind, verdict.player))
                self._say(f"health: {verdict}")
        self.journal.verdicts(self.current)

    def summary(self) -> list[str]:
        """The state of things in the end, a line each."""
        if self.current:
            return [f"health: {verdict}" for verdict in self.current]
        looked = judged(self.journal.rows, decisive=self.decisive)
        if is_early(looked):
            return [f"health: {TOO_EARLY}"]
        return [f"health: nothing to complain of (looked for: {', '.join(looked)})"]
