"""Reading options, and saying what is wrong with them."""

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TypeGuard, get_args, get_origin

from pydantic import ValidationError

from i2i.config.options import Options
from i2i.config.parts import Network, game_section, named_section, network_section
from i2i.config.renamed import NEUTRAL, with_new_words
from i2i.config.section import Section
from i2i.core.model import known_terms, unknown_terms
from i2i.core.plugins import require_plugins
from i2i.core.registry import DATA_KINDS, MODELS, networks
from i2i.errors import OptionsError, closest, did_you_mean
from i2i.system.gate import shortened

Layer = Mapping[str, Any]

_READ_BEFORE = ("networks", "game")
"""Tables that have been read when all options are."""

_MOST_PROBLEMS = 20
"""That are listed; what is no recipe at all has any number."""


def read_options(layer: Layer) -> Options:
    """Validate a complete set of options.

    Raises:
        OptionsError: lists everything that is wrong, each with its dotted path.
    """
    if not isinstance(layer, Mapping):
        raise OptionsError(f"a recipe (={shortened(layer)}) must be tables of options.")
    tables = with_new_words(layer)
    if "model" not in tables:
        raise OptionsError("model is missing: the recipe must give it.")
    require_plugins(_noted(tables.get("plugins", ())))
    name = tables["model"]
    if not isinstance(name, str):
        raise OptionsError(f"model (={shortened(name)}) must be the name of a model.")
    model = MODELS.find(name)
    problems: list[str] = []
    sections: dict[str, type[Section]] = {"game": game_section(model)}
    chosen = {}
    for role in model.roles:
        section = _network_section(role, tables.get(role), problems)
        if section is not None:
            sections[role] = section
            chosen[role] = _read(section, tables[role], role, sections, problems)
        tables.pop(role, None)
    rules = _without_neutral(tables.pop("game", {}), sections["game"])
    game = _read(sections["game"], rules, "game", sections, problems)
    known = [*model.roles, *(key for key in Options.model_fields if key != "networks")]
    for key in [key for key in tables if key not in known]:
        tables.pop(key)
        hint = _hint([key], known, sections)
        shown = shortened(key).strip("'")
        problems.append(f"{shown} is no option.{hint} Known here: {', '.join(known)}.")
    problems += _unknown_names(name, tables)
    whole = {**tables, "networks": chosen, "game": game}
    options = _read(Options, whole, "", sections, problems)
    if problems:
        if (more := len(problems) - _MOST_PROBLEMS) > 0:
            problems[_MOST_PROBLEMS:] = [f"And {more:,} more."]
        raise OptionsError("\n".join(problems))
    assert isinstance(options, Options)
    one_side = DATA_KINDS.find(model.data).sides == "A"
    letters = options.data.letters(both_ways=bool(model.directions), one_side=one_side)
    data = options.data.fitted(letters, upscale=options.upscale)
    return options.model_copy(update={"data": data})


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


def _unknown_names(name: str, tables: Layer) -> Iterator[str]:
    """A sentence for each key that should be a term, a player or a network of a model."""
    model = MODELS.find(name)
    terms = known_terms(model.terms, model.comparisons, _own_losses(tables))
    for table in ("objective", "every", "anneal.objective"):
        yield from unknown_terms(table, _keys(tables, table), terms)
    learning = [network for networks in model.players.values() for network in networks]
    for table, wrong, known in (
        ("optimizer.player_learning_rates", f"names no player of {name}", [*model.players]),
        ("optimizer.networks", f"is no network of {name} that learns", learning),
    ):
        for key in _keys(tables, table):
            if key not in known:
                yield (
                    f"{table}.{shortened(key)[1:-1]} {wrong}.{did_you_mean(key, known)} They are: "
                    f"{', '.join(known)}."
                )


def _own_losses(tables: Layer) -> list[str]:
    """The losses that a program has given as objects."""
    table = tables.get("own")
    names = table.get("losses") if isinstance(table, Mapping) else ()
    return [each for each in names if isinstance(each, str)] if _is_list(names) else []


def _is_list(value: Any) -> TypeGuard[list[Any] | tuple[Any, ...]]:
    return isinstance(value, list | tuple)


def _keys(tables: Layer, path: str) -> list[str]:
    """The keys of a table; none where it is no table, which is a problem of its own."""
    table: Any = tables
    for key in path.split("."):
        table = table.get(key) if isinstance(table, Mapping) else None
    return [key for key in table if isinstance(key, str)] if isinstance(table, Mapping) else []


def _network_section(role: str, table: Any, problems: list[str]) -> type[Network] | None:
    """The section of the network that a table chooses."""
    if table is None:
        problems.append(f"{role} is missing: the recipe must give it.")
        return None
    name = table.get("network") if isinstance(table, Mapping) else None
    if not isinstance(name, str):
        problems.append(f"{role}.network is missing: it says which network [{role}] is about.")
        return None
    try:
        return named_section(role, name)
    except OptionsError as error:
        problems.append(str(error))
        return None


def _read(
    section: type[Section],
    table: Any,
    where: str,
    sections: Mapping[str, type[Section]],
    problems: list[str],
) -> Section | None:
    """Read a table, and add to `problems` what is wrong with it."""
    try:
        return section.model_validate(table)
    except ValidationError as error:
        found = [
            problem
            for problem in error.errors(include_url=False)
            # A part that is None among all options has problems of its own, listed already.
            if where or problem["input"] is not None or problem["loc"][0] not in _READ_BEFORE
        ]
        problems += _explain(found, section, where, sections)
        return None


def explained(problems: Iterable[Any], section: type[Section]) -> list[str]:
    """A sentence for each problem that pydantic has with the values of a table by itself."""
    return _explain(problems, section, "", {})


def _explain(
    problems: Iterable[Any],
    section: type[Section],
    where: str,
    others: Mapping[str, type[Section]],
) -> list[str]:
    """A sentence for each value that is wrong."""
    said: dict[str, str] = {}
    for problem in problems:
        path, sections = _walk(section, problem["loc"])
        path = [where, *path] if where else path
        name = ".".join(path) if len(".".join(path)) <= 80 else f"{'.'.join(path)[:77]}..."
        text = _sentence(problem, name, path, sections, others)
        head = f"{name} (="
        if text.startswith(head) and said.get(name, "").startswith(head):
            # What may be of several types is wrong in as many ways.
            said[name] = f"{said[name].rstrip('.')}, or {text.partition('): ')[2]}"
        else:
            said[name if name not in said else f"{name} {len(said)}"] = text
    return list(said.values())


def _sentence(
    problem: Mapping[str, Any],
    name: str,
    path: list[str],
    sections: list[type[Section]],
    others: Mapping[str, type[Section]],
) -> str:
    match problem["type"]:
        case "extra_forbidden":
            known = [key for section in sections for key in section.model_fields]
            hint = _hint(path, known, others)
            return f"{name} is no option.{hint} Known here: {', '.join(known)}."
        case "missing":
            return f"{name} is missing."
        case "value_error":
            return f"{name}: {problem['ctx']['error']}." if name else f"{problem['ctx']['error']}."
        case "tuple_type" | "list_type":
            given = problem["input"]
            if isinstance(given, str):
                items = [part.strip() for part in given.split(",")]
            else:  # of a table only its names: it may go deeper than can be written
                items = list(given) if isinstance(given, Mapping) else [given]
            example = json.dumps(items, default=str)
            return f"{name} (={shortened(given)}): must be a list, such as {example[:200]}."
        case _:
            text = problem["msg"][0].lower() + problem["msg"][1:]
            hint = ""
            if problem["type"] == "literal_error":
                expected = problem["ctx"]["expected"].replace("'", "").split(", ")
                hint = did_you_mean(shortened(problem["input"]).strip("'"), expected)
            return f"{name} (={shortened(problem['input'])}): {text}.{hint}"


def _walk(
    section: type[Section], location: Iterable[str | int]
) -> tuple[list[str], list[type[Section]]]:
    """The path that a person would write to a place, and the tables that may hold its last key.

    A location of pydantic also says which member of a union was tried, which nobody wrote.
    """
    path: list[str] = []
    tables: list[type[Section]] = [section]
    keyed = False  # whether any key may stand here
    for part in location:
        annotations = [t.model_fields[part].annotation for t in tables if part in t.model_fields]
        if annotations:
            tables = [table for each in annotations for table in _tables(each)]
            keyed = any(get_origin(each) is dict for each in annotations)
        elif not (tables or keyed or isinstance(part, int)):
            continue
        else:
            keyed = False  # what follows a key says which type was tried
        path.append(str(part))
    return path, tables


def _tables(annotation: Any) -> list[type[Section]]:
    """The tables that a value of some type may be, or be made of."""
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return [annotation]
    return [table for part in get_args(annotation) for table in _tables(part)]


def _hint(path: list[str], known: list[str], others: Mapping[str, type[Section]]) -> str:
    """Which option somebody may have meant by one that is not there, in this table or another."""
    *above, key = path
    if hint := did_you_mean(key, known):
        return hint
    if above and above[0] in others:
        for name, network in networks(above[0]).items():
            if key in network_section(network).model_fields:
                return f" It is one of {above[0]}.network = {name!r}."
    everywhere: dict[str, list[str]] = {}
    tables: dict[str, type[Section]] = {"": Options, **others}
    for table, section in tables.items():
        for name in _everything(section, f"{table}." if table else ""):
            everywhere.setdefault(name.rpartition(".")[2], []).append(name)
    found = closest(key, everywhere)
    names = list(dict.fromkeys(everywhere[found])) if found else []
    names = [name for name in names if not name.startswith("own.")]  # only runs write that
    return f" Did you mean {' or '.join(map(repr, names[:3]))}?" if names else ""


def _everything(table: type[Section], above: str = "") -> Iterator[str]:
    """The dotted name of every option."""
    for key, field in table.model_fields.items():
        if field.annotation is Section or key == "networks":
            continue
        yield f"{above}{key}"
        for inner in _tables(field.annotation):
            yield from _everything(inner, f"{above}{key}.")
