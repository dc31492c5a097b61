"""`i2i report`"""

from pathlib import Path

import click


@click.command(
    epilog="""\b
Examples:
  i2i report runs/NAME --open
  i2i report runs/NAME --output NAME.html"""
)
@click.argument("run", type=click.Path(path_type=Path))
@click.option(
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The file to write; default: report.html in the run folder.",
)
@click.option("--open", "open_", is_flag=True, help="Show it in a browser.")
def command(run: Path, output: Path | None, open_: bool) -> None:
    """Make one page about a RUN: its health, image grids over training time, curves, options.

    It is a single file that needs no network and no server, so it can be sent to somebody. The run
    may still be going on, or have been cut short.
    """
    from i2i.report import write_report

    path = write_report(run, output)
    click.echo(f"{path} ({path.stat().st_size / 1e6:.1f} MB)")
    if open_:
        click.launch(str(path))
