"""Files that belong together by their names, in several folders."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import overload

from i2i.data.images.paths import Integers, Paths, take
from i2i.data.images.read import list_images
from i2i.errors import DataError


@dataclass(frozen=True)
class PairFiles:
    """The files of one pair: two images, or one with A on its left and B on its right half."""

    a: Path
    b: Path | None  # None: side by side in `a`
    name: str  # relative to the folder of its side, without suffix: "night/0012"
    beside: tuple[Path, ...] = ()  # the other inputs, where there are several of each scene

    @property
    def files(self) -> tuple[Path, ...]:
        return tuple(path for path in (self.a, self.b, *self.beside) if path is not None)


class Pairs(Sequence[PairFiles]):
    """Pairs of files, each of which is made when it is asked for.

    Arguments:
        a, b, beside: as in `PairFiles`, those of all pairs; `b` is None where `a` holds both.
    """

    def __init__(self, a: Paths, b: Paths | None, beside: tuple[Sequence[Path], ...] = ()) -> None:
        self.a = a
        self.b = b
        self.beside = beside

    @property
    def columns(self) -> tuple[Sequence[Path], ...]:
        """The files of all pairs, in the order of `PairFiles.files`."""
        return (self.a, *(() if self.b is None else (self.b,)), *self.beside)

    def __len__(self) -> int:
        return len(self.a)

    def take(self, places: Sequence[int] | Integers) -> "Pairs":
        """The pairs at these places."""
        beside = tuple(take(each, places) for each in self.beside)
        return Pairs(self.a.take(places), self.b and self.b.take(places), beside)

    def names(self) -> Iterator[str]:
        """The names of all pairs."""
        return map(_stem, self.a.names())

    @overload
    def __getitem__(self, place: int) -> PairFiles: ...
    @overload
    def __getitem__(self, place: slice) -> "Pairs": ...
    def __getitem__(self, place: int | slice) -> "PairFiles | Pairs":
        if isinstance(place, slice):
            return self.take(range(len(self))[place])
        return PairFiles(
            self.a[place],
            None if self.b is None else self.b[place],
            _stem(self.a.name(place)),
            tuple(each[place] for each in self.beside),
        )

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequence) or isinstance(other, str):
            return NotImplemented
        return len(self) == len(other) and all(a == b for a, b in zip(self, other, strict=True))

    def __hash__(self) -> int:
        return hash(self.a)


@dataclass(frozen=True)
class Matched:
    """What lies in several folders.

    Attributes:
        files: name without suffix, relative to the folder -> the file of it in each folder.
        lonely: files that are not in all folders -> why they are of no use, in words.
    """

    files: dict[str, tuple[Path, ...]] = field(default_factory=dict)
    lonely: dict[Path, str] = field(default_factory=dict)


def matched(folders: Sequence[Path]) -> Matched:
    """Match the images in folders by their names, in the natural order of the first.

    Raises:
        DataError: a folder is not there, or two files in it have the same name.
    """
    found = [by_name(folder) for folder in folders]
    names = dict.fromkeys(name for each in found for name in each)
    files: dict[str, tuple[Path, ...]] = {}
    lonely: dict[Path, str] = {}
    for name in names:
        where = [each.get(name) for each in found]
        there = tuple(path for path in where if path is not None)
        if len(there) == len(folders):
            files[name] = there
            continue
        missing = folders[where.index(None)]
        lonely |= dict.fromkeys(there, f"it has no partner of the name {name!r} in '{missing}'")
    return Matched(files, lonely)


def by_name(folder: Path) -> dict[str, Path]:
    """The images in a folder by their names without suffix, relative to it.

    Raises:
        DataError: it is not there, or two files in it have the same name.
    """
    images = list_images(folder)
    return dict(zip(stems(images), images, strict=True))


def stems(images: Paths) -> dict[str, int]:
    """The places of some images by their names without suffix, relative to their folder.

    Raises:
        DataError: two of them have the same name.
    """
    names = [_stem(name) for name in images.names()]
    named = dict(zip(names, range(len(names)), strict=True))
    if len(named) < len(names):
        again = next(place for place, name in enumerate(names) if named[name] != place)
        first, second = images[again], images[names.index(names[again], again + 1)]
        raise DataError(
            f"'{first}' and '{second}' have the same name, so that their partner is unclear. "
            "Remove or rename one of them."
        )
    return named


def _stem(name: str) -> str:
    return name.rpartition(".")[0]  # names of images have an ending
