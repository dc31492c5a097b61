"""[data]: where the images are, and how they become training samples."""

import re
from collections import Counter
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, PrivateAttr, model_validator

from i2i.config.section import Count, Names, Positive, Section, Share, Sizes, Width
from i2i.config.sides import DataSide
from i2i.core.labels import LabelSet, LabelSpace
from i2i.core.size import Size
from i2i.errors import did_you_mean


class Augment(Section):
    """Random changes on the device, beyond crop and flip. Geometry moves both images of a pair
    alike; colours change in the source image alone."""

    rotation: Annotated[float, Field(ge=0, le=180)] = Field(
        0.0, description="degrees, drawn from -x..x"
    )
    scale: Annotated[float, Field(ge=0, le=0.99)] = Field(0.0, description="drawn from 1-x..1+x")
    translation: Share = Field(0.0, description="share of the side, drawn from -x..x")
    brightness: Share = Field(0.0, description="factor drawn from 1-x..1+x")
    contrast: Share = Field(0.0, description="factor drawn from 1-x..1+x")
    saturation: Share = Field(0.0, description="factor drawn from 1-x..1+x")
    hue: Annotated[float, Field(ge=0, le=0.5)] = Field(0.0, description="turn drawn from -x..x")


class Transform(Section):
    """A transform of albumentations; the other keys are its arguments."""

    model_config = ConfigDict(extra="allow", frozen=True)

    name: Annotated[str, Field(min_length=1, max_length=100)] = Field(
        description="of a class of albumentations"
    )
    p: Share = Field(0.5, description="how probably it is applied")
    on: Annotated[str, Field(min_length=1, max_length=100)] = Field(
        "both",
        description="what it changes: A, B, one of several inputs by its name, or both; of pairs, "
        "geometry changes all alike",
    )

    @property
    def arguments(self) -> dict[str, Any]:
        """What is said beside: the arguments of its constructor."""
        return dict(self.model_extra or {})


class LabelledData(Section):
    """A data set whose images are labelled, for models of many domains: by the folders that they
    are in (`domains`), or by a table (`attributes`). What is left empty is found in the data and
    filled in when a run starts."""

    root: str = Field(
        "", description="where the images are: a folder, a name in the catalogue, or demo"
    )
    domains: Names = Field((), description="folders or classes to learn from; empty: all")
    table: str = Field("", description="file of attributes; its place is given from the root")
    attributes: Names = Field((), description="columns of the table; empty: all there are")
    groups: tuple[Names, ...] = Field(
        (), max_length=1000, description="attributes of which only one can hold"
    )

    @property
    def label_set(self) -> LabelSet:
        return LabelSet(self.attributes or self.domains, not self.attributes, self.groups)

    @model_validator(mode="after")
    def _names_fit(self) -> "LabelledData":
        if self.domains and (self.table or self.attributes or self.groups):
            raise ValueError("labels are either domains or attributes of a table: drop one of them")
        for name in (*self.domains, *self.attributes):
            # They become names of folders, also those of a checkpoint that a stranger gave.
            if name in ("", ".", "..") or any(c in "/\\" or not c.isprintable() for c in name):
                raise ValueError(
                    f"{name!r} cannot be the name of a folder of results: rename it without "
                    "slashes and control characters"
                )
        known = set(self.attributes)
        for name in (name for group in self.groups for name in group):
            if known and name not in known:
                raise ValueError(
                    f"groups: {name!r} is none of the attributes."
                    f"{did_you_mean(name, self.attributes)} "
                    f"They are: {', '.join(self.attributes)}. Change data.groups as well, or leave "
                    "it empty ([])"
                )
        return self


class Data(LabelledData):
    """Where the images are and how they become training samples."""

    more: tuple[LabelledData, ...] = Field(
        (), max_length=100, description="domains: further data sets"
    )
    balance: bool = Field(False, description="domains: show all of them equally often")
    references: Literal[0, 2] = Field(
        0, description="domains: images of a domain to aim at that come with each image"
    )
    root_b: str = Field("", description="unpaired: the folder of domain B, if it lies apart")
    load_size: Sizes = Field(
        description="pixels that images are resized to before they are cropped: of a square, or "
        "[width, height]"
    )
    crop_size: Sizes = Field(
        description="what is trained on: the side of a square in pixels, or [width, height]"
    )
    resize: Literal["stretch", "shorter side", "none"] = Field(
        "stretch",
        description="to load_size whatever the proportions; keeping them, until it is covered; or "
        "leave images as they are",
    )
    crop: Literal["random", "center", "random resized"] = Field(
        "random", description="where the crop is taken, in training; or how it is cut out"
    )
    flip: bool = Field(True, description="mirror half of the images, in training")
    direction: Literal["AtoB", "BtoA"] = Field("AtoB", description="which side is the input")
    input_channels: Width = Field(
        3, description="of what is translated: 1 (grey) or 3 (RGB), or what its side says"
    )
    output_channels: Width = Field(
        3, description="of what is made: 1 (grey) or 3 (RGB), or what its side says"
    )
    A: DataSide = DataSide()
    B: DataSide = DataSide()
    workers: Literal["auto"] | Annotated[int, Field(ge=0, le=1024)] = Field(
        "auto", description="processes that read images"
    )
    cache: Literal["auto", "memory", "disk", "off"] = Field(
        "auto", description="where decoded images are kept; auto: in memory, if they fit"
    )
    cache_gib: Positive = Field(16.0, description="most that they may take on the disk")
    skip_bad: bool = Field(
        False, description="leave out images that cannot be used, instead of stopping"
    )
    check: Literal["auto", "all", "sample"] = Field(
        "auto",
        description="images that are decoded before a training begins: all, or a sample, and the "
        "others beside the training; auto: all of 10,000 at most, or with skip_bad",
    )
    look_for_copies: bool = Field(
        True, description="say before a training which images are there more than once"
    )
    axis: Literal["axial", "coronal", "sagittal"] = Field(
        "axial", description="of medical volumes: across which slices are cut"
    )
    frame_step: Annotated[int, Field(ge=1, le=10**6)] = Field(
        1, description="of videos: take one of so many frames"
    )
    split_seed: Annotated[int, Field(ge=0)] = Field(
        0, description="which images are held out where there is no split to validate with"
    )
    split_table: str = Field(
        "", description="CSV of name, split and group, in place of folders of splits"
    )
    group_by: Annotated[str, Field(max_length=200)] = Field(
        "", description="pattern over names; images of equal matches are never in two splits"
    )
    folds: Annotated[int, Field(ge=2, le=1000)] | None = Field(
        None, description="parts that all images are divided into, of which one is tested with"
    )
    fold: Count = Field(1, description="which of them, from 1 on")
    val_share: Share | None = Field(
        None,
        description="of the images for training, held out to validate with; else a tenth where "
        "there are no others, and no images to test with",
    )
    test_share: Share = Field(
        0.0, description="of the images for training, held out to test with if there are no others"
    )
    limit: Count | None = Field(
        None,
        description="most images to train on, of each side or domain; those of 50 are among "
        "those of 100",
    )
    augment: Augment = Augment()
    transforms: Annotated[tuple[Transform, ...], Field(max_length=100)] = Field(
        (), description="transforms of albumentations, applied to the crop in this order"
    )

    # Follows from the generator, and is no option of the data: see `fitted`.
    _upscale: int = PrivateAttr(1)

    @property
    def upscale(self) -> int:
        """How many times wider and higher what is made is than what is translated."""
        return self._upscale

    @property
    def loaded(self) -> Size:
        """What images are resized to before they are cropped."""
        return Size.of(self.load_size)

    @property
    def cropped(self) -> Size:
        """What is trained on."""
        return Size.of(self.crop_size)

    @property
    def labels(self) -> LabelSpace:
        """What is known of the images; without names where nothing is."""
        return LabelSpace(tuple(each.label_set for each in (self, *self.more)))

    def letters(self, *, both_ways: bool, one_side: bool = False) -> str:
        """Which side is translated and which is made, in the order of a batch: "AB", "BA" or "AA".

        Arguments:
            both_ways: whether the model translates both ways, so that A always comes first.
            one_side: whether all images are of one kind, A, and so is what is made.
        """
        if one_side:
            return "AA"
        return "BA" if self.direction == "BtoA" and not both_ways else "AB"

    def sides(self, letters: str) -> tuple[DataSide, DataSide]:
        """The sides that `letters` says."""
        first, second = (self.A if letter == "A" else self.B for letter in letters)
        return first, second

    def fitted(self, letters: str, *, upscale: int) -> "Data":
        """These options with the channels that the sides say (`letters`), for a generator that
        makes what is so many times wider and higher."""
        told = [side.network_channels for side in self.sides(letters)]
        named = zip(("input_channels", "output_channels"), told, strict=True)
        changes = {name: count for name, count in named if count is not None}
        data = self.model_copy(update=changes)
        data._upscale = upscale
        return data

    def ratios(self, letters: str) -> dict[str, int]:
        """Side -> how many times wider and higher its images are than what is translated, for
        sides in the order of a batch (`letters`); without those of its size."""
        return {letters[1]: self.upscale} if len(letters) == 2 and self.upscale > 1 else {}

    @model_validator(mode="after")
    def _channels_can_be_read(self) -> "Data":
        known = {1, 3, self.A.network_channels, self.B.network_channels}
        for name in ("input_channels", "output_channels"):
            if (count := getattr(self, name)) not in known:
                raise ValueError(f"{name} (={count}) must be 1 (grey) or 3 (RGB)")
        return self

    @model_validator(mode="after")
    def _labels_are_told_apart(self) -> "Data":
        for name, times in Counter(self.labels.names).items():
            if times > 1:
                raise ValueError(
                    f"the label {name!r} is there more than once: rename its folder or column"
                )
        return self

    @model_validator(mode="after")
    def _splits_can_be(self) -> "Data":
        if self.folds is None and self.fold != 1:
            raise ValueError(f"fold (={self.fold}) is one of folds: say how many there are")
        if self.folds is not None and self.fold > self.folds:
            raise ValueError(f"fold (={self.fold}) must be at most folds (={self.folds})")
        try:
            re.compile(self.group_by)
        except re.error as error:
            raise ValueError(f"group_by (={self.group_by!r}) is no pattern: {error}") from None
        return self

    @model_validator(mode="after")
    def _crop_fits(self) -> "Data":
        if min(self.cropped) < 16:
            raise ValueError(f"crop_size (={self.cropped}) must be at least 16")
        small = any(a < b for a, b in zip(self.loaded, self.cropped, strict=True))
        if self.resize != "none" and small:
            raise ValueError(
                f"load_size (={self.loaded}) must be at least crop_size (={self.cropped})"
            )
        return self
