"""Types of the options that several networks have, with their ranges and meanings."""

from typing import Annotated, Literal

from annotated_types import Ge, Le

Width = Annotated[int, Ge(1), Le(16384), "channels of the first layer"]
Blocks = Annotated[int, Ge(0), Le(128), "residual blocks"]
Norm = Annotated[Literal["batch", "instance", "none"], "normalisation behind each convolution"]
Upsample = Annotated[
    Literal["transposed", "resize"],
    "transposed convolutions, or enlarging and a convolution against checkerboard patterns",
]
Upscale = Annotated[
    Literal[1, 2, 4, 8],
    "how many times wider and higher what is made is than what is translated (models of pairs)",
]
AddsInput = Annotated[
    bool,
    "with upscale: what is made is the input, its pixels repeated, and what the network adds; for "
    "images that are the same but larger, of as many channels",
]
