"""`i2i export`"""

from pathlib import Path

import click


@click.command(epilog="\b\nExample:\n  i2i export runs/facades checkpoints/facades_pix2pix")
@click.argument("checkpoint", metavar="RUN_OR_FILE", type=click.Path(path_type=Path))
@click.argument("folder", metavar="OUT_DIR", type=click.Path(path_type=Path))
@click.option(
    "--format",
    "kind",
    type=click.Choice(["published"]),
    default="published",
    show_default=True,
    help="published: files for the authors' PyTorch code of pix2pix, CycleGAN or StarGAN.",
)
@click.option(
    "--average/--raw",
    default=None,
    help="Write the moving average of the generator, or the weights as trained.  "
    "[default: the average if the checkpoint has one]",
)
def command(checkpoint: Path, folder: Path, kind: str, average: bool | None) -> None:
    """Write the networks of a run, or of a checkpoint file, for other programs.

    The files have the usual names (latest_net_G.pth, ...). For each one the flags are printed that
    make the authors' code build the network it belongs to.
    """
    from i2i.published import export_published

    export_published(checkpoint, folder, average=average, say=click.echo)
