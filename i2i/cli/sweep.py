"""`i2i sweep`"""

import sys
from pathlib import Path

import click

from i2i.cli import say
from i2i.cli.shared import answer, answering_programs


@click.command(
    epilog="""\b
Examples:
  i2i sweep sweep.toml
  i2i sweep sweep.toml --list
  i2i sweep sweep.toml --index $SLURM_ARRAY_TASK_ID

\b
A sweep.toml (docs/papers.md):
  name = "loss"
  recipe = "pix2pix-quick"
  [set]
  data.root = "facades"
  train.steps = 2000
  [variants.baseline]
  [variants."no L1"]
  objective.l1 = 0
  [vary]
  train.seed = [0, 1, 2]
"""
)
@click.argument("file", metavar="SWEEP.toml", type=click.Path(path_type=Path))
@click.option(
    "--runs-dir",
    type=click.Path(path_type=Path),
    default=Path("runs"),
    show_default=True,
    help="Where the folders of the runs are.",
)
@click.option(
    "--index",
    type=click.IntRange(min=0),
    help="Train this run alone, counted from 0: for a job array.",
)
@click.option("--list", "list_", is_flag=True, help="Say which runs there are, and train nothing.")
@click.option("--device", default="auto", show_default=True, help="cpu, cuda, cuda:1, mps or auto.")
@answering_programs
def command(
    file: Path, runs_dir: Path, index: int | None, list_: bool, device: str, as_json: bool
) -> None:
    """Train all runs of SWEEP.toml one after the other, and compare them.

    The same command again goes on where it stopped: runs that are over stay as they are. A run
    that fails is said, and the others go on. In the end the figures of all runs stand in a table,
    and in RUNS_DIR/NAME.csv.
    """
    from i2i.config.sweep import read_sweep
    from i2i.training.sweep import optimise, require_sound, train_trial, trials

    sweep = read_sweep(file)
    found = trials(sweep)
    require_sound(sweep, found)
    if list_ or index is not None:
        if not found:
            raise click.UsageError("Optuna decides on each run when the ones before are over.")
        if index is not None and index >= len(found):
            raise click.UsageError(
                f"--index {index}: the sweep has {len(found)} runs, from 0 to {len(found) - 1}."
            )
    if list_ and as_json:
        answer([{"name": trial.name, "settings": trial.settings} for trial in found])
        return
    if list_:
        for number, trial in enumerate(found):
            settings = ", ".join(f"{name}={value}" for name, value in trial.settings.items())
            click.echo(f"{number}  {trial.name}  {settings}")
        return
    failed, done = [], []
    outcomes = (
        (
            (trial, train_trial(sweep, trial, runs_dir, device=device))
            for trial in (found if index is None else found[index : index + 1])
        )
        if found
        else optimise(sweep, runs_dir, device=device)
    )
    for trial, outcome in outcomes:
        if outcome is None:
            failed.append(trial.name)
        elif outcome.exit_code:
            say(f"stopped; go on with: i2i sweep {file}")
            sys.exit(outcome.exit_code)
        else:
            done.append(outcome.folder)
    if index is None and done:
        _compare(sweep.name, done, runs_dir, as_json=as_json)
    if failed:
        click.echo(
            f"{len(failed)} of {len(failed) + len(done)} runs failed: {', '.join(failed)}", err=True
        )
        sys.exit(1)


def _compare(name: str, done: list[Path], runs_dir: Path, *, as_json: bool) -> None:
    """Show and write the figures of the runs that are over."""
    from i2i.report.comparison import compare
    from i2i.report.comparison_text import as_csv, as_text
    from i2i.report.comparison_text import as_json as table_as_json
    from i2i.report.variants import ComparedRun, last_validation, read_runs, repeat_of, variants
    from i2i.system.atomic import write_text

    compared = [
        ComparedRun(folder, record, last_validation(record), repeat_of(record))
        for folder, record in read_runs(done)
    ]
    table = compare(
        variants(compared),
        said="Figures of the validation that each checkpoint was chosen by.",
    )
    click.echo(table_as_json(table) if as_json else as_text(table))
    path = runs_dir / f"{name}.csv"
    write_text(path, as_csv(table))
    say(f"table: {path}; with others: i2i compare {runs_dir} --filter tag=sweep:{name}")
