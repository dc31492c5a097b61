"""`i2i pull`"""

from pathlib import Path

import click

from i2i.cli import say
from i2i.cli.shared import answer, answering_programs


@click.command(
    epilog="""\b
Examples:
  i2i pull OWNER/facades
  i2i pull OWNER/facades@v1 weights/facades
  i2i translate photos/ translated/ --checkpoint hub:OWNER/facades"""
)
@click.argument("name", metavar="OWNER/NAME[@REVISION]")
@click.argument("folder", metavar="[DIR]", required=False, type=click.Path(path_type=Path))
@answering_programs
def command(name: str, folder: Path | None, as_json: bool) -> None:
    """Download weights that `i2i push` has uploaded, into DIR (by default NAME).

    Only the weights, their configuration and their card are fetched, and nothing in them is run.
    `--checkpoint hub:OWNER/NAME` does the same where they are used, and keeps them in the cache.
    """
    import shlex

    from i2i.export.sources.hub import pull

    target = folder or Path(name.rpartition("/")[2].partition("@")[0])
    folder = pull(name, target)
    pulled = shlex.quote(str(folder))
    say(f"pulled into {pulled}; to use it: --checkpoint {pulled}")
    if as_json:
        answer({"folder": folder})
