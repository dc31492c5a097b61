"""Options that several commands have in common."""

import json
import os
import sys
from collections.abc import Callable
from functools import reduce, wraps
from pathlib import Path
from typing import Any

import click

from i2i.cli import console
from i2i.core.size import Size


class SizeType(click.ParamType):  # type: ignore[type-arg]
    """A size in pixels, "256" for a square or "512x256": given on as one number or a pair."""

    name = "PIXELS|WIDTHxHEIGHT"

    def __init__(self, smallest: int) -> None:
        self.smallest = smallest

    def convert(
        self, value: Any, parameter: click.Parameter | None, context: click.Context | None
    ) -> Any:
        try:
            size = Size.of(value)
        except ValueError as error:
            self.fail(f"{value!r}: {error}.", parameter, context)
        if min(size) < self.smallest:
            self.fail(f"{value} must be at least {self.smallest}.", parameter, context)
        return size.plain


_OF_A_GENERATOR = (
    click.option(
        "--checkpoint",
        "--run",
        "checkpoint",
        metavar="RUN_OR_FILE",
        type=click.Path(path_type=Path),
        help="A run folder or a checkpoint file.  [default: the newest run]",
    ),
    click.option(
        "--runs-dir",
        type=click.Path(path_type=Path),
        default=Path("runs"),
        show_default=True,
        help="Where the newest run is looked for.",
    ),
    click.option(
        "--best",
        is_flag=True,
        help="Of a run, take the checkpoint with the best validation.  [default: the last one]",
    ),
    click.option(
        "--best-by",
        metavar="MEASURE",
        help="Of a run, take the best of the checkpoints that were kept (train.keep) by a measure "
        "of its validations, such as psnr.",
    ),
    click.option(
        "--average/--raw",
        default=None,
        help="Use the moving average of the generator, or the weights as trained.  "
        "[default: the average if the checkpoint has one]",
    ),
)

_OF_A_BUNDLE = (
    click.option(
        "--best", is_flag=True, help="safetensors: the checkpoint with the best validation."
    ),
    click.option(
        "--dtype",
        type=click.Choice(["float32", "float16"]),
        default="float32",
        show_default=True,
        help="safetensors: of the stored weights; float16 halves the files.",
    ),
    click.option(
        "--networks",
        type=click.Choice(["all", "generators"]),
        default="all",
        show_default=True,
        help="safetensors: all that learn, so that others can go on from them, or what is used.",
    ),
    click.option(
        "--licence",
        "--license",
        "licence",
        default="",
        metavar="SPDX",
        help="safetensors: the licence of the weights, for the card (apache-2.0, cc-by-4.0, ...).",
    ),
    click.option("--title", default="", help="safetensors: what the card calls it."),
    click.option(
        "--sheet/--no-sheet",
        default=True,
        show_default=True,
        help="safetensors: the newest image grid of the run; it shows validation images.",
    ),
)


def answering_programs(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the flag --json, its argument `as_json`: with it, stdout is one JSON document
    (`answer`), and what is said beside goes to stderr."""

    @wraps(command)
    def answered(*args: Any, as_json: bool, **options: Any) -> Any:
        console().aside = console().aside or as_json
        return command(*args, as_json=as_json, **options)

    flag = click.option("--json", "as_json", is_flag=True, help="Answer in JSON, for a program.")
    return flag(answered)


def answer(value: Any) -> None:
    """Answer a program; paths become text."""
    click.echo(json.dumps(value, indent=2, default=str))


def json_file_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command whose answer has more than one form the flag --json FILE, its argument
    `json_file`; `-` is stdout, and tables for people then go to stderr."""

    @wraps(command)
    def written(*args: Any, json_file: Path | None, **options: Any) -> Any:
        console().aside = console().aside or str(json_file) == "-"
        return command(*args, json_file=json_file, **options)

    return click.option(
        "--json",
        "json_file",
        type=click.Path(path_type=Path, allow_dash=True),
        help="Write everything as JSON; -: answer in it, for a program.",
    )(written)


def write_or_print(path: Path, text: str) -> None:
    """Write a file whose folder need not be there; `-` is stdout."""
    from i2i.system.atomic import write_text

    if str(path) == "-":
        click.echo(text, nl=False)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, text)


def show_in_browser(place: str) -> None:
    """Open a page or a file, where there is a screen to show it."""
    screens = ("DISPLAY", "WAYLAND_DISPLAY", "WSL_DISTRO_NAME")
    if sys.platform.startswith("linux") and not any(map(os.environ.get, screens)):
        return  # what would be asked instead complains of every browser that there is not
    click.launch(place)


PLUGINS = "i2i.core.plugins"
"""Where a click context keeps what is noted of the plug-ins that were named."""


def _load_plugins(ctx: click.Context, parameter: click.Parameter, files: tuple[str, ...]) -> None:
    if files:
        from i2i.core.plugins import load_plugin

        ctx.meta[PLUGINS] = [load_plugin(file) for file in files]


def _trust_plugins(ctx: click.Context, parameter: click.Parameter, trusted: bool) -> None:
    if trusted:
        from i2i.core.plugins import trust_plugins

        trust_plugins()


def plugin_options() -> list[click.Option]:
    """The options --plugin and --trust-plugins, which run before all others are read."""
    return [
        click.Option(
            ["--plugin"],
            metavar="FILE",
            multiple=True,
            is_eager=True,
            expose_value=False,
            callback=_load_plugins,
            help="A Python file that adds models, networks, losses, ...; may be repeated.",
        ),
        click.Option(
            ["--trust-plugins"],
            is_flag=True,
            is_eager=True,
            expose_value=False,
            callback=_trust_plugins,
            help="Run the copies of such files that a run folder keeps.",
        ),
    ]


def choosing_a_generator(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options `checkpoint`, `runs_dir`, `best` and `average`, which
    `i2i.inference.load` takes by these names."""
    return reduce(
        lambda decorated, option: option(decorated),
        reversed(_OF_A_GENERATOR),
        choosing_best(command),
    )


def choosing_best(command: Callable[..., Any]) -> Callable[..., Any]:
    """Join the options `--best` and `--best-by` of a command in its argument `best`: whether, or by
    which measure."""

    @wraps(command)
    def chosen(*args: Any, best: bool, best_by: str | None, **options: Any) -> Any:
        if best and best_by:
            raise click.UsageError("Say either --best or --best-by.")
        return command(*args, best=best_by or best, **options)

    return chosen


def describing_a_bundle(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options of `i2i.export.bundle.export_bundle`, by their names there."""
    return reduce(lambda decorated, option: option(decorated), reversed(_OF_A_BUNDLE), command)
