"""The runs of a folder as a page shows them: a line for each, and all about one."""

import math
import os
import socket
import threading
import time
from pathlib import Path
from typing import Any

from i2i.app.refusals import NotFoundError
from i2i.core.signals import explain
from i2i.errors import I2iError, did_you_mean
from i2i.report.curves import charts
from i2i.report.page import render
from i2i.report.record import Record, read_record
from i2i.runs.folder import runs_in
from i2i.runs.health import is_early, judged, verdicts
from i2i.runs.lock import BEAT, OWNER, read_owner
from i2i.runs.outputs import flaws

Stamp = tuple[tuple[int, int], ...]
"""Sizes and times of what a run writes: another one means that something has changed."""

_WRITTEN = ("log.jsonl", "options.toml", OWNER, "checkpoints", "samples")


class Shelf:
    """The runs of a folder, read again where they have changed.

    Arguments:
        runs_dir: the folder; runs may come and go.
    """

    def __init__(self, runs_dir: Path) -> None:
        self.runs_dir = runs_dir
        self._lock = threading.Lock()
        self._summaries: dict[str, tuple[Stamp, dict[str, Any]]] = {}

    def folders(self) -> dict[str, Path]:
        """Name -> folder, the newest first."""
        found = runs_in(self.runs_dir) if self.runs_dir.is_dir() else []
        return {path.name: path for path in reversed(found)}

    def folder(self, name: str) -> Path:
        """Where a run is.

        Raises:
            NotFoundError: there is none of this name.
        """
        known = self.folders()
        if name not in known:
            raise NotFoundError(f"there is no run {name!r}.{did_you_mean(name, known)}")
        return known[name]

    def stamp(self, folder: Path) -> Stamp:
        """What tells whether a run has changed; whether it is alive, too."""
        found = []
        for name in _WRITTEN:
            try:
                stat = (folder / name).stat()
            except OSError:
                found.append((0, 0))
            else:
                # Its owner signs every few seconds, which changes nothing that is shown.
                found.append((0 if name == OWNER else stat.st_mtime_ns, stat.st_size))
        return (*found, (int(is_trained(folder)), 0))

    def summaries(self) -> list[dict[str, Any]]:
        """A line about each run, the newest first."""
        folders = self.folders()
        with self._lock:
            for gone in self._summaries.keys() - folders.keys():
                del self._summaries[gone]
        return [self.summary(name) for name in folders]

    def summary(self, name: str) -> dict[str, Any]:
        """A line about a run.

        Raises:
            NotFoundError: there is none of this name.
        """
        folder = self.folder(name)
        stamp = self.stamp(folder)
        with self._lock:
            known = self._summaries.get(name)
        if known is not None and known[0] == stamp:
            return known[1]
        try:
            told = _summary(name, read_record(folder), trained=bool(stamp[-1][0]))
        except (I2iError, OSError) as error:
            told = {"name": name, "state": "broken", "error": str(error)}
        with self._lock:
            self._summaries[name] = (stamp, told)
        return told

    def details(self, name: str) -> dict[str, Any]:
        """All about a run.

        Raises:
            NotFoundError, RunError: there is none of this name, or it cannot be read.
        """
        folder = self.folder(name)
        record = read_record(folder)
        found = verdicts(record.rows, monitor=record.monitor, sides=record.sides)
        return {
            "summary": self.summary(name),
            "charts": curves(record),
            "sheets": [step for step, _ in record.sheets],
            "options": {path: _plain(value) for path, value in record.options.items()},
            "usual": {path: _plain(value) for path, value in record.usual.items()},
            "recipe": record.recipe,
            "checkpoints": record.checkpoints,
            "notes": record.notes,
            "verdicts": [
                {"kind": v.kind, "since": v.since, "text": v.text, "advice": v.advice}
                for v in found
            ],
            "looked_for": judged(record.rows, monitor=record.monitor),
        }

    def charts(self, name: str) -> list[dict[str, Any]]:
        """The curves of a run.

        Raises:
            NotFoundError, RunError: there is none of this name, or it cannot be read.
        """
        return curves(read_record(self.folder(name)))

    def sheet(self, name: str, step: int) -> Path:
        """The image grid of a step.

        Raises:
            NotFoundError: there is none.
        """
        for each, path in read_record(self.folder(name)).sheets:
            if each == step:
                return path
        raise NotFoundError(f"the run {name!r} has no image grid of step {step}.")

    def report(self, name: str) -> str:
        """The page that `i2i report` writes.

        Raises:
            NotFoundError, RunError: there is none of this name, or it cannot be read.
        """
        return render(read_record(self.folder(name)))


def is_trained(folder: Path) -> bool:
    """Whether somebody trains a run at present: whoever does signs every few seconds."""
    owner = read_owner(folder)
    if owner is None:
        return False
    try:
        age = time.time() - (folder / OWNER).stat().st_mtime
    except OSError:
        return False
    if age > 4 * BEAT:
        return False
    if owner.get("host") != socket.gethostname() or not isinstance(owner.get("pid"), int):
        return True
    return is_alive(owner["pid"])


def is_alive(pid: int) -> bool:
    """Whether there is such a process on this machine."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def curves(record: Record) -> list[dict[str, Any]]:
    """The charts of a record, for JSON."""
    return [
        {
            "section": chart.section,
            "title": chart.title,
            "smooth": chart.smooth,
            "curves": [
                {"name": name, "points": points, "meaning": explain(name, record.sides)}
                for name, points in chart.curves.items()
            ],
        }
        for chart in charts(record.rows)
    ]


def _plain(value: Any) -> Any:
    """An option as JSON has it, which knows no infinity and no NaN."""
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def _summary(name: str, record: Record, *, trained: bool) -> dict[str, Any]:
    options, steps = record.options, record.steps
    planned = options.get("train.steps")
    done = isinstance(planned, int) and steps >= planned
    kinds = [each.kind for each in verdicts(record.rows, monitor=record.monitor)]
    early = is_early(judged(record.rows, monitor=record.monitor))
    return {
        "name": name,
        "model": options.get("model", ""),
        "about": options.get("summary", ""),
        "data": str(options.get("data.root", "")),
        "state": "training" if trained else "done" if done else "stopped",
        "steps": steps,
        "planned": planned,
        "health": "trouble" if kinds else "early" if early else "good",
        "verdicts": kinds,
        "best": _best(record),
        "has_checkpoint": any(each.startswith("step-") for each in record.checkpoints),
        "changed": _changed(record, name),
    }


def _best(record: Record) -> dict[str, Any] | None:
    if record.monitor is None:
        return None
    measure, better = record.monitor
    rows = [row for row in record.rows if row.get(f"validation/{measure}") is not None]
    sound = [row for row in rows if not flaws(row, measure)] or rows
    if not sound:
        return None
    pick = min if better == "lower" else max
    row = pick(sound, key=lambda each: float(each[f"validation/{measure}"]))
    return {
        "measure": measure,
        "value": row[f"validation/{measure}"],
        "step": row["step"],
        "better": better,
        "meaning": explain(f"validation/{measure}", record.sides),
    }


def _changed(record: Record, name: str) -> str:
    started = record.environments[-1][1].get("started") if record.environments else None
    return str(started or "")
