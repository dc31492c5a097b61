"""Which images there are, and how the folder was read."""

import contextlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Literal, get_args

from i2i.core.text import counted
from i2i.data.catalogue.attributes import find_attributed, read_table
from i2i.data.catalogue.cache import cache_folder
from i2i.data.catalogue.idx import find_idx, has_idx
from i2i.data.images.read import list_images, passed_over, require_folder
from i2i.data.kinds.folders import data_folders, results_in, side_of, split_of
from i2i.data.kinds.image_folder import FileStore, find_images
from i2i.data.kinds.image_set import FoundImages, ImageStore
from i2i.data.kinds.layouts import (
    PairFiles,
    aspect,
    find_domains,
    find_pairs,
    find_unpaired,
    has_split,
    lonely_sides,
)
from i2i.errors import DataError, did_you_mean

Kind = Literal["paired", "unpaired", "domains", "unconditional"]
KINDS: tuple[Kind, ...] = get_args(Kind)

SPLITS = ("train", "val", "test")

NARROW = 1.2
"""Width over height below which most images are hardly two side by side."""


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
    images: tuple[Path, ...]

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
    """

    root: Path
    kind: Kind
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
        if self.kind in ("domains", "unconditional"):
            return sum(counts)
        return max(counts, default=0)

    def has(self, split: str) -> bool:
        return any(part.split == split for part in self.parts)


def survey(
    root: Path,
    kind: Kind | None = None,
    *,
    root_b: Path | None = None,
    table: Path | None = None,
    domains: Sequence[str] = (),
    attributes: Sequence[str] = (),
    named: FoundImages | None = None,
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

    Raises:
        DataError: `root` is no folder, or `kind` is unknown. Everything else that is wrong is among
            the `problems` of the survey.
    """
    require_folder(root)
    if named is not None:
        how = "by its name"
        return _guarded(
            Survey(root, "unconditional", how), partial(_images, names=domains, named=named)
        )
    if kind is None:
        kind, how = ("domains", f"images with the table {table}") if table else ("unpaired", "")
        if not table:
            kind, how = ("unpaired", "two folders") if root_b else detect_kind(root)
    elif kind not in KINDS:
        raise DataError(
            f"kind (={kind!r}) must be one of {', '.join(KINDS)}.{did_you_mean(kind, KINDS)}"
        )
    else:
        how = "as asked for"
    if root_b is not None and kind != "unpaired":
        raise DataError(
            f"'{root_b}' was given as domain B, which only unpaired data has; this was read "
            f"as {kind}."
        )
    found = Survey(root, kind, how)
    steps: list[Callable[[Survey], Survey]]
    if table is not None:
        steps = [partial(_attributed, table=table, names=attributes)]
    elif kind == "paired":
        steps = [partial(_paired, split=split) for split in SPLITS]
    elif kind == "unpaired":
        steps = [partial(_unpaired, split=split, root_b=root_b) for split in SPLITS]
    elif kind == "domains":
        steps = [partial(_domains, split=split, names=domains) for split in SPLITS]
    else:
        steps = [partial(_images, names=domains)]
    for step in steps:
        found = _guarded(found, step)
    return _with_what_is_not_used(found, [each for each in (root, root_b) if each])


def _with_what_is_not_used(found: Survey, roots: Sequence[Path]) -> Survey:
    lonely = lonely_sides(found.root) if found.kind in ("paired", "unpaired") else []
    notes = [
        *found.notes,
        *(f"{each}: not used" for each in lonely),
    ]
    return replace(
        found,
        notes=tuple(notes),
        results=tuple(results_in(roots)),
        passed_over=tuple(passed_over(roots)),
    )


def detect_kind(root: Path) -> tuple[Kind, str]:
    """Say what a folder looks like, and why, in words.

    It is taken for images if there are files in MNIST's format, for paired if most of its
    images have a partner, else for unpaired if there are two sides, else for domains if there are
    several folders, else for images of one kind.
    """
    if has_idx(root):
        return "unconditional", "files in MNIST's format"
    fits: dict[Kind, str] = {}
    with contextlib.suppress(DataError):
        pairs = find_pairs(root, "train", drop_orphans=True)
        orphans = len(pairs.orphans_a) + len(pairs.orphans_b)
        two = (
            f"{counted(len(pairs.pairs), 'image of A has', 'images of A have')} a partner of "
            f"the same name, {counted(orphans, 'has', 'have')} not"
        )
        by_side = pairs.pairs[0].b is None
        if 2 * len(pairs.pairs) >= orphans and not (
            by_side and aspect([pair.a for pair in pairs.pairs]) < NARROW
        ):
            fits["paired"] = "whole images in train/, two side by side in each" if by_side else two
    with contextlib.suppress(DataError):
        find_unpaired(root, "train", any_names=False)
        fits["unpaired"] = "two sides"
    if "unpaired" not in fits:  # whose two folders are not meant to be domains
        with contextlib.suppress(DataError):
            find_domains(root, "train")
            fits["domains"] = "a folder for each domain"
            find_unpaired(root, "train")  # exactly two of them
            fits["unpaired"] = "two folders"
    if not fits and list_images(root) and not _looks_arranged(root):
        fits["unconditional"] = "there are no pairs, sides or domains"
    if not fits:
        return (
            "paired",
            "it looks like nothing known",
        )  # there are most layouts of pairs to be shown
    first, *others = fits
    also = f"; it could be read as {' or '.join(others)} too" if others else ""
    return first, fits[first] + also


def _looks_arranged(root: Path) -> bool:
    """Whether folders are named as if they were sides, so that something is missing."""
    folders = data_folders(root)
    inner = [path for folder in folders if split_of(folder.name) for path in data_folders(folder)]
    return any(side_of(path.name) for path in folders) or any(
        path.name.upper() in ("A", "B") for path in (*folders, *inner)
    )


def _guarded(found: Survey, step: Callable[[Survey], Survey]) -> Survey:
    try:
        return step(found)
    except DataError as error:
        return replace(found, problems=(*found.problems, str(error)))


def _with(found: Survey, line: str, *parts: Part) -> Survey:
    return replace(found, lines=(*found.lines, line), parts=(*found.parts, *parts))


def _without(found: Survey, split: str) -> Survey:
    """What is said of a split that is not there: nothing of one to test with."""
    return found if split == "test" else _with(found, f"{split}: none")


def _paired(found: Survey, split: str) -> Survey:
    if split != "train" and not has_split(found.root, split):
        return _without(found, split)
    folder = find_pairs(found.root, split, drop_orphans=True)
    if split == "test" and _known(found, (pair.a for pair in folder.pairs)):
        return found
    a = tuple(pair.a for pair in folder.pairs)
    b = tuple(pair.b for pair in folder.pairs if pair.b)
    parts = [Part(split, "A", a), Part(split, "B", b)] if b else [Part(split, "", a)]
    found = replace(
        found,
        pairs=(*found.pairs, (split, folder.pairs)),
        orphans=found.orphans + folder.orphans_a + folder.orphans_b,
    )
    return _with(
        found, f"{split}: {counted(len(folder.pairs), 'pair', 'pairs')} ({folder.layout})", *parts
    )


def _known(found: Survey, images: Iterable[Path]) -> bool:
    """Whether images to test with are those that validate, as there are no others."""
    held = {path for part in found.parts if part.split == "val" for path in part.images}
    return not held.isdisjoint(images)


def _unpaired(found: Survey, split: str, root_b: Path | None) -> Survey:
    folders = find_unpaired(found.root, split, root_b)
    if folders is None:
        return _without(found, split)
    if split == "test" and _known(found, folders.a):
        return found
    return _with(
        found,
        f"{split}: {len(folders.a)} + {len(folders.b)} images, unpaired ({folders.layout})",
        Part(split, "A", folders.a),
        Part(split, "B", folders.b),
    )


def _domains(found: Survey, split: str, names: Sequence[str]) -> Survey:
    if split != "train":
        names = [part.name for part in found.parts if part.split == "train"]
        if not names:
            return found
    folders = find_domains(found.root, split, names)
    if folders is None:
        return _without(found, split)
    if split == "test" and _known(found, (p for each in folders.images.values() for p in each)):
        return found
    counts = ", ".join(f"{len(images)} of {name}" for name, images in folders.images.items())
    parts = [Part(split, name, images) for name, images in folders.images.items()]
    found = replace(found, notes=(*found.notes, *folders.notes))
    return _with(found, f"{split}: {counts} ({folders.layout})", *parts)


def _attributed(found: Survey, table: Path, names: Sequence[str]) -> Survey:
    rows = read_table(table, names)
    folder = find_attributed(found.root, rows, drop_unlisted=True)
    count = len(folder.train)
    shares = [
        (name, sum(values[at] for values in folder.train.values()) / max(count, 1))
        for at, name in enumerate(rows.names)
    ]
    found = replace(found, unlisted=folder.unlisted, shares=tuple(shares))
    found = _with(
        found,
        f"train: {counted(count, 'image', 'images')} with {len(rows.names)} attributes "
        f"({folder.layout})",
        Part("train", "", tuple(folder.train)),
    )
    if folder.validation is None:
        return _with(found, "val: none")
    found = _with(
        found,
        f"val: {counted(len(folder.validation), 'image', 'images')}",
        Part("val", "", tuple(folder.validation)),
    )
    if not folder.test:
        return found
    return _with(
        found,
        f"test: {counted(len(folder.test), 'image', 'images')}",
        Part("test", "", folder.test),
    )


def _images(found: Survey, names: Sequence[str] = (), named: FoundImages | None = None) -> Survey:
    """What training makes of single images, class by class where they have any."""
    root = found.root
    if named is None:
        named = find_idx(root, cache_folder()) if has_idx(root) else find_images(root)
    names = names or named.classes
    found = replace(found, notes=(*found.notes, *named.notes))
    for split, images in zip(SPLITS, (named.train, named.validation, named.test), strict=True):
        if images is None:
            found = _without(found, split)
            continue
        images = images.of_classes(names)
        store = images.store
        if isinstance(store, FileStore):
            paths = [store.paths[index] for index in images.indices]
        else:
            paths = [root / split / store.name(int(index)) for index in images.indices]
            places = zip(paths, ((store, int(index)) for index in images.indices), strict=True)
            found = replace(found, stored={**found.stored, **dict(places)})
        parts = [
            Part(split, name, tuple(paths[place] for place in places))
            for name, places in zip(names or ("",), images.by_class(), strict=True)
        ]
        classes = f", {len(names)} classes" if names else ""
        line = f"{split}: {counted(len(images), 'image', 'images')}{classes} ({named.layout})"
        found = _with(found, line, *(part for part in parts if part.images))
        missing = [part.name for part in parts if not part.images]
        if split == "train" and missing:
            raise DataError(f"There is no image of the class {missing[0]!r} to train on.")
    return replace(found, store_layout=named.layout if found.stored else "")
