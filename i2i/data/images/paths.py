"""The files of a data set as text: a `Path` takes 400 bytes, its name 20."""

import os
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice
from pathlib import Path
from typing import Any, TypeVar, overload

import numpy as np
import numpy.typing as npt

T = TypeVar("T")

Integers = npt.NDArray[np.int64]

BLOCK = 2**14
"""Names that are handled at a time where very many are: one by one takes several times as long, all
at once the memory."""

_CODE = "utf-8", "surrogatepass"  # which takes whatever a system makes of a name


class Paths(Sequence[Path]):
    """Files below a folder, in an order. Each `Path` is made when it is asked for.

    Use `Paths.of`.
    """

    def __init__(self, root: Path, text: bytes, begins: Integers) -> None:
        self.root = root
        self._text = text  # names, each with an end
        self._begins = begins  # where each begins, and the end of all

    @classmethod
    def of(cls, root: Path, names: Iterable[str]) -> "Paths":
        """Those of these names, relative to a folder, with `/` between folders."""
        text = b"".join("\0".join([*some, ""]).encode(*_CODE) for some in in_blocks(names))
        ends = np.flatnonzero(np.frombuffer(text, np.uint8) == 0) + 1
        return cls(root, text, np.concatenate([[0], ends]))

    def __len__(self) -> int:
        return len(self._begins) - 1

    def name(self, place: int) -> str:
        """The name of a file, relative to the root."""
        at = range(len(self))[place]
        return self._text[self._begins[at] : self._begins[at + 1] - 1].decode(*_CODE)

    def names(self) -> Iterator[str]:
        """All names, relative to the root."""
        for first in range(0, len(self), BLOCK):
            last = min(first + BLOCK, len(self))
            text = self._text[self._begins[first] : self._begins[last] - 1]
            yield from text.decode(*_CODE).split("\0")

    def take(self, places: Sequence[int] | Integers) -> "Paths":
        """The files at these places."""
        places = np.asarray(places, dtype=np.int64)
        froms, lengths = self._begins[:-1][places], np.diff(self._begins)[places]
        begins = np.concatenate([[0], np.cumsum(lengths)])
        letters = np.frombuffer(self._text, np.uint8)
        text = []
        for first in range(0, len(places), BLOCK):
            some = slice(first, first + BLOCK)
            moved = np.repeat(froms[some] - begins[:-1][some], lengths[some])
            moved += np.arange(begins[first], begins[first] + len(moved))
            text.append(letters[moved].tobytes())
        return Paths(self.root, b"".join(text), begins)

    def below(self, root: Path) -> "Paths":
        """The same files by their names relative to a folder above."""
        if root == self.root:
            return self
        prefix = self.root.relative_to(root).as_posix() + "/"
        return Paths.of(root, map(prefix.__add__, self.names()))

    @overload
    def __getitem__(self, place: int) -> Path: ...
    @overload
    def __getitem__(self, place: slice) -> "Paths": ...
    def __getitem__(self, place: int | slice) -> "Path | Paths":
        if isinstance(place, slice):
            return self.take(np.arange(len(self))[place])
        return self.root / self.name(place)

    def __iter__(self) -> Iterator[Path]:
        root = self.root
        return (root / name for name in self.names())

    def __add__(self, other: Sequence[Path]) -> tuple[Path, ...]:
        return (*self, *other)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequence) or isinstance(other, str):
            return NotImplemented
        return len(self) == len(other) and all(a == b for a, b in zip(self, other, strict=True))

    def __hash__(self) -> int:
        return hash((self.root, len(self)))

    def __repr__(self) -> str:
        return f"Paths({self.root}, {len(self)} files)"


def in_blocks(items: Iterable[T]) -> Iterator[list[T]]:
    """Items in lists of `BLOCK`, of which the last may have fewer."""
    rest = iter(items)
    while some := list(islice(rest, BLOCK)):
        yield some


def take(items: Sequence[T], places: Sequence[int] | Integers) -> Sequence[T]:
    """The items at these places, kept as they are kept now."""
    if (own := getattr(items, "take", None)) is not None:
        chosen: Sequence[T] = own(places)
        return chosen
    return [items[place] for place in places]


def chained(parts: Iterable[Sequence[Path]]) -> Sequence[Path]:
    """The files of one part after those of another."""
    parts = [part for part in parts if len(part)]
    files = [part for part in parts if isinstance(part, Paths)]
    if not parts or len(files) < len(parts):
        return tuple(path for part in parts for path in part)
    if len(files) == 1:
        return files[0]
    root = type(files[0].root)(os.path.commonpath([part.root for part in files]))
    if not all(part.root.is_relative_to(root) for part in files):
        return tuple(path for part in parts for path in part)
    return Paths.of(root, (name for part in files for name in part.below(root).names()))


class Turns(Sequence[Any]):
    """The first of each of some sequences of one length, then the second of each, and so on."""

    def __init__(self, columns: Sequence[Sequence[Any]]) -> None:
        self.columns = columns

    def __len__(self) -> int:
        return len(self.columns) * len(self.columns[0])

    def __getitem__(self, place: Any) -> Any:
        if isinstance(place, slice):
            return [self[each] for each in range(len(self))[place]]
        place = range(len(self))[place]
        row, column = divmod(place, len(self.columns))
        return self.columns[column][row]

    def __iter__(self) -> Iterator[Any]:
        return chain.from_iterable(zip(*self.columns, strict=True))
