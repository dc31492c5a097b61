"""`i2i options`"""

from dataclasses import asdict, replace

import click

from i2i.cli.shared import answer, answering_programs


@click.command(
    epilog="""\b
Examples:
  i2i options                      everything
  i2i options generator.width      one
  i2i options train --recipe pix2pix    a table, with the values of a recipe"""
)
@click.argument("prefix", required=False, default="")
@click.option(
    "--recipe", metavar="NAME|FILE", help="Show what a recipe says, and its options only."
)
@click.option("--markdown", "as_markdown", is_flag=True, help="As the tables of a page.")
@answering_programs
def command(prefix: str, recipe: str | None, as_markdown: bool, as_json: bool) -> None:
    """List the options of a recipe: type, default, range, meaning and who uses them.

    PREFIX is the beginning of a dotted name: `train`, `generator.`, `train.precision`.
    """
    from i2i.config.recipes import load_options
    from i2i.config.reference import all_options, markdown
    from i2i.errors import OptionsError, did_you_mean

    chosen = None if recipe is None else load_options(recipe)  # loads its plug-ins, too
    options = all_options()
    said = None
    if chosen is not None:
        said = _flat(chosen.to_dict())
        users = {chosen.model, *(each.network for each in chosen.networks.values())}
        options = [
            option
            for option in options
            if (not option.users or users & {*option.users})
            and option.path.split(".")[0] in {*chosen.to_dict(), "schedule", "inference"}
        ]
    shown = [option for option in options if option.path.startswith(prefix)]
    if not shown:
        paths = [option.path for option in options]
        raise OptionsError(
            f"no option begins with {prefix!r}.{did_you_mean(prefix, paths)} "
            f"The tables are: {', '.join(dict.fromkeys(path.split('.')[0] for path in paths))}."
        )
    if said is not None:
        shown = [replace(each, default=str(said.get(each.path, each.default))) for each in shown]
    if as_json:
        answer([asdict(option) for option in shown])
        return
    if as_markdown:
        click.echo(markdown(shown), nl=False)
        return
    for option in shown:
        by = ", ".join(option.users)
        click.echo(f"{click.style(option.path, bold=True)} = {option.default}")
        click.echo(f"    {option.type}{f'; of {by}' if by else ''}")
        if option.meaning:
            click.echo(f"    {option.meaning}")


def _flat(tables: dict[str, object], above: str = "") -> dict[str, object]:
    """Dotted path -> value."""
    flat: dict[str, object] = {}
    for key, value in tables.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{above}{key}.")
        else:
            flat[above + key] = value
    return flat
