"""The data sets that have a name, and the way from the name to a folder of images.

Each is described by a card, a TOML file of the folder `datasets/`. On first use its archive is
downloaded, verified and unpacked into the cache, where it is found ever after. An archive that a
person has put there is verified and unpacked likewise, so that a machine without a network can be
served by hand.
"""

import contextlib
import hashlib
import logging
import shutil
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import IO, Any, TypeVar, get_origin, get_type_hints

from i2i.data.catalogue.download import download, require_space
from i2i.data.catalogue.torchvision_names import TORCHVISION
from i2i.data.catalogue.unpack import unpack
from i2i.data.images.read import require_folder
from i2i.errors import DataError, did_you_mean
from i2i.system import gate

_log = logging.getLogger(__name__)

"""Given a label, a context with a function for how much is done and how much there is."""


@dataclass(frozen=True)
class Archive:
    """Where a data set is downloaded from, and by what it is known to be whole."""

    urls: tuple[str, ...]  # of the same file, tried in this order
    format: str  # "zip" or "tar.gz"
    root: str  # the folder in it that is the data set
    bytes: int | None = None  # exactly; None if unknown
    size: str = ""  # about, where `bytes` is unknown
    sha256: str = ""


@dataclass(frozen=True)
class Card:
    """What is known of a data set."""

    name: str
    title: str
    summary: str
    kinds: tuple[str, ...]  # of "paired", "unpaired", "domains", "unconditional"
    images: str  # how many, as a person would write it
    image_size: str
    source: str
    licence: str
    citation: str = ""
    direction: str = "AtoB"  # the usual one
    notes: str = ""
    by_hand: str = ""  # how to get it where that cannot be automatic; {folder} is where it goes
    archive: Archive | None = None

    @property
    def size(self) -> str:
        """Of the download, as a person would write it."""
        if self.archive is None:
            return "by hand" if self.by_hand else "none"
        if self.archive.bytes is None:
            return self.archive.size or "unknown"
        megabytes = self.archive.bytes / 1e6
        return f"{megabytes:.0f} MB" if megabytes < 1000 else f"{megabytes / 1000:.1f} GB"


_Made = TypeVar("_Made")


def read_catalogue(cards: Path) -> dict[str, Card]:
    """Read all cards of a folder, by name."""
    paths = sorted(cards.glob("*.toml"), key=lambda path: path.stem)
    return {path.stem: _read_card(path) for path in paths}


def dataset_folder(name: str, cache: Path) -> Path:
    """Return where a data set of the catalogue is; the folder exists once it is complete."""
    return cache / "datasets" / name


def catalogued(
    name: str,
    cards: Path,
    cache: Path,
    *,
    kind: str | None = None,
) -> Path:
    """Return the folder of a data set of the catalogue; on first use it is downloaded.

    Arguments:
        name: of the data set; call this when there is no folder of that name.
        cards: the folder of the cards.
        cache: where data sets are kept.
        kind: "paired", "unpaired", "domains" or "unconditional": what is wanted.

    Raises:
        DataError: there is no such data set, it is of another kind, or it cannot be had.
    """
    catalogue = read_catalogue(cards)
    if name in TORCHVISION:
        raise DataError(
            f"The data set {name!r} is of the kind unconditional; {kind or 'a folder'} is wanted "
            "here."
        )
    if name not in catalogue:
        beside = [path.name for path in Path().iterdir() if path.is_dir()]
        hint = did_you_mean(name, beside) or did_you_mean(name, [*catalogue, *TORCHVISION])
        if not hint and Path(name).parent != Path():
            require_folder(Path(name))
        raise DataError(
            f"There is no folder {name!r}, nor a data set of that name in the catalogue.{hint} "
            "'i2i datasets list' shows the catalogue."
        )
    card = catalogue[name]
    if kind is not None and kind not in card.kinds:
        family = name.removesuffix("-unpaired")
        others = [c.name for c in catalogue.values() if c.name.removesuffix("-unpaired") == family]
        fitting = [other for other in others if kind in catalogue[other].kinds]
        hint = f" {fitting[0]!r} is the same for that." if fitting else ""
        raise DataError(
            f"The data set {name!r} is of the kind {' or '.join(card.kinds)}; {kind} is wanted "
            f"here.{hint}"
        )
    return fetch(card, cache)


def fetch(card: Card, cache: Path) -> Path:
    """Return the folder of a data set, made from its archive if it is not there yet.

    Several processes may ask for the same one: the first fetches it and the others wait.

    Raises:
        DataError: see `catalogued`.
    """
    folder = dataset_folder(card.name, cache)
    if folder.is_dir():
        return folder
    if card.archive is None:
        assert card.by_hand, f"{card.name} is not made from an archive"
        raise DataError(card.by_hand.replace("{folder}", str(folder)).rstrip())
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with only_one(folder.with_name(f".{card.name}.lock")):
            if not folder.is_dir():
                _make(folder, card.archive)
    except OSError as error:
        raise DataError(
            f"'{folder}' cannot be made: {error.strerror or error}. The environment variable "
            "I2I_CACHE names another place."
        ) from error
    return folder


def _make(folder: Path, archive: Archive) -> None:
    file = folder.with_name(f"{folder.name}.{archive.format}")
    downloaded = not file.is_file()
    if downloaded:
        _log.info(f"downloading {archive.urls[0]}")
        download(archive.urls, file, size=archive.bytes)
    else:
        _log.info(f"found {file}")
        require_space(folder.parent, file.stat().st_size)
    unfinished = folder.with_name(f".{folder.name}.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)  # of a process that was killed
    try:
        _verify(file, archive)
        unpack(file, unfinished)
        if not (unfinished / archive.root).is_dir():
            holds = ", ".join(sorted(path.name for path in unfinished.iterdir())[:10])
            raise DataError(f"'{file}' holds no folder {archive.root!r}; it holds: {holds}.")
        (unfinished / archive.root).replace(folder)
    except DataError as error:
        if not downloaded:
            raise DataError(f"{error}\nRemove '{file}', or put another one there.") from error
        file.unlink(missing_ok=True)
        raise DataError(f"{error}\nIt came from {archive.urls[0]} and has been removed.") from error
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    if downloaded:
        file.unlink(missing_ok=True)


def _verify(file: Path, archive: Archive) -> None:
    size = file.stat().st_size
    if archive.bytes is not None and size != archive.bytes:
        raise DataError(f"'{file}' has {size} bytes; {archive.bytes} were expected.")
    if archive.sha256:
        with file.open("rb") as opened:
            found = hashlib.file_digest(opened, "sha256").hexdigest()
        if found != archive.sha256:
            raise DataError(
                f"'{file}' is damaged or another file: its SHA-256 is {found}, that of the card is "
                f"{archive.sha256}. If you trust it, unpack it yourself and name the folder."
            )


@contextlib.contextmanager
def only_one(lock: Path) -> Iterator[None]:
    """Wait until no other process is here. The system lifts the lock of a process that dies."""
    with lock.open("ab") as file:
        waiting = False
        while not _try_lock(file):
            if not waiting:
                _log.info("waiting for another process that fetches the same data set")
            waiting = True
            time.sleep(0.1)
        yield


if sys.platform == "win32":
    import msvcrt

    def _try_lock(file: IO[bytes]) -> bool:
        try:
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

else:
    import fcntl

    def _try_lock(file: IO[bytes]) -> bool:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


def read_card_table(path: Path) -> dict[str, Any]:
    """What the file of a card says, within bounds.

    Raises:
        DataError: it is no TOML.
    """
    try:
        return gate.parse_toml(gate.read_text(path, gate.MOST_TOML))
    except gate.RefusedError as error:
        raise DataError(f"The card '{path}' {error}.") from error


def _read_card(path: Path) -> Card:
    values = read_card_table(path)
    archive = values.pop("archive", None)
    if archive is not None:
        values["archive"] = checked(Archive, archive, f"[archive] of the card '{path}'")
        if values["archive"].format not in ("zip", "tar.gz"):
            raise DataError(
                f"[archive] of the card '{path}': format (={values['archive'].format!r}) must be "
                "zip or tar.gz."
            )
    return checked(Card, {**values, "name": path.stem}, f"the card '{path}'")


def checked(kind: type[_Made], values: Any, what: str) -> _Made:
    """Make a card, or a table of it, of what its file says.

    Raises:
        DataError: a key is unknown, missing, or of another type.
    """
    known = get_type_hints(kind)
    if not isinstance(values, Mapping):
        raise DataError(f"{what} (={gate.shortened(values)}) must be a table.")
    if "pictures" in values and "images" not in values:  # as cards of version 0.1 say
        values = {("images" if key == "pictures" else key): value for key, value in values.items()}
    for key, value in values.items():
        if key not in known:
            raise DataError(
                f"{what}: {key!r} is no key.{did_you_mean(key, known)} Known: {', '.join(known)}."
            )
        wanted = known[key]
        several = get_origin(wanted) is tuple
        fits = (
            isinstance(value, list) and bool(value) and all(isinstance(each, str) for each in value)
            if several
            else isinstance(value, wanted) and not isinstance(value, bool)
        )
        if not fits:
            kinds = "a list of texts" if several else "a whole number" if key == "bytes" else "text"
            raise DataError(f"{what}: {key} (={gate.shortened(value)}) must be {kinds}.")
    missing = [
        field.name
        for field in fields(kind)  # type: ignore[arg-type]
        if field.default is MISSING and field.name not in values
    ]
    if missing:
        raise DataError(f"{what}: {missing[0]} is missing.")
    plain: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
    return kind(**plain)
