"""From the `[data]` of the options to data sets, with everything checked before training starts."""

import hashlib
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from torch.utils.data import Dataset, default_collate

from i2i.data.attributes import find_attributed, read_table
from i2i.data.cache import cache_folder
from i2i.data.catalogue import catalogued
from i2i.data.check import Checked, check_pictures, usable_pairs, usable_pictures
from i2i.data.domains import LabelledFiles, LabelledPictures
from i2i.data.layouts import (
    PairFiles,
    find_domains,
    find_pairs,
    find_unpaired,
    has_split,
    hold_out,
)
from i2i.data.paired import PairedPictures
from i2i.data.transforms import JointGeometry, evaluation_geometry
from i2i.data.unpaired import UnpairedPictures
from i2i.errors import OptionsError
from i2i.options import Data, LabelledData, Options, read_options
from i2i.progress import progress_bar
from i2i.recipes import shipped

T = TypeVar("T")
Say = Callable[[str], None]
Parts = tuple[LabelledFiles, LabelledFiles]

DEMO = "demo"
"""The dataroot that stands for the embedded data set."""

HELD_OUT = 0.1
"""Share of the pictures that is held out where a data set has no validation split."""

HELD_OUT_AT_MOST = 2000
"""Of a table of attributes, which may list a hundred times as many; as published for StarGAN."""


@dataclass(frozen=True)
class Source:
    """The data of a run.

    `train` gives a sample for any position from 0 on, `pictures` of them in an epoch; `validation`
    gives its samples in a fixed order. `fingerprint` changes with the names of the files that are
    trained on.
    """

    train: Dataset[Any]
    validation: Dataset[Any]
    pictures: int
    validation_pictures: int
    fingerprint: str

    def validation_batches(self, count: int, batch_size: int = 8) -> list[Any]:
        """The first `count` validation samples, collated into batches."""
        count = min(count, self.validation_pictures)
        return [
            default_collate([self.validation[i] for i in range(at, min(at + batch_size, count))])
            for at in range(0, count, batch_size)
        ]


def open_source(options: Options, kind: str, say: Say) -> Source:
    """Find the pictures of a run, check every one of them, and make data sets of them.

    Arguments:
        options: of the run.
        kind: what the model learns from: "paired", "unpaired" or "domains".
        say: prints a line for a person.

    Raises:
        DataError: the folder or pictures in it are not as they should be.
    """
    makers: dict[str, Callable[[Options, Path, Say], Source]] = {
        "paired": _paired,
        "unpaired": _unpaired,
        "domains": _domains,
    }
    return makers[kind](options, _root(options.data.root, kind, say), say)


def settle_options(options: Options, kind: str) -> Options:
    """Write into the options of a new run where its data is, whichever folder it is resumed from,
    and what only the data can tell: the names of the labels.

    So everything after that, from building the model to using it, need not look at the data.

    Raises:
        DataError: there are no labels, or not those that the options name.
    """
    layer = options.to_dict()
    for each in (layer["data"], *layer["data"]["more"]):
        for key in ("root", "root_b", "table"):
            where = each.get(key)
            # A table is looked for below the root first.
            below = key == "table" and Path(each["root"], where).is_file()
            if where and Path(where).exists() and not below:
                each[key] = str(Path(where).absolute())
    options = read_options(layer)
    data = options.data
    if kind != "domains":
        return options
    found = [_settled(each, _root(each.root, kind, _silent)) for each in (data, *data.more)]
    layer["data"] |= found[0] | {
        "more": [of.model_dump() | names for of, names in zip(data.more, found[1:], strict=True)]
    }
    return read_options(layer)


def _settled(data: LabelledData, root: Path) -> dict[str, list[str]]:
    if not data.root:
        raise OptionsError("a data set has no root: say where its pictures are.")
    if data.table:
        return {"attributes": list(read_table(_table(data, root), data.attributes).names)}
    if data.attributes:
        raise OptionsError(
            f"data.attributes (={list(data.attributes)}) are columns of a table: name its file "
            "with data.table."
        )
    found = find_domains(root, "train", data.domains)
    assert found is not None
    return {"domains": list(found.pictures)}


def _table(data: LabelledData, root: Path) -> Path:
    beside = Path(data.table)
    return beside if beside.is_file() and not (root / beside).is_file() else root / beside


def _silent(line: str) -> None:
    pass


def _root(dataroot: str, kind: str, say: Say) -> Path:
    if Path(dataroot).is_dir():
        return Path(dataroot)
    if dataroot != DEMO:
        return catalogued(
            dataroot, shipped("datasets"), cache_folder(), kind=kind, say=say, bar=progress_bar
        )
    from i2i.data.demo import demo_folder

    say("data set: the embedded one; the first time, it is painted (up to a minute)")
    with progress_bar("painting the embedded data set") as progress:
        return demo_folder(kind, cache_folder(), progress=progress)


def _paired(options: Options, root: Path, say: Say) -> Source:
    data = options.data
    found = find_pairs(root, "train", drop_orphans=data.skip_bad)
    train, split = _usable(found.pairs, data, say), "its own split"
    if has_split(root, "val"):
        held = find_pairs(root, "val", drop_orphans=data.skip_bad)
        validation = _usable(held.pairs, data, say)
    else:
        train, validation = hold_out(train, HELD_OUT, options.train.seed)
        split = f"held out from the {len(train) + len(validation)} for training"
    say(
        f"data: {root} ({found.layout}), {len(train)} pairs to train on, "
        f"{len(validation)} to validate with ({split})"
    )
    common: dict[str, Any] = {
        "direction": data.direction,
        "input_channels": data.input_channels,
        "output_channels": data.output_channels,
        "seed": options.train.seed,
    }
    return Source(
        train=PairedPictures(train, _geometry(data), shuffle=True, **common),
        validation=PairedPictures(
            validation, evaluation_geometry(data.crop_size, data.resize), **common
        ),
        pictures=len(train),
        validation_pictures=len(validation),
        fingerprint=_fingerprint(pair.name for pair in train),
    )


def _unpaired(options: Options, root: Path, say: Say) -> Source:
    data, seed = options.data, options.train.seed
    root_b = Path(data.root_b) if data.root_b else None
    found = find_unpaired(root, "train", root_b)
    assert found is not None
    sides = [_readable(side, data, say) for side in (found.a, found.b)]
    held = find_unpaired(root, "val", root_b)
    if held is not None:
        validation, split = [_readable(side, data, say) for side in (held.a, held.b)], "its own"
    else:
        both = [hold_out(side, HELD_OUT, seed) for side in sides]
        # A single picture is trained on and validated with.
        sides, validation = [train for train, _ in both], [rest or train for train, rest in both]
        split = "held out from those for training"
    say(
        f"data: {root} ({found.layout}), {len(sides[0])} pictures of A and {len(sides[1])} of B to "
        f"train on, {len(validation[0])} and {len(validation[1])} to validate with ({split})"
    )
    common: dict[str, Any] = {"channels": (data.input_channels, data.output_channels), "seed": seed}
    train = UnpairedPictures(sides, _geometry(data), shuffle=True, **common)
    held_out = UnpairedPictures(
        validation, evaluation_geometry(data.crop_size, data.resize), **common
    )
    return Source(
        train=train,
        validation=held_out,
        pictures=len(train),
        validation_pictures=len(held_out),
        fingerprint=_fingerprint(path.name for side in sides for path in side),
    )


def _domains(options: Options, root: Path, say: Say) -> Source:
    data, seed = options.data, options.train.seed
    roots = [root, *(_root(more.root, "domains", say) for more in data.more)]
    parts = [
        (_attributed if each.table else _foldered)(each, folder, options, say)
        for each, folder in zip((data, *data.more), roots, strict=True)
    ]
    sets, held = [train for train, _ in parts], [rest for _, rest in parts]
    for each in sets:
        each.require_examples()
    common: dict[str, Any] = {"channels": data.input_channels, "seed": seed}
    train = LabelledPictures(
        sets,
        _geometry(data),
        batch_size=options.train.batch_size,
        shuffle=True,
        balance=data.balance,
        **common,
    )
    validation = LabelledPictures(held, evaluation_geometry(data.crop_size, data.resize), **common)
    return Source(
        train=train,
        validation=validation,
        pictures=len(train),
        validation_pictures=len(validation),
        fingerprint=_fingerprint(
            f"{path.name} {row.nonzero()[0].tolist()}"
            for each in sets
            for path, row in zip(each.pictures, each.labels, strict=True)
        ),
    )


def _foldered(data: LabelledData, root: Path, options: Options, say: Say) -> Parts:
    """The labelled pictures to train on, and those to validate with, of one data set."""
    found = find_domains(root, "train", data.domains)
    assert found is not None
    train = {name: _readable(paths, options.data, say) for name, paths in found.pictures.items()}
    held = find_domains(root, "val", data.domains)
    if held is not None:
        validation, split = (
            {name: _readable(paths, options.data, say) for name, paths in held.pictures.items()},
            "their own split",
        )
    else:
        both = {name: hold_out(p, HELD_OUT, options.train.seed) for name, p in train.items()}
        train, validation = ({n: pair[side] for n, pair in both.items()} for side in (0, 1))
        split = "held out from those for training"
    numbers = ", ".join(f"{len(pictures)} of {name}" for name, pictures in train.items())
    say(
        f"data: {root} ({found.layout}), pictures to train on: {numbers}; "
        f"{sum(map(len, validation.values()))} to validate with ({split})"
    )

    def labelled(pictures: Mapping[str, Sequence[Path]]) -> LabelledFiles:
        identity = np.eye(len(data.domains), dtype=bool)
        rows = [identity[data.domains.index(name)] for name, p in pictures.items() for _ in p]
        paths = tuple(path for each in pictures.values() for path in each)
        return LabelledFiles(data.label_set, paths, np.array(rows).reshape(-1, len(identity)))

    return labelled(train), labelled(validation)


def _attributed(data: LabelledData, root: Path, options: Options, say: Say) -> Parts:
    """The labelled pictures to train on, and those to validate with, of one data set."""
    table = read_table(_table(data, root), data.attributes)
    found = find_attributed(root, table, drop_unlisted=options.data.skip_bad)
    if found.unlisted:
        say(f"left out {len(found.unlisted)} without a row in {table.path} (--skip-bad)")
    if found.unseen:
        say(f"note: {found.unseen} of {len(table.rows)} rows in {table.path} have no picture")
    train = _readable(list(found.train), options.data, say)
    if found.validation is not None:
        validation, split = _readable(list(found.validation), options.data, say), "their own split"
    else:
        share = min(HELD_OUT, HELD_OUT_AT_MOST / len(train))
        train, validation = hold_out(train, share, options.train.seed)
        split = "held out from those for training"
    say(
        f"data: {root} ({found.layout}), {len(train)} pictures to train on, {len(validation)} to "
        f"validate with ({split}), {len(table.names)} attributes"
    )
    values = found.train | (found.validation or {})

    def labelled(pictures: Sequence[Path]) -> LabelledFiles:
        rows = np.array([values[path] for path in pictures], dtype=bool)
        return LabelledFiles(data.label_set, tuple(pictures), rows.reshape(-1, len(table.names)))

    return labelled(train), labelled(validation)


def _geometry(data: Data) -> JointGeometry:
    random = data.crop == "random"
    return JointGeometry(data.load_size, data.crop_size, data.resize, random, data.flip)


def _usable(pairs: Sequence[PairFiles], data: Data, say: Say) -> list[PairFiles]:
    checked = _check(path for pair in pairs for path in (pair.a, pair.b) if path is not None)
    usable = usable_pairs(pairs, checked, skip_bad=data.skip_bad)
    return _reported(pairs, usable, say)


def _readable(paths: Sequence[Path], data: Data, say: Say) -> list[Path]:
    usable = usable_pictures(paths, _check(paths), skip_bad=data.skip_bad)
    return _reported(paths, usable, say)


def _check(paths: Iterable[Path]) -> Checked:
    with progress_bar("checking pictures") as progress:
        return check_pictures(paths, cache_folder(), progress=progress)


def _reported(found: Sequence[T], usable: list[T], say: Say) -> list[T]:
    if len(usable) < len(found):
        say(f"left out {len(found) - len(usable)} of {len(found)} that cannot be used (--skip-bad)")
    return usable


def _fingerprint(names: Iterable[str]) -> str:
    return hashlib.sha256(os.fsencode("\n".join(names))).hexdigest()[:16]
