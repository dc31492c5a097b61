"""Files of what a sampler makes: single images, sheets, animations."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from PIL import Image
from torch import Tensor

from i2i.errors import DataError
from i2i.inference.results import Results
from i2i.inference.sampler import Sampler
from i2i.runs.image_grid import contact_sheet, image_grid, visible

FRAME = 1000 // 25
"""Milliseconds that each frame of an animation is shown."""

CHUNK = 256
"""Images that are in memory at the same time."""


def write_samples(
    sampler: Sampler,
    target: Path,
    seeds: Sequence[int],
    *,
    overwrite: bool = False,
    **asked: Any,
) -> Path:
    """Write a PNG for each seed, named after it, and a sheet of the first ones; return the sheet.

    Arguments:
        sampler: makes the images.
        target: a folder, made if need be.
        seeds: of the images.
        overwrite: whether to replace files that it has written before; others never are.
        asked: what `Sampler.__call__` takes.

    Raises:
        DataError: a file exists already, or cannot be written.
    """
    assert seeds
    digits = max(6, len(str(max(seeds))))
    files = [target / f"{seed:0{digits}d}.png" for seed in seeds]
    sheet = target / "sheet.png"
    save = _saver(sampler, target, [*files, sheet], overwrite=overwrite)
    shown: Tensor | None = None
    for begin in range(0, len(seeds), CHUNK):
        images = sampler(seeds[begin : begin + CHUNK], **asked)
        for path, image in zip(files[begin : begin + CHUNK], images, strict=True):
            save(as_image(image), path)
        shown = images[:CHUNK] if shown is None else shown
    assert shown is not None
    names = sampler.names if asked.get("label") is None else ()
    save(_by_class(shown, seeds[0], names) if names else contact_sheet(shown), sheet)
    return sheet


def _by_class(images: Tensor, first: int, names: Sequence[str]) -> Image.Image:
    """A sheet with a column for each class, which the seeds from `first` on take in turns."""
    rows = len(images) // len(names)
    if rows == 0:
        return contact_sheet(images)
    columns = {
        name: images[(number - first) % len(names) :: len(names)][:rows]
        for number, name in enumerate(names)
    }
    return image_grid(columns)


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
    save(image_grid({f"{value:.3g}": images for value, images in varied.items()}), sheet)
    return sheet


def write_interpolation(
    sampler: Sampler,
    target: Path,
    begin: int,
    end: int,
    frames: int,
    *,
    animation: str = "webp",
    overwrite: bool = False,
    **asked: Any,
) -> Path:
    """Write the frames from one seed to another, an animation that goes there and back, and a
    sheet; return the sheet.

    Raises:
        DataError: a file exists already, or cannot be written.
    """
    names = [target / f"frame-{number:04d}.png" for number in range(frames)]
    sheet, moving = target / "sheet.png", target / f"animation.{animation}"
    save = _saver(sampler, target, [*names, sheet, moving], overwrite=overwrite)
    images = sampler.interpolate(begin, end, frames, **asked)
    for image, name in zip(images, names, strict=True):
        save(as_image(image), name)
    there = [as_image(image).convert("RGB") for image in visible(images)]
    there_and_back = [*there, *there[-2:0:-1]]
    more: dict[str, Any] = {"lossless": True} if animation == "webp" else {}
    save(
        there_and_back[0],
        moving,
        save_all=True,
        append_images=there_and_back[1:],
        duration=FRAME,
        loop=0,
        **more,
    )
    save(contact_sheet(images), sheet)
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
    save(image_grid({name: grid[:, i] for i, name in enumerate(names)}), sheet)
    return sheet


def as_image(image: Tensor) -> Image.Image:
    """An image (1 or 3, H, W) of bytes."""
    pixels = image.permute(1, 2, 0).numpy()
    return Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels)


def _saver(
    sampler: Sampler, target: Path, files: Sequence[Path], *, overwrite: bool
) -> Callable[..., None]:
    """Return what writes these files, once it is certain that they take no other file's place.

    Of processes that share the work, the first one writes.
    """
    results = Results(target)
    results.check(files, overwrite=overwrite)

    def save(image: Image.Image, path: Path, **settings: Any) -> None:
        form = Image.registered_extensions()[path.suffix]
        try:
            results.write(
                path, lambda part: image.save(part, form, **settings), overwrite=overwrite
            )
        except OSError as error:
            raise DataError(f"'{path}' cannot be written: {error.strerror or error}.") from error

    return save if sampler.processes.first else lambda *image, **settings: None
