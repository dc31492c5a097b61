"""`i2i datasets`"""

from pathlib import Path

import click


@click.group()
def command() -> None:
    """Make the embedded data set."""


@command.command(epilog="\b\nExample:\n  i2i datasets demo pictures --kind paired --size 128")
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option(
    "--kind",
    type=click.Choice(["paired", "unpaired", "domains"]),
    default="paired",
    show_default=True,
    help="paired: label maps and photos of the same scenes; unpaired: summer and winter of "
    "different scenes; domains: day, winter, night, autumn, sketch.",
)
@click.option("--count", type=click.IntRange(min=1), default=400, show_default=True, help="Scenes.")
@click.option(
    "--size", type=click.IntRange(min=16), default=256, show_default=True, help="Pixels of a side."
)
def demo(folder: Path, kind: str, count: int, size: int) -> None:
    """Paint landscapes into DIR as ordinary image folders.

    The same command always paints the same pictures. What is held out for validation shows other
    scenes than what is trained on, and always comes with the true answer.
    """
    from i2i.data.demo import write_demo

    from i2i.progress import progress_bar

    with progress_bar(f"painting {kind} scenes") as progress:
        write_demo(folder, kind, count, size, progress=progress)
    click.echo(f"painted into {folder}")
