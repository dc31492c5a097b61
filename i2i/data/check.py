"""Every picture is decoded once before training starts, so that a broken one is named at once and
not in the middle of a night.

Good pictures are remembered in a small file, and are decoded again only after their size or time of
modification has changed; bad ones are looked at every time, since what is mended (permissions, a
disk) need not show in the file.
"""

import hashlib
import json
import os
import tempfile
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from PIL import Image

from i2i.data.layouts import PairFiles, first_few
from i2i.data.reading import orientation, reason, to_channels
from i2i.errors import DataError

_VERSION = 1  # of the file in which good pictures are remembered


@dataclass(frozen=True)
class Checked:
    """What a check has found: every picture is in one of the two."""

    sizes: dict[Path, tuple[int, int]] = field(default_factory=dict)  # upright (width, height)
    bad: dict[Path, str] = field(default_factory=dict)  # why it cannot be read


class _Good(NamedTuple):
    bytes: int
    mtime_ns: int
    width: int
    height: int


def check_pictures(
    paths: Iterable[Path],
    cache: Path | None = None,
    workers: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Checked:
    """Decode every picture that is not known yet and say which are unreadable; raises nothing.

    Args:
        paths: The pictures; files that are named twice are looked at once.
        cache: A folder to remember good pictures in; it is made where it is missing. A file in it
            that is broken is ignored and rewritten.
        workers: How many threads decode; by default four more than there are cores.
        progress: Told how many pictures are done, and of how many.
    """
    paths = list(dict.fromkeys(paths))
    memory = _memory_file(cache, paths) if cache and paths else None
    known = _recall(memory) if memory else {}
    good = {path: known[key] for path in paths if (key := str(path.absolute())) in known}
    good = {path: found for path, found in good.items() if _unchanged(path, found)}
    unknown = [path for path in paths if path not in good]
    done = len(good)
    if progress and done:
        progress(done, len(paths))

    bad = {}
    pool = ThreadPoolExecutor(workers)
    try:
        for path, found in zip(unknown, pool.map(_look, unknown), strict=True):
            if isinstance(found, _Good):
                good[path] = found
            else:
                bad[path] = found
            done += 1
            if progress:
                progress(done, len(paths))
    finally:
        pool.shutdown(cancel_futures=True)  # so that Ctrl-C need not wait for all the others

    if memory and len(unknown) > len(bad):
        # The file serves all splits of a data set: keep what this check was not asked about.
        others = {path: found for path, found in known.items() if Path(path).exists()}
        _remember(memory, others | {str(path.absolute()): found for path, found in good.items()})
    return Checked(sizes={path: (good[path].width, good[path].height) for path in good}, bad=bad)


def usable_pairs(
    pairs: Sequence[PairFiles], checked: Checked, *, skip_bad: bool = False
) -> list[PairFiles]:
    """Return the pairs that can be trained on.

    Raises:
        DataError: pictures are unreadable, or the two of a pair differ in size (side by side: the
            width is odd), and `skip_bad` is False; or no pair is left.
    """
    files = [path for pair in pairs for path in (pair.a, pair.b) if path]
    unreadable = [f"{path}: {checked.bad[path]}" for path in files if path in checked.bad]
    mismatched = {pair: why for pair in pairs if (why := _mismatch(pair, checked))}
    if not skip_bad and (unreadable or mismatched):
        parts = []
        if unreadable:
            parts.append(f"Unreadable pictures ({len(unreadable)}):\n{first_few(unreadable)}")
        if mismatched:
            parts.append(
                f"Pairs of unequal size ({len(mismatched)}):\n{first_few(mismatched.values())}"
            )
        raise DataError("\n".join(parts) + "\nMend them, or leave them out with --skip-bad.")
    usable = [
        pair
        for pair in pairs
        if pair not in mismatched and pair.a not in checked.bad and pair.b not in checked.bad
    ]
    if not usable:
        raise DataError(
            f"No pair of {len(pairs)} can be used: unreadable pictures: {len(unreadable)}, "
            f"pairs of unequal size: {len(mismatched)}."
        )
    return usable


def usable_pictures(
    paths: Sequence[Path], checked: Checked, *, skip_bad: bool = False
) -> list[Path]:
    """Return the pictures that can be read.

    Raises:
        DataError: some are unreadable and `skip_bad` is False, or none is left.
    """
    unreadable = [f"{path}: {checked.bad[path]}" for path in paths if path in checked.bad]
    if unreadable and (not skip_bad or len(unreadable) == len(paths)):
        raise DataError(
            f"{len(unreadable)} of {len(paths)} pictures cannot be read:\n{first_few(unreadable)}\n"
            "Mend them, or leave them out with --skip-bad."
        )
    return [path for path in paths if path not in checked.bad]


def _mismatch(pair: PairFiles, checked: Checked) -> str:
    a = checked.sizes.get(pair.a)
    if a and pair.b is None and a[0] % 2:
        return f"{pair.a}: two halves side by side cannot have the odd width {a[0]} ({a[0]}x{a[1]})"
    b = checked.sizes.get(pair.b) if pair.b else None
    if a and b and a != b:
        return f"{pair.a} is {a[0]}x{a[1]}, {pair.b} is {b[0]}x{b[1]}"
    return ""


def _look(path: Path) -> _Good | str:
    """Decode a picture; return why where that is not possible."""
    try:
        stat = path.stat()
        with path.open("rb") as file, Image.open(file) as image:
            width, height = image.size
            # A JPEG decoder can shrink by eight as it goes: it still walks through all of the file,
            # so that nothing escapes it, in two thirds of the time.
            image.draft(None, (1, 1))
            image.load()
            if orientation(image) >= 5:
                width, height = height, width
            if image.mode not in ("1", "L", "LA", "P", "RGB", "RGBA"):
                to_channels(image, 1)  # the rarer kinds may hold values that cannot be converted
    except Exception as error:  # noqa: BLE001 (decoders of broken files raise nearly anything)
        return reason(error)
    return _Good(stat.st_size, stat.st_mtime_ns, width, height)


def _unchanged(path: Path, found: _Good) -> bool:
    try:
        stat = path.stat()
    except OSError:
        return False
    return (stat.st_size, stat.st_mtime_ns) == (found.bytes, found.mtime_ns)


def _memory_file(cache: Path, paths: Sequence[Path]) -> Path:
    """Return one file for each folder of pictures, so that it grows no larger than its data set."""
    folder = os.path.commonpath([path.absolute().parent for path in paths])
    return cache / f"pictures-{hashlib.sha256(os.fsencode(folder)).hexdigest()[:16]}.json"


def _recall(memory: Path) -> dict[str, _Good]:
    try:
        written = json.loads(memory.read_text(encoding="utf-8"))
        if written["version"] != _VERSION:
            return {}
        return {path: _Good(*found) for path, found in written["pictures"].items()}
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return {}


def _remember(memory: Path, good: dict[str, _Good]) -> None:
    """Replace the file as a whole; a cache that cannot be written costs time, never a training."""
    try:
        memory.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(
            "w", encoding="utf-8", dir=memory.parent, suffix=".tmp", delete=False
        ) as file:
            json.dump({"version": _VERSION, "pictures": good}, file)
        Path(file.name).replace(memory)
    except OSError:
        return
