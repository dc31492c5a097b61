"""`i2i translate`: images in, translated images out."""

import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from i2i.cli import console
from i2i.cli.shared import SizeType, answer, answering_programs, choosing_a_generator
from i2i.cli.translating import (
    Styles,
    Told,
    check_sheet,
    common,
    of_split,
    piped,
    rounds,
    translate_to,
    warn_of_the_wrong_way,
    write_sheet,
)
from i2i.core.size import AnySize
from i2i.errors import OptionsError

if TYPE_CHECKING:
    from i2i.inference.translator import Translator


def _tile(value: str) -> int | str:
    if value in ("auto", "off"):
        return value
    if not value.isdecimal() or int(value) < 1:
        raise click.BadParameter(f"{value!r} is not auto, off, or a number of pixels.")
    return int(value)


def _attributes(settings: tuple[str, ...]) -> dict[str, bool | None] | None:
    """Read NAME=0 and NAME=1, joined by commas or said one by one."""
    if not settings:
        return None
    from i2i.core.labels import read_changes

    try:
        return dict(read_changes(",".join(settings)))
    except OptionsError as error:
        raise click.BadParameter(str(error)) from error


def _window(value: str | None) -> tuple[float, float] | None:
    if value is None:
        return None
    try:
        low, high = map(float, value.split(","))
    except ValueError:
        low, high = 1.0, 0.0
    if not -math.inf < low < high < math.inf:
        raise click.BadParameter(f"{value!r} is not LOW,HIGH, as in -1000,400.")
    return low, high


@click.command(
    epilog="""\b
Examples:
  i2i translate photos/ translated/
  i2i translate photo.jpg result.png
  i2i translate photos/*.jpg more/one.png translated/
  i2i translate photos/ translated/ --checkpoint runs/facades --size 256
  i2i translate photos/ translated/ --format png --overwrite
  i2i translate clip.mp4 painted.mp4
  i2i translate ct.nii.gz mr.nii.gz
  i2i translate panorama.tif result.tif --tile 512
  i2i translate zebras/ horses/ --direction BtoA
  i2i translate photos/ wintry/ --direction SummertoWinter
  i2i translate faces/ happy/ --domain happiness
  i2i translate faces/ translated/ --domain all --sheet
  i2i translate faces/ blond/ --set-attribute Blond_Hair=1 --set-attribute Young=0
  i2i translate cats/ dogs/ --domain dog --seed 7 --count 5
  i2i translate cats/ like_this/ --domain dog --reference dog.jpg
  i2i translate labels/ streets/ --instances objects/
  i2i translate labels/ streets/ --style evening.jpg
  i2i translate rgb/ depth/ mask/ translated/
  i2i translate facades/val/ translated/ --side A
  i2i translate facades/ translated/ --split test --side A --checkpoint runs/facades
"""
)
@click.argument(
    "sources", metavar="INPUT...", nargs=-1, required=True, type=click.Path(path_type=Path)
)
@click.argument("target", metavar="OUTPUT", type=click.Path(path_type=Path))
@choosing_a_generator
@click.option(
    "--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:1, ..., or mps."
)
@click.option(
    "--precision",
    type=click.Choice(["auto", "fp32", "bf16", "fp16"]),
    default="fp32",
    show_default=True,
    help="Arithmetic of the network; 16 bits are faster on most devices.",
)
@click.option(
    "--size",
    type=SizeType(1),
    help="Resize each image first so that its shorter side has so many pixels; or, whatever its "
    "proportions, to WIDTHxHEIGHT.",
)
@click.option(
    "--split",
    type=click.Choice(["train", "val", "test"]),
    help="INPUT is a data set, laid out and split as that of the training: translate the images of "
    "this split alone.",
)
@click.option(
    "--side",
    type=click.Choice(["A", "B"]),
    help="Of pairs side by side in one file, translate the left half (A) or the right one (B).",
)
@click.option(
    "--batch-size",
    type=click.IntRange(min=1),
    default=8,
    show_default=True,
    help="Images of equal size that are computed together; large ones are fewer.",
)
@click.option(
    "--tile",
    metavar="auto|off|N",
    type=_tile,
    default="auto",
    show_default=True,
    help="Compute large images in tiles of N pixels a side, which changes how much memory that "
    "takes and not the result; auto: when the memory would not suffice.",
)
@click.option(
    "--direction",
    metavar="AtoB|BtoA|NAMEtoNAME",
    help="Which way, for models that translate both.  [default: that of the training]",
)
@click.option(
    "--domain",
    metavar="NAME|all",
    help="Models of many domains: which one to translate to; all: a sub-folder for each.",
)
@click.option(
    "--set-attribute",
    "attributes",
    metavar="NAME=0|1,...",
    multiple=True,
    callback=lambda context, parameter, value: _attributes(value),
    help="Models of attributes: which to change (may be repeated); the others stay as the model "
    "finds them.",
)
@click.option(
    "--seed",
    type=click.IntRange(min=0, max=2**63 - 1),
    help="Models of styles: the number that a style is made from, always the same.  [default: 0]",
)
@click.option(
    "--count",
    type=click.IntRange(min=1),
    help="Models of styles: how many styles, from --seed on; each in a sub-folder of its number.",
)
@click.option(
    "--reference",
    "--style",
    "references",
    multiple=True,
    metavar="IMAGE",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Models of styles: take that of an image (of the domain). Several times: each in a "
    "sub-folder of its name.",
)
@click.option(
    "--domain-table",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Models of many domains: CSV of file,domain, which says of each image what to translate "
    "it to; images without a row are left out.",
)
@click.option(
    "--variants",
    type=click.IntRange(min=1),
    help="Models with noise (styles, or dropout that stays on): so many results of each image, in "
    "sub-folders 0, 1, ...",
)
@click.option(
    "--strength",
    type=float,
    help="How far to go, 0..1: by the label where a model of many domains recognises them, else "
    "between the input and its translation; it is said which.",
)
@click.option(
    "--checkpoints",
    metavar="all|STEP,...",
    help="Translate with several checkpoints of the run, each into a sub-folder step-N; with "
    "--sheet also side by side, in OUTPUT/sheet.png.",
)
@click.option(
    "--keep-metadata",
    is_flag=True,
    help="Give results what the camera wrote (date, place, camera) and the time of the original; "
    "of medical images also what says whose they are.",
)
@answering_programs
@click.option(
    "--instances",
    metavar="FOLDER",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Models of label maps that see objects: the maps that number them, by the same names.",
)
@click.option(
    "--attributes",
    "table",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="A table that tells the attributes of the images, so that the model need not find them.",
)
@click.option(
    "--sheet",
    is_flag=True,
    help="Write OUTPUT/sheet.png: some images, each in all domains; of models of styles in each "
    "style. Of many domains, without --domain nothing else is written.",
)
@click.option(
    "--format",
    "suffix",
    metavar="FORMAT",
    help="png, jpg, webp, tif, ..., of videos mp4, mkv, ...  [default: that of each input]",
)
@click.option(
    "--axis",
    type=click.Choice(["axial", "coronal", "sagittal"]),
    help="Of medical volumes: across which slices are cut.  [default: as in the training]",
)
@click.option(
    "--window",
    metavar="LOW,HIGH",
    callback=lambda context, parameter, value: _window(value),
    help="Of medical volumes: the values that are black and white.  [default: as in the training]",
)
@click.option(
    "--overwrite",
    is_flag=True,
    help="Replace results that exist already; files that i2i has not written are never replaced.",
)
@click.option(
    "--skip-existing",
    is_flag=True,
    help="Leave out what has a result already: go on where it stopped.",
)
def command(
    sources: tuple[Path, ...],
    target: Path,
    checkpoint: Path | None,
    runs_dir: Path,
    device: str,
    precision: str,
    size: AnySize | None,
    split: str | None,
    side: Literal["A", "B"] | None,
    batch_size: int,
    tile: int | Literal["auto", "off"],
    direction: str | None,
    domain: str | None,
    attributes: dict[str, bool | None] | None,
    seed: int | None,
    count: int | None,
    references: tuple[Path, ...],
    domain_table: Path | None,
    variants: int | None,
    strength: float | None,
    checkpoints: str | None,
    keep_metadata: bool,
    as_json: bool,
    instances: Path | None,
    table: Path | None,
    sheet: bool,
    suffix: str | None,
    axis: Literal["axial", "coronal", "sagittal"] | None,
    window: tuple[float, float] | None,
    overwrite: bool,
    skip_existing: bool,
    average: bool | None,
    best: bool | str,
) -> None:
    """Translate every image of INPUT, a folder or one file, to OUTPUT.

    Of several INPUTs (photos/*.jpg, too) files go to OUTPUT, and each folder to one of its name
    there. A model of several inputs of each scene takes a folder for each, in the order of its
    recipe, or one that holds them.

    Names and sub-folders are kept. Images may have any size, and results have the size of their
    input, its 16 bits, transparency and colour profile; all pages of a TIFF and all frames of an
    animation or a video are translated, videos with their sound. OUTPUT is made if it is not there;
    for a single image it may also be the name of the file to write.

    Files that cannot be read are listed in the end, all others are done, and the exit code is 1.
    """
    from i2i.data.kinds.folders import results_folder
    from i2i.distributed.processes import together
    from i2i.inference.load import load_translator
    from i2i.inference.selection import several_checkpoints
    from i2i.system.cpu import settle_threads

    settle_threads()
    if sum(map(bool, (domain, attributes, domain_table))) > 1:
        raise click.UsageError("Say one of --domain, --domain-table and --set-attribute.")
    if overwrite and skip_existing:
        raise click.UsageError("Say either --overwrite or --skip-existing.")
    if checkpoints is not None and best:
        raise click.UsageError("Say either --checkpoints or which one is the best.")
    if variants is not None and count is not None:
        raise click.UsageError("Say either --variants or --count.")
    if skip_existing and sheet and (domain or checkpoints) and (target / "sheet.png").is_file():
        sheet = False
    told = Told(quiet=console().quiet or as_json or str(target) == "-")
    console().quiet = told.quiet
    ways: list[tuple[str, Path | None]] = [("", checkpoint)]
    if checkpoints is not None:
        ways = list(several_checkpoints(checkpoint, runs_dir, checkpoints))
    with (
        piped(sources, target, suffix) as (inputs, target),
        results_folder(target),
        together() as processes,  # the images need no network of GPUs
    ):
        source, *beside = inputs
        far: dict[str, Any] = {} if strength is None else {"strength": strength}
        translators: list[tuple[str, Translator]] = []
        for name, way in ways:
            translator = load_translator(
                way,
                runs_dir=runs_dir,
                direction=direction,
                device=processes.device(device),
                precision=precision,
                average=average,
                best=best,
                **far,
            )
            translator.tile = tile
            if axis is not None:
                translator.cut = translator.cut._replace(axis=axis)
            if window is not None:
                translator.cut = translator.cut._replace(window=window)
            if processes.first:
                told.line(translator.description)
                if translator.strength_said:
                    told.line(translator.strength_said)
            translators.append((name, translator))
        if split is None and processes.first:
            warn_of_the_wrong_way(translators[0][1], [source, *beside], side, told)
        sheet_of_domains = sheet and checkpoints is None
        if sheet:
            check_sheet(source, target, overwrite=overwrite)
            processes.barrier()  # it is there as soon as the first has written it
        only = None
        if split is not None:
            source, only = of_split(translators[0][1].checkpoint, source, split, direction)
        translated = False
        styles = Styles(seed, count, references, variants)
        for name, translator in translators:
            for folder, labels, of_these in rounds(
                translator,
                [source, *beside],
                target / name,
                domain,
                domain_table,
                attributes,
                styles,
                table,
                sheet_of_domains,
            ):
                translated = True
                translate_to(
                    translator,
                    source,
                    folder,
                    told=told,
                    size=size,
                    side=side,
                    batch_size=batch_size,
                    overwrite=overwrite,
                    skip_existing=skip_existing,
                    only=common(only, of_these),
                    keep_metadata=keep_metadata,
                    suffix=suffix,
                    labels=labels,
                    instances=instances,
                    beside=beside,
                    processes=processes,
                )
        if sheet and processes.first:
            failed = write_sheet(
                translators,
                source,
                domain,
                styles,
                target / "sheet.png",
                told,
                overwrite=overwrite,
                of_checkpoints=checkpoints is not None,
                beside=beside,
                instances=instances,
            )
            if not translated:  # else they have been listed
                told.failed("Not shown", failed)
    if as_json:
        answer(told.report)
    if told.report["failed"]:
        sys.exit(1)
