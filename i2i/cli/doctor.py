"""`i2i doctor`"""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from i2i.cli import console
from i2i.cli.estimates import estimate_lines
from i2i.cli.shared import SizeType, answer, answering_programs
from i2i.core.size import AnySize

if TYPE_CHECKING:
    from i2i.config import Options
    from i2i.doctor import Diagnosis
    from i2i.training.cost import Estimate


@click.command(
    epilog="""\b
Examples:
  i2i doctor my-images
  i2i doctor Summer Winter
  i2i doctor my-images --recipe pix2pix --size 128
  i2i doctor my-images --split-table splits.csv
  i2i doctor faces --table list_attr_celeba.txt --json
  i2i doctor runs/NAME"""
)
@click.argument("folder", metavar="DATAROOT|NAME|RUN", type=click.Path(path_type=Path))
@click.argument("second", metavar="[FOLDER]", required=False, type=click.Path(path_type=Path))
@click.option(
    "--kind",
    metavar="KIND",
    default="auto",
    show_default=True,
    help="What the data is meant to be: paired, unpaired, domains, unconditional, or that of a "
    "plug-in; auto: that of the recipe, or what it looks like.",
)
@click.option(
    "--dataroot-b",
    type=click.Path(path_type=Path),
    help="Unpaired: domain B, if apart; the same as a second FOLDER.",
)
@click.option("--table", type=click.Path(path_type=Path), help="A table of attributes.")
@click.option(
    "--split-table",
    metavar="FILE",
    help="CSV of name, split and group, in place of folders of splits.",
)
@click.option(
    "--split",
    type=click.Choice(["train", "val", "test"]),
    help="Look at this split alone.  [default: all, and at what is in two of them]",
)
@click.option("--model", metavar="NAME", help="What is to be trained on it.")
@click.option("--recipe", metavar="NAME|FILE", help="How; default: the recipe of the model.")
@click.option(
    "--size", type=SizeType(16), help="To train on: the side of squares, or WIDTHxHEIGHT."
)
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
@click.option("--copies/--no-copies", default=True, help="Whether to look for copies.")
@answering_programs
@click.pass_context
def command(
    context: click.Context,
    folder: Path,
    second: Path | None,
    kind: Any,
    dataroot_b: Path | None,
    table: Path | None,
    split_table: str | None,
    split: str | None,
    model: str | None,
    recipe: str | None,
    size: AnySize | None,
    settings: tuple[str, ...],
    device: str,
    estimate: bool | None,
    fast: bool,
    copies: bool,
    as_json: bool,
) -> None:
    """Say what is wrong with the data set DATAROOT, or with a RUN.

    A data set is a folder, `demo`, or a name that `i2i datasets list` shows. Of it: how it was
    read; how many images of which sizes and kinds; files that cannot be read or have no partner;
    images that are there twice, most of all in training and test; and what a model would take on
    this machine. Exits with 1 if there is anything worse than a note.
    """
    from i2i.config import Data
    from i2i.data.catalogue.cache import cache_folder
    from i2i.data.sources import find_root
    from i2i.data.sources.source import table_file
    from i2i.doctor import as_dict, as_text, examine, examine_run, is_run
    from i2i.doctor.start import locate
    from i2i.runs.checkpoint import refuse_exported

    console().aside = True
    refuse_exported(folder, "a run folder or a data set")
    if is_run(folder):
        given = [
            max(each.opts, key=len)
            for each in context.command.params
            if each.name not in ("folder", "as_json", "plugin", "trust_plugins")
            and context.get_parameter_source(each.name or "") is ParameterSource.COMMANDLINE
        ]
        if given:
            raise click.UsageError(
                f"{', '.join(given)}: of a run, all is known; these are for data sets."
            )
        summary = examine_run(folder)
        if as_json:
            answer(summary.as_dict())
        else:
            click.echo(summary.as_text())
        context.exit(summary.exit_code)
    if second is not None and dataroot_b is not None:
        raise click.UsageError("--dataroot-b and a second folder say the same: drop one.")
    dataroot_b = dataroot_b or second
    name = recipe or model
    if name is None and (settings or estimate):
        raise click.UsageError("--set and --estimate need a --model or --recipe.")
    options = _options(name, model, size, settings) if name else None
    if options is not None:
        from i2i.models.build import data_kind

        wanted = data_kind(options)
        kind = wanted if kind == "auto" else kind
        dataroot_b = dataroot_b or (Path(options.data.root_b) if options.data.root_b else None)
    dataroot = str(folder)
    data = options.data if options else None
    folder, named = locate(dataroot, None if kind == "auto" else kind, data)
    if dataroot_b is not None:
        dataroot_b = find_root(str(dataroot_b), None, data, side="B")
    name_of_table = str(table) if table else options.data.table if options else ""
    table = table_file(name_of_table, folder) if name_of_table else None
    rules = data
    if split_table:
        rules = (data or Data(load_size=16, crop_size=16)).model_copy(
            update={"split_table": split_table}
        )
    how: dict[str, Any] = {
        "crop_size": data.crop_size if data else size,
        "resize": data.resize if data else None,
        "fast": fast,
        "copies": copies,
        "cache": cache_folder(),
    }
    diagnosis = examine(
        folder,
        None if kind == "auto" else kind,
        root_b=dataroot_b,
        table=table,
        domains=data.domains if data else (),
        attributes=data.attributes if data else (),
        named=named,
        rules=rules,
        split=split,
        **how,
    )
    others = []
    for more in data.more if data else ():
        root, _ = locate(more.root, diagnosis.survey.kind, data)
        names: dict[str, Any] = {"domains": more.domains, "attributes": more.attributes}
        beside = table_file(more.table, root) if more.table else None
        others.append(examine(root, diagnosis.survey.kind, table=beside, **names, **how))
    samples = sum(each.survey.samples for each in (diagnosis, *others))
    measured = None
    if options is not None and estimate is not False and not diagnosis.survey.problems:
        measured = _measure(options, dataroot if named else folder, dataroot_b, table, device)
    begin = _begin(context, diagnosis, dataroot, dataroot_b)
    if as_json:
        found = as_dict(diagnosis) | ({"begin": begin} if begin else {})
        if others:
            found["more"] = [as_dict(other) for other in others]
        if options is not None and measured is not None:
            from i2i.training.build import run_length

            steps = run_length(options, samples)
            found["estimate"] = measured.to_dict() | {"run_steps": steps}
        answer(found)
    else:
        click.echo("\n\n".join(map(as_text, (diagnosis, *others))))
        if options is not None and measured is not None:
            click.echo()
            for line in estimate_lines(measured, options, samples):
                click.echo(line)
        if begin:
            mended = "When that is mended, begin" if diagnosis.exit_code else "Begin"
            click.echo(f"\n{mended} with:\n  {begin}\n`i2i start` says why, and how long it takes.")
    context.exit(max(each.exit_code for each in (diagnosis, *others)))


def _options(
    name: str, model: str | None, size: AnySize | None, settings: tuple[str, ...]
) -> "Options":
    from i2i.config.recipes import load_options, read_recipe

    options = load_options(name, *settings, size=size)
    if model is not None and options.model != read_recipe(model).get("model"):
        raise click.UsageError(f"The recipe {name!r} is for {options.model!r}.")
    return options


def _begin(
    context: click.Context, diagnosis: "Diagnosis", dataroot: str, dataroot_b: Path | None
) -> str:
    """The command that trains on a data set as it was looked at; "" where none is known."""
    from i2i.doctor.start import recommend
    from i2i.system.device import pick_device

    asked = context.params
    folders = [dataroot, *([str(dataroot_b)] if dataroot_b else [])]
    given = [
        word
        for flag in ("model", "recipe", "size", "split_table")
        if asked[flag] is not None
        for word in (f"--{flag.replace('_', '-')}", _words(asked[flag]))
    ]
    settings = [*asked["settings"]]
    if asked["table"] is not None:
        settings.append(f"data.table={asked['table']}")
    given += [word for setting in settings for word in ("--set", setting)]
    if diagnosis.survey.problems:
        return ""
    if asked["recipe"] or asked["model"]:
        return shlex.join(["i2i", "train", *folders, *given])
    start = recommend(diagnosis, pick_device(asked["device"]).type)
    return "" if start is None else shlex.join([*shlex.split(start.command(*folders)), *given])


def _words(value: Any) -> str:
    """A value of a flag as it is written: 128, or 256x128."""
    return "x".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _measure(
    options: "Options", folder: Path | str, root_b: Path | None, table: Path | None, device: str
) -> "Estimate":
    from i2i.config import read_options
    from i2i.config.recipes import merge
    from i2i.data.sources import resolve_options
    from i2i.models.build import data_kind
    from i2i.system.device import pick_device
    from i2i.training.cost import measure

    where = {"root": folder, "root_b": root_b, "table": table}
    layer = {
        key: str(path.absolute() if isinstance(path, Path) else path)
        for key, path in where.items()
        if path is not None
    }
    options = read_options(merge(options.to_dict(), {"data": layer}))
    return measure(resolve_options(options, data_kind(options)), device=pick_device(device))
