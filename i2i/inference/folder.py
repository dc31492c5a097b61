"""Translate files and whole folder trees with a trained generator.

One pool of threads reads, the calling thread computes, a second pool writes. The stages are
generators through which the calling thread pulls the images, so that each holds a bounded amount
of pixels, however many images there are and however large.
"""

import os
import time
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from statistics import median
from typing import Literal, NamedTuple

import torch
from PIL import Image
from torch import Tensor

from i2i.data.images import file as image_file
from i2i.data.images import frames
from i2i.data.images import read as reading
from i2i.data.images.file import FORMATS, HOLD_ALPHA, SUFFIXES, AnyPixels, LoadedImage
from i2i.data.images.formats import image_suffixes, open_file
from i2i.data.images.frames import Frames
from i2i.distributed.processes import ALONE, Processes, share
from i2i.errors import CheckpointError, DataError, OptionsError, did_you_mean
from i2i.inference.results import ExistsError, Results
from i2i.inference.translator import Translator, to_pixels, to_tensor
from i2i.system.cpu import cores
from i2i.system.memory import OUT_OF_MEMORY, is_out_of_memory

BYTES_PER_BATCH = 3 * 2**22
"""Images are stacked up to this size, 4 million RGB pixels; a larger one is computed alone."""

BYTES_PER_STAGE = 2**28
"""Pixels that may wait to be computed, and as many to be written."""


FAR = 2.0
"""How many times larger or smaller than in the training images are before it is said."""

_NOT_IMAGES = {
    **dict.fromkeys(
        (".avi", ".m4v", ".mkv", ".mov", ".mp4", ".mpg", ".webm"),
        "it is a video: take its frames out first (ffmpeg -i VIDEO FOLDER/%06d.png)",
    ),
    **dict.fromkeys(
        (".npy", ".npz"), "it holds arrays: give them to a Translator in Python, which takes them"
    ),
}
"""What becomes of files that are often expected to be read, beside images."""


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


@dataclass(frozen=True)
class Report:
    """What `translate_folder` did.

    `translated` files were written; those `failed` could not be read, are too large for the memory
    of the device, or what the network made of them is not finite; `seconds` passed from the first
    one read to the last one written. `skipped` were there already. `remarks` are lines for a person
    about how the images differ from those of the training.
    """

    translated: int
    failed: tuple[Failure, ...]
    seconds: float
    skipped: int = 0
    remarks: tuple[str, ...] = ()

    @property
    def per_second(self) -> float:
        """Images written per second."""
        return self.translated / self.seconds if self.seconds else 0.0


class _Job(NamedTuple):
    source: Path
    target: Path


class _Work(NamedTuple):
    """The image of a file, or several, on their way to another file."""

    job: _Job
    frames: Frames
    whole: tuple[int, int] = (0, 0)
    """Width and height of the first one in the file."""

    @property
    def nbytes(self) -> int:
        return self.frames.nbytes


def translate_folder(
    translator: Translator,
    source: Path | str,
    target: Path | str,
    *,
    size: int | tuple[int, int] | None = None,
    side: Literal["A", "B"] | None = None,
    batch_size: int = 8,
    overwrite: bool = False,
    skip_existing: bool = False,
    only: Collection[Path] | None = None,
    keep_metadata: bool = False,
    suffix: str | None = None,
    workers: int | None = None,
    labels: Callable[[Path], Tensor] | None = None,
    progress: Callable[[int, int], None] | None = None,
    processes: Processes = ALONE,
) -> Report:
    """Translate every image under `source` to a file of the same name under `target`.

    Results keep sub-folders and, unless `suffix` is given, the format of the input: JPEG of quality
    95 without colour subsampling, lossless WebP, PNG, TIFF, BMP, GIF, PPM, and AVIF and JPEG 2000
    where Pillow has them; PNG for every other format that it can read. The depth of 16 bits,
    transparency and the colour profile are kept where the format of the result can hold them
    (`image_file.read`, `image_file.write`); transparency that it cannot hold is composited over
    white before. All pages of a TIFF and all frames of an animation are translated (`frames`). A
    file appears under its name only when it is complete, and never takes the place of one that i2i
    has not written (`results`). Images of equal size are computed together; up to rounding,
    results do not depend on that. What cannot be read is reported, files that are no images as
    well, and the others are done.

    Arguments:
        source: a folder, whose sub-folders belong to it, or one image.
        target: the folder to write to, made if need be; for one image also the file to write.
        size: resize images before they are translated (bicubic with antialiasing): so that their
            shorter side has this many pixels, keeping their aspect; or to (width, height).
        side: take only the left half ("A") or the right half ("B") of each image, of pairs that lie
            side by side.
        batch_size: most images to compute together; large ones are fewer (`BYTES_PER_BATCH`).
        overwrite: replace own results that exist already, instead of refusing to start.
        skip_existing: leave out what has a result already.
        only: of the images in a folder, those that are translated, as absolute paths.
        keep_metadata: write what the camera wrote (date, place) into results of 8 bits whose format
            holds it, and give them the time of their original.
        suffix: format of all results: "png", "jpg", "webp", "tif", ... (`image_file.FORMATS`).
        workers: threads that read and as many that write; by default one per processor, 8 at most.
        labels: says what an image is like, (L,), where the translator is not to find out by
            itself.
        progress: called with the numbers of files finished and of all.
        processes: those that share the work, each with a translator of its own. All check all of
            it before one of them begins, and the report is about what all have done.

    Raises:
        OptionsError: `size`, `side`, `batch_size`, `suffix` or `workers` is not one; or results are
            to be both replaced and left out.
        DataError: there is nothing to translate; a result exists, would be written into the input,
            or would have the name of another; or a result cannot be written.
    """
    for name, value in (("size", size), ("batch_size", batch_size), ("workers", workers)):
        if value is not None and (value if isinstance(value, int) else min(value)) < 1:
            raise OptionsError(f"{name} (={value}) must be at least 1.")
    if side not in (None, "A", "B"):
        raise OptionsError(f"side (={side!r}) must be A (the left half) or B (the right half).")
    if overwrite and skip_existing:
        raise OptionsError("results are either replaced (overwrite) or left out (skip_existing).")
    source, target = Path(source), Path(target)
    jobs, failed = _plan(source, target, suffix)
    if only is not None:
        jobs, failed = [job for job in jobs if job.source.absolute() in only], []
        if not jobs:
            raise DataError(f"None of the images in '{source}' is among those to translate.")
    folder = target if jobs[0].target != target else target.parent
    results = Results(folder)
    _check_places(source, target, jobs)
    planned = len(jobs)
    if skip_existing:
        jobs = [job for job in jobs if not os.path.lexists(job.target)]
    skipped = planned - len(jobs)
    results.check([job.target for job in jobs], overwrite=overwrite, skippable=True)
    if labels is not None:
        for job in jobs:
            labels(job.source)  # it complains before anything is done
    processes.barrier()
    jobs = list(share(jobs, processes.rank, processes.world))
    failed = failed if processes.first else []
    passed_over = len(failed)

    def read(job: _Job) -> _Work:
        ending = job.target.suffix.lower()
        found = frames.read(
            job.source,
            translator.input_channels,
            suffix=ending,
            keep_alpha=ending in HOLD_ALPHA,
        )
        height, width = found.images[0].pixels.shape[:2]
        images = found.images
        if side is not None:
            images = [_half(image, side, job.source) for image in images]
        if size is not None:
            images = [image_file.resize(image, size) for image in images]
        if keep_metadata and ending in image_file.HOLD_EXIF:
            exif = image_file.metadata(job.source)
            images = [image._replace(exif=exif) for image in images]
        return _Work(job, found._replace(images=images), (width, height))

    start = time.perf_counter()
    translated = 0
    seen: list[_Seen] = []

    def show_progress() -> None:
        if progress is not None:
            progress(translated + len(failed) - passed_over, len(jobs))

    def fail(job: _Job, error: Exception) -> None:
        failed.append(failure(job.source, error))
        show_progress()

    def measured(works: Iterable[_Work]) -> Iterator[_Work]:
        for work in works:
            shorter = min(work.frames.images[0].pixels.shape[:2])
            seen.append(_Seen(work.whole, shorter, work.frames.geo))
            yield work

    def write(work: _Work) -> None:
        _write(work, results, overwrite=overwrite)
        if keep_metadata:
            of = work.job.source.stat()
            os.utime(work.job.target, ns=(of.st_atime_ns, of.st_mtime_ns))

    workers = workers or min(8, cores())
    most = 2 * batch_size + workers
    readers = ThreadPoolExecutor(workers, "reader")
    writers = ThreadPoolExecutor(workers, "writer")
    try:
        show_progress()
        works = measured(_read_ahead(jobs, read, readers, most, fail))
        done = _compute(translator, _batches(works, batch_size), labels, fail)
        for _ in _write_behind(done, write, writers, most, fail):
            translated += 1
            show_progress()
    finally:
        # After an error or Ctrl-C, files that are being written are finished, and no others begun.
        readers.shutdown(cancel_futures=True)
        writers.shutdown(cancel_futures=True)
    parts = processes.gather((translated, failed, seen))
    return Report(
        translated=sum(count for count, _, _ in parts),
        failed=tuple(sorted(each for _, failures, _ in parts for each in failures)),
        seconds=time.perf_counter() - start,
        skipped=skipped,
        remarks=_remarks(translator, [each for *_, own in parts for each in own], side),
    )


def _half(image: LoadedImage, side: str, path: Path) -> LoadedImage:
    """Return the left (A) or the right (B) half of an image."""
    width = image.pixels.shape[1]
    if width % 2:
        raise DataError(
            f"'{path}' cannot be used: it is {width} pixels wide, of which no half is whole: pairs "
            "lie side by side in an even width."
        )
    part = slice(0, width // 2) if side == "A" else slice(width // 2, None)
    alpha = None if image.alpha is None else image.alpha[:, part]
    return image._replace(pixels=image.pixels[:, part], alpha=alpha)


class _Seen(NamedTuple):
    """What is to be remarked upon of an image.

    Attributes:
        whole: width and height in the file.
        shorter: its shorter side as it is translated.
        geo: whether it is a GeoTIFF.
    """

    whole: tuple[int, int]
    shorter: int
    geo: bool


def _remarks(translator: Translator, seen: list[_Seen], side: str | None) -> tuple[str, ...]:
    """Say how images differ from those of the training in what can be told from their sizes, and
    what of them is not in the results."""
    remarks = []
    trained = translator.trained_size
    doubled = sum(each.whole[0] == 2 * each.whole[1] for each in seen)
    if translator.paired and side is None and doubled:
        remarks.append(
            f"{doubled} of {len(seen)} images are twice as wide as high, as pairs side by side "
            "are, and were translated as a whole: --side A takes their left half, --side B the "
            "right one."
        )
    shorter = [each.shorter for each in seen]
    far = [side for side in shorter if trained and not trained / FAR < side < trained * FAR]
    if far:
        remarks.append(
            f"{len(far)} of {len(seen)} images have a shorter side of {median(far):g} pixels "
            f"(median), where the training saw whole images at {trained}: things are of another "
            f"scale there, which mostly costs quality; --size {trained} translates at that of the "
            "training."
        )
    if places := sum(each.geo for each in seen):
        remarks.append(
            f"{places} of {len(seen)} images are GeoTIFF, and their results have neither the place "
            "on earth nor the resolution: copy these from the originals (with GDAL, say)."
        )
    return tuple(remarks)


def _plan(source: Path, target: Path, suffix: str | None) -> tuple[list[_Job], list[Failure]]:
    """List what is to be read and where its result goes, and the files that are no images."""
    if suffix is not None:
        suffix = "." + suffix.lower().removeprefix(".")
        if suffix not in FORMATS:
            known = [known[1:] for known in FORMATS]
            raise OptionsError(
                f"The format (={suffix[1:]!r}) must be one of {', '.join(known)}."
                f"{did_you_mean(suffix[1:], known)}"
            )
    failed: list[Failure] = []
    if source.is_file():
        if (ending := _ending(source)) is None:
            raise DataError(f"'{source}' is not an image: {_why_none(source)}.")
        names_file = target.suffix.lower() in FORMATS and not target.is_dir()
        if names_file and suffix not in (None, target.suffix.lower()):
            raise DataError(f"The output '{target}' contradicts the format {suffix[1:]}: drop one.")
        if target.is_file() and not names_file:
            raise DataError(f"The output '{target}' is a file: expected a folder or an image.")
        require_writable(target)
        result = target if names_file else target / _renamed(source, ending).name
        jobs = [_Job(source, result)]
    else:
        jobs = []
        for path in reading.list_files(source):
            if (ending := _ending(path)) is None:
                failed.append(Failure(path, _why_none(path)))
            else:
                jobs.append(_Job(path, target / _renamed(path, ending).relative_to(source)))
        if not jobs:
            others = f" ({len(failed)} other files lie there)" if failed else ""
            raise DataError(
                f"There is no image in '{source}'{others}: expected files that end in "
                f"{', '.join(sorted(image_suffixes()))}, or others that Pillow can read."
            )
        if target.exists() and not target.is_dir():
            raise DataError(f"The output '{target}' is a file: expected a folder.")
        require_writable(target, is_folder=True)
    if suffix is not None:
        jobs = [_Job(job.source, job.target.with_suffix(suffix)) for job in jobs]
    owners: dict[Path, Path] = {}
    for job in jobs:
        owner = owners.setdefault(job.target, job.source)
        if owner is not job.source:
            raise DataError(
                f"'{owner}' and '{job.source}' would both be written to '{job.target}': rename one "
                "of them, or keep their formats."
            )
    return jobs, failed


def _ending(path: Path) -> str | None:
    """Return the suffix of a file's result; None for a file that is no image.

    Where the name does not say what is in a file, its first bytes do.
    """
    suffix = path.suffix.lower()
    if suffix in FORMATS:
        return suffix
    try:
        with open_file(path) as image:
            return SUFFIXES.get(image.format or "", ".png")
    except Exception:  # noqa: BLE001 (decoders of broken files raise nearly anything)
        return None


def _renamed(path: Path, ending: str) -> Path:
    """Name the result of a file: as the file, if that says the format which is written."""
    if path.suffix.lower() == ending:
        return path
    Image.init()
    is_format = path.suffix.lower() in Image.EXTENSION
    return path.with_suffix(ending) if is_format else path.with_name(path.name + ending)


def _why_none(path: Path) -> str:
    return _NOT_IMAGES.get(path.suffix.lower(), "it is no image of a known format")


def require_writable(target: Path, *, is_folder: bool = False) -> None:
    """Raise DataError where the name of an output promises a file that cannot be written.

    Arguments:
        target: what a person calls the output.
        is_folder: it has to be a folder, as there are several results.
    """
    suffix = target.suffix.lower()
    if target.is_dir() or not suffix[1:].isalnum() or suffix[1:].isdecimal():
        return
    Image.init()
    if is_folder and (suffix in FORMATS or suffix in Image.EXTENSION or suffix in _NOT_IMAGES):
        raise DataError(
            f"The output '{target}' is named like a file, but there may be several results: name a "
            "folder (one with such a name must be there already)."
        )
    if not is_folder and suffix not in FORMATS:
        raise DataError(
            f"The output '{target}' ends in {suffix}, which cannot be written: expected a file "
            f"that ends in {', '.join(FORMATS)}, or a folder (one with a dot in its name must be "
            "there already)."
        )


def _check_places(source: Path, target: Path, jobs: list[_Job]) -> None:
    """Refuse to write where images are read, now or the next time."""
    if source.is_dir():
        # Each folder on the way, because sub-folders may be links to anywhere.
        parents = {job.source.parent for job in jobs}
        folders = {folder for parent in parents for folder in (parent, *parent.parents)}
        inputs = {folder.resolve() for folder in folders if folder.is_relative_to(source)}
        for folder in {target, *(job.target.parent for job in jobs)}:
            real = folder.resolve()
            if not inputs.isdisjoint({real, *real.parents}):
                raise DataError(
                    f"Results would be written to '{folder}', inside the input '{source}': choose "
                    "an output folder outside of it."
                )
    existing = [job.target for job in jobs if os.path.lexists(job.target)]
    originals = {job.source.resolve() for job in jobs} if existing else set()
    for path in existing:
        if path.resolve() in originals:
            raise DataError(f"The result '{path}' would overwrite an input: choose another output.")


def _read_ahead(
    jobs: Iterable[_Job],
    read: Callable[[_Job], _Work],
    readers: ThreadPoolExecutor,
    most: int,
    fail: Callable[[_Job, Exception], None],
) -> Iterator[_Work]:
    """Read images in order, at most `most` at a time, and report those that cannot be read.

    How large an image is turns out when it has been read. Reading therefore starts with one and
    then goes on with as many as fit into `BYTES_PER_STAGE` if all are as large as the largest so
    far, but at least two: one is read while the other is computed.
    """
    jobs = iter(jobs)
    pending: deque[tuple[_Job, Future[_Work]]] = deque()
    ahead = largest = 1
    while True:
        for job in islice(jobs, max(0, ahead - len(pending))):
            pending.append((job, readers.submit(read, job)))
        if not pending:
            return
        job, future = pending.popleft()
        try:
            work = future.result()
        except (DataError, MemoryError) as error:
            fail(job, error)
            continue
        largest = max(largest, work.nbytes)
        ahead = min(ahead + 1, most, max(2, BYTES_PER_STAGE // largest))
        yield work


def _batches(works: Iterable[_Work], batch_size: int) -> Iterator[list[_Work]]:
    """Group images of equal size and depth, looking ahead by up to four batches.

    When too much is waiting, the group whose first image has waited longest goes, full or not.
    Files of several images go alone.
    """
    groups: dict[tuple[object, ...], list[_Work]] = {}
    for work in works:
        if len(work.frames.images) > 1:
            yield [work]
            continue
        [image] = work.frames.images
        kind = (*image.pixels.shape, image.pixels.dtype)
        groups.setdefault(kind, []).append(work)
        waiting = [one.nbytes for group in groups.values() for one in group]
        if len(groups[kind]) >= min(batch_size, BYTES_PER_BATCH // work.nbytes or 1):
            yield groups.pop(kind)
        elif len(waiting) >= 4 * batch_size or sum(waiting) >= BYTES_PER_STAGE:
            yield groups.pop(next(iter(groups)))
    yield from groups.values()


def _compute(
    translator: Translator,
    batches: Iterable[list[_Work]],
    labels: Callable[[Path], Tensor] | None,
    fail: Callable[[_Job, Exception], None],
) -> Iterator[_Work]:
    """Translate the batches; what does not fit into the memory of the device alone is reported,
    and so is what the network makes something else of than an image."""

    def translate(pixels: list[AnyPixels], works: list[_Work]) -> list[AnyPixels]:
        told = torch.stack([labels(work.job.source) for work in works]) if labels else None
        return to_pixels(translator(to_tensor(pixels), labels=told))

    for batch in batches:
        reason = ""
        results: list[list[AnyPixels]] = []
        try:
            if len(batch) > 1:
                pixels = [work.frames.images[0].pixels for work in batch]
                results = [[result] for result in translate(pixels, batch)]
            else:
                images = batch[0].frames.images
                results = [[translate([image.pixels], batch)[0] for image in images]]
        except OUT_OF_MEMORY as error:
            if not is_out_of_memory(error):
                raise
            known = isinstance(error, torch.OutOfMemoryError)
            what = error if known else "its pixels do not fit into the memory"
            reason = f"{what}: use --tile auto, --size or --device cpu."
        except CheckpointError as error:
            reason = str(error)
        if not reason:
            for work, made in zip(batch, results, strict=True):
                pairs = zip(work.frames.images, made, strict=True)
                images = [image._replace(pixels=pixels) for image, pixels in pairs]
                yield work._replace(frames=work.frames._replace(images=images))
        elif len(batch) > 1:
            yield from _compute(translator, [[work] for work in batch], labels, fail)
        else:
            fail(batch[0].job, DataError(reason))


def _write_behind(
    results: Iterable[_Work],
    write: Callable[[_Work], None],
    writers: ThreadPoolExecutor,
    most: int,
    fail: Callable[[_Job, Exception], None],
) -> Iterator[_Job]:
    """Write results, at most `most` at a time, and yield what has been written."""
    writing: deque[tuple[_Work, Future[None]]] = deque()

    def is_full() -> bool:
        size = sum(result.nbytes for result, _ in writing)
        return len(writing) >= most or (len(writing) > 1 and size >= BYTES_PER_STAGE)

    def finished() -> Iterator[_Job]:
        written, future = writing.popleft()
        try:
            future.result()
        except (ExistsError, MemoryError) as error:
            fail(written.job, error)
        else:
            yield written.job

    for result in results:
        writing.append((result, writers.submit(write, result)))
        while writing and (writing[0][1].done() or is_full()):
            yield from finished()
    while writing:
        yield from finished()


def _write(work: _Work, results: Results, *, overwrite: bool) -> None:
    path = work.job.target
    try:
        results.write(
            path,
            lambda part: frames.write(work.frames, part, path.suffix.lower()),
            overwrite=overwrite,
        )
    except (OSError, ValueError) as error:
        raise DataError(
            f"'{path}' cannot be written ({error}): make room, mend the permissions, or choose "
            "another output or format; --skip-existing goes on with what is not done yet."
        ) from error
