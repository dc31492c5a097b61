"""`i2i models`"""

import click


@click.command()
def command() -> None:
    """List the models that can be trained, and the recipes for them, by what they are for.

    The first name of each line is what `i2i train --model` takes. Recipes of one paragraph play the
    same game, by other networks, losses or sizes.
    """
    from i2i.config.recipes import read_recipe, recipes
    from i2i.core.registry import MODELS
    from i2i.data.kinds import find_kind

    known = {name: read_recipe(name) for name in recipes()}
    width = max(map(len, known))
    games = dict.fromkeys(recipe["model"] for recipe in known.values())
    kinds = {game: find_kind(MODELS.find(game).data) for game in games}
    tasks: dict[str, list[str]] = {}
    for game in sorted(games, key=lambda game: kinds[game].rank):
        lines = (
            f"  {name:{width}}  {recipe['summary']}\n"
            for name, recipe in known.items()
            if recipe["model"] == game
        )
        tasks.setdefault(kinds[game].task, []).append("".join(lines))
    click.echo("\n".join(f"{task}\n\n" + "\n".join(each) for task, each in tasks.items()), nl=False)
