"""`i2i info`"""

from pathlib import Path

import click

from i2i.cli.shared import answer, answering_programs


@click.command(epilog="\b\nExamples:\n  i2i info runs/NAME\n  i2i info NAME.onnx --options")
@click.argument("checkpoint", type=click.Path(path_type=Path))
@click.option("--options", "with_options", is_flag=True, help="Show all options of its run too.")
@answering_programs
def command(checkpoint: Path, with_options: bool, as_json: bool) -> None:
    """Say what a CHECKPOINT is: a file, or a run folder (its newest checkpoint)."""
    from i2i.inference.about import checkpoint_facts, describe_checkpoint
    from i2i.runs.folder import find_checkpoint

    path, why = find_checkpoint(checkpoint, Path())
    if as_json:
        answer({"checkpoint": path, **checkpoint_facts(path)})
        return
    click.echo(why)
    click.echo(describe_checkpoint(path, with_options=with_options))
    if not with_options:
        click.echo("(--options shows all options of its run, too)")
