"""Runs in a table: filtered, sorted, and told apart by options, figures and tags."""

import contextlib
import csv
import io
import json
import re
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from i2i.errors import OptionsError, did_you_mean
from i2i.evaluation.kept import FOLDER, figures_of
from i2i.report.record import Record
from i2i.report.variants import last_validation, tags_of
from i2i.runs.lock import BEAT, OWNER
from i2i.runs.provenance import sessions
from i2i.system import gate

COLUMNS = ("run", "model", "state", "steps", "best", "tags", "note")
"""Those of a table for which nobody asks for others."""

Facts = dict[str, Any]
"""What is known of a run, by the words that a person filters and sorts by."""

_FILTER = re.compile(r"(?P<key>[^=<>!~]+?)\s*(?P<how><=|>=|!=|=|<|>|~)\s*(?P<value>.*)", re.DOTALL)

_HOLDS: dict[str, Callable[[Any, Any], bool]] = {
    "=": lambda own, value: bool(own == value),
    "!=": lambda own, value: bool(own != value),
    "<": lambda own, value: bool(own < value),
    ">": lambda own, value: bool(own > value),
    "<=": lambda own, value: bool(own <= value),
    ">=": lambda own, value: bool(own >= value),
    "~": lambda own, value: re.search(str(value), str(own)) is not None,
}


def facts(folder: Path, record: Record) -> Facts:
    """What is known of a run.

    Options stand under their dotted paths; figures of the validation that decided under their
    names; those of evaluations that were kept under "test/NAME" (or "val/", "train/"); and beside
    them "run", "model", "state", "steps", "started", "tag", "tags", "note", "commit", "best", and
    "seconds" over all sessions.
    """
    figures = last_validation(record)
    spent = sessions(folder)
    first = record.environments[0][1] if record.environments else {}
    notes = [str(each["note"]) for _, each in record.environments if each.get("note")]
    code = first.get("code")
    commits = list(code.values()) if isinstance(code, dict) else []
    best = None
    if record.monitor is not None and record.monitor[0] in figures.values:
        best = f"{record.monitor[0]} {figures.values[record.monitor[0]]:.4g}"
    kept: Facts = {}
    for path in sorted((folder / FOLDER).glob("*-*.json")):
        try:
            evaluation = gate.parse_json(gate.read_text(path, 2**28), 2**24)
            split = path.stem.partition("-")[0]
            kept |= {f"{split}/{name}": value for name, value in figures_of(evaluation).items()}
        except Exception:  # noqa: BLE001 (whatever lies there: a table of runs leaves it out)
            continue
    tags = tags_of(record)
    return {
        **record.options,
        **figures.values,
        **kept,
        "run": str(folder),
        "state": _state(folder, record),
        "steps": record.steps,
        "started": first.get("started"),
        "tag": tags,
        "tags": ", ".join(tags),
        "note": "; ".join(notes),
        "commit": commits[0].get("commit") if commits and isinstance(commits[0], dict) else None,
        "best": best,
        "seconds": sum(float(each.get("seconds", 0)) for each in spent) or None,
    }


def _state(folder: Path, record: Record) -> str:
    """Whether a run is over, goes on at present, or was cut short."""
    stop = record.options.get("train.steps")
    if isinstance(stop, int) and record.steps >= stop:
        return "done"
    with contextlib.suppress(OSError):
        if time.time() - (folder / OWNER).stat().st_mtime < 4 * BEAT:
            return "running"
    if not record.checkpoints:
        return "no checkpoint"
    return "stopped" if isinstance(stop, int) else ""


def matching(
    runs: Iterable[tuple[Path, Record]], filters: Sequence[str]
) -> list[tuple[Path, Record]]:
    """Those of some runs of which all filters hold.

    Arguments:
        runs: folders and what they hold.
        filters: "KEY=VALUE", with !=, <, >, <=, >= or ~ (a pattern that is found) in place of =.

    Raises:
        OptionsError: a filter is none, or no run knows its key; or none is left.
    """
    runs = list(runs)
    known = [facts(folder, record) for folder, record in runs] if filters else []
    chosen = [True] * len(runs)
    for text in filters:
        found = _FILTER.fullmatch(text)
        if found is None:
            raise OptionsError(f"--filter {text!r} must look like KEY=VALUE, psnr>20, or run~seed.")
        key, how, value = found["key"].strip(), found["how"], _value(found["value"])
        _require_known(key, known)
        if how != "~":
            _require_alike(text, key, value, known)
        for at, own in enumerate(known):
            chosen[at] &= _holds(own.get(key), how, value)
    left = [run for run, kept in zip(runs, chosen, strict=True) if kept]
    if runs and not left:
        raise OptionsError(f"None of the {len(runs)} runs is left by {' and '.join(filters)}.")
    return left


def _holds(own: Any, how: str, value: Any) -> bool:
    if isinstance(own, list):  # of several tags one suffices, and none may be the wrong one
        each = (_holds(one, how, value) for one in own)
        return all(each) if how == "!=" else any(each)
    if isinstance(own, str) and how != "~":
        value = str(value)
    try:
        return _HOLDS[how](own, value)
    except TypeError:  # of a run that does not know the key, nothing is larger or smaller
        return False
    except re.error as error:
        raise OptionsError(f"{value!r} is no pattern: {error}.") from None


def _require_known(key: str, known: Sequence[Facts]) -> None:
    words = {word for each in known for word in each}
    if known and key not in words:
        raise OptionsError(
            f"No run has a {key!r}.{did_you_mean(key, words)} What can be asked for: run, model, "
            "state, steps, started, seconds, tag, note, commit, any option (train.seed), any "
            "figure of a validation (psnr) or of an evaluation (test/psnr)."
        )


def _require_alike(text: str, key: str, value: Any, known: Sequence[Facts]) -> None:
    """Refuse to compare numbers with words, of which nothing can hold."""
    own = [each[key] for each in known if each.get(key) is not None]
    if own and not isinstance(value, int | float) and all(isinstance(e, int | float) for e in own):
        raise OptionsError(
            f"--filter {text!r}: {key} is a number ({as_words(own[0])}, say), which "
            f"{as_words(value)!r} cannot be compared with."
        )


def _value(text: str) -> Any:
    """A number, true or false, or else the text."""
    try:
        return gate.parse_toml(f"value = {text}")["value"]
    except gate.RefusedError:
        return text.strip()


def run_table(
    runs: Sequence[tuple[Path, Record]],
    *,
    columns: Sequence[str] = COLUMNS,
    sort: str = "started",
) -> list[list[Any]]:
    """A row of values for each run.

    Arguments:
        runs: folders and what they hold.
        columns: words, as in `facts`.
        sort: the word to sort by; with "-" before it, the largest first.

    Raises:
        OptionsError: no run knows one of the words.
    """
    known = [facts(folder, record) for folder, record in runs]
    word = sort.removeprefix("-")
    for name in (*columns, word):
        _require_known(name, known)

    def key(own: Facts) -> tuple[Any, ...]:
        value = own.get(word)
        number = isinstance(value, int | float)
        order = value if number else 0.0
        return number, order, "" if number or value is None else str(value)

    with_value = sorted((own for own in known if own.get(word) is not None), key=key)
    if sort.startswith("-"):
        with_value.reverse()
    without = [own for own in known if own.get(word) is None]
    return [[own.get(name) for name in columns] for own in [*with_value, *without]]


def as_words(value: Any) -> str:
    """A value for a person."""
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.4g}"
    return value if isinstance(value, str) else json.dumps(value, default=str)


def table_csv(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([["" if value is None else value for value in row] for row in rows])
    return text.getvalue()
