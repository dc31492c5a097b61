"""Weights that have a name: those of the package, and those that authors have published.

Each is described by a card, a TOML file of the folder `models/`, as data sets are. Small ones of
our own lie beside their cards as bundles. The others are downloaded once, verified, and taken in as
`i2i import` does; they stay in the cache.
"""

import hashlib
import logging
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from i2i.config.recipes import shipped
from i2i.core.registry import register_weight_source
from i2i.data.catalogue.cache import cache_folder
from i2i.data.catalogue.cards import checked, only_one, read_card_table
from i2i.data.catalogue.download import download
from i2i.data.catalogue.unpack import unpack
from i2i.errors import CheckpointError, DataError, did_you_mean
from i2i.export.published import import_published
from i2i.runs.bundle import WEIGHTS, bundle_weights
from i2i.system.atomic import replacing

_log = logging.getLogger(__name__)

NOTED = "sha256"
"""Ending of the file in the cache that notes what was downloaded where a card has no hash."""


@dataclass(frozen=True)
class Download:
    """Where weights are downloaded from, and by what they are known to be whole."""

    urls: tuple[str, ...]  # of the same file, tried in this order
    format: str  # "pth" or "zip"
    generator: str = ""  # of a zip: the file in it
    bytes: int | None = None  # exactly; None if unknown
    size: str = ""  # about, where `bytes` is unknown
    sha256: str = ""  # "": noted at the first download


@dataclass(frozen=True)
class ZooCard:
    """What is known of weights."""

    name: str
    title: str
    summary: str
    model: str
    trained_on: str
    source: str
    licence: str
    citation: str = ""
    notes: str = ""
    command: str = ""  # for those of our own: how they were trained
    sha256: str = ""  # for those of our own: of their file of weights
    attributes: tuple[str, ...] = ()  # of StarGAN; between those of which one can hold stands |
    download: Download | None = None

    @property
    def size(self) -> str:
        """Of the file, as a person would write it."""
        if self.download is None:
            return f"{(_own(self.name) / WEIGHTS).stat().st_size / 1e6:.1f} MB, here already"
        if self.download.bytes is None:
            return self.download.size or "unknown"
        return f"{self.download.bytes / 1e6:.0f} MB"


def read_zoo(folder: Path | None = None) -> dict[str, ZooCard]:
    """Read the cards of the package, or those of a folder, by name.

    Raises:
        DataError: a card is not as it should be.
    """
    cards = shipped("models") if folder is None else folder
    return {path.stem: _read(path) for path in sorted(cards.glob("*.toml"))}


@register_weight_source("zoo")
def from_zoo(name: str) -> Path:
    """The folder of weights by name; on first use they are downloaded.

    Raises:
        CheckpointError: there are none of this name, or they are damaged.
        DataError: they cannot be had.
    """
    zoo = read_zoo()
    if name not in zoo:
        raise CheckpointError(
            f"zoo:{name} is not there.{did_you_mean(name, zoo)} `i2i zoo` lists what is: "
            f"{', '.join(zoo)}."
        )
    card = zoo[name]
    return _verified(_own(name), card) if card.download is None else fetched(card)


def fetched(card: ZooCard) -> Path:
    """The run in the cache that published weights became, made if need be.

    Raises:
        DataError: the file cannot be had, or is not that of the card.
        CheckpointError: its weights are not what the card says.
    """
    told = card.download
    assert told is not None
    folder = cache_folder() / "models" / card.name
    if folder.is_dir():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with only_one(folder.with_name(f".{card.name}.lock")):
        if folder.is_dir():
            return folder
        # Under the name that `import_published` knows generators by.
        file = folder.with_name(f"{card.name}.{told.format}")
        if not file.is_file():
            _log.info("downloading %s", told.urls[0])
            download(told.urls, file, size=told.bytes)
        _verify(file, told, card)
        unfinished = folder.with_name(f".{card.name}.unfinished")
        shutil.rmtree(unfinished, ignore_errors=True)
        try:
            generator = file
            if told.format == "zip":
                unpack(file, unfinished / "files")
                generator = unfinished / "files" / told.generator
            import_published(
                generator,
                card.name,
                runs_dir=unfinished,
                attributes=[group.split("|") for group in card.attributes],
            )
            (unfinished / card.name).replace(folder)
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)
        file.unlink()
    return folder


def _own(name: str) -> Path:
    return shipped("models") / name


def _verified(folder: Path, card: ZooCard) -> Path:
    """A bundle of the package, if it is what its card says."""
    if bundle_weights(folder) is None or _sha256(folder / WEIGHTS) != card.sha256:
        raise CheckpointError(f"{folder} is damaged: install i2i again.")
    return folder


def _verify(file: Path, told: Download, card: ZooCard) -> None:
    """Raise DataError unless a file is the one of the card, or of the first download."""
    noted = file.with_name(f"{card.name}.{NOTED}")
    found = _sha256(file)
    known = told.sha256 or (noted.read_text().strip() if noted.is_file() else "")
    if told.bytes is not None and file.stat().st_size != told.bytes:
        why = f"has {file.stat().st_size:,} bytes; {told.bytes:,} were expected"
    elif known and found != known:
        why = f"has the SHA-256 {found}; {known} was expected"
    else:
        if not known:
            _log.info("note: the SHA-256 of %s is noted as %s", card.name, found)
            with replacing(noted) as file:
                file.write_text(f"{found}\n")
        return
    file.unlink()
    raise DataError(f"what came from {told.urls[0]} {why}: it has been removed; try again.")


def _sha256(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def _read(path: Path) -> ZooCard:
    values = read_card_table(path)
    told = values.pop("download", None)
    if told is not None:
        where = f"[download] of the card '{path}'"
        values["download"] = checked(Download, told, where)
        if values["download"].format not in ("pth", "zip"):
            raise DataError(f"{where}: format (={told['format']!r}) must be pth or zip.")
    card: ZooCard = checked(ZooCard, {**values, "name": path.stem}, f"the card '{path}'")
    assert isinstance(values, Mapping)
    if (card.download is None) != bool(card.sha256):
        raise DataError(f"the card '{path}' needs either sha256 or [download].")
    return card
