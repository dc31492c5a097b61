#!/usr/bin/env python3
"""Does an option change how good the results are? Trains with each of its values, several times.

For every value and every seed there is one run, on the same images; runs that are there already
are not repeated. Of each measure of the last validation (on images that were not trained on) it
prints mean and standard deviation over the seeds for each value, and for each value after the first
the difference from the first, in units of their common standard deviation (Cohen's d) and with the
probability of such a difference, or a larger one, if the option changed nothing (Welch's t-test).

    scripts/compare.py train.precision=fp32,bf16 --recipe pix2pix-quick --dataroot facades
    scripts/compare.py train.precision=fp32,bf16 --recipe cyclegan-quick --dataroot horse2zebra
    --seeds 3

With few seeds only large differences show: with four of each, about twice the standard deviation.
"""

import hashlib
import json
import logging
import math
import statistics
from pathlib import Path
from typing import Any

import click

OTHERS = ("discriminator", "health/")
"""Measures that say how the game stands, not how good the results are."""


@click.command(help=__doc__)
@click.argument("varied", metavar="KEY=VALUE,VALUE,...")
@click.option("--recipe", required=True)
@click.option("--dataroot", required=True)
@click.option("--seeds", default=4, show_default=True, type=click.IntRange(min=2))
@click.option("--steps", type=int, help="Default: those of the recipe.")
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="For all runs.")
@click.option("--device", default="auto", show_default=True)
@click.option("--folder", default="compare", show_default=True, type=click.Path(path_type=Path))
@click.option("--json", "target", type=click.Path(path_type=Path), help="Write the figures here.")
def main(
    varied: str,
    recipe: str,
    dataroot: str,
    seeds: int,
    steps: int | None,
    settings: tuple[str, ...],
    device: str,
    folder: Path,
    target: Path | None,
) -> None:
    key, _, values = varied.partition("=")
    ways = values.split(",")
    if len(ways) < 2 or len({*ways}) < len(ways):
        raise click.UsageError(f"{varied!r} must give an option at least two different values.")
    common = [f"data.root={dataroot}", "train.validation_share=1", *settings]
    common += [f"train.steps={steps}"] if steps is not None else []
    # Runs with other options are others.
    kind = hashlib.sha256(json.dumps(common).encode()).hexdigest()[:6]
    found: dict[str, list[dict[str, float]]] = {way: [] for way in ways}
    for seed in range(seeds):
        for way in ways:  # in turns, so that something is known if this is cut short
            name = f"{Path(recipe).stem}-{kind}-{key}-{way}-{seed}".replace("/", "_")
            run = folder / name
            if not (run / "done").exists():
                train_one(recipe, [*common, f"train.seed={seed}", f"{key}={way}"], run, device)
            found[way].append(last_validation(run))
    rows = [row_of(name, found) for name in comparable(found)]
    for line in table(key, ways, rows, seeds):
        click.echo(line)
    if target is not None:
        about = {"option": key, "recipe": recipe, "dataroot": dataroot, "options": common}
        target.write_text(json.dumps({**about, "runs": found, "measures": rows}, indent=2) + "\n")


def train_one(recipe: str, settings: list[str], run: Path, device: str) -> None:
    """Train in this process; a run that was cut short goes on."""
    from i2i.config.recipes import load_options
    from i2i.errors import RunError
    from i2i.training import session as train

    logging.basicConfig(format=f"{run.name}: %(message)s", level=logging.INFO)  # to stderr
    if run.exists():
        try:
            outcome = train.resume(run, device=device)
        except RunError as error:
            raise click.ClickException(f"{error} Or remove {run}.") from error
    else:
        options = load_options(recipe, *settings)
        outcome = train.start(options, run.parent, run.name, device=device)
    if outcome.exit_code:
        raise SystemExit(outcome.exit_code)
    (run / "done").touch()


def last_validation(run: Path) -> dict[str, float]:
    """What the last validation measured of the results."""
    from i2i.runs.log import read_log

    rows = read_log(run / "log.jsonl").rows
    last = next(row for row in reversed(rows) if any(k.startswith("validation/") for k in row))
    measured = {k.removeprefix("validation/"): v for k, v in last.items() if k != "step"}
    return {name: v for name, v in measured.items() if not name.startswith(OTHERS)}


def comparable(found: dict[str, list[dict[str, float]]]) -> list[str]:
    """The measures of which every run has a number."""
    runs = [run for each in found.values() for run in each]
    names = list(dict.fromkeys(name for run in runs for name in run))
    kept = [name for name in names if all(run.get(name) is not None for run in runs)]
    for name in sorted({*names} - {*kept}):
        click.echo(f"{name}: left out, as some runs have no (finite) value of it", err=True)
    return kept


def row_of(name: str, found: dict[str, list[dict[str, float]]]) -> dict[str, Any]:
    """One measure: mean and deviation for each value, and its difference from the first."""
    from scipy.stats import ttest_ind

    samples = {way: [run[name] for run in runs] for way, runs in found.items()}
    means = {way: statistics.mean(each) for way, each in samples.items()}
    deviations = {way: statistics.stdev(each) for way, each in samples.items()}
    first, *others = samples
    differences = {}
    for way in others:
        spread = statistics.mean([deviations[first] ** 2, deviations[way] ** 2]) ** 0.5
        probability = ttest_ind(samples[way], samples[first], equal_var=False).pvalue
        size = (means[way] - means[first]) / spread if spread else 0.0
        differences[way] = {"deviations": size, "probability": float(probability)}
    return {"measure": name, "mean": means, "deviation": deviations, "difference": differences}


def visible(seeds: int) -> float:
    """The difference, in deviations, that Welch's test at 5 % finds with a probability of one half,
    for so many seeds of each value."""
    from scipy.stats import t

    return float(t.ppf(0.975, 2 * seeds - 2)) * math.sqrt(2 / seeds)


def signed(value: float) -> str:
    """A number with its sign and one decimal; zero is never negative."""
    return f"{round(value, 1) + 0.0:+.1f}"


def table(key: str, ways: list[str], rows: list[dict[str, Any]], seeds: int) -> list[str]:
    titles = ["measure", *(f"{key} = {way}" for way in ways)]
    titles += [f"{way} - {ways[0]}, in deviations (p)" for way in ways[1:]]
    lines = ["| " + " | ".join(titles) + " |", "|---" * len(titles) + "|"]
    for row in rows:
        cells = [row["measure"]]
        cells += [f"{row['mean'][way]:.4g} ± {row['deviation'][way]:.2g}" for way in ways]
        for way in ways[1:]:
            difference = row["difference"][way]
            cells.append(f"{signed(difference['deviations'])} ({difference['probability']:.2f})")
        lines.append("| " + " | ".join(cells) + " |")
    shown = f"only differences of about {visible(seeds):.1f} deviations or more would show"
    return [*lines, "", f"With {seeds} seeds of each, {shown}."]


if __name__ == "__main__":
    main()
