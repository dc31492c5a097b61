"""`i2i zoo`"""

import click

from i2i.cli.shared import answer, answering_programs


@click.command(
    epilog="""\b
Examples:
  i2i zoo
  i2i translate labels/ painted/ --checkpoint zoo:landscape
  i2i translate horses/ zebras/ --checkpoint zoo:horse2zebra
  i2i train --init-from zoo:landscape --dataroot mine"""
)
@click.argument("name", required=False)
@answering_programs
def command(name: str | None, as_json: bool) -> None:
    """List the weights that can be used by name, or tell all about one of them.

    Small ones of our own come with the package; those that authors have published are downloaded at
    their first use, verified, and kept in the cache.
    """
    import textwrap
    from dataclasses import asdict

    from i2i.errors import OptionsError, did_you_mean
    from i2i.export.sources.zoo import read_zoo

    zoo = read_zoo()
    if name is None and as_json:
        answer([asdict(card) for card in zoo.values()])
        return
    if name is None:
        width = max(map(len, zoo))
        for card in zoo.values():
            click.echo(f"{card.name:{width}}  {card.size:>21}  {card.summary}")
        return
    name = name.removeprefix("zoo:")
    if name not in zoo:
        raise OptionsError(
            f"zoo:{name} is not there.{did_you_mean(name, zoo)} `i2i zoo` lists all."
        )
    card = zoo[name]
    if as_json:
        answer(asdict(card))
        return
    told = {
        "title": card.title,
        "what": card.summary,
        "model": card.model,
        "trained on": card.trained_on,
        "size": card.size,
        "SHA-256": card.sha256
        or (card.download.sha256 if card.download else "")
        or "not known; noted at the first download",
        "from": card.source,
        "licence": card.licence,
        "trained by": card.command,
        "citation": card.citation.strip(),
        "notes": card.notes.strip(),
    }
    for key, value in told.items():
        if value:
            click.echo(textwrap.indent(value, " " * 12).replace(" " * 12, f"{key + ':':12}", 1))
