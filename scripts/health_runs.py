#!/usr/bin/env python3
"""Do the verdicts of a training find what is wrong, and spare what is well?

Trains runs that are as they should be and runs that are made to fail (scripts/health_runs.toml), a
minute or two of one core each, and shows what the health check says of their ends beside what a
person saw, with the figures that it goes by. What each validation generated is kept, so that
signals and thresholds can be changed and looked at again without a training. Trainings that are
there are not repeated, and one that was cut short goes on.

\b
    scripts/health_runs.py --data data                    # about half an hour of one core
    scripts/health_runs.py --data data --only dots-cyclegan,smear-facades
    scripts/health_runs.py --data data --table
    scripts/health_runs.py --data data --spoilt           # real images, spoilt on purpose
    scripts/health_runs.py --runs scoreboard/horses/runs  # what the logs of other runs say
"""

import random
import shutil
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click
import numpy as np
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

RUNS: dict[str, dict[str, Any]] = PLAN["runs"]


@click.command(help=__doc__)
@click.option("--data", type=click.Path(path_type=Path), default="data", show_default=True)
@click.option("--folder", default="health-runs", show_default=True, type=click.Path(path_type=Path))
@click.option("--only", help="Runs, instead of all.")
@click.option("--seed", default=0, show_default=True)
@click.option("--table", "only_table", is_flag=True, help="Show what is there; train nothing.")
@click.option("--spoilt", "only_spoilt", is_flag=True, help="Spoil real images; train nothing.")
@click.option(
    "--runs",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Show what the logs of the runs in this folder say; train nothing.",
)
def main(
    data: Path,
    folder: Path,
    only: str | None,
    seed: int,
    only_table: bool,
    only_spoilt: bool,
    runs: Path | None,
) -> None:
    if only_spoilt or runs is not None:
        for line in spoilt(data, folder) if runs is None else logged(runs):
            click.echo(line)
        return
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
    from i2i.training.validation import Validation

    place = folder / "runs" / f"{name}-{seed}"
    finished = place.with_suffix(".done")
    if finished.exists():
        return
    signals, measure = Validation._signals, Validation.measure
    step = 0

    def measured(self: Validation, trainer: Any) -> dict[str, float]:
        nonlocal step
        step = trainer.steps_done
        return measure(self, trainer)

    def kept(self: Validation, sets: Mapping[str, Any]) -> dict[str, float]:
        keep(folder / "pictures" / place.name, step, sets)
        return signals(self, sets)

    Validation._signals, Validation.measure = kept, measured  # type: ignore[method-assign]
    try:
        seconds = train_one(options_of(name, seed, data), place)
    finally:
        Validation._signals, Validation.measure = signals, measure  # type: ignore[method-assign]
    finished.write_text(f"{seconds:.0f}\n")
    click.echo(f"{name}: {seconds:.0f} s", err=True)


def keep(folder: Path, step: int, sets: Mapping[str, Any]) -> None:
    """What a validation generated, a file for each direction."""
    folder.mkdir(parents=True, exist_ok=True)
    for which, produced in sets.items():
        parts = {k: v for k, v in produced._asdict().items() if hasattr(v, "numpy")}
        arrays = {part: images.numpy() for part, images in parts.items()}
        np.savez_compressed(folder / f"{step:08d}-{which}.npz", **arrays, paired=produced.paired)


def kept_signals(folder: Path) -> dict[int, dict[str, float]]:
    """The signals of each validation whose images are kept, as the log has them."""
    import torch

    from i2i.core.batch import to_signed
    from i2i.metrics.health import health_signals

    found: dict[int, dict[str, float]] = {}
    files = sorted(folder.glob("*.npz"))
    several = len({path.stem.partition("-")[2] for path in files}) > 1
    for path in files:
        step, _, which = path.stem.partition("-")
        with np.load(path) as file:
            parts = {name: torch.from_numpy(file[name]) for name in file.files if name != "paired"}
            paired = bool(file["paired"])
        labels = parts.pop("labels", None)
        images = {name: to_signed(each) for name, each in parts.items()}
        signals = health_signals(**images, paired=paired, labels=labels)
        row = found.setdefault(int(step), {})
        for name, value in signals.items():
            row[f"validation/health/{name}{f'_{which}' if several else ''}"] = value.item()
    return found


FIGURES = ("grid", "detail", "hue", "palette", "structure", "colour", "answers", "diversity")


def table(chosen: list[str], seed: int, folder: Path) -> Iterator[str]:
    """A line for each run that is there, and each direction of it."""
    yield from HEAD
    for name in chosen:
        place = folder / "runs" / f"{name}-{seed}"
        again = kept_signals(folder / "pictures" / place.name)
        if again:
            yield line(place, again, RUNS[name].get("seen", "not looked at"))


def logged(runs: Path) -> Iterator[str]:
    """A line for each run of a folder, by the signals that its validations have logged."""
    yield from HEAD
    for log in sorted(runs.glob("*/log.jsonl")):
        yield line(log.parent, {}, "")


HEAD = (
    f"| run | steps | a person sees | verdicts at its end | {' | '.join(FIGURES)} |",
    "|" + "---|" * (4 + len(FIGURES)),
)


def line(run: Path, again: Mapping[int, dict[str, float]], seen: str) -> str:
    """What a person saw, the verdicts, and the signals of the last validation; those in `again` (by
    step) take the place of those in the log."""
    from i2i.config import read_options
    from i2i.config.recipes import read_toml
    from i2i.runs.health import verdicts
    from i2i.runs.log import read_log

    log = read_log(run / "log.jsonl").rows
    rows = [row | again.get(int(row["step"]), {}) if is_validation(row) else row for row in log]
    monitor = read_options(read_toml(run / "options.toml")).train.monitored
    kinds = dict.fromkeys(each.kind for each in verdicts(rows, monitor=monitor))
    last: Mapping[str, float] = next(filter(is_validation, reversed(rows)), {})
    cells = [run.name, f"{last.get('step', 0):.0f}", seen, ", ".join(kinds) or "none"]
    return f"| {' | '.join(cells + [figure(last, each) for each in FIGURES])} |"


def is_validation(row: Mapping[str, Any]) -> bool:
    return any(name.startswith("validation/") for name in row)


def figure(signals: Mapping[str, float], name: str) -> str:
    """A signal of each direction."""
    own = f"validation/health/{name}"
    values = [
        value
        for key, value in signals.items()
        if key == own or (key.startswith(f"{own}_") and not key.startswith(f"{own}_shift"))
    ]
    return ", ".join(f"{value:.2f}" for value in values) or "-"


def spoilt(data: Path, folder: Path) -> Iterator[str]:
    """The least and the largest of each signal over six sets of real images, each compared with
    other images of its set: as they are, and spoilt in one way each."""
    import torch
    from torch import Tensor

    from i2i.metrics.health import health_signals

    def blurred(images: Tensor, deviation: float) -> Tensor:
        along = torch.fft.fftfreq(images.shape[-1]).square()
        kept = torch.exp(-2 * torch.pi**2 * deviation**2 * (along[:, None] + along))
        result: Tensor = torch.fft.ifft2(torch.fft.fft2(images) * kept).real
        return result

    def dotted(images: Tensor, period: int, height: float) -> Tensor:
        images = images.clone()
        images[..., ::period, ::period] += height
        return images.clamp(-1, 1)

    def waved(images: Tensor, period: int, height: float) -> Tensor:
        turn = 2 * torch.pi * torch.arange(images.shape[-1]) / period
        return (images + height * torch.cos(turn) * torch.cos(turn)[:, None]).clamp(-1, 1)

    ways = {
        "as they are": lambda x: x,
        "a dot of 0.1 in every square of 2 pixels": lambda x: dotted(x, 2, 0.1),
        "a dot of 0.2 in every square of 4": lambda x: dotted(x, 4, 0.2),
        "a dot of 0.5 in every square of 8": lambda x: dotted(x, 8, 0.5),
        "a grid of waves of 0.05, 4 pixels long": lambda x: waved(x, 4, 0.05),
        "blurred, deviation of 0.7 pixels": lambda x: blurred(x, 0.7),
        "blurred, 1.5 pixels": lambda x: blurred(x, 1.5),
        "red, green and blue moved on": lambda x: x.roll(1, 1),
        "complementary colours": lambda x: 2 * x.mean(1, True) - x,
        "negatives": lambda x: -x,
        "of other inputs": lambda x: x.roll(1, 0),
        "the first for all": lambda x: x[:1].expand_as(x),
        "one colour each": lambda x: x.mean((2, 3), True).expand_as(x),
    }
    shown = ("grid", "detail", "hue", "palette", "structure", "colour", "diversity", "contrast")
    yield f"| images | {' | '.join(shown)} |"
    yield "|" + "---|" * (1 + len(shown))
    sets = [real_images(name, side, data, folder) for name, side in REAL]
    for way, spoil in ways.items():
        found = []
        for images in sets:
            inputs, references = images[::2], images[1::2]
            count = min(len(inputs), len(references))
            outputs = ((spoil(inputs) + 1) * 127.5).round().clamp(0, 255) / 127.5 - 1
            found.append(health_signals(outputs[:count], references[:count], inputs[:count]))
        ranges = [[each[name].item() for each in found] for name in shown]
        yield f"| {way} | {' | '.join(f'{min(v):.2f} to {max(v):.2f}' for v in ranges)} |"


REAL = (
    ("horses", "testA"),
    ("horses", "testB"),
    ("facades", "val"),
    ("expressions", "test"),
    ("pairs", "val/B"),
    ("seasons", "testB"),
)
"""Sets of the plan, and where in them images lie that are spoilt."""


def real_images(name: str, below: str, data: Path, folder: Path) -> Any:
    """Up to 80 images of a set, (N, 3, H, W) in -1..1; of pairs side by side the left ones."""
    import torch

    files = sorted((prepare(name, data, folder) / below).rglob("*.[jp][pn]g"))
    images = []
    for path in files[:: max(1, len(files) // 80)][:80]:
        pixels = torch.from_numpy(np.array(Image.open(path).convert("RGB"))).permute(2, 0, 1)
        images.append(pixels[..., : pixels.shape[1]] / 127.5 - 1)
    return torch.stack(images)


if __name__ == "__main__":
    main()
