"""Images and what they should become: for pix2pix and its like."""

import contextlib
import logging
import shlex
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any, ClassVar, Literal, get_args

import torch
from torch.utils.data import Dataset

from i2i.config import Data, Options
from i2i.core.batch import Pair, to_tensor
from i2i.core.inputs import packed
from i2i.core.registry import register_data_kind
from i2i.core.sides import Fields
from i2i.core.text import counted
from i2i.data.augment.geometry import JointGeometry, evaluation_geometry
from i2i.data.images.check import CheckResult, mismatch, unequal, usable_pairs
from i2i.data.images.paths import Turns
from i2i.data.images.values import require_full_range
from i2i.data.inspection.survey import SPLITS, Part, Survey, Wanted, note_lonely_sides
from i2i.data.kinds.division import Division, beside, names_of
from i2i.data.kinds.kind import Beginning, DataKind, NamedImages, Trial
from i2i.data.kinds.layouts import (
    NO_ROOTS,
    PairedFolder,
    PairFiles,
    Roots,
    aspect,
    find_loose_pairs,
    find_pairs,
    has_split,
    lonely_sides,
    same_sizes,
)
from i2i.data.kinds.partners import Pairs
from i2i.data.kinds.splits import SIDES
from i2i.data.loading.decoded_cache import Decoding, Images
from i2i.data.loading.order import EpochOrder
from i2i.data.sides import LEFT, RIGHT, SideReader, halves, readers
from i2i.data.sources.cached import keep_decoded
from i2i.data.sources.looking import a_sample, looked_at, require_mostly_good, sound_first
from i2i.data.sources.root import find_root
from i2i.data.sources.source import (
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

_log = logging.getLogger(__name__)

Direction = Literal["AtoB", "BtoA"]

NARROW = 1.2
"""Width over height below which most images are hardly two side by side."""


@register_data_kind("paired")
class Paired(DataKind):
    """Pairs. A kind that finds them in another way needs only `find` and `has_split`."""

    batch = Pair
    fields: ClassVar[Fields] = {"source": 0, "target": 1}
    takes_labels = True
    takes_inputs = True
    task = "From pairs: images or label maps, and what they should become"
    has_truth = True
    rank = 10
    beginning = Beginning(
        recipe="pix2pix",
        quick="pix2pix-quick",
        holds="pairs: of each picture it is known what it should become",
        why="pix2pix learns from pairs to make the one of the other",
        few=50,
        usual=400,
    )

    def find(self, root: Path, split: str, *, drop_orphans: bool = False) -> PairedFolder:
        """The pairs of a split: "train", "val" or "test"; see `find_pairs`.

        Raises:
            DataError: there are none, or images have no partner and are not to be dropped.
        """
        return find_pairs(root, split, drop_orphans=drop_orphans)

    def _find(
        self, root: Path, split: str, *, drop_orphans: bool = False, roots: Roots = NO_ROOTS
    ) -> PairedFolder:
        """`find`, also of several inputs.

        Raises:
            OptionsError: this kind finds its pairs in another way.
        """
        if not any(roots):
            return self.find(root, split, drop_orphans=drop_orphans)
        if type(self).find is not Paired.find:
            raise OptionsError(
                f"data.A.roots: {self.name} data has one input of each scene: leave them out."
            )
        return find_pairs(root, split, drop_orphans=drop_orphans, roots=roots)

    def has_split(self, root: Path, split: str) -> bool:
        """Whether there are pairs of their own for a split."""
        return has_split(root, split)

    def everything(self, root: Path, **how: Any) -> PairedFolder:
        """All pairs, in whichever folders of splits they lie, or in none.

        Raises:
            DataError: as `find`; `how` are arguments of `_find`.
        """
        splits = [split for split in SPLITS if self.has_split(root, split)]
        if not splits:
            return find_loose_pairs(root, **how)
        parts = [self._find(root, split, **how) for split in splits]
        return PairedFolder(
            ", ".join(dict.fromkeys(part.layout for part in parts)),
            tuple({pair.a: pair for part in parts for pair in part.pairs}.values()),
            tuple(dict.fromkeys(path for part in parts for path in part.orphans_a)),
            tuple(dict.fromkeys(path for part in parts for path in part.orphans_b)),
            parts[0].names,
        )

    def files(self, options: Options) -> Mapping[str, Sequence[tuple[Path, int | None]]]:
        root = find_root(options.data.root, self.name)
        how = _roots(options.data)
        if self.has_split(root, "train"):
            pairs = self._find(root, "train", drop_orphans=True, **how).pairs
        else:
            pairs = self.everything(root, drop_orphans=True, **how).pairs
        found: dict[str, Sequence[tuple[Path, int | None]]] = {
            "A": [(pair.a, None if pair.b else LEFT) for pair in pairs],
            "B": [(pair.b, None) if pair.b else (pair.a, RIGHT) for pair in pairs],
        }
        for letter in "AB":
            roots = getattr(options.data, letter).roots
            for number, name in enumerate(roots):
                own = (_of_side(pair, letter, len(roots)) for pair in pairs)
                found[f"{letter}.{name}"] = [(paths[number], None) for paths in own]
        return found

    def open(self, options: Options, checked: CheckResult) -> Source:
        data = options.data
        root = find_root(data.root, self.name, data)
        division = Division(data, [root], lambda pair: pair.a)
        found, own = self._own(root, division, drop_orphans=data.skip_bad, **_roots(data))
        say_not_used([root], (f"{each}: not used" for each in lonely_sides(root)))
        if found.names != SIDES:
            first, second = found.names if data.direction == "AtoB" else found.names[::-1]
            back = shlex.quote(f"{second}to{first}")
            _log.info(f"data: {first!r} becomes {second!r} (the other way: --direction {back})")
        orphans = (*found.orphans_a, *found.orphans_b)
        total = sum(len(_files(pairs)) for pairs in own[:2])
        left_out(dict.fromkeys(orphans, "no partner"), total + len(orphans))
        letters = data.letters(both_ways=False)
        reading = readers(data, root, letters)
        share = looked_at(data, total)
        usable = partial(_usable, data=data, checked=checked, readers=reading)
        # What is to be tested with is checked when that is done.
        own[:2] = [usable(pairs, share=share) if pairs else pairs for pairs in own[:2]]
        divided = division.divide(*({"": pairs} for pairs in own))
        train, validation, test = (each.get("", []) for each in divided[:3])
        if share < 1:

            def unusable(pairs: Sequence[PairFiles]) -> list[bool]:
                bad = _bad(pairs, data, checked, reading)
                return [pair in bad for pair in pairs]

            validation = sound_first(validation, options.train.validation_images, unusable)
        for note in divided.notes:
            _log.info(f"note: {note}")
        _log.info(
            f"data: {root} ({found.layout}), {counted(len(train), 'pair', 'pairs')} to train on, "
            f"{len(validation)} to validate with ({divided.how})"
        )
        common: dict[str, Any] = {
            "direction": data.direction,
            "readers": (reading["A"], reading["B"]),
            "seed": options.train.seed,
        }
        images = PairedImages(
            train, geometry(data, letters=letters, paired=True), shuffle=True, **common
        )
        keep_decoded(images, _files(train), data, *images.readers)
        parts = {"train": train, "val": validation, "test": test}
        evaluation = evaluation_geometry(
            data.crop_size, data.resize, label_sides(data), data.ratios(letters)
        )
        return Source(
            train=images,
            validation=PairedImages(validation, evaluation, **common),
            images=len(train),
            validation_images=len(validation),
            fingerprint=fingerprint(names_of(train)),
            members=members_of(
                {split: _files(pairs) for split, pairs in parts.items()},
                [root],
                checked,
                share=share,
            ),
            letters=lambda split: _letters(parts[split]),
            views={
                "train": partial(PairedImages, train, evaluation, **common),
                "val": lambda: PairedImages(usable(validation), evaluation, **common),
                "test": lambda: PairedImages(usable(test), evaluation, **common),
            },
            sides=found.names,
            unlooked=_files(train) if share < 1 else (),
            inputs=lambda split, way: [
                pair.b if way == "BtoA" and pair.b else pair.a for pair in parts[split]
            ],
        )

    def side_names(self, options: Options) -> tuple[str, str]:
        data = options.data
        root = find_root(data.root, self.name, data)
        division = Division(data, [root], lambda pair: pair.a)
        return self._own(root, division, drop_orphans=True, **_roots(data))[0].names

    def _own(
        self, root: Path, division: Division, **how: Any
    ) -> tuple[PairedFolder, list[Sequence[PairFiles]]]:
        """What was found first, and the pairs of all splits, or all of them as one; `how` are
        arguments of `_find`."""
        if division.pooled:
            found = self.everything(root, **how)
            return found, [found.pairs]
        found = self._find(root, "train", **how)
        held: Sequence[PairFiles] = ()
        if self.has_split(root, "val"):
            held = self._find(root, "val", **how).pairs
        return found, [found.pairs, held, self._tested(root, held, **how)]

    def _tested(
        self, root: Path, validation: Iterable[PairFiles], **how: Any
    ) -> Sequence[PairFiles]:
        """The pairs to test with beside those that validate, or the same ones; whatever is wrong
        with them."""
        with contextlib.suppress(DataError):
            if self.has_split(root, "test"):
                found = self._find(root, "test", **{**how, "drop_orphans": True}).pairs
                return beside(found, validation)
        return []

    def detect(self, root: Path, fits: Mapping[str, str]) -> Mapping[str, str]:
        with contextlib.suppress(DataError):
            pairs = self.find(root, "train", drop_orphans=True)
            orphans = len(pairs.orphans_a) + len(pairs.orphans_b)
            by_side = pairs.pairs[0].b is None
            # Photos of two kinds may be numbered alike by chance.
            if pairs.names != SIDES and (orphans or not same_sizes(pairs.pairs)):
                return {}
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
        division = Division.wanted(wanted.rules, [found.root], lambda pair: pair.a)
        how = _roots(wanted.rules)
        if division is not None:
            divided = partial(self._survey_divided, division=division, how=how)
            return [divided, note_lonely_sides]
        steps = [partial(self._survey_split, split=split, how=how) for split in SPLITS]
        return [*steps, note_lonely_sides]

    def _survey_divided(
        self, found: Survey, division: Division, how: Mapping[str, Roots]
    ) -> Survey:
        folder, own = self._own(found.root, division, drop_orphans=True, **how)
        divided = division.divide(*({"": pairs} for pairs in own))
        orphans = (*folder.orphans_a, *folder.orphans_b)
        found = replace(
            found, orphans=orphans, notes=(*found.notes, *divided.notes), sides=folder.names
        )
        for split, parts in zip(SPLITS, divided[:3], strict=True):
            found = _with_pairs(found, split, parts.get("", []), divided.how, **how)
        return found

    def _survey_split(self, found: Survey, split: str, how: Mapping[str, Roots]) -> Survey:
        if split != "train" and not self.has_split(found.root, split):
            return found.without(split)
        folder = self._find(found.root, split, drop_orphans=True, **how)
        if split == "test" and found.validates_with(pair.a for pair in folder.pairs):
            return found
        orphans = (*found.orphans, *folder.orphans_a, *folder.orphans_b)
        found = replace(found, orphans=orphans, sides=folder.names)
        return _with_pairs(found, split, folder.pairs, folder.layout, **how)

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


def _roots(data: Data | None) -> dict[str, Roots]:
    """What `find` is told of several inputs; nothing where there are none."""
    roots = NO_ROOTS if data is None else (data.A.roots, data.B.roots)
    return {"roots": roots} if any(roots) else {}


def _of_side(pair: PairFiles, letter: str, inputs: int) -> tuple[Path, ...]:
    """The files of a side of which each scene has so many inputs (0 for one image)."""
    first = pair.a if letter == "A" or pair.b is None else pair.b
    return (first, *pair.beside) if inputs else (first,)


def _read_by(
    pairs: Iterable[PairFiles], readers: Mapping[str, SideReader]
) -> Iterator[tuple[SideReader, list[Path], int | None]]:
    """Each reader with the files that it reads, and which half of them."""
    pairs = list(pairs)
    for (letter, half), whole in product(zip("AB", (LEFT, RIGHT), strict=True), (False, True)):
        own = [pair for pair in pairs if (pair.b is None) == whole]
        inputs = len(readers[letter].parts)
        files = zip(*(_of_side(pair, letter, inputs) for pair in own), strict=True)
        for reader, paths in zip(readers[letter].each, files, strict=False):
            yield reader, list(paths), half if whole else None


def _with_pairs(
    found: Survey, split: str, pairs: Sequence[PairFiles], how: str, roots: Roots = NO_ROOTS
) -> Survey:
    if not pairs:
        return found.without(split)
    parts = [Part(split, "", tuple(pair.a for pair in pairs))]
    if pairs[0].b is not None:
        parts = []
        for letter, names in zip("AB", roots, strict=True):
            files = zip(*(_of_side(pair, letter, len(names)) for pair in pairs), strict=True)
            called = [f"{letter}.{name}" for name in names] or [letter]
            parts += [Part(split, *each) for each in zip(called, files, strict=True)]
    found = replace(found, pairs=(*found.pairs, (split, tuple(pairs))))
    return found.adding(f"{split}: {counted(len(pairs), 'pair', 'pairs')} ({how})", *parts)


def _files(pairs: Sequence[PairFiles]) -> Sequence[Path]:
    if isinstance(pairs, Pairs):
        return Turns(pairs.columns)
    return [path for pair in pairs for path in pair.files]


def _letters(pairs: Sequence[PairFiles]) -> str:
    """Of which side each of `_files` is; "" where one file is both, or a side has several."""
    apart = bool(pairs) and pairs[0].b is not None and len(pairs[0].files) == 2
    return "AB" * len(pairs) if apart else ""


def _usable(
    pairs: Sequence[PairFiles],
    data: Data,
    checked: CheckResult,
    readers: Mapping[str, SideReader],
    share: float = 1.0,
) -> Sequence[PairFiles]:
    """Those of the pairs that can be used, all of which must be unless bad ones are skipped; all of
    them if a share of less than 1 is looked at."""
    everything = pairs
    pairs = a_sample(pairs, share) if share < 1 else pairs
    why = _bad(pairs, data, checked, readers)
    if share < 1:
        require_mostly_good((f"{pair.a}: {said}" for pair, said in why.items()), len(pairs), data)
        usable: Sequence[PairFiles] = [pair for pair in pairs if pair not in why]
    else:
        ratios = data.ratios(data.letters(both_ways=False))
        usable = usable_pairs(pairs, checked, skip_bad=data.skip_bad, ratios=ratios)
    for reader, paths, half in _read_by(usable, readers):
        if reader.plain:
            require_full_range(paths, checked.looks)
        else:
            reader.require_known(paths, half)
    if share < 1:
        return everything
    left_out({pair.a: said for pair, said in why.items()}, len(pairs))
    return usable


def _bad(
    pairs: Sequence[PairFiles],
    data: Data,
    checked: CheckResult,
    readers: Mapping[str, SideReader],
) -> dict[PairFiles, str]:
    """Those of the pairs that cannot be used, and why."""
    check(_files(pairs), checked)
    checked.update_as_filed(
        path for reader, paths, _ in _read_by(pairs, readers) if not reader.plain for path in paths
    )
    ratios = data.ratios(data.letters(both_ways=False))
    why = {
        pair: next((checked.bad[path] for path in pair.files if path in checked.bad), "")
        or mismatch(pair, checked, ratios)
        for pair in pairs
    }
    return {pair: said for pair, said in why.items() if said}


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
        self.pairs = pairs
        self.items = len(self.pairs)
        self.geometry = geometry
        self.forward = direction == "AtoB"
        depths = (input_channels, output_channels)
        depths = depths if self.forward else depths[::-1]
        self.readers = readers or (SideReader("A", depths[0]), SideReader("B", depths[1]))
        self.seed = seed
        self.order = EpochOrder(len(self.pairs), seed) if shuffle else None
        self._letters = tuple(letter for reader in self.readers for letter in reader.letters)

    def __len__(self) -> int:
        """Return the number of pairs, which is the length of an epoch."""
        return len(self.pairs)

    def __getitem__(self, position: int) -> Pair:
        """Return source and target, (C, H, W) uint8, for any position from 0 on.

        Raises:
            DataError: a file cannot be read, or the two images differ in size.
        """
        images = self.recalled(self.index(position))
        images = self.geometry.cut(self.seed, position, *images, sides=self._letters)
        if len(images) > 2:
            images = _joined(images, self.readers)
        a, b = images
        source, target = (a, b) if self.forward else (b, a)
        return Pair(to_tensor(source), to_tensor(target))

    def index(self, position: int) -> int:
        """Return which of the pairs comes at a position."""
        return self.order(position)[1] if self.order else position % len(self.pairs)

    def describe(self, position: int) -> str:
        """What a pair is called, for a person."""
        return self.pairs[self.index(position)].name

    def decoded(self, item: int) -> Images:
        return self.geometry.resize_all(*self._read(self.pairs[item]), sides=self._letters)

    def _read(self, files: PairFiles) -> Images:
        reader_a, reader_b = self.readers
        if files.b is None:
            if reader_a.plain and reader_b.plain and reader_a.depth == reader_b.depth:
                return halves(files.a, reader_a.read(files.a))  # which decodes the file once
            return reader_a.read(files.a, LEFT), reader_b.read(files.a, RIGHT)
        a, b = (
            reader.read_all(_of_side(files, letter, len(reader.parts)))
            for reader, letter in zip(self.readers, "AB", strict=True)
        )
        (down, across), (high, wide) = a[0].shape[:2], b[0].shape[:2]
        ratios = [self.geometry.ratios.get(letter, 1) for letter in "AB"]
        if why := unequal((across, down), (wide, high), ratios):
            raise DataError(
                f"'{files.a}' is {across}x{down} and '{files.b}' is {wide}x{high}; {why}."
            )
        return (*a, *b)


def _joined(images: Images, readers: tuple[SideReader, SideReader]) -> Images:
    """What travels of each side, of the images of both."""
    first = len(readers[0].each)
    sides = images[:first], images[first:]
    return tuple(
        packed(own) if reader.parts else own[0] for own, reader in zip(sides, readers, strict=True)
    )
