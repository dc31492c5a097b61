"""Reading options, and saying what is wrong with them."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, get_args, get_origin

from pydantic import ValidationError

from i2i.errors import OptionsError, closest, did_you_mean
from i2i.gate import shortened
from i2i.options.section import Section
from i2i.options.whole import Options

Layer = Mapping[str, Any]

_MOST_PROBLEMS = 20
"""That are listed; what is no recipe at all has any number."""


def read_options(layer: Layer) -> Options:
    """Validate a complete set of options.

    Raises:
        OptionsError: lists everything that is wrong, each with its dotted path.
    """
    try:
        return Options.model_validate(layer)
    except ValidationError as error:
        problems = _explain(error.errors(include_url=False))
        if (more := len(problems) - _MOST_PROBLEMS) > 0:
            problems[_MOST_PROBLEMS:] = [f"And {more:,} more."]
        raise OptionsError("\n".join(problems)) from None


def _explain(problems: Iterable[Any]) -> list[str]:
    """A sentence for each value that is wrong."""
    said: dict[str, str] = {}
    for problem in problems:
        path, sections = _walk(problem["loc"])
        name = ".".join(path) if len(".".join(path)) <= 80 else f"{'.'.join(path)[:77]}..."
        text = _sentence(problem, name, path, sections)
        head = f"{name} (="
        if text.startswith(head) and said.get(name, "").startswith(head):
            # What may be of several types is wrong in as many ways.
            said[name] = f"{said[name].rstrip('.')}, or {text.partition('): ')[2]}"
        else:
            said[name if name not in said else f"{name} {len(said)}"] = text
    return list(said.values())


def _sentence(
    problem: Mapping[str, Any], name: str, path: list[str], sections: list[type[Section]]
) -> str:
    match problem["type"]:
        case "extra_forbidden":
            known = [key for section in sections for key in section.model_fields]
            return f"{name} is no option.{_hint(path, known)} Known here: {', '.join(known)}."
        case "missing":
            return f"{name} is missing: the recipe must give it."
        case "union_tag_invalid":
            value, allowed = problem["ctx"]["tag"], problem["ctx"]["expected_tags"]
            hint = did_you_mean(value, allowed.replace("'", "").split(", "))
            return f"{name}.network (={shortened(value)}) must be one of {allowed}.{hint}"
        case "value_error":
            return f"{name}: {problem['ctx']['error']}." if name else f"{problem['ctx']['error']}."
        case _:
            text = problem["msg"][0].lower() + problem["msg"][1:]
            hint = ""
            if problem["type"] == "literal_error":
                expected = problem["ctx"]["expected"].replace("'", "").split(", ")
                hint = did_you_mean(shortened(problem["input"]).strip("'"), expected)
            return f"{name} (={shortened(problem['input'])}): {text}.{hint}"


def _walk(location: Iterable[str | int]) -> tuple[list[str], list[type[Section]]]:
    """The path that a person would write to a place, and the tables that may hold its last key.

    A location of pydantic also says which member of a union was tried, which nobody wrote: the
    name of a network, or of a type.
    """
    path: list[str] = []
    tables: list[type[Section]] = [Options]
    keyed = False  # whether any key may stand here
    for part in location:
        annotations = [t.model_fields[part].annotation for t in tables if part in t.model_fields]
        if annotations:
            tables = [table for each in annotations for table in _tables(each)]
            keyed = any(get_origin(each) is dict for each in annotations)
        elif tagged := [table for table in tables if _network(table) == part]:
            tables = tagged
            continue
        elif not (tables or keyed or isinstance(part, int)):
            continue
        path.append(str(part))
    return path, tables


def _tables(annotation: Any) -> list[type[Section]]:
    """The tables that a value of some type may be, or be made of."""
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return [annotation]
    return [table for part in get_args(annotation) for table in _tables(part)]


def _network(table: type[Section]) -> str | None:
    """The name of the network whose table this is."""
    field = table.model_fields.get("network")
    return None if field is None else str(get_args(field.annotation)[0])


def _hint(path: list[str], known: list[str]) -> str:
    """Which option somebody may have meant by one that is not there, in this table or another."""
    *above, key = path
    if hint := did_you_mean(key, known):
        return hint
    everywhere: dict[str, list[str]] = {}
    for name, network in _everything(Options):
        if name == ".".join(path):
            return f" It is one of {above[-1]}.network = {network!r}."
        everywhere.setdefault(name.rpartition(".")[2], []).append(name)
    found = closest(key, everywhere)
    names = list(dict.fromkeys(everywhere[found])) if found else []
    return f" Did you mean {' or '.join(map(repr, names[:3]))}?" if names else ""


def _everything(table: type[Section], above: str = "") -> Iterator[tuple[str, str | None]]:
    """The dotted name of every option, and the network that it is of, if any."""
    for key, field in table.model_fields.items():
        yield f"{above}{key}", _network(table)
        for inner in _tables(field.annotation):
            yield from _everything(inner, f"{above}{key}.")
