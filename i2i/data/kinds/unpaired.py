"""Images of two kinds that do not belong together: for CycleGAN and its like."""

import contextlib
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch.utils.data import Dataset

from i2i.config import Options
from i2i.core.batch import Unpaired, to_tensor
from i2i.core.registry import register_data_kind
from i2i.core.sides import Fields
from i2i.core.text import counted
from i2i.data.augment.geometry import JointGeometry, evaluation_geometry
from i2i.data.images.check import CheckResult
from i2i.data.images.paths import chained
from i2i.data.inspection.survey import SPLITS, Part, Survey, Wanted, note_lonely_sides
from i2i.data.kinds.division import Division, beside, names_of
from i2i.data.kinds.kind import Beginning, DataKind, Groups, NamedImages, Trial, shrunk
from i2i.data.kinds.layouts import (
    UnpairedFolders,
    find_all_unpaired,
    find_unpaired,
    lonely_sides,
)
from i2i.data.loading.decoded_cache import Decoding, Images
from i2i.data.loading.order import EpochOrder
from i2i.data.sides import SideReader, readers
from i2i.data.sources.cached import keep_decoded
from i2i.data.sources.looking import looked_at, sound_first
from i2i.data.sources.root import find_root
from i2i.data.sources.source import (
    FEW,
    Source,
    fingerprint,
    geometry,
    label_sides,
    members_of,
    readable,
    say_not_used,
    unreadable,
)
from i2i.errors import DataError

_log = logging.getLogger(__name__)


@register_data_kind("unpaired")
class TwoDomains(DataKind):
    """Two domains whose images have nothing to do with each other."""

    batch = Unpaired
    fields: ClassVar[Fields] = {"a": 0, "b": 1}
    takes_labels = True
    task = "From two kinds of images, without pairs"
    rank = 20
    beginning = Beginning(
        recipe="cyclegan",
        quick="cyclegan-quick",
        holds="two kinds of pictures, without pairs",
        why="CycleGAN learns to turn each of two kinds into the other, without pairs",
        few=100,
        usual=1000,
    )
    demo = "unpaired"
    takes_root_b = True
    balance_advice = (
        "An epoch has as many steps as the larger side has images; those of the smaller one are "
        "seen more often."
    )

    def files(self, options: Options) -> Mapping[str, Sequence[tuple[Path, int | None]]]:
        data = options.data
        root_b = Path(data.root_b) if data.root_b else None
        found = find_unpaired(find_root(data.root, self.name), "train", root_b)
        assert found is not None
        return {
            letter: [(path, None) for path in paths]
            for letter, paths in (("A", found.a), ("B", found.b))
        }

    def open(self, options: Options, checked: CheckResult) -> Source:
        data = options.data
        root = find_root(data.root, self.name, data)
        root_b = find_root(data.root_b, self.name, data, side="B") if data.root_b else None
        roots = [root, *([root_b] if root_b else [])]
        division = Division(data, roots)
        found, own = _own(root, root_b, division)
        lonely = [] if root_b else lonely_sides(root)
        say_not_used(roots, (f"{each}: not used" for each in lonely))
        if found.names != ("A", "B"):
            _log.info(f"data: A is {found.names[0]!r}, B is {found.names[1]!r}")
        reading = readers(data, root, self.letters(options))

        share = looked_at(data, sum(len(images) for sides in own[:2] for images in sides.values()))

        def usable(
            sides: Mapping[str, Sequence[Path]], share: float = 1.0
        ) -> dict[str, Sequence[Path]]:
            return {
                side: readable(images, data, checked, reading[side], share=share)
                for side, images in sides.items()
            }

        # What is to be tested with is checked when that is done.
        own[:2] = (usable(sides, share) for sides in own[:2])
        divided = division.divide(*own)
        for note in divided.notes:
            _log.info(f"note: {note}")
        sides = [divided.train[side] for side in "AB"]
        # A single image is trained on and validated with.
        validation = [divided.val.get(side) or divided.train[side] for side in "AB"]
        if share < 1:
            first = options.train.validation_images
            validation = [
                sound_first(images, first, unreadable(data, checked, reading[side]))
                for side, images in zip("AB", validation, strict=True)
            ]
        _log.info(
            f"data: {root} ({found.layout}), {counted(len(sides[0]), 'image', 'images')} of A "
            f"and {len(sides[1])} of B to train on, {len(validation[0])} and {len(validation[1])} "
            f"to validate with ({divided.how})"
        )
        for name, side in zip(found.names, validation, strict=True):
            if len(side) < FEW:
                _log.info(
                    f"note: of {name} there {'is' if len(side) == 1 else 'are'} only {len(side)} "
                    "to validate with: how different results are from each other cannot be "
                    "measured."
                )
        letters = "".join(reading)
        if letters == "BA":
            # What a model that translates one way alone is to translate comes first.
            sides, validation = sides[::-1], validation[::-1]
        common: dict[str, Any] = {
            "readers": (reading[letters[0]], reading[letters[1]]),
            "seed": options.train.seed,
        }
        parts = {
            "train": divided.train,
            "val": dict(zip(letters, validation, strict=True)),
            "test": divided.test,
        }
        train = UnpairedImages(sides, geometry(data, letters=letters), shuffle=True, **common)
        keep_decoded(train, chained(sides), data, *train.readers)
        evaluation = evaluation_geometry(data.crop_size, data.resize, label_sides(data))
        held_out = UnpairedImages(validation, evaluation, **common)

        def side_letters(split: str) -> str:
            return "".join(each * len(parts[split].get(each, ())) for each in parts[split])

        def view(split: str) -> UnpairedImages:
            images = usable(parts[split])
            for letter in letters:
                if not images.get(letter):
                    raise DataError(f"There is no image of {letter} in the split {split!r}.")
            return UnpairedImages([images[each] for each in letters], evaluation, **common)

        return Source(
            train=train,
            validation=held_out,
            images=len(train),
            validation_images=len(held_out),
            fingerprint=fingerprint(name for side in sides for name in names_of(side)),
            members=members_of(
                {split: chained(images.values()) for split, images in parts.items()},
                roots,
                checked,
                share=share,
            ),
            letters=side_letters,
            sides=found.names,
            views={split: partial(view, split) for split in parts},
            unlooked=chained(sides) if share < 1 else (),
            inputs=lambda split, way: parts[split].get(way[0], []),
        )

    def detect(self, root: Path, fits: Mapping[str, str]) -> Mapping[str, str]:
        with contextlib.suppress(DataError):
            find_unpaired(root, "train", any_names=False)
            return {self.name: "two sides"}
        with contextlib.suppress(DataError):
            if (found := find_unpaired(root, "train")) is not None:
                return {self.name: f"two folders: {found.layout}"}
        return {}

    def side_names(self, options: Options) -> tuple[str, str]:
        data = options.data
        root = find_root(data.root, self.name, data)
        root_b = find_root(data.root_b, self.name, data, side="B") if data.root_b else None
        return _own(root, root_b, Division(data, [root, *([root_b] if root_b else [])]))[0].names

    def survey(self, found: Survey, wanted: Wanted) -> Iterable[Callable[[Survey], Survey]]:
        division = Division.wanted(wanted.rules, [found.root, *filter(None, [wanted.root_b])])
        if division is not None:
            return [partial(_survey_divided, root_b=wanted.root_b, division=division)]
        steps = [partial(_survey_split, split=split, root_b=wanted.root_b) for split in SPLITS]
        return [*steps, note_lonely_sides]

    def count_held_out(self, source: Source, direction: str | None) -> int:
        dataset: Any = source.validation
        sides = [len(side) for side in dataset.images]  # of which the shorter begins anew
        return min(sides) if direction is None else sides["AB".index(direction[0])]

    def trials(
        self, source: Source, options: Options, count: int | None, *, examples: int, side: int
    ) -> Iterator[Trial]:
        real = _sides(source.validation, count)

        def groups() -> tuple[Groups, Groups]:
            return _sides(source.train, examples, side=side), real

        readers = source.validation.readers  # type: ignore[attr-defined]
        same = all(each.plain and each.depth == readers[0].depth for each in readers)
        called = source.sides
        notes = [] if called == ("A", "B") else [f"A is {called[0]}, B is {called[1]}."]
        for of, to in ("AB", "BA"):
            yield Trial(
                f"{of}to{to}",
                real[of],
                real[to],
                direction=f"{of}to{to}",
                groups=groups if same else None,
                group=to,
                side=to,
                notes=notes,
            )


Sides = dict[str, Sequence[Path]]


def _own(
    root: Path, root_b: Path | None, division: Division
) -> tuple[UnpairedFolders, list[Sides]]:
    """What was found first, and the images of all splits, or all of them as one."""

    def sides(folders: UnpairedFolders | None) -> Sides:
        return {"A": folders.a, "B": folders.b} if folders else {}

    if division.pooled:
        found = find_all_unpaired(root, root_b)
        return found, [sides(found)]
    learnt = find_unpaired(root, "train", root_b)
    assert learnt is not None
    held = find_unpaired(root, "val", root_b)
    return learnt, [sides(learnt), sides(held), _tested(root, root_b, held)]


def _survey_divided(found: Survey, root_b: Path | None, division: Division) -> Survey:
    folders, own = _own(found.root, root_b, division)
    divided = division.divide(*own)
    found = replace(found, notes=(*found.notes, *divided.notes), sides=folders.names)
    for split, sides in zip(SPLITS, divided[:3], strict=True):
        a, b = (sides.get(side, ()) for side in "AB")
        if not a and not b:
            found = found.without(split)
            continue
        line = _line(split, (len(a), len(b)), folders.names, divided.how)
        found = found.adding(line, Part(split, "A", a), Part(split, "B", b))
    return found


def _survey_split(found: Survey, split: str, root_b: Path | None) -> Survey:
    folders = find_unpaired(found.root, split, root_b)
    if folders is None:
        return found.without(split)
    if split == "test" and found.validates_with(folders.a):
        return found
    counts = len(folders.a), len(folders.b)
    return replace(found, sides=folders.names).adding(
        _line(split, counts, folders.names, folders.layout),
        Part(split, "A", folders.a),
        Part(split, "B", folders.b),
    )


def _line(split: str, counts: tuple[int, int], names: tuple[str, str], how: str) -> str:
    """What a split holds, for a person."""
    if names == ("A", "B"):
        return f"{split}: {counts[0]} + {counts[1]} images, unpaired ({how})"
    first = counted(counts[0], "image", "images")
    return f"{split}: {first} of {names[0]} + {counts[1]} of {names[1]}, unpaired ({how})"


def _sides(dataset: Any, count: int | None, *, side: int | None = None) -> dict[str, NamedImages]:
    """The first images of both sides of a data set, shrunk if a side is given."""
    totals = [len(images) for images in dataset.images]
    totals = [total if count is None else min(count, total) for total in totals]
    samples = [dataset[number] for number in range(max(totals))]
    return {
        name: NamedImages.numbered(
            torch.stack([shrunk(sample[at], side) for sample in samples[:total]])
        )
        for at, (name, total) in enumerate(zip("AB", totals, strict=True))
    }


def _tested(root: Path, root_b: Path | None, validation: UnpairedFolders | None) -> Sides:
    """The images to test with beside those that validate, or the same ones; whatever is wrong with
    them."""
    with contextlib.suppress(DataError):
        if (found := find_unpaired(root, "test", root_b)) is not None:
            held = validation or UnpairedFolders("", (), ())
            return {"A": beside(found.a, held.a), "B": beside(found.b, held.b)}
    return {}


class UnpairedImages(Dataset[Unpaired], Decoding):
    """Images of two domains, addressed by their position in the training.

    An epoch shows every image of the larger domain once; the smaller one starts over, in a new
    order, as often as it must. The two are drawn, cut and mirrored independently of each other. The
    same position gives the same images, whoever asks and however often.

    Args:
        sides: The images of domain A and those of domain B, at least one of each.
        geometry: What is done to each image.
        channels: Of the images of A and of B: 1, 3 or 4.
        readers: What reads the images of both, where those are more than that.
        seed: Not negative; order and geometry follow from it.
        shuffle: Go through the images in another order in each epoch; else always as listed.
    """

    def __init__(
        self,
        sides: Sequence[Sequence[Path]],
        geometry: JointGeometry,
        *,
        channels: tuple[int, int] = (3, 3),
        readers: tuple[SideReader, SideReader] | None = None,
        seed: int = 0,
        shuffle: bool = False,
    ) -> None:
        assert len(sides) == 2
        self.images = list(sides)
        self.items = sum(map(len, self.images))
        self.geometry = geometry
        self.readers = readers or (SideReader("A", channels[0]), SideReader("B", channels[1]))
        # Sides that are equally long must not go through their images in the same order.
        self.seeds = [
            int(np.random.SeedSequence((seed, side)).generate_state(1)[0]) for side in (0, 1)
        ]
        self.orders = (
            [
                EpochOrder(len(images), side_seed)
                for images, side_seed in zip(self.images, self.seeds, strict=True)
            ]
            if shuffle
            else None
        )

    def __len__(self) -> int:
        """Return the number of images in the larger domain, which is the length of an epoch."""
        return max(map(len, self.images))

    def __getitem__(self, position: int) -> Unpaired:
        """Return an image of each domain, (C, H, W) uint8, for any position from 0 on.

        Raises:
            DataError: a file cannot be read.
        """
        sides = []
        for side in (0, 1):
            pixels = self.recalled(self._index(side, position) + side * len(self.images[0]))
            letter = self.readers[side].letter
            sides.append(
                to_tensor(*self.geometry.cut(self.seeds[side], position, *pixels, sides=letter))
            )
        return Unpaired(*sides)

    def _index(self, side: int, position: int) -> int:
        if self.orders is not None:
            return self.orders[side](position)[1]
        return position % len(self.images[side])

    def describe(self, position: int) -> str:
        """The files of both sides, for a person."""
        return "\n".join(
            images[self._index(side, position)].name for side, images in enumerate(self.images)
        )

    def decoded(self, item: int) -> Images:
        first = len(self.images[0])
        side, index = (0, item) if item < first else (1, item - first)
        reader = self.readers[side]
        return self.geometry.resize_all(reader.read(self.images[side][index]), sides=reader.letter)
