"""`i2i compare`"""

import contextlib
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from i2i.cli import console
from i2i.cli.shared import choosing_best, json_file_option, show_in_browser, write_or_print

if TYPE_CHECKING:
    from i2i.report.record import Record
    from i2i.report.variants import Figures


@click.command(
    epilog="""\b
Examples:
  i2i compare runs/a runs/b
  i2i compare runs/loss-* --measures psnr,ssim --page compared.html --open
  i2i compare runs/loss-* --split test --latex table.tex --csv table.csv
  i2i compare runs --filter tag=paper --baseline "no L1"
"""
)
@click.argument("runs", metavar="RUN...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--split",
    type=click.Choice(["train", "val", "test"]),
    help="Evaluate each run on these images (what was evaluated already is not again).  [default: "
    "what the runs have measured at their validations]",
)
@click.option(
    "--best",
    is_flag=True,
    help="With --split: the checkpoint with the best validation.  [default: that if there is one]",
)
@click.option(
    "--best-by",
    metavar="MEASURE",
    help="With --split: the best of the checkpoints that were kept, by a measure of validations.",
)
@click.option(
    "--measures",
    metavar="NAME,...",
    help="Which figures.  [default: all that the runs have in common]",
)
@click.option(
    "--baseline", metavar="VARIANT", help="What others are compared with.  [default: the first]"
)
@click.option(
    "--filter",
    "filters",
    multiple=True,
    metavar="KEY=VALUE",
    help="Only runs of which this holds, as for `i2i runs`; may be repeated.",
)
@click.option("--count", type=click.IntRange(min=1), help="With --split: how many images.")
@click.option(
    "--features",
    metavar="NAME",
    default="auto",
    show_default=True,
    help="With --split: as for `i2i evaluate`.",
)
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, ...")
@click.option("--csv", "csv_file", type=click.Path(path_type=Path), help="Write the table as CSV.")
@click.option(
    "--latex",
    "latex_file",
    type=click.Path(path_type=Path),
    help="Write it for a paper (booktabs).",
)
@json_file_option
@click.option(
    "--page",
    type=click.Path(path_type=Path),
    help="Write a page with the figures, curves over each other, and image grids in step.",
)
@click.option("--open", "open_", is_flag=True, help="Show the page in a browser.")
@choosing_best
def command(
    runs: tuple[Path, ...],
    split: str | None,
    best: bool | str,
    measures: str | None,
    baseline: str | None,
    filters: tuple[str, ...],
    count: int | None,
    features: str,
    device: str,
    csv_file: Path | None,
    latex_file: Path | None,
    json_file: Path | None,
    page: Path | None,
    open_: bool,
) -> None:
    """Compare RUNs, or all runs in a folder: what they were told, and how good they are.

    Runs that differ in their seed or fold alone are one variant, of which mean and spread are
    given. Variants are tested against the first one: over the images that all have evaluated, and
    over the seeds that both have.
    """
    from i2i.evaluation.kept import evaluated, figures_of, values_of
    from i2i.evaluation.seen import what_is_measured
    from i2i.report.comparison import compare
    from i2i.report.comparison_page import comparison_page
    from i2i.report.comparison_text import as_csv, as_json, as_latex, as_text
    from i2i.report.run_table import matching
    from i2i.report.variants import (
        ComparedRun,
        Figures,
        last_validation,
        read_runs,
        repeat_of,
        variants,
    )

    if split is None and (best or count is not None):
        raise click.UsageError("--best, --best-by and --count go with --split.")
    if open_ and page is None:
        raise click.UsageError("--open goes with --page FILE.")
    chosen: list[bool] = []
    wanted = [name.strip() for name in measures.split(",")] if measures else []

    def figures(folder: Path, record: "Record") -> "Figures":
        if split is None:
            return last_validation(record)
        if not console().quiet:
            click.echo(f"{folder}: {split}", err=True)
        told: dict[str, Any] = {"count": count, "features": features, "device": device}
        with _in_silence():
            kept = evaluated(folder, split, best=best or None, measures=_known(wanted), **told)
        chosen.append(bool(kept["chosen by validation"]))
        return Figures(figures_of(kept), values_of(kept), kept["step"])

    found = matching(read_runs(runs), filters)
    compared = [
        ComparedRun(folder, record, figures(folder, record), repeat_of(record))
        for folder, record in found
    ]
    said = (
        "Figures of the validation that each checkpoint was chosen by: --split test has others."
        if split is None
        else what_is_measured(split, best=all(chosen), others=1)
    )
    table = compare(variants(compared), measures=wanted, baseline=baseline, said=said)
    click.echo(as_text(table), err=console().aside)
    for path, text in (
        (csv_file, as_csv(table)),
        (latex_file, as_latex(table) + "\n"),
        (json_file, as_json(table) + "\n"),
        (page, comparison_page(table) if page else ""),
    ):
        if path is not None:
            write_or_print(path, text)
    if open_ and page is not None:
        show_in_browser(str(page))


@contextlib.contextmanager
def _in_silence() -> Iterator[None]:
    """Keep what each evaluation says of its data out of the table, but not what its measures say
    before they take long."""
    logger, measures = logging.getLogger("i2i"), logging.getLogger("i2i.metrics")
    levels = logger.level, measures.level
    measures.setLevel(measures.getEffectiveLevel())
    logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        logger.setLevel(levels[0])
        measures.setLevel(levels[1])


def _known(wanted: list[str]) -> list[str]:
    """What `i2i evaluate` calls the figures that are wanted; all where one is no measure there."""
    from i2i.evaluation.figures import MEASURES

    names = [name.partition("(")[0] for name in wanted]
    groups = {"precision": "precision-recall", "recall": "precision-recall"}
    names = [groups.get(name, name) for name in names]
    return names if all(name in MEASURES for name in names) else []
