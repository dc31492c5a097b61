"""Options that several commands have in common."""

from collections.abc import Callable
from functools import reduce
from pathlib import Path
from typing import Any

import click

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
        "--average/--raw",
        default=None,
        help="Use the moving average of the generator, or the weights as trained.  "
        "[default: the average if the checkpoint has one]",
    ),
)


def choosing_a_generator(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options `checkpoint`, `runs_dir`, `best` and `average`, which
    `i2i.loading` takes by these names."""
    return reduce(lambda decorated, option: option(decorated), reversed(_OF_A_GENERATOR), command)
