"""[data.A] and [data.B]: what the images of a side are."""

import re
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from i2i.config.section import Few, Names, Section, Width
from i2i.core.inputs import COLOURS, Input, Inputs
from i2i.core.label_maps import MOST_CLASSES, RGB, LabelMaps
from i2i.core.scale import Scale
from i2i.errors import did_you_mean

Colour = Annotated[str, Field(pattern=re.compile("^#[0-9a-fA-F]{6}$"))]
Value = Annotated[int, Field(ge=0, le=65535)]

MOST_INPUTS = 7
"""Of a scene; with what it becomes, a record of the cache holds eight images."""

Root = Annotated[str, Field(pattern=re.compile(r"^(?!\.)[^/\\\x00-\x1f:]{1,100}$"))]
"""The name of a folder, which is not hidden."""

Number = Annotated[float, Field(allow_inf_nan=False)]
Percentile = Annotated[str, Field(pattern=re.compile(r"^[0-9]{1,3}(\.[0-9]{1,6})?%$"))]
Bound = Number | Percentile
Band = Annotated[tuple[Number, Number], Field()]

DType = Literal[
    "auto", "uint8", "uint16", "int16", "uint32", "int32", "float16", "float32", "float64"
]


class DataPart(Section):
    """What the images of a folder are: of a side, or of one of its several inputs."""

    kind: Literal["images", "labels"] = Field(
        "images", description="images, or label maps, which networks see as a plane for each class"
    )
    channels: Width | None = Field(
        None,
        description="images: bands of the files, which are used as they are; none: 8 bits of grey "
        "or RGB, as data.input_channels and data.output_channels say, whatever the files hold",
    )
    dtype: DType = Field(
        "auto", description="images: type of the values in files and results; auto: as found"
    )
    range: Literal["auto"] | tuple[Bound, Bound] | tuple[Band, ...] | None = Field(
        None,
        description="images: the values that become -1 and 1: [low, high], a pair for each band, "
        '"auto" for the least and the greatest of the training images, or percentiles of these '
        '(["1%", "99%"]); none: 0..255 of 8 bits, else auto',
    )
    show: Annotated[tuple[Few, ...], Field(max_length=3)] = Field(
        (), description="images: the bands that people see, from 1: [3, 2, 1]; else the first"
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
            edges=bool(self.object_maps),
            names=self.names,
        )

    @property
    def object_maps(self) -> str:
        """The folder of maps that number objects; "" for none."""
        return ""

    @property
    def network_channels(self) -> int | None:
        """How many channels networks see; None: as [data] says."""
        return self.channels if self.labels is None else self.labels.planes

    @property
    def as_filed(self) -> bool:
        """Whether the values of files are used as they are, with all bands and bits."""
        return self.channels is not None or self.range is not None or self.dtype != "auto"

    @property
    def is_measured(self) -> bool:
        """Whether all is known that only the files can tell."""
        return not self.as_filed or self.scale is not None

    @property
    def scale(self) -> Scale | None:
        """What the values mean; None for 8 bits of colours, and for what is not measured yet."""
        ranges = self.range
        if self.dtype == "auto" or self.channels is None or ranges is None or ranges == "auto":
            return None
        if isinstance(ranges[0], tuple):
            return Scale(self.dtype, ranges)  # type: ignore[arg-type]
        if any(isinstance(each, str) for each in ranges):
            return None
        return Scale(self.dtype, (ranges,))  # type: ignore[arg-type]

    def _require_ranges(self) -> None:
        pairs: list[tuple[float | str, float | str]] = []
        if isinstance(self.range, tuple):
            several = bool(self.range) and isinstance(self.range[0], tuple)
            pairs = [*self.range] if several else [self.range]  # type: ignore[list-item]
            if several and self.channels not in (None, len(pairs)):
                raise ValueError(
                    f"range has {len(pairs)} pairs, and channels (={self.channels}) are not as "
                    "many: give a pair for each band, or one for all"
                )
        for low, high in pairs:
            if isinstance(low, str) != isinstance(high, str):
                raise ValueError(
                    f"range (=[{low!r}, {high!r}]) must be two values or two percentiles"
                )
            if not _bound(low) < _bound(high) or (isinstance(high, str) and _bound(high) > 100):
                raise ValueError(f"range (=[{low!r}, {high!r}]) must begin below its end")
        if self.channels is not None and any(band > self.channels for band in self.show):
            raise ValueError(f"show (={list(self.show)}) names a band beyond the {self.channels}")

    @model_validator(mode="after")
    def _classes_are_known(self) -> Self:
        told = self.classes or self.palette or self.names or self.ignore or self.object_maps
        if self.kind != "labels":
            self._require_ranges()
            if told or self.nearest or self.ignore_plane:
                raise ValueError(
                    "classes, palette, nearest, names, ignore, ignore_plane and instances are of "
                    'label maps: say kind = "labels", or leave them out'
                )
            return self
        if self.as_filed or self.show:
            raise ValueError(
                'channels, dtype, range and show are of images: say kind = "images", or leave '
                "them out"
            )
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


class DataSide(DataPart):
    """What the images of one side of a data set are: of A or of B, whichever is translated."""

    roots: Annotated[tuple[Root, ...], Field(max_length=MOST_INPUTS)] = Field(
        (),
        description="folders within that of the side: several inputs of each scene, matched by "
        "name; networks see the channels of one behind those of the other",
    )
    parts: dict[str, DataPart] = Field(
        {},
        description="what the images of such a folder are: [data.A.parts.depth] with kind, "
        "channels, dtype, range, show, classes, ...; nothing: 8 bits of RGB",
    )
    instances: str = Field(
        "",
        description="labels: folder of maps of the same names that number the objects; networks "
        "see the borders of objects in one more plane",
    )

    window: Literal["volume"] | tuple[Number, Number] = Field(
        "volume",
        description="of medical volumes: the values that become black and white, [-1000, 400]; "
        "volume: 0.5 % and 99.5 % quantiles of each",
    )

    @property
    def object_maps(self) -> str:
        return self.instances

    @property
    def inputs(self) -> Inputs | None:
        """How several inputs become one; None for one, and for what is not measured yet."""
        if not self.roots or not self.is_measured:
            return None
        return Inputs(self.each_input)

    @property
    def each_input(self) -> tuple[Input, ...]:
        """Several inputs, as far as they are known."""
        return tuple(_input(root, self.part(root)) for root in self.roots)

    def part(self, root: str) -> DataPart:
        """What the images of one of the folders are."""
        return self.parts.get(root, DataPart())

    @property
    def network_channels(self) -> int | None:
        if self.roots:
            return self.inputs.planes if self.inputs else None
        return super().network_channels

    @property
    def as_filed(self) -> bool:
        return bool(self.roots) or super().as_filed

    @property
    def is_measured(self) -> bool:
        if self.roots:
            return all(self.part(root).is_measured for root in self.roots)
        return super().is_measured

    @model_validator(mode="after")
    def _window_is_open(self) -> Self:
        if self.window != "volume" and self.window[0] >= self.window[1]:
            raise ValueError(f"the window {list(self.window)} is empty: say [low, high]")
        return self

    @model_validator(mode="after")
    def _inputs_fit(self) -> Self:
        for root in self.parts:
            if root not in self.roots:
                raise ValueError(
                    f"parts.{root} is about none of the roots.{did_you_mean(root, self.roots)} "
                    f"They are: {', '.join(self.roots) or 'none'}"
                )
        if not self.roots:
            return self
        if len(self.roots) == 1 or len(set(self.roots)) < len(self.roots):
            raise ValueError(
                f"roots (={list(self.roots)}) must name several folders: of one image of each "
                "scene say nothing"
            )
        own = {name for name in DataPart.model_fields if name in self.model_fields_set}
        changed = [n for n in own if getattr(self, n) != DataPart.model_fields[n].get_default()]
        if self.instances:
            changed.append("instances")
        if changed:
            raise ValueError(
                f"{min(changed)} is of one image of each scene, and roots names several: say it of "
                f"one of them, [data.A.parts.{self.roots[0]}] (instances cannot be)"
            )
        return self


def _input(root: str, part: DataPart) -> Input:
    return Input(root, part.channels or COLOURS, part.labels, part.scale, part.show)


def _bound(value: float | str) -> float:
    """A bound, or the number of a percentile."""
    return float(value[:-1]) if isinstance(value, str) else value


def _rgb(colour: str) -> RGB:
    number = int(colour[1:], 16)
    return number >> 16, number >> 8 & 255, number & 255
