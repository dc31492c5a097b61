"""TIFF images that are too large for the memory: read, computed and written in parts."""

import math
import tempfile
from pathlib import Path

import numpy as np

from i2i.core.text import counted
from i2i.data.images.file import AnyPixels
from i2i.data.images.formats.tiff import rescaled
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
        if any(translator.labels):
            raise DataError(
                f"'{source}' cannot be used: label maps of this size are not read or written in "
                "parts: cut it into smaller images."
            )
        with TiffWindows(source) as image, tempfile.TemporaryFile(dir=target.parent) as file:
            layout = image.layout
            seen, made = translator.input_channels, translator.output_channels
            if seen not in (layout.bands, layout.bands - layout.has_alpha):
                raise DataError(
                    f"'{source}' cannot be used: it has {counted(layout.bands, 'band', 'bands')}, "
                    f"and the network takes {seen}."
                )
            copies_alpha = seen < layout.bands
            times, dtype = translator.upscale, layout.dtype
            if translator.filing is not None:
                dtype = translator.filing.dtype
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
                    lambda rows, columns: image.read(rows, columns)[:, :, :seen],
                    write,
                    (layout.height, layout.width),
                    layout.dtype,
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
