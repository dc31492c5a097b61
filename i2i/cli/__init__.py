"""The command line. Each command is a module of its own, imported when it runs."""

import atexit
import importlib
import signal
import sys
from collections.abc import Iterator
from keyword import iskeyword
from typing import TYPE_CHECKING, Any

import click

from i2i import __version__
from i2i.errors import I2iError, ProcessError, did_you_mean, in_words

if TYPE_CHECKING:
    from i2i.core.console import Console

COMMANDS = {
    "start": "Say what lies in a folder of images and how to begin with it.",
    "train": "Train a model on a folder of images, or go on with a run.",
    "translate": "Translate an image or a folder with a trained model.",
    "sample": "Make images from noise with a trained model.",
    "project": "Find what a model makes a given image of.",
    "evaluate": "Measure how good images or a run are.",
    "models": "List the models that can be trained.",
    "options": "List the options of a recipe, what they mean and who uses them.",
    "app": "Look at runs, try models and start trainings in a browser.",
    "serve": "Answer programs over HTTP with trained models.",
    "info": "Say what a checkpoint or a run is.",
    "runs": "List runs; filter and sort them by options, figures, tags.",
    "compare": "Compare runs: figures over seeds, significance, LaTeX, a page.",
    "sweep": "Train many runs that differ in some options, and compare them.",
    "report": "Make one page about a run: health, images, curves, options.",
    "import": "Make a run of weights that the authors' PyTorch code saved.",
    "export": "Write a run as files for the authors' code, as ONNX, or to hand on.",
    "push": "Upload the weights of a run to a hub.",
    "pull": "Download weights from a hub.",
    "zoo": "List weights that can be used by name.",
    "doctor": "Say what is wrong with a data set or a run.",
    "datasets": "List, fetch, check and paint data sets.",
    "completion": "Print what makes a shell complete commands and flags.",
}
"""Name -> what `i2i --help` says of it; the command is `command` in `i2i.cli.NAME`."""

TAKING_PLUGINS = COMMANDS.keys() - {"datasets", "import", "pull", "zoo", "completion"}
"""The commands that read recipes or checkpoints, which may need parts from outside."""

ANSWERING = ("models", "options", "info", "runs", "zoo", "completion", "datasets list")
"""The commands that do nothing but answer, so that they have no --quiet."""

INTERRUPTED = 130
"""The exit code after Ctrl-C that a shell expects."""

_CONSOLE = "i2i.core.console"
"""Where a click context keeps the console of the command."""


class TypedPath(click.Path):
    """A path as people type and paste it: see `i2i.data.images.read.typed_path`."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        from i2i.data.images.read import typed_path

        return super().convert(typed_path(value) if isinstance(value, str) else value, param, ctx)


def _commands(name: str, command: click.Command) -> Iterator[tuple[str, click.Command]]:
    """A command and the commands in it, by their words."""
    if not isinstance(command, click.Group):
        yield name, command
        return
    for word, inner in command.commands.items():
        yield from _commands(f"{name} {word}", inner)


def _settings(path: click.Path) -> dict[str, Any]:
    names = ("exists", "file_okay", "dir_okay", "writable", "readable", "resolve_path")
    return {name: getattr(path, name) for name in (*names, "allow_dash", "executable")} | {
        "path_type": path.type
    }


class LazyGroup(click.Group):
    """A group that imports a command only when it is called, so that `--help` is quick."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command:
        if cmd_name not in COMMANDS:
            ctx.fail(f"No such command {cmd_name!r}.{did_you_mean(cmd_name, COMMANDS)}")
        # A module cannot be called as a word of Python is.
        module = f"{cmd_name}_" if iskeyword(cmd_name) else cmd_name
        command: click.Command = importlib.import_module(f"i2i.cli.{module}").command
        if cmd_name in TAKING_PLUGINS and not any(p.name == "plugin" for p in command.params):
            from i2i.cli.shared import plugin_options

            command.params.extend(plugin_options())
        for name, each in _commands(cmd_name, command):
            if name not in ANSWERING and not any(p.name == "quiet" for p in each.params):
                each.params.append(_quiet_option())
            for parameter in each.params:
                if type(parameter.type) is click.Path:
                    parameter.type = TypedPath(**_settings(parameter.type))
        return command

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command; where it says nothing of Ctrl-C itself, say that it has stopped."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as stop:
            why = "".join(f": {note}" for note in getattr(stop, "__notes__", ()))
            click.echo(f"\nstopped by Ctrl-C{why}", err=True)
            ctx.exit(INTERRUPTED)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__)
@click.pass_context
def cli(context: click.Context) -> None:
    """Image-to-image translation: from images of one kind to another, or from noise.

    \b
    The main job:
      i2i start FOLDER                      what lies there, and how to begin
      i2i train FOLDER                      learn; or two folders; or: demo
      i2i report runs/NAME --open           watch
      i2i translate INPUT_DIR OUTPUT_DIR    use
    """
    from i2i.core.console import Console

    context.meta[_CONSOLE] = context.with_resource(Console())


def _quiet_option() -> click.Option:
    def silence(ctx: click.Context, parameter: click.Parameter, quiet: bool) -> None:
        console().quiet = console().quiet or quiet

    return click.Option(
        ["--quiet"],
        is_flag=True,
        is_eager=True,
        expose_value=False,
        callback=silence,
        help="Say nothing but errors and what was asked for.",
    )


def say(text: str = "") -> None:
    """Tell what nobody has asked for: where something is, say. It is left out with --quiet, and
    goes to stderr where stdout is an answer for a program."""
    if not console().quiet:
        click.echo(text, err=console().aside)


def console() -> "Console":
    """That of the command which runs."""
    from i2i.core.console import Console

    found: Console = click.get_current_context().meta.get(_CONSOLE) or Console()
    return found


def main(args: list[str] | None = None) -> Any:
    """Run the command line; a mistake of the person gives a sentence and exit code 2."""
    try:
        return cli(args, obj=args)
    except (I2iError, OSError) as error:  # OSError: a folder that cannot be written, a full disk
        if not (isinstance(error, ProcessError) and error.silent):
            text = in_words(error) if isinstance(error, OSError) else str(error)
            for line in (f"Error: {text}", *getattr(error, "__notes__", ())):
                click.echo(line, err=True)
        sys.exit(2)
    finally:
        atexit.register(_end_at_once)  # the last registered is the first called


def _end_at_once() -> None:
    """Let Ctrl-C end the process from now on.

    Nothing is left to finish, and an exception would come out of what libraries do at the exit.
    """
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
