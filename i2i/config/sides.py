"""[data.A] and [data.B]: what the images of a side are."""

import re
from typing import Annotated, Literal

from pydantic import Field, model_validator

from i2i.config.section import Names, Section
from i2i.core.label_maps import MOST_CLASSES, RGB, LabelMaps

Colour = Annotated[str, Field(pattern=re.compile("^#[0-9a-fA-F]{6}$"))]
Value = Annotated[int, Field(ge=0, le=65535)]


class DataSide(Section):
    """What the images of one side of a data set are: of A or of B, whichever is translated."""

    kind: Literal["images", "labels"] = Field(
        "images", description="images, or label maps, which networks see as a plane for each class"
    )
    classes: Annotated[int, Field(ge=0, le=MOST_CLASSES)] = Field(
        0, description="labels: how many there are, numbered from 0 in the files; 0: as the palette"
    )
    palette: Annotated[tuple[Colour, ...], Field(max_length=MOST_CLASSES)] = Field(
        (), description='labels: the colour of each class ("#rrggbb"), if the files hold colours'
    )
    nearest: bool = Field(
        False,
        description="labels: take any colour for the nearest one of the palette, as JPEG needs it",
    )
    names: Names = Field((), description="labels: what the classes are called, for people")
    ignore: Annotated[tuple[Value | Colour, ...], Field(max_length=MOST_CLASSES)] = Field(
        (), description="labels: numbers or colours of pixels that are of no class"
    )
    ignore_plane: bool = Field(
        False, description="labels: give those a plane of their own; else they are 0 in all planes"
    )
    instances: str = Field(
        "",
        description="labels: folder of maps of the same names that number the objects; networks "
        "see the borders of objects in one more plane",
    )

    @property
    def labels(self) -> LabelMaps | None:
        """How label maps become planes; None for images."""
        if self.kind != "labels":
            return None
        return LabelMaps(
            classes=self.classes or len(self.palette),
            palette=tuple(map(_rgb, self.palette)),
            nearest=self.nearest,
            ignored=tuple(_rgb(each) if isinstance(each, str) else each for each in self.ignore),
            ignore_plane=self.ignore_plane,
            edges=bool(self.instances),
            names=self.names,
        )

    @property
    def channels(self) -> int | None:
        """How many channels networks see; None: as [data] says."""
        return None if self.labels is None else self.labels.planes

    @model_validator(mode="after")
    def _classes_are_known(self) -> "DataSide":
        told = self.classes or self.palette or self.names or self.ignore or self.instances
        if self.kind != "labels":
            if told or self.nearest or self.ignore_plane:
                raise ValueError(
                    "classes, palette, nearest, names, ignore, ignore_plane and instances are of "
                    'label maps: say kind = "labels", or leave them out'
                )
            return self
        if not self.classes and not self.palette:
            raise ValueError(
                "classes is missing: say how many classes the label maps number, or give the "
                "palette of their colours (`i2i doctor` says what is in the files)"
            )
        count = self.classes or len(self.palette)
        for name, given in (("palette", self.palette), ("names", self.names)):
            if given and len(given) != count:
                raise ValueError(
                    f"{name} has {len(given)} entries, but there are {count} classes: give one "
                    "for each"
                )
        if len({each.lower() for each in self.palette}) < len(self.palette):
            raise ValueError("two classes of the palette have the same colour")
        if self.nearest and not self.palette:
            raise ValueError("nearest (=true) is about colours: give the palette, or drop it")
        if self.ignore_plane and not self.ignore:
            raise ValueError("ignore is missing: ignore_plane (=true) is about what it names")
        for each in self.ignore:
            if isinstance(each, str) != bool(self.palette):
                wanted = 'colours ("#rrggbb")' if self.palette else "numbers"
                raise ValueError(f"ignore (={each!r}) must be {wanted}, as the files hold those")
            if isinstance(each, int) and each < count:
                raise ValueError(f"ignore (={each}) is the number of one of the {count} classes")
            if isinstance(each, str) and each.lower() in {c.lower() for c in self.palette}:
                raise ValueError(f"ignore (={each!r}) is a colour of the palette")
        return self


def _rgb(colour: str) -> RGB:
    number = int(colour[1:], 16)
    return number >> 16, number >> 8 & 255, number & 255
