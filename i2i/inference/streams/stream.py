"""What a kind of files is that are translated part after part."""

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar, Literal, NamedTuple, Protocol, TypeVar

from torch import Tensor

from i2i.core.size import AnySize
from i2i.inference.translator import Translator

T = TypeVar("T")

BYTES_AHEAD = 2**28
"""Pixels that may wait to be computed, and as many to be written."""


class StreamOptions(NamedTuple):
    """How a file is translated; see `i2i.inference.folder.translate_folder`.

    Attributes:
        labels: (L,), what it is like, where the translator is not to find out by itself.
        keep_metadata: copy also what says whose image it is.
        progress: called with how much of it is done and how much there is altogether.
    """

    size: AnySize | None = None
    side: Literal["A", "B"] | None = None
    batch_size: int = 8
    labels: Tensor | None = None
    keep_metadata: bool = False
    progress: Callable[[int, int], None] = lambda done, total: None


Save = Callable[[Path, Callable[[Path], None]], None]


class Work(Protocol):
    """What is to be translated: see `i2i.inference.jobs.Job`."""

    @property
    def source(self) -> Path: ...

    @property
    def target(self) -> Path: ...

    @property
    def parts(self) -> tuple[tuple[Path, Path], ...]: ...


def suffix_of(path: Path) -> str:
    """What the name of a file ends in, in small letters: of x.nii.gz it is ".nii.gz"."""
    name = path.name.lower()
    return ".nii.gz" if name.endswith(".nii.gz") else path.suffix.lower()


class Stream(ABC):
    """A kind of files that are translated part after part."""

    written: ClassVar[frozenset[str]]
    """What the names of its results may end in."""

    @abstractmethod
    def accepts(self, path: Path) -> bool:
        """Whether a file is of this kind."""

    @abstractmethod
    def suffixes(self, path: Path) -> tuple[str, ...]:
        """What the result of a file may end in; the first is what it ends in unless asked."""

    def run(
        self, translator: Translator, job: Work, save: Save, how: StreamOptions
    ) -> tuple[str, ...]:
        """Translate what a job is about, and give its results their names.

        Arguments:
            save: writes a result: is given its path, and a function that writes to a path.

        Returns, raises:
            as `translate`.
        """
        lines: list[str] = []
        suffix = suffix_of(job.target)

        def write(part: Path) -> None:
            lines.extend(self.translate(translator, job.source, part, suffix, how))

        save(job.target, write)
        return tuple(lines)

    @abstractmethod
    def translate(
        self, translator: Translator, source: Path, target: Path, suffix: str, how: StreamOptions
    ) -> tuple[str, ...]:
        """Translate a file.

        Arguments:
            target: where to write, whatever its name ends in.
            suffix: one of `suffixes`.

        Returns:
            what is to be said of it, a line each.

        Raises:
            DataError: it cannot be read, or cannot be translated as the options ask.
            CheckpointError: what the network makes of it is not finite.
        """


def ahead(items: Iterator[T], most: int, worker: ThreadPoolExecutor) -> Iterator[T]:
    """Yield items that another thread makes, at most so many before they are wanted."""
    pending: deque[Future[T | None]] = deque()
    while True:
        while len(pending) < most:
            pending.append(worker.submit(next, items, None))
        item = pending.popleft().result()
        if item is None:
            return
        yield item


class Behind:
    """Lets another thread do what need not be waited for, in order.

    Arguments:
        most: how many things may wait to be done.
        worker: of one thread.
    """

    def __init__(self, most: int, worker: ThreadPoolExecutor) -> None:
        self.most = most
        self.worker = worker
        self.pending: deque[Future[None]] = deque()

    def do(self, work: Callable[[], None]) -> None:
        """Have something done; an error of what came before is raised here."""
        self.pending.append(self.worker.submit(work))
        while self.pending and (len(self.pending) > self.most or self.pending[0].done()):
            self.pending.popleft().result()

    def finish(self) -> None:
        """Wait until all is done."""
        while self.pending:
            self.pending.popleft().result()


@contextmanager
def two_threads() -> Iterator[tuple[ThreadPoolExecutor, ThreadPoolExecutor]]:
    """One to read and one to write; what has not begun by the end is dropped."""
    reader, writer = ThreadPoolExecutor(1, "reader"), ThreadPoolExecutor(1, "writer")
    try:
        yield reader, writer
    finally:
        reader.shutdown(cancel_futures=True)
        writer.shutdown(cancel_futures=True)


def grouped(items: Iterable[T], most: int, counts: Callable[[T], bool]) -> Iterator[list[T]]:
    """Yield items together, until so many of those that count are in a group."""
    group: list[T] = []
    for item in items:
        group.append(item)
        if sum(map(counts, group)) >= most:
            yield group
            group = []
    if group:
        yield group
