"""`i2i report`"""

from pathlib import Path

import click

from i2i.cli import say
from i2i.cli.shared import answer, answering_programs, show_in_browser


@click.command(
    epilog="""\b
Examples:
  i2i report runs/NAME --open
  i2i report runs/NAME --output NAME.html
  i2i report runs/NAME --animate gif
  i2i report runs/NAME --animate mp4 --row 3
  i2i report runs/NAME --animate webp --photo photo.jpg"""
)
@click.argument("run", type=click.Path(path_type=Path))
@click.option(
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The file to write; default: report.html, or progress.gif, in the run folder.",
)
@click.option(
    "--animate",
    type=click.Choice(["gif", "webp", "mp4"]),
    help="Instead of the page, an animation of how one image changed over the training, from the "
    "image grids; mp4 needs the extra video.",
)
@click.option(
    "--row",
    type=click.IntRange(min=1),
    help="--animate: which image of the grids.  [default: 1]",
)
@click.option(
    "--photo",
    metavar="IMAGE",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="--animate: this one, translated with each checkpoint that was kept (train.keep).",
)
@click.option(
    "--device", default="auto", show_default=True, help="--photo: cpu, cuda, cuda:1, mps or auto."
)
@click.option("--open", "open_", is_flag=True, help="Show it in a browser.")
@answering_programs
def command(
    run: Path,
    output: Path | None,
    animate: str | None,
    row: int | None,
    photo: Path | None,
    device: str,
    open_: bool,
    as_json: bool,
) -> None:
    """Make one page about a RUN: its health, whether it still improves, image grids over training
    time, curves, options. Or an animation of how one image changed.

    It is a single file that needs no network and no server, so it can be sent to somebody. The run
    may still be going on, or have been cut short.
    """
    from i2i.report import write_report

    if animate is None and (row or photo):
        raise click.UsageError("--row and --photo go with --animate.")
    if row and photo:
        raise click.UsageError("--row is of the image grids, --photo an image of yours: say which.")
    if animate is None:
        path = write_report(run, output)
        frames = ""
    else:
        from i2i.report.animation import animate as write_animation

        path = output or run / f"progress.{animate}"
        if path.suffix.lower() != f".{animate}":
            raise click.UsageError(f"--output (={path}) must end in .{animate}, as --animate says.")
        frames = f"{write_animation(run, path, row=row or 1, photo=photo, device=device)} frames, "
    if as_json:
        answer({"path": path, "bytes": path.stat().st_size})
    say(f"{path} ({frames}{path.stat().st_size / 1e6:.1f} MB)")
    if open_:
        show_in_browser(str(path))
