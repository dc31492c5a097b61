"""A table that says which split and which group each image is of, in place of folders."""

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path, PurePath
from typing import NamedTuple

from i2i.data.images.tables import delimiter_of, key_of, keys_of, opened_table
from i2i.data.kinds.folders import SPLITS, split_of
from i2i.errors import DataError, did_you_mean


class Row(NamedTuple):
    """What a table says of an image: None where it says nothing."""

    split: str | None
    group: str | None


@dataclass(frozen=True)
class SplitTable:
    """A table of names: CSV with the column `name` and at least one of `split` and `group`.

    A name is as much of the path of an image as tells it from others, with or without the suffix.
    An image whose split is empty is left out. Capitals in the names of columns do not count.
    """

    path: Path
    rows: Mapping[str, Row]
    columns: frozenset[str]

    def key(self, image: PurePath) -> str | None:
        """The row of an image, or None: as much of its path as the table gives must fit."""
        return next((key for key in keys_of(image) if key in self.rows), None)


def read_split_table(path: Path) -> SplitTable:
    """Read a table of names, separated by commas, semicolons or tabs.

    Raises:
        DataError: it cannot be read, has no such columns, or has a line that is not as expected,
            which is named.
    """
    with opened_table(path) as file:
        head = file.readline()
        file.seek(0)
        delimiter = delimiter_of(head)
        lines = csv.DictReader(file, delimiter=delimiter, skipinitialspace=True)
        columns = [each.strip().lower() for each in lines.fieldnames or ()]
        lines.fieldnames = columns
        if "name" not in columns or not {"split", "group"} & {*columns}:
            raise DataError(
                f"'{path}' must have the columns name and split or group (or both), not: "
                f"{', '.join(columns) or 'nothing'}."
            )
        _refuse_misspelt(path, columns)
        rows: dict[str, Row] = {}
        for line in lines:
            key, row = _read_row(path, lines.line_num, line)
            if rows.setdefault(key, row) is not row:
                raise DataError(f"'{path}', line {lines.line_num}: {key!r} was there already.")
    if not rows:
        raise DataError(f"'{path}' lists no image.")
    return SplitTable(path, rows, frozenset(columns))


def _refuse_misspelt(path: Path, columns: Sequence[str]) -> None:
    """Raise DataError if a column is probably one that counts and is misspelt: without it, other
    images would be tested with."""
    for wanted in ("split", "group"):
        if wanted not in columns and (close := get_close_matches(wanted, columns, cutoff=0.8)):
            raise DataError(
                f"'{path}' has a column {close[0]!r} and none {wanted!r}: rename it to {wanted} if "
                "that is what it says, or else so that it cannot be mistaken."
            )


def _read_row(path: Path, number: int, line: Mapping[str, str | None]) -> tuple[str, Row]:
    name, split, group = ((line.get(each) or "").strip() for each in ("name", "split", "group"))
    if not name:
        raise DataError(f"'{path}', line {number}: there is no name.")
    if split and split_of(split) is None:
        known = [each for names in SPLITS.values() for each in names]
        raise DataError(
            f"'{path}', line {number}: split is {split!r}: expected train, val or test, or nothing "
            f"for an image that is left out.{did_you_mean(split, known)}"
        )
    return key_of(name), Row(split_of(split) if split else None, group or None)
