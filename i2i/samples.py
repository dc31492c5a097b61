"""Files of what a sampler makes: single pictures, sheets, animations."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from PIL import Image
from torch import Tensor

from i2i.atomic import replacing
from i2i.errors import DataError
from i2i.sampler import Sampler
from i2i.training.sheet import contact_sheet, picture_sheet, visible

FRAME = 1000 // 25
"""Milliseconds that each frame of an animation is shown."""

CHUNK = 256
"""Pictures that are in memory at the same time."""


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
        sampler: makes the pictures.
        target: a folder, made if need be.
        seeds: of the pictures.
        overwrite: whether to replace files.
        asked: what `Sampler.__call__` takes.

    Raises:
        DataError: a file exists already, or cannot be written.
    """
    assert seeds
    digits = max(6, len(str(max(seeds))))
    files = [target / f"{seed:0{digits}d}.png" for seed in seeds]
    sheet = target / "sheet.png"
    if not overwrite:
        _refuse_existing([*files, sheet])
    save = _saver(sampler)
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
    return picture_sheet(columns)


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
    if not overwrite:
        _refuse_existing([sheet])
    save = _saver(sampler)
    varied = sampler.vary(code, seeds, **asked)
    save(picture_sheet({f"{value:.3g}": images for value, images in varied.items()}), sheet)
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
    if not overwrite:
        _refuse_existing([*names, sheet, moving])
    save = _saver(sampler)
    images = sampler.interpolate(begin, end, frames, **asked)
    for image, name in zip(images, names, strict=True):
        save(as_image(image), name)
    pictures = [as_image(image).convert("RGB") for image in visible(images)]
    there_and_back = [*pictures, *pictures[-2:0:-1]]
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


def as_image(image: Tensor) -> Image.Image:
    """A picture (1 or 3, H, W) of bytes."""
    pixels = image.permute(1, 2, 0).numpy()
    return Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels)


def _refuse_existing(files: Sequence[Path]) -> None:
    existing = [path for path in files if path.exists()]
    if existing:
        raise DataError(
            f"'{existing[0]}' exists already ({len(existing)} of {len(files)} files): pass "
            "--overwrite, or choose another output."
        )


def _saver(sampler: Sampler) -> Callable[..., None]:
    """How to write a file; of processes that share the work, the first one does."""
    return _save if sampler.processes.first else lambda *image, **settings: None


def _save(image: Image.Image, path: Path, **settings: Any) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path, durable=False) as partial:
            image.save(partial, **{"format": path.suffix[1:].upper()} | settings)
    except OSError as error:
        raise DataError(f"'{path}' cannot be written: {error.strerror or error}.") from error
