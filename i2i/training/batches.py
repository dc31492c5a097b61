"""The batches of a run, for whoever writes the loop."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from i2i.config import read_options
from i2i.config.recipes import load_options
from i2i.data.loading.loader import make_loader
from i2i.data.own import own_source
from i2i.data.sources import Source, open_source, resolve_options
from i2i.errors import DataError

if TYPE_CHECKING:
    from i2i.training.trainer import Trainer


def batches_for(trainer: "Trainer", data: Any, stop: int) -> Iterator[Any]:
    """Those of the steps that a trainer has not done yet.

    Arguments:
        trainer: says how many samples a batch has, and what has been seen.
        data: a folder, or an object as for `i2i.train`.
        stop: steps that are done in the end.

    Raises:
        DataError: it is no such data, or the trainer is one of several processes.
    """
    if not trainer.processes.alone:
        raise DataError("Trainer.batches is for one process: several share the batches of a run.")
    source = _opened(trainer, data)
    if source.batches is not None:
        return source.batches(trainer.steps_done, stop)
    return make_loader(
        source.train, batch_size=trainer.images, start=trainer.steps_done, stop=stop, workers=0
    )


def _opened(trainer: "Trainer", data: Any) -> Source:
    kind = trainer.model.data
    if isinstance(data, str | Path):
        options = load_options(read_options(trainer.about["options"]), dataroot=data)
        return open_source(resolve_options(options, kind), kind)
    return own_source(data, None, kind=kind, seed=trainer.seed)
