"""What the tables of a recipe have in common."""

from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from i2i.core.size import MOST, Size

# Options also come from checkpoints and recipes of strangers, and from slips of the finger. Each
# bound is far beyond what anybody can use, and far below what takes hours merely to build.
Count = Annotated[int, Field(ge=1, le=10**12)]
"""A million steps a second take eleven days."""

Few = Annotated[int, Field(ge=1, le=1000)]
"""Turns in a step, rows of a sheet."""

Width = Annotated[int, Field(ge=1, le=16384)]
"""Channels. The widest published GANs have 2,048 (eight times 256)."""

Layers = Annotated[int, Field(ge=1, le=128)]
Blocks = Annotated[int, Field(ge=0, le=128)]
"""Layers of one kind. A residual network for images has 9; the deepest for anything about 1,000,
but those of a generator all work at a quarter of the size of the image."""

Halvings = Annotated[int, Field(ge=1, le=16)]
"""Times that the size is halved: what the largest side has."""

Side = Annotated[int, Field(ge=1, le=MOST)]
"""Pixels."""


def _plain_size(value: Any) -> Any:
    """ "512x256" as a pair, and a square as one number; what is no size stays for pydantic."""
    if isinstance(value, str):
        return Size.of(value).plain
    pair = isinstance(value, list | tuple) and len(value) == 2
    return value[0] if pair and value[0] == value[1] else value


Sizes = Annotated[Side | tuple[Side, Side], BeforeValidator(_plain_size)]
"""The side of a square, or [width, height]; also "WIDTHxHEIGHT"."""

Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Weight = Annotated[float, Field(allow_inf_nan=False)]
Names = Annotated[
    tuple[Annotated[str, Field(min_length=1, max_length=255)], ...], Field(max_length=32768)
]
"""Of folders, which have 255 letters at most on any system; ImageNet has 21,841 classes."""


class Section(BaseModel):
    """A table of a recipe: nothing unknown, nothing changed after it was read."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
