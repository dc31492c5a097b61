"""What is said of a run."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Verdict:
    """Something that is wrong with a run.

    Arguments:
        kind: one of `i2i.runs.health.KINDS`.
        player: whose: the player or the network as the log calls it, or "" for the whole run.
        since: the first step that shows it without a break.
        step: the last step that was looked at.
        text: one sentence that says what was seen.
        advice: what to try.
        evidence: the numbers, by the names of the signals.
    """

    kind: str
    player: str
    since: int
    step: int
    text: str
    advice: str
    evidence: dict[str, float] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.kind} since step {self.since}: {self.text} {self.advice}"
