"""Recipes made small enough to train in a second."""

from i2i.builder import data_kind
from i2i.options import Options, load_options, recipes

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


__all__ = ["recipes", "shrunk"]
