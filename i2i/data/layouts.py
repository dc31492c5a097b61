"""Which picture belongs to which: data sets are recognised by how their folders are named.

Partners have the same name below their two folders (the suffix may differ); their positions in a
listing never matter. A layout that is not understood is answered with a drawing of those that are.
"""

import hashlib
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar

from i2i.data.reading import is_picture, list_pictures, natural_key, require_folder
from i2i.errors import DataError, did_you_mean

# The names under which a validation split is looked for, the first one that is there wins.
VALIDATION = ("val", "valid", "validation", "test")

LAYOUTS = """\
Pairs are found in any one of these layouts (valA, val/A, ... hold the validation pictures; instead
of val also valid, validation, test). Sub-folders are allowed; partners have the same name, the
suffix may differ:

  root/                  root/              root/              root/
  ├── train/             ├── trainA/        ├── train/         ├── A/
  │   ├── 1.jpg  A|B     │   ├── 1.jpg      │   ├── A/1.jpg    │   ├── train/1.jpg
  │   └── 2.jpg  A|B     │   └── 2.jpg      │   └── B/1.png    │   └── val/7.jpg
  └── val/               ├── trainB/        └── val/           └── B/
      └── 7.jpg  A|B     │   ├── 1.png          ├── A/7.jpg        ├── train/1.png
                         │   └── 2.png          └── B/7.png        └── val/7.png
  A is the left half     ├── valA/
  of each picture, B     └── valB/
  is the right half"""


# What a layout is called, and its folders: one where pairs are side by side, else A's and B's.
Layout = tuple[str, tuple[Path, ...]]


@dataclass(frozen=True)
class PairFiles:
    """The files of one pair: two pictures, or one with A on its left and B on its right half."""

    a: Path
    b: Path | None  # None: side by side in `a`
    name: str  # relative to the folder of its side, without suffix: "night/0012"


@dataclass(frozen=True)
class PairedFolder:
    """The pairs of one split, in natural order, and the pictures that have no partner."""

    layout: str  # as a person would write it: "trainA + trainB"
    pairs: tuple[PairFiles, ...]
    orphans_a: tuple[Path, ...] = ()
    orphans_b: tuple[Path, ...] = ()


def has_split(root: Path, split: str) -> bool:
    """Say whether `find_pairs` would find a layout for `split` under `root`."""
    return bool(_layouts_found(root, split))


def find_pairs(root: Path, split: str, *, drop_orphans: bool = False) -> PairedFolder:
    """Find the pairs of a split ("train" or "val") under `root`, whatever the layout.

    For "val" the names in `VALIDATION` are tried in that order.

    Raises:
        DataError: `root` is not there or holds no known layout, or several; two files claim the
            same name; pictures have no partner and `drop_orphans` is False; no pair is left.
    """
    require_folder(root)
    found = _layouts_found(root, split)
    if not found:
        raise DataError(f"No pairs for {split!r} in '{root}'.\n{LAYOUTS}\n\n{contents(root)}")
    if len(found) > 1:
        names = " and ".join(layout for layout, _ in found)
        raise DataError(f"'{root}' holds pairs in more than one layout: {names}. Keep one of them.")
    layout, folders = found[0]
    if len(folders) == 1:
        by_name = _by_name(folders[0])
        return PairedFolder(layout, tuple(PairFiles(p, None, name) for name, p in by_name.items()))
    a, b = map(_by_name, folders)
    folder = PairedFolder(
        layout,
        pairs=tuple(PairFiles(path, b[name], name) for name, path in a.items() if name in b),
        orphans_a=tuple(path for name, path in a.items() if name not in b),
        orphans_b=tuple(path for name, path in b.items() if name not in a),
    )
    orphans = folder.orphans_a + folder.orphans_b
    if not folder.pairs:
        raise DataError(
            f"No picture in '{folders[0]}' ({len(a)}) has a partner of the same name in "
            f"'{folders[1]}' ({len(b)}). Name partners alike, or choose a model for unpaired data "
            "if these are no pairs."
        )
    if orphans and not drop_orphans:
        raise DataError(
            f"Pictures in '{root}' ({layout}) without a partner of the same name on the other "
            f"side ({len(orphans)}):\n{first_few(orphans)}\n"
            "Add what is missing, or leave them out with --skip-bad."
        )
    return folder


@dataclass(frozen=True)
class UnpairedFolders:
    """The pictures of the two domains in one split, each in natural order."""

    layout: str
    a: tuple[Path, ...]
    b: tuple[Path, ...]


UNPAIRED_LAYOUTS = """\
Two kinds of pictures are found in any one of these layouts (testA, test/A, ... hold pictures to
validate with; instead of test also val, valid, validation). Sub-folders are allowed; names and
numbers of pictures on the two sides need not match:

  root/               root/                root/
  ├── trainA/         ├── train/           ├── A/
  ├── trainB/         │   ├── A/           │   ├── train/
  ├── testA/          │   └── B/           │   └── test/
  └── testB/          └── test/            └── B/
                          ├── A/               ├── train/
                          └── B/               └── test/

Two folders that lie apart are given as --dataroot (A) and --dataroot-b (B)."""


def find_unpaired(root: Path, split: str, root_b: Path | None = None) -> UnpairedFolders | None:
    """Find the pictures of both domains in a split ("train" or "val"), whatever the layout.

    With `root_b`, `root` is the folder of domain A and `root_b` that of B: each holds a folder
    named after the split or, for "train", the pictures themselves.

    Returns:
        None if there is no such validation split.

    Raises:
        DataError: there is no known layout, or several, or a side without pictures.
    """
    require_folder(root)
    names = VALIDATION if split == "val" else (split,)
    found: list[Layout]
    if root_b is not None:
        require_folder(root_b)
        found = [
            (f"{name} of both folders", (root / name, root_b / name))
            for name in names
            if (root / name).is_dir() and (root_b / name).is_dir()
        ]
        found = found[:1]
        if not found and split == "train":
            for folder in (root, root_b):
                splits = [name for name in ("train", *VALIDATION) if (folder / name).is_dir()]
                if splits:
                    raise DataError(
                        f"'{folder}' holds {', '.join(splits)}, but not both folders have train/: "
                        "give them the same layout, or name the folders of the pictures themselves."
                    )
            found = [("two folders", (root, root_b))]
    else:
        found = next((two for name in names if (two := list(_two_sided(root, name)))), [])
    if not found and split == "val":
        return None
    if not found:
        raise DataError(
            f"No two kinds of pictures for {split!r} in '{root}'.\n{UNPAIRED_LAYOUTS}\n\n"
            f"{contents(root)}"
        )
    if len(found) > 1:
        layouts = " and ".join(layout for layout, _ in found)
        raise DataError(f"'{root}' holds pictures in more than one layout: {layouts}. Keep one.")
    layout, folders = found[0]
    a, b = (tuple(list_pictures(folder)) for folder in folders)
    for pictures, folder in zip((a, b), folders, strict=True):
        if not pictures:
            raise DataError(f"There is no picture in '{folder}'.")
    return UnpairedFolders(layout, a, b)


@dataclass(frozen=True)
class DomainFolders:
    """The pictures of each domain in one split, in natural order."""

    layout: str
    pictures: dict[str, tuple[Path, ...]]  # domain -> its pictures


DOMAIN_LAYOUTS = """\
Domains are the names of folders, in either of these layouts (test/day, ... hold pictures to
validate with; instead of test also val, valid, validation). Sub-folders of a domain belong to it:

  root/                   root/
  ├── train/              ├── day/
  │   ├── day/            ├── night/
  │   ├── night/          └── winter/
  │   └── winter/
  └── test/               (a tenth is held out to validate with)
      ├── day/
      └── ...

Pictures with a table of attributes need no such folders: name it with --set data.table=FILE."""


def find_domains(root: Path, split: str, names: Sequence[str] = ()) -> DomainFolders | None:
    """Find the pictures of each domain in a split ("train" or "val").

    Arguments:
        root: the data set.
        split: "train", or "val" for the first name in `VALIDATION` with a folder of any domain.
        names: the domains wanted, in this order; by default all, in natural order.

    Returns:
        None if there is no such validation split, which need not have all of the domains.

    Raises:
        DataError: there are no two domains, one that is wanted is not there, or one has no picture.
    """
    require_folder(root)
    if split == "val":
        held = next(
            (root / n for n in VALIDATION if set(names) & set(folder_names(root / n))), None
        )
        if held is None or not folder_names(root / "train"):
            return None
        found = {n: tuple(list_pictures(held / n)) for n in names if (held / n).is_dir()}
        return DomainFolders(f"{held.name}/<domain>", found)
    parent = root / split if folder_names(root / split) else root
    there = folder_names(parent)
    if parent == root and (len(there) < 2 or set(there) & {split, *VALIDATION}):
        raise DataError(f"No domains in '{root}'.\n{DOMAIN_LAYOUTS}\n\n{contents(root)}")
    for name in names:
        if name not in there:
            raise DataError(
                f"There is no folder of the domain {name!r} in '{parent}'."
                f"{did_you_mean(name, there)} There are: {', '.join(there)}."
            )
    pictures = {name: tuple(list_pictures(parent / name)) for name in names or there}
    for name, found_there in pictures.items():
        if not found_there:
            raise DataError(
                f"There is no picture in '{parent / name}': fill or remove this folder, or choose "
                "the domains with --set data.domains=[...]."
            )
    layout = f"{split}/<domain>" if parent != root else "<domain>"
    return DomainFolders(layout, pictures)


class Named(Protocol):
    """Anything with a name: a pair of files, a path."""

    @property
    def name(self) -> str: ...


N = TypeVar("N", bound=Named)


def hold_out(items: Sequence[N], share: float = 0.1, seed: int = 0) -> tuple[list[N], list[N]]:
    """Split items into those to train on and those held out, where a data set has no such split.

    The `share` (0..1) of items whose names have the smallest hashes is held out, at least one and
    never all: the choice depends on the seed and the names, not on the order or place of the files.
    A single item is not held out.
    """
    count = min(max(1, round(share * len(items))), len(items) - 1)
    ranked = sorted(
        range(len(items)),
        key=lambda i: hashlib.sha256(os.fsencode(f"{seed}/{items[i].name}")).digest(),
    )
    held = set(ranked[:count])
    train = [item for i, item in enumerate(items) if i not in held]
    return train, [items[i] for i in sorted(held)]


def first_few(items: Iterable[object], limit: int = 10) -> str:
    """Return the first few items, one to a line, and how many more there are."""
    items = list(items)
    lines = [f"  {item}" for item in items[:limit]]
    if len(items) > limit:
        lines.append(f"  ... and {len(items) - limit} more")
    return "\n".join(lines)


def _layouts_found(root: Path, split: str) -> list[Layout]:
    for name in VALIDATION if split == "val" else (split,):
        if found := list(_layouts_of(root, name)):
            return found
    return []


def _two_sided(root: Path, split: str) -> Iterator[Layout]:
    for a, b in (
        (f"{split}A", f"{split}B"),
        (f"{split}/A", f"{split}/B"),
        (f"A/{split}", f"B/{split}"),
    ):
        if (root / a).is_dir() and (root / b).is_dir():
            yield f"{a} + {b}", (root / a, root / b)


def _layouts_of(root: Path, split: str) -> Iterator[Layout]:
    yield from _two_sided(root, split)
    both = root / split
    if not both.is_dir():
        return
    # Neither one half of train/A + train/B nor folders of domains must be mistaken for pictures
    # that are pairs by themselves.
    one_sided = (both / "A").is_dir() or (both / "B").is_dir()
    entries = list(both.iterdir())
    domains = (
        not any(path.is_file() and is_picture(path.name) for path in entries)
        and sum(path.is_dir() and path.name[0] != "." for path in entries) > 1
    )
    if not one_sided and not domains and list_pictures(both):
        yield f"{split}, side by side", (both,)


def folder_names(parent: Path) -> list[str]:
    """The names of the folders in another, which need not exist."""
    if not parent.is_dir():
        return []
    names = [path.name for path in parent.iterdir() if path.is_dir() and path.name[0] != "."]
    return sorted(names, key=natural_key)


def _by_name(folder: Path) -> dict[str, Path]:
    by_name: dict[str, Path] = {}
    for path in list_pictures(folder):
        name = path.relative_to(folder).with_suffix("").as_posix()
        if name in by_name:
            raise DataError(
                f"'{by_name[name]}' and '{path}' have the same name, so that their partner is "
                "unclear. Remove or rename one of them."
            )
        by_name[name] = path
    return by_name


def contents(root: Path) -> str:
    """Say what a folder holds, for somebody who expected something else there."""
    entries = [path for path in sorted(root.iterdir()) if path.name[0] != "."]
    if not entries:
        return f"'{root}' is empty."
    names = [path.name + "/" * path.is_dir() for path in entries]
    hint = ""
    if root.name in ("train", *VALIDATION):
        hint = f"\nIs '{root.parent}' the root that you mean?"
    return f"'{root}' holds:\n{first_few(names)}{hint}"
