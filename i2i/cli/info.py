"""`i2i info`"""

from pathlib import Path

import click


@click.command(epilog="\b\nExample:\n  i2i info runs/NAME")
@click.argument("checkpoint", type=click.Path(path_type=Path))
def command(checkpoint: Path) -> None:
    """Say what a CHECKPOINT is: a file, or a run folder (its newest checkpoint)."""
    from i2i.loading import describe_checkpoint
    from i2i.training.run import find_checkpoint

    path, why = find_checkpoint(checkpoint, Path())
    click.echo(why)
    click.echo(describe_checkpoint(path))
