"""What a run learns from, whatever its kind, and how its pictures are checked."""

import hashlib
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeVar

from torch.utils.data import Dataset, default_collate

from i2i.data.cache import cache_folder
from i2i.data.check import Checked, check_pictures, usable_pictures
from i2i.data.transforms import JointGeometry
from i2i.options import Data, LabelledData
from i2i.progress import progress_bar

T = TypeVar("T")
Say = Callable[[str], None]

HELD_OUT = 0.1
"""Share of the pictures that is held out where a data set has no validation split."""


@dataclass(frozen=True)
class Source:
    """The data of a run.

    `train` gives a sample for any position from 0 on, `pictures` of them in an epoch; `validation`
    gives its samples in a fixed order. `fingerprint` changes with the names of the files that are
    trained on. `checked` is what the check of the pictures has seen.
    """

    train: Dataset[Any]
    validation: Dataset[Any]
    pictures: int
    validation_pictures: int
    fingerprint: str
    checked: Checked = field(default_factory=Checked)

    def validation_batches(self, count: int, batch_size: int = 8) -> list[Any]:
        """The first `count` validation samples, collated into batches.

        A sample that would be alone joins the batch before: batch norm, and models that compare
        the pictures of a batch, need two.
        """
        count = min(count, self.validation_pictures)
        begins = list(range(0, count, batch_size))
        if len(begins) > 1 and count - begins[-1] == 1:
            del begins[-1]
        return [
            default_collate([self.validation[i] for i in range(begin, end)])
            for begin, end in pairwise([*begins, count])
        ]


def geometry(data: Data) -> JointGeometry:
    """Return what is done to the pictures that are trained on."""
    random = data.crop == "random"
    return JointGeometry(data.load_size, data.crop_size, data.resize, random, data.flip)


def readable(paths: Sequence[Path], data: Data, say: Say, checked: Checked) -> list[Path]:
    """Return the pictures that can be read, all of which must be unless bad ones are skipped."""
    usable = usable_pictures(paths, check(paths, checked), skip_bad=data.skip_bad)
    return reported(paths, usable, say)


def check(paths: Iterable[Path], checked: Checked) -> Checked:
    """Decode the pictures that are not known to be good; `checked` learns of it too."""
    with progress_bar("checking pictures") as progress:
        found = check_pictures(paths, cache_folder(), progress=progress)
    checked.update(found)
    return found


def reported(found: Sequence[T], usable: list[T], say: Say) -> list[T]:
    """Return what is usable of what was found, and say if something is left out."""
    if len(usable) < len(found):
        say(f"left out {len(found) - len(usable)} of {len(found)} that cannot be used (--skip-bad)")
    return usable


def table_file(data: LabelledData, root: Path) -> Path:
    """The table of attributes of a data set: below its root, or else where its name says."""
    beside = Path(data.table)
    return beside if beside.is_file() and not (root / beside).is_file() else root / beside


def silent(line: str) -> None:
    """Print nothing."""


def fingerprint(names: Iterable[str]) -> str:
    """Return a short word that changes with the names of the pictures."""
    return hashlib.sha256(os.fsencode("\n".join(names))).hexdigest()[:16]
