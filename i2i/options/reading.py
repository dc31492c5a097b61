"""Reading options, and saying what is wrong with them."""

from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import BaseModel, ValidationError

from i2i.errors import OptionsError, did_you_mean
from i2i.options.parts import game_section, network_section
from i2i.options.section import Section
from i2i.options.whole import Options
from i2i.options.words import NEUTRAL, with_new_words
from i2i.plugins import require_plugins
from i2i.registry import MODELS, networks

Layer = Mapping[str, Any]


def read_options(layer: Layer) -> Options:
    """Validate a complete set of options.

    Raises:
        OptionsError: lists everything that is wrong, each with its dotted path.
    """
    tables = with_new_words(layer)
    if "model" not in tables:
        raise OptionsError("model is missing: the recipe must give it.")
    require_plugins(_noted(tables.get("plugins", ())))
    model = MODELS.find(str(tables["model"]))
    problems: list[str] = []
    chosen = {role: _network(role, tables.pop(role, None), problems) for role in model.roles}
    rules = game_section(model)
    game = _section(rules, _without_neutral(tables.pop("game", {}), rules), "game", problems)
    unknown = [key for key in tables if key not in Options.model_fields or key == "networks"]
    known = [*model.roles, *(key for key in Options.model_fields if key != "networks")]
    for key in unknown:
        tables.pop(key)
        problems.append(f"{key} is no option.{did_you_mean(key, known)} Known: {', '.join(known)}.")
    options = _section(Options, tables | {"networks": chosen, "game": game}, "", problems)
    if problems:
        raise OptionsError("\n".join(problems))
    assert isinstance(options, Options)
    return options


def _noted(plugins: Any) -> list[Mapping[str, Any]]:
    """What is said of plug-ins, if it is a list of tables; if not, it is a problem of its own."""
    if not isinstance(plugins, list | tuple):
        return []
    return [each for each in plugins if isinstance(each, Mapping)]


def _without_neutral(table: Any, section: type[Section]) -> Any:
    """A table [game] without what a checkpoint of version 0.1 says of options of other models."""
    if not isinstance(table, Mapping):
        return table
    return {
        key: value
        for key, value in table.items()
        if key in section.model_fields or key not in NEUTRAL or value != NEUTRAL[key]
    }


def _network(role: str, table: Any, problems: list[str]) -> Section | None:
    """Read the table of a network."""
    if table is None:
        problems.append(f"{role} is missing: the recipe must give it.")
        return None
    name = table.get("network") if isinstance(table, Mapping) else None
    if not isinstance(name, str):
        problems.append(f"{role}.network is missing: it says which network [{role}] is about.")
        return None
    try:
        section = network_section(networks(role).find(name))
    except OptionsError as error:
        problems.append(str(error))
        return None
    return _section(section, table, role, problems)


def _section(section: type[Section], table: Any, where: str, problems: list[str]) -> Section | None:
    """Read a table, and add to `problems` what is wrong with it."""
    try:
        return section.model_validate(table)
    except ValidationError as error:
        for problem in error.errors():
            # What is None here is a table with problems of its own, which are listed already.
            if problem["input"] is not None or problem["type"] == "missing":
                problems.append(_explain(problem, section, where))
        return None


def _explain(problem: Mapping[str, Any], section: type[Section], where: str) -> str:
    path = [where, *map(str, problem["loc"])] if where else [*map(str, problem["loc"])]
    name = ".".join(path)
    match problem["type"]:
        case "extra_forbidden":
            known = list(_fields(section, problem["loc"][:-1]))
            hint = did_you_mean(path[-1], known)
            return f"{name} is no option.{hint} Known here: {', '.join(known)}."
        case "missing":
            return f"{name} is missing: the recipe must give it."
        case "value_error":
            return f"{name}: {problem['ctx']['error']}." if name else f"{problem['ctx']['error']}."
        case _:
            text = problem["msg"][0].lower() + problem["msg"][1:]
            hint = ""
            if problem["type"] == "literal_error":
                hint = did_you_mean(
                    str(problem["input"]), problem["ctx"]["expected"].replace("'", "").split(", ")
                )
            return f"{name} (={problem['input']!r}): {text}.{hint}"


def _fields(section: type[BaseModel], location: Iterable[str | int]) -> Iterable[str]:
    """The keys that the table at a location knows."""
    for part in location:
        if isinstance(part, int):  # a place in a list of tables, whose field was entered already
            continue
        inner = _tables_in(section.model_fields[part].annotation)
        if not inner:
            return []
        section = inner[0]
    return list(section.model_fields)


def _tables_in(annotation: Any) -> list[type[BaseModel]]:
    """The tables that an annotation such as `tuple[Stage, ...] | None` is about."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [table for each in getattr(annotation, "__args__", ()) for table in _tables_in(each)]
