"""From the `[data]` of the options to data sets, with everything checked before training starts."""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch.utils.data import Dataset, default_collate

from i2i.data.cache import cache_folder
from i2i.data.check import check_pictures, usable_pairs
from i2i.data.layouts import PairFiles, find_pairs, has_split, hold_out
from i2i.data.paired import PairedPictures
from i2i.data.transforms import JointGeometry, evaluation_geometry
from i2i.options import Options
from i2i.progress import progress_bar

Say = Callable[[str], None]

DEMO = "demo"
"""The dataroot that stands for the embedded data set."""

HELD_OUT = 0.1
"""Share of the pictures that is held out where a data set has no validation split."""


@dataclass(frozen=True)
class Source:
    """The data of a run.

    `train` gives a sample for any position from 0 on, `pictures` of them in an epoch; `validation`
    gives its samples in a fixed order. `fingerprint` changes with the files that are trained on.
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
        kind: what the model learns from: "paired".
        say: prints a line for a person.

    Raises:
        DataError: the folder or pictures in it are not as they should be.
    """
    makers: dict[str, Callable[[Options, Path, Say], Source]] = {"paired": _paired}
    return makers[kind](options, _root(options.data.root, kind, say), say)


def _root(dataroot: str, kind: str, say: Say) -> Path:
    if dataroot != DEMO or Path(DEMO).is_dir():
        return Path(dataroot)
    from i2i.data.demo import demo_folder

    with progress_bar("painting the embedded data set") as progress:
        folder = demo_folder(kind, cache_folder(), progress=progress)
    say(f"data set: the embedded one, in {folder}")
    return folder


def _paired(options: Options, root: Path, say: Say) -> Source:
    data = options.data
    found = find_pairs(root, "train", drop_orphans=data.skip_bad)
    train = _checked(list(found.pairs), data.skip_bad, say)
    if has_split(root, "val"):
        held = find_pairs(root, "val", drop_orphans=data.skip_bad)
        validation, split = _checked(list(held.pairs), data.skip_bad, say), "its own split"
    else:
        train, validation = hold_out(train, HELD_OUT, options.train.seed)
        split = f"held out from the {len(train) + len(validation)} for training"
    say(
        f"data: {root} ({found.layout}), {len(train)} pairs to train on, "
        f"{len(validation)} to validate with ({split})"
    )
    geometry = JointGeometry(data.load_size, data.crop_size, data.resize, flip=data.flip)
    common: dict[str, Any] = {
        "direction": data.direction,
        "input_channels": data.input_channels,
        "output_channels": data.output_channels,
        "seed": options.train.seed,
    }
    return Source(
        train=PairedPictures(train, geometry, shuffle=True, **common),
        validation=PairedPictures(
            validation, evaluation_geometry(data.crop_size, data.resize), **common
        ),
        pictures=len(train),
        validation_pictures=len(validation),
        fingerprint=_fingerprint(pair.name for pair in train),
    )


def _checked(pairs: list[PairFiles], skip_bad: bool, say: Say) -> list[PairFiles]:
    paths = [path for pair in pairs for path in (pair.a, pair.b) if path is not None]
    with progress_bar("checking pictures") as progress:
        checked = check_pictures(paths, cache_folder(), progress=progress)
    usable = usable_pairs(pairs, checked, skip_bad=skip_bad)
    if len(usable) < len(pairs):
        say(f"left out {len(pairs) - len(usable)} pairs that cannot be used (--skip-bad)")
    return usable


def _fingerprint(names: Iterator[str]) -> str:
    return hashlib.sha256("\n".join(names).encode()).hexdigest()[:16]
