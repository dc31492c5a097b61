"""Recipes made small enough to train in a second."""

from typing import Any

import torch

from i2i.batch import Labelled, Pair, Unpaired
from i2i.builder import data_kind
from i2i.options import Options
from i2i.recipes import load_options, recipes

SHRINK = (
    "generator.width=2",
    "discriminator.width=2",
    "train.steps=4",
    "train.batch_size=2",
    "train.log_every=2",
    "train.validate_every=2",
    "train.save_every=2",
    "data.workers=0",
)


def shrunk(recipe: str, *settings: str) -> Options:
    """The recipe at 16 pixels, four steps, two channels wide."""
    shape = {
        "unet": ["generator.downs=2"],
        "resnet": ["generator.blocks=1"],
        "stargan": ["generator.blocks=1"],
    }
    options = load_options(recipe, size=16)
    small = [*SHRINK, *shape[options.generator.network]]
    if options.discriminator.network in ("patchgan", "stargan"):
        small.append("discriminator.layers=1")
    if data_kind(options) == "domains" and not options.data.labels.names:
        small.append('data.domains=["red", "green", "blue"]')
    return load_options(recipe, *small, *settings, size=16)


def batch_for(model: Any, count: int = 2, size: int = 16, seed: int = 0) -> Any:
    """A batch of noise of the kind that a model learns from."""
    generator = torch.Generator().manual_seed(seed)
    pictures = torch.randint(
        0, 256, (2, count, 3, size, size), dtype=torch.uint8, generator=generator
    )
    if model.data == "domains":
        labels = torch.eye(len(model.labels.names))[torch.arange(count) % len(model.labels.names)]
        return Labelled(pictures[0], labels, torch.ones(count, len(model.labels.sets)))
    return {"paired": Pair, "unpaired": Unpaired}[model.data](*pictures)


__all__ = ["batch_for", "recipes", "shrunk"]
