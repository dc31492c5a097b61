"""Every option there is: its type, default, range, meaning, and who uses it.

Generated from the declarations, so that there is no second list of options.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from i2i.config.options import Options
from i2i.config.parts import game_section, network_section
from i2i.core.registry import MODELS, networks


@dataclass(frozen=True)
class Option:
    """One option.

    `users` are the models or networks that know it; empty where all do. `type` includes the range.
    """

    path: str
    type: str
    default: str
    meaning: str
    users: tuple[str, ...] = ()


def all_options() -> list[Option]:
    """All options of all models and networks that are registered, in the order of a recipe."""
    found: list[Option] = []
    roles = dict.fromkeys(role for model in MODELS.values() for role in model.roles)
    for name, field in Options.model_fields.items():
        if name == "networks":
            for role in roles:
                registered = networks(role).items()
                found += _shared(role, {n: network_section(each) for n, each in registered})
        elif name == "game":
            found += _shared("game", {n: game_section(model) for n, model in MODELS.items()})
        else:
            found += _options(name, field, ())
    return found


def markdown(options: Iterable[Option]) -> str:
    """Options as a page: a heading and a table for each table of a recipe."""
    tables: dict[str, list[Option]] = {}
    for option in options:
        table = re.split(r"[.\[]", option.path)[0]
        inner = option.path != table
        tables.setdefault(f"`[{table}]`" if inner else "At the top", []).append(option)
    parts = []
    for heading, rows in tables.items():
        used = any(row.users for row in rows)
        head = ["option", "type", "default", "meaning", *(["used by"] if used else [])]
        cells = [head, ["---"] * len(head)]
        for row in rows:
            by = [", ".join(row.users)] if used else []
            cells.append([f"`{row.path}`", row.type, f"`{row.default}`", row.meaning, *by])
        cells[2:] = [[cell.replace("|", "\\|") for cell in row] for row in cells[2:]]
        parts.append(f"## {heading}\n\n" + "".join(f"| {' | '.join(row)} |\n" for row in cells))
    return "\n".join(parts)


def _shared(table: str, sections: Mapping[str, type[BaseModel]]) -> list[Option]:
    """The options of a table that differs from part to part, equal ones as one."""
    merged: dict[tuple[str, str, str, str], list[str]] = {}
    for user, section in sections.items():
        for name, field in section.model_fields.items():
            if name == "network":
                continue
            for each in _options(f"{table}.{name}", field, ()):
                key = (each.path, each.type, each.default, each.meaning)
                merged.setdefault(key, []).append(user)
    rows = [Option(*key, tuple(users)) for key, users in merged.items()]
    if table != "game":
        choice = " | ".join(sections)
        rows.insert(0, Option(f"{table}.network", choice, "required", "which network"))
    return sorted(rows, key=lambda row: (row.path != f"{table}.network", row.path))


def _options(path: str, field: FieldInfo, users: tuple[str, ...]) -> Iterator[Option]:
    section = _section(field.annotation)
    if section is not None:
        # A list of tables is shown as one of its tables.
        many = get_origin(field.annotation) is tuple
        for name, inner in section.model_fields.items():
            yield from _options(f"{path}[].{name}" if many else f"{path}.{name}", inner, users)
        return
    if field.is_required():
        default = "required"
    else:
        value = field.get_default(call_default_factory=True)
        default = "none" if value is None else _toml(value)
    yield Option(path, _type(field), default, field.description or "", users)


def _section(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for each in get_args(annotation):
        found = _section(each)
        if found is not None:
            return found
    return None


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple | list):
        return f"[{', '.join(map(_toml, value))}]"
    if isinstance(value, dict):
        return "{}"
    return f'"{value}"' if isinstance(value, str) else f"{value:g}" if value else str(value)


_SYMBOLS = {"ge": ">=", "gt": ">", "le": "<=", "lt": "<"}


def _type(field: FieldInfo) -> str:
    bounds = [
        f"{symbol} {getattr(each, name):g}"
        for each in field.metadata
        for name, symbol in _SYMBOLS.items()
        if getattr(each, name, None) is not None
    ]
    return " ".join([_name(field.annotation), ", ".join(bounds)]).strip()


def _name(annotation: Any) -> str:
    if annotation is type(None):
        return "none"
    if get_origin(annotation) is Literal:
        return " | ".join(_toml(each) for each in get_args(annotation))
    inner = [each for each in get_args(annotation) if each is not Ellipsis]
    if get_origin(annotation) is tuple:
        return f"list of {_name(inner[0])}" if inner else "list"
    if get_origin(annotation) is dict:
        return f"table of {_name(inner[1])}"
    if hasattr(annotation, "__metadata__"):
        bounds = [
            f"{symbol} {getattr(each, name):g}"
            for data in annotation.__metadata__
            for each in (data, *getattr(data, "metadata", ()))
            for name, symbol in _SYMBOLS.items()
            if getattr(each, name, None) is not None
        ]
        return " ".join([_name(inner[0]), ", ".join(bounds)]).strip()
    if inner:
        return " | ".join(dict.fromkeys(_name(each) for each in inner))
    return {"str": "text", "int": "integer", "float": "number", "bool": "true | false"}.get(
        getattr(annotation, "__name__", ""), str(annotation)
    )
