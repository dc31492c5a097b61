"""The models, one file each, found by the name of the file.

A model file defines exactly one subclass of `i2i.game.Model`. Nothing has to be registered: a
recipe whose `model` is "pix2pix" is played by the class in `i2i/models/pix2pix.py`.
"""

import importlib
import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from torch import nn

from i2i.errors import OptionsError, did_you_mean
from i2i.game import Model
from i2i.growth import Growth
from i2i.labels import LabelSpace
from i2i.latent import Latent
from i2i.objectives import Adversarial


@dataclass(frozen=True)
class Kit:
    """What a model is assembled from: the parts that a recipe chooses, freshly initialised."""

    generator: Callable[..., nn.Module]
    """Makes a generator from its numbers of input and output channels; one that makes pictures from
    noise from the length of its latent vectors, its output channels, `size` and `classes`."""

    discriminator: Callable[..., nn.Module]
    """Makes a discriminator from its number of input channels and, where it also tells labels or is
    told them, from how many `classes` (and `codes`) and the `size` of the pictures."""

    input_channels: int
    output_channels: int
    adversarial: Adversarial
    weights: Mapping[str, float]
    """The weight of each term."""

    size: int
    """Height and width of the pictures that it trains on."""

    pool: int
    """Older translations that a discriminator may be shown."""

    critic_turns: int
    """Turns of the discriminator for each one of the generator."""

    generator_turns: int
    """Turns of the generator in one step."""

    mixed_batch: bool
    """Whether a discriminator judges real and generated pictures in one batch."""

    latent: Latent | None
    """What a generator makes pictures of when it has none to translate."""

    told: str
    """Whether such a generator is told the class: "ignored", "required" or "if known"."""

    redraw: bool
    """Whether latent vectors are drawn anew for the generator's turn."""

    growth: Growth | None
    """How the networks grow, for those that do."""

    labels: LabelSpace
    """What is known of the pictures; without names where nothing is."""


def model_names() -> list[str]:
    """The names of all models."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__))


def find_model(name: str) -> type[Model]:
    """Return the class of the model `name`; importing only that one file."""
    known = model_names()
    if name not in known:
        raise OptionsError(
            f"model (={name!r}) must be one of {', '.join(known)}.{did_you_mean(name, known)}"
        )
    module = importlib.import_module(f"{__name__}.{name}")
    found = [
        thing
        for thing in vars(module).values()
        if isinstance(thing, type)
        and issubclass(thing, Model)
        and thing.__module__ == module.__name__
    ]
    assert len(found) == 1, f"{module.__name__} must define one model, not {found}"
    return found[0]
