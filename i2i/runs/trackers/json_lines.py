"""Scalars as JSON lines, for programs: `log.jsonl`, which `i2i.runs.log` reads again."""

import json
import math
from collections.abc import Mapping
from pathlib import Path

from i2i.core.registry import register_tracker
from i2i.runs.folder import Run
from i2i.runs.trackers import Tracker


@register_tracker("json-lines")
class JsonLines(Tracker):
    """Every run has this one: it is judged and reported by its lines."""

    title = "log.jsonl"
    in_folder = True

    def __init__(self, folder: Path, start: int) -> None:
        super().__init__(folder, start)
        self._file = Run(folder).log.open("a", encoding="utf-8")

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        # JSON has no infinity and no NaN.
        finite = {k: v if math.isfinite(v) else None for k, v in values.items()}
        self._file.write(json.dumps({"step": step, **finite}) + "\n")
        self._file.flush()

    def close(self) -> None:
        self._file.close()
