"""Translation of images whose values are used as they are: any bands, any type, and where on earth
they lie.

What comes in is read as in the training (`i2i.data.sides`), goes through the network in floating
point, and becomes values of the type and range of the other side: nothing passes through 8 bits.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from i2i.core.scale import Scale, signed
from i2i.core.size import AnySize
from i2i.data.augment.geometry import resize_pixels
from i2i.data.images import file as image_file
from i2i.data.images.arrays import fitting_suffix, read_array, to_bands, write_array
from i2i.data.images.file import AnyArray, LoadedImage
from i2i.data.images.formats import DecodedFile
from i2i.data.images.formats.tiff import rescaled
from i2i.errors import DataError


@dataclass(frozen=True)
class Filing:
    """How files become what a network takes, and what it makes becomes files, where one of the two
    is more than 8 bits of grey or RGB.

    Attributes:
        source: what the values of the input mean; None for 8 or 16 bits of grey or RGB.
        target: the same of the output.
        channels: of the input and of the output.
    """

    source: Scale | None
    target: Scale | None
    channels: tuple[int, int]

    def __bool__(self) -> bool:
        return self.source is not None or self.target is not None

    def read(self, path: Path) -> list[LoadedImage]:
        """Read a file, as (H, W, C) float32 in -1..1; pages of one band each are images of their
        own where one channel is taken.

        Raises:
            DataError: it cannot be read, has other bands, or values that are no numbers.
        """
        image = read_array(path)
        return [self._loaded(path, each) for each in self._pages(image)]

    def _pages(self, image: DecodedFile) -> list[DecodedFile]:
        if not image.info.get("paged") or self.channels[0] != 1:
            return [image]
        bands = range(image.values.shape[2])
        return [image._replace(values=image.values[:, :, band : band + 1]) for band in bands]

    def _loaded(self, path: Path, image: DecodedFile) -> LoadedImage:
        try:
            encoded = self.encode(to_bands(image, self.channels[0]))
        except DataError as error:
            raise DataError(f"'{path}' cannot be used: {error}.") from error
        return LoadedImage(encoded, None, image.info.get("icc_profile"), info=image.info)

    def encode(self, values: AnyArray) -> AnyArray:
        """Values (..., C) of files as a network takes them: float32 in -1..1.

        Raises:
            DataError: some are no numbers, or of another type.
        """
        if self.source is not None:
            return signed(self.source.encode(values))
        if values.dtype not in (np.uint8, np.uint16):
            raise DataError(f"it holds {values.dtype}, where 8 or 16 bits of colours were expected")
        return signed(values)

    def decode(self, made: AnyArray) -> AnyArray:
        """What a network has made (..., C), in -1..1, as the values of files."""
        if self.target is not None:
            return self.target.decode(made)
        return np.rint((made.astype(np.float64) + 1) * 127.5).clip(0, 255).astype(np.uint8)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the values of results."""
        return np.dtype("uint8" if self.target is None else self.target.dtype)

    def suffix(self, wanted: str) -> str:
        """The suffix of a file that can hold results: the wanted one, or .tif."""
        return fitting_suffix(wanted, self.channels[1], self.dtype)

    def write(
        self, images: list[LoadedImage], path: Path, suffix: str, whole: tuple[int, int]
    ) -> None:
        """Write what was made of the images of one file.

        Arguments:
            images: with pixels as `decode` returns them.
            path, suffix: see `write_array`.
            whole: width and height of the image in the file that they were made of.

        Raises:
            DataError: the format cannot hold them.
            OSError: the file cannot be written.
        """
        info = dict(images[0].info)
        values = np.concatenate([image.pixels for image in images], axis=2)
        if (profile := image_file.fitting_profile(images[0])) is not None:
            info["icc_profile"] = profile
        else:
            info.pop("icc_profile", None)
        if self.target is None:
            info.pop("alpha", None)
        height, width = values.shape[:2]
        across, down = width / whole[0], height / whole[1]
        info["tags"] = rescaled(info.get("tags", ()), across, down)
        info["paged"] = len(images) > 1 or (bool(info.get("paged")) and values.shape[2] > 1)
        write_array(values, path, suffix, info)


def resized(image: LoadedImage, size: AnySize) -> LoadedImage:
    """As `i2i.data.images.file.resize`, of floating point."""
    height, width = image.pixels.shape[:2]
    if isinstance(size, int):
        scale = size / min(height, width)
        sides = round(height * scale), round(width * scale)
    else:
        sides = size[1], size[0]
    pixels: Any = resize_pixels(np.ascontiguousarray(image.pixels), *sides)
    return image._replace(pixels=pixels)


def world_files(source: Path, target: Path) -> Mapping[Path, Path]:
    """The files beside an image that say where on earth it lies: each with the name that it has to
    have beside the result."""
    found: dict[Path, Path] = {}
    if not source.suffix:
        return found
    for path in (source.with_suffix(end) for end in (_world(source), ".wld", f"{source.suffix}w")):
        if path.is_file():
            own = path.suffix in (".wld", f"{source.suffix}w")
            ending = path.suffix if own and source.suffix == target.suffix else _world(target)
            found[path] = target.with_suffix(".wld" if path.suffix == ".wld" else ending)
    if (projection := source.with_suffix(".prj")).is_file():
        found[projection] = target.with_suffix(".prj")
    return found


def _world(path: Path) -> str:
    """The suffix of the world file of an image: that of .tif is .tfw."""
    letters = path.suffix.removeprefix(".")
    return f".{letters[:1]}{letters[-1:]}w"


def rescaled_world(text: str, across: float, down: float) -> str:
    """What a world file says, for an image with other numbers of pixels over the same ground.

    Its six lines are the steps on the ground of a pixel to the right (x, y) and down (x, y) in the
    order A, D, B, E, and the middle of the first pixel, C and F.
    """
    try:
        a, d, b, e, c, f = map(float, text.split())
    except ValueError:
        return text
    if across == down == 1:
        return text
    a1, d1, b1, e1 = a / across, d / across, b / down, e / down
    c1, f1 = c + (a1 - a + b1 - b) / 2, f + (d1 - d + e1 - e) / 2
    return "".join(f"{number:.15g}\n" for number in (a1, d1, b1, e1, c1, f1))
