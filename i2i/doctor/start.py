"""Where to begin with a folder of images: which recipe and why, with which command, and how many
more images would help.

`i2i start` says all of it, `i2i doctor` ends with the command, and `i2i train FOLDER` follows it.
"""

import contextlib
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from i2i.config import Data
from i2i.core.text import counted, listed
from i2i.data.catalogue.attributes import AttributeTable, read_table
from i2i.data.catalogue.cache import cache_folder
from i2i.data.catalogue.torchvision_sets import torchvision_folder
from i2i.data.inspection.examine import examine
from i2i.data.inspection.finding import Diagnosis
from i2i.data.inspection.survey import Part, Survey
from i2i.data.kinds import all_kinds, find_kind
from i2i.data.kinds.image_set import FoundImages
from i2i.data.kinds.layouts import same_names
from i2i.data.sources import find_root
from i2i.errors import DataError

TABLES = (".csv", ".tsv", ".txt")
"""How the names of tables of attributes end."""

NEARLY = 0.8
"""Share of the names that two sides have in common from which on they may well be pairs."""


@dataclass(frozen=True)
class Start:
    """How to begin.

    Attributes:
        recipe: the name of the recipe that is meant for this data and this machine.
        settings: what has to be said beside it, for `--set`.
        why: why it is that one, a sentence without a full stop.
        holds: what the data is, in plain words.
        more: how many more images would help, sentences.
        notes: what else is to be thought of, a sentence each.
        larger: the recipe for a machine with a GPU, where `recipe` is for one without.
    """

    recipe: str
    settings: tuple[str, ...]
    why: str
    holds: str
    more: str
    notes: tuple[str, ...] = ()
    larger: str = ""

    def command(self, *folders: str | Path) -> str:
        """The command that begins, for a shell."""
        words = ["i2i", "train", *map(str, folders), "--recipe", self.recipe]
        for setting in self.settings:
            words += ["--set", setting]
        return shlex.join(words)


def locate(
    dataroot: str, kind: str | None = None, data: Data | None = None
) -> tuple[Path, FoundImages | None]:
    """The folder of a data set, and its images if torchvision has them.

    Raises:
        DataError: there is no such data set, or it cannot be had.
    """
    for each in all_kinds() if kind is None else [find_kind(kind)]:
        if (named := each.find_named(dataroot)) is not None:
            return torchvision_folder(dataroot, cache_folder()), named
    return find_root(dataroot, kind, data), None


def look_at(dataroot: str, dataroot_b: str = "") -> Diagnosis:
    """What is in a data set, without looking for copies: it takes no longer than the check before
    a training, and spares that its own.

    Raises:
        DataError: there is no such data set, or nothing in it can be used.
    """
    folder, named = locate(dataroot)
    root_b = find_root(dataroot_b, None, side="B") if dataroot_b else None
    diagnosis = examine(folder, root_b=root_b, named=named, copies=False, cache=cache_folder())
    if diagnosis.survey.problems:
        raise DataError(diagnosis.survey.problems[0])
    return diagnosis


def recommend(diagnosis: Diagnosis, device_type: str) -> Start | None:
    """What to begin with; None for a kind of data of which nobody has said it, or which cannot be
    read.

    Arguments:
        diagnosis: of the data.
        device_type: of this machine: "cpu", "cuda", ...
    """
    found = diagnosis.survey
    kind = find_kind(found.kind)
    begin = kind.beginning
    if begin is None or found.problems:
        return None
    recipe, without = begin.recipe, begin.quick
    settings: list[str] = []
    notes = []
    why = begin.why
    for side, held in diagnosis.labels.items():
        if not held.coloured:  # numbers of classes are nearly black to whoever takes them for grey
            settings += held.settings(side)
            if side == "A" and kind.has_truth:
                recipe, without = "spade", "spade-quick"
                why = "SPADE is made for label maps, and learns from pairs what they stand for"
        elif side == "A" and kind.has_truth:
            notes.append(
                f"A holds label maps in {len(held.counts)} colours. --recipe spade-quick is made "
                "for such, once they are said to be some: `i2i doctor` says how."
            )
    if device_type == "cpu":
        recipe, larger = without, recipe
    else:
        larger = ""
    train = [part for part in found.parts if part.split == "train"]
    if kind.sides == "AB" and not kind.has_truth and len(train) == 2:
        shared = same_names(train[0].images, train[1].images)
        if shared >= NEARLY * min(len(part.images) for part in train):
            notes.append(
                f"{shared} images have one of the same name on the other side. If these belong "
                "together, they are pairs, from which much more can be learnt: give all of them "
                "partners of the same name and size, and name the folder that holds the two "
                "folders."
            )
    if not kind.translates and (table := attributes_beside(found)):
        command = ["i2i", "train", str(found.root), "--recipe"]
        command.append("stargan-quick" if device_type == "cpu" else "stargan")
        command += ["--set", f"data.table={table.path.name}"]
        notes.append(
            f"{table.path.name} says which attributes these images have "
            f"({listed(table.names, 6)}). To change them, rather than to make new images: "
            f"{shlex.join(command)} (docs/domains.md says how to choose some of them)."
        )
    if kind.has_truth and found.sides != ("A", "B"):
        notes.append(
            f"all images of {found.sides[0]} and {found.sides[1]} have partners of the same name "
            "and size, and are taken for pairs. If they do not belong together: --recipe "
            f"{'cyclegan-quick' if device_type == 'cpu' else 'cyclegan'}."
        )
    return Start(
        recipe,
        tuple(settings),
        why,
        begin.holds + _called(train, found.sides),
        _more(train, begin.few, begin.usual, found.sides, kind.has_truth),
        tuple(notes),
        larger,
    )


def attributes_beside(found: Survey) -> AttributeTable | None:
    """The table of attributes that lies in the folder of a data set and lists its images."""
    images = found.images
    for path in sorted(found.root.iterdir()):
        if path.suffix.lower() in TABLES and path.is_file():
            with contextlib.suppress(DataError):
                table = read_table(path)
                if images and table.key(images[0]) and table.key(images[-1]):
                    return table
    return None


def part_lines(diagnosis: Diagnosis) -> list[str]:
    """How many images of what there are, a line each."""
    found, kind = diagnosis.survey, find_kind(diagnosis.survey.kind)
    lines = list(found.lines)
    sizes = diagnosis.tables.sizes
    if sizes:
        shown = [f"{w}x{h}" for (w, h), _ in sizes.most_common(2)]
        more = f" and {len(sizes) - 2} more sizes" if len(sizes) > 2 else ""
        lines.append(f"sizes: {' and '.join(shown) if not more else ', '.join(shown)}{more}")
    if not found.has("val") and kind.translates:
        lines.append("to watch the training with, some of them are held out")
    return [line for line in lines if line != "val: none"]


def _called(parts: Sequence[Part], sides: tuple[str, str]) -> str:
    """The names of the parts, where they have some."""
    names = sides if sides != ("A", "B") else [part.name for part in parts]
    named = len(names) > 1 and not set(names) <= {"", "A", "B"}
    return f" ({listed(names, 6)})" if named else ""


def _more(parts: Sequence[Part], few: int, usual: int, sides: tuple[str, str], pairs: bool) -> str:
    """How many more images would help, for parts with so many to train on."""
    called = dict(zip("AB", sides, strict=True))
    counts = {called.get(part.name, part.name): len(part.images) for part in parts}
    if pairs:
        counts = {"": min(counts.values(), default=0)}
    one, many = ("pair", "pairs") if pairs else ("image", "images")
    scarce = {name: n for name, n in counts.items() if n < few}
    lacking = {name: n for name, n in counts.items() if n < usual}

    def each(wanted: int, of: dict[str, int]) -> str:
        said = [f"{wanted - n:,} more{f' of {name}' if name else ''}" for name, n in of.items()]
        return listed(said, 4)

    least = counted(min(counts.values(), default=0), one, many)
    if scarce:
        verb = "is" if min(counts.values(), default=0) == 1 else "are"
        return (
            f"{least} {verb} few: enough for a first look, but soon known by heart. "
            f"{each(few, scarce)} would help most of all, and {usual:,} are usual."
        )
    if lacking:
        return (
            f"Enough to begin with. {usual:,} are usual: {each(usual, lacking)} would help more "
            "than a longer training."
        )
    return "As many as such models were published with."
