"""`i2i translate`: images in, translated images out."""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import click

from i2i.cli.shared import SizeType, choosing_a_generator
from i2i.core.size import AnySize

if TYPE_CHECKING:
    from i2i.distributed.processes import Processes
    from i2i.inference.folder import Failure
    from i2i.inference.translator import Translator


def _tile(value: str) -> int | str:
    if value in ("auto", "off"):
        return value
    if not value.isdecimal() or int(value) < 1:
        raise click.BadParameter(f"{value!r} is not auto, off, or a number of pixels.")
    return int(value)


def _attributes(settings: tuple[str, ...]) -> dict[str, bool | None] | None:
    """Read NAME=0 and NAME=1, joined by commas or said one by one."""
    attributes: dict[str, bool | None] = {}
    for setting in (part for each in settings for part in each.split(",")):
        name, _, digit = (part.strip() for part in setting.partition("="))
        if not name or digit not in ("0", "1"):
            raise click.BadParameter(f"{setting!r} is not NAME=1 or NAME=0.")
        if attributes.setdefault(name, digit == "1") != (digit == "1"):
            raise click.BadParameter(f"{name!r} is to be both 0 and 1: say one of them.")
    return attributes or None


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
  i2i translate faces/ blond/ --set-attribute Blond_Hair=1 --set-attribute Young=0
  i2i translate cats/ dogs/ --domain dog --seed 7 --count 5
  i2i translate cats/ like_this/ --domain dog --reference dog.jpg
  i2i translate facades/val/ translated/ --side A
  i2i translate facades/ translated/ --split test --side A --checkpoint runs/facades
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
    "references",
    multiple=True,
    metavar="IMAGE",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Models of styles: take that of an image of the domain. Several times: each in a "
    "sub-folder of its name.",
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
    "style. Without --domain nothing else is written.",
)
@click.option(
    "--format",
    "suffix",
    metavar="FORMAT",
    help="png, jpg, webp, tif, bmp, gif, ...  [default: that of each input]",
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
    source: Path,
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
    table: Path | None,
    sheet: bool,
    suffix: str | None,
    overwrite: bool,
    skip_existing: bool,
    average: bool | None,
    best: bool | str,
) -> None:
    """Translate every image of INPUT, a folder or one file, to OUTPUT.

    Names and sub-folders are kept. Images may have any size, and results have the size of their
    input, its 16 bits, transparency and colour profile; all pages of a TIFF and all frames of an
    animation are translated. OUTPUT is made if it is not there; for a single image it may also be
    the name of the file to write.

    Files that cannot be read are listed in the end, all others are done, and the exit code is 1.
    """
    from i2i.data.kinds.folders import results_folder
    from i2i.distributed.processes import together
    from i2i.inference.load import load_translator
    from i2i.system.cpu import settle_threads

    settle_threads()
    if domain and attributes:
        raise click.UsageError("Say either --domain or --set-attribute.")
    if overwrite and skip_existing:
        raise click.UsageError("Say either --overwrite or --skip-existing.")
    if skip_existing and sheet and domain and (target / "sheet.png").is_file():
        sheet = False
    complete = True
    with results_folder(target), together() as processes:  # the images need no network of GPUs
        translator = load_translator(
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
            click.echo(translator.description)
        if sheet:
            _check_sheet(source, target, overwrite=overwrite)
            processes.barrier()  # it is there as soon as the first has written it
        only = None
        if split is not None:
            source, only = _of_split(translator.checkpoint, source, split, direction)
        translated = False
        styles = _Styles(seed, count, references)
        for folder, labels in _rounds(translator, target, domain, attributes, styles, table, sheet):
            translated = True
            complete &= _translate(
                translator,
                source,
                folder,
                size=size,
                side=side,
                batch_size=batch_size,
                overwrite=overwrite,
                skip_existing=skip_existing,
                only=only,
                suffix=suffix,
                labels=labels,
                processes=processes,
            )
        if sheet and processes.first:
            failed = _write_sheet(
                translator, source, domain, styles, target / "sheet.png", overwrite=overwrite
            )
            complete &= not failed
            if not translated:  # else they have been listed
                _say_failed("Not shown", failed)
    if not complete:
        sys.exit(1)


def _of_split(
    checkpoint: Path | None, dataroot: Path, split: str, direction: str | None
) -> tuple[Path, set[Path]]:
    """The folder of a data set, and those of its images that are of a split, by the options of a
    run."""
    from i2i.data.sources import elsewhere, open_source
    from i2i.errors import DataError
    from i2i.models.build import data_kind
    from i2i.runs.opening import open_checkpoint

    if checkpoint is None:
        raise click.UsageError(
            "--split takes a run or a checkpoint, which knows how data is split."
        )
    options, _ = open_checkpoint(checkpoint)
    kind = data_kind(options)
    options = elsewhere(options, str(dataroot), kind)
    source = open_source(options, kind, lambda line: None)
    images = source.inputs(split, direction or options.data.direction)
    if not images:
        raise DataError(f"'{dataroot}' has no image in the split {split!r}.")
    return Path(options.data.root), {image.absolute() for image in images}


class _Styles(NamedTuple):
    """Which styles are asked for, of a model that has some."""

    seed: int | None
    number: int | None
    references: tuple[Path, ...]


def _rounds(
    translator: "Translator",
    target: Path,
    domain: str | None,
    attributes: dict[str, bool | None] | None,
    styles: _Styles,
    table: Path | None,
    sheet: bool,
) -> Any:
    """Prepare the translator for each round; yield where it goes and who knows the labels."""
    from i2i.core.labels import EVERYTHING
    from i2i.errors import OptionsError
    from i2i.inference.folder import require_writable
    from i2i.inference.styler import each_style

    conditioner = translator.conditioner
    if conditioner is None:
        if domain or attributes or table or sheet or any(each is not None for each in styles[:2]):
            raise OptionsError(
                "--domain, --set-attribute, --attributes, --seed, --count and --sheet are for "
                "models of many domains, which this one is not (or no longer, as a file in which "
                "the domain was settled)."
            )
        if styles.references:
            raise OptionsError("--reference is for models of styles, which this one is not.")
        yield target, None
        return
    space = conditioner.labels
    if domain is None and attributes is None:
        if not sheet:
            raise OptionsError(
                "this model translates to more tha one domain: say --domain NAME, --domain all, "
                f"or --sheet for a glance. It knows: {', '.join(space.targets)}."
            )
        return
    words = space.targets if domain == EVERYTHING and EVERYTHING not in space.names else [domain]
    if len(words) > 1:
        require_writable(target, is_folder=True)
    for word in words:
        conditioner.ask(attributes if word is None else word)
        labels = conditioner.told_by(table) if table else None
        folder = target / word if word and len(words) > 1 else target
        for style in each_style(conditioner, *styles):
            yield folder / style, labels


def _check_sheet(source: Path, target: Path, *, overwrite: bool) -> None:
    """Complain of where the sheet would go before the work begins."""
    from i2i.errors import DataError
    from i2i.inference.results import Results

    if target.suffix and not target.is_dir() and source.is_file():
        raise DataError(f"A sheet needs a folder to go to, but OUTPUT is the file '{target}'.")
    Results(target).check([target / "sheet.png"], overwrite=overwrite)


def _write_sheet(
    translator: "Translator",
    source: Path,
    domain: str | None,
    styles: _Styles,
    path: Path,
    *,
    overwrite: bool,
) -> "Sequence[Failure]":
    from i2i.inference.domain_sheet import overview, styles_overview
    from i2i.inference.results import Results
    from i2i.inference.styler import Styler

    if isinstance(translator.conditioner, Styler):
        image, failed = styles_overview(translator, source, domain, *styles)
    else:
        image, failed = overview(translator, source)
    Results(path.parent).write(path, lambda part: image.save(part, "PNG"), overwrite=overwrite)
    click.echo(f"image grid: {path}")
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
    from i2i.core.progress import progress_bar
    from i2i.inference.folder import translate_folder

    done = (0, 0)
    try:
        with progress_bar("translating") as progress:

            def count(finished: int, total: int) -> None:
                nonlocal done
                done = (finished, total)
                progress(finished, total)

            report = translate_folder(
                translator,
                source,
                target,
                labels=labels,
                progress=count,
                processes=processes,
                **options,
            )
    except KeyboardInterrupt:
        click.echo(
            f"\nstopped: {done[0]} of {done[1]} done; the same command with --skip-existing "
            "(without --overwrite) goes on",
            err=True,
        )
        sys.exit(130)
    if not processes.first:
        return not report.failed
    images = "1 image" if report.translated == 1 else f"{report.translated} images"
    click.echo(
        f"{images} translated to {target} in {report.seconds:.1f} s "
        f"({report.per_second:.1f} per second)"
        + (f"; {report.skipped} left out, which exist already" if report.skipped else "")
    )
    for remark in report.remarks:
        click.echo(f"note: {remark}")
    _say_failed("Not translated", report.failed)
    return not report.failed
