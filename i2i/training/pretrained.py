"""Weights to begin with: those of another run, of an imported file, or of a bundle.

A weight is taken over if the new networks have one of its name and shape. Where only the data
differ, what both have is kept: channels of images in their order, domains and classes by their
names, whatever their order. What has another shape for another reason begins anew, as do the
channels and domains that are new.
"""

import hashlib
import itertools
import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from i2i.config import Options
from i2i.core.labels import LabelSpace
from i2i.core.model import Model
from i2i.core.text import listed
from i2i.errors import CheckpointError, OptionsError
from i2i.runs.folder import find_checkpoint, named_source
from i2i.runs.opening import open_checkpoint, require_room
from i2i.system import gate

_log = logging.getLogger(__name__)

OF_ITS_DATA = (*("root", "root_b", "table", "domains", "attributes", "groups", "more", "skip_bad"),)
OF_ITS_RUN = ("init_from", "init_strict", "init_rate", "freeze", "trackers")
"""What is not handed on with a recipe."""

Place = tuple[list[int], list[int]]
"""Along one dimension: where weights go, and where they come from."""


@dataclass(frozen=True)
class Begun:
    """What a run began with.

    Attributes:
        source: the checkpoint, without the place of its run on this machine.
        sha256: of its file.
        anew: the weights that began anew, wholly or in part.
    """

    source: str
    sha256: str
    anew: tuple[str, ...] = ()

    def told(self) -> dict[str, Any]:
        """As it stands in a checkpoint."""
        return {"from": self.source, "sha256": self.sha256, "anew": list(self.anew)}

    @classmethod
    def read(cls, told: Any) -> "Begun | None":
        """What a checkpoint tells; None if its run began from nothing.

        Raises:
            CheckpointError: it tells something else.
        """
        if not told:
            return None
        source, sha256, anew = told.get("from"), told.get("sha256"), told.get("anew")
        if not isinstance(anew, list | tuple) or not all(
            isinstance(each, str) for each in (source, sha256, *anew)
        ):
            raise CheckpointError(
                f"what the run began with (init = {gate.shortened(told)}) is damaged: take an "
                "older checkpoint from the same folder."
            )
        return cls(source, sha256, tuple(anew))


@dataclass
class _Taken:
    """What became of each weight, by name."""

    whole: list[str]
    partly: dict[str, str]
    anew: dict[str, str]
    unused: list[str]


def source_of(reference: str) -> str:
    """The file that is meant by what a person wrote: a run, a file, a folder, hub: or zoo:.

    A run goes on, and its newest checkpoint with it; so the file is what a new run remembers.

    Raises:
        I2iError: there is none.
    """
    path, _ = find_checkpoint(Path(reference), Path())
    return reference if named_source(Path(reference)) else str(path.absolute())


def recipe_of(reference: str) -> dict[str, Any]:
    """The options of a checkpoint as a recipe: without its data and what was about its run alone.

    Raises:
        I2iError: there is none, or it cannot be read.
    """
    path, _ = find_checkpoint(Path(reference), Path())
    options, _ = open_checkpoint(path)
    recipe = options.to_dict()
    for section, keys in (("data", OF_ITS_DATA), ("train", OF_ITS_RUN)):
        recipe[section] = {k: v for k, v in recipe[section].items() if k not in keys}
    return recipe


def begin_from(model: Model, options: Options) -> Begun:
    """Let the networks of a new run begin with the weights that `train.init_from` names.

    Of generators it is the moving average that is taken, where there is one: what is used.

    Arguments:
        model: with fresh weights.
        options: of the run.

    Raises:
        CheckpointError: they cannot be read.
        OptionsError: none of them fits; or some do not, and `train.init_strict` is on.
    """
    path, _ = find_checkpoint(Path(options.train.init_from), Path())
    theirs, state = open_checkpoint(path)
    weights = state["model"] | state["average"]
    taken = _take_over(model, options, weights, theirs)
    name = _name(path)
    if not taken.whole and not taken.partly:
        raise OptionsError(
            f"nothing of {path} ({_shape(theirs)}) fits into this {options.model} "
            f"({_shape(options)}): leave out --model and --recipe, and the new run has the "
            "networks of the old one."
        )
    misfits = [f"{key} {why}" for key, why in (taken.partly | taken.anew).items()]
    misfits += [f"{key} belongs to no network" for key in taken.unused]
    if options.train.init_strict and misfits:
        raise OptionsError(
            f"not all of {path} fits, and train.init_strict (--init-strict) asks for that: "
            f"{listed(misfits, 5)}."
        )
    for line in _report(name, taken):
        _log.info(line)
    return Begun(name, _sha256(path), (*taken.partly, *taken.anew))


def _name(path: Path) -> str:
    """A checkpoint by the name of its run, or a bundle by its folder."""
    folder = path.parent.parent if path.parent.name == "checkpoints" else path.parent
    return f"{folder.name}/{path.name}"


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _shape(options: Options) -> str:
    """The networks of a model, in words."""
    shapes = []
    for role, network in options.networks.items():
        told = network.model_dump(include={"network", "width", "downs", "blocks", "layers"})
        shapes.append(f"{role}: {' '.join(f'{k}={v}' for k, v in told.items())}")
    return "; ".join([options.model, *shapes])


def _report(name: str, taken: _Taken) -> Iterator[str]:
    count = len(taken.whole) + len(taken.partly) + len(taken.anew)
    yield (
        f"beginning with the weights of {name}: {len(taken.whole)} of {count} tensors fit as they "
        "are"
    )
    if taken.partly:
        parts = [f"{key} ({why})" for key, why in taken.partly.items()]
        yield f"  in part, channels in their order and labels by name: {listed(parts, 4)}"
    if taken.anew:
        yield f"  anew: {listed([f'{key} ({why})' for key, why in taken.anew.items()], 4)}"
    if taken.unused:
        yield f"  left out, as no network here has them: {listed(taken.unused, 4)}"


@torch.no_grad()
def _take_over(
    model: Model, options: Options, weights: Mapping[str, Any], theirs: Options
) -> _Taken:
    """Copy into a model what fits."""
    taken = _Taken([], {}, {}, [])
    networks = {name for names in model.players.values() for name in names}
    own = {k: v for k, v in model.state_dict().items() if k.partition(".")[0] in networks}
    layout = _Layout(options, theirs)
    used = set()
    for key, tensor in own.items():
        their_key = layout.their_key(key)
        old = weights.get(their_key) if their_key is not None else None
        if not isinstance(old, Tensor):
            taken.anew[key] = "not there"
            continue
        used.add(their_key)
        places = layout.places(key, tensor, old)
        if places is None:
            taken.anew[key] = f"{tuple(tensor.shape)}, there {tuple(old.shape)}"
            continue
        to, come = [each[0] for each in places], [each[1] for each in places]
        if all(len(there) == size for there, size in zip(to, tensor.shape, strict=True)):
            taken.whole.append(key)
        else:
            taken.partly[key] = f"{tuple(map(len, to))} of {tuple(tensor.shape)}"
        tensor[_grid(to)] = old[_grid(come)].to(tensor)
    taken.unused = [
        key for key in weights if key not in used and key.partition(".")[0] not in _pools(model)
    ]
    return taken


def _pools(model: Model) -> set[str]:
    """What is kept in a model and does not learn."""
    learning = {name for names in model.players.values() for name in names}
    return {name for name, _ in model.named_children()} - learning


def _grid(places: list[list[int]]) -> tuple[Tensor, ...] | Any:
    """An index of all combinations of places; of a scalar, all of it."""
    if not places:
        return ...
    return torch.meshgrid(*map(torch.tensor, places), indexing="ij")


class _Layout:
    """Which dimensions of which weights follow from the data, in two runs.

    That is found by building the networks once more without memory, with one channel or one label
    more: what has grown follows from it. Such a dimension is made of what belongs to neither, the
    channels of the input, those of the output, and the labels, in this order (those that it has).
    """

    def __init__(self, options: Options, theirs: Options) -> None:
        data = options.data
        self.own, self.theirs = options, theirs
        self.now = _shapes(options)
        self.labels: LabelSpace = data.labels
        inputs = {"input_channels": data.input_channels + 1}
        outputs = {"output_channels": data.output_channels + 1}
        try:
            self.grown = {
                "input": _shapes(_with(options, **inputs)),
                "output": _shapes(_with(options, **outputs)),
            }
        except OptionsError:  # a model that translates its own results back, of as many channels
            self.grown = {"input": _shapes(_with(options, **inputs, **outputs))}
        if self.labels.names:
            key = "domains" if self.labels.sets[0].exclusive else "attributes"
            more = {key: (*getattr(data, key), "one more label")}
            self.grown["labels"] = _shapes(_with(options, **more))

    def their_key(self, key: str) -> str | None:
        """The name there of a weight; None for that of a domain that is new.

        What is there once for each domain has the number of the domain in its name.
        """
        parts = key.split(".")
        more = self.grown.get("labels", {}).keys() - self.now.keys()
        for at, part in enumerate(parts):
            before, after = parts[:at], parts[at + 1 :]
            if (
                part.isdecimal()
                and ".".join([*before, str(len(self.labels.names)), *after]) in more
            ):
                name = self.labels.names[int(part)]
                known = self.theirs.data.labels.names
                if name not in known:
                    return None
                return ".".join([*before, str(known.index(name)), *after])
        return key

    def places(self, key: str, own: Tensor, old: Tensor) -> list[Place] | None:
        """Where weights go and where they come from, in each dimension; None if they do not fit."""
        if own.dim() != old.dim() or own.is_floating_point() != old.is_floating_point():
            return None
        places = []
        for dim, (size, their_size) in enumerate(zip(own.shape, old.shape, strict=True)):
            place = self._place(key, dim, size, their_size)
            if place is None:
                return None
            places.append(place)
        return places

    def _place(self, key: str, dim: int, size: int, their_size: int) -> Place | None:
        growth = {
            what: shapes[key][dim] - size for what, shapes in self.grown.items() if key in shapes
        }
        parts = [what for what, more in growth.items() if more == 1]
        if not parts:
            return ([*range(size)], [*range(size)]) if size == their_size else None
        counts = [(self._count(self.own, p), self._count(self.theirs, p)) for p in parts]
        rest = size - sum(count for count, _ in counts)
        if rest < 0 or rest != their_size - sum(count for _, count in counts):
            return None
        to, come = [*range(rest)], [*range(rest)]
        at = there = rest
        for part, (count, their_count) in zip(parts, counts, strict=True):
            for mine, other in self._pairs(part, count, their_count):
                to.append(at + mine)
                come.append(there + other)
            at, there = at + count, there + their_count
        return to, come

    def _pairs(self, part: str, count: int, their_count: int) -> Iterator[tuple[int, int]]:
        if part != "labels":
            yield from zip(range(min(count, their_count)), itertools.count(), strict=False)
            return
        known = self.theirs.data.labels.names
        for number, name in enumerate(self.labels.names):
            if name in known:
                yield number, known.index(name)

    def _count(self, options: Options, part: str) -> int:
        data = options.data
        match part:
            case "input":
                return data.input_channels
            case "output":
                return data.output_channels
        return len(data.labels.names)


def _with(options: Options, **changes: Any) -> Options:
    data = options.data.model_copy(update=changes)
    return options.model_copy(update={"data": data})


def _shapes(options: Options) -> dict[str, tuple[int, ...]]:
    state = require_room(options).state_dict()
    return {key: tuple(w.shape) for key, w in state.items() if isinstance(w, Tensor)}
