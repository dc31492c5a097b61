"""`i2i project`: the latent of a given image."""

from pathlib import Path

import click

from i2i.cli.shared import answer, answering_programs, choosing_a_generator


@click.command(
    epilog="""\b
Examples:
  i2i project face.png out/ --checkpoint runs/NAME
  i2i project face.png out/ --each-layer --steps 1000
"""
)
@click.argument("image", metavar="IMAGE", type=click.Path(path_type=Path))
@click.argument("target", metavar="OUT_DIR", type=click.Path(path_type=Path, file_okay=False))
@choosing_a_generator
@click.option("--label", metavar="CLASS", help="Models told a class: which, by name or number.")
@click.option(
    "--steps",
    type=click.IntRange(min=1),
    default=500,
    show_default=True,
    help="Of the search.",
)
@click.option(
    "--feature-weight",
    type=click.FloatRange(min=0),
    default=0.1,
    show_default=True,
    help="Of what the discriminator sees in the image, beside its pixels; 0 for pixels alone.",
)
@click.option(
    "--each-layer",
    is_flag=True,
    help="StyleGAN2: styles of its own for each layer. Closer to the image, and further from what "
    "the model would make by itself.",
)
@click.option(
    "--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of the search."
)
@click.option(
    "--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:1, ..., or mps."
)
@click.option("--overwrite", is_flag=True, help="Replace files that exist already.")
@answering_programs
def command(
    image: Path,
    target: Path,
    checkpoint: Path | None,
    runs_dir: Path,
    label: str | None,
    steps: int,
    feature_weight: float,
    each_layer: bool,
    seed: int,
    device: str,
    overwrite: bool,
    average: bool | None,
    best: bool | str,
    as_json: bool,
) -> None:
    """Find what a generator of images from noise makes IMAGE of, as near as it can.

    Of IMAGE the middle is taken, a square, at the size of the model. OUT_DIR gets target.png,
    projected.png, sheet.png with the way of the search, and latent.npy: the styles of each layer
    (StyleGAN2), or the latent vector.
    """
    from i2i.inference.projecting import project
    from i2i.system.cpu import settle_threads

    settle_threads()
    project(
        image,
        target,
        checkpoint,
        runs_dir=runs_dir,
        label=label,
        steps=steps,
        feature_weight=feature_weight,
        each_layer=each_layer,
        seed=seed,
        device=device,
        average=average,
        best=best,
        overwrite=overwrite,
    )
    if as_json:
        answer({"folder": target})
