"""Which images are trained on, validated with and tested with, and that none of them is two of it.

What a data set has in folders of its own counts; what it lacks is held out from the images for
training. Where the options say so, neither: a table names the split of each image, or all images
are divided into folds of which one after the other is tested with.
"""

import hashlib
import os
import re
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path, PurePath
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

import numpy as np

from i2i.config import Data
from i2i.data.images.paths import Integers, Paths, in_blocks, take
from i2i.data.kinds.folders import SPLITS
from i2i.data.kinds.split_table import SplitTable, read_split_table
from i2i.data.unpacked.groups import PATIENT, group_of, is_unpacked
from i2i.errors import DataError, OptionsError

HELD_OUT = 0.1
"""Share of the images that is held out where a data set has no validation split."""

SHOWN = 5
"""Names in an error."""


class Named(Protocol):
    """Anything with a name: a pair of files, a path."""

    @property
    def name(self) -> str: ...


N = TypeVar("N", bound=Named)

Parts = Mapping[str, Sequence[N]]
"""Images by side, domain or class; "" where there are none."""


Halves = tuple[dict[str, Sequence[N]], dict[str, Sequence[N]]]
"""Images that stay and those that are held out, by part."""


class Divided(NamedTuple, Generic[N]):
    """The images of each split by part, and how they were chosen, in words."""

    train: dict[str, Sequence[N]]
    val: dict[str, Sequence[N]]
    test: dict[str, Sequence[N]]
    how: str
    notes: tuple[str, ...] = ()


class Division:
    """What the options say of splits.

    Arguments:
        data: the options.
        roots: the folders of the data set; `data.split_table` is looked for in the first.
        path: of an image; groups and rows are found by it, below the roots.

    Raises:
        DataError: the table cannot be read.
        OptionsError: the options contradict each other.
    """

    def __init__(
        self,
        data: Data,
        roots: Sequence[Path] = (),
        path: Callable[[Any], PurePath] = lambda item: item,
    ) -> None:
        self.data = data
        self.roots = roots
        self._path = path
        self.table: SplitTable | None = None
        if data.split_table:
            beside = Path(data.split_table)
            within = roots[0] / beside if roots else beside
            self.table = read_split_table(within if within.is_file() else beside)
        if self.by_table and data.folds:
            raise OptionsError(
                f"data.folds (={data.folds}) divides what the column split of {data.split_table!r} "
                "divides already: leave one of them out."
            )
        if data.more and (data.group_by or data.split_table or data.folds):
            raise OptionsError(
                "data.group_by, data.split_table and data.folds are for one data set, and "
                "data.more names others."
            )

    @classmethod
    def wanted(
        cls, data: Data | None, roots: Sequence[Path], path: Callable[[Any], PurePath] = lambda i: i
    ) -> "Division | None":
        """What the options say of splits, or None where folders alone tell."""
        return cls(data, roots, path) if data is not None and says_anything(data) else None

    @cached_property
    def by_table(self) -> bool:
        return self.table is not None and "split" in self.table.columns

    @cached_property
    def _has_unpacked(self) -> bool:
        return any(map(is_unpacked, self.roots))

    @property
    def pooled(self) -> bool:
        """Whether folders of splits mean nothing: all images are divided anew."""
        return self.by_table or self.data.folds is not None

    @property
    def has_groups(self) -> bool:
        in_table = self.table is not None and "group" in self.table.columns
        return in_table or bool(self.data.group_by)

    def divide(
        self,
        train: Parts[N],
        val: Parts[N] | None = None,
        test: Parts[N] | None = None,
        *,
        share: float = HELD_OUT,
    ) -> Divided[N]:
        """Divide the images of a data set.

        Arguments:
            train: all images where they are `pooled`, else those for training.
            val, test: those of the splits that are there.
            share: of those for training that is held out to validate with, if need be and
                `data.val_share` says nothing.

        Raises:
            DataError: a part is left without an image to train on, a group lies in two splits, or
                the table does not fit the images.
        """
        data, notes = self.data, tuple[str, ...]()
        if self.by_table:
            found, notes = self._by_table(train)
            how = f"by {data.split_table}"
        elif data.folds:
            rest, fold = self._fold(train, data.folds, data.fold)
            found = {"train": rest, "val": {}, "test": fold}
            how = (
                f"held out from the {_count(rest)} for training; fold {data.fold} of {data.folds} "
            )
            how += f"is for testing: {_count(fold)}"
        else:
            found = {"train": dict(train), "val": dict(val or {}), "test": dict(test or {})}
            how = "their own split"
            if _within(found["val"], found["test"]):  # those to test with, as there are no others
                found["test" if data.val_share is None else "val"] = {}
        if data.test_share and not _count(found["test"]):
            found["train"], found["test"] = self.hold_out(found["train"], data.test_share, "test/")
            how += f", {_count(found['test'])} of those for training held out to test with"
        if not _count(found["val"]):
            share = share if data.val_share is None else data.val_share
            if not (self.by_table or data.folds):
                how = f"held out from the {_count(found['train'])} for training"
            found["train"], found["val"] = self.hold_out(found["train"], share)
        self._require_apart(found)
        for name, items in found["train"].items():
            if not items:
                raise DataError(
                    f"No image{f' of {name}' if name else ''} is left to train on ({how})."
                )
        if data.limit is not None:
            found["train"] = self._limited(found["train"], data.limit)
        return Divided(found["train"], found["val"], found["test"], how, notes)

    def hold_out(self, parts: Parts[N], share: float, salt: str = "") -> Halves[N]:
        """Split images into those to train on and those held out; see `hold_out`."""
        group = self._group if self._grouped(parts) else None
        return hold_out(parts, share, self.data.split_seed, group=group, salt=salt)

    def _group(self, item: N) -> str:
        """Who or what an image is of."""
        path = self._below(item)
        if self.table is not None and "group" in self.table.columns:
            key = self.table.key(path)
            group = None if key is None else self.table.rows[key].group
            if group is None:
                raise DataError(f"'{self.table.path}' names no group of '{path}'.")
            return group
        if not self.data.group_by:
            return self._unpacked(item) or path.as_posix()
        found = re.search(self.data.group_by, path.as_posix())
        if found is None:
            raise DataError(
                f"data.group_by (={self.data.group_by!r}) is not found in '{path}', so the group "
                "of that is unknown."
            )
        return str(found[1] if found.re.groups else found[0])

    def _grouped(self, parts: Parts[N]) -> bool:
        """Whether images belong together: the options say so, or they are of a video or volume."""
        if self.has_groups or not self._has_unpacked:
            return self.has_groups
        return any(self._unpacked(item) is not None for item in everything(parts))

    def _unpacked(self, item: N) -> str | None:
        """What an image is of that was a frame or a slice."""
        if not self._has_unpacked:
            return None
        path = self._path(item)
        places = [path] if path.is_absolute() else [root / path for root in self.roots]
        return next((group for place in places if (group := group_of(Path(place)))), None)

    def _below(self, item: N) -> PurePath:
        path = self._path(item)
        for root in self.roots:
            if path.is_relative_to(root):
                return path.relative_to(root)
        return path

    def _by_table(
        self, parts: Parts[N]
    ) -> tuple[dict[str, dict[str, Sequence[N]]], tuple[str, ...]]:
        table = self.table
        assert table is not None
        found: dict[str, dict[str, list[N]]] = {
            split: {name: [] for name in parts} for split in SPLITS
        }
        unlisted: list[PurePath] = []
        seen: set[str] = set()
        for name, items in parts.items():
            owners: dict[str, PurePath] = {}
            for item in items:
                path = self._below(item)
                key = table.key(path)
                if key is None:
                    unlisted.append(path)
                    continue
                if owners.setdefault(key, path) is not path:
                    raise DataError(
                        f"'{owners[key]}' and '{path}' both fit the row {key!r} of '{table.path}': "
                        "write more of their paths into the table."
                    )
                seen.add(key)
                if (split := table.rows[key].split) is not None:
                    found[split][name].append(item)
        if not seen:
            raise DataError(
                f"None of the {_count(parts)} images is listed in '{table.path}', which has "
                f"{len(table.rows)} rows (the first is {next(iter(table.rows))!r})."
            )
        missing = [key for key in table.rows if key not in seen]
        if missing and not self.data.skip_bad:
            raise DataError(
                f"{len(missing)} of {len(table.rows)} rows in '{table.path}' have no image "
                f"({_shown(missing)}): add what is missing, or leave them out with --skip-bad."
            )
        notes = []
        if missing:
            notes.append(f"{len(missing)} rows in {table.path} have no image ({_shown(missing)})")
        if unlisted:
            notes.append(
                f"{len(unlisted)} images have no row in {table.path} ({_shown(unlisted)}), and are "
                "left out"
            )
        return {split: {**parts} for split, parts in found.items()}, tuple(notes)

    def _fold(self, parts: Parts[N], folds: int, fold: int) -> Halves[N]:
        """The images outside of a fold, and those in it."""
        members, words = _members(parts, self._group if self._grouped(parts) else None)
        ranked = sorted(
            members, key=lambda key: (-len(members[key]), _digest(self.data.split_seed, words[key]))
        )
        sizes: dict[str, list[int]] = {name: [0] * folds for name in parts}
        chosen: dict[str, set[int]] = {name: set() for name in parts}
        for key in ranked:  # the largest groups first, each to where there is the least so far
            counts = Counter(name for name, _ in members[key])
            least = min(range(folds), key=lambda at: sum(sizes[name][at] for name in counts))
            for name, number in members[key]:
                sizes[name][least] += 1
                if least == fold - 1:
                    chosen[name].add(number)
        rest, held = _parted(parts, chosen)
        for name, items in held.items():
            if not items:
                raise DataError(
                    f"Fold {fold} of {folds} has no image{f' of {name}' if name else ''}, of which "
                    f"there are {len(parts[name])}"
                    + (" in too few groups" if self.has_groups else "")
                    + ": take fewer folds."
                )
        return rest, held

    def _require_apart(self, found: Mapping[str, Parts[N]]) -> None:
        """Refuse groups that lie in two splits, and patients of whom it is known who they are."""
        if not (self.has_groups or self._has_unpacked):
            return
        groups = {
            split: {
                group
                for items in parts.values()
                for item in items
                if (group := self._group(item) if self.has_groups else self._unpacked(item))
                and (self.has_groups or group.startswith(PATIENT))
            }
            for split, parts in found.items()
        }
        for one, other in (("train", "val"), ("train", "test"), ("val", "test")):
            if common := sorted(groups[one] & groups[other]):
                raise DataError(
                    f"{len(common)} groups lie in {one} and in {other} ({_shown(common)}): a group "
                    "may lie in one split only."
                )

    def _limited(self, parts: Parts[N], limit: int) -> dict[str, Sequence[N]]:
        """The first images of each part, in an order of their own: those of a smaller limit are
        among those of a larger one."""
        limited = {}
        for name, items in parts.items():
            ranked = _ranked(items, self.data.split_seed, "limit/")
            limited[name] = take(items, np.sort(ranked[:limit]))
        return limited


def says_anything(data: Data) -> bool:
    """Whether folders alone do not tell which split an image is of."""
    shares = data.val_share is not None or data.test_share > 0
    return bool(data.split_table or data.folds or data.group_by) or shares


def hold_out(
    parts: Parts[N],
    share: float = HELD_OUT,
    seed: int = 0,
    *,
    group: Callable[[N], str] | None = None,
    salt: str = "",
) -> Halves[N]:
    """Split images into those to train on and those held out.

    Of each part the `share` (0..1) of images whose names have the smallest hashes is held out, at
    least one and never all: the choice depends on the seed and the names, not on the order or place
    of the files. A single image is not held out.

    Arguments:
        parts: the images.
        share: of each part.
        seed: of the choice.
        group: of an image; groups are held out as a whole, in all parts, as long as they fit into
            the share; one at least.
        salt: tells one choice from another.

    Raises:
        DataError: all images of a part are of one group.
    """
    wanted = {
        name: min(max(1, round(share * len(items))), len(items) - 1)
        for name, items in parts.items()
    }
    if group is None:
        alone = {name: _ranked(items, seed, salt)[: wanted[name]] for name, items in parts.items()}
        return _parted(parts, {name: {*places.tolist()} for name, places in alone.items()})
    members, words = _members(parts, group)
    ranked = sorted(members, key=lambda key: _digest(seed, salt + words[key]))
    chosen: dict[str, set[int]] = {name: set() for name in parts}

    def choose(
        keys: Iterable[Hashable], most: Mapping[str, int], enough: Mapping[str, int]
    ) -> None:
        for key in keys:
            counts = Counter(name for name, _ in members[key])
            needed = any(len(chosen[name]) < enough[name] for name in counts)
            if needed and all(len(chosen[n]) + count <= most[n] for n, count in counts.items()):
                for name, number in members[key]:
                    chosen[name].add(number)

    choose(ranked, wanted, wanted)
    # A part of which no group fits gives up its smallest one.
    never_all = {name: len(items) - 1 for name, items in parts.items()}
    one = {name: min(1, most) for name, most in never_all.items()}
    choose(sorted(ranked, key=lambda key: len(members[key])), never_all, one)
    for name, items in parts.items():
        if len(items) > 1 and not chosen[name]:
            raise DataError(
                f"All {len(items)} images{f' of {name}' if name else ''} would have to be held "
                "out together, as they are of one group: name finer groups."
            )
    return _parted(parts, chosen)


Members = dict[Hashable, list[tuple[str, int]]]


def _members(
    parts: Parts[N], group: Callable[[N], str] | None
) -> tuple[Members, dict[Hashable, str]]:
    """What is held out together, as parts and numbers in them, and the word that each is ranked
    by: the images of a group, or each by itself."""
    members: Members = {}
    words: dict[Hashable, str] = {}
    for name, items in parts.items():
        for number, item in enumerate(items):
            key: Hashable = (name, number) if group is None else group(item)
            members.setdefault(key, []).append((name, number))
            words[key] = item.name if group is None else str(key)
    return members, words


def _digest(seed: int, word: str) -> bytes:
    return hashlib.sha256(os.fsencode(f"{seed}/{word}")).digest()


def _ranked(items: Sequence[Named], seed: int, salt: str) -> Integers:
    """The places of images in the order of the hashes of their names."""
    before = f"{seed}/{salt}"  # as `_digest` has it
    digests = b"".join(
        hashlib.sha256(word).digest()
        for names in in_blocks(names_of(items))
        for word in os.fsencode("\0".join([before + name for name in names])).split(b"\0")
    )
    words = np.frombuffer(digests, ">u8").reshape(-1, 4)
    return np.lexsort(words.T[::-1])


def names_of(items: Sequence[Named]) -> Iterator[str]:
    """What images are called: files without their folders, pairs with them."""
    if isinstance(items, Paths):
        return (name.rpartition("/")[2] for name in items.names())
    names: Callable[[], Iterator[str]] | None = getattr(items, "names", None)
    return names() if names is not None else (item.name for item in items)


def _parted(parts: Parts[N], chosen: Mapping[str, set[int]]) -> Halves[N]:
    """The images that are not chosen, and those that are."""
    rest, held = {}, {}
    for name, items in parts.items():
        mine = np.zeros(len(items), dtype=bool)
        mine[list(chosen[name])] = True
        rest[name] = take(items, np.flatnonzero(~mine))
        held[name] = take(items, np.flatnonzero(mine))
    return rest, held


def beside(tested: Sequence[N], validation: Iterable[N]) -> Sequence[N]:
    """The images to test with that do not validate; all of them if all do."""
    validation = {*validation}
    places = [at for at, item in enumerate(tested) if item not in validation]
    return take(tested, places) if places else tested


def _within(one: Parts[N], other: Parts[N]) -> bool:
    return bool(_count(one)) and {*everything(one)} <= {*everything(other)}


def everything(parts: Parts[N]) -> Iterator[N]:
    """All images, part by part."""
    return (item for items in parts.values() for item in items)


def _count(parts: Parts[N]) -> int:
    return sum(map(len, parts.values()))


def _shown(names: Sequence[object]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(map(str, names[:SHOWN])) + more
