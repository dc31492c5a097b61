"""The model card of a bundle: what it is, what it was trained on, how good it is, how to use it."""

import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from i2i import __version__
from i2i.config import Options
from i2i.core.signals import explain, read_signal
from i2i.data.kinds import find_kind
from i2i.data.kinds.splits import read_sides, read_splits
from i2i.errors import RunError
from i2i.models.build import data_kind
from i2i.runs.folder import Run
from i2i.runs.log import read_log

_SHOWN = 12
"""Measures in the table."""


def model_card(
    title: str,
    options: Options,
    state: Mapping[str, Any],
    run: Run,
    *,
    licence: str = "",
    sheet: str = "",
) -> str:
    """Write the card, in Markdown with the head that the hub reads.

    Arguments:
        title: the name.
        options: of the run, the data in it by the last names of its folders.
        state: the checkpoint.
        run: where it lies; nothing has to be there.
        licence: an SPDX identifier; "" if nobody has said.
        sheet: the file of the image grid, beside the card.
    """
    translates = find_kind(data_kind(options)).translates
    task = "image-to-image" if translates else "unconditional-image-generation"
    head = [
        "---",
        f"license: {licence or 'other'}",
        "library_name: i2i",
        f"pipeline_tag: {task}",
        f"tags: [i2i, {options.model}]",
        "---",
    ]
    name = Path(options.data.root).name or "unknown data"
    command = f"i2i evaluate --checkpoint DIR --dataroot {shlex.quote(name)}"
    use = "i2i translate INPUT OUTPUT" if translates else "i2i sample OUTPUT"
    figures = [*_figures(run, state["step"])]
    parts = [
        "\n".join(head),
        f"# {title}",
        f"{options.summary or options.model} (`{options.model}`)",
        *(
            [f"![Images of the validation, after {state['step']:,} steps]({sheet})"]
            if sheet
            else []
        ),
        "## Trained on",
        "\n".join(_training(options, state, run, name)),
        "## Figures",
        *(
            [
                "On held-out images, at the last validation of the training:",
                "\n".join(["| measure | value | meaning |", "|---|---|---|", *figures]),
            ]
            if figures
            else ["The training left none."]
        ),
        f"Measure it again, with a baseline beside each figure:\n\n```sh\n{command}\n```",
        "## Use",
        f"```sh\npip install 'i2i-toolkit'\n{use} --checkpoint DIR\n```",
        "`DIR` is this folder, `hub:OWNER/NAME` if it lies on the hub. `model.safetensors` and "
        "`config.json` hold no code; images go in and out as `config.json` says under "
        "`preprocessing`.",
        "## Licence",
        licence or "Whoever exported these weights has not stated one.",
    ]
    return "\n\n".join(parts) + "\n"


def _training(options: Options, state: Mapping[str, Any], run: Run, name: str) -> Iterator[str]:
    counts = _counts(run)
    yield f"- data: `{name}`{f' ({counts})' if counts else ''}"
    if options.data.labels.names:
        yield f"- labels: {', '.join(options.data.labels.names)}"
    sizes = f"{options.data.cropped.width} x {options.data.cropped.height} pixels"
    yield f"- {state['step']:,} steps of {options.train.batch_size}, {sizes}"
    begun = state.get("init") or {}
    if begun.get("from"):
        yield f"- begun from `{begun['from']}` (SHA-256 {begun['sha256'][:16]}...)"
    terms = ", ".join(f"{term} {weight}" for term, weight in options.objective.items() if weight)
    yield f"- objective: {terms}"
    yield f"- written by i2i {__version__}; every option is in `config.json`"


def _counts(run: Run) -> str:
    """How many images it learnt from and was validated with, in words."""
    try:
        splits = read_splits(run.folder)
    except RunError:
        return ""
    counted = {split: len(members) for split, members in splits.items() if members}
    words = {"train": "to train on", "val": "held out to validate with", "test": "to test with"}
    return ", ".join(f"{counted[s]:,} images {words[s]}" for s in words if s in counted)


def _figures(run: Run, step: int) -> Iterator[str]:
    """Rows of a table: the measures of the last validation up to a step."""
    if not run.log.exists():
        return
    try:
        rows = [row for row in read_log(run.log).rows if row["step"] <= step]
        sides = read_sides(run.folder)
    except RunError:
        return
    found: dict[str, float] = {}
    for row in rows:
        for key, value in row.items():
            name = key.removeprefix("validation/")
            metric = read_signal(name).metric
            if name != key and value is not None and metric and metric.group == "result":
                found[name] = value
    for name, value in list(found.items())[:_SHOWN]:
        yield f"| {name} | {value:.4g} | {explain(name, sides)} |"
