"""What to say before a training begins that will take far longer than somebody may expect."""

import shlex

from i2i.config import Options, read_options
from i2i.config.recipes import read_recipe, recipes

QUICK = ("quick", "mnist")
"""Endings of the recipes that give a first result in minutes without a GPU."""

LARGE = 8.0
"""How many times the work of such a recipe is worth a word."""


def without_gpu(options: Options, device_type: str) -> str | None:
    """A line that names the quick recipe of a model and the dry run, or None if it is not called
    for: there is a GPU, there is no such recipe, or this one is not much larger.

    Arguments:
        options: of the run.
        device_type: "cpu", "cuda", ...
    """
    if device_type != "cpu":
        return None
    known = recipes()
    quick = next((n for end in QUICK if (n := f"{options.model}-{end}") in known), None)
    if quick is None or _work(options) < LARGE * _work(read_options(read_recipe(quick))):
        return None
    root = shlex.quote(options.data.root) if options.data.root else "DATA"
    return (
        f"note: {options.model} at {options.data.cropped} pixels is a size for a GPU, and there "
        f"is none: `i2i train --recipe {quick} --dataroot {root}` gives a first result in minutes, "
        "--dry-run says how long this one will take."
    )


def _work(options: Options) -> float:
    """What an image costs, but for a factor that networks of one kind share."""
    width = getattr(options.generator, "width", 1)
    return float(options.data.cropped.pixels * width**2)
