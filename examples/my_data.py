"""A kind of data, an image format, a tracker, a metric and an adversarial loss that live outside of
the package.

    i2i train --recipe examples/listed.toml --dataroot FOLDER

FOLDER holds `pairs.csv`, with the columns split (train, val or test), a and b: files below FOLDER,
in a format of their own (.plain) or any other.
"""

import csv
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch.nn.functional as F
from torch import Tensor

from i2i.core.registry import (
    register_adversarial_loss,
    register_data_kind,
    register_image_format,
    register_model,
    register_tracker,
)
from i2i.data.images.formats import DecodedFile, ImageFormat
from i2i.data.kinds.layouts import PairedFolder, PairFiles
from i2i.data.kinds.paired import Paired
from i2i.errors import DataError
from i2i.losses import AdversarialLoss
from i2i.metrics.measures import register_measure
from i2i.models.pix2pix import Pix2Pix
from i2i.runs.trackers import Tracker

TABLE = "pairs.csv"


@register_data_kind("listed-pairs")
class ListedPairs(Paired):
    """Pairs that a table names; everything else is as with the pairs of the package."""

    rank = 5  # a table says more than how folders look

    def has_split(self, root: Path, split: str) -> bool:
        return any(row["split"] == split for row in _rows(root))

    def find(self, root: Path, split: str, *, drop_orphans: bool = False) -> PairedFolder:
        pairs, orphans = [], []
        for row in _rows(root):
            a, b = root / row["a"], root / row["b"]
            if row["split"] != split:
                continue
            if a.is_file() and b.is_file():
                pairs.append(PairFiles(a, b, Path(row["a"]).with_suffix("").as_posix()))
            else:
                orphans += [path for path in (a, b) if path.is_file()]
                if not drop_orphans:
                    raise DataError(f"'{root / TABLE}' names {a} and {b}: they are not both there.")
        if not pairs:
            raise DataError(f"'{root / TABLE}' names no pair for {split!r}.")
        return PairedFolder(TABLE, tuple(pairs), tuple(orphans))

    def detect(self, root: Path, fits: Mapping[str, str]) -> Mapping[str, str]:
        return {self.name: f"pairs in {TABLE}"} if (root / TABLE).is_file() else {}


def _rows(root: Path) -> list[dict[str, str]]:
    try:
        with (root / TABLE).open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"'{root / TABLE}' cannot be read: {error}.") from error
    for number, row in enumerate(rows, 2):
        if not all(row.get(key) for key in ("split", "a", "b")):
            raise DataError(f"'{root / TABLE}', line {number}: split, a and b are wanted.")
    return rows


@register_model("pix2pix-listed")
class ListedPix2Pix(Pix2Pix):
    """The model of the package, on that data."""

    data = "listed-pairs"


@register_image_format("plain")
class PlainBytes(ImageFormat):
    """The bytes of an image behind a line "PLAIN height width channels"."""

    suffixes = (".plain",)

    def accepts(self, head: bytes) -> bool:
        return head.startswith(b"PLAIN ")

    def read(self, data: bytes) -> DecodedFile:
        line, _, body = data.partition(b"\n")
        shape = tuple(map(int, line.split()[1:]))
        return DecodedFile(np.frombuffer(body, np.uint8).reshape(shape))


@register_tracker("csv")
class CsvTracker(Tracker):
    """Scalars as a table with the columns step, name and value: `scalars.csv`."""

    in_folder = True

    def __init__(self, folder: Path, start: int) -> None:
        super().__init__(folder, start)
        self._file = (folder / "scalars.csv").open("a", encoding="utf-8", newline="")

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        csv.writer(self._file).writerows([step, name, value] for name, value in values.items())
        self._file.flush()

    def close(self) -> None:
        self._file.close()


@register_measure(
    "worst-pixel", higher_is_better=False, meaning="largest difference from the truth", unit="0..2"
)
def worst_pixel(outputs: Tensor, references: Tensor) -> Tensor:
    return (outputs - references).abs().amax(dim=(1, 2, 3))


@register_adversarial_loss("softplus-hinge")
class SoftplusHinge(AdversarialLoss):
    """The hinge loss without its corner."""

    @staticmethod
    def real(scores: Tensor, label: float) -> Tensor:
        return F.softplus(1 - scores)

    @staticmethod
    def fake(scores: Tensor, label: float) -> Tensor:
        return F.softplus(1 + scores)

    @staticmethod
    def fool(scores: Tensor) -> Tensor:
        return -scores
