"""Files of what a sampler makes: single images, sheets, animations."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from torch import Tensor

from i2i.data.images.arrays import fitting_suffix, write_array, written_suffixes
from i2i.errors import DataError, OptionsError
from i2i.inference.results import Results
from i2i.inference.sampler import Sampler
from i2i.runs.image_grid import as_colour, contact_sheet, image_grid, visible

FRAME = 1000 // 25
"""Milliseconds that each frame of an animation is shown."""

CHUNK = 256
"""Images that are in memory at the same time."""


def write_samples(
    sampler: Sampler,
    target: Path,
    seeds: Sequence[int],
    *,
    form: str | None = None,
    overwrite: bool = False,
    **asked: Any,
) -> Path:
    """Write a file for each seed, named after it, and a sheet of the first ones; return the sheet.

    Arguments:
        sampler: makes the images.
        target: a folder, made if need be.
        seeds: of the images.
        form: format of the files, "png", "tif", "npy", ...; by default PNG, or TIFF for what PNG
            cannot hold.
        overwrite: whether to replace files that it has written before; others never are.
        asked: what `Sampler.__call__` takes.

    Raises:
        OptionsError: the format cannot hold the images.
        DataError: a file exists already, or cannot be written.
    """
    assert seeds
    digits = max(6, len(str(max(seeds))))
    suffix = suffix_for(sampler, form)
    files = [target / f"{seed:0{digits}d}{suffix}" for seed in seeds]
    sheet = target / "sheet.png"
    save = _saver(sampler, target, [*files, sheet], overwrite=overwrite)
    shown: Tensor | None = None
    for begin in range(0, len(seeds), CHUNK):
        images = sampler(seeds[begin : begin + CHUNK], **asked)
        for path, values in zip(files[begin : begin + CHUNK], sampler.values(images), strict=True):
            save(partial(write_array, values, suffix=path.suffix), path)
        shown = images[:CHUNK] if shown is None else shown
    assert shown is not None
    names = sampler.names if asked.get("label") is None else ()
    save(_png(_by_class(sampler, shown, seeds[0], names)), sheet)
    return sheet


def suffix_for(sampler: Sampler, form: str | None = None) -> str:
    """The suffix of files of images.

    Raises:
        OptionsError: the format that is asked for cannot hold them.
    """
    channels, dtype = sampler.channels, np.dtype(sampler.file_type)
    wanted = f".{(form or 'png').lower().removeprefix('.')}"
    found = fitting_suffix(wanted, channels, dtype)
    if form is not None and (found != wanted or wanted not in written_suffixes()):
        raise OptionsError(
            f"The format (={form!r}) cannot hold {channels} bands of {dtype}: take tif or npy."
        )
    return found


def _by_class(sampler: Sampler, images: Tensor, first: int, names: Sequence[str]) -> Image.Image:
    """A sheet with a column for each class, which the seeds from `first` on take in turns."""
    rows = len(images) // max(1, len(names))
    if rows == 0 or not names:
        return _contact_sheet(sampler, images)
    columns = {
        name: images[(number - first) % len(names) :: len(names)][:rows]
        for number, name in enumerate(names)
    }
    return image_grid(sampler.pictures(columns))


def _contact_sheet(sampler: Sampler, images: Tensor) -> Image.Image:
    [pictures] = sampler.pictures({"": images}).values()
    return contact_sheet(pictures)


def write_variation(
    sampler: Sampler,
    target: Path,
    code: str,
    seeds: Sequence[int],
    *,
    overwrite: bool = False,
    **asked: Any,
) -> Path:
    """Write a sheet with a row for each seed and a column for each value of a code; return it.

    Raises:
        OptionsError: there is no such code.
        DataError: the file exists already, or cannot be written.
    """
    sheet = target / f"{code}.png"
    save = _saver(sampler, target, [sheet], overwrite=overwrite)
    varied = sampler.vary(code, seeds, **asked)
    columns = {f"{value:.3g}": images for value, images in varied.items()}
    save(_png(image_grid(sampler.pictures(columns))), sheet)
    return sheet


def write_interpolation(
    sampler: Sampler,
    target: Path,
    begin: int,
    end: int,
    frames: int,
    *,
    animation: str = "webp",
    form: str | None = None,
    overwrite: bool = False,
    **asked: Any,
) -> Path:
    """Write the frames from one seed to another, an animation that goes there and back, and a
    sheet; return the sheet.

    Raises:
        OptionsError: the format of the frames (as of `write_samples`) cannot hold them.
        DataError: a file exists already, or cannot be written.
    """
    suffix = suffix_for(sampler, form)
    names = [target / f"frame-{number:04d}{suffix}" for number in range(frames)]
    sheet, moving = target / "sheet.png", target / f"animation.{animation}"
    save = _saver(sampler, target, [*names, sheet, moving], overwrite=overwrite)
    images = sampler.interpolate(begin, end, frames, **asked)
    for values, name in zip(sampler.values(images), names, strict=True):
        save(partial(write_array, values, suffix=suffix), name)
    [pictures] = sampler.pictures({"": images}).values()
    there = list(map(Image.fromarray, as_colour(visible(pictures))))
    there_and_back = [*there, *there[-2:0:-1]]
    more: dict[str, Any] = {"lossless": True} if animation == "webp" else {}

    def move(path: Path) -> None:
        there_and_back[0].save(
            path,
            animation.upper(),
            save_all=True,
            append_images=there_and_back[1:],
            duration=FRAME,
            loop=0,
            **more,
        )

    save(move, moving)
    save(_png(contact_sheet(pictures)), sheet)
    return sheet


def write_mixture(
    sampler: Sampler,
    target: Path,
    rows: Sequence[int],
    columns: Sequence[int],
    layers: range | None = None,
    *,
    overwrite: bool = False,
    **asked: Any,
) -> Path:
    """Write a sheet of each row's image with the styles of each column's; return it.

    Raises:
        OptionsError: the generator has no styles, or not these layers.
        DataError: the file exists already, or cannot be written.
    """
    sheet = target / "mix.png"
    save = _saver(sampler, target, [sheet], overwrite=overwrite)
    grid = sampler.mix(rows, columns, layers, **asked)
    names = ["", *map(str, columns)]
    shown = sampler.pictures({name: grid[:, i] for i, name in enumerate(names)})
    save(_png(image_grid(shown)), sheet)
    return sheet


def _saver(
    sampler: Sampler, target: Path, files: Sequence[Path], *, overwrite: bool
) -> Callable[..., None]:
    """Return what writes these files, once it is certain that they take no other file's place.

    Of processes that share the work, the first one writes.
    """
    results = Results(target)
    results.check(files, overwrite=overwrite)

    def save(write: Callable[[Path], None], path: Path) -> None:
        try:
            results.write(path, write, overwrite=overwrite)
        except OSError as error:
            raise DataError(f"'{path}' cannot be written: {error.strerror or error}.") from error

    return save if sampler.processes.first else lambda write, path: None


def _png(image: Image.Image) -> Callable[[Path], None]:
    """What writes an image to a file."""
    return partial(image.save, format="PNG")
