"""Labelled images, by folders or by tables of attributes: for StarGAN and its like."""

import contextlib
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache, partial
from math import ceil
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch

from i2i.config import LabelledData, Options
from i2i.core.batch import Labelled
from i2i.core.labels import EVERYTHING, LabelSpace
from i2i.core.registry import register_data_kind
from i2i.core.sides import Fields
from i2i.core.text import counted
from i2i.data.augment.geometry import evaluation_geometry
from i2i.data.catalogue.attributes import AttributedFolder, find_attributed, read_table
from i2i.data.images.check import CheckResult
from i2i.data.images.paths import chained
from i2i.data.inspection.survey import SPLITS, Part, Survey, Wanted
from i2i.data.kinds.division import HELD_OUT, Divided, Division, beside, everything
from i2i.data.kinds.kind import Beginning, Groups, NamedImages, Trial
from i2i.data.kinds.labelled_images import (
    LabelledFiles,
    LabelledImages,
    LabelledKind,
    first_labelled,
)
from i2i.data.kinds.layouts import (
    DomainFolders,
    find_all_domains,
    find_domains,
    find_unpaired,
)
from i2i.data.sides import readers
from i2i.data.sources.cached import keep_decoded
from i2i.data.sources.looking import looked_at, sound_first
from i2i.data.sources.root import find_root
from i2i.data.sources.source import (
    Source,
    fingerprint,
    geometry,
    left_out,
    members_of,
    readable,
    say_not_used,
    table_file,
    unreadable,
)
from i2i.errors import DataError, OptionsError

_log = logging.getLogger(__name__)


_Usable = Callable[..., Sequence[Path]]
"""Those of some images that can be read, of which a share is looked at."""

_Bad = Callable[[Sequence[Path]], list[bool]]
"""Which of some images cannot be read."""


class Parts(NamedTuple):
    """The images of a data set to train on, to validate with, and to test with beside them."""

    train: LabelledFiles
    val: LabelledFiles
    test: LabelledFiles


HELD_OUT_AT_MOST = 2000
"""Of a table of attributes, which may list a hundred times as many; as published for StarGAN."""


@register_data_kind("domains")
class Domains(LabelledKind):
    """Images that have labels: a domain each, or attributes."""

    fields: ClassVar[Fields] = {"images": 0, "references": 0, "others": 0}
    sides = "A"
    has_domains = True
    task = "Between many domains, or with attributes"
    takes_table = True
    rank = 30
    beginning = Beginning(
        recipe="stargan",
        quick="stargan-quick",
        holds="several kinds of pictures, each with a name",
        why="StarGAN learns to turn every kind into every other with one network",
        few=200,
        usual=1000,
    )
    demo = "domains"
    unused = ()
    balance_advice = "Train with --set data.balance=true, which shows all equally often."
    balance_severity = "warning"

    def labels(self, options: Options) -> dict[str, Any]:
        data = options.data
        found = [
            _label_names(each, find_root(each.root, self.name, data)) for each in (data, *data.more)
        ]
        more = zip(data.more, found[1:], strict=True)
        return found[0] | {"more": [of.model_dump() | names for of, names in more]}

    def files(self, options: Options) -> Mapping[str, Sequence[tuple[Path, int | None]]]:
        data = options.data
        roots = [find_root(each.root, self.name, data) for each in (data, *data.more)]
        sets = zip((data, *data.more), roots, strict=True)
        return {"A": [(path, None) for each, root in sets for path in _to_learn(each, root)]}

    def open(self, options: Options, checked: CheckResult) -> Source:
        data, seed = options.data, options.train.seed
        roots = [find_root(each.root, self.name, data) for each in (data, *data.more)]
        reader = readers(data, roots[0], self.letters(options))["A"]
        usable = partial(readable, data=data, checked=checked, reader=reader)
        bad = unreadable(data, checked, reader)
        opened = [
            (_attributed if each.table else _foldered)(each, folder, options, usable, bad)
            for each, folder in zip((data, *data.more), roots, strict=True)
        ]
        parts = [each for each, _ in opened]
        share = min(share for _, share in opened)
        by_split = {split: [getattr(each, split) for each in parts] for split in Parts._fields}
        sets, held = by_split["train"], by_split["val"]
        for each in sets:
            each.require_examples()
        common: dict[str, Any] = {"reader": reader, "seed": seed}
        train = LabelledImages(
            sets,
            geometry(data),
            batch_size=options.train.batch_size,
            shuffle=True,
            balance=data.balance,
            references=data.references > 0,
            **common,
        )
        files = chained(each.images for each in sets)
        keep_decoded(train, files, data, reader)
        evaluation = evaluation_geometry(data.crop_size, data.resize)
        validation = LabelledImages(held, evaluation, **common)

        def view(split: str) -> LabelledImages:
            return LabelledImages(_readable(by_split[split], usable), evaluation, **common)

        def listed(split: str) -> Sequence[Path]:
            return chained(each.images for each in by_split[split])

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
                {split: listed(split) for split in by_split}, roots, checked, share=share
            ),
            views={split: partial(view, split) for split in by_split},
            inputs=lambda split, way: listed(split),
            unlooked=files if share < 1 else (),
        )

    def detect(self, root: Path, fits: Mapping[str, str]) -> Mapping[str, str]:
        with contextlib.suppress(DataError):  # trainA and its like are not meant to be domains
            find_unpaired(root, "train", any_names=False)
            return {}
        with contextlib.suppress(DataError):
            find_domains(root, "train")
            return {self.name: "a folder for each domain"}
        return {}

    def survey(self, found: Survey, wanted: Wanted) -> Iterable[Callable[[Survey], Survey]]:
        division = Division.wanted(wanted.rules, [found.root])
        if wanted.table is not None:
            return [
                partial(
                    _survey_table, table=wanted.table, names=wanted.attributes, division=division
                )
            ]
        if division is not None:
            return [partial(_survey_divided, names=wanted.domains, division=division)]
        return [partial(_survey_split, split=split, names=wanted.domains) for split in SPLITS]

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


def _own(
    root: Path, names: Sequence[str], division: Division
) -> tuple[DomainFolders, list[dict[str, Sequence[Path]]]]:
    """What was found first, and the images of all splits by domain, or all of them as one."""
    if division.pooled:
        found = find_all_domains(root, names)
        return found, [dict(found.images)]
    learnt = find_domains(root, "train", names)
    assert learnt is not None
    held, tested = (find_domains(root, split, list(learnt.images)) for split in ("val", "test"))
    known = held.images if held else {}
    test = tested.images.items() if tested else ()
    notes = (*learnt.notes, *(held.notes if held else ()))
    return replace(learnt, notes=notes), [
        dict(learnt.images),
        dict(known),
        {name: beside(images, known.get(name, ())) for name, images in test},
    ]


def _survey_divided(found: Survey, names: Sequence[str], division: Division) -> Survey:
    folders, own = _own(found.root, names, division)
    divided = division.divide(*own)
    found = replace(found, notes=(*found.notes, *folders.notes, *divided.notes))
    for split, domains in zip(SPLITS, divided[:3], strict=True):
        parts = [Part(split, name, tuple(images)) for name, images in domains.items() if images]
        if not parts:
            found = found.without(split)
            continue
        counts = ", ".join(f"{len(part.images)} of {part.name}" for part in parts)
        found = found.adding(f"{split}: {counts} ({divided.how})", *parts)
    return found


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


def _survey_table(
    found: Survey, table: Path, names: Sequence[str], division: Division | None
) -> Survey:
    rows = read_table(table, names)
    folder = find_attributed(found.root, rows, drop_unlisted=True)
    layout = folder.layout
    parts: list[Sequence[Path]]
    if division is None:
        test = () if {*folder.test} == {*(folder.validation or ())} else tuple(folder.test)
        parts = [tuple(folder.train), tuple(folder.validation or ()), test]
    else:
        divided = _divide_attributed(folder, division)
        parts = [images.get("", []) for images in divided[:3]]
        layout = divided.how
        found = replace(found, notes=(*found.notes, *divided.notes))
    train = parts[0]
    values = folder.train | (folder.validation or {}) | folder.test
    shares = [
        (name, sum(values[path][at] for path in train) / max(len(train), 1))
        for at, name in enumerate(rows.names)
    ]
    found = replace(found, unlisted=folder.unlisted, shares=tuple(shares))
    found = found.adding(
        f"train: {counted(len(train), 'image', 'images')} with {len(rows.names)} attributes "
        f"({layout})",
        Part("train", "", tuple(train)),
    )
    for split, images in zip(SPLITS[1:], parts[1:], strict=True):
        if images:
            line = f"{split}: {counted(len(images), 'image', 'images')}"
            found = found.adding(line, Part(split, "", tuple(images)))
        else:
            found = found.without(split)
    return found


def _divide_attributed(
    folder: AttributedFolder,
    division: Division,
    usable: _Usable = lambda images: images,
) -> Divided[Path]:
    """Divide the images that a table of attributes lists."""
    train, held, tested = map(list, (folder.train, folder.validation or (), folder.test))
    if division.pooled:
        own = [usable(list(dict.fromkeys([*train, *held, *tested])))]
    else:
        own = [usable(train), usable(held), beside(tested, held)]
    share = min(HELD_OUT, HELD_OUT_AT_MOST / max(1, len(own[0])))
    return division.divide(*({"": images} for images in own), share=share)


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


def _to_learn(data: LabelledData, root: Path) -> list[Path]:
    """The images of one data set to train on."""
    if data.table:
        table = read_table(table_file(data.table, root), data.attributes)
        return list(find_attributed(root, table, drop_unlisted=True).train)
    found = find_domains(root, "train", data.domains)
    assert found is not None
    return [*everything(found.images)]


def _foldered(
    data: LabelledData, root: Path, options: Options, usable: _Usable, bad: _Bad
) -> tuple[Parts, float]:
    """The labelled images to train on, to validate and to test with, of one data set; and which
    share of them was looked at."""
    division = Division(options.data, [root])
    found, own = _own(root, data.domains, division)
    say_not_used([root], found.notes)
    share = looked_at(options.data, sum(len(p) for images in own[:2] for p in images.values()))
    own[:2] = (  # what is to be tested with is checked when that is done
        {name: usable(paths, share=share) for name, paths in images.items()} for images in own[:2]
    )
    divided = _sound(division.divide(*own), options, bad, share)
    numbers = ", ".join(f"{len(images)} of {name}" for name, images in divided.train.items())
    _say_divided(root, found.layout, f"images to train on: {numbers};", divided)

    def labelled(images: Mapping[str, Sequence[Path]]) -> LabelledFiles:
        identity = np.eye(len(data.domains), dtype=bool)
        columns = [data.domains.index(name) for name in images]
        rows = identity[np.repeat(columns, [len(p) for p in images.values()]).astype(np.int64)]
        return LabelledFiles(data.label_set, chained(images.values()), rows)

    return Parts(*(labelled(images) for images in divided[:3])), share


def _attributed(
    data: LabelledData, root: Path, options: Options, usable: _Usable, bad: _Bad
) -> tuple[Parts, float]:
    """As `_foldered`, with a table."""
    rules = options.data
    division = Division(rules, [root])
    table = read_table(table_file(data.table, root), data.attributes)
    found = find_attributed(root, table, drop_unlisted=rules.skip_bad)
    say_not_used([root], ())
    left_out(
        dict.fromkeys(found.unlisted, f"no row in {table.path}"),
        len(found.train) + len(found.unlisted),
    )
    if found.unseen:
        _log.info(f"note: {found.unseen} of {len(table.rows)} rows in {table.path} have no image")
    values = found.train | (found.validation or {}) | found.test
    share = looked_at(rules, len(values))
    divided = _divide_attributed(found, division, partial(usable, share=share))
    divided = _sound(divided, options, bad, share)
    numbers = counted(len(divided.train[""]), "image", "images")
    attributes = f", {len(table.names)} attributes"
    for group in data.groups:
        columns = [table.names.index(name) for name in group]
        if both := sum(sum(row[at] for at in columns) > 1 for row in values.values()):
            _log.info(
                f"note: {both:,} of {len(values):,} images have more than one of "
                f"{', '.join(group)}, of which only one can hold (data.groups)"
            )
    _say_divided(root, found.layout, f"{numbers} to train on,", divided, attributes)

    def labelled(images: Mapping[str, Sequence[Path]]) -> LabelledFiles:
        paths = tuple(everything(images))
        rows = np.array([values[path] for path in paths], dtype=bool)
        return LabelledFiles(data.label_set, paths, rows.reshape(-1, len(table.names)))

    return Parts(*(labelled(images) for images in divided[:3])), share


def _sound(divided: Divided[Path], options: Options, bad: _Bad, share: float) -> Divided[Path]:
    """Without those that cannot be read of the first images to validate with."""
    if share == 1:
        return divided
    first = ceil(options.train.validation_images / max(1, len(divided.val)))
    val = {name: sound_first(images, first, bad) for name, images in divided.val.items()}
    return divided._replace(val=val)


def _readable(sets: Sequence[LabelledFiles], usable: _Usable) -> list[LabelledFiles]:
    """Those of the images that can be read."""
    kept = []
    for each in sets:
        good = {*usable(each.images)}
        places = [at for at, path in enumerate(each.images) if path in good]
        images = tuple(each.images[at] for at in places)
        kept.append(replace(each, images=images, labels=each.labels[places]))
    return kept


def _say_divided(
    root: Path, layout: str, numbers: str, divided: Divided[Path], more: str = ""
) -> None:
    for note in divided.notes:
        _log.info(f"note: {note}")
    _log.info(
        f"data: {root} ({layout}), {numbers} {len([*everything(divided.val)])} to validate with "
        f"({divided.how}){more}"
    )
