"""The data of a run: opened, dealt out to steps, and what is validated with."""

import contextlib
import logging
import shlex
from collections.abc import Generator, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from i2i.config import Options
from i2i.data.images.content_hash import fingerprint
from i2i.data.kinds import find_kind
from i2i.data.loading.beside import look_beside
from i2i.data.loading.loader import default_workers, make_loader
from i2i.data.own import OwnSamples, own_source
from i2i.data.sources import Source, open_source, remarks
from i2i.distributed.processes import Processes
from i2i.errors import DataError, I2iError, OptionsError
from i2i.metrics.measures import Measure
from i2i.models.build import data_kind, inference_mode
from i2i.runs.folder import Run
from i2i.training.advice import without_gpu
from i2i.training.build import samples_before
from i2i.training.own import OwnParts
from i2i.training.selection import classifier_of, distance_of
from i2i.training.trainer import Trainer
from i2i.training.validation import Validation

_log = logging.getLogger(__name__)


def open_data(
    options: Options,
    own: OwnParts,
    processes: Processes,
    device: torch.device,
    resumed: Run | None,
) -> Source:
    """Open the data of a run. A collective.

    Arguments:
        options: of the run.
        own: may have data in the place of a folder.
        processes: that train together.
        device: where they compute.
        resumed: the run that goes on; None for a new one, of whose data more is said.

    Raises:
        DataError: it is not as it should be.
        OptionsError: the length of the run cannot be known.
    """
    if own.data is not None:
        return _own_data(options, own, processes)
    kind = data_kind(options)
    with _telling_where_data_is(options, resumed):
        source = processes.in_turns(lambda: open_source(options, kind))
    if resumed is None and processes.first:
        with contextlib.suppress(I2iError, OSError):  # it is the training that matters
            for remark in remarks(options, kind, source):
                _log.info(remark)
        if line := without_gpu(options, device.type):
            _log.info(line)
    return source


def _own_data(options: Options, own: OwnParts, processes: Processes) -> Source:
    source = own_source(
        own.data,
        own.validation,
        kind=data_kind(options),
        seed=options.train.seed,
        batch_size=options.train.batch_size,
        count=options.train.validation_images,
    )
    if not source.images and options.train.steps is None:
        raise OptionsError(
            "train.epochs counts samples, and data has no length: give the length of the run in "
            "steps (steps=1000)."
        )
    if source.batches is not None and not processes.alone:
        raise DataError(
            "data gives whole batches, which cannot be dealt out to several processes: give a data "
            "set with a length."
        )
    return source


def batches_of(
    options: Options,
    source: Source,
    processes: Processes,
    device: torch.device,
    begin: int,
    stop: int,
) -> Iterator[Any]:
    """The batches of the steps from `begin` to `stop`, as this process sees them."""
    if source.batches is not None:
        return source.batches(begin, stop)
    workers = options.data.workers
    if workers == "auto":
        # What is defined in a notebook is not there in other processes.
        is_own = isinstance(source.train, OwnSamples)
        workers = 0 if is_own else default_workers(processes.local_world)
    lenient = options.data.skip_bad or len(source.unlooked)
    batches = make_loader(
        source.train,
        batch_size=samples_before(options),
        start=begin,
        stop=stop,
        workers=workers,
        pin_memory=device.type == "cuda",
        rank=processes.rank,
        world=processes.world,
        skipped=_Skipped() if lenient else None,
    )
    if len(source.unlooked) and processes.first and workers:
        return _beside(batches, source.unlooked)
    return batches


def _beside(batches: Iterator[Any], paths: Sequence[Path]) -> Iterator[Any]:
    """The same batches, with a look at images meanwhile, from when the first one is there."""
    end = None
    try:
        for batch in batches:
            end = end or look_beside(paths)
            yield batch
    finally:
        if end is not None:
            end()
        if isinstance(batches, Generator):
            batches.close()


class _Skipped:
    """Says which images have become unreadable while they are trained on, and counts them."""

    def __init__(self) -> None:
        self.known: set[str] = set()

    def __call__(self, text: str) -> None:
        if text not in self.known:
            self.known.add(text)
            _log.info(f"note: {text} Others take its place: {len(self.known)} so far.")


def validation_of(
    options: Options, source: Source, device: torch.device, metrics: Mapping[str, Measure]
) -> Validation | None:
    """What a run is validated by; None without images for that."""
    if not source.validation_images:
        own = f", and {', '.join(metrics)} will not be measured" if metrics else ""
        _log.info(
            f"note: there is no image left to validate with, so there will be no image grids{own}."
        )
        return None
    return Validation(
        source.validation_batches(options.train.validation_images),
        inference_mode(options),
        sheet=options.train.visualize_images,
        rows=(
            source.validation_names(options.train.visualize_images)
            if find_kind(data_kind(options)).translates
            else ()
        ),
        sides=source.sides,
        seed=options.train.seed,
        distance=distance_of(options, device),
        classifier=classifier_of(options, source, device),
        metrics=metrics,
    )


def require_learnable(trainer: Trainer, source: Source, validation: Validation | None) -> None:
    """Refuse data of a program that the model cannot learn from, before a folder is made.

    Raises:
        DataError: says what was found and what is wanted.
    """
    batches = [] if validation is None else list(validation.batches)
    if isinstance(source.train, OwnSamples):
        sample = source.train[0]
        batches.append(type(sample)(*(each[None] for each in sample)))
    if trainer.check is not None:
        for batch in batches:
            trainer.check(batch, next(trainer.model.parameters()).dtype)


def data_state(source: Source) -> dict[str, Any]:
    """What the images of a run are, by their content, and how many; nothing where that cannot be
    told."""
    try:
        counts = {split: len(members) for split, members in source.splits.items()}
        return {"data": fingerprint(source), "images": counts}
    except (I2iError, OSError):  # `record_splits` says so
        return {}


@contextlib.contextmanager
def _telling_where_data_is(options: Options, resumed: Run | None) -> Iterator[None]:
    """Name the way out if the data of a run has moved since it began, or nobody knows any more
    where it was: a checkpoint alone has no more than its name."""
    try:
        yield
    except DataError as error:
        if resumed is None or Path(options.data.root).exists():
            raise
        raise DataError(
            f"{error} If the images have moved, say where to: i2i train --resume "
            f"{shlex.quote(str(resumed.folder))} --dataroot DIR"
        ) from None
