"""What `i2i translate` does between reading its options and ending."""

import contextlib
import io
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

if TYPE_CHECKING:
    from i2i.distributed.processes import Processes
    from i2i.inference.jobs import Failure
    from i2i.inference.translator import Translator


class Told:
    """What is said to a person, and kept for a program."""

    def __init__(self, *, quiet: bool) -> None:
        self.quiet = quiet
        self.report: dict[str, Any] = {
            "translated": 0,
            "skipped": 0,
            "seconds": 0.0,
            "outputs": [],
            "remarks": [],
            "failed": [],
        }

    def line(self, text: str, *, err: bool = False) -> None:
        if not self.quiet:
            click.echo(text, err=err)

    def failed(self, what: str, failed: "Sequence[Failure]") -> None:
        for path, reason in failed:
            click.echo(f"{what}: {path}: {reason}", err=True)
            self.report["failed"].append({"file": str(path), "reason": reason})


@contextlib.contextmanager
def piped(
    sources: Sequence[Path], target: Path, suffix: str | None
) -> Iterator[tuple[Sequence[Path], Path]]:
    """Files in the place of standard input and output, which are called "-": of one image."""
    if Path("-") not in (*sources, target):
        yield sources, target
        return
    if len(sources) > 1:
        raise click.UsageError(
            f"- is standard input or output, of one image, and {len(sources)} inputs were named: "
            "name files and a folder, or one input."
        )
    from PIL import Image

    from i2i.data.images.file import SUFFIXES
    from i2i.errors import DataError

    with tempfile.TemporaryDirectory() as folder:
        place, source = Path(folder), sources[0]
        if str(source) == "-":
            data = sys.stdin.buffer.read()
            try:
                with Image.open(io.BytesIO(data)) as image:
                    ending = SUFFIXES.get(image.format or "", ".png")
            except Exception:  # noqa: BLE001 (decoders of broken files raise nearly anything)
                raise DataError(
                    f"Standard input ({len(data)} bytes) is no image of a known format."
                ) from None
            source = place / f"input{ending}"
            source.write_bytes(data)
        elif str(target) == "-" and source.is_dir():
            raise DataError(f"Standard output takes one image, and '{source}' is a folder.")
        if str(target) != "-":
            yield [source], target
            return
        result = place / f"output.{suffix.lower().lstrip('.') if suffix else source.suffix[1:]}"
        yield [source], result
        if result.is_file():
            sys.stdout.buffer.write(result.read_bytes())
            sys.stdout.flush()


def of_split(
    checkpoint: Path | None, dataroot: Path, split: str, direction: str | None
) -> tuple[Path, set[Path]]:
    """The folder of a data set, and those of its images that are of a split, by the options of a
    run."""
    from i2i.core.signals import read_direction
    from i2i.data.kinds.splits import sides_of_checkpoint
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
    source = open_source(options, kind)
    way = read_direction(direction, sides_of_checkpoint(checkpoint)) if direction else None
    images = source.inputs(split, way or options.data.direction)
    if not images:
        raise DataError(f"'{dataroot}': {source.nothing_in(split)}")
    return Path(options.data.root), {image.absolute() for image in images}


def warn_of_the_wrong_way(
    translator: "Translator", sources: Sequence[Path], side: str | None, told: Told
) -> None:
    """Say before the work begins that images are of the side that is made of others."""
    from i2i.core.inputs import Inputs
    from i2i.inference.wrong_way import wrong_way

    if translator.checkpoint is None or isinstance(translator.labels[0], Inputs):
        return
    run = translator.checkpoint.resolve().parent.parent
    if said := wrong_way(run, translator.way, translator.ways, sources, side):
        told.line(f"note: {said}")
        told.report["remarks"].append(said)


def common(one: set[Path] | None, other: set[Path] | None) -> set[Path] | None:
    """What is in both; None stands for everything."""
    if one is None or other is None:
        return other if one is None else one
    return one & other


class Styles(NamedTuple):
    """Which styles are asked for, of a model that has some; or variants, of one with noise."""

    seed: int | None
    number: int | None
    references: tuple[Path, ...]
    variants: int | None


def rounds(
    translator: "Translator",
    sources: Sequence[Path],
    target: Path,
    domain: str | None,
    domain_table: Path | None,
    attributes: dict[str, bool | None] | None,
    styles: Styles,
    table: Path | None,
    sheet: bool,
) -> Any:
    """Prepare the translator for each round; yield where it goes, who knows the labels, and which
    images it is about (None for all)."""
    from i2i.core.labels import EVERYTHING
    from i2i.errors import OptionsError
    from i2i.inference.jobs import require_writable
    from i2i.inference.selection import read_domain_table
    from i2i.inference.styler import PictureStyler, each_style
    from i2i.inference.styler import Styles as OfStyles

    conditioner = translator.conditioner
    seed, count, references, variants = styles
    if variants is not None and isinstance(conditioner, OfStyles):
        count = variants
    elif variants is not None and not translator.dropout:
        raise OptionsError(
            f"--variants {variants}: this model has no noise, so that all results would be the "
            "same (it takes styles, or inference.dropout)."
        )
    elif variants is not None:
        for number in range(variants):
            translator.seed = (seed or 0) + number
            for folder, labels, only in rounds(
                translator,
                sources,
                target / str(number),
                domain,
                domain_table,
                attributes,
                Styles(None, count, references, None),
                table,
                sheet,
            ):
                yield folder, labels, only
        return
    if conditioner is None:
        if domain or domain_table or attributes or table or sheet or (seed, count) != (None, None):
            raise OptionsError(
                "--domain, --domain-table, --set-attribute, --attributes, --seed, --count and "
                "--sheet are for models of many domains, which this one is not (or no longer, as "
                "a file in which the domain was settled)."
            )
        if references:
            raise OptionsError("--reference is for models of styles, which this one is not.")
        yield target, None, None
        return
    if isinstance(conditioner, PictureStyler):
        if domain or domain_table or attributes or table:
            raise OptionsError(
                "--domain, --domain-table, --set-attribute and --attributes are for models of many "
                "domains: this one has styles (--seed, --count, --style IMAGE)."
            )
        for style in each_style(conditioner, seed, count, references):
            yield target / style, None, None
        return
    space = conditioner.labels
    if domain is None and attributes is None and domain_table is None:
        if not sheet:
            raise OptionsError(
                "this model translates to more than one domain: say --domain NAME, --domain all, "
                f"or --sheet for a glance. It knows: {', '.join(space.targets)}."
            )
        return
    if domain_table is not None:
        for wanted, images in read_domain_table(domain_table, sources, space).items():
            conditioner.ask(wanted)
            labels = conditioner.told_by(table) if table else None
            for style in each_style(conditioner, seed, count, references):
                yield target / style, labels, images
        return
    words = space.targets if domain == EVERYTHING and EVERYTHING not in space.names else [domain]
    if len(words) > 1:
        require_writable(target, is_folder=True)
    for word in words:
        conditioner.ask(attributes if word is None else word)
        labels = conditioner.told_by(table) if table else None
        folder = target / word if word and len(words) > 1 else target
        for style in each_style(conditioner, seed, count, references):
            yield folder / style, labels, None


def check_sheet(source: Path, target: Path, *, overwrite: bool) -> None:
    """Complain of where the sheet would go before the work begins."""
    from i2i.errors import DataError
    from i2i.inference.results import Results

    if target.suffix and not target.is_dir() and source.is_file():
        raise DataError(f"A sheet needs a folder to go to, but OUTPUT is the file '{target}'.")
    Results(target).check([target / "sheet.png"], overwrite=overwrite)


def write_sheet(
    translators: "Sequence[tuple[str, Translator]]",
    source: Path,
    domain: str | None,
    styles: Styles,
    path: Path,
    told: Told,
    *,
    overwrite: bool,
    of_checkpoints: bool,
    beside: Sequence[Path],
    instances: Path | None,
) -> "Sequence[Failure]":
    from i2i.core.size import Size
    from i2i.inference.domain_sheet import Inputs, overview, side_by_side, styles_overview
    from i2i.inference.results import Results
    from i2i.inference.styler import Styles as OfStyles

    _, translator = translators[0]
    seed, count, references, variants = styles
    inputs = Inputs(source, beside, instances)
    if of_checkpoints:
        size = Size.of(translator.trained_size or 256)
        image, failed = side_by_side(translators, size, inputs, domain)
    elif isinstance(translator.conditioner, OfStyles):
        chosen = count if variants is None else variants
        image, failed = styles_overview(translator, inputs, domain, seed, chosen, references)
    else:
        image, failed = overview(translator, source, beside)
    Results(path.parent).write(path, lambda part: image.save(part, "PNG"), overwrite=overwrite)
    told.line(f"image grid: {path}")
    told.report["outputs"].append(str(path))
    return failed


def translate_to(
    translator: "Translator",
    source: Path,
    target: Path,
    *,
    told: Told,
    labels: Callable[[Path], Any] | None,
    processes: "Processes",
    **options: Any,
) -> None:
    """Translate everything to a folder, and tell how it went."""
    from i2i.core.text import counted
    from i2i.inference.folder import translate_folder

    try:
        report = translate_folder(
            translator, source, target, labels=labels, processes=processes, **options
        )
    except KeyboardInterrupt as stop:
        done = ", ".join(getattr(stop, "__notes__", ["nothing done yet"]))
        click.echo(
            f"\nstopped: {done}; the same command with --skip-existing "
            "(without --overwrite) goes on",
            err=True,
        )
        sys.exit(130)
    if not processes.first:
        told.report["failed"] += [str(path) for path, _ in report.failed]
        return
    what = ("file", "files") if report.streamed else ("image", "images")
    told.line(
        f"{counted(report.translated, *what)} translated to {target} in {report.seconds:.1f} s "
        f"({report.per_second:.1f} per second)"
        + (f"; {report.skipped} left out, which exist already" if report.skipped else "")
    )
    for line in report.streamed:
        told.line(line)
    for remark in report.remarks:
        told.line(f"note: {remark}")
    told.report["translated"] += report.translated
    told.report["skipped"] += report.skipped
    told.report["seconds"] += round(report.seconds, 3)
    told.report["outputs"].append(str(target))
    told.report["remarks"] += (*report.streamed, *report.remarks)
    told.failed("Not translated", report.failed)
