"""`i2i translate`: pictures in, translated pictures out."""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from i2i.cli.shared import choosing_a_generator

if TYPE_CHECKING:
    from i2i.processes import Processes
    from i2i.translate import Failure
    from i2i.translator import Translator


def _tile(value: str) -> int | str:
    if value in ("auto", "off"):
        return value
    if not value.isdecimal() or int(value) < 1:
        raise click.BadParameter(f"{value!r} is not auto, off, or a number of pixels.")
    return int(value)


def _attributes(value: str | None) -> dict[str, bool | None] | None:
    if value is None:
        return None
    attributes: dict[str, bool | None] = {}
    for setting in value.split(","):
        name, _, digit = (part.strip() for part in setting.partition("="))
        if not name or digit not in ("0", "1"):
            raise click.BadParameter(f"{setting!r} is not NAME=1 or NAME=0.")
        attributes[name] = digit == "1"
    return attributes


@click.command(
    epilog="""\b
Examples:
  i2i translate photos/ translated/
  i2i translate photo.jpg result.png
  i2i translate photos/ translated/ --checkpoint runs/facades --size 256
  i2i translate photos/ translated/ --format png --overwrite
  i2i translate panorama.tif result.tif --tile 512
  i2i translate zebras/ horses/ --direction BtoA
  i2i translate faces/ happy/ --domain happiness
  i2i translate faces/ translated/ --domain all --sheet
  i2i translate faces/ blond/ --set-attribute Blond_Hair=1,Young=0
"""
)
@click.argument("source", metavar="INPUT", type=click.Path(path_type=Path))
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
    type=click.IntRange(min=1),
    help="Resize each picture first so that its shorter side has this many pixels.",
)
@click.option(
    "--batch-size",
    type=click.IntRange(min=1),
    default=8,
    show_default=True,
    help="Pictures of equal size that are computed together; large ones are fewer.",
)
@click.option(
    "--tile",
    metavar="auto|off|N",
    type=_tile,
    default="auto",
    show_default=True,
    help="Compute large pictures in tiles of N pixels a side, which changes how much memory that "
    "takes and not the result; auto: when the memory would not suffice.",
)
@click.option(
    "--direction",
    type=click.Choice(["AtoB", "BtoA"]),
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
    callback=lambda context, parameter, value: _attributes(value),
    help="Models of attributes: which to change; the others stay as the model finds them.",
)
@click.option(
    "--attributes",
    "table",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="A table that tells the attributes of the pictures, so that the model need not find them.",
)
@click.option(
    "--sheet",
    is_flag=True,
    help="Write OUTPUT/sheet.png: some pictures, each in all domains. Without --domain nothing "
    "else is written.",
)
@click.option(
    "--format",
    "suffix",
    metavar="FORMAT",
    help="png, jpg, webp, tif or bmp.  [default: that of each input]",
)
@click.option("--overwrite", is_flag=True, help="Replace results that exist already.")
def command(
    source: Path,
    target: Path,
    checkpoint: Path | None,
    runs_dir: Path,
    device: str,
    precision: str,
    size: int | None,
    batch_size: int,
    tile: int | Literal["auto", "off"],
    direction: str | None,
    domain: str | None,
    attributes: dict[str, bool | None] | None,
    table: Path | None,
    sheet: bool,
    suffix: str | None,
    overwrite: bool,
    average: bool | None,
    best: bool,
) -> None:
    """Translate every picture of INPUT, a folder or one file, to OUTPUT.

    Names and sub-folders are kept. Pictures may have any size, and results have the size of their
    input, its 16 bits, transparency and colour profile. OUTPUT is made if it is not there; for a
    single picture it may also be the name of the file to write.

    Pictures that cannot be read are listed in the end, all others are done, and the exit code is 1.
    """
    from i2i.loading import load_translator
    from i2i.processes import together
    from i2i.processor import settle_threads

    settle_threads()
    if domain and attributes:
        raise click.UsageError("Say either --domain or --set-attribute.")
    complete = True
    with together() as processes:  # the pictures need no network of GPUs
        translator, chosen = load_translator(
            checkpoint,
            runs_dir=runs_dir,
            direction=direction,
            device=processes.device(device),
            precision=precision,
            average=average,
            best=best,
        )

        def say(text: str) -> None:
            # Below the progress bar, where there is one.
            click.echo(f"\n{text}" if sys.stderr.isatty() else text, err=True)

        translator.tile, translator.say = tile, say
        if processes.first:
            click.echo(chosen)
        if sheet:
            _check_sheet(source, target, overwrite=overwrite)
            processes.barrier()  # it is there as soon as the first has written it
        translated = False
        for folder, labels in _rounds(translator, target, domain, attributes, table, sheet):
            translated = True
            complete &= _translate(
                translator,
                source,
                folder,
                size=size,
                batch_size=batch_size,
                overwrite=overwrite,
                suffix=suffix,
                labels=labels,
                processes=processes,
            )
        if sheet and processes.first:
            failed = _write_sheet(translator, source, target / "sheet.png")
            complete &= not failed
            if not translated:  # else they have been listed
                _say_failed("Not shown", failed)
    if not complete:
        sys.exit(1)


def _rounds(
    translator: "Translator",
    target: Path,
    domain: str | None,
    attributes: dict[str, bool | None] | None,
    table: Path | None,
    sheet: bool,
) -> Any:
    """Prepare the translator for each round; yield where it goes and who knows the labels."""
    from i2i.errors import OptionsError

    conditioner = translator.conditioner
    if conditioner is None:
        if domain or attributes or table or sheet:
            raise OptionsError(
                "--domain, --set-attribute, --attributes and --sheet are for models of many "
                "domains, which this one is not."
            )
        yield target, None
        return
    space = conditioner.labels
    if domain is None and attributes is None:
        if not sheet:
            raise OptionsError(
                "this model translates to more than one domain: say --domain NAME, --domain all, "
                f"or --sheet for a glance. It knows: {', '.join(space.targets)}."
            )
        return
    words = space.targets if domain == "all" and "all" not in space.names else [domain]
    for word in words:
        conditioner.ask(attributes if word is None else word)
        labels = conditioner.told_by(table) if table else None
        yield (target / word if word and len(words) > 1 else target), labels


def _check_sheet(source: Path, target: Path, *, overwrite: bool) -> None:
    """Complain of where the sheet would go before the work begins."""
    from i2i.errors import DataError

    sheet = target / "sheet.png"
    if sheet.exists() and not overwrite:
        raise DataError(f"'{sheet}' exists already: pass --overwrite, or choose another output.")
    if target.suffix and not target.is_dir() and source.is_file():
        raise DataError(f"A sheet needs a folder to go to, but OUTPUT is the file '{target}'.")


def _write_sheet(translator: "Translator", source: Path, path: Path) -> "Sequence[Failure]":
    from i2i.atomic import replacing
    from i2i.overview import overview

    image, failed = overview(translator, source)
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path, durable=False) as partial:
        image.save(partial, format="PNG")
    click.echo(f"picture sheet: {path}")
    return failed


def _say_failed(what: str, failed: "Sequence[Failure]") -> None:
    for path, reason in failed:
        click.echo(f"{what}: {path}: {reason}", err=True)


def _translate(
    translator: "Translator",
    source: Path,
    target: Path,
    *,
    labels: Callable[[Path], Any] | None,
    processes: "Processes",
    **options: Any,
) -> bool:
    """Translate everything to a folder; say whether all could be translated."""
    from i2i.progress import progress_bar
    from i2i.translate import translate_folder

    with progress_bar("translating") as progress:
        report = translate_folder(
            translator,
            source,
            target,
            labels=labels,
            progress=progress,
            processes=processes,
            **options,
        )
    if not processes.first:
        return not report.failed
    pictures = "1 picture" if report.translated == 1 else f"{report.translated} pictures"
    click.echo(
        f"{pictures} translated to {target} in {report.seconds:.1f} s "
        f"({report.per_second:.1f} per second)"
    )
    _say_failed("Not translated", report.failed)
    return not report.failed
