"""The tables of parts: what a constructor's keyword-only arguments say, read as options.

A part (a network, a model) declares its options where it uses them, each with its type, range,
meaning and default::

    def __init__(self, channels: int, *, width: Annotated[int, Ge(1), "channels"] = 64): ...

Arguments without a meaning are no options: a model gives them.
"""

import inspect
from collections.abc import Callable
from functools import cache
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

from pydantic import Field, create_model

from i2i.config.section import Positive, Section
from i2i.core.registry import is_own, networks

InitScheme = Literal["normal", "xavier", "kaiming", "orthogonal", "torch"]


class Network(Section):
    """A table that chooses a network: its name, and how its weights are drawn."""

    network: str
    init: InitScheme = Field("normal", description="how the weights are drawn at the beginning")
    init_gain: Positive = Field(0.02, description="how large they are, as `init` understands it")


class OwnNetwork(Network):
    """The table of a network whose layers draw their own weights."""

    init: Literal["torch"] = Field("torch", description="its layers draw their own weights")


def options_of(constructor: Callable[..., Any]) -> dict[str, tuple[Any, Any]]:
    """The options that a constructor declares: name -> (annotation, pydantic's field).

    Raises:
        TypeError: an option has no default.
    """
    hints = get_type_hints(constructor, include_extras=True)
    options = {}
    for name, parameter in inspect.signature(constructor).parameters.items():
        hint = hints.get(name)
        if parameter.kind is not parameter.KEYWORD_ONLY or get_origin(hint) is not Annotated:
            continue
        kind, *metadata = get_args(hint)
        meanings = [each for each in metadata if isinstance(each, str)]
        if not meanings:
            continue
        if parameter.default is parameter.empty:
            raise TypeError(f"the option {name!r} of {constructor} must have a default")
        annotation = kind
        for constraint in metadata:
            if not isinstance(constraint, str):
                annotation = Annotated[annotation, constraint]
        # The last meaning is that of this part; those before, of a type that several share.
        options[name] = (annotation, Field(parameter.default, description=meanings[-1]))
    return options


def named_section(role: str, name: str) -> type[Network]:
    """The table of the network of a role that has this name; of one that a program gives as an
    object, what all tables have.

    Raises:
        OptionsError: there is no such network.
    """
    return Network if is_own(name) else network_section(networks(role).find(name))


@cache
def network_section(network: type) -> type[Network]:
    """The table of a network, from its constructor."""
    base = OwnNetwork if getattr(network, "draws_own_weights", False) else Network
    # A class, so that constructors of the same shape do not share a cached signature.
    fields: Any = options_of(network.__init__)  # type: ignore[misc]
    return create_model(network.__name__, __base__=base, __doc__=network.__doc__, **fields)


@cache
def game_section(model: type) -> type[Section]:
    """The table [game] of a model, from its constructor."""
    fields: Any = options_of(model.__init__)  # type: ignore[misc]
    return create_model(f"{model.__name__}Game", __base__=Section, __doc__=None, **fields)
