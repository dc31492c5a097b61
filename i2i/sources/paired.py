"""Pairs: for pix2pix and its like."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from i2i.data.check import Checked, usable_pairs
from i2i.data.layouts import PairFiles, find_pairs, has_split, hold_out
from i2i.data.paired import PairedPictures
from i2i.data.transforms import evaluation_geometry
from i2i.doctor.words import counted
from i2i.options import Data, Options
from i2i.sources.kept import keep_decoded
from i2i.sources.source import HELD_OUT, Say, Source, check, fingerprint, geometry, reported


def paired(options: Options, root: Path, say: Say, checked: Checked) -> Source:
    """Make data sets of the pairs in a folder."""
    data = options.data
    found = find_pairs(root, "train", drop_orphans=data.skip_bad)
    train, split = _usable(found.pairs, data, say, checked), "its own split"
    if has_split(root, "val"):
        held = find_pairs(root, "val", drop_orphans=data.skip_bad)
        validation = _usable(held.pairs, data, say, checked)
    else:
        train, validation = hold_out(train, HELD_OUT, options.train.seed)
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
    pictures = PairedPictures(train, geometry(data), shuffle=True, **common)
    files = [path for pair in train for path in (pair.a, pair.b) if path is not None]
    keep_decoded(pictures, files, data, say, pictures.depths)
    return Source(
        train=pictures,
        validation=PairedPictures(
            validation, evaluation_geometry(data.crop_size, data.resize), **common
        ),
        pictures=len(train),
        validation_pictures=len(validation),
        fingerprint=fingerprint(pair.name for pair in train),
    )


def _usable(pairs: Sequence[PairFiles], data: Data, say: Say, checked: Checked) -> list[PairFiles]:
    found = check(
        (path for pair in pairs for path in (pair.a, pair.b) if path is not None), checked
    )
    usable = usable_pairs(pairs, found, skip_bad=data.skip_bad)
    return reported(pairs, usable, say)
