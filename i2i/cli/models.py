"""`i2i models`"""

import click

from i2i.cli.shared import answer, answering_programs


@click.command()
@answering_programs
def command(as_json: bool) -> None:
    """List the models that can be trained, and the recipes for them, by what they are for.

    The first name of each line is what `i2i train --model` takes. Recipes of one paragraph play the
    same game, by other networks, losses or sizes. Models of plug-ins stand among them.
    """
    from i2i.config.recipes import read_recipe, recipes
    from i2i.core.registry import MODELS
    from i2i.data.kinds import find_kind

    known = {name: read_recipe(name) for name in recipes()}
    lines = {name: (str(each["model"]), str(each["summary"])) for name, each in known.items()}
    played = {game for game, _ in lines.values()}
    for name in MODELS.names():
        if name not in played:
            about = (MODELS.find(name).__doc__ or "").strip().partition("\n")[0]
            lines[name] = (name, f"{about} (a plug-in: write a recipe with model = {name!r})")
    width = max(map(len, lines))
    games = dict.fromkeys(game for game, _ in lines.values())
    kinds = {game: find_kind(MODELS.find(game).data) for game in games}
    if as_json:
        answer(
            [
                {"name": name, "model": game, "task": kinds[game].task, "summary": about}
                for name, (game, about) in lines.items()
            ]
        )
        return
    tasks: dict[str, list[str]] = {}
    for game in sorted(games, key=lambda game: kinds[game].rank):
        rows = (
            f"  {name:{width}}  {about}\n" for name, (its, about) in lines.items() if its == game
        )
        tasks.setdefault(kinds[game].task, []).append("".join(rows))
    click.echo("\n".join(f"{task}\n\n" + "\n".join(each) for task, each in tasks.items()), nl=False)
