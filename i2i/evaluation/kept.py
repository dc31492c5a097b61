"""Evaluations of runs that are kept in their folders, so that none is made twice."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from i2i.data.kinds.folders import results_folder
from i2i.errors import RunError
from i2i.evaluation.evaluate import measured
from i2i.evaluation.report import to_json
from i2i.evaluation.runs import run_comparisons
from i2i.runs.folder import Run, find_checkpoint
from i2i.system import gate
from i2i.system.atomic import write_text

FOLDER = "evaluation"

Kept = dict[str, Any]
"""What `i2i evaluate --json` writes."""


def evaluated(
    folder: Path,
    split: str,
    *,
    best: bool | str | None = None,
    measures: Sequence[str] = (),
    count: int | None = None,
    **tools: Any,
) -> Kept:
    """The evaluation of a run on a split: as it was kept, or made and kept now.

    Arguments:
        folder: of the run.
        split: "train", "val" or "test".
        best: as for `find_checkpoint`; None for the best if anything decided on it, else the last.
        measures: some of `i2i.evaluation.figures.MEASURES`; by default all that are possible.
        count: how many images are looked at.
        tools: as for `i2i.evaluation.evaluate_run`.

    Raises:
        I2iError: as for `evaluate_run`.
    """
    if best is None:
        best = Run(folder).best.exists()
    checkpoint, _ = find_checkpoint(folder, Path(), best=best)
    name = best if isinstance(best, str) else "best" if best else "last"
    path = folder / FOLDER / f"{split}-{name.replace(':', '-')}.json"
    asked = {
        "measures": sorted(measures),
        "count": count,
        "features": tools.get("features", "auto"),
    }
    if (kept := _read(path)) is not None and kept.get("asked") == asked:
        same = kept.get("checkpoint name") == checkpoint.name
        if same and path.stat().st_mtime >= checkpoint.stat().st_mtime:
            return kept
    found = run_comparisons(
        checkpoint,
        split=split,
        count=count,
        device=tools.get("device", "auto"),
        asked=measures,
    )
    about = {
        "checkpoint": str(found.checkpoint),
        "checkpoint name": found.checkpoint.name,
        "step": found.step,
        "split": split,
        "chosen by validation": bool(best),
        "asked": asked,
    }
    text = to_json(measured(found.comparisons, measures, tools), about)
    with results_folder(path.parent):
        path.parent.mkdir(exist_ok=True)
        write_text(path, text + "\n")
    made: Kept = json.loads(text)
    return made


def _read(path: Path) -> Kept | None:
    """What was kept, if it can be read."""
    try:
        found = gate.parse_json(gate.read_text(path, 2**28), 2**24)
    except gate.RefusedError:
        return None
    return found if isinstance(found, dict) else None


def figures_of(kept: Kept) -> dict[str, float]:
    """The figures of an evaluation by their names, with the comparison that each is of."""
    try:
        return {
            _named(comparison["name"], figure["name"]): figure["value"]
            for comparison in kept["comparisons"]
            if comparison["name"] != "real"
            for figure in comparison["figures"]
            if figure["value"] is not None
        }
    except (KeyError, TypeError) as error:
        raise RunError(f"an evaluation that was kept is damaged ({error}): remove it.") from None


def values_of(kept: Kept) -> dict[str, dict[str, float]]:
    """The values of each image by measure and name; those of infinite ones are left out."""
    found: dict[str, dict[str, float]] = {}
    for comparison in kept["comparisons"]:
        for image in comparison["images"]:
            for name, value in image.items():
                if name != "name" and value is not None:
                    values = found.setdefault(_named(comparison["name"], name), {})
                    values[image["name"]] = value
    return found


def _named(comparison: str, figure: str) -> str:
    return f"{figure} {comparison}".strip()
