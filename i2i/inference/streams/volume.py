"""Medical volumes: slice after slice, and back to a volume in the same place."""

from functools import partial
from pathlib import Path

import numpy as np
import torch

from i2i.core.text import counted
from i2i.data.images import file as image_file
from i2i.data.volumes.dicom import SUFFIXES as DICOM_SUFFIXES
from i2i.data.volumes.dicom import Dicom, is_dicom
from i2i.data.volumes.dicom import save as save_dicom
from i2i.data.volumes.nifti import SUFFIXES as NIFTI_SUFFIXES
from i2i.data.volumes.nifti import Nifti
from i2i.data.volumes.volume import (
    AXES,
    Cut,
    Slices,
    Values,
    Window,
    from_slices,
    to_slices,
    window_of,
)
from i2i.errors import DataError
from i2i.inference.streams.stream import Save, Stream, StreamOptions, Work, suffix_of
from i2i.inference.translator import Translator, to_pixels, to_tensor

BYTES_PER_BATCH = 2**24
"""Slices are stacked up to this size."""


class NiftiVolumes(Stream):
    """NIfTI files."""

    written = frozenset(NIFTI_SUFFIXES)

    def accepts(self, path: Path) -> bool:
        return suffix_of(path) in NIFTI_SUFFIXES

    def suffixes(self, path: Path) -> tuple[str, ...]:
        return tuple(dict.fromkeys([suffix_of(path), *NIFTI_SUFFIXES]))

    def translate(
        self, translator: Translator, source: Path, target: Path, suffix: str, how: StreamOptions
    ) -> tuple[str, ...]:
        file = Nifti(source)
        values, _, same = translated(translator, file.volume.values, source, how)
        file.write(values, target, suffix, same_units=same, keep_words=how.keep_metadata)
        return (_line(source, values, translator.cut),)


class DicomSeries(Stream):
    """The files of a series, which are one volume."""

    written = frozenset(DICOM_SUFFIXES)

    def accepts(self, path: Path) -> bool:
        return is_dicom(path)

    def suffixes(self, path: Path) -> tuple[str, ...]:
        return (path.suffix.lower(),)

    def run(
        self, translator: Translator, job: Work, save: Save, how: StreamOptions
    ) -> tuple[str, ...]:
        places = dict(job.parts or ((job.source, job.target),))
        series = Dicom(places)
        values, window, same = translated(translator, series.volume.values, job.source, how)
        about = str(translator.checkpoint or "")
        made = series.write(
            values, window, same_units=same, keep_words=how.keep_metadata, about=about
        )
        for path, data in made:
            save(places[path], partial(save_dicom, data))
        return (_line(job.source, values, translator.cut),)

    def translate(
        self, translator: Translator, source: Path, target: Path, suffix: str, how: StreamOptions
    ) -> tuple[str, ...]:
        raise NotImplementedError("a series has many files: see `run`")


def translated(
    translator: Translator, values: Values, source: Path, how: StreamOptions
) -> tuple[Values, Window, bool]:
    """Translate a volume in the common orientation.

    Returns:
        the values, what they lie within, and whether that is the window of the input.

    Raises:
        DataError: it has no window, or the options mean nothing for a volume.
    """
    if how.size is not None or how.side is not None:
        raise DataError(
            f"'{source}' cannot be used: a volume is neither resized (--size) nor halved (--side)."
        )
    if translator.upscale > 1:
        raise DataError(
            f"'{source}' cannot be used: this network enlarges images, and a volume keeps its size."
        )
    cut = translator.cut
    try:
        window = window_of(values, cut.window)
    except DataError as error:
        raise DataError(f"'{source}' cannot be used: {error}.") from error
    slices = to_slices(values, cut.axis, window)
    results = np.empty_like(slices)
    batch = max(1, min(how.batch_size, BYTES_PER_BATCH // slices[0].nbytes))
    for start in range(0, len(slices), batch):
        part = slices[start : start + batch]
        results[start : start + batch] = _of_slices(translator, part, how)
        how.progress(min(start + batch, len(slices)), len(slices))
    made = cut.made or window
    return from_slices(results, cut.axis, made), made, made == window


def _of_slices(translator: Translator, slices: Slices, how: StreamOptions) -> Slices:
    shown = [
        image_file.from_words(each[:, :, None], translator.input_channels, keep_alpha=False).pixels
        for each in slices
    ]
    told = None if how.labels is None else torch.stack([how.labels] * len(slices))
    made = to_pixels(translator(to_tensor(shown), labels=told))
    return np.stack(
        [
            image_file.from_words(each.astype(np.uint16), 1, keep_alpha=False).pixels[:, :, 0]
            for each in made
        ]
    )


def _line(source: Path, values: Values, cut: Cut) -> str:
    count = values.shape[AXES.index(cut.axis)]
    return f"{source}: {counted(count, 'slice', 'slices')} ({cut.axis})"
