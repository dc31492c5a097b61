"""The log of a run, read again: `log.jsonl`, which `i2i.training.monitor` writes.

A program that is ended leaves half a line, a machine that fails leaves zeros, and whoever likes may
have written into the file. What is no line of a log is left out and counted; the rest is as good as
before.
"""

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from i2i.errors import RunError

Row = dict[str, Any]
"""A line: "step", a whole number, and scalars by their names; None was not finite."""


@dataclass(frozen=True)
class Log:
    """What a log says.

    Attributes:
        rows: its lines, oldest step first.
        broken: how many lines are none, and are left out.
        torn: whether one of these is the last and was not written to its end, as in a run that
            goes on or was ended.
    """

    rows: list[Row]
    broken: int
    torn: bool


def read_log(path: Path) -> Log:
    """Read what was logged.

    Raises:
        RunError: the file cannot be read, or is not there.
    """
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise RunError(f"'{path}' cannot be read: {error.strerror}.") from error
    found = [read_row(line) for line in text.splitlines()]
    rows = sorted((row for row in found if row is not None), key=lambda row: int(row["step"]))
    torn = bool(found) and found[-1] is None and not text.endswith("\n")
    return Log(rows, len(found) - len(rows), torn)


def read_row(line: str) -> Row | None:
    """A line of a log without what is no scalar; None if it is no line of a log."""
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(found, dict) or not isinstance(found.get("step"), int):
        return None
    row = {k: _finite(v) for k, v in found.items() if v is None or _is_scalar(v)}
    return row if "step" in row else None


def _is_scalar(value: Any) -> bool:
    """Whether it is a number; JSON knows whole ones of any length, which no float can hold."""
    if isinstance(value, bool):
        return False
    return isinstance(value, float) or (isinstance(value, int) and abs(value) < 2**63)


def _finite(value: Any) -> Any:
    # JSON has no infinity and no NaN, but Python reads and writes them.
    return None if value is None or not math.isfinite(value) else value
