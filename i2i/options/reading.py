"""Reading options, and saying what is wrong with them."""

from collections.abc import Iterable, Mapping
from typing import Any, get_args

from pydantic import ValidationError

from i2i.errors import OptionsError, did_you_mean
from i2i.options.networks import NETWORKS, Network
from i2i.options.whole import Options

Layer = Mapping[str, Any]


def read_options(layer: Layer) -> Options:
    """Validate a complete set of options.

    Raises:
        OptionsError: lists everything that is wrong, each with its dotted path.
    """
    try:
        return Options.model_validate(layer)
    except ValidationError as error:
        problems = [_explain(problem) for problem in error.errors()]
        raise OptionsError("\n".join(problems)) from None


def _explain(problem: Mapping[str, Any]) -> str:
    # A union of networks puts the name of the chosen one into the path; nobody wrote such a key.
    path = [str(part) for part in problem["loc"]]
    if len(path) > 1 and path[1] in NETWORKS.get(path[0], {}):
        del path[1]
    name = ".".join(path)
    match problem["type"]:
        case "extra_forbidden":
            known = list(_fields(problem["loc"][:-1]))
            hint = did_you_mean(path[-1], known)
            return f"{name} is no option.{hint} Known here: {', '.join(known)}."
        case "missing":
            return f"{name} is missing: the recipe must give it."
        case "union_tag_invalid":
            value, allowed = problem["ctx"]["tag"], problem["ctx"]["expected_tags"]
            hint = did_you_mean(value, allowed.replace("'", "").split(", "))
            return f"{name}.network (={value!r}) must be one of {allowed}.{hint}"
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


def _fields(location: Iterable[str | int]) -> Iterable[str]:
    """The keys that the section at a location knows."""
    section: Any = Options
    networks: Mapping[str, type[Network]] = {}
    for part in location:
        if isinstance(part, int):  # a place in a list of sections
            section = get_args(section)[0]
        elif part in networks:
            section = networks[part]
        elif part in NETWORKS:
            networks = NETWORKS[part]
        else:
            section = section.model_fields[part].annotation
    return list(section.model_fields)
