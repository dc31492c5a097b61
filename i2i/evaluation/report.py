"""Evaluations as a table, as JSON, as TensorBoard scalars, and as sheets of the worst images."""

import csv
import io
import json
import math
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from i2i import __version__
from i2i.core.batch import to_signed
from i2i.core.signals import explain, read_signal
from i2i.evaluation.figures import Evaluation, Figure
from i2i.metrics.features import as_colour, fitted
from i2i.runs.image_grid import image_grid

HEADINGS = ("measure", "value", "95 % interval", "inputs", "better", "images", "what it is")


def table(evaluation: Evaluation) -> str:
    """The figures, one to a line; what could not be measured, and what not to conclude."""
    rows = [HEADINGS, *(_row(figure) for figure in evaluation.figures)]
    if all(row[3] == "" for row in rows[1:]):
        rows = [row[:3] + row[4:] for row in rows]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
    details = [f"{f.name}: {_details(f)}" for f in evaluation.figures if f.details]
    lines += ["", *details] if details else []
    lines += [f"Note: {note}" for note in evaluation.comparison.notes]
    lines += [f"Warning: {warning}" for warning in evaluation.warnings]
    name = evaluation.comparison.name
    if name == "real":  # nobody has made these
        name = "real: other real images in the place of those that were made"
    else:
        lines += [f"Not measured: {skipped}" for skipped in evaluation.skipped]
    return "\n".join([name, "-" * len(name), *lines] if name else lines)


def to_json(evaluations: Sequence[Evaluation], about: dict[str, Any]) -> str:
    """Everything, with the figures of each pair."""
    return json.dumps(
        {
            "i2i": __version__,
            **about,
            "comparisons": [
                {
                    "name": each.comparison.name,
                    "figures": [
                        {k: _finite(v) for k, v in asdict(figure).items()}
                        | {"better": figure.better, "meaning": explain(figure.name)}
                        for figure in each.figures
                    ],
                    "images": [
                        {"name": name, **{k: _finite(v) for k, v in values.items()}}
                        for name, values in each.images
                    ],
                    "notes": list(each.comparison.notes),
                    "warnings": each.warnings,
                    "not measured": each.skipped,
                }
                for each in evaluations
            ],
        },
        indent=2,
        allow_nan=False,
    )


def to_csv(evaluations: Sequence[Evaluation]) -> str:
    """The values of each pair: a line for each image, with the names of the measures above.

    A measure that a comparison lacks is an empty cell; the PSNR of an image that is equal to its
    truth is "inf".
    """
    names = dict.fromkeys(
        name for each in evaluations for _, values in each.images for name in values
    )
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["comparison", "image", *names])
    for each in evaluations:
        for name, values in each.images:
            cells = (values.get(measure, "") for measure in names)
            writer.writerow([each.comparison.name, name, *cells])
    return text.getvalue()


def _finite(value: Any) -> Any:
    """JSON has no infinity."""
    if isinstance(value, dict):
        return {key: _finite(each) for key, each in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value


def to_tensorboard(evaluations: Sequence[Evaluation], folder: Path, step: int) -> None:
    """Write each figure, and its interval and details, as scalars below "evaluation"."""
    from torch.utils.tensorboard import SummaryWriter  # slow to import

    with SummaryWriter(str(folder)) as writer:
        for each in evaluations:
            for figure in each.figures:
                name = "/".join(filter(None, ("evaluation", each.comparison.name, figure.name)))
                writer.add_scalar(name, figure.value, step)
                more = {"low": figure.low, "high": figure.high, "inputs": figure.inputs}
                for key, value in {**more, **figure.details}.items():
                    if value is not None:
                        writer.add_scalar(f"{name}/{key}", value, step)


def worst_sheet(evaluation: Evaluation, count: int) -> tuple[Image.Image, str] | None:
    """The worst pairs, the worst first, one to a row, and a line that names them; None if there
    are no pairs."""
    comparison = evaluation.comparison
    by, worst = evaluation.worst(count)
    if not worst:
        return None
    columns: dict[str, list[Tensor]] = {"result": [], "truth": []}
    for at in worst:
        number, partner = comparison.pairs[at]
        if comparison.sources is not None:
            columns.setdefault("input", []).append(comparison.sources[number : number + 1])
        columns["result"].append(comparison.generated[number : number + 1])
        columns["truth"].append(comparison.reference[partner : partner + 1])
    height, width = columns["result"][0].shape[2:]
    sheet = image_grid(
        {
            name: torch.cat([to_signed(fitted(as_colour(each), height, width)) for each in images])
            for name in ("input", "result", "truth")
            if (images := columns.get(name))
        },
        [evaluation.images[at][0] for at in worst],
    )
    rows = [evaluation.images[at] for at in worst]
    names = ", ".join(f"{name} ({values[by]:.4g})" for name, values in rows)
    return sheet, f"worst by {by}: {names}"


def _row(figure: Figure) -> tuple[str, ...]:
    interval = "too few to say" if figure.few else ""
    if figure.low is not None and figure.high is not None:
        interval = f"{_number(figure.low)} .. {_number(figure.high)}"
    inputs = "" if figure.inputs is None else _number(figure.inputs)
    better = "" if figure.better == "neither" else figure.better
    metric = read_signal(figure.name).metric
    meaning = metric.meaning if metric else ""
    numbers = _number(figure.value), interval, inputs, better, str(figure.images)
    return figure.name, *numbers, meaning


def _details(figure: Figure) -> str:
    return ", ".join(f"{name}: {_number(value)}" for name, value in figure.details.items())


def _number(value: float) -> str:
    return str(value) if isinstance(value, int) else f"{value:.4f}"
