#!/usr/bin/env python3
"""Does CycleGAN find the true translation, though it never sees a pair?

On the embedded unpaired set (summer and winter of different scenes) the truth is known for the test
scenes. This trains, translates them both ways, and prints PSNR and SSIM against the truth, beside
the same figures for copying the input.

    scripts/benchmark_unpaired.py                      # minutes on two cores
    scripts/benchmark_unpaired.py --steps 10000 --set generator.width=32
"""

import json
import sys
from pathlib import Path

import click


@click.command(help=__doc__)
@click.option("--folder", default="benchmark-unpaired", type=click.Path(path_type=Path))
@click.option("--recipe", default="cyclegan-quick", show_default=True)
@click.option("--size", default=64, show_default=True)
@click.option("--count", default=400, show_default=True, help="Scenes of each side to train on.")
@click.option("--steps", type=int, help="Default: those of the recipe.")
@click.option("--device", default="auto", show_default=True)
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE")
def main(
    folder: Path,
    recipe: str,
    size: int,
    count: int,
    steps: int | None,
    device: str,
    settings: tuple[str, ...],
) -> None:
    import torch

    from i2i.config.recipes import load_options
    from i2i.core.batch import to_signed
    from i2i.data.demo.sets import write_demo
    from i2i.data.images.read import list_images, read_image
    from i2i.inference.load import load_translator
    from i2i.metrics.images import psnr, ssim_index
    from i2i.runs.image_grid import image_grid
    from i2i.training import session as train

    data = folder / "data"
    if not data.exists():
        write_demo(data, "unpaired", count, size)
    changes = [f"data.root={data}", *settings]
    if steps is not None:
        changes.append(f"train.steps={steps}")
    options = load_options(recipe, *changes, size=size)
    outcome = train.start(options, folder / "runs", device=device)
    if outcome.exit_code:
        sys.exit(outcome.exit_code)

    def read(side: str) -> torch.Tensor:
        paths = list_images(data / f"test{side}")
        pixels = torch.stack([torch.from_numpy(read_image(path, 3)) for path in paths])
        return to_signed(pixels.permute(0, 3, 1, 2))

    sides = {"A": read("A"), "B": read("B")}
    rows = []
    columns: dict[str, torch.Tensor] = {}
    for direction in ("AtoB", "BtoA"):
        source, truth = sides[direction[0]], sides[direction[-1]]
        translator = load_translator(outcome.folder, direction=direction, device=device)
        translated = torch.cat([translator(part) for part in source.split(16)])
        columns |= {
            f"{direction[0]}": source[:8],
            f"to {direction[-1]}": translated[:8],
            f"truth {direction[-1]}": truth[:8],
        }
        for name, images in (("translated", translated), ("input copied", source)):
            rows.append(
                {
                    "direction": direction,
                    "what": name,
                    "psnr": psnr(images, truth).mean().item(),
                    "ssim": ssim_index(images, truth).mean().item(),
                }
            )
    image_grid(columns).save(folder / "sheet.png")
    (folder / "result.json").write_text(json.dumps(rows, indent=2) + "\n")
    click.echo(f"\n{len(sides['A'])} test scenes, {outcome.steps} steps of {recipe} at {size} px")
    click.echo(f"{'direction':10} {'what':14} {'PSNR dB':>8} {'SSIM':>6}")
    for row in rows:
        click.echo(f"{row['direction']:10} {row['what']:14} {row['psnr']:8.2f} {row['ssim']:6.3f}")
    click.echo(f"image grid: {folder / 'sheet.png'}")


if __name__ == "__main__":
    main()
