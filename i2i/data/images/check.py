"""Every image is decoded once before training starts, so that a broken one is named at once and
not in the middle of a night.

Good images are remembered in a small database, and are decoded again only after their size or time
of modification has changed; bad ones are looked at every time, since what is mended (permissions, a
disk) need not show in the file.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from i2i.core.progress import progress
from i2i.data.images.facts_cache import Memory
from i2i.data.images.probe import ImageInfo, look_at
from i2i.data.kinds.layouts import PairFiles, first_few
from i2i.errors import DataError

_VERSION = 4  # of the rows in which good images are remembered

_REMEMBERED = 1000  # images that are written down at a time


@dataclass(frozen=True)
class CheckResult:
    """What a check has found: every image is in one of the two."""

    sizes: dict[Path, tuple[int, int]] = field(default_factory=dict)  # upright (width, height)
    bad: dict[Path, str] = field(default_factory=dict)  # why it cannot be read
    looks: dict[Path, ImageInfo] = field(default_factory=dict, compare=False)  # all that is known
    arrays: dict[Path, ImageInfo] = field(default_factory=dict, compare=False)
    """Those of the bad ones whose bands and bits can be read as they are."""

    def as_filed(self, paths: Iterable[Path]) -> "CheckResult":
        """The same where these images are read with all their bands and bits."""
        fit = {path: self.arrays[path] for path in paths if path in self.arrays}
        return CheckResult(
            self.sizes | {path: (look.width, look.height) for path, look in fit.items()},
            {path: why for path, why in self.bad.items() if path not in fit},
            self.looks | fit,
            self.arrays,
        )

    def update_as_filed(self, paths: Iterable[Path]) -> None:
        """Take over `as_filed`."""
        fit = self.as_filed(paths)
        for path in self.bad.keys() - fit.bad.keys():
            del self.bad[path]
        self.sizes.update(fit.sizes)
        self.looks.update(fit.looks)

    def update(self, other: "CheckResult") -> None:
        """Take over what another check has found."""
        self.sizes.update(other.sizes)
        self.bad.update(other.bad)
        self.looks.update(other.looks)
        self.arrays.update(other.arrays)


def check_images(
    paths: Iterable[Path],
    cache: Path | None = None,
    workers: int | None = None,
) -> CheckResult:
    """Decode every image that is not known yet and say which are unreadable; raises nothing.

    Args:
        paths: The images; files that are named twice are looked at once.
        cache: A folder to remember good images in; it is made where it is missing. A file in it
            that is broken is ignored and rewritten.
        workers: How many threads decode; by default four more than there are cores.
    """
    paths = list(dict.fromkeys(paths))
    memory = Memory(cache, paths, ImageInfo, _VERSION) if cache and paths else None
    good = memory.recall(paths) if memory else {}
    unknown = [path for path in paths if path not in good]
    bad = {}
    new: dict[Path, ImageInfo] = {}
    pool = ThreadPoolExecutor(workers)
    try:
        with progress("checking images") as update:
            if good:
                update(len(good), len(paths))
            for done, (path, found) in enumerate(_looks(pool, unknown), len(good) + 1):
                if isinstance(found, ImageInfo):
                    good[path] = new[path] = found
                    if memory and len(new) == _REMEMBERED:  # whoever stops here goes on here
                        memory.remember(new)
                        new.clear()
                else:
                    bad[path] = found
                update(done, len(paths))
    finally:
        pool.shutdown(cancel_futures=True)  # so that Ctrl-C need not wait for all the others

    if memory and new:
        memory.remember(new)
    arrays = {path: good[path] for path in paths if path in good and good[path].unfit}
    bad |= {path: look.unfit for path, look in arrays.items()}
    looks = {path: good[path] for path in paths if path in good and path not in arrays}
    sizes = {path: (look.width, look.height) for path, look in looks.items()}
    return CheckResult(sizes, bad, looks, arrays)


def _looks(
    pool: ThreadPoolExecutor, paths: Sequence[Path]
) -> Iterator[tuple[Path, ImageInfo | str]]:
    for at in range(0, len(paths), _REMEMBERED):  # a million tasks that wait take a gigabyte
        some = paths[at : at + _REMEMBERED]
        yield from zip(some, pool.map(look_at, some), strict=True)


def usable_pairs(
    pairs: Sequence[PairFiles],
    checked: CheckResult,
    *,
    skip_bad: bool = False,
    ratios: Mapping[str, int] = MappingProxyType({}),
) -> list[PairFiles]:
    """Return the pairs that can be trained on; for `ratios` see `mismatch`.

    Raises:
        DataError: images are unreadable, or the two of a pair differ in size (side by side: the
            width is odd), and `skip_bad` is False; or no pair is left.
    """
    files = [path for pair in pairs for path in pair.files]
    unreadable = [f"{path}: {checked.bad[path]}" for path in files if path in checked.bad]
    mismatched = {pair: why for pair in pairs if (why := mismatch(pair, checked, ratios))}
    if not skip_bad and (unreadable or mismatched):
        parts = []
        if unreadable:
            parts.append(f"Unreadable images ({len(unreadable)}):\n{first_few(unreadable)}")
        if mismatched:
            parts.append(
                f"Pairs of unequal size ({len(mismatched)}):\n{first_few(mismatched.values())}"
            )
        raise DataError("\n".join(parts) + "\nMend them, or leave them out with --skip-bad.")
    usable = [
        pair
        for pair in pairs
        if pair not in mismatched and checked.bad.keys().isdisjoint(pair.files)
    ]
    if not usable:
        raise DataError(
            f"No pair of {len(pairs)} can be used: unreadable images: {len(unreadable)}, "
            f"pairs of unequal size: {len(mismatched)}."
        )
    return usable


def usable_images(
    paths: Sequence[Path], checked: CheckResult, *, skip_bad: bool = False
) -> list[Path]:
    """Return the images that can be read.

    Raises:
        DataError: some are unreadable and `skip_bad` is False, or none is left.
    """
    unreadable = [f"{path}: {checked.bad[path]}" for path in paths if path in checked.bad]
    if unreadable and (not skip_bad or len(unreadable) == len(paths)):
        raise DataError(
            f"{len(unreadable)} of {len(paths)} images cannot be read:\n{first_few(unreadable)}\n"
            "Mend them, or leave them out with --skip-bad."
        )
    return [path for path in paths if path not in checked.bad]


def mismatch(
    pair: PairFiles,
    checked: CheckResult,
    ratios: Mapping[str, int] = MappingProxyType({}),
) -> str:
    """Say why the images of a pair do not fit on each other; "" where they do.

    Arguments:
        pair, checked: the files, and their sizes.
        ratios: side -> how many times wider and higher it has to be than the other; none: as large.
    """
    a = checked.sizes.get(pair.a)
    if a and pair.b is None:
        if ratios:
            return f"{pair.a}: two halves side by side cannot be of two sizes"
        width, height = a
        if width % 2:
            size = f"{width} ({width}x{height})"
            return f"{pair.a}: two halves side by side cannot have the odd width {size}"
    for path in pair.files[1:]:
        b = checked.sizes.get(path)
        if not a or not b:
            continue
        of_inputs = path != pair.b  # which are as large as what is translated
        if why := unequal(a, b, [ratios.get("A", 1), 1 if of_inputs else ratios.get("B", 1)]):
            said = f" ({why})" if ratios else ""
            return f"{pair.a} is {a[0]}x{a[1]}, {path} is {b[0]}x{b[1]}{said}"
    return ""


def unequal(one: tuple[int, int], other: tuple[int, int], ratios: Sequence[int]) -> str:
    """Say what two sizes must be that do not fit on each other; "" where they do.

    Arguments:
        one, other: width and height.
        ratios: how many times wider and higher than a third each has to be.
    """
    first, second = ratios
    if all(a * second == b * first for a, b in zip(one, other, strict=True)):
        return ""
    if first == second:
        return "the two images of a pair must have the same size"
    return (
        f"with generator.upscale = {max(ratios)} the truth must be {max(ratios)} times as wide and "
        "high as the input"
    )
