"""`i2i models`"""

import click


@click.command()
def command() -> None:
    """List the models that can be trained, and the recipes for them.

    The first name of each line is what `i2i train --model` takes. Recipes of one paragraph play the
    same game, by other networks, losses or sizes.
    """
    from i2i.config.recipes import read_recipe, recipes

    known = {name: read_recipe(name) for name in recipes()}
    width = max(map(len, known))
    games = dict.fromkeys(recipe["model"] for recipe in known.values())
    paragraphs = [
        "".join(
            f"{name:{width}}  {recipe['summary']}\n"
            for name, recipe in known.items()
            if recipe["model"] == game
        )
        for game in games
    ]
    click.echo("\n".join(paragraphs), nl=False)
