"""Which images there are, and how the folder was read."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from i2i.config import Data
from i2i.core.registry import DATA_KINDS
from i2i.data.images.read import (
    any_image,
    file_names,
    nothing_here,
    passed_over,
    require_folder,
)
from i2i.data.kinds import all_kinds, find_kind
from i2i.data.kinds.folders import results_in
from i2i.data.kinds.image_set import FoundImages, ImageStore
from i2i.data.kinds.layouts import PairFiles, lonely_sides
from i2i.errors import DataError, did_you_mean

if TYPE_CHECKING:
    from i2i.data.kinds.kind import DataKind

SPLITS = ("train", "val", "test")


@dataclass(frozen=True)
class Part:
    """The images of one side of a data set in one split.

    Attributes:
        split: "train", "val", or "test" where there are images to validate with beside it.
        name: "A", "B", a domain or a class; "" where there are no sides.
        images: in natural order.
    """

    split: str
    name: str
    images: Sequence[Path]

    def __str__(self) -> str:
        return f"{self.split} {self.name}".strip()


@dataclass(frozen=True)
class Survey:
    """Which images there are.

    Attributes:
        root: the data set.
        kind: what it was read as.
        how: why, in words.
        lines: what is in each split, for a person.
        parts: all images that would be used, but those in `orphans`.
        pairs: split -> its pairs, for paired data.
        orphans: images without a partner.
        unlisted: images without a row in the table of attributes.
        shares: attribute -> of how many images to train on it holds (0..1).
        problems: why a split cannot be read.
        stored: images that are no files of their own -> where they are kept; they are named as if
            they were files below `root`.
        store_layout: how those are kept, in words.
        notes: what is there and is not used, or does not go together.
        results: folders that i2i has written, which are left out.
        passed_over: files that hold images, of kinds that are not read.
        sides: what the sides A and B are called.
    """

    root: Path
    kind: str
    how: str
    lines: tuple[str, ...] = ()
    parts: tuple[Part, ...] = ()
    pairs: tuple[tuple[str, tuple[PairFiles, ...]], ...] = ()
    orphans: tuple[Path, ...] = ()
    unlisted: tuple[Path, ...] = ()
    shares: tuple[tuple[str, float], ...] = ()
    problems: tuple[str, ...] = ()
    stored: Mapping[Path, tuple[ImageStore, int]] = field(default_factory=dict)
    store_layout: str = ""
    notes: tuple[str, ...] = ()
    results: tuple[Path, ...] = ()
    passed_over: tuple[Path, ...] = ()
    sides: tuple[str, str] = ("A", "B")

    @property
    def files(self) -> list[Path]:
        """Those images that are files, each once."""
        return [path for path in self.images if path not in self.stored]

    @property
    def images(self) -> list[Path]:
        """All images, each once."""
        return list(dict.fromkeys(path for part in self.parts for path in part.images))

    @property
    def side_by_side(self) -> bool:
        """Whether each image holds both of a pair."""
        return any(pair.b is None for _, pairs in self.pairs for pair in pairs)

    @property
    def samples(self) -> int:
        """How many samples an epoch of training has."""
        counts = [len(part.images) for part in self.parts if part.split == "train"]
        return find_kind(self.kind).count_samples(counts)

    def has(self, split: str) -> bool:
        return any(part.split == split for part in self.parts)

    def adding(self, line: str, *parts: Part) -> "Survey":
        """The survey with more images, and what is said of them."""
        return replace(self, lines=(*self.lines, line), parts=(*self.parts, *parts))

    def without(self, split: str) -> "Survey":
        """With what is said of a split that is not there: nothing of one to test with."""
        return self if split == "test" else self.adding(f"{split}: none")

    def only(self, split: str) -> "Survey":
        """What is in one split; nothing where it is not there, which is a problem."""
        parts = tuple(part for part in self.parts if part.split == split)
        problems = self.problems
        if not parts and not problems:
            problems = (f"There is no image in the split {split!r}.",)
        return replace(
            self,
            lines=tuple(line for line in self.lines if line.startswith(f"{split}:")),
            parts=parts,
            pairs=tuple(pairs for pairs in self.pairs if pairs[0] == split),
            problems=problems,
        )

    def validates_with(self, images: Iterable[Path]) -> bool:
        """Whether images to test with are those that validate, as there are no others."""
        held = {path for part in self.parts if part.split == "val" for path in part.images}
        return not held.isdisjoint(images)


@dataclass(frozen=True)
class Wanted:
    """What a survey is asked to look at, beside a folder; see `survey`."""

    root_b: Path | None = None
    table: Path | None = None
    domains: Sequence[str] = ()
    attributes: Sequence[str] = ()
    named: FoundImages | None = None
    rules: Data | None = None


def survey(
    root: Path,
    kind: str | None = None,
    *,
    root_b: Path | None = None,
    table: Path | None = None,
    domains: Sequence[str] = (),
    attributes: Sequence[str] = (),
    named: FoundImages | None = None,
    rules: Data | None = None,
) -> Survey:
    """Find the images of a data set.

    Arguments:
        root: its folder.
        kind: what it is meant to be; None to go by what is there (`detect_kind`).
        root_b: unpaired: the folder of domain B, if it lies apart.
        table: domains: a table of attributes.
        domains: those wanted, or classes; by default all folders.
        attributes: those wanted; by default all columns of the table.
        named: images that were found by a name (`i2i.data.catalogue.torchvision_sets`) and whose
            files are in `root`, instead of looking there.
        rules: what else says which split an image is of (`i2i.data.kinds.division`).

    Raises:
        DataError: `root` is no folder, or `kind` is unknown. Everything else that is wrong is among
            the `problems` of the survey.
    """
    require_folder(root)
    if named is not None:
        kind, how = _first(lambda kind: not kind.translates), "by its name"
    elif kind is None and table is not None:
        kind, how = _first(lambda kind: kind.takes_table), f"images with the table {table}"
    elif kind is None and root_b is not None:
        kind, how = _first(lambda kind: kind.takes_root_b), "two folders"
    elif kind is None:
        kind, how = detect_kind(root)
    elif kind not in DATA_KINDS:
        names = [each.name for each in all_kinds()]
        raise DataError(
            f"kind (={kind!r}) must be one of {', '.join(names)}.{did_you_mean(kind, names)}"
        )
    else:
        how = "as asked for"
    if root_b is not None and not find_kind(kind).takes_root_b:
        raise DataError(
            f"'{root_b}' was given as domain B, which only unpaired data has; this was read "
            f"as {kind}."
        )
    if table is not None and not find_kind(kind).takes_table:
        raise DataError(
            f"'{table}' was given as a table of attributes, which only data of many domains has; "
            f"this was read as {kind}."
        )
    found = Survey(root, kind, how)
    wanted = Wanted(root_b, table, domains, attributes, named, rules)
    for step in find_kind(kind).survey(found, wanted):
        found = _guarded(found, step)
    if named is not None:
        return found
    roots = [each for each in (root, root_b) if each]
    unread = tuple(passed_over(roots))
    empty = not any_image(root) and (unread or not any(file_names(root)))
    if found.problems and not found.images and empty:
        found = replace(found, problems=(nothing_here(root),))  # whatever layout was looked for
    return replace(found, results=tuple(results_in(roots)), passed_over=unread)


def detect_kind(root: Path) -> tuple[str, str]:
    """Say what a folder looks like, and why, in words.

    Of several kinds that it fits, it is taken for that of the lowest rank: for pairs if most of its
    images have a partner, else for unpaired if there are two sides, else for domains if there are
    several folders, else for images of one kind.
    """
    fits: dict[str, str] = {}
    for kind in all_kinds():
        fits |= kind.detect(root, fits)
    if not fits:  # there are most layouts of pairs to be shown
        return all_kinds()[0].name, "it looks like nothing known"
    first, *others = fits
    also = f"; it could be read as {' or '.join(others)} too" if others else ""
    return first, fits[first] + also


def note_lonely_sides(found: Survey) -> Survey:
    """With a note of each folder that is named like one of two sides, and is alone."""
    notes = (f"{each}: not used" for each in lonely_sides(found.root))
    return replace(found, notes=(*found.notes, *notes))


def _first(fits: Callable[["DataKind"], bool]) -> str:
    return next(kind.name for kind in all_kinds() if fits(kind))


def _guarded(found: Survey, step: Callable[[Survey], Survey]) -> Survey:
    try:
        return step(found)
    except DataError as error:
        return replace(found, problems=(*found.problems, str(error)))
