#!/usr/bin/env python3
"""Do the verdicts of a training find what is wrong, and spare what is well?

Trains runs that are as they should be and runs that are made to fail (scripts/health_runs.toml), a
minute or two of one core each, and shows what the health check says of their ends, with the figures
that it goes by. Trainings that are there are not repeated, and one that was cut short goes on.

\b
    scripts/health_runs.py --data data                    # about 40 minutes of one core
    scripts/health_runs.py --data data --only dots-cyclegan,smear-facades
    scripts/health_runs.py --data data --table
"""

import random
import shutil
import tomllib
from pathlib import Path
from typing import Any

import click
from PIL import Image
from trials import train_one

PLAN = tomllib.loads(Path(__file__).with_suffix(".toml").read_text())

VALIDATIONS = 8
"""Of a run, evenly spread: five of them are after its first third."""

COMMON = [
    "data.workers=0",
    "data.look_for_copies=false",
    "train.validation_share=1",
    "train.validation_images=40",
    "train.log_every_steps=20",
    "train.visualize_every_minutes=0",
    "train.save_every_minutes=0",
    "train.classifier_steps=300",
    "train.trackers=[]",
]

RUNS = {
    name: run | {"sick": kind == "sick"}
    for kind in ("healthy", "sick")
    for name, run in PLAN[kind].items()
}


@click.command(help=__doc__)
@click.option("--data", type=click.Path(path_type=Path), default="data", show_default=True)
@click.option("--folder", default="health-runs", show_default=True, type=click.Path(path_type=Path))
@click.option("--only", help="Runs, instead of all.")
@click.option("--seed", default=0, show_default=True)
@click.option("--table", "only_table", is_flag=True, help="Show what is there; train nothing.")
def main(data: Path, folder: Path, only: str | None, seed: int, only_table: bool) -> None:
    chosen = only.split(",") if only else list(RUNS)
    for name in () if only_table else chosen:
        train(name, seed, prepare(RUNS[name]["data"], data, folder), folder)
    for line in table(chosen, seed, folder):
        click.echo(line)


def prepare(name: str, data: Path, folder: Path) -> Path:
    """A data set of the plan, made once."""
    from i2i.data.demo.sets import write_demo

    plan, target = PLAN["sets"][name], folder / "data" / name
    if (target / "done").exists():
        return target
    shutil.rmtree(target, ignore_errors=True)
    if "paint" in plan:
        write_demo(target, plan["paint"], plan["count"], plan["size"])
    elif plan["layout"] == "paired":
        for path in sorted((data / plan["from"]).rglob("*.jpg")):
            shrink(
                path,
                target / path.relative_to(data / plan["from"]),
                (2 * plan["size"], plan["size"]),
            )
    else:
        hold_out(data / plan["from"], target, plan)
    (target / "done").touch()
    return target


def hold_out(source: Path, target: Path, plan: dict[str, Any]) -> None:
    """Shrink a set of two sides or several domains; every n-th image is held out."""
    domains = plan["layout"] == "domains"
    sides = sorted(
        each for each in (source / "train" if domains else source).iterdir() if each.is_dir()
    )
    luck = random.Random(0)
    for side in sides:
        images = sorted(each for each in side.rglob("*") if each.is_file())
        every = max(2, len(images) // plan["held_out"])
        for number, path in enumerate(images):
            test, name = number % every == 0 and number // every < plan["held_out"], side.name
            if plan.get("spoil") == "labels" and not test:
                name = luck.choice(sides).name
            if domains:
                put = target / ("test" if test else "train") / name
            else:
                put = target / (name.replace("train", "test") if test else name)
            spoilt = plan.get("spoil") == "colours" and name == "trainB" and not test
            shrink(path, put / f"{side.name}-{path.stem}.png", (plan["size"],) * 2, permute=spoilt)


def shrink(path: Path, target: Path, size: tuple[int, int], *, permute: bool = False) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    with Image.open(path) as image:
        small = image.convert("RGB").resize(size, Image.Resampling.BICUBIC)
    if permute:
        red, green, blue = small.split()
        small = Image.merge("RGB", (blue, red, green))
    small.save(target)


def options_of(name: str, seed: int, data: Path) -> Any:
    from i2i.config.recipes import load_options

    run = RUNS[name]
    every = max(1, run["steps"] // VALIDATIONS)
    size = PLAN["sets"][run["data"]]["size"]
    return load_options(
        run["recipe"],
        *COMMON,
        f"data.root={data}",
        f"train.seed={seed}",
        f"train.steps={run['steps']}",
        f"train.validate_every_steps={every}",
        f"train.save_every_steps={every}",
        *run.get("settings", ()),
        size=size,
    )


def train(name: str, seed: int, data: Path, folder: Path) -> None:
    place = folder / "runs" / f"{name}-{seed}"
    finished = place.with_suffix(".done")
    if finished.exists():
        return
    seconds = train_one(options_of(name, seed, data), place)
    finished.write_text(f"{seconds:.0f}\n")
    click.echo(f"{name}: {seconds:.0f} s", err=True)


def table(chosen: list[str], seed: int, folder: Path) -> list[str]:
    return []


if __name__ == "__main__":
    main()
