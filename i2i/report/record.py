"""What a run folder says of its run.

Nothing has to be there and nothing has to be whole: what is missing or broken becomes a note.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from i2i.config import read_options
from i2i.config.recipes import flat, read_recipe, read_toml, recipes
from i2i.core.signals import parse_monitor, side_names
from i2i.data.kinds.splits import SIDES, read_sides
from i2i.errors import OptionsError, RunError
from i2i.runs.checkpoint import refuse_exported
from i2i.runs.folder import Run, no_run
from i2i.runs.log import Row, read_log
from i2i.system import gate


@dataclass(frozen=True)
class Record:
    """A run as its folder tells it.

    Arguments:
        name: of the folder.
        options: dotted path -> value; empty where they cannot be read.
        recipe: the recipe of the package that the options stand on, "" where none is known.
        usual: dotted path -> what that recipe says, for the options that differ from it (None: it
            says nothing).
        environments: the step from which each held, and what was recorded; oldest first.
        rows: the lines of the log, oldest first: "step" and scalars (None: not finite).
        sheets: the image grids and their steps, oldest first.
        marked: the folder with pictures of what is wrong with outputs.
        checkpoints: the names of the files.
        monitor: the measure that tells the best checkpoint, and whether "lower" or "higher" is
            better; None where there is none.
        sides: what two domains are called.
        notes: what is missing or broken, a sentence each.
    """

    name: str
    options: dict[str, Any]
    recipe: str
    usual: dict[str, Any]
    environments: list[tuple[int, dict[str, Any]]]
    rows: list[Row]
    sheets: list[tuple[int, Path]]
    marked: Path
    checkpoints: list[str]
    monitor: tuple[str, str] | None
    sides: tuple[str, str]
    notes: list[str]

    @property
    def steps(self) -> int:
        """The last step that is known of."""
        logged = max((row["step"] for row in self.rows), default=0)
        numbers = [re.fullmatch(r"step-(\d+)\.pt", name) for name in self.checkpoints]
        return max([logged, *(int(number[1]) for number in numbers if number)])


def read_record(folder: Path) -> Record:
    """Read what a run folder holds.

    Raises:
        RunError: the folder is none of a run: it has neither options nor a log nor checkpoints.
    """
    refuse_exported(folder, "a run folder")
    run = Run(folder)
    options_file = folder / "options.toml"
    if not (options_file.exists() or run.log.exists() or run.best.parent.is_dir()):
        raise no_run(folder, "it has neither options.toml nor log.jsonl nor checkpoints/ inside")
    notes: list[str] = []
    options = _read_options(options_file, notes)
    rows = _read_log(run.log, notes)
    sheets = [
        (step, path) for path in run.samples.glob("*.png") if (step := _number(path)) is not None
    ]
    checkpoints = [path.name for path in run.checkpoints()]
    if not sheets:
        notes.append("There are no image grids.")
    if not checkpoints:
        notes.append("There is no checkpoint.")
    environments = sorted(_environments(folder, notes), key=lambda pair: pair[0])
    recipe, usual = _compare(options, _named_recipe(environments))
    monitor = None
    try:
        monitor = parse_monitor(str(options.get("train.monitor", "none")))
    except OptionsError as error:  # of a plug-in that is not here
        notes.append(str(error))
    return Record(
        name=folder.resolve().name,
        options=options,
        recipe=recipe,
        usual=usual,
        environments=environments,
        rows=rows,
        sheets=sorted(sheets),
        marked=run.marked,
        checkpoints=checkpoints + [run.best.name] * run.best.exists(),
        monitor=monitor,
        sides=_sides(folder, options, notes),
        notes=notes,
    )


def _sides(folder: Path, options: Mapping[str, Any], notes: list[str]) -> tuple[str, str]:
    try:
        sides = read_sides(folder)
    except RunError as error:
        notes.append(str(error))
        sides = SIDES
    if sides == SIDES:  # a run of version 0.1 tells by its options alone
        return side_names(str(options.get("data.root", "")), options.get("data.root_b"))
    return sides


def _number(path: Path) -> int | None:
    """The step in a name such as step-00000050.png."""
    found = re.fullmatch(r"\D+-(\d+)", path.stem)
    return int(found[1]) if found else None


def _read_options(path: Path, notes: list[str]) -> dict[str, Any]:
    try:
        return flat(read_toml(path))
    except OptionsError as error:
        notes.append(str(error))
        return {}


def _named_recipe(environments: Sequence[tuple[int, Mapping[str, Any]]]) -> str | None:
    """The recipe of the package that the command of a run names; None if none is seen."""
    words = environments[0][1].get("command") if environments else None
    if not isinstance(words, list):
        return None
    given = [str(word) for word in words]
    for number, word in enumerate(given):
        flag, equals, value = word.partition("=")
        if flag in ("--recipe", "--model"):
            name = value if equals else "".join(given[number + 1 : number + 2])
            return name if name in recipes() else None
    return None


@cache
def _values_of(recipe: str) -> Mapping[str, Any]:
    """All values of a recipe of the package by their dotted paths."""
    return flat(read_options(read_recipe(recipe)).to_dict())


def _compare(options: Mapping[str, Any], named: str | None) -> tuple[str, dict[str, Any]]:
    """The recipe that a run stands on, and what that says where the run differs.

    It is the one that the command of the run names. Of a run of a program it is the one of the same
    model with the same summary; or else, for a recipe of somebody's own, the one with the fewest
    differences.
    """
    candidates = []
    for name in [named] if named else recipes():
        usual = _values_of(name)
        if usual["model"] == options.get("model"):
            # What a recipe leaves open ("auto") every run settles.
            differing = {
                k: usual.get(k) for k, v in options.items() if usual.get(k) not in (v, "auto")
            }
            candidates.append(("summary" in differing, len(differing), name, differing))
    if not candidates:
        return "", {}
    _, _, name, differing = min(candidates, key=lambda each: each[:3])
    return name, differing


def _read_log(path: Path, notes: list[str]) -> list[Row]:
    try:
        log = read_log(path)
    except RunError:
        notes.append("There is no log.")
        return []
    if log.broken:
        notes.append(
            f"The log has {log.broken} broken line{'s' * (log.broken > 1)}, left out here."
        )
    if not log.rows:
        notes.append("The log is empty.")
    return log.rows


def _environments(folder: Path, notes: list[str]) -> Iterator[tuple[int, dict[str, Any]]]:
    for path in folder.glob("environment*.json"):
        environment = _object(path)
        if environment:
            yield _number(path) or 0, environment
        else:
            notes.append(f"{path.name} cannot be read.")


def _object(path: Path) -> dict[str, Any]:
    """The JSON object in a file; empty if something else is in it."""
    try:
        value = gate.parse_json(gate.read_text(path, gate.MOST_JSON))
    except gate.RefusedError:
        return {}
    return value if isinstance(value, dict) else {}
