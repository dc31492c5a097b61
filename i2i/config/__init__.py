"""Everything that decides what a run does: one frozen, validated, printable object.

`i2i.config.recipes` lays recipes and the command line over each other; `Options` is what all layers
together say. Every value is there, so what a run used can be written down whole and read back.

Published hyper-parameters live in the recipes. The defaults here are either neutral (no moving
average, no smoothing) or those of a network that a recipe may be switched to.

There is a file for each group of tables; this is what the others know of them, and nobody but this
room knows pydantic.
"""

from i2i.config.adversarial import Adversarial
from i2i.config.data import Data, LabelledData
from i2i.config.options import Options
from i2i.config.parts import Network, named_section, network_section
from i2i.config.reading import Layer, read_options
from i2i.config.training import Optimizer

__all__ = [
    "Adversarial",
    "Data",
    "LabelledData",
    "Layer",
    "Network",
    "Optimizer",
    "Options",
    "named_section",
    "network_section",
    "read_options",
]
