"""`i2i sample`: images from noise."""

from pathlib import Path
from typing import Any

import click

from i2i.cli import say
from i2i.cli.shared import answer, answering_programs, choosing_a_generator


def _codes(value: str | None) -> dict[str, float]:
    codes = {}
    for setting in value.split(",") if value else ():
        name, _, number = (part.strip() for part in setting.partition("="))
        try:
            codes[name] = float(number)
        except ValueError:
            raise click.BadParameter(f"{setting!r} is not NAME=NUMBER.") from None
    return codes


def _layers(value: str | None) -> range | None:
    if value is None:
        return None
    first, dash, last = value.partition("-")
    if not first.strip().isdecimal() or (dash and not last.strip().isdecimal()):
        raise click.BadParameter(f"{value!r} is neither a layer, such as 3, nor some, such as 0-3.")
    return range(int(first), int(last if dash else first) + 1)


@click.command(
    epilog="""\b
Examples:
  i2i sample faces/
  i2i sample faces/ --checkpoint runs/NAME --count 64 --seed 7
  i2i sample shoes/ --label Sneaker --truncation 0.7
  i2i sample digits/ --code category=3,continuous1=-1.5
  i2i sample digits/ --vary continuous1
  i2i sample walk/ --interpolate 3 8 --frames 60 --spherical
  i2i sample faces/ --mix 6 8 --layers 0-3 --truncation 0.7
"""
)
@click.argument("target", metavar="OUT_DIR", type=click.Path(path_type=Path, file_okay=False))
@choosing_a_generator
@click.option(
    "--count",
    type=click.IntRange(min=1),
    help="How many images.  [default: 64; with --vary, 8 rows]",
)
@click.option(
    "--seed",
    type=click.IntRange(min=0, max=2**62),
    default=0,
    show_default=True,
    help="Of the first image; the others have the numbers after it. The same seed gives the same "
    "image.",
)
@click.option("--label", metavar="CLASS", help="Models told a class: which, by name or number.")
@click.option(
    "--code",
    "codes",
    metavar="NAME=VALUE,...",
    callback=lambda context, parameter, value: _codes(value),
    help="Models with codes: the values of some; the others follow from the seed.",
)
@click.option(
    "--vary",
    metavar="NAME",
    help="Make a sheet instead, in which a code takes all its values; a row for each seed.",
)
@click.option(
    "--truncation",
    type=click.FloatRange(min=0, min_open=True),
    help="Keep the noise, or the styles of StyleGAN2, closer to their middle: more typical, less "
    "varied images (0.7, say).",
)
@click.option(
    "--mix",
    nargs=2,
    type=click.IntRange(min=1),
    metavar="ROWS COLUMNS",
    help="StyleGAN2: make a sheet instead, of each row's image with the styles of each column's.",
)
@click.option(
    "--layers",
    metavar="A-B",
    callback=lambda context, parameter, value: _layers(value),
    help="With --mix: the layers that take the column's styles, 0 being the coarsest.  "
    "[default: 0-3]",
)
@click.option(
    "--space",
    type=click.Choice(["z", "w"]),
    help="With --interpolate: the way leads through noise (z) or styles (w).  [default: w where "
    "there are styles and the way is straight]",
)
@click.option(
    "--noise/--no-noise",
    default=True,
    help="StyleGAN2: whether each layer adds its noise, which makes the finest details.",
)
@click.option(
    "--interpolate",
    nargs=2,
    type=click.IntRange(min=0, max=2**62),
    metavar="A B",
    help="Go from the image of one seed to that of another instead.",
)
@click.option(
    "--frames",
    type=click.IntRange(min=2),
    default=60,
    show_default=True,
    help="How many images the way has.",
)
@click.option(
    "--spherical", is_flag=True, help="Take the way along a sphere instead of a straight line."
)
@click.option(
    "--animation",
    type=click.Choice(["webp", "gif"]),
    default="webp",
    show_default=True,
    help="Format of the moving image.",
)
@click.option(
    "--format",
    "form",
    metavar="FORMAT",
    help="Of the images: png, tif, npy, ...  [default: png, or tif for what that cannot hold]",
)
@click.option(
    "--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:1, ..., or mps."
)
@click.option(
    "--precision",
    type=click.Choice(["auto", "fp32", "bf16", "fp16"]),
    default="fp32",
    show_default=True,
    help="Arithmetic of the network.",
)
@click.option("--overwrite", is_flag=True, help="Replace images that exist already.")
@answering_programs
def command(
    target: Path,
    checkpoint: Path | None,
    runs_dir: Path,
    count: int | None,
    seed: int,
    label: str | None,
    codes: dict[str, float],
    vary: str | None,
    truncation: float | None,
    mix: tuple[int, int] | None,
    layers: range | None,
    space: str | None,
    noise: bool,
    interpolate: tuple[int, int] | None,
    frames: int,
    spherical: bool,
    animation: str,
    form: str | None,
    device: str,
    precision: str,
    overwrite: bool,
    average: bool | None,
    best: bool | str,
    as_json: bool,
) -> None:
    """Make images from noise with a trained generator.

    OUT_DIR gets a PNG for each image, named after its seed (a TIFF where the model learnt from
    values that PNG cannot hold), and sheet.png for a glance (with the first 256 of them). With
    --interpolate it gets the frames, a sheet of them, and an animation that goes there and back;
    with --vary a sheet named after the code; with --mix mix.png.
    """
    from i2i.data.kinds.folders import results_folder
    from i2i.distributed.processes import together
    from i2i.inference.load import load_sampler
    from i2i.inference.write_samples import (
        write_interpolation,
        write_mixture,
        write_samples,
        write_variation,
    )
    from i2i.system.cpu import settle_threads

    settle_threads()
    if (vary is not None) + (interpolate is not None) + (mix is not None) > 1:
        raise click.UsageError("Say only one of --vary, --interpolate and --mix.")
    if layers is not None and not mix:
        raise click.UsageError("--layers is about the sheet of --mix ROWS COLUMNS: say that too.")
    if space and not interpolate:
        raise click.UsageError("--space is about the way of --interpolate A B: say that too.")
    if mix and codes:
        raise click.UsageError("--mix is for models with styles, and --code for models with codes.")
    if form and (vary or mix):
        raise click.UsageError("--format is about images, and --vary and --mix make a sheet.")
    if vary and not noise:
        raise click.UsageError("--no-noise is for models with styles, and --vary for codes.")
    if spherical and not interpolate:
        raise click.UsageError("--spherical is about the way of --interpolate A B: say that too.")
    with results_folder(target), together() as processes:  # the images need no network of GPUs
        sampler = load_sampler(
            checkpoint,
            runs_dir=runs_dir,
            device=device,
            precision=precision,
            average=average,
            best=best,
            processes=processes,
        )
        if processes.first:
            say(sampler.description)
        asked: dict[str, Any] = {"label": label, "codes": codes, "truncation": truncation}
        if not vary:
            asked["noise"] = noise
        seeds = range(seed, seed + (count or (8 if vary else 64)))
        if vary:
            sheet = write_variation(sampler, target, vary, seeds, overwrite=overwrite, **asked)
        elif interpolate:
            sheet = write_interpolation(
                sampler,
                target,
                *interpolate,
                frames,
                spherical=spherical,
                space=space,
                animation=animation,
                form=form,
                overwrite=overwrite,
                **asked,
            )
        elif mix:
            del asked["codes"]
            rows, columns = mix
            sheet = write_mixture(
                sampler,
                target,
                range(seed, seed + rows),
                range(seed + rows, seed + rows + columns),
                layers,
                overwrite=overwrite,
                **asked,
            )
        else:
            sheet = write_samples(sampler, target, seeds, form=form, overwrite=overwrite, **asked)
        if processes.first:
            say(f"image grid: {sheet}")
            if as_json:
                answer({"checkpoint": sampler.checkpoint, "folder": target, "image_grid": sheet})
