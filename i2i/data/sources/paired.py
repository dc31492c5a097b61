"""Pairs: for pix2pix and its like."""

import contextlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from i2i.config import Data, Options
from i2i.core.text import counted
from i2i.data.augment.geometry import evaluation_geometry
from i2i.data.images.check import CheckResult, mismatch, usable_pairs
from i2i.data.images.values import require_full_range
from i2i.data.kinds.layouts import PairFiles, find_pairs, has_split, hold_out, lonely_sides
from i2i.data.kinds.paired import PairedImages
from i2i.data.sources.cached import keep_decoded
from i2i.data.sources.source import (
    HELD_OUT,
    Say,
    Source,
    check,
    fingerprint,
    geometry,
    left_out,
    members_of,
    say_not_used,
)
from i2i.errors import DataError


def paired(options: Options, root: Path, say: Say, checked: CheckResult) -> Source:
    """Make data sets of the pairs in a folder."""
    data = options.data
    found = find_pairs(root, "train", drop_orphans=data.skip_bad)
    say_not_used([root], (f"{each}: not used" for each in lonely_sides(root)), say)
    orphans = (*found.orphans_a, *found.orphans_b)
    left_out(dict.fromkeys(orphans, "no partner"), 2 * len(found.pairs) + len(orphans), say)
    train, split = _usable(found.pairs, data, say, checked), "its own split"
    if has_split(root, "val"):
        held = find_pairs(root, "val", drop_orphans=data.skip_bad)
        validation = _usable(held.pairs, data, say, checked)
    else:
        train, validation = hold_out(train, HELD_OUT, data.split_seed)
        split = f"held out from the {len(train) + len(validation)} for training"
    say(
        f"data: {root} ({found.layout}), {counted(len(train), 'pair', 'pairs')} to train on, "
        f"{len(validation)} to validate with ({split})"
    )
    common: dict[str, Any] = {
        "direction": data.direction,
        "input_channels": data.input_channels,
        "output_channels": data.output_channels,
        "seed": options.train.seed,
    }
    images = PairedImages(train, geometry(data), shuffle=True, **common)
    keep_decoded(images, _files(train), data, say, images.depths)
    return Source(
        train=images,
        validation=PairedImages(
            validation, evaluation_geometry(data.crop_size, data.resize), **common
        ),
        images=len(train),
        validation_images=len(validation),
        fingerprint=fingerprint(pair.name for pair in train),
        members=members_of(
            {"train": _files(train), "val": _files(validation), "test": _tested(root, validation)},
            [root],
            checked,
        ),
    )


def _files(pairs: Iterable[PairFiles]) -> list[Path]:
    return [path for pair in pairs for path in (pair.a, pair.b) if path is not None]


def _tested(root: Path, validation: Sequence[PairFiles]) -> list[Path]:
    """The images to test with beside those that validate; whatever is wrong with them."""
    held = {pair.a for pair in validation}
    with contextlib.suppress(DataError):
        if has_split(root, "test"):
            found = find_pairs(root, "test", drop_orphans=True).pairs
            return _files(pair for pair in found if pair.a not in held)
    return []


def _usable(
    pairs: Sequence[PairFiles], data: Data, say: Say, checked: CheckResult
) -> list[PairFiles]:
    found = check(_files(pairs), checked)
    usable = usable_pairs(pairs, found, skip_bad=data.skip_bad)
    for side in ([pair.a for pair in usable], [pair.b for pair in usable if pair.b]):
        require_full_range(side, checked.looks)
    why = {
        pair.a: found.bad.get(pair.a) or found.bad.get(pair.b or pair.a) or mismatch(pair, found)
        for pair in pairs
    }
    left_out({path: reason for path, reason in why.items() if reason}, len(pairs), say)
    return usable
