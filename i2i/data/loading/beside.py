"""The images that were not looked at before a training, looked at beside it.

A process of its own does it, as slowly as the system likes, and remembers what it has seen: a run
that is resumed goes on there. What it finds changes nothing in the run, and is said once.
"""

import logging
import os
from collections.abc import Callable, Sequence
from multiprocessing import get_context, parent_process
from multiprocessing.connection import Connection
from pathlib import Path
from threading import Thread
from typing import Any

from i2i.core.plugins import LoadedPlugins
from i2i.data.catalogue.cache import cache_folder
from i2i.data.images.check import check_images
from i2i.data.loading.loader import START

_log = logging.getLogger(__name__)

_PART = 2000  # images that are looked at in one go

_Found = tuple[int, dict[str, str]]


def look_beside(paths: Sequence[Path]) -> Callable[[], None]:
    """Begin to look at images.

    Returns:
        what ends it.
    """
    context: Any = get_context(START)
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(
        target=_look, args=(LoadedPlugins(), paths, cache_folder(), sender), daemon=True
    )
    process.start()
    sender.close()
    Thread(target=_tell, args=(receiver,), daemon=True).start()

    def end() -> None:
        process.kill()  # it may be deaf to other signals, as all that begins with the workers is
        process.join()

    return end


def _look(plugins: LoadedPlugins, paths: Sequence[Path], cache: Path, sender: Connection) -> None:
    parent = parent_process()
    assert parent is not None
    Thread(target=_end_with, args=(parent.join,), daemon=True).start()
    if hasattr(os, "nice"):
        os.nice(19)
    logging.disable()  # what is found is said by the training
    for at in range(0, len(paths), _PART):
        some = paths[at : at + _PART]
        bad = check_images(some, cache, workers=1).bad
        sender.send((at + len(some), {str(path): why for path, why in bad.items()}))
    sender.close()


def _end_with(wait: Callable[[], None]) -> None:
    wait()
    os._exit(1)


def _tell(receiver: Connection) -> None:
    """Say what the other process finds, until it ends."""
    done = bad = 0
    try:
        while True:
            found: _Found = receiver.recv()
            done, why = found
            bad += len(why)
            for path, said in why.items():
                _log.warning("'%s' cannot be used (%s): others take its place.", path, said)
    except (EOFError, OSError):
        if done:
            _log.info("data: %d images were looked at beside the training, %d are bad", done, bad)
