"""Whether images are what a translator takes, or what it makes: horses for one of zebras."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from i2i.data.images.content_hash import Member, content_hash
from i2i.data.images.read import images_among
from i2i.data.kinds.folders import side_of
from i2i.data.kinds.splits import UNKNOWN, read_letters, read_splits, sides_of_run
from i2i.errors import DataError, RunError

MOST = 200
"""Files whose content is looked at, from all over a folder."""


def wrong_way(
    run: Path, way: str, ways: Sequence[str], places: Sequence[Path], half: str | None = None
) -> str:
    """Say that images are of the side that a translator makes, as far as can be told.

    An image is known by its content if the run has trained, validated or tests with it; else by the
    folder that it lies in, if that is called like a side ("Winter", "testB", "B").

    Arguments:
        run: the folder of the run; one that knows nothing of its sides says nothing.
        way: the direction of the translator, "AtoB" or "BtoA".
        ways: all directions that its model has learnt.
        places: the images, or folders of them.
        half: of pairs side by side, the half that is translated.

    Returns:
        a sentence for a person; "" where nothing is to be said.
    """
    if way not in ("AtoB", "BtoA"):
        return ""
    takes, makes = way[0], way[-1]
    if half is not None:
        return (
            f"--side {half} is what this model makes of {takes}: it translates {way}, so that "
            f"--side {takes} is meant, unless the data has the sides in another order."
            if half == makes
            else ""
        )
    try:
        if not (letters := read_letters(run)):
            return ""
        contents = _contents(read_splits(run), letters)
    except RunError:
        return ""
    sides = sides_of_run(run)
    files = images_among(places)
    files = files[:: -(-len(files) // MOST) or 1]
    learnt = called = 0
    for file in files:
        found = contents.get(_hash(file))
        learnt += found == makes
        called += found is None and _by_folder(file, sides) == makes
    if not learnt + called:
        return ""
    first, second = (_called("AB".index(letter), sides) for letter in (takes, makes))
    ways_known = {"by their content": learnt, "by their folder": called}
    how = ", ".join(f"{count} {by}" for by, count in ways_known.items() if count)
    other = f"{makes}to{takes}"
    mend = (
        f"--direction {other} goes from {second} to {first}"
        if other in ways
        else f"it has not learnt the way back: give it images of {first}"
    )
    return (
        f"{learnt + called} of {len(files)} images are of {second} ({how}), and here {first} is "
        f"translated to {second}: {mend}."
    )


def _contents(
    splits: Mapping[str, Sequence[Member]], letters: Mapping[str, str]
) -> Mapping[str, str]:
    """Hash of an image -> its side; of an image of both sides neither."""
    found: dict[str, str] = {}
    for split, of_split in letters.items():
        for (_, content), letter in zip(splits.get(split, ()), of_split, strict=False):
            if content and found.setdefault(content, letter) != letter:
                found[content] = UNKNOWN
    return found


def _hash(file: Path) -> str:
    try:
        return content_hash(file)
    except DataError:  # whoever reads it says so
        return ""


def _by_folder(file: Path, sides: tuple[str, str]) -> str | None:
    """The side that its folder is called by, or the one above that (B/train)."""
    names = {name.casefold(): letter for name, letter in zip(sides, "AB", strict=True)}
    for folder in file.absolute().parents[:2]:
        said = side_of(folder.name)
        if found := said[1] if said else names.get(folder.name.casefold()):
            return found
    return None


def _called(side: int, sides: tuple[str, str]) -> str:
    name, letter = sides[side], "AB"[side]
    return name if name == letter else f"{name} ({letter})"
