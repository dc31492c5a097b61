"""The folder of links that stands for a data set with videos or volumes in it."""

import hashlib
import logging
import os
import secrets
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path, PurePath
from typing import NamedTuple

from PIL import Image

from i2i.core.progress import progress
from i2i.data.catalogue.cache import cache_folder
from i2i.data.images import sixteen_bit as sixteen
from i2i.data.images.formats import image_suffixes
from i2i.data.images.read import any_image, ends_as, file_names, is_image, list_files
from i2i.data.kinds.folders import side_of
from i2i.data.unpacked.groups import GROUP_FILE, MIRROR_FILE, PATIENT, patient_of, video_of
from i2i.data.video.files import SUFFIXES as VIDEOS
from i2i.data.video.files import is_video, library
from i2i.data.video.read import VideoReader
from i2i.data.volumes.dicom import SUFFIXES as SLICES
from i2i.data.volumes.dicom import Dicom, is_dicom, series_of
from i2i.data.volumes.dicom import library as dicom_library
from i2i.data.volumes.nifti import SUFFIXES as NIFTI
from i2i.data.volumes.nifti import Nifti
from i2i.data.volumes.volume import Axis, Values, Window, to_slices, window_of
from i2i.errors import DataError
from i2i.system.atomic import free_bytes

_log = logging.getLogger(__name__)

VERSION = 1

SHARE = 0.9
"""Of the disk that is free: the most that frames may take."""

PER_VALUE = 0.6
"""Bytes that a value of 8 bits of a frame takes in a PNG, about."""


class Unpacking(NamedTuple):
    """How videos and volumes become images.

    Attributes:
        axis: that slices are cut across.
        windows: of domain A and of B: what becomes black and white; None: see `window_of`.
        frame_step: of videos, one of so many frames is taken.
        skip_bad: leave out what is broken, instead of stopping.
    """

    axis: Axis = "axial"
    windows: tuple[Window | None, Window | None] = (None, None)
    frame_step: int = 1
    skip_bad: bool = False


def unpacked(root: Path, how: Unpacking, side: str = "") -> Path:
    """Return the folder that holds a data set as images: mostly the data set itself.

    Without the library that they need, videos and volumes are files that are not read.

    Arguments:
        root: of the data set.
        how: what becomes of videos and volumes.
        side: "B" where all of it is domain B; else the names of folders tell.

    Raises:
        DataError: a file is broken, or the disk too small.
    """
    plain = image_suffixes() - VIDEOS - {*SLICES}
    if any_image(root) and all(ends_as(name, plain) for name in file_names(root)):
        return root
    files = list_files(root)
    things, broken = _things(root, files, how, side)
    bad: dict[Path, DataError] = {
        path: DataError(f"'{path}' cannot be read: {why}.") for path, why in broken.items()
    }
    if things or bad:
        with progress("taking videos and volumes apart") as update:
            for number, thing in enumerate(things):
                update(number, len(things))
                try:
                    if not thing.place.is_dir():
                        thing.unpack()
                except DataError as error:
                    bad[thing.files[0]] = error
            update(len(things), len(things))
    for why in bad.values():
        if not how.skip_bad:
            raise why
        _log.warning("left out (--skip-bad): %s", why)
    things = [thing for thing in things if thing.files[0] not in bad]
    if not things:
        if not (bad or any(is_image(path.name) for path in files)):
            _require_libraries(files)
        return root
    folder = cache_folder() / "unpacked"
    inside = {path for thing in things for path in thing.files}
    others = [path for path in files if path not in inside]
    links = _named(root, things, others)
    word = "\n".join(f"{name}\t{target}" for name, target in links.items())
    mirror = folder / f"{root.resolve().name}-{_short(word)}"
    if not mirror.is_dir():
        with _fresh(mirror) as fresh:
            for name, target in links.items():
                (fresh / name).parent.mkdir(parents=True, exist_ok=True)
                (fresh / name).symlink_to(target)
            (fresh / MIRROR_FILE).touch()
    return mirror


@dataclass(frozen=True)
class _Thing:
    """A video, or a volume, of one file or many."""

    files: tuple[Path, ...]
    below: PurePath  # from the root, what its images are called by
    how: Unpacking
    window: Window | None = None

    @cached_property
    def place(self) -> Path:
        """Where its images are, once they are there."""
        about: list[object] = [
            VERSION,
            self.how.axis,
            self.window,
            self.how.frame_step,
            self._group,
        ]
        for path in self.files:
            stat = path.stat()
            about += [path.resolve(), stat.st_size, stat.st_mtime_ns]
        return cache_folder() / "unpacked" / "parts" / _short("\n".join(map(str, about)))

    @property
    def is_video(self) -> bool:
        return is_video(self.files[0])

    @property
    def _group(self) -> str:
        return video_of(self.below) if self.is_video else patient_of(self.below)

    def unpack(self) -> None:
        with _fresh(self.place) as folder:
            patient = self._frames(folder) if self.is_video else self._slices(folder)
            group = PATIENT + _short(patient) if patient else self._group
            (folder / GROUP_FILE).write_text(group, encoding="utf-8")

    def _frames(self, folder: Path) -> str:
        path, step = self.files[0], self.how.frame_step
        with VideoReader(path) as reader:
            size = reader.width * reader.height * 3 * PER_VALUE * (reader.count // step + 1)
            free = free_bytes(folder)
            if free is not None and size > SHARE * free:
                raise DataError(
                    f"'{path}' cannot be used: its frames take about {size / 2**30:.1f} GiB in "
                    f"'{folder.parent}', where {free / 2**30:.1f} are free: take one of several "
                    "(data.frame_step), or choose another place ($I2I_CACHE)."
                )
            for number, frame in enumerate(reader.frames(3)):
                if number % step:
                    continue
                name = folder / f"{number + 1:06}.png"
                if frame.pixels.dtype == "uint16":
                    sixteen.write_png(frame.pixels, name, None)
                else:
                    Image.fromarray(frame.pixels).save(name, compress_level=1)
        return ""

    def _slices(self, folder: Path) -> str:
        values: Values
        patient = ""
        if is_dicom(self.files[0]):
            series = Dicom(self.files)
            values, patient = series.volume.values, series.patient
        else:
            values = Nifti(self.files[0]).volume.values
        try:
            window = window_of(values, self.window)
        except DataError as error:
            raise DataError(f"'{self.files[0]}' cannot be used: {error}.") from error
        for number, each in enumerate(to_slices(values, self.how.axis, window), 1):
            sixteen.write_png(each[:, :, None], folder / f"{number:04}.png", None)
        return patient


def _things(
    root: Path, files: Iterable[Path], how: Unpacking, side: str
) -> tuple[list[_Thing], dict[Path, str]]:
    things, slices = [], []
    for path in files:
        below = path.relative_to(root)
        suffix = next((each for each in NIFTI if path.name.lower().endswith(each)), None)
        if not _is_readable(path, suffix):
            continue
        if is_video(path):
            things.append(_Thing((path,), below.with_suffix(""), how._replace(axis="axial")))
        elif suffix is not None:
            name = below.with_name(path.name[: -len(suffix)])
            window = how.windows[side == "B" or _of_b(below)]
            things.append(_Thing((path,), name, how._replace(frame_step=1), window))
        elif is_dicom(path):
            slices.append(path)
    series, broken = series_of(slices) if slices else ([], {})
    seen: dict[Path, int] = {}
    for parts in series:
        below = parts[0].parent.relative_to(root)
        seen[below] = seen.get(below, 0) + 1
        window = how.windows[side == "B" or _of_b(below / "x")]
        name = below / (f"series {seen[below]}" if seen[below] > 1 else "series")
        things.append(_Thing(tuple(sorted(parts)), name, how._replace(frame_step=1), window))
    return things, broken


def _require_libraries(files: Iterable[Path]) -> None:
    """Say how to get what reads the files of a data set that holds nothing else."""
    for path in files:
        if is_video(path):
            library(path)
        elif path.name.lower().endswith(NIFTI) or is_dicom(path):
            dicom_library(path)


def _is_readable(path: Path, nifti: str | None) -> bool:
    """Whether the libraries are there for a video or a volume."""
    if is_video(path):
        return find_spec("av") is not None
    if nifti is not None:
        return find_spec("nibabel") is not None
    return all(map(find_spec, ("nibabel", "pydicom")))


def _of_b(below: PurePath) -> bool:
    """Whether folders on the way to a file say that it is of domain B."""
    return any(
        name.upper() == "B" or (side_of(name) or ("", ""))[1] == "B" for name in below.parent.parts
    )


def _named(root: Path, things: list[_Thing], others: list[Path]) -> dict[PurePath, Path]:
    """What each link is called, and what it leads to."""
    links: dict[PurePath, Path] = {path.relative_to(root): path.resolve() for path in others}
    folders = {parent for name in links for parent in name.parents}
    for thing in things:
        name = thing.below
        if name in links or name in folders:
            name = name.with_name(f"{name.name} {_short(str(thing.files[0].name))[:4]}")
        links[name] = thing.place
    return links


@contextmanager
def _fresh(folder: Path) -> Iterator[Path]:
    """Give a folder that takes its name when it is complete, unless another process was first."""
    partial = folder.with_name(f".{folder.name}.{secrets.token_hex(4)}")
    try:
        partial.mkdir(parents=True)
        yield partial
        try:
            partial.rename(folder)
        except OSError:
            if not folder.is_dir():
                raise
    except OSError as error:
        raise DataError(f"Images cannot be written to '{partial}': {error.strerror}.") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _short(text: str) -> str:
    return hashlib.sha256(os.fsencode(text)).hexdigest()[:16]
