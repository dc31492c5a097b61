"""`i2i runs`"""

from pathlib import Path

import click

from i2i.cli.shared import answer, answering_programs


@click.command(
    epilog="""\b
Examples:
  i2i runs
  i2i runs --filter tag=paper --filter "psnr>20" --sort -psnr
  i2i runs --columns run,train.seed,objective.l1,psnr,test/psnr --csv runs.csv
  i2i runs --filter "state!=done" --filter run~loss
"""
)
@click.argument("folders", metavar="[RUN...]", nargs=-1, type=click.Path(path_type=Path))
@click.option(
    "--runs-dir",
    type=click.Path(path_type=Path),
    default=Path("runs"),
    show_default=True,
    help="Where the runs are, if none is named.",
)
@click.option(
    "--filter",
    "filters",
    multiple=True,
    metavar="KEY=VALUE",
    help="Only runs of which this holds; also !=, <, >, <=, >=, and ~ for a pattern. KEY: an "
    "option, a figure of a validation (psnr) or an evaluation (test/psnr), tag, state, ...; may be "
    "repeated.",
)
@click.option(
    "--sort", default="started", show_default=True, metavar="KEY", help="-KEY: largest first."
)
@click.option(
    "--columns",
    metavar="KEY,...",
    help="What is shown.  [default: run, model, state, steps, best, tags, note]",
)
@click.option("--csv", "csv_file", type=click.Path(path_type=Path), help="Write the table as CSV.")
@answering_programs
def command(
    folders: tuple[Path, ...],
    runs_dir: Path,
    filters: tuple[str, ...],
    sort: str,
    columns: str | None,
    csv_file: Path | None,
    as_json: bool,
) -> None:
    """List runs: what they are, how far, how good; filtered and sorted by all that is known."""
    from i2i.errors import RunError
    from i2i.report.comparison_text import aligned
    from i2i.report.run_table import COLUMNS, as_words, matching, run_table, table_csv
    from i2i.report.variants import read_runs
    from i2i.system.atomic import write_text

    if not folders and not runs_dir.is_dir():
        raise RunError(f"There is no folder {runs_dir}: say where the runs are with --runs-dir.")
    found = matching(read_runs(folders or sorted(_runs_in(runs_dir))), filters)
    names = [name.strip() for name in columns.split(",")] if columns else list(COLUMNS)
    rows = run_table(found, columns=names, sort=sort)
    if as_json:
        answer([dict(zip(names, row, strict=True)) for row in rows])
    elif not rows:
        click.echo(f"There is no run in {runs_dir}.")
    else:
        for line in aligned([names, *([as_words(value) for value in row] for row in rows)]):
            click.echo(line)
    if csv_file is not None:
        write_text(csv_file, table_csv(names, rows))


def _runs_in(folder: Path) -> list[Path]:
    return [path.parent for path in folder.glob("*/options.toml")]
