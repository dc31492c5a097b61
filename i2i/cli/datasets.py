"""`i2i datasets`"""

from collections.abc import Sequence
from pathlib import Path
from shlex import quote
from typing import Any

import click

from i2i.cli.shared import SizeType
from i2i.core.size import AnySize

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
    from i2i.config.recipes import shipped
    from i2i.data.catalogue.cache import cache_folder
    from i2i.data.catalogue.cards import dataset_folder, read_catalogue
    from i2i.data.catalogue.torchvision_names import TORCHVISION

    rows = [("name", "kind", "images", "download", "")]
    for name, card in read_catalogue(shipped("datasets")).items():
        cached = "in the cache" if dataset_folder(name, cache_folder()).is_dir() else ""
        rows.append((name, ", ".join(card.kinds), card.images, card.size, cached))
    for line in _table(rows):
        click.echo(line)
    click.echo("\nFor models that make images from noise, through torchvision:\n")
    named = [
        (name, each.images, each.title + f" (needs the package {each.needs})" * bool(each.needs))
        for name, each in TORCHVISION.items()
    ]
    for line in _table([("name", "images", ""), *named]):
        click.echo(line)
    click.echo(f"\nThe cache is {cache_folder()}; the environment variable I2I_CACHE moves it.")


@command.command(epilog="\b\nExample:\n  i2i datasets get horse2zebra")
@click.argument("name")
def get(name: str) -> None:
    """Download the data set NAME, verify and unpack it.

    What is in the cache already is not downloaded again. Says how to get the data sets that have to
    be fetched by hand.
    """
    from i2i.config.recipes import shipped
    from i2i.data.catalogue.cache import cache_folder
    from i2i.data.catalogue.cards import catalogued, read_catalogue
    from i2i.data.catalogue.torchvision_names import TORCHVISION

    if name in TORCHVISION:
        _get_named(name)
        return
    cards = shipped("datasets")
    card = read_catalogue(cards).get(name)
    if card is not None:
        click.echo(f"{card.title}: {card.summary}")
        click.echo(f"images: {', '.join(filter(None, (card.images, card.image_size)))}")
        click.echo(f"licence: {card.licence}\nsource: {card.source}")
        if card.notes:
            click.echo(card.notes.strip())
        if not card.archive and not card.by_hand:
            return
    folder = catalogued(name, cards, cache_folder())
    assert card is not None
    click.echo(f"The images are in {folder}")
    direction = "" if card.direction == "AtoB" else f" --direction {card.direction}"
    for kind in card.kinds:
        if kind in _TRAIN:
            click.echo(f"  i2i train --model {_TRAIN[kind]} --dataroot {quote(name)}{direction}")
        elif kind == "unconditional":
            click.echo(f"  i2i translate {quote(str(folder))} OUTPUT_DIR")


def _get_named(name: str) -> None:
    from i2i.data.catalogue.cache import cache_folder
    from i2i.data.catalogue.torchvision_names import TORCHVISION
    from i2i.data.catalogue.torchvision_sets import find_named, torchvision_folder

    click.echo(f"{name}: {TORCHVISION[name].title}")
    found = find_named(name, cache_folder())
    held = "" if found.validation is None else f" + {len(found.validation)}"
    click.echo(f"images: {len(found.train)}{held}")
    if found.classes:
        click.echo(f"classes: {', '.join(found.classes)}")
    click.echo(f"The images are in {torchvision_folder(name, cache_folder())}")


@command.command(epilog="\b\nExample:\n  i2i datasets check my-images")
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option(
    "--kind",
    metavar="KIND",
    default="auto",
    show_default=True,
    help="What it is meant to be: paired, unpaired, domains, unconditional (any, for models that "
    "make images from noise), or that of a plug-in; auto: paired if most images have a partner, "
    "else what it looks like.",
)
@click.pass_context
def check(context: click.Context, folder: Path, kind: Any) -> None:
    """Say what is in the data set DIR and what is wrong with it.

    Says which layout was found and how many images there are, and reads every image once. Exits
    with 1 if training would refuse it: no known layout, images that are unreadable, have no
    partner, or differ from it in size. `i2i doctor` looks more closely.
    """
    from i2i.data.catalogue.cache import cache_folder
    from i2i.data.images.check import check_images
    from i2i.doctor import as_lines, survey, usability_findings

    found = survey(folder, None if kind == "auto" else kind)
    checked = check_images(found.files, cache_folder())
    click.echo(f"{found.kind}: {found.how}")
    for line in found.lines:
        click.echo(line)
    findings = usability_findings(found, checked)
    for finding in findings:
        click.echo("\n".join(as_lines(finding, folder)))
    if any(finding.severity == "error" for finding in findings):
        context.exit(1)
    click.echo("Every image can be used.")


@command.command(epilog="\b\nExample:\n  i2i datasets demo images --kind paired --size 128")
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option(
    "--kind",
    type=click.Choice(
        ["paired", "unpaired", "domains", "bands", "depth", "light", "inputs", "larger"]
    ),
    default="paired",
    show_default=True,
    help="paired: label maps and photos of the same scenes; unpaired: summer and winter of "
    "different scenes; domains: day, winter, night, autumn, sketch; pairs of more than colours: "
    "bands: six of 12 bits and their photo; depth: a photo and its distances in 16 bits; light: "
    "grey of 16 bits, summer and winter; inputs: a photo, its distances and its label map, and the "
    "same in winter; larger: a photo of half the size, and the photo.",
)
@click.option("--count", type=click.IntRange(min=1), default=400, show_default=True, help="Scenes.")
@click.option(
    "--size",
    type=SizeType(16),
    default="256",
    show_default=True,
    help="Pixels of a side, or WIDTHxHEIGHT.",
)
def demo(folder: Path, kind: str, count: int, size: AnySize) -> None:
    """Paint landscapes into DIR as ordinary image folders.

    The same command always paints the same images. What is held out for validation shows other
    scenes than what is trained on, and always comes with the true answer.
    """
    from i2i.data.demo.sets import write_demo

    write_demo(folder, kind, count, size)
    click.echo(f"painted into {folder}")


def _table(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
