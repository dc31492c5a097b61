"""Everything that decides what a run does: one frozen, validated, printable object.

`i2i.recipes` lays recipes and the command line over each other; `Options` is what all layers
together say. Every value is there, so what a run used can be written down whole and read back.

Published hyper-parameters live in the recipes. The defaults here are either neutral (no moving
average, no smoothing) or those of a network that a recipe may be switched to.

There is a file for each group of tables; this is what the others know of them, and nobody but this
room knows pydantic.
"""

from i2i.options.data import Data, LabelledData
from i2i.options.game import Adversarial
from i2i.options.parts import Network, network_section
from i2i.options.reading import Layer, read_options
from i2i.options.training import Optimizer
from i2i.options.whole import Options

__all__ = [
    "Adversarial",
    "Data",
    "LabelledData",
    "Layer",
    "Network",
    "Optimizer",
    "Options",
    "network_section",
    "read_options",
]
