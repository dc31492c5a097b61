"""Data that a program gives as objects: data sets, loaders, lists of batches.

They are what `torch.utils.data` has: a data set with a length, whose samples are dealt out here, or
something that gives batches, again from the beginning each time that it is gone through. Samples
and batches are those of the model (`i2i.Pair`, ...), or plain tuples and dictionaries of them.

A run that is resumed sees what it would have seen. So whatever is drawn from torch's, Python's and
numpy's global generators, in a data set or a loader, follows from the seed of the run and the
number of the sample, or of the epoch; the state that the program has is put back.
"""

import contextlib
import logging
import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset, IterableDataset

from i2i.core.batch import Labelled
from i2i.core.draws import one_at_a_time
from i2i.core.registry import OWN
from i2i.data.kinds import find_kind
from i2i.data.loading.order import EpochOrder
from i2i.data.sources.source import Source, fingerprint
from i2i.errors import DataError

_log = logging.getLogger(__name__)

Kind = Any
"""The named tuple of a batch."""


class Draws:
    """The global generators of torch (on the CPU), Python and numpy, for code that draws from them,
    apart from those of the program around it."""

    def __init__(self, *seeds: int) -> None:
        self._seeds: tuple[int, ...] | None = seeds
        self._states: tuple[Any, ...] = ()

    @contextlib.contextmanager
    def __call__(self) -> Iterator[None]:
        """Let them be drawn from, where the last time has left them."""
        with one_at_a_time:
            before = _states()
            try:
                if self._seeds is None:
                    _set_states(self._states)
                else:
                    state = np.random.SeedSequence(self._seeds).generate_state(3, np.uint64)
                    torch.default_generator.manual_seed(int(state[0]) >> 1)
                    random.seed(int(state[1]))
                    np.random.seed(int(state[2]) & 0xFFFFFFFF)  # noqa: NPY002 (that one is meant)
                    self._seeds = None
                yield
                self._states = _states()
            finally:
                _set_states(before)


def _states() -> tuple[Any, ...]:
    state = np.random.get_state()  # noqa: NPY002 (as above)
    return torch.default_generator.get_state(), random.getstate(), state


def _set_states(states: tuple[Any, ...]) -> None:
    torch.default_generator.set_state(states[0])
    random.setstate(states[1])
    np.random.set_state(states[2])  # noqa: NPY002 (as above)


def as_kind(thing: Any, kind: Kind, sample: str) -> Any:
    """A sample or a batch as the named tuple that a model learns from.

    A tuple or list has its fields in their order, a dictionary by their names. Of `Labelled`, the
    mask may be missing (everything is known), and so may the labels; then a tensor alone will do.

    Arguments:
        thing: what a data set or a loader gave.
        kind: `Pair`, `Unpaired`, `Labelled` or `Referenced`.
        sample: what it is called in messages.

    Raises:
        DataError: it is something else.
    """
    fields: tuple[str, ...] = kind._fields
    if isinstance(thing, kind):
        found = thing._asdict()
    elif isinstance(thing, Mapping) and thing.keys() <= {*fields}:
        found = dict(thing)
    elif isinstance(thing, list | tuple) and len(thing) <= len(fields):
        found = dict(zip(fields, thing, strict=False))
    elif isinstance(thing, Tensor) and kind is Labelled:
        found = {"images": thing}
    else:
        found = {}
    found = {k: torch.from_numpy(v) if isinstance(v, np.ndarray) else v for k, v in found.items()}
    if kind is Labelled and isinstance(images := found.get("images"), Tensor):
        count = images.shape[: max(0, images.ndim - 3)]
        found.setdefault("labels", torch.zeros(*count, 0))
        found.setdefault("mask", torch.ones(*count, 1))
    if found.keys() != {*fields} or not all(isinstance(each, Tensor) for each in found.values()):
        raise DataError(
            f"{sample} is {_described(thing)}: expected i2i.{kind.__name__}({', '.join(fields)}), "
            "or a tuple or dictionary of these, all tensors."
        )
    return kind(**found)


def _described(thing: Any) -> str:
    """What something is, in words."""
    if isinstance(thing, Mapping):
        parts = ", ".join(f"{key}: {_described(value)}" for key, value in islice(thing.items(), 6))
        return f"a {type(thing).__name__} of ({parts})"
    if isinstance(thing, list | tuple):
        parts = ", ".join(map(_described, thing[:6]))
        return f"a {type(thing).__name__} of {len(thing)} ({parts})"
    if isinstance(thing, Tensor | np.ndarray):
        return f"{type(thing).__name__} {tuple(thing.shape)} {thing.dtype}"
    return f"of the type {type(thing).__name__}"


class OwnSamples(Dataset[Any]):
    """The samples of a data set, by their position in the training (`i2i.data.loading.order`).

    Arguments:
        dataset: has a length and gives samples.
        kind: what they become.
        seed: of the order, and of what the data set draws.
        shuffle: whether each epoch has an order of its own; else always as they are.

    Raises:
        DataError: it is empty.
    """

    def __init__(self, dataset: Any, kind: Kind, seed: int, *, shuffle: bool) -> None:
        self.dataset = dataset
        self.kind = kind
        self.seed = seed
        if len(dataset) == 0:
            raise DataError(f"{type(dataset).__name__} has no sample.")
        self.order = EpochOrder(len(dataset), seed) if shuffle else None
        self._first: tuple[int, list[tuple[int, ...]]] | None = None

    def __len__(self) -> int:
        return len(self.dataset)

    def index(self, position: int) -> int:
        """Which of the samples comes at a position."""
        return self.order(position)[1] if self.order else position % len(self)

    def describe(self, position: int) -> str:
        """What a sample is called, for a person."""
        return str(self.index(position))

    def __getitem__(self, position: int) -> Any:
        index = self.index(position)
        name = f"sample {index} of {type(self.dataset).__name__}"
        with Draws(self.seed, position)():
            sample = as_kind(self.dataset[index], self.kind, name)
        shapes = [tuple(each.shape) for each in sample]
        self._first = self._first or (index, shapes)
        if shapes != self._first[1]:
            raise DataError(
                f"{name} has the shapes {_listed(shapes)}, sample {self._first[0]} "
                f"{_listed(self._first[1])}: bring all to one size, so that they fit into a batch."
            )
        return sample


def _listed(shapes: Sequence[tuple[int, ...]]) -> str:
    return ", ".join(map(str, shapes))


class OwnBatches:
    """The batches of a loader, step by step.

    Arguments:
        loader: gives batches, again from the beginning each time.
        kind: what they become.
        seed: of what the loader draws.

    Raises:
        DataError: it can be gone through only once.
    """

    def __init__(self, loader: Iterable[Any], kind: Kind, seed: int) -> None:
        if isinstance(loader, Iterator):
            raise DataError(
                f"data (={type(loader).__name__}) can be gone through only once: give a loader, a "
                "list of batches, or an object whose __iter__ begins anew."
            )
        self.loader = loader
        self.kind = kind
        self.seed = seed

    @property
    def length(self) -> int | None:
        """Batches in an epoch, if that is known."""
        try:
            return len(self.loader)  # type: ignore[arg-type]
        except TypeError:
            return None

    def __call__(self, start: int, stop: int) -> Iterator[Any]:
        """The batches of the steps start, start + 1, ..., stop - 1, counted from 0.

        Those of the epoch before `start` are prepared and left out.

        Raises:
            DataError: while iterating, a batch is not of the kind, or there is none.
        """
        step, epoch = 0, 0
        if (length := self.length) and start >= length:
            epoch = start // length
            step = epoch * length
        while step < stop:
            begun = step
            for batch in self.epoch(epoch):
                if step >= start:
                    yield as_kind(batch, self.kind, f"batch {step - begun} of the loader")
                step += 1
                if step == stop:
                    return
            if step == begun:
                raise DataError(f"data (={type(self.loader).__name__}) gives no batch.")
            epoch += 1

    def epoch(self, epoch: int) -> Iterator[Any]:
        """What the loader gives in an epoch, counted from 0, as it is."""
        draws = Draws(self.seed, epoch)
        with _begun_anew(self.loader, self.seed, epoch):
            with draws():
                batches = iter(self.loader)
            while True:
                with draws():
                    batch = next(batches, None)
                if batch is None:
                    return
                yield batch


@contextlib.contextmanager
def _begun_anew(loader: Any, *seeds: int) -> Iterator[None]:
    """Let the generators that a loader and its samplers may have of their own begin with what
    follows from their seed and the epoch: otherwise a resumed run would begin with its first order
    again."""
    in_batches = getattr(loader, "batch_sampler", None)
    samplers = (getattr(loader, "sampler", None), in_batches, getattr(in_batches, "sampler", None))
    holders = (loader, *samplers)
    found = {id(g): g for g in (getattr(each, "generator", None) for each in holders)}
    generators = [each for each in found.values() if isinstance(each, torch.Generator)]
    before = [each.get_state() for each in generators]
    try:
        for each in generators:
            own = np.random.SeedSequence([each.initial_seed() & (2**63 - 1), *seeds])
            each.manual_seed(int(own.generate_state(1, np.uint64)[0]) >> 1)
        yield
    finally:
        for each, state in zip(generators, before, strict=True):
            each.set_state(state)


def own_name(data: Any) -> str:
    """What options call data that a program gives."""
    return OWN + type(data).__name__


def own_source(
    data: Any, validation: Any, *, kind: str, seed: int, batch_size: int = 1, count: int = 0
) -> Source:
    """The data of a run that a program gives as objects.

    Arguments:
        data: a data set with a length, or something that gives batches.
        validation: the same to validate with; None for nothing.
        kind: the name of what the model learns from.
        seed: of the run.
        batch_size: samples in a batch.
        count: how many samples are validated with, at most.

    Raises:
        DataError: one of the two is neither, or has nothing in it.
    """
    batch = find_kind(kind).batch
    train: Any = _opened(data, batch, seed, shuffle=True)
    if getattr(data, "persistent_workers", False):
        _log.info(
            f"note: the workers of data (={type(data).__name__}) outlive an epoch, so what its "
            "data set draws in them does not follow from the seed alone: if it draws anything, a "
            "resumed run sees other draws (persistent_workers=False mends that)."
        )
    held: Any = () if validation is None else _opened(validation, batch, seed, shuffle=False)
    if isinstance(held, OwnBatches):
        held = _Samples(list(islice(_apart(held), count)))
    images = len(train) if isinstance(train, OwnSamples) else (train.length or 0) * batch_size
    return Source(
        train=train,
        validation=held,
        images=images,
        validation_images=len(held),
        fingerprint=fingerprint([own_name(data), str(images)]),
        batches=train if isinstance(train, OwnBatches) else None,
    )


def _opened(data: Any, batch: Kind, seed: int, *, shuffle: bool) -> OwnSamples | OwnBatches:
    if isinstance(data, IterableDataset):
        raise DataError(
            f"data (={type(data).__name__}) has no length: put it into a "
            "torch.utils.data.DataLoader, which makes batches of it."
        )
    if not isinstance(data, Iterable) and not hasattr(data, "__getitem__"):
        raise DataError(
            f"data is {_described(data)}: expected a data set with a length, or a loader that "
            "gives batches."
        )
    if hasattr(data, "__getitem__") and hasattr(data, "__len__"):
        samples = OwnSamples(data, batch, seed, shuffle=shuffle)
        if _images(samples[0]).ndim < 4:
            return samples
    return OwnBatches(data, batch, seed)


def first_sample(data: Any, kind: str) -> tuple[Any, int | None]:
    """The first sample of data, by which its size and channels are known, and the samples of the
    first batch; None where single samples are given. A loader begins anew afterwards."""
    opened = _opened(data, find_kind(kind).batch, 0, shuffle=False)
    if isinstance(opened, OwnSamples):
        return opened[0], None
    batch = next(opened(0, 1))
    return opened.kind(*(field[0] for field in batch)), len(batch[0])


def _images(sample: Any) -> Tensor:
    images: Tensor = sample[0]
    return images


def _apart(batches: OwnBatches) -> Iterator[Any]:
    """The samples of the first epoch of some batches."""
    for batch in batches.epoch(0):
        made = as_kind(batch, batches.kind, "a batch to validate with")
        for fields in zip(*made, strict=True):
            yield batches.kind(*fields)


class _Samples(Dataset[Any]):
    """Samples in memory."""

    def __init__(self, samples: Sequence[Any]) -> None:
        self.samples = samples

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, position: int) -> Any:
        return self.samples[position]

    def describe(self, position: int) -> str:
        """What a sample is called, for a person."""
        return str(position)
