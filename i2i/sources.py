"""From the `[data]` of the options to data sets, with everything checked before training starts."""

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from torch.utils.data import Dataset, default_collate

from i2i.data.cache import cache_folder
from i2i.data.check import Checked, check_pictures, usable_pairs, usable_pictures
from i2i.data.layouts import PairFiles, find_pairs, find_unpaired, has_split, hold_out
from i2i.data.paired import PairedPictures
from i2i.data.transforms import JointGeometry, evaluation_geometry
from i2i.data.unpaired import UnpairedPictures
from i2i.options import Data, Options
from i2i.progress import progress_bar

T = TypeVar("T")
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
        kind: what the model learns from: "paired" or "unpaired".
        say: prints a line for a person.

    Raises:
        DataError: the folder or pictures in it are not as they should be.
    """
    makers: dict[str, Callable[[Options, Path, Say], Source]] = {
        "paired": _paired,
        "unpaired": _unpaired,
    }
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
        sides, validation = [train for train, _ in both], [rest for _, rest in both]
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


def _geometry(data: Data) -> JointGeometry:
    return JointGeometry(data.load_size, data.crop_size, data.resize, flip=data.flip)


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
    return hashlib.sha256("\n".join(names).encode()).hexdigest()[:16]
