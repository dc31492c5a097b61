"""`i2i doctor`"""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from i2i.estimate import Estimate
    from i2i.options import Options


@click.command(
    epilog="""\b
Examples:
  i2i doctor my-pictures
  i2i doctor my-pictures --recipe pix2pix --size 128
  i2i doctor faces --table list_attr_celeba.txt --json
  i2i doctor runs/NAME"""
)
@click.argument("folder", metavar="DATAROOT|RUN", type=click.Path(path_type=Path))
@click.option(
    "--kind",
    type=click.Choice(["auto", "paired", "unpaired", "domains", "pictures"]),
    default="auto",
    show_default=True,
    help="What the data is meant to be; auto: that of the recipe, or what it looks like.",
)
@click.option("--dataroot-b", type=click.Path(path_type=Path), help="Unpaired: domain B, if apart.")
@click.option("--table", type=click.Path(path_type=Path), help="A table of attributes.")
@click.option("--model", metavar="NAME", help="What is to be trained on it.")
@click.option("--recipe", metavar="NAME|FILE", help="How; default: the recipe of the model.")
@click.option("--size", type=click.IntRange(min=16), help="The size of the squares to train on.")
@click.option(
    "--set", "settings", multiple=True, metavar="KEY=VALUE", help="Change an option of the recipe."
)
@click.option("--device", default="auto", show_default=True, help="Of the estimate.")
@click.option(
    "--estimate/--no-estimate",
    default=None,
    help="Measure a few steps of training; default: if a model or recipe is given.",
)
@click.option(
    "--fast", is_flag=True, help="Do not decode pixels: only heads of files, exact copies."
)
@click.option("--json", "as_json", is_flag=True, help="Say everything, for a program.")
@click.pass_context
def command(
    context: click.Context,
    folder: Path,
    kind: Any,
    dataroot_b: Path | None,
    table: Path | None,
    model: str | None,
    recipe: str | None,
    size: int | None,
    settings: tuple[str, ...],
    device: str,
    estimate: bool | None,
    fast: bool,
    as_json: bool,
) -> None:
    """Say what is wrong with the data set DATAROOT, or with a RUN.

    Of a data set: how it was read; how many pictures of which sizes and kinds; files that cannot be
    read or have no partner; pictures that are there twice, most of all in training and test; and
    what a model would take on this machine. Exits with 1 if there is anything worse than a note.
    """
    from i2i.data.cache import cache_folder
    from i2i.data.catalogue import dataset_folder
    from i2i.doctor import as_dict, as_text, examine, examine_run, is_run
    from i2i.progress import progress_bar

    fetched = dataset_folder(str(folder), cache_folder())
    folder = fetched if not folder.is_dir() and fetched.is_dir() else folder
    if is_run(folder):
        summary = examine_run(folder)
        click.echo(json.dumps(summary.as_dict(), indent=2) if as_json else summary.as_text())
        context.exit(summary.exit_code)
    name = recipe or model
    if name is None and (settings or estimate):
        raise click.UsageError("--set and --estimate need a --model or --recipe.")
    options = _options(name, model, size, settings) if name else None
    if options is not None:
        from i2i.builder import data_kind

        wanted = data_kind(options)
        kind = wanted if kind == "auto" else kind
        dataroot_b = dataroot_b or (Path(options.data.root_b) if options.data.root_b else None)
        if table is None and options.data.table:
            below = folder / options.data.table
            table = below if below.is_file() else Path(options.data.table)
    data = options.data if options else None
    with progress_bar("looking at pictures") as progress:
        diagnosis = examine(
            folder,
            None if kind == "auto" else kind,
            crop_size=data.crop_size if data else size,
            resize=data.resize if data else None,
            root_b=dataroot_b,
            table=table,
            domains=data.domains if data else (),
            attributes=data.attributes if data else (),
            fast=fast,
            cache=cache_folder(),
            progress=progress,
        )
    measured = None
    if options is not None and estimate is not False and not diagnosis.survey.problems:
        measured = _measure(options, folder, dataroot_b, table, device)
    if as_json:
        found = as_dict(diagnosis)
        if options is not None and measured is not None:
            steps = _steps(options, diagnosis.survey.samples)
            found["estimate"] = measured.to_dict() | {"run_steps": steps}
        click.echo(json.dumps(found, indent=2))
    else:
        click.echo(as_text(diagnosis))
        if options is not None and measured is not None:
            click.echo()
            for line in _estimate_lines(measured, options, diagnosis.survey.samples):
                click.echo(line)
    context.exit(diagnosis.exit_code)


def _options(
    name: str, model: str | None, size: int | None, settings: tuple[str, ...]
) -> "Options":
    from i2i.recipes import load_options

    options = load_options(name, *settings, size=size)
    if model is not None and options.model != model:
        raise click.UsageError(f"The recipe {name!r} is for {options.model!r}.")
    return options


def _measure(
    options: "Options", folder: Path, root_b: Path | None, table: Path | None, device: str
) -> "Estimate":
    from i2i.builder import data_kind, pick_device
    from i2i.estimate import measure
    from i2i.options import read_options
    from i2i.recipes import merge
    from i2i.sources import settle_options

    where = {"root": folder, "root_b": root_b, "table": table}
    layer = {key: str(path.absolute()) for key, path in where.items() if path is not None}
    options = read_options(merge(options.to_dict(), {"data": layer}))
    return measure(settle_options(options, data_kind(options)), device=pick_device(device))


def _steps(options: "Options", samples: int) -> int:
    from i2i.builder import run_length

    return run_length(options, samples)


def _estimate_lines(measured: "Estimate", options: "Options", samples: int) -> list[str]:
    epoch = -(-samples // measured.batch_size)
    steps = _steps(options, samples)
    memory = "unknown" if measured.memory is None else f"{measured.memory / 1e9:.3g} GB"
    networks = ", ".join(f"{name} {count:,}" for name, count in measured.parameters.items())
    return [
        f"{options.model} at {measured.crop_size} pixels, {measured.batch_size} in a step, on "
        f"{measured.device} (measured in {measured.steps} steps on random pictures):",
        f"  parameters    {networks}",
        f"  a step        {measured.seconds:.3g} s, {measured.operations / 1e9:.3g} G operations",
        f"  memory        {memory} at most",
        f"  an epoch      {epoch} steps, {_duration(epoch * measured.seconds)}",
        f"  the whole run {steps} steps, {_duration(steps * measured.seconds)}",
    ]


def _duration(seconds: float) -> str:
    minutes, hours, days = seconds / 60, seconds / 3600, seconds / 86400
    if minutes < 1:
        return f"{seconds:.0f} s"
    if hours < 1:
        return f"{minutes:.0f} min"
    return f"{hours:.1f} h" if days < 2 else f"{days:.1f} days"
