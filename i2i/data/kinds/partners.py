"""Files that belong together by their names, in several folders."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from i2i.data.images.read import list_images
from i2i.errors import DataError


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
    named: dict[str, Path] = {}
    for path in list_images(folder):
        name = path.relative_to(folder).with_suffix("").as_posix()
        if name in named:
            raise DataError(
                f"'{named[name]}' and '{path}' have the same name, so that their partner is "
                "unclear. Remove or rename one of them."
            )
        named[name] = path
    return named
