"""Tables that say of images which attributes they have.

Two notations are read. CSV: a header with any word for the file and the names of the attributes,
then a line for each image; separated by commas, semicolons or tabs. And that of CelebA's
`list_attr_celeba.txt`: the number of images, the names of the attributes, then a line for each
image; separated by spaces. Values are 1, or 0 or -1 for what does not hold; or as pandas writes
them, True and False, 1.0 and 0.0; or yes and no. A column of words ("emotion": anger, joy, ...)
stands for an attribute for each word, of which exactly one holds. A first column of row numbers, as
pandas writes it, is passed over.
"""

import csv
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path, PurePosixPath

from i2i.data.images.formats import image_suffixes
from i2i.data.images.read import list_images, natural_key
from i2i.data.images.tables import delimiter_of, key_of, keys_of, opened_table
from i2i.data.kinds.folders import split_folders
from i2i.data.kinds.layouts import first_alike, first_few
from i2i.errors import DataError, did_you_mean

Values = tuple[bool, ...]

_HOLDS = ("1", "+1", "1.0", "true", "yes")
_DOES_NOT = ("0", "-1", "0.0", "-1.0", "false", "no")
_VALUES = dict.fromkeys(_HOLDS, True) | dict.fromkeys(_DOES_NOT, False)
_ROW_NUMBERS = ("", "unnamed: 0", "index")  # what pandas calls them
_MOST_WORDS = 200  # of a column; more are no classes but texts


@dataclass(frozen=True)
class AttributeTable:
    """Some columns of a table.

    `rows` maps each file, without its suffix and with "/" between folders, to its values in the
    order of `names`; of each of the `groups` exactly one holds.
    """

    path: Path
    names: tuple[str, ...]
    rows: dict[str, Values]
    groups: tuple[tuple[str, ...], ...] = ()

    def key(self, image: Path) -> str | None:
        """Return the row of an image, or None: as much of its path as the table gives must fit.

        The suffix may differ, as for images that were converted.
        """
        return next((key for key in keys_of(image) if key in self.rows), None)


@dataclass(frozen=True)
class AttributedFolder:
    """The images under a folder that a table knows, with their values, in natural order.

    `validation` is None where there is no such split, and the same as `test` where those images
    validate for want of others; `unseen` rows of the table have no image.
    """

    layout: str
    train: dict[Path, Values]
    validation: dict[Path, Values] | None
    unseen: int
    unlisted: tuple[Path, ...]
    test: dict[Path, Values] = field(default_factory=dict)


def read_table(path: Path, names: Sequence[str] = ()) -> AttributeTable:
    """Read a table of attributes.

    Arguments:
        path: of the file, in UTF-8 or UTF-16.
        names: the attributes wanted, in this order; by default all.

    Raises:
        DataError: the file cannot be read, has no such attribute, or has a line that is not as
            expected, which is named.
    """
    with opened_table(path) as file:
        return _parse(path, file, names)


def find_attributed(
    root: Path, table: AttributeTable, *, drop_unlisted: bool = False
) -> AttributedFolder:
    """Find the images under `root` that a table lists.

    With a folder to train on and one to validate with in `root` (`i2i.data.kinds.folders.SPLITS`),
    the images in these are taken; otherwise all images are there to train on. Rows without an
    image are counted, no more.

    Raises:
        DataError: no image is listed; an image is not and `drop_unlisted` is False; or two
            images fit the same row.
    """
    learnt = next(iter(split_folders(root, "train")), None)
    held = next(iter(split_folders(root, "val")), None) if learnt else None
    if learnt is None and (lone := split_folders(root, "val")):
        raise DataError(
            f"'{root}' holds '{lone[0].name}', but no folder 'train', so that what is to be held "
            "out would be trained on: name the folder to train on 'train'."
        )
    tested = next(iter(split_folders(root, "test")), None)
    train = _listed(learnt if learnt and held else root, table)
    validation = _listed(held, table) if held else {}
    test = _listed(tested, table) if held and tested else {}

    both = train | validation | test
    owners: dict[str, Path] = {}
    for image, key in both.items():
        if key is not None and owners.setdefault(key, image) != image:
            raise DataError(
                f"'{owners[key]}' and '{image}' both fit the row {key!r} of '{table.path}': "
                "rename one of them, or write more of their paths into the table."
            )
    unlisted = tuple(image for image, key in both.items() if key is None)
    if not owners:
        example = next(iter(table.rows))
        raise DataError(
            f"None of the {len(both)} images in '{root}' is listed in '{table.path}', which has "
            f"{len(table.rows)} rows (the first is {example!r})."
        )
    if unlisted and not drop_unlisted:
        raise DataError(
            f"Images in '{root}' without a row in '{table.path}' ({len(unlisted)} of "
            f"{len(both)}):\n{first_few(unlisted)}\n"
            "Add what is missing, or leave them out with --skip-bad."
        )

    def values(images: dict[Path, str | None]) -> dict[Path, Values]:
        return {path: table.rows[key] for path, key in images.items() if key is not None}

    return AttributedFolder(
        layout=f"{table.path.name}, {learnt.name} + {held.name}"
        if learnt and held
        else table.path.name,
        train=values(train),
        validation=values(validation) if held else None,
        test=values(test),
        unseen=len(table.rows) - len(owners),
        unlisted=unlisted,
    )


def _listed(folder: Path, table: AttributeTable) -> dict[Path, str | None]:
    return {image: table.key(image) for image in list_images(folder)}


def _parse(path: Path, lines: Iterator[str], wanted: Sequence[str]) -> AttributeTable:
    first = next(lines, "").rstrip("\r\n")
    number = 1
    announced = None
    cells: Iterator[list[str]]
    if first.strip().isascii() and first.strip().isdecimal():
        announced, number = int(first), 2
        header = ["", *next(lines, "").split()]
        cells = (line.split() for line in lines)
    else:
        delimiter = delimiter_of(first)
        header = next(csv.reader([first], delimiter=delimiter), [])
        cells = csv.reader(lines, delimiter=delimiter)
        if header and _is_file(header[0]):
            header, cells = _without_header(path, header, cells)
            number = 0
    rows = (
        (at, row) for at, row in enumerate(cells, number + 1) if any(cell.strip() for cell in row)
    )
    header = [name.strip() for name in header]
    at, example = next(rows, (0, []))
    if (
        len(header) > 2
        and len(example) == len(header)
        and header[0].casefold() in _ROW_NUMBERS
        and example[0].strip().isdecimal()
        and example[1].strip().casefold() not in _VALUES
    ):
        file_column = 1
    else:
        file_column = 0
    columns = header[file_column + 1 :]
    if not columns or not all(columns) or len(set(columns)) < len(columns):
        raise DataError(
            f"'{path}', line {max(number, 1)}: expected the names of attributes, each once: "
            f"{', '.join(columns) or 'there are none'}. A table begins with such a header (CSV: "
            "file,attribute,attribute) or with the number of its images (CelebA)."
        )
    reader = _Rows(path, header, file_column, example)
    if example:
        reader.read(at, example)
    for at, row in rows:
        reader.read(at, row)
    table = reader.table(wanted)
    if announced is not None and announced != len(table.rows):
        raise DataError(
            f"'{path}' announces {announced} images, but lists {len(table.rows)}: it is "
            "incomplete or was changed; mend its first line."
        )
    return table


def _without_header(
    path: Path, first: list[str], rows: Iterator[list[str]]
) -> tuple[list[str], Iterator[list[str]]]:
    """Give a table of files and one word each a header; others cannot do without."""
    if len(first) == 2 and _is_word(first[1]):
        return ["file", "class"], chain([first], rows)
    raise DataError(
        f"'{path}', line 1: {', '.join(first)!r} is no header: write the names of the columns "
        "above it (file,attribute,attribute)."
    )


class _Rows:
    """Reads the rows of a table one by one: numbers that mean yes or no, and words."""

    def __init__(
        self, path: Path, header: Sequence[str], file_column: int, example: Sequence[str]
    ) -> None:
        self.path = path
        self.header = header
        self.file_column = file_column
        self.columns = range(file_column + 1, len(header))
        fits = len(example) == len(header)
        self.of_words = {column for column in self.columns if fits and _is_word(example[column])}
        self.words: dict[int, dict[str, int]] = {column: {} for column in self.of_words}
        self.found: dict[str, tuple[bool | int, ...]] = {}
        self.seen: dict[str, int] = {}

    def read(self, number: int, row: Sequence[str]) -> None:
        if len(row) != len(self.header):
            raise DataError(
                f"'{self.path}', line {number}: expected a file and {len(self.columns)} values, "
                f"found {len(row)} cells ({row[0]!r}, ...)."
            )
        file = row[self.file_column]
        key = key_of(file)
        if key in self.seen:
            raise DataError(
                f"'{self.path}', line {number}: {file!r} was in line {self.seen[key]} already."
            )
        self.seen[key] = number
        self.found[key] = tuple(self._value(number, at, row[at].strip()) for at in self.columns)

    def _value(self, number: int, column: int, cell: str) -> bool | int:
        where = f"'{self.path}', line {number}: {self.header[column]} is {cell!r}"
        if column in self.of_words:
            words = self.words[column]
            if not cell:
                raise DataError(f"{where}: expected a word, as in the lines before.")
            if cell not in words and len(words) == _MOST_WORDS:
                raise DataError(
                    f"{where}: this column has more than {_MOST_WORDS} different words, so that "
                    "they are no classes: choose others with data.attributes, or remove it."
                )
            return words.setdefault(cell, len(words))
        value = _VALUES.get(cell.casefold())
        if value is None:
            numbers = " (if it is the number of a class, write a word: class10)"
            raise DataError(
                f"{where}: expected 1, or 0 or -1{numbers if cell.isdecimal() else ''}."
            )
        return value

    def table(self, wanted: Sequence[str]) -> AttributeTable:
        if not self.found:
            raise DataError(f"'{self.path}' lists no image.")
        names: list[str] = []
        of: list[tuple[int, int | None]] = []  # the place of a value, and the word it must be
        groups = []
        for place, column in enumerate(self.columns):
            if column not in self.of_words:
                names.append(self.header[column])
                of.append((place, None))
                continue
            words = sorted(self.words[column], key=natural_key)
            self._refuse_alike(column, words)
            groups.append(tuple(words))
            names += words
            of += [(place, self.words[column][word]) for word in words]
        for name in names:
            if names.count(name) > 1:
                raise DataError(
                    f"'{self.path}' has {name!r} twice, as a word or the name of a column: rename "
                    "one of them."
                )
        for name in wanted:
            if name not in names:
                raise DataError(
                    f"'{self.path}' has no attribute {name!r}.{did_you_mean(name, names)} "
                    f"It has: {', '.join(names)}."
                )
        chosen = tuple(wanted) or tuple(names)
        if alike := first_alike(chosen):
            raise DataError(
                f"'{self.path}' has {alike[0]!r} and {alike[1]!r}, which differ in case, spaces, _ "
                "and - alone: rename one of them, or leave it out with data.attributes."
            )
        places = [of[names.index(name)] for name in chosen]
        return AttributeTable(
            self.path,
            chosen,
            {
                key: tuple(
                    bool(values[place]) if word is None else values[place] == word
                    for place, word in places
                )
                for key, values in self.found.items()
            },
            tuple(
                kept
                for group in groups
                if len(kept := tuple(word for word in group if word in chosen)) > 1
            ),
        )

    def _refuse_alike(self, column: int, words: Sequence[str]) -> None:
        if alike := first_alike(words):
            raise DataError(
                f"'{self.path}': {self.header[column]} is {alike[0]!r} here and {alike[1]!r} "
                "there, which differ in case, spaces, _ and - alone: write them alike."
            )
        if len(words) < 2:
            raise DataError(
                f"'{self.path}': {self.header[column]} is {words[0]!r} for all images, so that "
                "there is nothing to learn from it: expected 1, or 0 or -1, or several words."
            )


def _is_word(cell: str) -> bool:
    cell = cell.strip()
    return bool(cell) and cell.casefold() not in _VALUES and not re.fullmatch(r"[-+.\d]+", cell)


def _is_file(cell: str) -> bool:
    return PurePosixPath(cell.strip()).suffix.lower() in image_suffixes()
