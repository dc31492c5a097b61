"""Translate files and whole folder trees with a trained generator.

One pool of threads reads, the calling thread computes, a second pool writes. The stages are
generators through which the calling thread pulls the images, so that each holds a bounded amount
of pixels, however many images there are and however large.
"""

import os
import time
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from statistics import median
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from i2i.core.inputs import Inputs, packed
from i2i.core.label_maps import LabelMaps
from i2i.core.progress import progress
from i2i.core.size import AnySize
from i2i.data.augment.geometry import resize_pixels
from i2i.data.images import file as image_file
from i2i.data.images import frames
from i2i.data.images.file import HOLD_ALPHA, AnyPixels, LoadedImage
from i2i.data.images.formats.tiff import rescaled
from i2i.data.images.frames import Frames
from i2i.data.sides import SideReader, inputs_reader, label_reader
from i2i.distributed.processes import ALONE, Processes, share
from i2i.errors import CheckpointError, DataError, OptionsError, reason
from i2i.inference.as_filed import Filing, rescaled_world, resized, world_files
from i2i.inference.jobs import Failure, Job, check_places, failure, plan
from i2i.inference.results import ExistsError, Results
from i2i.inference.sources import Sources, find_sources
from i2i.inference.streams import TIFFS, StreamOptions
from i2i.inference.streams.flicker import Flicker
from i2i.inference.translator import Translator
from i2i.system.cpu import cores
from i2i.system.memory import OUT_OF_MEMORY, is_out_of_memory

BYTES_PER_BATCH = 3 * 2**22
"""Images are stacked up to this size, 4 million RGB pixels; a larger one is computed alone."""

BYTES_PER_STAGE = 2**28
"""Pixels that may wait to be computed, and as many to be written."""


FAR = 2.0
"""How many times larger or smaller than in the training images are before it is said."""


@dataclass(frozen=True)
class Report:
    """What `translate_folder` did.

    `translated` files were written; those `failed` could not be read, are too large for the memory
    of the device, or what the network made of them is not finite; `seconds` passed from the first
    one read to the last one written. `skipped` were there already. `remarks` are lines for a person
    about how the images differ from those of the training, `streamed` such lines about each
    animation, and each file that was translated part after part (`i2i.inference.streams`).
    """

    translated: int
    failed: tuple[Failure, ...]
    seconds: float
    skipped: int = 0
    remarks: tuple[str, ...] = ()
    streamed: tuple[str, ...] = ()

    @property
    def per_second(self) -> float:
        """Images written per second."""
        return self.translated / self.seconds if self.seconds else 0.0


class _Work(NamedTuple):
    """The image of a file, or several, on their way to another file."""

    job: Job
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
    instances: Path | None = None,
    beside: Sequence[Path] = (),
    processes: Processes = ALONE,
) -> Report:
    """Translate every image under `source` to a file of the same name under `target`.

    Results keep sub-folders and, unless `suffix` is given, the format of the input: JPEG of quality
    95 without colour subsampling, lossless WebP, PNG, TIFF, BMP, GIF, PPM, and AVIF and JPEG 2000
    where Pillow has them; `.npy`, `.npz` and PFM, and PNG for every other format that it can read.
    Where the values of files are used as they are (`Translator.filing`), results have the type and
    the range of the other side, in a TIFF where the format of the input cannot hold that. A GeoTIFF
    stays one, and
    world files (.tfw ...) are copied. The depth of 16 bits,
    transparency and the colour profile are kept where the format of the result can hold them
    (`image_file.read`, `image_file.write`); transparency that it cannot hold is composited over
    white before. All pages of a TIFF and all frames of an animation are translated (`frames`);
    videos are translated frame after frame (`i2i.inference.streams`). A file appears under its name
    only when it is complete, and never takes the place of one that i2i has not written (`results`).
    Images of equal size are computed together; up to rounding, results do not depend on that. What
    cannot be read is reported, files that are no images as well, and the others are done.

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
            holds it, and give them the time of their original; of medical images copy also what
            says whose they are.
        suffix: format of all results: "png", "jpg", "webp", "tif", ... (`image_file.FORMATS`).
        workers: threads that read and as many that write; by default one per processor, 8 at most.
        labels: says what an image is like, (L,), where the translator is not to find out by
            itself.
        instances: the folder of maps that number the objects, by the names of the label maps, for
            networks that see their borders.
        beside: more images and folders, each of which becomes one of its name in `target`. For
            networks of several inputs the folders (or files) of the others, in the order of the
            recipe, whose files are matched by their names; by default `source` is the folder that
            holds those of all inputs, or a data set of which `only` names images.
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
    if suffix is None and translator.labels[1] is not None and (source.is_dir() or beside):
        suffix = "png"  # whatever the images are: numbers must not be changed
    maps, inputs = None, Sources()
    if isinstance(held := translator.labels[0], Inputs):
        maps = inputs_reader("input", held)
        inputs = find_sources(held.names, source, beside, only)
        source = inputs.folder
    else:
        maps = label_reader(held, instances)
    places = [source] if inputs.names else list(dict.fromkeys([source, *map(Path, beside)]))
    jobs, failed = plan(places, target, suffix)
    if isinstance(held, LabelMaps) and not held.edges:
        jobs = [
            job._replace(stream=TIFFS)
            if job.stream is None and TIFFS.takes_maps(job.source, job.target, held.planes)
            else job
            for job in jobs
        ]
    # What is made of a model whose results are label maps is PNG, whatever it takes.
    filing = translator.filing if translator.labels[1] is None else None
    if filing is not None:
        jobs = _fitting(filing, jobs, suffix)
    if only is not None:
        jobs, failed = [job for job in jobs if job.source.absolute() in only], []
        if not jobs:
            raise DataError(f"None of the images in '{source}' is among those to translate.")
    if inputs.names:
        jobs, lonely = inputs.match(jobs)
        failed += lonely
    folder = target if jobs[0].parts or jobs[0].target != target else target.parent
    results = Results(folder)
    check_places(places, target, jobs)
    inputs.require_outside(folder)
    planned = len(jobs)
    if skip_existing:
        jobs = [job for job in jobs if not all(map(os.path.lexists, job.targets))]
    skipped = planned - len(jobs)
    results.check(
        [path for job in jobs for path in job.targets], overwrite=overwrite, skippable=True
    )
    if labels is not None:
        for job in jobs:
            labels(job.source)  # it complains before anything is done
    processes.barrier()
    jobs = list(share(jobs, processes.rank, processes.world))
    failed = failed if processes.first else []
    passed_over = len(failed)

    def read(job: Job) -> _Work:
        if maps is not None:
            return _read_maps(
                maps, (job.source, *inputs.beside.get(job.source, ())), job, side, size
            )
        if translator.filing is not None:
            return _read_filed(translator.filing, job, side, size)
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
            images = [image_file.half(image, side, job.source) for image in images]
        if size is not None:
            images = [image_file.resize(image, size) for image in images]
        if keep_metadata and ending in image_file.HOLD_EXIF:
            exif = image_file.metadata(job.source)
            images = [image._replace(exif=exif) for image in images]
        return _Work(job, found._replace(images=images), (width, height))

    start = time.perf_counter()
    translated = 0
    seen: list[_Seen] = []

    streamed: list[str] = []
    parts_done, parts = 0, 0  # of what is translated part after part

    def show_progress() -> None:
        finished = translated + len(failed) - passed_over
        update(finished + parts_done, len(jobs) + parts)

    def fail(job: Job, error: Exception) -> None:
        failed.append(failure(job.source, error))
        show_progress()

    def measured(works: Iterable[_Work]) -> Iterator[_Work]:
        for work in works:
            shorter = min(work.frames.images[0].pixels.shape[:2])
            lost = work.frames.geo and work.job.target.suffix.lower() not in frames.PAGED
            seen.append(_Seen(work.whole, shorter, lost))
            yield work

    def write(work: _Work) -> None:
        _write(work, filing, save)
        keep_times(work.job)

    def keep_times(job: Job) -> None:
        if keep_metadata:
            for source, target in job.parts or ((job.source, job.target),):
                of = source.stat()
                os.utime(target, ns=(of.st_atime_ns, of.st_mtime_ns))

    def save(path: Path, how: Callable[[Path], None]) -> None:
        _save(results, path, how, overwrite=overwrite)

    def stream(job: Job) -> None:
        nonlocal parts_done, parts, translated
        before, all_before = parts_done, parts

        def advance(done: int, total: int) -> None:
            nonlocal parts_done, parts
            parts_done, parts = before + done, all_before + total
            show_progress()

        assert job.stream is not None
        told = None if labels is None else labels(job.source)
        how = StreamOptions(size, side, batch_size, told, keep_metadata, advance)
        try:
            streamed.extend(job.stream.run(translator, job, save, how))
        except OUT_OF_MEMORY as error:
            if not is_out_of_memory(error):
                raise
            fail(job, DataError(_shortage(error)))
        except (DataError, CheckpointError, MemoryError) as error:
            fail(job, error)
        else:
            keep_times(job)
            translated += 1
            show_progress()

    workers = workers or min(8, cores())
    most = 2 * batch_size + workers
    readers = ThreadPoolExecutor(workers, "reader")
    writers = ThreadPoolExecutor(workers, "writer")
    try:
        with progress("translating") as update:
            show_progress()
            images = [job for job in jobs if job.stream is None]
            works = measured(_read_ahead(images, read, readers, most, fail))
            done = _compute(translator, _batches(works, batch_size), labels, fail, streamed.append)
            for _ in _write_behind(done, write, writers, most, fail):
                translated += 1
                show_progress()
            for job in jobs:
                if job.stream is not None:
                    stream(job)
    except KeyboardInterrupt as stop:
        stop.add_note(f"{translated + len(failed) - passed_over} of {len(jobs)} done")
        raise
    finally:
        # After an error or Ctrl-C, files that are being written are finished, and no others begun.
        readers.shutdown(cancel_futures=True)
        writers.shutdown(cancel_futures=True)
    shares = processes.gather((translated, failed, seen, streamed))
    return Report(
        translated=sum(count for count, *_ in shares),
        failed=tuple(sorted(each for _, failures, *_ in shares for each in failures)),
        seconds=time.perf_counter() - start,
        skipped=skipped,
        remarks=_remarks(translator, [each for *_, own, _ in shares for each in own], side),
        streamed=tuple(line for *_, lines in shares for line in lines),
    )


def _read_maps(
    reader: SideReader, paths: Sequence[Path], job: Job, side: str | None, size: AnySize | None
) -> _Work:
    """Read a label map or several inputs, or the half of a file that is one."""
    images = reader.read_all(paths, None if side is None else "AB".index(side))
    height, width = images[0].shape[:2]
    if size is not None:
        scale = size / min(height, width) if isinstance(size, int) else 1
        across, down = (
            (round(width * scale), round(height * scale)) if isinstance(size, int) else size
        )
        images = tuple(
            resize_pixels(image, down, across, nearest=each.labels is not None)
            for image, each in zip(images, reader.each, strict=True)
        )
    pixels = packed(images) if reader.parts else images[0]
    return _Work(job, Frames([LoadedImage(pixels)]), (width, height))


def _fitting(filing: Filing, jobs: list[Job], suffix: str | None) -> list[Job]:
    """The jobs, with the names of files that can hold the results.

    Raises:
        OptionsError: the format that was asked for cannot.
        DataError: two results would have one name.
    """
    fitting = []
    for job in jobs:
        if job.stream is not None:
            fitting.append(job)
            continue
        found = filing.suffix(job.target.suffix.lower())
        if suffix is not None and found != job.target.suffix.lower():
            raise OptionsError(
                f"The format (={suffix!r}) cannot hold {filing.channels[1]} bands of "
                f"{filing.dtype}: take tif or npy."
            )
        fitting.append(Job(job.source, job.target.with_suffix(found)))
    targets = {job.target: job.source for job in fitting}
    for job in fitting:
        if (other := targets[job.target]) is not job.source:
            raise DataError(
                f"'{job.source}' and '{other}' would both be written to '{job.target}': rename one "
                "of them."
            )
    return fitting


def _read_filed(filing: Filing, job: Job, side: str | None, size: AnySize | None) -> _Work:
    """Read the values of a file as they are."""
    images = filing.read(job.source)
    height, width = images[0].pixels.shape[:2]
    if side is not None:
        images = [image_file.half(image, side, job.source) for image in images]
        width //= 2
    if size is not None:
        images = [resized(image, size) for image in images]
    return _Work(job, Frames(images), (width, height))


class _Seen(NamedTuple):
    """What is to be remarked upon of an image.

    Attributes:
        whole: width and height in the file.
        shorter: its shorter side as it is translated.
        geo: whether it is a GeoTIFF, and its result is not.
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
            "on earth nor the resolution, which files of TIFF alone can hold: write such files."
        )
    return tuple(remarks)


def _read_ahead(
    jobs: Iterable[Job],
    read: Callable[[Job], _Work],
    readers: ThreadPoolExecutor,
    most: int,
    fail: Callable[[Job, Exception], None],
) -> Iterator[_Work]:
    """Read images in order, at most `most` at a time, and report those that cannot be read.

    How large an image is turns out when it has been read. Reading therefore starts with one and
    then goes on with as many as fit into `BYTES_PER_STAGE` if all are as large as the largest so
    far, but at least two: one is read while the other is computed.
    """
    jobs = iter(jobs)
    pending: deque[tuple[Job, Future[_Work]]] = deque()
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
    fail: Callable[[Job, Exception], None],
    tell: Callable[[str], None],
) -> Iterator[_Work]:
    """Translate the batches; what does not fit into the memory of the device alone is reported,
    and so is what the network makes something else of than an image. Of animations it is told how
    much they flicker."""

    def translate(pixels: list[AnyPixels], works: list[_Work]) -> list[AnyPixels]:
        told = torch.stack([labels(work.job.source) for work in works]) if labels else None
        return translator.of_pixels(pixels, labels=told)

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
            reason = _shortage(error)
        except CheckpointError as error:
            reason = str(error)
        if not reason:
            for work, made in zip(batch, results, strict=True):
                if work.frames.durations:
                    tell(_steadiness(work, made))
                pairs = zip(work.frames.images, made, strict=True)
                images = [translator.finished(image, pixels) for image, pixels in pairs]
                yield work._replace(frames=work.frames._replace(images=images))
        elif len(batch) > 1:
            yield from _compute(translator, [[work] for work in batch], labels, fail, tell)
        else:
            fail(batch[0].job, DataError(reason))


def _steadiness(work: _Work, made: list[AnyPixels]) -> str:
    flicker = Flicker()
    for image, pixels in zip(work.frames.images, made, strict=True):
        flicker.add(image.pixels, pixels)
    return flicker.line(work.job.source, len(made))


def _write_behind(
    results: Iterable[_Work],
    write: Callable[[_Work], None],
    writers: ThreadPoolExecutor,
    most: int,
    fail: Callable[[Job, Exception], None],
) -> Iterator[Job]:
    """Write results, at most `most` at a time, and yield what has been written."""
    writing: deque[tuple[_Work, Future[None]]] = deque()

    def is_full() -> bool:
        size = sum(result.nbytes for result, _ in writing)
        return len(writing) >= most or (len(writing) > 1 and size >= BYTES_PER_STAGE)

    def finished() -> Iterator[Job]:
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


def _shortage(error: BaseException) -> str:
    known = isinstance(error, torch.OutOfMemoryError)
    what = error if known else "its pixels do not fit into the memory"
    return f"{what}: use --tile auto, --size or --device cpu."


def _placed(image: LoadedImage, whole: tuple[int, int]) -> LoadedImage:
    """An image whose tags know that it may have other numbers of pixels than its file."""
    if not image.info.get("tags"):
        return image
    height, width = image.pixels.shape[:2]
    tags = rescaled(image.info["tags"], width / whole[0], height / whole[1])
    return image._replace(info={**image.info, "tags": tags})


def _write(
    work: _Work, filing: Filing | None, save: Callable[[Path, Callable[[Path], None]], None]
) -> None:
    """Write a result, and what lies beside its image to say where on earth it is."""
    path = work.job.target
    suffix = path.suffix.lower()

    def put(part: Path) -> None:
        if filing is not None:
            filing.write(work.frames.images, part, suffix, work.whole)
        else:
            images = [_placed(image, work.whole) for image in work.frames.images]
            frames.write(work.frames._replace(images=images), part, suffix)

    save(path, put)
    height, width = work.frames.images[0].pixels.shape[:2]
    scales = width / max(work.whole[0], 1), height / max(work.whole[1], 1)
    for beside, copy in world_files(work.job.source, path).items():
        text = beside.read_text(encoding="utf-8", errors="replace")
        save(copy, _holding(text if beside.suffix == ".prj" else rescaled_world(text, *scales)))


def _holding(text: str) -> Callable[[Path], None]:
    """What writes a text to a file."""

    def save(path: Path) -> None:
        path.write_text(text, encoding="utf-8")

    return save


def _save(results: Results, path: Path, save: Callable[[Path], None], *, overwrite: bool) -> None:
    try:
        results.write(path, save, overwrite=overwrite)
    except (OSError, ValueError) as error:
        raise DataError(
            f"'{path}' cannot be written ({reason(error)}): make room, mend the permissions, or "
            "choose another output or format; --skip-existing goes on with what is not done yet."
        ) from error
