"""Images and what they should become: for pix2pix and its like."""

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Literal, get_args

import torch
from torch.utils.data import Dataset

from i2i.config import Data, Options
from i2i.core.batch import Pair, to_tensor
from i2i.core.registry import register_data_kind
from i2i.core.sides import Fields
from i2i.core.text import counted
from i2i.data.augment.geometry import JointGeometry, evaluation_geometry
from i2i.data.images.check import CheckResult, mismatch, usable_pairs
from i2i.data.images.read import Pixels
from i2i.data.images.values import require_full_range
from i2i.data.inspection.survey import SPLITS, Part, Survey, Wanted, note_lonely_sides
from i2i.data.kinds.kind import DataKind, NamedImages, Trial
from i2i.data.kinds.layouts import (
    PairedFolder,
    PairFiles,
    aspect,
    find_pairs,
    has_split,
    hold_out,
    lonely_sides,
)
from i2i.data.loading.decoded_cache import Decoding, Images
from i2i.data.loading.order import EpochOrder
from i2i.data.sides import LEFT, RIGHT, SideReader, halves, readers
from i2i.data.sources.cached import keep_decoded
from i2i.data.sources.root import find_root
from i2i.data.sources.source import (
    HELD_OUT,
    Say,
    Source,
    check,
    fingerprint,
    geometry,
    label_sides,
    left_out,
    members_of,
    say_not_used,
)
from i2i.errors import DataError, OptionsError

Direction = Literal["AtoB", "BtoA"]

NARROW = 1.2
"""Width over height below which most images are hardly two side by side."""


@register_data_kind("paired")
class Paired(DataKind):
    """Pairs. A kind that finds them in another way needs only `find` and `has_split`."""

    batch = Pair
    fields: ClassVar[Fields] = {"source": 0, "target": 1}
    takes_labels = True
    has_truth = True
    rank = 10

    def find(self, root: Path, split: str, *, drop_orphans: bool = False) -> PairedFolder:
        """The pairs of a split: "train", "val" or "test"; see `find_pairs`.

        Raises:
            DataError: there are none, or images have no partner and are not to be dropped.
        """
        return find_pairs(root, split, drop_orphans=drop_orphans)

    def has_split(self, root: Path, split: str) -> bool:
        """Whether there are pairs of their own for a split."""
        return has_split(root, split)

    def open(self, options: Options, say: Say, checked: CheckResult) -> Source:
        data = options.data
        root = find_root(data.root, self.name, say)
        found = self.find(root, "train", drop_orphans=data.skip_bad)
        say_not_used([root], (f"{each}: not used" for each in lonely_sides(root)), say)
        orphans = (*found.orphans_a, *found.orphans_b)
        left_out(dict.fromkeys(orphans, "no partner"), 2 * len(found.pairs) + len(orphans), say)
        reading = readers(data, root)
        train, split = _usable(found.pairs, data, say, checked, reading), "its own split"
        if self.has_split(root, "val"):
            held = self.find(root, "val", drop_orphans=data.skip_bad)
            validation = _usable(held.pairs, data, say, checked, reading)
        else:
            train, validation = hold_out(train, HELD_OUT, data.split_seed)
            split = f"held out from the {len(train) + len(validation)} for training"
        say(
            f"data: {root} ({found.layout}), {counted(len(train), 'pair', 'pairs')} to train on, "
            f"{len(validation)} to validate with ({split})"
        )
        common: dict[str, Any] = {
            "direction": data.direction,
            "readers": (reading["A"], reading["B"]),
            "seed": options.train.seed,
        }
        letters = data.letters(both_ways=False)
        images = PairedImages(
            train, geometry(data, letters=letters, paired=True), shuffle=True, **common
        )
        keep_decoded(images, _files(train), data, say, *images.readers)
        parts = {
            "train": _files(train),
            "val": _files(validation),
            "test": self._tested(root, validation),
        }
        return Source(
            train=images,
            validation=PairedImages(
                validation,
                evaluation_geometry(data.crop_size, data.resize, label_sides(data)),
                **common,
            ),
            images=len(train),
            validation_images=len(validation),
            fingerprint=fingerprint(pair.name for pair in train),
            members=members_of(parts, [root], checked),
        )

    def _tested(self, root: Path, validation: Sequence[PairFiles]) -> list[Path]:
        """The images to test with beside those that validate; whatever is wrong with them."""
        held = {pair.a for pair in validation}
        with contextlib.suppress(DataError):
            if self.has_split(root, "test"):
                found = self.find(root, "test", drop_orphans=True).pairs
                return _files(pair for pair in found if pair.a not in held)
        return []

    def detect(self, root: Path, fits: Mapping[str, str]) -> Mapping[str, str]:
        with contextlib.suppress(DataError):
            pairs = self.find(root, "train", drop_orphans=True)
            orphans = len(pairs.orphans_a) + len(pairs.orphans_b)
            by_side = pairs.pairs[0].b is None
            if 2 * len(pairs.pairs) >= orphans and not (
                by_side and aspect([pair.a for pair in pairs.pairs]) < NARROW
            ):
                if by_side:
                    return {self.name: "whole images in train/, two side by side in each"}
                found = counted(len(pairs.pairs), "image of A has", "images of A have")
                return {
                    self.name: f"{found} a partner of the same name, "
                    f"{counted(orphans, 'has', 'have')} not"
                }
        return {}

    def survey(self, found: Survey, wanted: Wanted) -> Iterable[Callable[[Survey], Survey]]:
        return [*(partial(self._survey_split, split=split) for split in SPLITS), note_lonely_sides]

    def _survey_split(self, found: Survey, split: str) -> Survey:
        if split != "train" and not self.has_split(found.root, split):
            return found.without(split)
        folder = self.find(found.root, split, drop_orphans=True)
        if split == "test" and found.validates_with(pair.a for pair in folder.pairs):
            return found
        a = tuple(pair.a for pair in folder.pairs)
        b = tuple(pair.b for pair in folder.pairs if pair.b)
        parts = [Part(split, "A", a), Part(split, "B", b)] if b else [Part(split, "", a)]
        found = replace(
            found,
            pairs=(*found.pairs, (split, folder.pairs)),
            orphans=found.orphans + folder.orphans_a + folder.orphans_b,
        )
        pairs = counted(len(folder.pairs), "pair", "pairs")
        return found.adding(f"{split}: {pairs} ({folder.layout})", *parts)

    def trials(
        self, source: Source, options: Options, count: int | None, *, examples: int, side: int
    ) -> Iterator[Trial]:
        dataset: Any = source.validation
        total = source.validation_images
        samples = [
            dataset[number] for number in range(total if count is None else min(count, total))
        ]
        images, truth = (torch.stack([sample[side] for sample in samples]) for side in (0, 1))
        names = [pair.name for pair in dataset.pairs[: len(samples)]]
        yield Trial("", NamedImages(images, names), NamedImages(truth, names), aligned=True)


def _files(pairs: Iterable[PairFiles]) -> list[Path]:
    return [path for pair in pairs for path in (pair.a, pair.b) if path is not None]


def _usable(
    pairs: Sequence[PairFiles],
    data: Data,
    say: Say,
    checked: CheckResult,
    readers: Mapping[str, SideReader],
) -> list[PairFiles]:
    found = check(_files(pairs), checked)
    usable = usable_pairs(pairs, found, skip_bad=data.skip_bad)
    whole = [pair for pair in usable if pair.b is None]
    apart = {"A": [p.a for p in usable if p.b], "B": [p.b for p in usable if p.b]}
    for letter, half in (("A", LEFT), ("B", RIGHT)):
        if readers[letter].labels is None:
            require_full_range([*apart[letter], *(p.a for p in whole)], checked.looks)
        else:
            readers[letter].require_known(apart[letter])
            readers[letter].require_known([pair.a for pair in whole], half)
    why = {
        pair.a: found.bad.get(pair.a) or found.bad.get(pair.b or pair.a) or mismatch(pair, found)
        for pair in pairs
    }
    left_out({path: reason for path, reason in why.items() if reason}, len(pairs), say)
    return usable


class PairedImages(Dataset[Pair], Decoding):
    """Pairs of images, addressed by their position in the training (see `i2i.data.loading.order`).

    The same position gives the same pair with the same crop, whoever asks and however often.

    Args:
        pairs: At least one.
        geometry: What is done to both images of a pair.
        direction: "AtoB" or "BtoA": which side is the source.
        input_channels: Channels of the source: 1, 3 or 4.
        output_channels: Channels of the target: 1, 3 or 4.
        readers: What reads the images of A and of B, where those are more than that.
        seed: Not negative; order and geometry follow from it.
        shuffle: Go through the pairs in another order in each epoch; else always as listed.

    Raises:
        OptionsError: `direction` is neither of the two.
    """

    def __init__(
        self,
        pairs: Sequence[PairFiles],
        geometry: JointGeometry,
        *,
        direction: Direction = "AtoB",
        input_channels: int = 3,
        output_channels: int = 3,
        readers: tuple[SideReader, SideReader] | None = None,
        seed: int = 0,
        shuffle: bool = False,
    ) -> None:
        if direction not in get_args(Direction):
            raise OptionsError(f"direction (={direction!r}) must be 'AtoB' or 'BtoA'.")
        self.pairs = list(pairs)
        self.items = len(self.pairs)
        self.geometry = geometry
        self.forward = direction == "AtoB"
        depths = (input_channels, output_channels)
        depths = depths if self.forward else depths[::-1]
        self.readers = readers or (SideReader("A", depths[0]), SideReader("B", depths[1]))
        self.seed = seed
        self.order = EpochOrder(len(self.pairs), seed) if shuffle else None

    def __len__(self) -> int:
        """Return the number of pairs, which is the length of an epoch."""
        return len(self.pairs)

    def __getitem__(self, position: int) -> Pair:
        """Return source and target, (C, H, W) uint8, for any position from 0 on.

        Raises:
            DataError: a file cannot be read, or the two images differ in size.
        """
        a, b = self.geometry.cut(self.seed, position, *self.recalled(self.index(position)))
        source, target = (a, b) if self.forward else (b, a)
        return Pair(to_tensor(source), to_tensor(target))

    def index(self, position: int) -> int:
        """Return which of the pairs comes at a position."""
        return self.order(position)[1] if self.order else position % len(self.pairs)

    def decoded(self, item: int) -> Images:
        return self.geometry.resize_all(*self._read(self.pairs[item]))

    def _read(self, files: PairFiles) -> tuple[Pixels, Pixels]:
        reader_a, reader_b = self.readers
        if files.b is None:
            if reader_a.plain and reader_b.plain and reader_a.depth == reader_b.depth:
                return halves(files.a, reader_a.read(files.a))  # which decodes the file once
            return reader_a.read(files.a, LEFT), reader_b.read(files.a, RIGHT)
        a, b = reader_a.read(files.a), reader_b.read(files.b)
        if a.shape[:2] != b.shape[:2]:
            raise DataError(
                f"'{files.a}' is {a.shape[1]}x{a.shape[0]} and '{files.b}' is "
                f"{b.shape[1]}x{b.shape[0]}; the two images of a pair must have the same size."
            )
        return a, b
