"""`i2i translate`: pictures in, translated pictures out."""

import sys
from pathlib import Path

import click


@click.command(
    epilog="""\b
Examples:
  i2i translate photos/ translated/
  i2i translate photo.jpg result.png
  i2i translate photos/ translated/ --checkpoint runs/facades --size 256
  i2i translate photos/ translated/ --format png --overwrite
"""
)
@click.argument("source", metavar="INPUT", type=click.Path(path_type=Path))
@click.argument("target", metavar="OUTPUT", type=click.Path(path_type=Path))
@click.option(
    "--checkpoint",
    metavar="RUN_OR_FILE",
    type=click.Path(path_type=Path),
    help="A run folder or a checkpoint file.  [default: the newest run]",
)
@click.option(
    "--runs-dir",
    type=click.Path(path_type=Path),
    default=Path("runs"),
    show_default=True,
    help="Where the newest run is looked for.",
)
@click.option(
    "--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:1, ..., or mps."
)
@click.option(
    "--precision",
    type=click.Choice(["fp32", "bf16", "fp16"]),
    default="fp32",
    show_default=True,
    help="Arithmetic of the network; 16 bits are faster on most devices.",
)
@click.option(
    "--size",
    type=click.IntRange(min=1),
    help="Resize each picture first so that its shorter side has this many pixels.",
)
@click.option(
    "--batch-size",
    type=click.IntRange(min=1),
    default=8,
    show_default=True,
    help="Pictures of equal size that are computed together; large ones are fewer.",
)
@click.option(
    "--format",
    "suffix",
    metavar="FORMAT",
    help="png, jpg, webp, tif or bmp.  [default: that of each input]",
)
@click.option("--overwrite", is_flag=True, help="Replace results that exist already.")
@click.option(
    "--average/--raw",
    default=None,
    help="Use the moving average of the generator, or the weights as trained.  "
    "[default: the average if the checkpoint has one]",
)
def command(
    source: Path,
    target: Path,
    checkpoint: Path | None,
    runs_dir: Path,
    device: str,
    precision: str,
    size: int | None,
    batch_size: int,
    suffix: str | None,
    overwrite: bool,
    average: bool | None,
) -> None:
    """Translate every picture of INPUT, a folder or one file, to OUTPUT.

    Names and sub-folders are kept. Pictures may have any size, and results have the size of
    their input. OUTPUT is made if it is not there; for a single picture it may also be the name of
    the file to write.

    Pictures that cannot be read are listed in the end, all others are done, and the exit code is 1.
    """
    from i2i.builder import load_translator
    from i2i.progress import progress_bar
    from i2i.translate import translate_folder

    translator, chosen = load_translator(
        checkpoint, runs_dir=runs_dir, device=device, precision=precision, average=average
    )
    click.echo(chosen)
    with progress_bar("translating") as progress:
        report = translate_folder(
            translator,
            source,
            target,
            size=size,
            batch_size=batch_size,
            overwrite=overwrite,
            suffix=suffix,
            progress=progress,
        )
    pictures = "1 picture" if report.translated == 1 else f"{report.translated} pictures"
    click.echo(
        f"{pictures} translated to {target} in {report.seconds:.1f} s "
        f"({report.per_second:.1f} per second)"
    )
    if report.failed:
        for path, reason in report.failed:
            click.echo(f"Not translated: {path}: {reason}", err=True)
        sys.exit(1)
