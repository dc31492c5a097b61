"""What is to be translated and where each result goes, before anything is read.

A person is told of all that does not fit together before the work begins.
"""

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from PIL import Image

from i2i.data.images import read as reading
from i2i.data.images.arrays import written_suffixes
from i2i.data.images.file import SUFFIXES
from i2i.data.images.formats import image_suffixes, open_file
from i2i.data.volumes.dicom import is_dicom, series_of
from i2i.errors import DataError, OptionsError, did_you_mean
from i2i.inference.streams import DICOM, Stream, stream_of, suffix_of, written_by_streams


class Failure(NamedTuple):
    """A file that could not be translated."""

    path: Path
    reason: str


def failure(path: Path, error: Exception) -> Failure:
    """What became of an image, with a reason that does not say its name again."""
    reason = reading.reason(error)
    for known in ("read", "used"):
        reason = reason.removeprefix(f"'{path}' cannot be {known}: ")
    return Failure(path, reason)


class Job(NamedTuple):
    source: Path
    target: Path
    stream: Stream | None = None
    """Who translates it, where it is not taken into memory whole."""

    parts: tuple[tuple[Path, Path], ...] = ()
    """Where `source` is a folder whose files are one thing: each, and where its result goes."""

    @property
    def targets(self) -> tuple[Path, ...]:
        """All files to be written."""
        return tuple(target for _, target in self.parts) or (self.target,)


def plan(
    sources: Sequence[Path], target: Path, suffix: str | None
) -> tuple[list[Job], list[Failure]]:
    """List what is to be read and where its result goes, and the files that are no images.

    Arguments:
        sources: a folder, or an image; or several, of which each folder becomes one of its name.
        target: the folder of the results; of a single image it may be the file.
        suffix: the format of all results.
    """
    if suffix is not None:
        suffix = "." + suffix.lower().removeprefix(".")
        ours = dict.fromkeys([*written_suffixes(), *sorted(written_by_streams())])
        known = [each[1:] for each in ours]
        if suffix[1:] not in known:
            raise OptionsError(
                f"The format (={suffix[1:]!r}) must be one of {', '.join(known)}."
                f"{did_you_mean(suffix[1:], known)}"
            )
    jobs: list[Job] = []
    failed: list[Failure] = []
    if len(sources) == 1 and sources[0].is_file():
        jobs.append(_of_one(sources[0], target, suffix))
    else:
        for source in sources:
            of_many = len(sources) > 1 and source.is_dir()
            into = target / source.resolve().name if of_many else target
            own, no_images = _inside(source, into, suffix)
            jobs += own
            failed += no_images
        where = ", ".join(f"'{source}'" for source in sources)
        if not jobs:
            others = f" ({len(failed)} other files lie there)" if failed else ""
            raise DataError(
                f"There is no image in {where}{others}: expected files that end in "
                f"{', '.join(sorted(image_suffixes()))}, or others that Pillow can read."
            )
        if target.exists() and not target.is_dir():
            raise DataError(f"The output '{target}' is a file: expected a folder.")
        require_writable(target, is_folder=True)
    if suffix is not None and not any(suffix_of(job.target) == suffix for job in jobs):
        raise DataError(
            f"No file in '{sources[0]}' can be translated to the format {suffix[1:]}: drop it."
        )
    owners: dict[Path, Path] = {}
    for job in jobs:
        for result in job.targets:
            owner = owners.setdefault(result, job.source)
            if owner is not job.source:
                raise DataError(
                    f"'{owner}' and '{job.source}' would both be written to '{result}': rename "
                    "one of them, or keep their formats."
                )
    return jobs, failed


def _of_one(source: Path, target: Path, suffix: str | None) -> Job:
    """The job of an image, whose result may have a name of its own."""
    if not (endings := _endings(source)):
        raise DataError(f"'{source}' is not an image: {_why_none(source)}.")
    named = suffix_of(target)
    names_file = named in endings and not target.is_dir()
    if names_file and suffix is not None and suffix != named:
        raise DataError(f"The output '{target}' contradicts the format {suffix[1:]}: drop one.")
    if target.is_file() and not names_file:
        raise DataError(f"The output '{target}' is a file: expected a folder or an image.")
    if not names_file:
        require_writable(target, endings)
    result = target if names_file else target / _renamed(source, endings, suffix).name
    return Job(source, result, stream_of(source))


def _inside(source: Path, target: Path, suffix: str | None) -> tuple[list[Job], list[Failure]]:
    """The jobs of what lies in a folder, or of one file, and what is no image."""
    below = source.parent if source.is_file() else source
    paths = [source] if source.is_file() else list(reading.list_files(source))
    jobs, broken, paths = _series(below, target, paths)
    failed = [Failure(path, why) for path, why in broken.items()]
    for path in paths:
        if not (endings := _endings(path)):
            failed.append(Failure(path, _why_none(path)))
        else:
            result = target / _renamed(path, endings, suffix).relative_to(below)
            jobs.append(Job(path, result, stream_of(path)))
    return jobs, failed


def _series(
    source: Path, target: Path, paths: list[Path]
) -> tuple[list[Job], dict[Path, str], list[Path]]:
    """The jobs of files that are one thing together, those that are broken, and all others."""
    parts = [path for path in paths if is_dicom(path)]
    if not parts:
        return [], {}, paths
    series, broken = series_of(parts)
    jobs = []
    for files in series:
        results = tuple((path, target / path.relative_to(source)) for path in files)
        folder = files[0].parent
        jobs.append(Job(folder, target / folder.relative_to(source), DICOM, results))
    return jobs, broken, [path for path in paths if path not in set(parts)]


def _endings(path: Path) -> tuple[str, ...]:
    """Return what the result of a file may end in, its own ending first; nothing for a file that
    is no image.

    Where the name does not say what is in a file, its first bytes do.
    """
    if stream := stream_of(path):
        return stream.suffixes(path)
    suffix = path.suffix.lower()
    if suffix not in written_suffixes():
        try:
            with open_file(path) as image:
                suffix = SUFFIXES.get(image.format or "", ".png")
        except Exception:  # noqa: BLE001 (decoders of broken files raise nearly anything)
            return ()
    return tuple(dict.fromkeys([suffix, *written_suffixes()]))


def _renamed(path: Path, endings: tuple[str, ...], suffix: str | None) -> Path:
    """Name the result of a file: as the file, if that says the format which is written.

    Arguments:
        endings: what it may end in.
        suffix: what all results that can shall end in.
    """
    own = suffix_of(path)
    ending = suffix if suffix in endings else endings[0]
    Image.init()
    is_format = own in Image.EXTENSION or stream_of(path) is not None
    if own == ending:
        return path
    stem = path.name[: -len(own)] if own and is_format else path.name
    return path.with_name(stem + ending)


def _why_none(path: Path) -> str:
    suffix = path.suffix.lower()
    if suffix in reading.UNREAD_SUFFIXES and suffix not in image_suffixes():
        return f"it is no image of a known format: save a {suffix} as JPEG, PNG or TIFF first"
    return "it is no image of a known format"


def require_writable(
    target: Path, endings: Iterable[str] | None = None, *, is_folder: bool = False
) -> None:
    """Raise DataError where the name of an output promises a file that cannot be written.

    Arguments:
        target: what a person calls the output.
        endings: what a file that is written may end in.
        is_folder: it has to be a folder, as there are several results.
    """
    endings = written_suffixes() if endings is None else tuple(endings)
    suffix = suffix_of(target)
    if target.is_dir() or not suffix[1:].replace(".", "").isalnum() or suffix[1:].isdecimal():
        return
    Image.init()
    of_files = Image.EXTENSION.keys() | written_by_streams() | set(written_suffixes())
    if is_folder and suffix in of_files:
        raise DataError(
            f"The output '{target}' is named like a file, but there may be several results: name a "
            "folder (one with such a name must be there already)."
        )
    if not is_folder and suffix not in endings:
        raise DataError(
            f"The output '{target}' ends in {suffix}, which cannot be written: expected a file "
            f"that ends in {', '.join(endings)}, or a folder (one with a dot in its name must be "
            "there already)."
        )


def check_places(sources: Sequence[Path], target: Path, jobs: list[Job]) -> None:
    """Refuse to write where images are read, now or the next time."""
    for source in (place for place in sources if place.is_dir()):
        # Each folder on the way, because sub-folders may be links to anywhere.
        parents = {job.source.parent for job in jobs}
        folders = {folder for parent in parents for folder in (parent, *parent.parents)}
        inputs = {folder.resolve() for folder in folders if folder.is_relative_to(source)}
        for folder in {target, *(path.parent for job in jobs for path in job.targets)}:
            real = folder.resolve()
            if not inputs.isdisjoint({real, *real.parents}):
                raise DataError(
                    f"Results would be written to '{folder}', inside the input '{source}': choose "
                    "an output folder outside of it."
                )
    existing = [path for job in jobs for path in job.targets if os.path.lexists(path)]
    read = (path for job in jobs for path in (dict(job.parts) or (job.source,)))
    originals = {path.resolve() for path in read} if existing else set()
    for path in existing:
        if path.resolve() in originals:
            raise DataError(f"The result '{path}' would overwrite an input: choose another output.")
