"""What a kind of data set is: the one object that is asked about pairs, domains, classes.

Whoever reads, trains, measures or examines a data set asks the object, and never which kind it is::

    @register_data_kind("paired")
    class Paired(DataKind): ...

`Model.data` is the name of a kind.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor

from i2i.config import Options
from i2i.core.batch import to_tensor
from i2i.core.labels import LabelSpace
from i2i.core.registry import MODELS
from i2i.core.sides import Fields
from i2i.core.size import AnySize, Size
from i2i.data.augment.geometry import resize_pixels
from i2i.data.images.check import CheckResult
from i2i.data.inspection.finding import Severity
from i2i.data.inspection.survey import Survey, Wanted
from i2i.data.kinds.image_set import FoundImages
from i2i.data.sources.source import Source, geometry
from i2i.errors import OptionsError


class NamedImages(NamedTuple):
    """Images (N, C, H, W) uint8 and a name for each."""

    images: Tensor
    names: list[str]

    @classmethod
    def numbered(cls, images: Tensor) -> "NamedImages":
        return cls(images, [str(number) for number in range(len(images))])


Groups = Mapping[str, NamedImages]
"""Images that a classifier tells apart, by what they are."""


@dataclass(frozen=True)
class Trial:
    """Held-out images to translate, and what the results should be like."""

    name: str
    """Tells the trials of one data set apart: "AtoB", a domain; "" for the only one."""

    sources: NamedImages
    real: NamedImages

    aligned: bool = False
    """Whether each result should be equal to the real image of its number."""

    direction: str | None = None
    """"AtoB" or "BtoA", for models that translate both ways."""

    domain: str | None = None
    labels: Tensor | None = None
    """What to translate to, and the labels (N, L) that the sources have."""

    groups: Callable[[], tuple[Groups, Groups]] | None = None
    """What a classifier learns to tell apart, and held-out images to measure its accuracy on. Of
    equal functions there is one classifier."""

    group: str = ""
    """As which of them results should be recognised."""

    side: str = ""
    """The domain that results belong to, where discriminators of several give errors."""

    notes: Sequence[str] = field(default=())


@dataclass(frozen=True)
class Beginning:
    """Where somebody begins who has such data and has never trained a model.

    Attributes:
        recipe: with a GPU.
        quick: without one.
        holds: what the data is, in plain words.
        why: what the model of these recipes does with it, a sentence.
        few: images of each part below which there are hardly enough to learn from.
        usual: images of each part that such models were published with.
    """

    recipe: str
    quick: str
    holds: str
    why: str
    few: int
    usual: int


@dataclass(frozen=True)
class DataKind(ABC):
    """A kind of data set, under the name that it is registered by."""

    name: str

    batch: ClassVar[type]
    """The named tuple of a batch (`i2i.core.batch`)."""

    fields: ClassVar[Fields] = {}
    """Its fields that hold images -> which side they are of: 0, what is translated, or 1."""

    takes_labels: ClassVar[bool] = False
    """Whether a side may be label maps."""

    takes_inputs: ClassVar[bool] = False
    """Whether what is translated may be several images of each scene."""

    translates: ClassVar[bool] = True
    """Whether models translate its images; else they make such images from noise."""

    has_truth: ClassVar[bool] = False
    """Whether it is known what each image should become."""

    sides: ClassVar[str] = "AB"
    """"AB" for data of two sides, else "A"."""

    has_domains: ClassVar[bool] = False
    """Whether a generator is told, in planes beside the image, what to translate to."""

    beginning: ClassVar[Beginning | None] = None
    """What to begin with; None where nobody has said it."""

    task: ClassVar[str] = "Other data"
    """What such data is for, as a heading of `i2i models`."""

    part: ClassVar[str] = "domain"
    """What its parts are called, in a sentence."""

    balance_advice: ClassVar[str] = ""
    """What to do about parts of unequal size; "" where it cannot happen."""

    balance_severity: ClassVar[Severity] = "note"

    demo: ClassVar[str] = "paired"
    """Which of the painted data sets is of this kind."""

    rank: ClassVar[int] = 100
    """A folder that fits several kinds is taken for that of the lowest rank."""

    unused: ClassVar[tuple[str, ...]] = ("table", "attributes", "domains", "groups", "more")
    """Options of [data] that mean nothing here."""

    takes_root_b: ClassVar[bool] = False
    """Whether domain B may lie apart, in `data.root_b`."""

    takes_table: ClassVar[bool] = False
    """Whether labels may stand in a table, `data.table`."""

    @abstractmethod
    def open(self, options: Options, checked: CheckResult) -> Source:
        """Find the images, check every one of them, and make data sets of them.

        Arguments:
            options: of the run, settled.
            checked: learns of every image that is looked at.

        Raises:
            DataError: the folder or images in it are not as they should be.
        """

    @abstractmethod
    def survey(self, found: Survey, wanted: Wanted) -> Iterable[Callable[[Survey], Survey]]:
        """The steps that add to a survey what is in each split, for the doctor.

        A step may raise DataError, which becomes one of the problems of the survey.
        """

    def require_meaning(self, options: Options) -> None:
        """Refuse options that would be ignored, and transforms that are none.

        Raises:
            OptionsError: there is one.
        """
        data = options.data
        letters = self.letters(options)
        geometry(data, letters=letters[: len(self.sides)], paired=self.has_truth)
        for letter in "AB":
            side = getattr(data, letter)
            if side.roots and (not self.takes_inputs or letter != letters[0]):
                raise OptionsError(
                    f"data.{letter}.roots (={list(side.roots)}): several inputs are for what is "
                    "translated, of paired data (pix2pix, pix2pixHD, SPADE). Without pairs a model "
                    "makes such images as well, or sees both with the same layers: stack the "
                    "inputs into one file of several bands (channels), or leave them out."
                )
            if letter not in letters and (side.as_filed or side.show):
                raise OptionsError(
                    f"data.{letter} is for models of two sides; the model {options.model!r} learns "
                    f"from {self.name} data, whose images are all of one kind: say it in data.A."
                )
            if not self.takes_labels and side.labels is not None:
                raise OptionsError(
                    f"data.{letter}.kind (='labels') is for models of two sides; the model "
                    f"{options.model!r} learns from {self.name} data: leave it out."
                )
        if data.root_b and not self.takes_root_b:
            raise OptionsError(
                f"data.root_b (={data.root_b!r}, --dataroot-b) is for unpaired data; the model "
                f"{options.model!r} learns from {self.name} data and would ignore it: leave it out."
            )
        for name in self.unused:
            if getattr(data, name):
                raise OptionsError(
                    f"data.{name} is for models of many domains; the model {options.model!r} "
                    f"learns from {self.name} data and would ignore it: leave it out."
                )

    def letters(self, options: Options) -> str:
        """The sides in the order of a batch (`Data.letters`)."""
        both_ways = bool(MODELS.find(options.model).directions)
        return options.data.letters(both_ways=both_ways, one_side=self.sides == "A")

    def files(self, options: Options) -> Mapping[str, Sequence[tuple[Path, int | None]]]:
        """The images of each side ("A", "B"), or of each of its inputs ("A.depth"), to train on:
        files, each with the half of it that is meant (0 or 1; None for all of it).

        Raises:
            DataError: the folder is not as it should be.
        """
        return {}

    def labels(self, options: Options) -> dict[str, Any]:
        """What of [data] only the data can tell: the names of its labels.

        Raises:
            DataError: there are no labels, or not those that the options name.
        """
        return {}

    def side_names(self, options: Options) -> tuple[str, str]:
        """What the two sides of the data are called: A and B where nobody has named them.

        Raises:
            DataError: the folder is not as it should be.
        """
        return "A", "B"

    def find_named(self, dataroot: str) -> FoundImages | None:
        """The images of a data set that has a name and no folder, or None if there is none.

        Raises:
            DataError: it cannot be had.
        """
        return None

    def detect(self, root: Path, fits: Mapping[str, str]) -> Mapping[str, str]:
        """What a folder looks like, and why in words: mostly this kind, or nothing.

        Arguments:
            root: the folder.
            fits: the kinds of lower rank that it looks like.
        """
        return {}

    def count_samples(self, parts: Sequence[int]) -> int:
        """How many samples an epoch has, of parts with so many images to train on."""
        return max(parts, default=0)

    def count_held_out(self, source: Source, direction: str | None) -> int:
        """How many different held-out images can be translated in a direction; None where a model
        translates from the first side to the second alone."""
        return source.validation_images

    def random_batch(
        self,
        count: int,
        size: AnySize,
        channels: tuple[int, int],
        labels: LabelSpace,
        generator: torch.Generator,
    ) -> Any:
        """A batch of noise as a data set would give it.

        Arguments:
            count: of samples.
            size: of the images: the side of squares, or (width, height).
            channels: of what a model takes, and of what it makes.
            labels: go through all names in turn.
            generator: to draw from.
        """
        return self.batch(*(noise(count, each, size, generator) for each in channels))

    def trials(
        self, source: Source, options: Options, count: int | None, *, examples: int, side: int
    ) -> Iterable[Trial]:
        """What a model that has learnt from such data is measured by.

        Arguments:
            source: the data.
            options: of the run.
            count: how many held-out images are looked at; None for all.
            examples: how many images a classifier learns from at most, of each group or of all.
            side: of the squares that those are shrunk to.
        """
        return ()


def noise(count: int, channels: int, size: AnySize, generator: torch.Generator) -> Tensor:
    """Images of noise (N, C, H, W), uint8."""
    shape = (count, channels, *Size.of(size).shape)
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)


def shrunk(image: Tensor, side: int | None) -> Tensor:
    """An image (C, H, W) uint8 as a square of this side; as it is without one."""
    if side is None:
        return image
    return to_tensor(resize_pixels(image.permute(1, 2, 0).numpy(), side, side))
