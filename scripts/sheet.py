#!/usr/bin/env python3
"""Lays images of the same name from several folders side by side.

scripts/sheet.py sheet.png input=photos output=translated truth=answers --count 8
"""

from pathlib import Path

import click
import torch


@click.command(help=__doc__)
@click.argument("target", type=click.Path(path_type=Path))
@click.argument("columns", nargs=-1, required=True, metavar="NAME=DIR ...")
@click.option("--count", default=8, show_default=True, help="Rows.")
@click.option("--scale", default=1, show_default=True, help="Times that each pixel is repeated.")
def main(target: Path, columns: tuple[str, ...], count: int, scale: int) -> None:
    from i2i.core.batch import to_signed
    from i2i.data.images.read import list_images, read_image
    from i2i.runs.image_grid import image_grid

    folders = {name: Path(folder) for name, _, folder in (c.partition("=") for c in columns)}
    first = next(iter(folders.values()))
    names = [path.relative_to(first) for path in list_images(first)[:count]]
    images = {
        heading: torch.stack(
            [torch.from_numpy(read_image(folder / name, 3)).permute(2, 0, 1) for name in names]
        )
        for heading, folder in folders.items()
    }
    sheet = image_grid(
        {
            heading: to_signed(images.repeat_interleave(scale, 2).repeat_interleave(scale, 3))
            for heading, images in images.items()
        }
    )
    target.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(target)


if __name__ == "__main__":
    main()
