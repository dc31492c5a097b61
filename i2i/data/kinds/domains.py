"""Labelled images, by folders or by tables of attributes: for StarGAN and its like."""

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from i2i.config import LabelledData, Options
from i2i.core.batch import Labelled
from i2i.core.labels import EVERYTHING, LabelSpace
from i2i.core.registry import register_data_kind
from i2i.core.text import counted
from i2i.data.augment.geometry import evaluation_geometry
from i2i.data.catalogue.attributes import find_attributed, read_table
from i2i.data.images.check import CheckResult
from i2i.data.inspection.survey import SPLITS, Part, Survey, Wanted
from i2i.data.kinds.kind import DataKind, Groups, NamedImages, Trial, noise
from i2i.data.kinds.labelled_images import (
    LabelledFiles,
    LabelledImages,
    first_labelled,
    labels_in_turn,
)
from i2i.data.kinds.layouts import find_domains, find_unpaired, hold_out
from i2i.data.sources.cached import keep_decoded
from i2i.data.sources.root import find_root
from i2i.data.sources.source import (
    HELD_OUT,
    Say,
    Source,
    fingerprint,
    geometry,
    left_out,
    members_of,
    readable,
    say_not_used,
    silent,
    table_file,
)
from i2i.errors import DataError, OptionsError

Parts = tuple[LabelledFiles, LabelledFiles, Sequence[Path]]
"""Those to train on, to validate with, and to test with beside them."""

HELD_OUT_AT_MOST = 2000
"""Of a table of attributes, which may list a hundred times as many; as published for StarGAN."""


@register_data_kind("domains")
class Domains(DataKind):
    """Images that have labels: a domain each, or attributes."""

    batch = Labelled
    sides = "A"
    has_domains = True
    takes_table = True
    rank = 30
    demo = "domains"
    unused = ()
    balance_advice = "Train with --set data.balance=true, which shows all equally often."
    balance_severity = "warning"

    def labels(self, options: Options) -> dict[str, Any]:
        data = options.data
        found = [
            _label_names(each, find_root(each.root, self.name, silent))
            for each in (data, *data.more)
        ]
        more = zip(data.more, found[1:], strict=True)
        return found[0] | {"more": [of.model_dump() | names for of, names in more]}

    def open(self, options: Options, say: Say, checked: CheckResult) -> Source:
        data, seed = options.data, options.train.seed
        roots = [find_root(each.root, self.name, say) for each in (data, *data.more)]
        parts = [
            (_attributed if each.table else _foldered)(each, folder, options, say, checked)
            for each, folder in zip((data, *data.more), roots, strict=True)
        ]
        sets, held = [train for train, _, _ in parts], [rest for _, rest, _ in parts]
        for each in sets:
            each.require_examples()
        common: dict[str, Any] = {"channels": data.input_channels, "seed": seed}
        train = LabelledImages(
            sets,
            geometry(data),
            batch_size=options.train.batch_size,
            shuffle=True,
            balance=data.balance,
            references=data.references > 0,
            **common,
        )
        files = [path for each in sets for path in each.images]
        keep_decoded(train, files, data, say, train.channels)
        evaluation = evaluation_geometry(data.crop_size, data.resize)
        validation = LabelledImages(held, evaluation, **common)
        return Source(
            train=train,
            validation=validation,
            images=len(train),
            validation_images=len(validation),
            fingerprint=fingerprint(
                f"{path.name} {row.nonzero()[0].tolist()}"
                for each in sets
                for path, row in zip(each.images, each.labels, strict=True)
            ),
            members=members_of(
                {
                    "train": files,
                    "val": [path for each in held for path in each.images],
                    "test": [path for _, _, tested in parts for path in tested],
                },
                roots,
                checked,
            ),
        )

    def detect(self, root: Path, fits: Mapping[str, str]) -> Mapping[str, str]:
        if "unpaired" in fits:  # whose two folders are not meant to be domains
            return {}
        found = {}
        with contextlib.suppress(DataError):
            find_domains(root, "train")
            found[self.name] = "a folder for each domain"
            find_unpaired(root, "train")  # exactly two of them
            found["unpaired"] = "two folders"
        return found

    def survey(self, found: Survey, wanted: Wanted) -> Iterable[Callable[[Survey], Survey]]:
        if wanted.table is not None:
            return [partial(_survey_table, table=wanted.table, names=wanted.attributes)]
        return [partial(_survey_split, split=split, names=wanted.domains) for split in SPLITS]

    def count_samples(self, parts: Sequence[int]) -> int:
        return sum(parts)

    def random_batch(
        self,
        count: int,
        size: int,
        channels: tuple[int, int],
        labels: LabelSpace,
        generator: torch.Generator,
    ) -> Labelled:
        return labels_in_turn(noise(count, channels[0], size, generator), labels)

    def trials(
        self, source: Source, options: Options, count: int | None, *, examples: int, side: int
    ) -> Iterator[Trial]:
        space = options.data.labels
        held = first_labelled(source.validation, count)
        learnt = cache(lambda: first_labelled(source.train, examples, side=side))

        @cache
        def told_apart(groups: tuple[_Group, ...]) -> Callable[[], tuple[Groups, Groups]]:
            return lambda: (
                {group.name: _of_group(learnt(), space, group) for group in groups},
                {group.name: _of_group(held, space, group) for group in groups},
            )

        for column, name in enumerate(space.names):
            real = _of_group(held, space, _Group(name, column, True))
            sources = _of_group(held, space, _Group(name, column, False))
            if not sources.names or not real.names:
                continue
            yield Trial(
                name,
                sources,
                real,
                domain=name,
                labels=held.labels[[int(number) for number in sources.names]],
                groups=told_apart(_groups(space, column)),
                group=name,
            )


class _Group(NamedTuple):
    """Images of which a label is known to hold, or not."""

    name: str
    column: int
    holds: bool


def _groups(space: LabelSpace, column: int) -> tuple[_Group, ...]:
    """What a label is told apart from: the other domains, or images without the attribute."""
    for each, part in zip(space.sets, space.parts, strict=True):
        if each.exclusive and part.start <= column < part.stop:
            return tuple(_Group(n, part.start + i, True) for i, n in enumerate(each.names))
    name = space.names[column]
    return _Group(f"not {name}", column, False), _Group(name, column, True)


def _of_group(images: Labelled, space: LabelSpace, group: _Group) -> NamedImages:
    """Those of some samples that are of a group, by their numbers."""
    known = space.known(images.mask)[:, group.column] > 0
    chosen = known & ((images.labels[:, group.column] > 0) == group.holds)
    numbers = torch.nonzero(chosen)[:, 0].tolist()
    return NamedImages(images.images[chosen], [str(number) for number in numbers])


def _survey_split(found: Survey, split: str, names: Sequence[str]) -> Survey:
    if split != "train":
        names = [part.name for part in found.parts if part.split == "train"]
        if not names:
            return found
    folders = find_domains(found.root, split, names)
    if folders is None:
        return found.without(split)
    if split == "test" and found.validates_with(
        path for images in folders.images.values() for path in images
    ):
        return found
    counts = ", ".join(f"{len(images)} of {name}" for name, images in folders.images.items())
    parts = [Part(split, name, images) for name, images in folders.images.items()]
    found = replace(found, notes=(*found.notes, *folders.notes))
    return found.adding(f"{split}: {counts} ({folders.layout})", *parts)


def _survey_table(found: Survey, table: Path, names: Sequence[str]) -> Survey:
    rows = read_table(table, names)
    folder = find_attributed(found.root, rows, drop_unlisted=True)
    count = len(folder.train)
    shares = [
        (name, sum(values[at] for values in folder.train.values()) / max(count, 1))
        for at, name in enumerate(rows.names)
    ]
    found = replace(found, unlisted=folder.unlisted, shares=tuple(shares))
    found = found.adding(
        f"train: {counted(count, 'image', 'images')} with {len(rows.names)} attributes "
        f"({folder.layout})",
        Part("train", "", tuple(folder.train)),
    )
    if folder.validation is None:
        return found.adding("val: none")
    held = {"val": tuple(folder.validation), "test": folder.test}
    for split, images in held.items():
        if split == "val" or images:
            line = f"{split}: {counted(len(images), 'image', 'images')}"
            found = found.adding(line, Part(split, "", images))
    return found


def _label_names(data: LabelledData, root: Path) -> dict[str, Any]:
    """Return the options of one data set that only the data can tell: the names of its labels.

    Raises:
        DataError: there are none, or one has a name that a label cannot have.
        OptionsError: the options do not fit the data.
    """
    names = _found_names(data, root)
    if EVERYTHING in (*names.get("domains", ()), *names.get("attributes", ())):
        raise DataError(
            f"'{root}' has a label {EVERYTHING!r}, the word that asks a model for all of its "
            "labels in turn: rename its folder or column, or leave it out with data.domains or "
            "data.attributes."
        )
    return names


def _found_names(data: LabelledData, root: Path) -> dict[str, Any]:
    if not data.root:
        raise OptionsError("a data set has no root: say where its images are.")
    if data.table:
        table = read_table(table_file(data.table, root), data.attributes)
        groups = data.groups or table.groups
        return {"attributes": list(table.names), "groups": [list(group) for group in groups]}
    if data.attributes:
        raise OptionsError(
            f"data.attributes (={list(data.attributes)}) are columns of a table: name its file "
            "with data.table."
        )
    found = find_domains(root, "train", data.domains)
    assert found is not None
    return {"domains": list(found.images)}


def _foldered(
    data: LabelledData, root: Path, options: Options, say: Say, checked: CheckResult
) -> Parts:
    """The labelled images to train on, and those to validate with, of one data set."""
    found = find_domains(root, "train", data.domains)
    assert found is not None
    held = find_domains(root, "val", data.domains)
    say_not_used([root], (*found.notes, *(held.notes if held else ())), say)
    train = {
        name: readable(paths, options.data, say, checked) for name, paths in found.images.items()
    }
    if held is not None:
        validation, split = (
            {
                name: readable(paths, options.data, say, checked)
                for name, paths in held.images.items()
            },
            "their own split",
        )
    else:
        both = {name: hold_out(p, HELD_OUT, options.data.split_seed) for name, p in train.items()}
        train, validation = ({n: pair[side] for n, pair in both.items()} for side in (0, 1))
        split = "held out from those for training"
    numbers = ", ".join(f"{len(images)} of {name}" for name, images in train.items())
    say(
        f"data: {root} ({found.layout}), images to train on: {numbers}; "
        f"{sum(map(len, validation.values()))} to validate with ({split})"
    )

    def labelled(images: Mapping[str, Sequence[Path]]) -> LabelledFiles:
        identity = np.eye(len(data.domains), dtype=bool)
        rows = [identity[data.domains.index(name)] for name, p in images.items() for _ in p]
        paths = tuple(path for each in images.values() for path in each)
        return LabelledFiles(data.label_set, paths, np.array(rows).reshape(-1, len(identity)))

    known = {path for images in validation.values() for path in images}
    tested = find_domains(root, "test", data.domains)
    test = [path for each in (tested.images.values() if tested else ()) for path in each]
    return labelled(train), labelled(validation), [path for path in test if path not in known]


def _attributed(
    data: LabelledData, root: Path, options: Options, say: Say, checked: CheckResult
) -> Parts:
    """The labelled images to train on, and those to validate with, of one data set."""
    table = read_table(table_file(data.table, root), data.attributes)
    found = find_attributed(root, table, drop_unlisted=options.data.skip_bad)
    say_not_used([root], (), say)
    left_out(
        dict.fromkeys(found.unlisted, f"no row in {table.path}"),
        len(found.train) + len(found.unlisted),
        say,
    )
    if found.unseen:
        say(f"note: {found.unseen} of {len(table.rows)} rows in {table.path} have no image")
    train = readable(list(found.train), options.data, say, checked)
    if found.validation is not None:
        validation, split = (
            readable(list(found.validation), options.data, say, checked),
            "their own split",
        )
    else:
        share = min(HELD_OUT, HELD_OUT_AT_MOST / len(train))
        train, validation = hold_out(train, share, options.data.split_seed)
        split = "held out from those for training"
    say(
        f"data: {root} ({found.layout}), {counted(len(train), 'image', 'images')} to "
        f"train on, {len(validation)} to validate with ({split}), {len(table.names)} attributes"
    )
    values = found.train | (found.validation or {})

    def labelled(images: Sequence[Path]) -> LabelledFiles:
        rows = np.array([values[path] for path in images], dtype=bool)
        return LabelledFiles(data.label_set, tuple(images), rows.reshape(-1, len(table.names)))

    return labelled(train), labelled(validation), found.test
