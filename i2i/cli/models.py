"""`i2i models`"""

import click


@click.command()
def command() -> None:
    """List the models that can be trained, and the recipes for them.

    The first name of each line is what `i2i train --recipe` takes; where it is the name of a model,
    `--model` takes it too.
    """
    from i2i.recipes import read_recipe, recipes

    known = {name: read_recipe(name) for name in recipes()}
    width = max(map(len, known))
    for name, recipe in known.items():
        kind = "" if name == recipe["model"] else f" (recipe for {recipe['model']})"
        click.echo(f"{name:{width}}  {recipe['summary']}{kind}")
