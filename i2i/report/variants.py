"""Runs that are compared: which of them differ in their seeds alone, and what tells the others
apart."""

import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from i2i.core.signals import read_signal
from i2i.errors import RunError
from i2i.report.record import Record, read_record
from i2i.runs.outputs import flaws
from i2i.training.continuation import MAY_CHANGE

REPEATS = ("train.seed", "data.fold", "data.split_seed")
"""What differs between repetitions of the same experiment."""

_LENGTH = ("train.steps", "train.epochs", "train.patience")

IGNORED = {*REPEATS, "summary", *(name for name in MAY_CHANGE if name not in _LENGTH)}
"""Options that make no other variant of a run."""

MANY = 8
"""Options that differ from which on nobody reads them in a line: runs of other models, say."""

VARIANT = "variant:"
"""A tag that begins so says what a run is called in comparisons."""


@dataclass(frozen=True)
class Figures:
    """What is known of how good a run is.

    `values` are figures by their names, `images` the values of each image by measure and name, and
    `step` is that of the checkpoint they are of.
    """

    values: Mapping[str, float]
    images: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    step: int | None = None


@dataclass(frozen=True)
class ComparedRun:
    """A run and its figures; `repeat` tells it from others of the same variant."""

    folder: Path
    record: Record
    figures: Figures
    repeat: tuple[Any, ...]


@dataclass(frozen=True)
class Variant:
    """Runs that differ in what repeats an experiment alone, and what they are called."""

    name: str
    options: Mapping[str, Any]
    runs: tuple[ComparedRun, ...]


def read_runs(folders: Iterable[Path]) -> list[tuple[Path, Record]]:
    """Read the folders of runs; of a folder that holds runs, all of them, the oldest first.

    Raises:
        RunError: one is no folder of a run.
    """
    found: dict[Path, Record] = {}
    for folder in folders:
        inner = sorted(path.parent for path in folder.glob("*/options.toml"))
        chosen = inner if inner and not (folder / "options.toml").exists() else [folder]
        read = [(each, read_record(each)) for each in chosen]
        for each, record in sorted(read, key=lambda pair: _began(pair[1])):
            found.setdefault(each, record)
    return list(found.items())


def _began(record: Record) -> str:
    """When a run began, in ISO 8601; "" where nobody wrote it down."""
    return str(record.environments[0][1].get("started", "")) if record.environments else ""


def last_validation(record: Record) -> Figures:
    """What a run measured at the validation that decided on its best checkpoint, or at its last
    one where none did."""
    rows = [row for row in record.rows if any(name.startswith("validation/") for name in row)]
    if not rows:
        return Figures({})
    chosen = rows[-1]
    if record.monitor is not None:
        name, better = record.monitor
        key = f"validation/{name}"
        decided = [row for row in rows if row.get(key) is not None]
        decided = [row for row in decided if not flaws(row, name)] or decided
        if decided:
            chosen = (min if better == "lower" else max)(decided, key=lambda row: row[key])
    values = {
        name.removeprefix("validation/"): float(value)
        for name, value in chosen.items()
        if value is not None and name.startswith("validation/") and _is_result(name)
    }
    return Figures(values, step=chosen["step"])


def _is_result(name: str) -> bool:
    signal = read_signal(name)
    return signal.group == "result" and not signal.copying


def variants(runs: Sequence[ComparedRun]) -> list[Variant]:
    """Group runs that differ in seeds alone, in the order in which they are given.

    Raises:
        RunError: two runs of a variant have the same seeds, so that they are one experiment.
    """
    groups: dict[str, list[ComparedRun]] = {}
    for run in runs:
        groups.setdefault(json.dumps(_identity(run), sort_keys=True, default=str), []).append(run)
    for group in groups.values():
        seen: dict[tuple[Any, ...], ComparedRun] = {}
        for run in group:
            if (other := seen.setdefault(run.repeat, run)) is not run:
                raise RunError(
                    f"{other.folder} and {run.folder} are the same experiment: their options "
                    "differ in nothing that counts, not even in train.seed. Name one of them."
                )
    differing = differences([group[0].record.options for group in groups.values()])
    names = _told_apart(
        [
            (_name(group, differing, len(groups)), group[0].record.options)
            for group in groups.values()
        ]
    )
    return [
        Variant(
            name,
            {option: group[0].record.options.get(option) for option in differing},
            tuple(sorted(group, key=lambda run: tuple(map(_sortable, run.repeat)))),
        )
        for name, group in zip(names, groups.values(), strict=True)
    ]


def _identity(run: ComparedRun) -> dict[str, Any]:
    """What makes a run the experiment that it is."""
    return {name: value for name, value in run.record.options.items() if name not in IGNORED}


def differences(options: Sequence[Mapping[str, Any]]) -> list[str]:
    """The options that are not the same for all, without those that make no other variant."""
    names = dict.fromkeys(name for each in options for name in each if name not in IGNORED)
    return [
        name
        for name in names
        if len({json.dumps(each.get(name), default=str) for each in options}) > 1
    ]


def repeat_of(record: Record) -> tuple[Any, ...]:
    return tuple(record.options.get(name) for name in REPEATS)


def tags_of(record: Record) -> list[str]:
    """The tags of a run, of all its sessions."""
    return [
        str(tag)
        for _, environment in record.environments
        if isinstance(tags := environment.get("tags"), list)
        for tag in tags
    ]


def _name(group: Sequence[ComparedRun], differing: Sequence[str], count: int) -> str:
    told = {
        tag.removeprefix(VARIANT)
        for run in group
        for tag in tags_of(run.record)
        if tag.startswith(VARIANT)
    }
    if len(told) == 1:
        return told.pop()
    options = group[0].record.options
    if count == 1 or not differing or len(differing) > MANY:
        return group[0].record.name
    return _as_words(options, differing)


def _told_apart(named: Sequence[tuple[str, Mapping[str, Any]]]) -> Iterator[str]:
    """The names of variants, each of its own: two that are called alike, with the options in which
    they differ."""
    alike: dict[str, list[Mapping[str, Any]]] = {}
    for name, options in named:
        alike.setdefault(name, []).append(options)
    for name, options in named:
        own = differences(alike[name])
        yield f"{name} ({_as_words(options, own)})" if own else name


def _as_words(options: Mapping[str, Any], names: Iterable[str]) -> str:
    return ", ".join(f"{name}={_short(options.get(name))}" for name in names)


def _short(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, default=str)


def _sortable(value: Any) -> tuple[bool, float]:
    number = isinstance(value, int | float) and math.isfinite(value)
    return not number, float(value) if number else 0.0
