"""Tables that say of pictures which attributes they have.

Two notations are read. CSV: a header with any word for the file and the names of the attributes,
then a line for each picture; separated by commas, semicolons or tabs. And that of CelebA's
`list_attr_celeba.txt`: the number of pictures, the names of the attributes, then a line for each
picture; separated by spaces. Values are 1, or 0 or -1 for what does not hold.
"""

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from i2i.data.folders import split_folders
from i2i.data.layouts import first_few
from i2i.data.reading import PICTURE_SUFFIXES, list_pictures
from i2i.errors import DataError, did_you_mean

Values = tuple[bool, ...]

_VALUES = {"1": True, "0": False, "-1": False, "+1": True}


@dataclass(frozen=True)
class AttributeTable:
    """Some columns of a table.

    `rows` maps each file, without its suffix and with "/" between folders, to its values in the
    order of `names`.
    """

    path: Path
    names: tuple[str, ...]
    rows: dict[str, Values]

    def key(self, picture: Path) -> str | None:
        """Return the row of a picture, or None: as much of its path as the table gives must fit.

        The suffix may differ, as for pictures that were converted.
        """
        parts = picture.with_suffix("").parts
        tails = ("/".join(parts[at:]) for at in range(len(parts)))
        return next((tail for tail in tails if tail in self.rows), None)


@dataclass(frozen=True)
class AttributedFolder:
    """The pictures under a folder that a table knows, with their values, in natural order.

    `validation` is None where there is no such split; `unseen` rows of the table have no picture.
    """

    layout: str
    train: dict[Path, Values]
    validation: dict[Path, Values] | None
    unseen: int
    unlisted: tuple[Path, ...]
    test: tuple[Path, ...] = ()


def read_table(path: Path, names: Sequence[str] = ()) -> AttributeTable:
    """Read a table of attributes.

    Arguments:
        path: of the file, in UTF-8.
        names: the attributes wanted, in this order; by default all.

    Raises:
        DataError: the file cannot be read, has no such attribute, or has a line that is not as
            expected, which is named.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            return _parse(path, file, names)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise DataError(f"The table '{path}' cannot be read: {why}.") from error


def find_attributed(
    root: Path, table: AttributeTable, *, drop_unlisted: bool = False
) -> AttributedFolder:
    """Find the pictures under `root` that a table lists.

    With a folder to train on and one to validate with in `root` (`i2i.data.folders.SPLITS`), the
    pictures in these are taken; otherwise all pictures are there to train on. Rows without a
    picture are counted, no more.

    Raises:
        DataError: no picture is listed; a picture is not and `drop_unlisted` is False; or two
            pictures fit the same row.
    """
    learnt = next(iter(split_folders(root, "train")), None)
    held = next(iter(split_folders(root, "val")), None) if learnt else None
    if learnt is None and (lone := split_folders(root, "val")):
        raise DataError(
            f"'{root}' holds '{lone[0].name}', but no folder 'train', so that what is to be held out "
            "would be trained on: name the folder to train on 'train'."
        )
    tested = next((each for each in split_folders(root, "test") if each != held), None)
    train = _listed(learnt if learnt and held else root, table)
    validation = _listed(held, table) if held else {}
    test = _listed(tested, table) if held and tested else {}

    both = train | validation | test
    owners: dict[str, Path] = {}
    for picture, key in both.items():
        if key is not None and owners.setdefault(key, picture) != picture:
            raise DataError(
                f"'{owners[key]}' and '{picture}' both fit the row {key!r} of '{table.path}': "
                "rename one of them, or write more of their paths into the table."
            )
    unlisted = tuple(picture for picture, key in both.items() if key is None)
    if not owners:
        example = next(iter(table.rows))
        raise DataError(
            f"None of the {len(both)} pictures in '{root}' is listed in '{table.path}', which has "
            f"{len(table.rows)} rows (the first is {example!r})."
        )
    if unlisted and not drop_unlisted:
        raise DataError(
            f"Pictures in '{root}' without a row in '{table.path}' ({len(unlisted)} of "
            f"{len(both)}):\n{first_few(unlisted)}\n"
            "Add what is missing, or leave them out with --skip-bad."
        )

    def values(pictures: dict[Path, str | None]) -> dict[Path, Values]:
        return {path: table.rows[key] for path, key in pictures.items() if key is not None}

    return AttributedFolder(
        layout=f"{table.path.name}, {learnt.name} + {held.name}"
        if learnt and held
        else table.path.name,
        train=values(train),
        validation=values(validation) if held else None,
        test=tuple(values(test)),
        unseen=len(table.rows) - len(owners),
        unlisted=unlisted,
    )


def _listed(folder: Path, table: AttributeTable) -> dict[Path, str | None]:
    return {picture: table.key(picture) for picture in list_pictures(folder)}


def _parse(path: Path, lines: Iterator[str], wanted: Sequence[str]) -> AttributeTable:
    first = next(lines, "").rstrip("\r\n")
    if first.strip().isascii() and first.strip().isdecimal():
        announced, header_line = int(first), 2
        header = next(lines, "").split()
        rows: Iterator[list[str]] = (line.split() for line in lines)
    else:
        announced, header_line = None, 1
        delimiter = max(",;\t", key=first.count)
        header = next(csv.reader([first], delimiter=delimiter))[1:]
        rows = csv.reader(lines, delimiter=delimiter)
    header = [name.strip() for name in header]
    if not header or not all(header) or len(set(header)) < len(header):
        raise DataError(
            f"'{path}', line {header_line}: expected the names of attributes, each once: "
            f"{', '.join(header) or 'there are none'}. A table begins with such a header (CSV: "
            "file,attribute,attribute) or with the number of its pictures (CelebA)."
        )
    for name in wanted:
        if name not in header:
            raise DataError(
                f"'{path}' has no attribute {name!r}.{did_you_mean(name, header)} "
                f"It has: {', '.join(header)}."
            )
    names = tuple(wanted) or tuple(header)
    columns = [header.index(name) for name in names]
    found: dict[str, Values] = {}
    seen: dict[str, int] = {}
    for number, row in enumerate(rows, header_line + 1):
        if not any(cell.strip() for cell in row):
            continue
        if len(row) != len(header) + 1:
            raise DataError(
                f"'{path}', line {number}: expected a file and {len(header)} values, found "
                f"{len(row)} cells ({row[0]!r}, ...)."
            )
        key = _key(row[0])
        if key in seen:
            raise DataError(f"'{path}', line {number}: {row[0]!r} was in line {seen[key]} already.")
        seen[key] = number
        cells = [row[1 + column].strip() for column in columns]
        for name, cell in zip(names, cells, strict=True):
            if cell not in _VALUES:
                raise DataError(
                    f"'{path}', line {number}: {name} is {cell!r}: expected 1, or 0 or -1."
                )
        found[key] = tuple(_VALUES[cell] for cell in cells)
    if not found:
        raise DataError(f"'{path}' lists no picture.")
    if announced is not None and announced != len(found):
        raise DataError(
            f"'{path}' announces {announced} pictures, but lists {len(found)}: it is incomplete or "
            "was changed; mend its first line."
        )
    return AttributeTable(path, names, found)


def _key(file: str) -> str:
    path = PurePosixPath(file.strip().replace("\\", "/"))
    return str(path.with_suffix("") if path.suffix.lower() in PICTURE_SUFFIXES else path)
