"""Scalars as JSON lines, for programs: `log.jsonl`, which `i2i.runs.log` reads again."""

import json
import math
import os
from collections.abc import Mapping
from pathlib import Path

from i2i.core.registry import register_tracker
from i2i.runs.folder import Run
from i2i.runs.log import read_row
from i2i.runs.trackers import Tracker


@register_tracker("json-lines")
class JsonLines(Tracker):
    """Every run has this one: it is judged and reported by its lines."""

    title = "log.jsonl"
    in_folder = True

    def __init__(self, folder: Path, start: int) -> None:
        super().__init__(folder, start)
        self._file = Run(folder).log.open("a+b")
        self._step: int | None = None
        self._row: dict[str, float | None] = {}
        self._begin = 0
        self._file.seek(0)
        for line in self._file:  # a run that goes on adds to the line of its last step
            if (row := read_row(line.decode(errors="replace"))) is not None:
                self._step, self._row = int(row.pop("step") or 0), row
                self._begin = self._file.tell() - len(line)

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        # JSON has no infinity and no NaN.
        finite: dict[str, float | None] = {
            k: v if math.isfinite(v) else None for k, v in values.items()
        }
        if step == self._step:  # what is known of one step stands in one line
            self._row |= finite
            self._file.truncate(self._begin)
        else:
            self._step, self._row = step, finite
        self._begin = self._file.seek(0, os.SEEK_END)
        self._file.write(json.dumps({"step": step, **self._row}).encode() + b"\n")
        self._file.flush()

    def close(self) -> None:
        self._file.close()
