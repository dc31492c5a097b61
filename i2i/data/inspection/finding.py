"""What an examination returns."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from i2i.data.inspection.classes import Held
from i2i.data.inspection.survey import Survey

Severity = Literal["note", "warning", "error"]

SEVERITIES: tuple[Severity, ...] = ("error", "warning", "note")
"""The worst first. An error stops a training or makes its result worthless, a warning is probably a
mistake, a note is what a person should know."""


@dataclass(frozen=True)
class Finding:
    """Something that a person should know of a data set.

    Attributes:
        kind: a word for programs ("leak", "unreadable", ...).
        severity: how bad it is.
        text: what was found, one sentence.
        groups: the files that it is about, in groups that belong together.
        reasons: what is to be said of each group, or nothing.
        advice: what can be done.
    """

    kind: str
    severity: Severity
    text: str
    groups: tuple[tuple[Path, ...], ...] = ()
    reasons: tuple[str, ...] = ()
    advice: str = ""


@dataclass(frozen=True)
class Tables:
    """How many images are of each kind."""

    sizes: Counter[tuple[int, int]] = field(default_factory=Counter)  # upright (width, height)
    formats: Counter[str] = field(default_factory=Counter)
    modes: Counter[str] = field(default_factory=Counter)
    bits: Counter[int] = field(default_factory=Counter)
    orientations: Counter[int] = field(default_factory=Counter)


@dataclass(frozen=True)
class Diagnosis:
    """What an examination has found, the worst first.

    `bytes` is the size of all readable files; `complete` says whether all pixels were looked at;
    `labels` has what the label maps of a side hold, where its images are such.
    """

    survey: Survey
    tables: Tables
    images: int
    bytes: int
    complete: bool
    findings: tuple[Finding, ...]
    labels: Mapping[str, Held] = field(default_factory=dict)

    @property
    def exit_code(self) -> int:
        """1 if there is anything worse than a note."""
        return int(any(finding.severity != "note" for finding in self.findings))


def worst_first(findings: Sequence[Finding]) -> tuple[Finding, ...]:
    return tuple(sorted(findings, key=lambda finding: SEVERITIES.index(finding.severity)))


def about(
    kind: str,
    severity: Severity,
    text: str,
    paths: Sequence[Path],
    advice: str = "",
    reasons: Sequence[str] = (),
) -> Finding:
    """A finding about files one by one."""
    return Finding(kind, severity, text, tuple((p,) for p in paths), tuple(reasons), advice)
