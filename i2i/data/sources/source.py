"""What a run learns from, whatever its kind, and how its images are checked."""

import hashlib
import logging
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import chain, pairwise
from pathlib import Path
from typing import Any

from torch.utils.data import Dataset, default_collate

from i2i.config import Data
from i2i.config.sides import DataSide
from i2i.core.inputs import Input
from i2i.data.augment.geometry import JointGeometry, ResizedCrop
from i2i.data.augment.transforms import UserTransforms
from i2i.data.catalogue.cache import cache_folder
from i2i.data.images.check import CheckResult, check_images, usable_images
from i2i.data.images.content_hash import Member, content_hash
from i2i.data.images.paths import Paths, Turns, in_blocks
from i2i.data.images.read import counted_by_suffix, passed_over
from i2i.data.images.values import require_full_range
from i2i.data.kinds.folders import results_in
from i2i.data.kinds.layouts import first_few
from i2i.data.sides import SideReader
from i2i.data.sources.looking import a_sample, require_mostly_good
from i2i.errors import DataError

_log = logging.getLogger(__name__)


FEW = 4
"""Different held-out images below which measures of how different they are mean nothing."""


@dataclass(frozen=True)
class Source:
    """The data of a run.

    `train` gives a sample for any position from 0 on, `images` of them in an epoch; `validation`
    gives its samples in a fixed order. `fingerprint` changes with the names of the files that are
    trained on. `checked` is what the check of the images has seen, `members` makes a list of the
    images of a split ("train", "val", "test"), and `letters` says of which side each of them is
    ("AAB"), if of one. `sides` is what two domains are called. `views`
    makes the data set of a split as validation sees it, `inputs` lists the files that are
    translated in a direction. `batches` gives those of the steps from one to another, where they
    are not made of samples here (`i2i.data.own`). `unlooked` are the files to train on where only a
    sample of them has been looked at.
    """

    train: Dataset[Any]
    validation: Dataset[Any]
    images: int
    validation_images: int
    fingerprint: str
    checked: CheckResult = field(default_factory=CheckResult)
    members: Callable[[str], Sequence[Member]] = field(default=lambda split: [], compare=False)
    letters: Callable[[str], str] = field(default=lambda split: "", compare=False)
    sides: tuple[str, str] = ("A", "B")
    views: Mapping[str, Callable[[], Dataset[Any]]] = field(default_factory=dict, compare=False)
    inputs: Callable[[str, str], Sequence[Path]] = field(
        default=lambda split, way: [], compare=False
    )
    batches: Callable[[int, int], Iterator[Any]] | None = field(default=None, compare=False)
    unlooked: Sequence[Path] = field(default=(), compare=False)

    def evaluated(self, split: str) -> "Source":
        """This source with another split in the place of the one to validate with.

        Arguments:
            split: "train", "val" or "test".

        Raises:
            DataError: there is no such image, or one cannot be used.
        """
        if not self.views or (split == "val" and not len(self.unlooked)):
            return self
        if not self.splits[split]:
            raise DataError(self.nothing_in(split))
        dataset: Any = self.views[split]()
        return replace(self, validation=dataset, validation_images=len(dataset))

    def nothing_in(self, split: str) -> str:
        """Say that no image is in a split, what the others hold, and how some come into it."""
        counts = {name: len(members) for name, members in self.splits.items() if members}
        held = ", ".join(f"{count} in {name!r}" for name, count in counts.items())
        return (
            f"There is no image in the split {split!r}; there are {held or 'none in any'}. Ask for "
            f"another (--split {next(iter(reversed(counts)), 'train')}), put some into a folder "
            f"{split}/, name them in a table (data.split_table), or train with data.test_share=0.1 "
            "or data.folds."
        )

    @cached_property
    def splits(self) -> dict[str, Sequence[Member]]:
        """All images by split, with a hash of what is in each."""
        return {split: self.members(split) for split in ("train", "val", "test")}

    def validation_names(self, count: int) -> list[str]:
        """What the first `count` validation samples are, for a person: files, domains; nothing of
        a data set that cannot tell."""
        describe = getattr(self.validation, "describe", None)
        count = min(count, self.validation_images)
        return [] if describe is None else [describe(position) for position in range(count)]

    def validation_batches(self, count: int, batch_size: int = 8) -> list[Any]:
        """The first `count` validation samples, collated into batches.

        A sample that would be alone joins the batch before: batch norm, and models that compare
        the images of a batch, need two.
        """
        count = min(count, self.validation_images)
        begins = list(range(0, count, batch_size))
        if len(begins) > 1 and count - begins[-1] == 1:
            del begins[-1]
        return [
            default_collate([self.validation[i] for i in range(begin, end)])
            for begin, end in pairwise([*begins, count])
        ]


def geometry(data: Data, *, letters: str = "A", paired: bool = False) -> JointGeometry:
    """Return what is done to the images that are trained on.

    Arguments:
        data: the options.
        letters: the sides in the order of a batch (`Data.letters`), "A" where there is one.
        paired: whether they belong together, pixel for pixel.

    Raises:
        OptionsError: a transform of the recipe is not one.
    """
    chosen, ratios = data.transforms, data.ratios(letters)
    held = list(_held(data, letters))
    maps = {name: each.labels for name, each in held if each.labels is not None}
    transforms = None
    if chosen:
        transforms = UserTransforms(
            chosen,
            size=data.crop_size,
            channels={name: each.channels for name, each in held},
            paired=paired,
            labels=maps,
            types={name: each.travels for name, each in held},
            ratios=ratios,
        )
    sizes = data.load_size, data.crop_size, data.resize
    nearest = frozenset(maps)
    if data.crop == "random resized":
        return ResizedCrop(
            *sizes, flip=data.flip, transforms=transforms, nearest=nearest, ratios=ratios
        )
    random_crop = data.crop == "random"
    return JointGeometry(*sizes, random_crop, data.flip, transforms, nearest, ratios)


def label_sides(data: Data) -> frozenset[str]:
    """The sides, or inputs of one ("A.parts.mask"), that are label maps."""
    return frozenset(name for name, each in _held(data, "AB") if each.labels is not None)


def _held(data: Data, letters: str) -> Iterator[tuple[str, Input]]:
    """What images are cut: those of the sides, or of each input of one."""
    depths = data.input_channels, data.output_channels
    for letter, depth in zip(letters, depths, strict=False):
        side: DataSide = getattr(data, letter)
        if not side.roots:
            yield letter, Input(letter, depth, side.labels, side.scale)
            continue
        for each in side.each_input:
            yield f"{letter}.parts.{each.name}", each


def readable(
    paths: Sequence[Path],
    data: Data,
    checked: CheckResult,
    reader: SideReader | None = None,
    *,
    share: float = 1.0,
) -> Sequence[Path]:
    """Return the images of one side that can be read, all of which must be unless bad ones are
    skipped; all of them if a share of less than 1 is looked at (`i2i.data.sources.looking`)."""
    everything = paths
    paths = a_sample(paths, share) if share < 1 else paths
    found = check(paths, checked)
    if reader is not None and not reader.plain:
        checked.update_as_filed(paths)
        found = found.as_filed(paths)
    if share < 1:
        bad = [path for path in paths if path in found.bad]
        require_mostly_good((f"{path}: {found.bad[path]}" for path in bad), len(paths), data)
        paths = [path for path in paths if path not in found.bad]
    usable = usable_images(paths, found, skip_bad=data.skip_bad)
    if reader is None or reader.plain:
        require_full_range(usable, checked.looks)
    else:
        reader.require_known(usable)
    if share < 1:
        return everything
    left_out({path: checked.bad[path] for path in paths if path in checked.bad}, len(paths))
    return usable


def unreadable(
    data: Data, checked: CheckResult, reader: SideReader | None = None
) -> Callable[[Sequence[Path]], list[bool]]:
    """Return what says of images whether they cannot be read."""

    def bad(paths: Sequence[Path]) -> list[bool]:
        found = check(paths, checked)
        if reader is not None and not reader.plain:
            found = found.as_filed(paths)
        return [path in found.bad for path in paths]

    return bad


def check(paths: Iterable[Path], checked: CheckResult) -> CheckResult:
    """Decode the images that are not known to be good; `checked` learns of it too."""
    found = check_images(paths, cache_folder())
    checked.update(found)
    return found


def left_out(why: Mapping[Path, str], total: int) -> None:
    """Say what `--skip-bad` leaves out, and why."""
    if why:
        lines = [f"{path}: {reason}" for path, reason in why.items()]
        _log.info(
            f"left out {len(why)} of {total} that cannot be used (--skip-bad):\n{first_few(lines)}"
        )


class Unread(Sequence[Member]):
    """Images of which none is read to know its content: its hash is empty.

    Arguments:
        files, roots: as for `members_of`.
    """

    def __init__(self, files: Sequence[Path], roots: Sequence[Path]) -> None:
        self.files = files
        self.roots = roots

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, place: Any) -> Any:
        if isinstance(place, slice):
            return Unread(self.files[place], self.roots)
        return Member(_below(self.files[place], self.roots), "")

    def __iter__(self) -> Iterator[Member]:
        return (Member(name, "") for name in _names_below(self.files, self.roots))


def members_of(
    parts: Mapping[str, Sequence[Path]],
    roots: Sequence[Path],
    checked: CheckResult,
    *,
    share: float = 1.0,
) -> Callable[[str], Sequence[Member]]:
    """Return what lists the images of a split, which are files, by their names below the roots.

    What the check has read is not read again. Where a share of less than 1 was looked at, nothing
    is read.
    """

    def listed(split: str) -> Sequence[Member]:
        if share < 1:
            return Unread(parts.get(split, ()), roots)
        return [
            Member(
                _below(path, roots),
                checked.looks[path].digest if path in checked.looks else content_hash(path),
            )
            for path in dict.fromkeys(parts.get(split, ()))
        ]

    return listed


def _below(path: Path, roots: Sequence[Path]) -> str:
    for root in roots:
        if path.is_relative_to(root):
            return path.relative_to(root).as_posix()
    return path.as_posix()


def _names_below(files: Sequence[Path], roots: Sequence[Path]) -> Iterator[str]:
    """`_below` for all files."""
    if isinstance(files, Turns):
        columns = [_names_below(each, roots) for each in files.columns]
        yield from chain.from_iterable(zip(*columns, strict=True))
    elif isinstance(files, Paths):
        below = next((root for root in roots if files.root.is_relative_to(root)), None)
        inside = files.root if below is None else files.root.relative_to(below)
        before = "" if inside == Path() else inside.as_posix().rstrip("/") + "/"
        yield from map(before.__add__, files.names())
    else:
        yield from (_below(path, roots) for path in files)


def say_not_used(roots: Sequence[Path], notes: Iterable[str]) -> None:
    """Say what lies in the folders of a data set and is not learnt from."""
    for note in notes:
        _log.info(f"note: {note}")
    for folder in results_in(roots):
        _log.info(f"note: '{folder}' holds results of i2i and is left out.")
    others = passed_over(roots)
    if others:
        _log.info(
            f"note: {len(others)} files of kinds that are not read are passed over "
            f"({counted_by_suffix(others)}), the first is '{others[0]}'."
        )


def table_file(table: str, root: Path) -> Path:
    """The table of attributes of a data set: below its root, or else where its name says."""
    beside = Path(table)
    return beside if beside.is_file() and not (root / beside).is_file() else root / beside


def fingerprint(names: Iterable[str]) -> str:
    """Return a short word that changes with the names of the images."""
    digest = hashlib.sha256()
    for number, some in enumerate(in_blocks(names)):  # together they may take a hundred megabytes
        digest.update(os.fsencode("\n".join(["", *some] if number else some)))
    return digest.hexdigest()[:16]
