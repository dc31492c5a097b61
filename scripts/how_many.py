#!/usr/bin/env python3
"""How many pairs does it take? The same training on 5 to 200 of them, at equal time.

Trains pix2pix-quick on nested sets of painted label maps and photos, each for as many steps as take
`--seconds` of processor time here (or `--steps`), measures by `i2i evaluate` what the last
checkpoint makes of 60 scenes that none of them was trained on, and lays results side by side in
FOLDER/how-many.png. Runs that are there already are not repeated.

    scripts/how_many.py how-many                 # ten minutes of one core
    scripts/how_many.py how-many --counts 50,200,1000 --steps 500
"""

import json
from pathlib import Path
from typing import Any

import click
import torch
from few_images import paint_into
from trials import QUIET, evaluate, step_cost, train_one

SIZE = 64
HELD_OUT = range(1, 121, 2)
"""Scenes that nobody trains on."""

SHOWN, SCALE = 4, 2
"""Rows of the picture, and how often each of its pixels is repeated."""

MEASURES = ("psnr", "ssim")
SETTINGS = [*QUIET, "train.threads=1"]


@click.command(help=__doc__)
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--counts", default="5,20,50,200", show_default=True, help="Pairs to train on.")
@click.option("--seconds", default=150.0, show_default=True, help="Processor time of a training.")
@click.option("--steps", type=int, help="Train for so many steps instead.")
@click.option("--seed", default=0, show_default=True)
def main(folder: Path, counts: str, seconds: float, steps: int | None, seed: int) -> None:
    from i2i.config.recipes import load_options

    numbers = [int(count) for count in counts.split(",")]
    options = load_options("pix2pix-quick", *SETTINGS, f"train.seed={seed}", size=SIZE)
    torch.set_num_threads(1)
    if steps is None:
        steps = max(1, round(seconds / step_cost(options)))
    ends = {f"{each}_every_steps": steps for each in ("validate", "save")}
    click.echo("| pairs | steps | times through them | processor s | PSNR dB | SSIM |")
    click.echo("|---:|---:|---:|---:|---:|---:|")
    for count in numbers:
        data = folder / "data" / str(count)
        for side, rendering in (("A", "labels"), ("B", "photo")):
            paint_into(data / "train" / side, rendering, range(0, 2 * count, 2), SIZE)
            paint_into(data / "val" / side, rendering, HELD_OUT, SIZE)
        result = folder / f"{count}-{seed}.json"
        if not result.exists():
            own = load_options(options, {"train": {"steps": steps, **ends}}, dataroot=data)
            spent = train_one(own, folder / "runs" / f"{count}-{seed}", "cpu")
            found = evaluate(folder / "runs" / f"{count}-{seed}", MEASURES, "efficientnet-lite0")
            told = {"steps": steps, "seconds": spent, "batch": own.train.batch_size} | found
            result.write_text(json.dumps(told, indent=2) + "\n")
        click.echo(row(count, json.loads(result.read_text())))
    picture(folder, numbers, seed).save(folder / "how-many.png")


def row(count: int, told: dict[str, Any]) -> str:
    times = told["steps"] * told["batch"] / count
    figures = f"{told['psnr']:.1f} | {told['ssim']:.2f}"
    return f"| {count} | {told['steps']} | {times:.0f} | {told['seconds']:.0f} | {figures} |"


def picture(folder: Path, counts: list[int], seed: int) -> Any:
    """Held-out label maps, what comes of them after a training on so many pairs, and the truth."""
    from i2i.core.batch import to_signed
    from i2i.data.images.read import list_images, read_image
    from i2i.inference.load import load_translator
    from i2i.runs.image_grid import image_grid

    def read(side: str) -> torch.Tensor:
        paths = list_images(folder / "data" / str(counts[0]) / "val" / side)[:SHOWN]
        images = [torch.from_numpy(read_image(path, 3)).permute(2, 0, 1) for path in paths]
        return torch.stack(images)

    inputs = read("A")
    columns = {"input": inputs}
    for count in counts:
        translator = load_translator(folder / "runs" / f"{count}-{seed}", device="cpu")
        columns[f"{count} pairs"] = translator(inputs)
    columns["truth"] = read("B")
    return image_grid(
        {
            name: to_signed(images.repeat_interleave(SCALE, 2).repeat_interleave(SCALE, 3))
            for name, images in columns.items()
        }
    )


if __name__ == "__main__":
    main()
