#!/usr/bin/env python3
"""Which recipe gives the best results in the same processor time?

Trains every competitor of a task (scripts/scoreboard.toml) with every seed for the same processor
time, and measures by `i2i evaluate` what the last checkpoint makes of images that were held out of
the training folders. Before the first training the steps of all competitors are timed in turns, so
that a machine that is busy now and then is as busy for each. Trainings and figures that are there
are not repeated, and a training that was cut short goes on. Beside them stand two baselines:
"copy", the untouched inputs, and "floor", training images beside held-out ones.

\b
    scripts/scoreboard.py --data data --tasks horses --seconds 1800 --seeds 0,1,2
    scripts/scoreboard.py --data data --tasks noise --only r3gan,dcgan --table
"""

import json
import shutil
import statistics
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import click
from PIL import Image
from trials import (
    QUIET,
    evaluate,
    figures,
    last,
    new_peak,
    peak_memory,
    spread,
    step_cost,
    train_one,
)

TASKS = tomllib.loads(Path(__file__).with_suffix(".toml").read_text())

SHOWN = 6
"""Rows of a sheet."""


@click.command(help=__doc__)
@click.option("--data", required=True, type=click.Path(exists=True, path_type=Path))
@click.option("--folder", default="scoreboard", show_default=True, type=click.Path(path_type=Path))
@click.option("--tasks", default=",".join(TASKS), show_default=True)
@click.option("--only", help="Competitors, instead of all.")
@click.option("--seeds", default="0", show_default=True)
@click.option("--seconds", default=600.0, show_default=True, help="Processor time of a training.")
@click.option("--table", "only_table", is_flag=True, help="Show what is there; train nothing.")
def main(
    data: Path,
    folder: Path,
    tasks: str,
    only: str | None,
    seeds: str,
    seconds: float,
    only_table: bool,
) -> None:
    for name in tasks.split(","):
        task = TASKS[name]
        chosen = only.split(",") if only else list(task["competitors"])
        place = folder / name
        prepared = prepare(task, data, place / "data")
        if not only_table:
            costs = costs_of(task, chosen, prepared, place)
            baselines(task, prepared, place)
            for seed in seeds.split(","):
                for each in chosen:
                    steps = max(1, round(seconds / costs[each]))
                    trial(task, each, int(seed), steps, prepared, place)
        for line in table(task, chosen, seconds, place):
            click.echo(line)
        sheet(task, chosen, seeds.split(",")[0], prepared, place)


def prepare(task: dict[str, Any], data: Path, target: Path) -> Path:
    """The images of a task, made once: painted, or shrunk to its size with some of each side held
    out. A set that has images held out and needs no shrinking is taken as it is."""
    if "paint" not in task and "held_out" not in task:
        return data / str(task["source"])
    if (target / "done").exists():
        return target
    shutil.rmtree(target, ignore_errors=True)
    if "paint" in task:
        from i2i.data.demo.sets import write_demo

        write_demo(target, task["kind"], task["paint"], task["size"])
    else:
        hold_out(task, data / task["source"], target)
    (target / "done").touch()
    return target


def hold_out(task: dict[str, Any], source: Path, target: Path) -> None:
    """Shrink a set to the size of the task; every n-th image of each side is held out."""
    above = source / "train" if task["kind"] == "domains" else source
    for side in sorted(each for each in above.iterdir() if each.is_dir()):
        images = sorted(each for each in side.rglob("*") if each.is_file())
        every = max(2, len(images) // task["held_out"])
        for number, path in enumerate(images):
            test = number % every == 0 and number // every < task["held_out"]
            if task["kind"] == "domains":
                put = target / ("test" if test else "train") / side.name
            else:
                put = target / (side.name.replace("train", "test") if test else side.name)
            put.mkdir(parents=True, exist_ok=True)
            with Image.open(path) as image:
                small = image.convert("RGB").resize((task["size"],) * 2, Image.Resampling.BICUBIC)
                small.save(put / f"{path.stem}.png")


def options_of(task: dict[str, Any], competitor: str, *settings: str) -> Any:
    from i2i.config.recipes import load_options

    recipe, *own = task["competitors"][competitor]
    return load_options(recipe, *QUIET, *task["settings"], *own, *settings, size=task["size"])


def costs_of(
    task: dict[str, Any], chosen: Iterable[str], data: Path, place: Path
) -> dict[str, float]:
    """Processor seconds of a step of each competitor: the median of five looks, in turns."""
    domains = [f"data.domains={sides(data)}"] if task["kind"] == "domains" else []
    file = place / "costs.json"
    costs: dict[str, float] = json.loads(file.read_text()) if file.exists() else {}
    missing = [each for each in chosen if each not in costs]
    looks: dict[str, list[float]] = {each: [] for each in missing}
    for _ in range(5 if missing else 0):
        for each in missing:
            options = options_of(task, each, "train.steps=1", f"data.root={data}", *domains)
            looks[each].append(step_cost(options, 6))
    costs |= {each: statistics.median(seconds) for each, seconds in looks.items()}
    place.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(costs, indent=2) + "\n")
    return costs


def trial(
    task: dict[str, Any], competitor: str, seed: int, steps: int, data: Path, place: Path
) -> None:
    """One training and its figures, unless they are there."""
    name = f"{competitor}-{steps}-{seed}"
    file = place / f"{name}.json"
    if file.exists():
        return
    ends = [f"train.{each}_every_steps={max(1, steps // 4)}" for each in ("validate", "save")]
    settings = [f"data.root={data}", f"train.seed={seed}", f"train.steps={steps}", *ends]
    run = place / "runs" / name
    told: dict[str, Any] = {"competitor": competitor, "seed": seed, "steps": steps}
    new_peak()
    told["seconds"] = train_one(options_of(task, competitor, *settings), run)
    told["MiB"] = peak_memory()
    told |= pattern(run, task.get("only"))
    for features in task["features"]:
        told |= evaluate(run, task["measures"], features, only=task.get("only"))
    if "paint" in task:
        told |= truth(task, data, run)
    file.write_text(json.dumps(told, indent=2) + "\n")
    click.echo(f"{name}: {told}", err=True)


def pattern(run: Path, only: str | None) -> dict[str, float]:
    """How far periodic patterns stand out of the images of the last validation, where it could be
    told: 1 in real images, from 3 on the health check says so (docs/health.md)."""
    found = last(run, "grid")
    if found is None and only is not None:
        found = last(run, f"grid_{only}")
    return {} if found is None else {"periodic pattern": found}


def truth(task: dict[str, Any], data: Path, run: Path | None) -> dict[str, float]:
    """How close a run comes to the true answers, which the painter knows: the means over all
    held-out scenes, and over all pairs of domains. Without a run, of the untouched inputs."""
    import torch

    import i2i
    from i2i.core.batch import to_signed
    from i2i.metrics.images import psnr, ssim_index

    sides = read_sides(task, data)
    wanted = [(one, two) for one in sides for two in sides if one != two]
    if task["kind"] == "unpaired":
        wanted = [("testA", "testB")]
    translator = None if run is None else i2i.load_translator(run)
    found = []
    for source, target in wanted:
        made = sides[source]
        if translator is not None:
            domain = target if task["kind"] == "domains" else None
            made = torch.cat([translator(part, domain) for part in made.split(16)])
        made, true = to_signed(made), to_signed(sides[target])
        found.append((psnr(made, true).mean().item(), ssim_index(made, true).mean().item()))
    values = [statistics.mean(each) for each in zip(*found, strict=True)]
    return dict(zip(("psnr", "ssim"), values, strict=True))


def read_sides(task: dict[str, Any], data: Path) -> dict[str, Any]:
    """The held-out scenes of each side, the same in all, as bytes (N, 3, H, W)."""
    from i2i.data.images.read import list_images, read_image

    if task["kind"] == "unpaired":
        folders = [data / "testA", data / "testB"]
    else:
        folders = sorted((data / "test").iterdir())
    return {
        folder.name: as_tensor([read_image(path, 3) for path in list_images(folder)])
        for folder in folders
    }


def baselines(task: dict[str, Any], data: Path, place: Path) -> None:
    """Figures of the untouched inputs, and of real images that were trained on."""
    if "paint" in task:
        copy = {"competitor": "copy", "seed": 0, "steps": 0, "seconds": 0}
        (place / "copy.json").write_text(json.dumps(copy | truth(task, data, None)) + "\n")
    if task["kind"] != "unpaired":
        return
    pairs = {"copy": ("testA", "testB"), "floor": ("trainB", "testB")}
    for name, (result, reference) in pairs.items():
        file = place / f"{name}.json"
        if not file.exists():
            told: dict[str, Any] = {"competitor": name, "seed": 0, "steps": 0, "seconds": 0}
            for features in task["features"]:
                folders = (str(data / result), str(data / reference))
                told |= figures(*folders, measures=task["measures"], features=features)
            file.write_text(json.dumps(told, indent=2) + "\n")


def table(task: dict[str, Any], chosen: list[str], seconds: float, place: Path) -> list[str]:
    """A row for each competitor: means over its seeds, with their standard deviation."""
    rows: dict[tuple[str, int], list[dict[str, Any]]] = {}
    for file in sorted(place.glob("*.json")):
        told = json.loads(file.read_text())
        if told.get("competitor") in (*chosen, "copy", "floor"):
            rows.setdefault((told["competitor"], told["steps"]), []).append(told)
    hidden = ("competitor", "seed", "steps", "seconds")
    every = [told for each in rows.values() for told in each]
    names = list(dict.fromkeys(key for told in every for key in told if key not in hidden))
    lines = ["| | steps | seeds | processor s | " + " | ".join(names) + " |"]
    lines.append("|---" * (len(names) + 4) + "|")
    for (competitor, steps), found in sorted(rows.items(), key=lambda row: row[0][1]):
        spent = spread([told["seconds"] for told in found]) if steps else ""
        cells = [
            spread([told[name] for told in found]) if all(name in told for told in found) else ""
            for name in names
        ]
        lines.append(
            f"| {competitor} | {steps or ''} | {len(found)} | {spent} | " + " | ".join(cells) + " |"
        )
    return ["", *lines]


def sheet(task: dict[str, Any], chosen: list[str], seed: str, data: Path, place: Path) -> None:
    """What each competitor makes of the same held-out images, or of the same seeds."""
    import numpy as np

    import i2i
    from i2i.runs.image_grid import image_grid

    newest = {
        each: max(found, key=lambda run: run.stat().st_mtime)
        for each in chosen
        if (found := list((place / "runs").glob(f"{each}-[0-9]*-{seed}")))
    }
    inputs = held_out(task, data)
    columns: dict[str, Any] = {"input": inputs} if inputs is not None else {}
    for each, run in newest.items():
        if task["kind"] == "unconditional":
            sampler = i2i.load_sampler(run)
            seeds = range(3 * SHOWN)
            columns |= {f"{each} {n + 1}": sampler(seeds[n::3]) for n in range(3)}
        elif task["kind"] == "domains":
            translator = i2i.load_translator(run)
            columns |= {f"{each}: {name}": translator(inputs, domain=name) for name in sides(data)}
        else:
            translator = i2i.load_translator(run)
            made = [translator(Image.fromarray(image.permute(1, 2, 0).numpy())) for image in inputs]
            columns[each] = as_tensor([np.array(image.convert("RGB")) for image in made])
    image_grid(columns).save(place / "sheet.png")


def held_out(task: dict[str, Any], data: Path) -> Any:
    """Inputs that nobody trained on, (SHOWN, 3, H, W) bytes; None if images come from noise."""
    import numpy as np

    from i2i.data.images.read import list_images, read_image

    if task["kind"] == "unconditional":
        return None
    folder = {"unpaired": "testA", "paired": "val", "domains": "test"}[task["kind"]]
    paths = list_images(data / folder)
    images = [read_image(path, 3) for path in paths[:: len(paths) // SHOWN][:SHOWN]]
    if task["kind"] == "paired":  # side by side; the right one is the input
        size = (task["size"], task["size"])
        # Classes of label maps must not mix; and a drawing is no worse for it.
        kept = Image.Resampling.NEAREST
        halves = [Image.fromarray(image[:, image.shape[1] // 2 :]) for image in images]
        images = [np.array(half.resize(size, kept)) for half in halves]
    return as_tensor(images)


def as_tensor(images: Iterable[Any]) -> Any:
    """Arrays (H, W, 3) of bytes as one tensor (N, 3, H, W)."""
    import torch

    return torch.stack([torch.from_numpy(image) for image in images]).permute(0, 3, 1, 2)


def sides(data: Path) -> list[str]:
    """The domains of a set that `prepare` has made."""
    return sorted(side.name for side in (data / "test").iterdir())


if __name__ == "__main__":
    main()
