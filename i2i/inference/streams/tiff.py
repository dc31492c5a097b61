"""TIFF images that are too large for the memory: read, computed and written in parts."""

import math
import tempfile
from pathlib import Path

import numpy as np

from i2i.core.inputs import Inputs
from i2i.core.text import counted
from i2i.data.images.file import AnyPixels
from i2i.data.images.formats.tiff import rescaled
from i2i.data.images.labels import maps_of
from i2i.data.images.tiff_windows import TiffWindows, is_larger_than, write_tiled
from i2i.errors import DataError, OptionsError
from i2i.inference.streams.stream import Stream, StreamOptions
from i2i.inference.translator import Translator

LARGE = 2**29
"""Bytes of the pixels of an image beyond which it is not taken into memory whole."""


class LargeTiffs(Stream):
    """Single images of more than `LARGE` bytes, mostly GeoTIFF."""

    written = frozenset({".tif", ".tiff"})

    def accepts(self, path: Path) -> bool:
        return path.suffix.lower() in self.written and is_larger_than(path, LARGE)

    def takes_maps(self, source: Path, target: Path, planes: int) -> bool:
        """Whether a label map is translated so since all its planes would be larger than `LARGE`.

        Arguments:
            source, target: the file, and its result.
            planes: that networks see of it.
        """
        suffixes = {source.suffix.lower(), target.suffix.lower()}
        return suffixes <= self.written and is_larger_than(source, LARGE // planes)

    def suffixes(self, path: Path) -> tuple[str, ...]:
        return tuple(dict.fromkeys([path.suffix.lower(), *sorted(self.written)]))

    def translate(
        self, translator: Translator, source: Path, target: Path, suffix: str, how: StreamOptions
    ) -> tuple[str, ...]:
        if how.size is not None or how.side is not None:
            raise DataError(
                f"'{source}' cannot be used: an image of this size is neither resized (--size) nor "
                "halved (--side)."
            )
        held = translator.labels[0]
        if held is not None and (isinstance(held, Inputs) or held.edges):
            raise DataError(
                f"'{source}' cannot be used: several inputs, and maps of objects, are not read in "
                "parts: cut it into smaller images."
            )
        numbers = held is not None and not held.palette
        with (
            TiffWindows(source, numbers=numbers) as image,
            tempfile.TemporaryFile(dir=target.parent) as file,
        ):
            layout = image.layout
            seen, made = translator.input_channels, translator.output_channels
            if held is not None:
                seen = layout.bands
            elif seen not in (layout.bands, layout.bands - layout.has_alpha):
                raise DataError(
                    f"'{source}' cannot be used: it has {counted(layout.bands, 'band', 'bands')}, "
                    f"and the network takes {seen}."
                )
            copies_alpha = seen < layout.bands
            times, dtype = translator.upscale, layout.dtype
            if translator.labels[1] is not None:
                made, dtype = 1, np.dtype(np.uint8)  # the numbers of classes
            elif translator.filing is not None:
                dtype = translator.filing.dtype
            elif held is not None:
                dtype = np.dtype(np.uint8)
            if copies_alpha and dtype != layout.dtype:
                raise DataError(
                    f"'{source}' cannot be used: its last band is transparency of {layout.dtype}, "
                    f"and results are {dtype}: save it without."
                )
            if copies_alpha and times > 1:
                raise DataError(
                    f"'{source}' cannot be used: its transparency would have to be enlarged: save "
                    "it without."
                )
            shape = (times * layout.height, times * layout.width, made)
            file.truncate(math.prod(shape) * dtype.itemsize)
            result = np.memmap(file, dtype, "r+", shape=shape)

            def read(rows: slice, columns: slice) -> AnyPixels:
                values = image.read(rows, columns)[:, :, :seen]
                if held is None:
                    return values
                try:
                    return maps_of(values, held)
                except DataError as error:
                    raise DataError(f"'{source}' cannot be used: {error}.") from error

            def write(rows: slice, columns: slice, values: AnyPixels) -> None:
                result[rows, columns] = values

            def written(rows: slice, columns: slice) -> AnyPixels:
                values = result[rows, columns]
                if copies_alpha:
                    alpha = image.read(rows, columns)[:, :, -1:]
                    values = np.concatenate([values, alpha], axis=2)
                return values

            try:
                translator.stream(
                    read,
                    write,
                    (layout.height, layout.width),
                    layout.dtype if held is None else dtype,
                    how.progress,
                )
            except OptionsError as error:
                raise DataError(f"'{source}' cannot be used: {error}") from error
            has_alpha = copies_alpha or (layout.has_alpha and made == layout.bands)
            like = layout._replace(
                height=shape[0],
                width=shape[1],
                dtype=dtype,
                tags=tuple(rescaled(layout.tags, times, times)),
            )
            write_tiled(target, written, like, made + copies_alpha, has_alpha=has_alpha)
        return (f"{source}: {layout.width} x {layout.height} pixels, part after part",)
