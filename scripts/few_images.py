#!/usr/bin/env python3
"""Does augmenting what discriminators see help where there are few images?

Trains small games on 100 and on 300 images, each without augmentation, with DiffAugment and with
ADA, all for the same processor time (steps with augmentation cost more, so there are fewer of
them) or the same number of steps, and measures by `i2i evaluate` what the last checkpoint makes of
images that were not trained on. The images are painted by i2i itself: landscapes for dcgan, summer
and winter for cyclegan; for pix2pix label maps and photos, or pairs of your own (--pairs). Runs
that are there already are not repeated.

    scripts/few_images.py                              # about half an hour of one core
    scripts/few_images.py --pairs facades --games pix2pix --seeds 0,1,2
    scripts/few_images.py --ways published,diffaugment --counts 300 --games dcgan,pix2pix
"""

import json
from pathlib import Path
from typing import Any

import click
from PIL import Image
from trials import QUIET, evaluate, last, spread, step_cost, train_one

HELD_OUT = 150
"""Painted scenes that nobody trains on."""

WAYS = {
    "none": [],
    "diffaugment": ['augment_discriminator.policy="color,translation,cutout"'],
    "ada": ['augment_discriminator.policy="bgc"', "augment_discriminator.adaptive=true"],
}

PUBLISHED = {
    "dcgan": ["dcgan"],
    "pix2pix": ["pix2pix", "generator.downs=6"],
    "cyclegan": ["cyclegan", "generator.blocks=6"],
}
"""What the way "published" trains in place of the small games below, with as many halvings or
blocks as the papers have for so small an image."""

COMMON = [*QUIET, "optimizer.fused=true"]

GAMES: dict[str, tuple[str, int, list[str], tuple[str, ...]]] = {
    "dcgan": (
        "dcgan",
        32,
        [
            *("generator.width=32", "discriminator.width=32", "train.batch_size=32"),
            *("train.ema_decay=0.99", "augment_discriminator.kimg=20"),
        ],
        ("swd", "kid", "fid"),
    ),
    "pix2pix": (
        "pix2pix-quick",
        64,
        ["train.batch_size=4", "augment_discriminator.kimg=4"],
        ("psnr", "ssim", "swd", "kid"),
    ),
    "cyclegan": (
        "cyclegan-quick",
        32,
        [
            *("data.load_size=36", "train.batch_size=2", "augment_discriminator.kimg=2"),
            *("generator.network=resnet", "generator.blocks=3", "generator.upsample=transposed"),
        ],
        ("swd", "kid"),
    ),
}
"""Recipe, size, settings, and what is measured. Trainings this short need a probability that moves
faster than in 500,000 images (kimg)."""


@click.command(help=__doc__)
@click.option("--folder", default="few-images", show_default=True, type=click.Path(path_type=Path))
@click.option("--games", default=",".join(GAMES), show_default=True)
@click.option("--ways", default=",".join(WAYS), show_default=True)
@click.option("--counts", default="100,300", show_default=True, help="Images to train on.")
@click.option("--seeds", default="0", show_default=True)
@click.option("--seconds", default=60.0, show_default=True, help="Processor time of a training.")
@click.option("--steps", type=int, help="Train for so many steps instead.")
@click.option("--device", default="cpu", show_default=True)
@click.option(
    "--pairs",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="pix2pix: a folder with train/ and val/ of pairs side by side, photo left.",
)
def main(
    folder: Path,
    games: str,
    ways: str,
    counts: str,
    seeds: str,
    seconds: float,
    steps: int | None,
    device: str,
    pairs: Path | None,
) -> None:
    found: dict[tuple[str, int, str], list[dict[str, Any]]] = {}
    for seed in map(int, seeds.split(",")):
        for count in map(int, counts.split(",")):
            for game in games.split(","):
                data, settings = data_for(folder / "data", game, count, pairs)
                for way in ways.split(","):
                    name = f"{game}-{count}-{way}-{seed}"
                    result = folder / f"{name}.json"
                    if not result.exists():
                        changes = [f"data.root={data}", f"train.seed={seed}", *settings]
                        options = options_of(game, way, changes, seconds, steps)
                        told = {"steps": options.train.steps}
                        train_one(options, folder / "runs" / name, device)
                        told |= found_by(folder / "runs" / name, GAMES[game][3])
                        result.write_text(json.dumps(told, indent=2) + "\n")
                    told = json.loads(result.read_text())
                    click.echo(f"{name}: {told}", err=True)
                    found.setdefault((game, count, way), []).append(told)
    for line in table(found):
        click.echo(line)


def data_for(above: Path, game: str, count: int, pairs: Path | None) -> tuple[Path, list[str]]:
    """The data set of a game, with `count` images (or pairs) to train on, made if need be."""
    size = GAMES[game][1]
    folder = above / f"{game}-{count}"
    scenes, held_out = range(0, 2 * count, 2), range(1, 2 * HELD_OUT, 2)
    match game:
        case "dcgan":
            plan = {"train": ("photo", scenes), "test": ("photo", held_out)}
        case "pix2pix" if pairs is not None:
            linked(pairs, folder, count)
            return folder, ["data.direction=BtoA"]
        case "pix2pix":
            plan = {
                "train/A": ("labels", scenes),
                "train/B": ("photo", scenes),
                "val/A": ("labels", held_out),
                "val/B": ("photo", held_out),
            }
        case _:
            others = range(2 * count, 4 * count, 2)
            plan = {
                "trainA": ("photo", scenes),
                "trainB": ("winter", others),
                "testA": ("photo", held_out),
                "testB": ("winter", held_out),
            }
    for name, (rendering, seeds) in plan.items():
        paint_into(folder / name, rendering, seeds, size)
    return folder, []


def paint_into(folder: Path, rendering: str, seeds: range, size: int) -> None:
    from i2i.data.demo.painter import paint

    folder.mkdir(parents=True, exist_ok=True)
    for seed in seeds:
        path = folder / f"{seed:06d}.png"
        if not path.exists():
            Image.fromarray(paint(seed, size, rendering)).save(path)


def linked(pairs: Path, folder: Path, count: int) -> None:
    """The first `count` pairs to train on, by name, and all that are held out."""
    for split, most in (("train", count), ("val", None)):
        (folder / split).mkdir(parents=True, exist_ok=True)
        for path in sorted((pairs / split).iterdir())[:most]:
            link = folder / split / path.name
            if not link.exists():
                link.symlink_to(path.resolve())


def options_of(game: str, way: str, changes: list[str], seconds: float, steps: int | None) -> Any:
    """The options of a training of `steps`, or of `seconds` of processor time."""
    from i2i.config.recipes import load_options

    recipe, size, own, _ = GAMES[game]
    if way == "published":
        recipe, *own = PUBLISHED[game]
        settings = [*QUIET, *own, *changes]
    else:
        settings = [*COMMON, *own, *changes, *WAYS[way]]
    if steps is None:
        cost = step_cost(load_options(recipe, *settings, "train.steps=1", size=size))
        steps = max(1, round(seconds / cost))
    ends = [f"train.{each}_every_steps={steps}" for each in ("validate", "save")]
    return load_options(recipe, *settings, f"train.steps={steps}", *ends, size=size)


def found_by(run: Path, measures: tuple[str, ...]) -> dict[str, float]:
    """What `i2i evaluate` finds, and the probability of augmentation in the end."""
    p = last(run, "augment_probability")
    figures = evaluate(run, measures, "efficientnet-lite0")
    return figures if p is None else figures | {"p": p}


def table(found: dict[tuple[str, int, str], list[dict[str, Any]]]) -> list[str]:
    """A row for each game, number of images and way: means over the seeds."""
    lines = []
    for game in dict.fromkeys(game for game, _, _ in found):
        rows = {key[1:]: told for key, told in found.items() if key[0] == game}
        names = [n for n in next(iter(rows.values()))[0] if n != "p"]
        lines += ["", f"| {game} | augmentation | " + " | ".join([*names, "p"]) + " |"]
        lines.append("|---" * (len(names) + 3) + "|")
        for (count, way), told in rows.items():
            cells = [spread([each[name] for each in told]) for name in names]
            p = spread([each["p"] for each in told]) if "p" in told[0] else ""
            lines.append(f"| {count} | {way} | " + " | ".join([*cells, p]) + " |")
    return lines


if __name__ == "__main__":
    main()
