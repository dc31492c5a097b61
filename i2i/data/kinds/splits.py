"""Which images a run learnt from, which it validated with and which were left to test with.

The file `split.json` in the folder of a run: {"version": 1, "splits": {"train": [{"name": ...,
"hash": ...}, ...], "val": [...], "test": [...]}, "sides": ["Summer", "Winter"], "letters":
{"train": "AAB...", ...}}: what two domains are called, where they have names, and of which side
each image is, where it is of one.

An evaluation knows by the hashes (`i2i.data.images.content_hash`) what has been trained on,
whatever it is called and wherever it lies.
"""

import io
import json
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

from i2i.data.images.content_hash import Member, Splits
from i2i.errors import I2iError, RunError
from i2i.system.atomic import write_bytes
from i2i.system.gate import RefusedError, parse_json, read_text

_log = logging.getLogger(__name__)

SPLITS_FILE = "split.json"
VERSION = 1

_MOST_BYTES, _MOST_VALUES = 2**30, 2**25
"""Ten million images, of whom each name may have fifty letters."""


UNKNOWN = "?"
"""In the place of the letter of an image that is not known to be of a side."""

SIDES = ("A", "B")
"""What two domains are called where nobody has named them."""


def record_splits(
    run: Path,
    source: Splits,
    sides: tuple[str, str] = SIDES,
    letters: Callable[[str], str] = lambda split: "",
) -> None:
    """Write the splits of a source into the folder of a run, or say why that is not possible."""
    try:
        write_splits(run, source.splits, sides, {each: letters(each) for each in source.splits})
    except (I2iError, OSError) as error:  # it is the training that matters
        _log.info(f"note: which images are trained on could not be written down: {error}")


def write_splits(
    run: Path,
    splits: Mapping[str, Sequence[Member]],
    sides: tuple[str, str] = SIDES,
    letters: Mapping[str, str] = MappingProxyType({}),
) -> Path:
    """Write the splits of a run into its folder; what was trained on before stays among "train".

    So a run that was resumed with other data still knows all that it has seen.

    Arguments:
        run: its folder.
        splits: "train", "val" and "test" -> their images.
        sides: what the two domains are called.
        letters: split -> of which side each of its images is ("AAB"), where it is of one.

    Raises:
        OSError: the file cannot be written.
    """
    target = run / SPLITS_FILE
    letters = {
        each: said for each, said in letters.items() if said and len(said) == len(splits[each])
    }
    text = _written(splits, sides, letters)
    if target.is_file() and target.stat().st_size == len(text) and target.read_bytes() == text:
        return target
    try:
        before, of_before = read_splits(run).get("train", ()), read_letters(run).get("train", "")
    except RunError:  # a file that is broken is replaced
        before, of_before = (), ""
    if before:
        own = splits.get("train", ())
        of_own = letters.get("train", "") or UNKNOWN * len(own)
        learnt = dict(zip(own, of_own, strict=True))
        of_before = of_before or UNKNOWN * len(before)
        for member, letter in zip(before, of_before, strict=True):
            learnt.setdefault(member, letter)
        if (of_all := "".join(learnt.values())).strip(UNKNOWN):
            letters["train"] = of_all
        text = _written(dict(splits) | {"train": list(learnt)}, sides, letters)
    write_bytes(target, text)
    return target


def _written(
    splits: Mapping[str, Iterable[Member]], sides: tuple[str, str], letters: Mapping[str, str]
) -> bytes:
    """The text of the file, piece by piece: a million images take no more memory than it does."""
    text = io.StringIO()
    encode = json.JSONEncoder().encode  # of a million, a tenth of the time of `json.dumps`
    text.write(f'{{"version": {VERSION}, "splits": {{')
    for number, (split, members) in enumerate(splits.items()):
        text.write(f"{', ' if number else ''}{json.dumps(split)}: [")
        for at, (name, content) in enumerate(members):
            text.write(", " if at else "")
            text.write(f'{{"name": {encode(name)}, "hash": {encode(content)}}}')
        text.write("]")
    text.write("}")
    text.write("" if sides == SIDES else f', "sides": {json.dumps(sides)}')
    text.write(f', "letters": {json.dumps(letters)}' if letters else "")
    text.write("}\n")
    return text.getvalue().encode()


def read_splits(run: Path) -> dict[str, list[Member]]:
    """Read the splits of a run; nothing where it has no such file (of version 0.1).

    Raises:
        RunError: the file is not as expected.
    """
    if not (path := run / SPLITS_FILE).is_file():
        return {}
    written = _read(path)
    try:
        return {
            str(split): [Member(str(each["name"]), str(each["hash"])) for each in members]
            for split, members in written["splits"].items()
        }
    except (TypeError, KeyError, AttributeError) as error:
        raise RunError(f"{path} cannot be read as the splits of a run: {error}.") from error


def read_letters(run: Path) -> dict[str, str]:
    """Read of which side each image of a split is: "A", "B", or `UNKNOWN`; nothing of a split whose
    images are of none.

    Raises:
        RunError: as `read_splits`.
    """
    if not (path := run / SPLITS_FILE).is_file():
        return {}
    written = _read(path)
    said = written.get("letters", {})
    splits = written.get("splits")
    if not isinstance(said, dict) or not isinstance(splits, dict):
        return {}
    return {
        split: letters
        for split, letters in said.items()
        if isinstance(letters, str)
        and isinstance(splits.get(split), list)
        and len(letters) == len(splits[split])
    }


def read_sides(run: Path) -> tuple[str, str]:
    """Read what the two domains of a run are called: A and B where nothing says so.

    Raises:
        RunError: as `read_splits`.
    """
    if not (path := run / SPLITS_FILE).is_file():
        return SIDES
    match _read(path).get("sides"):
        case [str(a), str(b)]:
            return a, b
    return SIDES


def sides_of_run(run: Path) -> tuple[str, str]:
    """What the two domains of a run are called; A and B where nothing says so, or what says so
    cannot be read."""
    try:
        return read_sides(run)
    except RunError:
        return SIDES


def sides_of_checkpoint(checkpoint: Path) -> tuple[str, str]:
    """The same of the run that a checkpoint lies in."""
    return sides_of_run(checkpoint.resolve().parent.parent)


def _read(path: Path) -> dict[str, Any]:
    try:
        written = parse_json(read_text(path, _MOST_BYTES), _MOST_VALUES)
    except RefusedError as error:
        raise RunError(f"{path} {error}.") from None
    if not isinstance(written, dict) or "version" not in written:
        raise RunError(f"{path} cannot be read as the splits of a run.")
    if written["version"] != VERSION:
        raise RunError(
            f"{path} is of version {written['version']!r}, this i2i reads version {VERSION}."
        )
    return written
