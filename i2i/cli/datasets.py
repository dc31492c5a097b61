"""`i2i datasets`"""

import contextlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from i2i.data.check import Checked

_TRAIN = {"paired": "pix2pix", "unpaired": "cyclegan"}
"""Kind of data -> the model that is usually trained on it."""


@click.group()
def command() -> None:
    """List, fetch, check and paint data sets."""


@command.command("list")
def list_() -> None:
    """List the data sets of the catalogue.

    Any of them can be named as --dataroot; it is fetched when it is first used.
    """
    from i2i.data.cache import cache_folder
    from i2i.data.catalogue import dataset_folder, read_catalogue
    from i2i.data.torchvision_names import TORCHVISION
    from i2i.recipes import shipped

    rows = [("name", "kind", "pictures", "download", "")]
    for name, card in read_catalogue(shipped("datasets")).items():
        cached = "in the cache" if dataset_folder(name, cache_folder()).is_dir() else ""
        rows.append((name, ", ".join(card.kinds), card.pictures, card.size, cached))
    for line in _table(rows):
        click.echo(line)
    click.echo("\nFor models that make pictures from noise, through torchvision:\n")
    named = [
        (name, each.pictures, each.title + f" (needs the package {each.needs})" * bool(each.needs))
        for name, each in TORCHVISION.items()
    ]
    for line in _table([("name", "pictures", ""), *named]):
        click.echo(line)
    click.echo(f"\nThe cache is {cache_folder()}; the environment variable I2I_CACHE moves it.")


@command.command(epilog="\b\nExample:\n  i2i datasets get horse2zebra")
@click.argument("name")
def get(name: str) -> None:
    """Download the data set NAME, verify and unpack it.

    What is in the cache already is not downloaded again. Says how to get the data sets that have to
    be fetched by hand.
    """
    from i2i.data.cache import cache_folder
    from i2i.data.catalogue import catalogued, read_catalogue
    from i2i.data.torchvision_names import TORCHVISION
    from i2i.progress import progress_bar
    from i2i.recipes import shipped

    if name in TORCHVISION:
        _get_named(name)
        return
    cards = shipped("datasets")
    card = read_catalogue(cards).get(name)
    if card is not None:
        click.echo(f"{card.title}: {card.summary}")
        click.echo(f"pictures: {', '.join(filter(None, (card.pictures, card.picture_size)))}")
        click.echo(f"licence: {card.licence}\nsource: {card.source}")
        if card.notes:
            click.echo(card.notes.strip())
        if not card.archive and not card.by_hand:
            return
    folder = catalogued(name, cards, cache_folder(), say=click.echo, bar=progress_bar)
    assert card is not None
    click.echo(f"The pictures are in {folder}")
    direction = "" if card.direction == "AtoB" else f" --direction {card.direction}"
    for kind in card.kinds:
        if kind in _TRAIN:
            click.echo(f"  i2i train --model {_TRAIN[kind]} --dataroot {name}{direction}")
        elif kind == "pictures":
            click.echo(f"  i2i translate {folder} OUTPUT_DIR")


def _get_named(name: str) -> None:
    from i2i.data.cache import cache_folder
    from i2i.data.torchvision_names import TORCHVISION
    from i2i.data.torchvision_sets import find_named, torchvision_folder

    click.echo(f"{name}: {TORCHVISION[name].title}")
    found = find_named(name, cache_folder(), click.echo)
    held = "" if found.validation is None else f" + {len(found.validation)}"
    click.echo(f"pictures: {len(found.train)}{held}")
    if found.classes:
        click.echo(f"classes: {', '.join(found.classes)}")
    click.echo(f"The pictures are in {torchvision_folder(name, cache_folder())}")


@command.command(epilog="\b\nExample:\n  i2i datasets check my-pictures")
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option(
    "--kind",
    type=click.Choice(["auto", "paired", "unpaired", "domains", "pictures"]),
    default="auto",
    show_default=True,
    help="What it is meant to be; auto: paired if most pictures have a partner, else what it "
    "looks like. pictures: any, for models that make pictures from noise.",
)
@click.pass_context
def check(context: click.Context, folder: Path, kind: str) -> None:
    """Say what is in the data set DIR and what is wrong with it.

    Says which layout was found and how many pictures there are, and reads every picture once. Exits
    with 1 if there is something to be mended: no known layout, pictures that are unreadable, have
    no partner, or differ from it in size.
    """
    from i2i.data.reading import require_folder
    from i2i.errors import DataError

    require_folder(folder)
    look = {"paired": _pairs, "unpaired": _unpaired, "domains": _domains, "pictures": _pictures}
    kind = _kind_of(folder) if kind == "auto" else kind
    findings: list[str] = []
    for split in ("train", "val"):
        try:
            findings += look[kind](folder, split)
        except DataError as error:
            findings.append(str(error))
    for finding in findings:
        click.echo(finding)
    if findings:
        context.exit(1)
    click.echo("Every picture can be used.")


@command.command(epilog="\b\nExample:\n  i2i datasets demo pictures --kind paired --size 128")
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option(
    "--kind",
    type=click.Choice(["paired", "unpaired", "domains"]),
    default="paired",
    show_default=True,
    help="paired: label maps and photos of the same scenes; unpaired: summer and winter of "
    "different scenes; domains: day, winter, night, autumn, sketch.",
)
@click.option("--count", type=click.IntRange(min=1), default=400, show_default=True, help="Scenes.")
@click.option(
    "--size", type=click.IntRange(min=16), default=256, show_default=True, help="Pixels of a side."
)
def demo(folder: Path, kind: str, count: int, size: int) -> None:
    """Paint landscapes into DIR as ordinary image folders.

    The same command always paints the same pictures. What is held out for validation shows other
    scenes than what is trained on, and always comes with the true answer.
    """
    from i2i.data.demo import write_demo
    from i2i.progress import progress_bar

    with progress_bar(f"painting {kind} scenes") as progress:
        write_demo(folder, kind, count, size, progress=progress)
    click.echo(f"painted into {folder}")


def _kind_of(folder: Path) -> str:
    from i2i.data.idx import has_idx
    from i2i.data.layouts import find_domains, find_pairs, find_unpaired
    from i2i.errors import DataError

    if has_idx(folder):
        return "pictures"
    with contextlib.suppress(DataError):
        pairs = find_pairs(folder, "train", drop_orphans=True)
        if 2 * len(pairs.pairs) >= len(pairs.orphans_a) + len(pairs.orphans_b):
            return "paired"
    for kind, find in (("unpaired", find_unpaired), ("domains", find_domains)):
        with contextlib.suppress(DataError):
            find(folder, "train")
            return kind
    return "paired"  # none: there are most layouts of pairs to be shown


def _pairs(folder: Path, split: str) -> list[str]:
    """Say what there is, and return what is wrong with it."""
    from i2i.data.check import usable_pairs
    from i2i.data.layouts import find_pairs, first_few, has_split
    from i2i.errors import DataError

    if split == "val" and not has_split(folder, split):
        click.echo("val: none")
        return []
    found = find_pairs(folder, split, drop_orphans=True)
    click.echo(f"{split}: {len(found.pairs)} pairs ({found.layout})")
    findings = []
    orphans = found.orphans_a + found.orphans_b
    if orphans:
        findings.append(f"{len(orphans)} pictures have no partner:\n{first_few(orphans)}")
    files = [path for pair in found.pairs for path in (pair.a, pair.b) if path]
    try:
        usable_pairs(found.pairs, _read_all(files))
    except DataError as error:
        findings.append(str(error))
    return findings


def _unpaired(folder: Path, split: str) -> list[str]:
    """Say what there is, and return what is wrong with it."""
    from i2i.data.layouts import find_unpaired

    found = find_unpaired(folder, split)
    if found is None:
        click.echo("val: none")
        return []
    click.echo(f"{split}: {len(found.a)} + {len(found.b)} pictures, unpaired ({found.layout})")
    return _unreadable((*found.a, *found.b))


def _domains(folder: Path, split: str) -> list[str]:
    """Say what there is, and return what is wrong with it."""
    from i2i.data.layouts import find_domains

    found = find_domains(folder, split)
    if found is None:
        click.echo("val: none")
        return []
    counts = ", ".join(f"{len(pictures)} of {name}" for name, pictures in found.pictures.items())
    click.echo(f"{split}: {counts} ({found.layout})")
    return _unreadable(path for pictures in found.pictures.values() for path in pictures)


def _pictures(folder: Path, split: str) -> list[str]:
    """Say what there is, and return what is wrong with it."""
    from i2i.data.cache import cache_folder
    from i2i.data.idx import find_idx, has_idx
    from i2i.data.picture_folder import FileStore, find_pictures

    found = find_idx(folder, cache_folder()) if has_idx(folder) else find_pictures(folder)
    pictures = found.train if split == "train" else found.validation
    if pictures is None:
        click.echo("val: none")
        return []
    classes = f", {len(found.classes)} classes" if found.classes else ""
    click.echo(f"{split}: {len(pictures)} pictures{classes} ({found.layout})")
    store = pictures.store
    return _unreadable(store.paths) if isinstance(store, FileStore) else []


def _unreadable(paths: Iterable[Path]) -> list[str]:
    from i2i.data.layouts import first_few

    bad = [f"{path}: {why}" for path, why in _read_all(paths).bad.items()]
    return [f"{len(bad)} pictures cannot be read:\n{first_few(bad)}"] if bad else []


def _read_all(paths: Iterable[Path]) -> "Checked":
    from i2i.data.cache import cache_folder
    from i2i.data.check import check_pictures
    from i2i.progress import progress_bar

    with progress_bar("checking pictures") as progress:
        return check_pictures(paths, cache_folder(), progress=progress)


def _table(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
