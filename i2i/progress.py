"""A progress bar for work whose amount is known only when it has begun."""

import contextlib
import os
import sys
from collections.abc import Callable, Iterator
from typing import Any

import click


@contextlib.contextmanager
def progress_bar(label: str) -> Iterator[Callable[[int, int], None]]:
    """Give a function to be called with how much is done and how much there is altogether.

    The bar is on stderr, where it does not mix with what a command says, and only on a terminal.
    """
    with contextlib.ExitStack() as stack:
        bar: Any = None

        def progress(done: int, total: int) -> None:
            nonlocal bar
            if bar is None:
                bar = stack.enter_context(
                    click.progressbar(length=total, label=label, show_pos=True, file=sys.stderr)
                )
            bar.update(done - bar.pos)

        # Of several processes that do one job, the first one has the terminal.
        shown = sys.stderr.isatty() and os.environ.get("RANK", "0") == "0"
        yield progress if shown else lambda done, total: None
