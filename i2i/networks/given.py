"""Networks that a program gives as objects, in the place of registered ones."""

import inspect
from collections.abc import Mapping
from copy import deepcopy
from typing import Any

import torch
from torch import nn

from i2i.core.registry import OWN, networks
from i2i.errors import OptionsError


class GivenNetwork:
    """Stands for the class of a network in the registry of its role.

    A module is copied each time, with its weights as they are; what makes modules (a class, a
    function) is called with what the model says: the numbers of channels, and so on.

    Arguments:
        role: "generator", "discriminator", or another that the model has.
        made_by: the module, or what makes it.

    Raises:
        OptionsError: it is neither.
    """

    def __init__(self, role: str, made_by: Any) -> None:
        if not isinstance(made_by, nn.Module) and not callable(made_by):
            raise OptionsError(
                f"networks[{role!r}] (={made_by!r}) must be a torch.nn.Module, or a class or "
                "function that makes one."
            )
        self.role = role
        self.made_by = made_by

    @property
    def is_module(self) -> bool:
        """Whether it comes with weights."""
        return isinstance(self.made_by, nn.Module)

    @property
    def draws_own_weights(self) -> bool:
        """Whether its weights stay as they are at the beginning."""
        return self.is_module or bool(getattr(self.made_by, "draws_own_weights", False))

    @property
    def name(self) -> str:
        """What options call it."""
        kind = type(self.made_by) if self.is_module else self.made_by
        return OWN + str(getattr(kind, "__name__", type(kind).__name__))

    @property
    def keeps_biases(self) -> bool:
        """See `i2i.networks.initialise`."""
        return bool(getattr(self.made_by, "keeps_biases", False))

    def __call__(self, *numbers: int, **more: Any) -> nn.Module:
        if isinstance(self.made_by, nn.Module):
            try:
                made = deepcopy(self.made_by).train()
            except Exception as error:
                raise OptionsError(
                    f"networks[{self.role!r}] (={self.name.removeprefix(OWN)}) cannot be copied "
                    f"({type(error).__name__}: {error}): give a class or function that makes it."
                ) from error
            return made.to("meta") if torch.get_default_device().type == "meta" else made
        try:
            if getattr(self.made_by, "__init__", None) is nn.Module.__init__ and (numbers or more):
                # Its signature takes anything, and the call nothing.
                raise TypeError(f"{self.name.removeprefix(OWN)} has no __init__ of its own")
            inspect.signature(self.made_by).bind(*numbers, **more)
        except TypeError as error:
            told = ", ".join([*map(str, numbers), *(f"{k}={v}" for k, v in more.items())])
            raise OptionsError(
                f"networks[{self.role!r}] (={self.name.removeprefix(OWN)}) is called with ({told}) "
                f"by this model, and does not take that ({error}): give a function that does, or "
                "the module itself."
            ) from error
        made = self.made_by(*numbers, **more)
        if not isinstance(made, nn.Module):
            raise OptionsError(
                f"networks[{self.role!r}] gave {type(made).__name__}: expected a torch.nn.Module."
            )
        return made


class MissingNetwork(nn.Module):
    """Stands for a network that was given when a run began, and is not now: a discriminator, say,
    whom nobody asks after the training.

    Arguments:
        error: what to say to whoever does.
    """

    def __init__(self, error: OptionsError) -> None:
        super().__init__()
        self.error = error

    def forward(self, *inputs: Any) -> Any:
        raise self.error


def given_networks(given: Mapping[str, Any]) -> dict[str, dict[str, GivenNetwork]]:
    """Networks by role, for `i2i.core.registry.giving`.

    Raises:
        OptionsError: one is neither a module nor makes one.
    """
    return {networks(role).what: {OWN: GivenNetwork(role, each)} for role, each in given.items()}
