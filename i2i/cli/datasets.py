"""`i2i datasets`"""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from shlex import quote
from typing import Any

import click

from i2i.cli import say
from i2i.cli.shared import SizeType, answer, answering_programs
from i2i.core.size import AnySize

_TRAIN = {"paired": "pix2pix", "unpaired": "cyclegan"}
"""Kind of data -> the model that is usually trained on it."""


@click.group()
def command() -> None:
    """List, fetch, check and paint data sets."""


@command.command("list")
@answering_programs
def list_(as_json: bool) -> None:
    """List the data sets of the catalogue.

    Any of them can be named as --dataroot; it is fetched when it is first used.
    """
    from i2i.config.recipes import shipped
    from i2i.data.catalogue.cache import cache_folder
    from i2i.data.catalogue.cards import dataset_folder, read_catalogue
    from i2i.data.catalogue.torchvision_names import TORCHVISION

    cards = read_catalogue(shipped("datasets"))
    if as_json:
        own = {name: asdict(card) for name, card in cards.items()}
        for name in own:
            own[name]["cached"] = dataset_folder(name, cache_folder()).is_dir()
        others = {
            name: {"title": each.title, "images": each.images} for name, each in TORCHVISION.items()
        }
        answer({"cache": cache_folder(), "catalogue": own, "torchvision": others})
        return
    rows = [("name", "kind", "images", "download", "")]
    for name, card in cards.items():
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
@answering_programs
def get(name: str, as_json: bool) -> None:
    """Download the data set NAME, verify and unpack it.

    What is in the cache already is not downloaded again. Says how to get the data sets that have to
    be fetched by hand.
    """
    from i2i.config.recipes import shipped
    from i2i.data.catalogue.cache import cache_folder
    from i2i.data.catalogue.cards import catalogued, read_catalogue
    from i2i.data.catalogue.torchvision_names import TORCHVISION

    if name in TORCHVISION:
        folder = _get_named(name)
        if as_json:
            answer({"folder": folder})
        return
    cards = shipped("datasets")
    card = read_catalogue(cards).get(name)
    if card is not None:
        say(f"{card.title}: {card.summary}")
        say(f"images: {', '.join(filter(None, (card.images, card.image_size)))}")
        say(f"licence: {card.licence}\nsource: {card.source}")
        if card.notes:
            say(card.notes.strip())
        if not card.archive and not card.by_hand:
            return
    folder = catalogued(name, cards, cache_folder())
    assert card is not None
    if as_json:
        answer({"folder": folder})
    say(f"The images are in {folder}")
    direction = "" if card.direction == "AtoB" else f" --direction {card.direction}"
    for kind in card.kinds:
        if kind in _TRAIN:
            say(f"  i2i train --model {_TRAIN[kind]} --dataroot {quote(name)}{direction}")
        elif kind == "unconditional":
            say(f"  i2i translate {quote(str(folder))} OUTPUT_DIR")


def _get_named(name: str) -> Path:
    from i2i.data.catalogue.cache import cache_folder
    from i2i.data.catalogue.torchvision_names import TORCHVISION
    from i2i.data.catalogue.torchvision_sets import find_named, torchvision_folder

    say(f"{name}: {TORCHVISION[name].title}")
    found = find_named(name, cache_folder())
    held = "" if found.validation is None else f" + {len(found.validation)}"
    say(f"images: {len(found.train)}{held}")
    if found.classes:
        say(f"classes: {', '.join(found.classes)}")
    folder = torchvision_folder(name, cache_folder())
    say(f"The images are in {folder}")
    return folder


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
@answering_programs
def check(context: click.Context, folder: Path, kind: Any, as_json: bool) -> None:
    """Say what is in the data set DIR and what is wrong with it.

    Says which layout was found and how many images there are, and reads every image once. Exits
    with 1 if training would refuse it: no known layout, images that are unreadable, have no
    partner, or differ from it in size. `i2i doctor` looks more closely.
    """
    from i2i.data.catalogue.cache import cache_folder
    from i2i.data.images.check import check_images
    from i2i.data.shards.path import ShardPath, holds_shards
    from i2i.doctor import as_lines, survey, usability_findings

    if holds_shards(folder):
        folder = ShardPath(folder)
    found = survey(folder, None if kind == "auto" else kind)
    checked = check_images(found.files, cache_folder())
    findings = usability_findings(found, checked)
    wrong = any(finding.severity == "error" for finding in findings)
    if as_json:
        told = [asdict(finding) for finding in findings]
        answer({"kind": found.kind, "how": found.how, "lines": found.lines, "findings": told})
        context.exit(int(wrong))
    click.echo(f"{found.kind}: {found.how}")
    for line in found.lines:
        click.echo(line)
    for finding in findings:
        click.echo("\n".join(as_lines(finding, folder)))
    if wrong:
        context.exit(1)
    click.echo("Every image can be used.")


@command.command(epilog="\b\nExample:\n  i2i datasets pack faces /data/faces-packed")
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.argument("target", metavar="SHARDS", type=click.Path(path_type=Path))
@click.option(
    "--size",
    type=click.FloatRange(min=0, min_open=True),
    default=1024,
    show_default=True,
    help="MiB after which a new tar file begins.",
)
@answering_programs
def pack(folder: Path, target: Path, size: float, as_json: bool) -> None:
    """Write the data set DIR into tar files in the folder SHARDS, with an index of them.

    It is trained on as DIR is, and gives the same samples: name SHARDS as --dataroot, or the
    address of a copy on the network (s3://..., https://...). Others read the files as webdataset.
    """
    from i2i.data.shards.pack import pack as write

    images, shards = write(folder, target, size=round(size * 2**20))
    say(f"packed {images} images into {shards} tar files in {target}")
    if as_json:
        answer({"folder": target, "images": images, "files": shards})


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
@answering_programs
def demo(folder: Path, kind: str, count: int, size: AnySize, as_json: bool) -> None:
    """Paint landscapes into DIR as ordinary image folders.

    The same command always paints the same images. What is held out for validation shows other
    scenes than what is trained on, and always comes with the true answer.
    """
    from i2i.data.demo.sets import write_demo

    write_demo(folder, kind, count, size)
    say(f"painted into {folder}")
    if as_json:
        answer({"folder": folder})


def _table(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
