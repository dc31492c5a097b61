"""Translate files and whole folder trees with a trained generator.

One pool of threads reads, the calling thread computes, a second pool writes. The stages are
generators through which the calling thread pulls the pictures, so that each holds a bounded amount
of pixels, however many pictures there are and however large.
"""

import os
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from i2i.atomic import replacing
from i2i.data import pictures, reading
from i2i.data.pictures import FORMATS, HOLD_ALPHA, Picture
from i2i.data.reading import PICTURE_SUFFIXES
from i2i.errors import DataError, OptionsError, did_you_mean
from i2i.processes import ALONE, Processes, share
from i2i.processor import cores
from i2i.translator import Translator, to_pixels, to_tensor

BYTES_PER_BATCH = 3 * 2**22
"""Pictures are stacked up to this size, 4 million RGB pixels; a larger one is computed alone."""

BYTES_PER_STAGE = 2**28
"""Pixels that may wait to be computed, and as many to be written."""


class Failure(NamedTuple):
    """A picture that could not be translated."""

    path: Path
    reason: str


def failure(path: Path, error: Exception) -> Failure:
    """What became of a picture, with a reason that does not say its name again."""
    reason = reading.reason(error)
    for known in ("read", "used"):
        reason = reason.removeprefix(f"'{path}' cannot be {known}: ")
    return Failure(path, reason)


@dataclass(frozen=True)
class Report:
    """What `translate_folder` did.

    `translated` pictures were written; those `failed` could not be read or are too large for the
    memory of the device; `seconds` passed from the first one read to the last one written.
    """

    translated: int
    failed: tuple[Failure, ...]
    seconds: float

    @property
    def per_second(self) -> float:
        """Pictures written per second."""
        return self.translated / self.seconds if self.seconds else 0.0


class _Job(NamedTuple):
    source: Path
    target: Path


class _Work(NamedTuple):
    """A picture on its way from one file to another."""

    job: _Job
    picture: Picture

    @property
    def nbytes(self) -> int:
        return self.picture.pixels.nbytes


def translate_folder(
    translator: Translator,
    source: Path | str,
    target: Path | str,
    *,
    size: int | None = None,
    batch_size: int = 8,
    overwrite: bool = False,
    suffix: str | None = None,
    workers: int | None = None,
    labels: Callable[[Path], Tensor] | None = None,
    progress: Callable[[int, int], None] | None = None,
    processes: Processes = ALONE,
) -> Report:
    """Translate every picture under `source` to a file of the same name under `target`.

    Results keep sub-folders and, unless `suffix` is given, the format of the input: JPEG of quality
    95 without colour subsampling, lossless WebP, PNG, TIFF or BMP. The depth of 16 bits,
    transparency and the colour profile are kept where the format of the result can hold them
    (`pictures.read`, `pictures.write`); transparency that it cannot hold is composited over white
    before. A file appears under its name only when it is complete. Pictures of equal size are
    computed together; up to rounding, results do not depend on that. A picture that cannot be read
    is reported and the others are done.

    Arguments:
        source: a folder, whose sub-folders belong to it, or one picture.
        target: the folder to write to, made if need be; for one picture also the file to write.
        size: resize pictures so that their shorter side has this many pixels, keeping their aspect
            (bicubic with antialiasing), before they are translated.
        batch_size: most pictures to compute together; large ones are fewer (`BYTES_PER_BATCH`).
        overwrite: replace results that exist already, instead of refusing to start.
        suffix: format of all results: "png", "jpg", "webp", "tif" or "bmp".
        workers: threads that read and as many that write; by default one per processor, 8 at most.
        labels: says what a picture is like, (L,), where the translator is not to find out by
            itself.
        progress: called with the numbers of pictures finished and of all.
        processes: those that share the work, each with a translator of its own. All check all of
            it before one of them begins, and the report is about what all have done.

    Raises:
        OptionsError: `size`, `batch_size`, `suffix` or `workers` is not one.
        DataError: there is nothing to translate; a result exists, would be written into the input,
            or would have the name of another; or a result cannot be written.
    """
    for name, value in (("size", size), ("batch_size", batch_size), ("workers", workers)):
        if value is not None and value < 1:
            raise OptionsError(f"{name} (={value}) must be at least 1.")
    source, target = Path(source), Path(target)
    jobs = _plan(source, target, suffix)
    _check_targets(source, target, jobs, overwrite=overwrite)
    if labels is not None:
        for job in jobs:
            labels(job.source)  # it complains before anything is done
    processes.barrier()
    jobs = list(share(jobs, processes.rank, processes.world))

    def read(job: _Job) -> Picture:
        keep_alpha = job.target.suffix.lower() in HOLD_ALPHA
        picture = pictures.read(job.source, translator.input_channels, keep_alpha=keep_alpha)
        return picture if size is None else pictures.resize(picture, size)

    start = time.perf_counter()
    translated = 0
    failed: list[Failure] = []

    def show_progress() -> None:
        if progress is not None:
            progress(translated + len(failed), len(jobs))

    def fail(job: _Job, error: Exception) -> None:
        failed.append(failure(job.source, error))
        show_progress()

    workers = workers or min(8, cores())
    most = 2 * batch_size + workers
    readers = ThreadPoolExecutor(workers, "reader")
    writers = ThreadPoolExecutor(workers, "writer")
    try:
        show_progress()
        works = _read_ahead(jobs, read, readers, most, fail)
        results = _compute(translator, _batches(works, batch_size), labels, fail)
        for _ in _write_behind(results, writers, most):
            translated += 1
            show_progress()
    finally:
        # After an error or Ctrl-C, files that are being written are finished, and no others begun.
        readers.shutdown(cancel_futures=True)
        writers.shutdown(cancel_futures=True)
    counts, failures = zip(*processes.gather((translated, failed)), strict=True)
    all_failed = sorted(failure for each in failures for failure in each)
    return Report(sum(counts), tuple(all_failed), time.perf_counter() - start)


def _plan(source: Path, target: Path, suffix: str | None) -> list[_Job]:
    """List what is to be read and where its result goes."""
    if suffix is not None:
        suffix = "." + suffix.lower().removeprefix(".")
        if suffix not in FORMATS:
            known = [known[1:] for known in FORMATS]
            raise OptionsError(
                f"The format (={suffix[1:]!r}) must be one of {', '.join(known)}."
                f"{did_you_mean(suffix[1:], known)}"
            )
    expected = f"expected files that end in {', '.join(sorted(PICTURE_SUFFIXES))}."
    if source.is_file():
        if source.suffix.lower() not in PICTURE_SUFFIXES:
            raise DataError(f"'{source}' is not a picture: {expected}")
        names_file = target.suffix.lower() in FORMATS and not target.is_dir()
        if names_file and suffix not in (None, target.suffix.lower()):
            raise DataError(f"The output '{target}' contradicts the format {suffix[1:]}: drop one.")
        if target.is_file() and not names_file:
            raise DataError(f"The output '{target}' is a file: expected a folder or a picture.")
        jobs = [_Job(source, target if names_file else target / source.name)]
    else:
        paths = reading.list_pictures(source)
        if not paths:
            raise DataError(f"There is no picture in '{source}': {expected}")
        if target.exists() and not target.is_dir():
            raise DataError(f"The output '{target}' is a file: expected a folder.")
        jobs = [_Job(path, target / path.relative_to(source)) for path in paths]
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
    return jobs


def _check_targets(source: Path, target: Path, jobs: list[_Job], *, overwrite: bool) -> None:
    """Refuse to write where pictures are read, now or the next time, or over other results."""
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
    if existing and not overwrite:
        names = ", ".join(map(str, existing[:3])) + (", ..." if len(existing) > 3 else "")
        raise DataError(
            f"{len(existing)} of {len(jobs)} results exist already ({names}): pass --overwrite to "
            "replace them, or choose another output."
        )


def _read_ahead(
    jobs: Iterable[_Job],
    read: Callable[[_Job], Picture],
    readers: ThreadPoolExecutor,
    most: int,
    fail: Callable[[_Job, Exception], None],
) -> Iterator[_Work]:
    """Read pictures in order, at most `most` at a time, and report those that cannot be read.

    How large a picture is turns out when it has been read. Reading therefore starts with one and
    then goes on with as many as fit into `BYTES_PER_STAGE` if all are as large as the largest so
    far, but at least two: one is read while the other is computed.
    """
    jobs = iter(jobs)
    pending: deque[tuple[_Job, Future[Picture]]] = deque()
    ahead = largest = 1
    while True:
        for job in islice(jobs, max(0, ahead - len(pending))):
            pending.append((job, readers.submit(read, job)))
        if not pending:
            return
        job, future = pending.popleft()
        try:
            work = _Work(job, future.result())
        except (DataError, MemoryError) as error:
            fail(job, error)
            continue
        largest = max(largest, work.nbytes)
        ahead = min(ahead + 1, most, max(2, BYTES_PER_STAGE // largest))
        yield work


def _batches(works: Iterable[_Work], batch_size: int) -> Iterator[list[_Work]]:
    """Group pictures of equal size and depth, looking ahead by up to four batches.

    When too much is waiting, the group whose first picture has waited longest goes, full or not.
    """
    groups: dict[tuple[object, ...], list[_Work]] = {}
    for work in works:
        kind = (*work.picture.pixels.shape, work.picture.pixels.dtype)
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
    """Translate the batches; what does not fit into the memory of the device alone is reported."""
    for batch in batches:
        shortage = ""
        try:
            images = to_tensor([work.picture.pixels for work in batch])
            told = torch.stack([labels(work.job.source) for work in batch]) if labels else None
            results = to_pixels(translator(images, labels=told))
        except torch.OutOfMemoryError as error:
            shortage = str(error)
        if not shortage:
            for (job, picture), pixels in zip(batch, results, strict=True):
                yield _Work(job, picture._replace(pixels=pixels))
        elif len(batch) > 1:
            yield from _compute(translator, [[work] for work in batch], labels, fail)
        else:
            advice = "use --tile auto, --size or --device cpu"
            fail(batch[0].job, DataError(f"{shortage}: {advice}."))


def _write_behind(
    results: Iterable[_Work], writers: ThreadPoolExecutor, most: int
) -> Iterator[_Job]:
    """Write results, at most `most` at a time, and yield what has been written."""
    writing: deque[tuple[_Work, Future[None]]] = deque()

    def is_full() -> bool:
        size = sum(result.nbytes for result, _ in writing)
        return len(writing) >= most or (len(writing) > 1 and size >= BYTES_PER_STAGE)

    for result in results:
        writing.append((result, writers.submit(_write, result.picture, result.job.target)))
        while writing and (writing[0][1].done() or is_full()):
            written, future = writing.popleft()
            future.result()
            yield written.job
    for written, future in writing:
        future.result()
        yield written.job


def _write(picture: Picture, path: Path) -> None:
    """Write a picture under another name first, so that a break leaves no half of it."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path, durable=False) as partial:
            pictures.write(picture, partial, path.suffix.lower())
    except (OSError, ValueError) as error:
        raise DataError(
            f"'{path}' cannot be written ({error}): make room, mend the permissions, or choose "
            "another output or format."
        ) from error
