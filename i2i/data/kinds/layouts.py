"""Which image belongs to which: data sets are recognised by how their folders are named.

Partners have the same name below their two folders (the suffix may differ); their positions in a
listing never matter. A layout that is not understood is answered with a drawing of those that are.
"""

import contextlib
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from statistics import median

from i2i.data.images.formats import open_file
from i2i.data.images.paths import Paths
from i2i.data.images.read import (
    any_image,
    is_image,
    list_images,
    natural_key,
    nothing_here,
    require_folder,
)
from i2i.data.kinds.folders import (
    SPLITS,
    data_folders,
    like_a_split,
    side_of,
    split_folders,
    split_of,
)
from i2i.data.kinds.partners import PairFiles as PairFiles
from i2i.data.kinds.partners import Pairs, matched, stems
from i2i.errors import DataError, did_you_mean

SIDE_BY_SIDE = 1.9
"""Width over height from which on most images in folders that might be domains are taken for pairs,
two side by side. A wide photo is 1.8 times as wide as it is high (16:9)."""

LAYOUTS = """\
Pairs are found in any one of these layouts (valA, val/A, ... hold the validation images; instead
of val also valid, validation, dev, or test, testing, eval; in any case). Sub-folders are allowed;
partners have the same name, the suffix may differ:

  root/                  root/              root/              root/
  ├── train/             ├── trainA/        ├── train/         ├── A/
  │   ├── 1.jpg  A|B     │   ├── 1.jpg      │   ├── A/1.jpg    │   ├── train/1.jpg
  │   └── 2.jpg  A|B     │   └── 2.jpg      │   └── B/1.png    │   └── val/7.jpg
  └── val/               ├── trainB/        └── val/           └── B/
      └── 7.jpg  A|B     │   ├── 1.png          ├── A/7.jpg        ├── train/1.png
                         │   └── 2.png          └── B/7.png        └── val/7.png
  A is the left half     ├── valA/
  of each image, B       └── valB/
  is the right half

Exactly two folders of any names are A and B too, in the order of their names."""


Roots = tuple[tuple[str, ...], tuple[str, ...]]
"""The folders of several inputs within that of A, and of B; empty where there is one."""

NO_ROOTS: Roots = ((), ())

# What a layout is called, and its folders: one where pairs are side by side, else A's and B's.
Layout = tuple[str, tuple[Path, ...]]


@dataclass(frozen=True)
class PairedFolder:
    """The pairs of one split, in natural order, and the images that have no partner."""

    layout: str  # as a person would write it: "trainA + trainB"
    pairs: Sequence[PairFiles]
    orphans_a: Sequence[Path] = ()
    orphans_b: Sequence[Path] = ()
    names: tuple[str, str] = ("A", "B")  # of the two folders, where they have names of their own


def has_split(root: Path, split: str) -> bool:
    """Say whether `find_pairs` would find a layout for `split` under `root`."""
    return bool(_layouts_found(root, split))


def find_pairs(
    root: Path, split: str, *, drop_orphans: bool = False, roots: Roots = NO_ROOTS
) -> PairedFolder:
    """Find the pairs of a split ("train", "val" or "test") under `root`, whatever the layout.

    For "val" the folders to test with are taken where there are none to validate with. With
    `roots`, a side is several images of each scene, in such folders within that of the side.

    Raises:
        DataError: `root` is not there or holds no known layout, or several; two files claim the
            same name; images have no partner and `drop_orphans` is False; no pair is left.
    """
    require_folder(root)
    found = _layouts_found(root, split)
    if not found:
        raise DataError(
            f"No pairs for {split!r} in '{root}'.\n{LAYOUTS}\n\n"
            f"{_why_no_pairs(root)}{contents(root)}"
        )
    if len(found) > 1:
        names = " and ".join(layout for layout, _ in found)
        raise DataError(f"'{root}' holds pairs in more than one layout: {names}. Keep one of them.")
    return _paired(root, *found[0], roots, drop_orphans=drop_orphans)


def find_loose_pairs(
    root: Path, *, drop_orphans: bool = False, roots: Roots = NO_ROOTS
) -> PairedFolder:
    """Find the pairs of a data set without folders of splits: in A/ and B/, in two folders of any
    names, or side by side in the images themselves.

    Raises:
        DataError: as for `find_pairs`.
    """
    require_folder(root)
    found = _loose_sides(root)
    if not found and (images := list_images(root)) and aspect(images) >= SIDE_BY_SIDE:
        found = [("side by side", (root,))]
    if not found:
        raise DataError(f"No pairs in '{root}'.\n{LAYOUTS}\n\n{contents(root)}")
    return _paired(root, *found[0], roots, drop_orphans=drop_orphans)


def _paired(
    root: Path, layout: str, folders: tuple[Path, ...], roots: Roots, *, drop_orphans: bool
) -> PairedFolder:
    if len(folders) == 1:
        if any(roots):
            raise DataError(
                f"'{root}' ({layout}) has no folder of a side that could hold "
                f"{', '.join(roots[0] or roots[1])}: put A and B into folders of their own."
            )
        images = list_images(folders[0])
        stems(images)  # which must differ
        return PairedFolder(layout, Pairs(images, None))
    (a, at_a, lonely_a), (b, at_b, lonely_b) = map(_images_of, folders, roots)
    for side, found in zip(folders, (at_a, at_b), strict=True):
        if not found:
            raise DataError(nothing_here(side))
    names = [name for name in at_a if name in at_b]
    first, *more = (each.take([at_a[name] for name in names]) for each in a)
    second, *others = (each.take([at_b[name] for name in names]) for each in b)
    folder = PairedFolder(
        layout,
        Pairs(first, second, (*more, *others)),
        orphans_a=_others_of(a, at_a, at_b, lonely_a),
        orphans_b=_others_of(b, at_b, at_a, lonely_b),
        names=_own_names(folders),
    )
    orphans = (*folder.orphans_a, *folder.orphans_b)
    if not folder.pairs:
        raise DataError(
            f"No image in '{folders[0]}' ({len(at_a)}) has a partner of the same name in "
            f"'{folders[1]}' ({len(at_b)}): {next(iter(at_a))!r} was looked for there, "
            f"{next(iter(at_b))!r} here. Name partners alike, or choose a model for unpaired data "
            f"if these are no pairs.\n{_why_no_pairs(root)}".rstrip()
        )
    if orphans and not drop_orphans:
        raise DataError(
            f"Images in '{root}' ({layout}) without a partner of the same name on the other "
            f"side{' or among the inputs' * any(roots)} ({len(orphans)}):\n{first_few(orphans)}\n"
            "Add what is missing, or leave them out with --skip-bad."
        )
    return folder


def _images_of(
    side: Path, roots: tuple[str, ...]
) -> tuple[list[Paths], dict[str, int], tuple[Path, ...]]:
    """The files in the folder of a side, those of each of several inputs; their places by name; and
    those that lack one of several inputs.

    Raises:
        DataError: a folder of these is missing.
    """
    if not roots:
        images = list_images(side)
        return [images], stems(images), ()
    for root in roots:
        if not (side / root).is_dir():
            raise DataError(
                f"There is no folder {root!r} in '{side}', which holds the inputs "
                f"{', '.join(roots)}.{did_you_mean(root, folder_names(side))}"
            )
    found = matched(folders := [side / root for root in roots])
    columns = zip(folders, zip(*found.files.values(), strict=True), strict=False)
    return (
        [Paths.of(at, (path.relative_to(at).as_posix() for path in own)) for at, own in columns],
        {name: place for place, name in enumerate(found.files)},
        tuple(found.lonely),
    )


def _others_of(
    columns: Sequence[Paths],
    places: Mapping[str, int],
    other: Mapping[str, int],
    lonely: tuple[Path, ...],
) -> tuple[Path, ...]:
    """The files of a side whose names are not on the other."""
    alone = [place for name, place in places.items() if name not in other]
    return (*(column[place] for place in alone for column in columns), *lonely)


@dataclass(frozen=True)
class UnpairedFolders:
    """The images of the two domains in one split, each in natural order."""

    layout: str
    a: Sequence[Path]
    b: Sequence[Path]
    names: tuple[str, str] = ("A", "B")  # of the two folders, where they have names of their own


UNPAIRED_LAYOUTS = """\
Two kinds of images are found in any one of these layouts (testA, test/A, ... hold images to
validate with; instead of test also testing, eval, val, valid, validation, dev; in any case).
Sub-folders are allowed; names and numbers of images on the two sides need not match:

  root/               root/                root/
  ├── trainA/         ├── train/           ├── A/
  ├── trainB/         │   ├── A/           │   ├── train/
  ├── testA/          │   └── B/           │   └── test/
  └── testB/          └── test/            └── B/
                          ├── A/               ├── train/
                          └── B/               └── test/

Exactly two folders of any names are the two sides too. Two that lie apart are given one after the
other: i2i train Summer Winter (or as --dataroot and --dataroot-b)."""


def find_all_unpaired(root: Path, root_b: Path | None = None) -> UnpairedFolders:
    """Find all images of both domains, in whichever folders of splits they lie, or in none.

    Raises:
        DataError: as for `find_unpaired`.
    """
    for folder in (root, root_b) if root_b else (root,):
        require_folder(folder)
    layouts = [
        _lying_apart(root, root_b, split)
        if root_b
        else _two_sided(root, split) or _two_of_any_name(root, split)
        for split in SPLITS
    ]
    found = [layout[0] for layout in layouts if layout] or _loose_sides(root)
    if not found:
        raise DataError(
            f"No two kinds of images in '{root}'.\n{UNPAIRED_LAYOUTS}\n\n{contents(root)}"
        )
    parts = [_unpaired(*layout) for layout in dict.fromkeys(found)]
    return UnpairedFolders(
        ", ".join(dict.fromkeys(part.layout for part in parts)),
        tuple(dict.fromkeys(path for part in parts for path in part.a)),
        tuple(dict.fromkeys(path for part in parts for path in part.b)),
        parts[0].names,
    )


def find_unpaired(
    root: Path, split: str, root_b: Path | None = None, *, any_names: bool = True
) -> UnpairedFolders | None:
    """Find the images of both domains in a split ("train", "val" or "test").

    With `root_b`, `root` is the folder of domain A and `root_b` that of B: each holds a folder
    named after the split or, for "train", the images themselves.

    Arguments:
        root, split, root_b: where to look for what.
        any_names: whether exactly two folders that are named otherwise are the two sides.

    Returns:
        None if there is no such split, unless it is "train".

    Raises:
        DataError: there is no known layout, or several; a side has no images; or the same files
            are on both sides.
    """
    require_folder(root)
    if root_b is not None:
        require_folder(root_b)
        found = _lying_apart(root, root_b, split)
    else:
        found = _two_sided(root, split)
        if not found and any_names:
            found = _two_of_any_name(root, split)
    if not found and split != "train":
        return None
    if not found:
        raise DataError(
            f"No two kinds of images for {split!r} in '{root}'.\n{UNPAIRED_LAYOUTS}\n\n"
            f"{contents(root)}"
        )
    if len(found) > 1:
        layouts = " and ".join(layout for layout, _ in found)
        raise DataError(f"'{root}' holds images in more than one layout: {layouts}. Keep one.")
    return _unpaired(*found[0])


def _unpaired(layout: str, folders: tuple[Path, ...]) -> UnpairedFolders:
    a, b = (list_images(folder) for folder in folders)
    for images, folder in zip((a, b), folders, strict=True):
        if not images:
            raise DataError(nothing_here(folder))
    _refuse_common(folders, a, b)
    return UnpairedFolders(layout, a, b, _own_names(folders))


def _own_names(folders: Iterable[Path]) -> tuple[str, str]:
    """What the folders of two sides are called, if these are names of their own."""
    a, b = (
        folder.parent.name if split_of(folder.name) else folder.name
        for folder in map(Path.absolute, folders)
    )
    own = not any(len(name) == 1 or side_of(name) or split_of(name) for name in (a, b))
    return (a, b) if own else ("A", "B")


def _lying_apart(root: Path, root_b: Path, split: str) -> list[Layout]:
    a, b = split_folders(root, split), split_folders(root_b, split)
    for first in a:
        for second in b:
            if split_of(first.name) == split_of(second.name):
                return [(f"{first.name} of both folders", (first, second))]
    if split != "train":
        return []
    for folder in (root, root_b):
        splits = [path.name for path in data_folders(folder) if split_of(path.name)]
        if splits:
            raise DataError(
                f"'{folder}' holds {', '.join(splits)}, but not both folders have train/: "
                "give them the same layout, or name the folders of the images themselves."
            )
    return [("two folders", (root, root_b))]


def _refuse_common(folders: Sequence[Path], a: Sequence[Path], b: Sequence[Path]) -> None:
    """Raise DataError if a file is on both sides, by whatever path."""
    there = {_real(path) for path in map(str, a)}
    common = [path for path in b if _real(str(path)) in there]
    if common:
        raise DataError(
            f"{len(common)} of the {len(b)} images in '{folders[1]}' (B) are in '{folders[0]}' "
            f"(A) as well, such as '{common[0]}': name two folders of which neither holds the "
            "other."
        )


def _real(file: str) -> str:
    """The path of a file without links. Most files lie in few folders and are none themselves."""
    folder, name = os.path.split(file)
    return os.path.realpath(file) if os.path.islink(file) else f"{_real_folder(folder)}/{name}"  # noqa: PTH114


_real_folder = lru_cache(maxsize=1024)(os.path.realpath)


@dataclass(frozen=True)
class DomainFolders:
    """The images of each domain in one split, in natural order."""

    layout: str
    images: dict[str, Sequence[Path]]  # domain -> its images
    notes: tuple[str, ...] = ()  # what does not go together with the domains that are wanted


DOMAIN_LAYOUTS = """\
Domains are the names of folders, in either of these layouts (test/day, ... hold images to
validate with; instead of test also testing, eval, val, valid, validation, dev; in any case).
Sub-folders of a domain belong to it:

  root/                   root/
  ├── train/              ├── day/
  │   ├── day/            ├── night/
  │   ├── night/          └── winter/
  │   └── winter/
  └── test/               (a tenth is held out to validate with)
      ├── day/
      └── ...

Images with a table of attributes need no such folders: name it with --set data.table=FILE."""


def find_domains(root: Path, split: str, names: Sequence[str] = ()) -> DomainFolders | None:
    """Find the images of each domain in a split ("train", "val" or "test").

    Arguments:
        root: the data set.
        split: which; for "val" the folder to test with where there is none to validate with.
        names: the domains wanted, in this order; by default all, in natural order.

    Returns:
        None if there is no such split (unless it is "train"), which need not have all of the
        domains.

    Raises:
        DataError: there are no two domains, one that is wanted is not there, or one has no image.
    """
    require_folder(root)
    learnt = next((folder for folder in split_folders(root, "train") if folder_names(folder)), None)
    if split != "train":
        held = next(
            (each for each in split_folders(root, split) if set(names) & set(folder_names(each))),
            None,
        )
        if held is None or learnt is None:
            return None
        found: dict[str, Sequence[Path]] = {
            name: list_images(held / name) for name in names if (held / name).is_dir()
        }
        return DomainFolders(
            f"{held.name}/<domain>", found, _others(names, folder_names(held), held)
        )
    parent = learnt or root
    there = folder_names(parent)
    if parent == root and (len(there) < 2 or any(map(split_of, there)) or named_like_splits(there)):
        raise DataError(f"No domains in '{root}'.\n{DOMAIN_LAYOUTS}\n\n{contents(root)}")
    for name in names:
        if name not in there:
            raise DataError(
                f"There is no folder of the domain {name!r} in '{parent}'."
                f"{did_you_mean(name, there)} There are: {', '.join(there)}."
            )
    images: dict[str, Sequence[Path]] = {n: list_images(parent / n) for n in names or there}
    for name, found_there in images.items():
        if not found_there:
            raise DataError(
                f"{nothing_here(parent / name)[:-1]}: fill or remove this folder, or choose the "
                "domains with --set data.domains=[...]."
            )
    layout = f"{parent.name}/<domain>" if parent != root else "<domain>"
    return DomainFolders(layout, images, _others(names, there, parent))


def find_all_domains(root: Path, names: Sequence[str] = ()) -> DomainFolders:
    """Find all images of each domain, in whichever folders of splits they lie, or in none.

    Raises:
        DataError: as for `find_domains`.
    """
    first = find_domains(root, "train", names)
    assert first is not None
    domains = list(first.images)
    others = [find_domains(root, split, domains) for split in ("val", "test")]
    parts = [first, *(part for part in others if part)]
    return DomainFolders(
        ", ".join(dict.fromkeys(part.layout for part in parts)),
        {
            name: tuple(dict.fromkeys(p for part in parts for p in part.images.get(name, ())))
            for name in domains
        },
        tuple(dict.fromkeys(note for part in parts for note in part.notes)),
    )


def named_like_splits(names: Iterable[str]) -> bool:
    """Say whether folders are probably splits under other names: train2017 beside val2017."""
    meant = {like_a_split(name) for name in names}
    return "train" in meant and bool(meant & {"val", "test"})


def first_alike(names: Iterable[str]) -> tuple[str, str] | None:
    """Return the first two names that differ in case, spaces, _ and - alone: "Happy face" and
    "happy_face"."""
    seen: dict[str, str] = {}
    for name in names:
        words = re.sub(r"[\s_-]+", " ", name.strip().casefold())
        if (other := seen.setdefault(words, name)) != name:
            return other, name
    return None


def _others(wanted: Sequence[str], there: Sequence[str], parent: Path) -> tuple[str, ...]:
    """What does not go together: folders that are none of the domains, and domains without one."""
    notes = []
    if alike := first_alike(there):
        notes.append(
            f"{alike[0]} and {alike[1]} in '{parent}' differ in case, spaces, _ and - alone"
        )
    if not wanted:
        return tuple(notes)
    extra = [name for name in there if name not in wanted]
    missing = [name for name in wanted if name not in there]
    if extra:
        notes.append(f"{first_words(extra)} in '{parent}': not among the domains, left out")
    if missing:
        notes.append(f"{first_words(missing)}: no folder in '{parent}'")
    return tuple(notes)


def first_few(items: Iterable[object], limit: int = 10) -> str:
    """Return the first few items, one to a line, and how many more there are."""
    items = list(items)
    lines = [f"  {item}" for item in items[:limit]]
    if len(items) > limit:
        lines.append(f"  ... and {len(items) - limit} more")
    return "\n".join(lines)


def lonely_sides(root: Path) -> list[str]:
    """Return what is not used: what has one side only, "testA without testB", and images beside two
    folders of any names."""
    folders = data_folders(root)
    nested = [path for folder in folders if split_of(folder.name) for path in data_folders(folder)]
    sides: dict[tuple[Path, str], dict[str, Path]] = {}
    for path in folders:
        if found := side_of(path.name):
            sides.setdefault((root, found[0]), {})[found[1]] = path
    for path in nested:
        if path.name.upper() in ("A", "B"):
            split = split_of(path.parent.name) or ""
            sides.setdefault((path.parent, split), {})[path.name.upper()] = path
    return [
        f"{path.relative_to(root).as_posix()} without a folder of {'AB'['BA'.index(side)]}"
        for (_, split), found in sides.items()
        if len(found) == 1 and split != "train"
        for side, path in found.items()
    ] + _beside_two(root)


def _beside_two(root: Path) -> list[str]:
    """The images beside two folders of any names, in words."""
    lines = []
    for _, sides in [] if _two_sided(root, "train") else _two_of_any_name(root, "train"):
        for parent in dict.fromkeys((root, sides[0].parent)):
            images = [path.name for path in _images_directly_in(parent)]
            if parent not in sides and images:
                more = f" and {len(images) - 1} more" if len(images) > 1 else ""
                lines.append(f"{images[0]}{more} beside the folders in '{parent}'")
    return lines


def _layouts_found(root: Path, split: str) -> list[Layout]:
    for wanted in ("val", "test") if split == "val" else (split,):
        if found := [*_two_sided(root, wanted), *_side_by_side(root, wanted)]:
            return found
    return _two_of_any_name(root, split)


def _two_sided(root: Path, split: str) -> list[Layout]:
    """The layouts of A and B in a split; those to test with where there is nothing for "val"."""
    for wanted in ("val", "test") if split == "val" else (split,):
        if found := [*_sides_of(root, wanted)]:
            return found
    return []


def _sides_of(root: Path, split: str) -> Iterator[Layout]:
    folders = data_folders(root)
    joined = {
        found[1]: path for path in folders if (found := side_of(path.name)) and found[0] == split
    }
    if len(joined) == 2:
        a, b = joined["A"], joined["B"]
        yield f"{a.name} + {b.name}", (a, b)
    for parent in (path for path in folders if split_of(path.name) == split):
        inner = {path.name.upper(): path for path in data_folders(parent)}
        if "A" in inner and "B" in inner:
            a, b = inner["A"], inner["B"]
            yield f"{parent.name}/{a.name} + {parent.name}/{b.name}", (a, b)
    outer = {path.name.upper(): path for path in folders}
    if "A" in outer and "B" in outer:
        for a in data_folders(outer["A"]):
            for b in data_folders(outer["B"]):
                if split_of(a.name) == split_of(b.name) == split:
                    yield (
                        f"{a.parent.name}/{a.name} + {b.parent.name}/{b.name}",
                        (a, b),
                    )


def _loose_sides(root: Path) -> list[Layout]:
    """The two sides of a data set without folders of splits."""
    sides = {path.name.upper(): path for path in data_folders(root)}
    if "A" in sides and "B" in sides:
        return [(f"{sides['A'].name} + {sides['B'].name}", (sides["A"], sides["B"]))]
    return _two_of_any_name(root, "train")


def _two_of_any_name(root: Path, split: str) -> list[Layout]:
    """Exactly two folders with images, in the folder of a split, or in the root: there, those of
    the split in each of them, or all that is in them to train on."""
    parents = split_folders(root, split)
    if not any(split_of(path.name) for path in data_folders(root)):
        parents = [*parents, root]
    for parent in parents:
        # What holds no image (notes, say) is no side.
        names = [name for name in folder_names(parent) if any_image(parent / name)]
        if (
            len(names) == 2
            and not named_like_splits(names)
            and not any(split_of(name) or side_of(name) for name in names)
        ):
            sides = parent / names[0], parent / names[1]
            if parent == root and any(
                split_of(p.name) for side in sides for p in data_folders(side)
            ):
                return _splits_in_both(*sides, split)
            if parent == root and split != "train":
                return []
            before = "" if parent == root else f"{parent.name}/"
            letters = [
                "" if name.upper() == letter else f" ({letter})"
                for name, letter in zip(names, "AB", strict=True)
            ]
            layout = " + ".join(
                f"{before}{n}{said}" for n, said in zip(names, letters, strict=True)
            )
            return [(layout, sides)]
    return []


def _splits_in_both(side_a: Path, side_b: Path, split: str) -> list[Layout]:
    """The folder of a split in each of two sides of any name."""
    for a in split_folders(side_a, split):
        for b in split_folders(side_b, split):
            if split_of(a.name) == split_of(b.name):
                names = f"{side_a.name}/{a.name} (A) + {side_b.name}/{b.name} (B)"
                return [(names, (a, b))]
    return []


def _side_by_side(root: Path, split: str) -> Iterator[Layout]:
    for both in (path for path in data_folders(root) if split_of(path.name) == split):
        # Neither one half of train/A + train/B nor folders of domains must be mistaken for images
        # that are pairs by themselves.
        inner = folder_names(both)
        if {name.upper() for name in inner} & {"A", "B"}:
            continue
        images = list_images(both)
        domains = len(inner) > 1 and 2 * len(_images_directly_in(both)) < len(images)
        if images and not (domains and aspect(images) < SIDE_BY_SIDE):
            yield f"{both.name}, side by side", (both,)


def aspect(paths: Sequence[Path]) -> float:
    """The median of width over height of some images, by the heads of 30 files; 0 without any."""
    shapes = []
    for path in paths[:: max(1, len(paths) // 30)]:
        # Decoders raise anything.
        with contextlib.suppress(Exception), path.open("rb") as file, open_file(file) as image:
            shapes.append(image.width / image.height)
    return median(shapes) if shapes else 0.0


def same_sizes(pairs: Sequence[PairFiles]) -> bool:
    """Whether the two images of each of 30 pairs have one size, by the heads of their files."""
    for pair in pairs[:: max(1, len(pairs) // 30)]:
        with contextlib.suppress(Exception):  # decoders raise anything
            sizes = set()
            for path in pair.files:
                with open_file(path) as image:
                    sizes.add(image.size)
            if len(sizes) > 1:
                return False
    return True


def _why_no_pairs(root: Path) -> str:
    """Say what is missing for folders to be taken for pairs, where there are any."""
    lines = []
    for parent in split_folders(root, "train"):
        names = folder_names(parent)
        if len(names) > 1 and (images := list_images(parent)):
            lines.append(
                f"The images in the folders {first_words(names)} of '{parent}' are "
                f"{aspect(images):.2f} times as wide as they are high: two side by side would be "
                f"at least {SIDE_BY_SIDE:g} times as wide.\n"
            )
    return "".join(lines)


def first_words(names: Sequence[str], limit: int = 5) -> str:
    """Return a few names in a line, and how many more there are."""
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(names[:limit]) + more


def same_names(one: Iterable[Path], other: Iterable[Path]) -> int:
    """How many images of two folders have the same name, whatever the suffix."""
    return len({path.stem for path in one} & {path.stem for path in other})


def _images_directly_in(folder: Path) -> list[Path]:
    return [path for path in sorted(folder.iterdir()) if is_image(path.name) and path.is_file()]


def folder_names(parent: Path) -> list[str]:
    """The names of the folders in another, in natural order; it need not exist."""
    return sorted((path.name for path in data_folders(parent)), key=natural_key)


def contents(root: Path) -> str:
    """Say what a folder holds, for somebody who expected something else there."""
    entries = [path for path in sorted(root.iterdir()) if path.name[0] != "."]
    if not entries:
        return f"'{root}' is empty."
    names = [path.name + "/" * path.is_dir() for path in entries]
    hint = ""
    inside = data_folders(root)
    if split_of(root.name):
        hint = f"\nIs '{root.parent}' the root that you mean?"
    elif len(inside) == 1 and any(
        split_of(path.name) or side_of(path.name) for path in data_folders(inside[0])
    ):
        hint = f"\nIs '{inside[0]}' the root that you mean?"
    return f"'{root}' holds:\n{first_few(names)}{hint}"
