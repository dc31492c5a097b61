"""The sides of a data set as a recipe says them ([data.A], [data.B]): how their files are read."""

from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from i2i.config import Data, Options, read_options
from i2i.config.recipes import merge
from i2i.config.sides import DataPart, DataSide
from i2i.core.inputs import Inputs
from i2i.core.label_maps import LabelMaps
from i2i.core.registry import MODELS, is_own
from i2i.core.scale import Scale
from i2i.core.sides import Sides
from i2i.core.signals import read_direction
from i2i.data.images.arrays import read_array, to_bands
from i2i.data.images.labels import UnknownLabelError, in_words, to_maps
from i2i.data.images.measured import measure
from i2i.data.images.read import Pixels, list_images, open_image, read_image
from i2i.data.kinds import find_kind
from i2i.errors import DataError, OptionsError

LEFT, RIGHT = 0, 1
"""The halves of a file in which two images lie side by side."""


def sides_of(options: Options) -> Sides:
    """How batches of these options become what networks see."""
    kind = find_kind(MODELS.find(options.model).data)
    first, second = options.data.sides(kind.letters(options))
    return Sides(
        kind.fields,
        (first.inputs or first.labels, second.inputs or second.labels),
        (first.scale, second.scale),
        (first.show, second.show),
    )


def with_direction(options: Options, direction: str) -> Options:
    """Options with a direction that is given with letters or by the names of the two sides.

    Raises:
        OptionsError: it is none.
        DataError: the folder, which says what the sides are called, is not as it should be.
    """
    names = ("A", "B")
    if direction not in ("AtoB", "BtoA") and not is_own(options.data.root):
        names = find_kind(MODELS.find(options.model).data).side_names(options)
    data = {"direction": read_direction(direction, names)}
    return read_options(merge(options.to_dict(), {"data": data}))


@dataclass(frozen=True)
class SideReader:
    """Reads the images of a side.

    Attributes:
        letter: which side it is, "A" or "B"; or which input of one, "A.parts.depth".
        depth: channels of what it returns.
        labels: what label maps hold; None for images.
        scale: what the values of files mean, for images that are used as they are.
        instances: name of a label map -> the file that numbers its objects.
    """

    letter: str
    depth: int
    labels: LabelMaps | None = None
    instances: Mapping[str, Path] = field(default_factory=dict)
    scale: Scale | None = None
    parts: tuple["SideReader", ...] = ()

    @property
    def each(self) -> tuple["SideReader", ...]:
        """What reads the files of a scene: one, or several inputs."""
        return self.parts or (self,)

    @property
    def letters(self) -> tuple[str, ...]:
        """What the images of a scene are called: "A", or the names of several inputs of it."""
        return tuple(reader.letter for reader in self.each)

    @property
    def plain(self) -> bool:
        """Whether it reads images as 8 bits of grey or RGB."""
        return self.labels is None and self.scale is None and not self.parts

    def read_all(self, paths: Sequence[Path], half: int | None = None) -> tuple[Pixels, ...]:
        """Read the images of a scene, one or several inputs, of one size.

        Raises:
            DataError: as `read`; or they differ in size.
        """
        if not self.parts:
            return (self.read(paths[0], half),)
        images = tuple(each.read(path, half) for each, path in zip(self.each, paths, strict=True))
        for path, image in zip(paths, images, strict=True):
            if image.shape[:2] != images[0].shape[:2]:
                raise DataError(
                    f"'{path}' is {image.shape[1]}x{image.shape[0]} and '{paths[0]}' is "
                    f"{images[0].shape[1]}x{images[0].shape[0]}: the inputs of a scene must have "
                    "the same size."
                )
        return images

    def read(self, path: Path, half: int | None = None) -> Pixels:
        """Read an image, or the half of a file, as (H, W, depth): uint8, or as `Scale` says that
        its values travel.

        Raises:
            DataError: the file cannot be read, or holds something else.
        """
        if self.scale is not None:
            values = read_scaled(path, self.depth, self.scale)
            return values if half is None else halves(path, values)[half]
        if self.labels is None:
            pixels = read_image(path, self.depth)
            return pixels if half is None else halves(path, pixels)[half]
        objects = None
        if self.labels.edges:
            if path.stem not in self.instances:
                raise DataError(
                    f"'{path}' has no map of objects: expected one that is called {path.stem!r} in "
                    "the folder of instances."
                )
            objects = open_image(self.instances[path.stem])
        image = open_image(path)
        if half is not None:
            middle = _middle(path, image.width)
            image = image.crop((half * middle, 0, (1 + half) * middle, image.height))
        try:
            return to_maps(image, self.labels, objects)
        except UnknownLabelError as error:
            raise _UnknownAtError(path, error) from error
        except DataError as error:
            raise DataError(f"'{path}' cannot be used: {error}.") from error

    def require_known(self, paths: Sequence[Path], half: int | None = None) -> None:
        """Read all label maps, and name what they hold beside the classes.

        Raises:
            DataError: says the numbers or colours, and in how many files they are; or a file
                cannot be used.
        """
        if self.labels is None:
            return
        unknown: Counter[Any] = Counter()
        files: Counter[Any] = Counter()
        first: Path | None = None
        with ThreadPoolExecutor() as pool:
            look = partial(self._unknown, half=half)
            for path, found in zip(paths, pool.map(look, paths), strict=True):
                first = first or (path if found else None)
                unknown.update(found)
                files.update(found.keys())
        if not unknown:
            return
        what, advice = "numbers", f"data.{self.letter}.classes (={self.labels.classes})"
        if self.labels.palette:
            what = "colours"
            advice = f"data.{self.letter}.palette, say data.{self.letter}.nearest = true"
        raise DataError(
            f"The label maps of side {self.letter} hold {what} of no class: "
            f"{in_words(unknown, files)}. The first is in '{first}'. Correct {advice}, or name in "
            f"data.{self.letter}.ignore what is of no class."
        )

    def _unknown(self, path: Path, half: int | None) -> Counter[Any]:
        try:
            self.read(path, half)
        except _UnknownAtError as error:
            return error.unknown
        return Counter()


class _UnknownAtError(DataError):
    def __init__(self, path: Path, error: UnknownLabelError) -> None:
        super().__init__(f"'{path}' cannot be used: {error}.")
        self.unknown = error.unknown


RGB = SideReader("A", 3)
"""What reads images as 8 bits of RGB."""


def label_reader(labels: LabelMaps | None, instances: Path | None) -> SideReader | None:
    """What reads label maps that lie anywhere; None for images.

    Arguments:
        labels: what they hold.
        instances: the folder of maps of their objects, if those count.

    Raises:
        OptionsError: such a folder is missing, or of no use.
        DataError: it is not there.
    """
    if instances is not None and (labels is None or not labels.edges):
        raise OptionsError(
            f"instances (='{instances}') are of no use to this network, which sees no borders of "
            "objects: leave them out."
        )
    if labels is None:
        return None
    if labels.edges and instances is None:
        raise OptionsError(
            "this network sees the borders of objects: name the folder of the maps that number "
            "them (--instances)."
        )
    objects = {} if instances is None else _by_name(instances)
    return SideReader("input", labels.channels, labels, objects)


def readers(data: Data, root: Path, letters: str) -> dict[str, SideReader]:
    """What reads each side: "A" and "B", in the order of a batch.

    Arguments:
        data: the options.
        root: where the data set is; folders of instances are looked for below it.
        letters: the sides in the order of a batch (`Data.letters`).

    Raises:
        DataError: there is no folder of instances, or two maps in it have one name.
    """
    channels = data.input_channels, data.output_channels
    sides = zip(letters, data.sides(letters), channels, strict=True)
    return {letter: _reader(letter, side, count, root) for letter, side, count in sides}


def _reader(letter: str, side: DataSide, channels: int, root: Path) -> SideReader:
    if (inputs := side.inputs) is not None:
        return inputs_reader(letter, inputs)
    labels = side.labels
    if labels is None:
        return SideReader(letter, channels, scale=side.scale)
    instances = _by_name(root / side.instances) if side.instances else {}
    return SideReader(letter, labels.channels, labels, instances)


def inputs_reader(letter: str, inputs: Inputs) -> SideReader:
    """What reads several inputs of a scene."""
    parts = tuple(
        SideReader(
            f"{letter}.parts.{each.name}",
            each.channels if each.labels is None else each.labels.channels,
            each.labels,
            scale=each.scale,
        )
        for each in inputs.parts
    )
    return SideReader(letter, inputs.channels, parts=parts)


def _by_name(folder: Path) -> dict[str, Path]:
    """The images in a folder by their names without suffix."""
    found: dict[str, Path] = {}
    for path in list_images(folder):
        if (other := found.setdefault(path.stem, path)) is not path:
            raise DataError(
                f"'{other}' and '{path}' are maps of objects for one name: rename one of them."
            )
    return found


def read_scaled(path: Path, channels: int, scale: Scale) -> Any:
    """Read the values (H, W, channels) of a file as they travel to the device.

    Raises:
        DataError: the file cannot be read, has other bands, or values that are no numbers.
    """
    image = read_array(path)
    try:
        return scale.encode(to_bands(image, channels))
    except DataError as error:
        raise DataError(f"'{path}' cannot be used: {error}.") from error


def measured(options: Options) -> dict[str, Any]:
    """What of the tables [data.A] and [data.B] only the files can tell: dtype, channels, range.

    Raises:
        DataError: the files cannot be read, or are not alike.
    """
    found = {}
    data = options.data
    wanted = {letter: side for letter in "AB" if not (side := getattr(data, letter)).is_measured}
    if not wanted:
        return {}
    files = find_kind(MODELS.find(options.model).data).files(options)
    for letter, side in wanted.items():
        if side.roots:
            parts = {root: side.part(root) for root in side.roots}
            told = {
                root: _measured(part, files[f"{letter}.{root}"])
                for root, part in parts.items()
                if not part.is_measured and files.get(f"{letter}.{root}")
            }
            found[letter] = side.model_dump() | {
                "parts": {root: part.model_dump() for root, part in side.parts.items()} | told
            }
        elif files.get(letter):
            found[letter] = _measured(side, files[letter])
    return found


def _measured(side: DataPart, files: Sequence[tuple[Path, int | None]]) -> dict[str, Any]:
    """A table with what only its files can tell."""
    relative = isinstance(side.range, tuple) and isinstance(side.range[0], str)
    percentiles = None
    if relative:
        low, high = (float(str(each).removesuffix("%")) for each in side.range or ())
        percentiles = (low, high)
    what = measure(files, channels=side.channels, percentiles=percentiles)
    dtype = what.dtype if side.dtype == "auto" else side.dtype
    ranges: Any = side.range
    if side.range is None and dtype == "uint8":
        ranges = (0, 255)
    elif side.range is None or side.range == "auto" or relative:
        ranges = what.ranges if len(what.ranges) > 1 else what.ranges[0]
    return side.model_dump() | {"channels": what.channels, "dtype": dtype, "range": ranges}


def halves(path: Path, pixels: Pixels) -> tuple[Pixels, Pixels]:
    """The left and the right half of an image (H, W, C).

    Raises:
        DataError: its width is odd.
    """
    middle = _middle(path, pixels.shape[1])
    return pixels[:, :middle], pixels[:, middle:]


def _middle(path: Path, width: int) -> int:
    if width % 2:
        raise DataError(
            f"'{path}' is {width} pixels wide; two images side by side need an even width."
        )
    return width // 2
