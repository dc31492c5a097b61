"""Labelled images, by folders or by tables of attributes: for StarGAN and its like."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from i2i.config import LabelledData, Options
from i2i.core.text import counted
from i2i.data.augment.geometry import evaluation_geometry
from i2i.data.catalogue.attributes import find_attributed, read_table
from i2i.data.images.check import CheckResult
from i2i.data.kinds.domains import LabelledFiles, LabelledImages
from i2i.data.kinds.layouts import find_domains, hold_out
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
    table_file,
)
from i2i.errors import OptionsError

Parts = tuple[LabelledFiles, LabelledFiles, Sequence[Path]]
"""Those to train on, to validate with, and to test with beside them."""

HELD_OUT_AT_MOST = 2000
"""Of a table of attributes, which may list a hundred times as many; as published for StarGAN."""


def domains(options: Options, root: Path, say: Say, checked: CheckResult) -> Source:
    """Make data sets of the labelled images in a folder."""
    data, seed = options.data, options.train.seed
    roots = [root, *(find_root(more.root, "domains", say) for more in data.more)]
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
    keep_decoded(train, [path for each in sets for path in each.images], data, say, train.channels)
    validation = LabelledImages(held, evaluation_geometry(data.crop_size, data.resize), **common)
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
                "train": [path for each in sets for path in each.images],
                "val": [path for each in held for path in each.images],
                "test": [path for _, _, tested in parts for path in tested],
            },
            roots,
            checked,
        ),
    )


def label_names(data: LabelledData, root: Path) -> dict[str, Any]:
    """Return the options of one data set that only the data can tell: the names of its labels."""
    if not data.root:
        raise OptionsError("a data set has no root: say where its images are.")
    if data.table:
        table = read_table(table_file(data, root), data.attributes)
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
    table = read_table(table_file(data, root), data.attributes)
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
