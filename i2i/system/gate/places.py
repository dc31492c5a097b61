"""Where data lies on a machine: told to the run folder, never to what is handed on."""

from collections.abc import Mapping
from pathlib import PurePosixPath, PureWindowsPath
from typing import Any

_PLACES = ("root", "root_b", "table", "split_table", "init_from")


def without_places(options: Mapping[str, Any]) -> dict[str, Any]:
    """Options whose absolute paths of data are the last names in them: "/home/x/facades" becomes
    "facades".

    Arguments:
        options: of a run, as plain values; they stay as they are.
    """
    return _changed(options, lambda section, _: _nameless(section))


def with_places(options: Mapping[str, Any], told: Mapping[str, Any]) -> dict[str, Any]:
    """Options that went through `without_places`, with the paths that the run folder tells.

    A path is taken over only where it ends in the name that is there, so that nothing but the
    place can change.

    Arguments:
        options: of a checkpoint.
        told: those in the run folder, as they were read; of any shape.
    """

    def placed(section: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
        named = _nameless(other)
        found = {
            key: other[key]
            for key in _PLACES
            if isinstance(other.get(key), str) and section.get(key) and named[key] == section[key]
        }
        return {**section, **found}

    return _changed(options, placed, told)


def _changed(options: Mapping[str, Any], change: Any, told: Any = None) -> dict[str, Any]:
    """Options with each table changed that names files."""
    changed = dict(options)
    if isinstance(train := options.get("train"), Mapping):
        changed["train"] = change(train, _table(_table(told).get("train")))
    data, other = options.get("data"), _table(_table(told).get("data"))
    if not isinstance(data, Mapping):
        return changed
    new = change(data, other)
    if isinstance(more := data.get("more"), list | tuple):
        others = other.get("more")
        others = (
            others if isinstance(others, list) and len(others) == len(more) else [{}] * len(more)
        )
        new["more"] = [
            change(each, _table(also)) if isinstance(each, Mapping) else each
            for each, also in zip(more, others, strict=True)
        ]
    return {**changed, "data": new}


def _nameless(section: Mapping[str, Any]) -> dict[str, Any]:
    return {
        key: _last(value) if key in _PLACES and isinstance(value, str) else value
        for key, value in section.items()
    }


def _last(path: str) -> str:
    for kind in (PurePosixPath, PureWindowsPath):
        if kind(path).is_absolute():
            return kind(path).name or "data"
    return path


def _table(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
