"""`i2i evaluate`: what results are worth, in figures."""

from pathlib import Path
from typing import Any

import click

from i2i.cli import console, say
from i2i.cli.shared import SizeType, choosing_best, json_file_option, write_or_print
from i2i.core.size import AnySize


@click.command(
    epilog="""\b
Examples:
  i2i evaluate translated/ facades/val/photos/
  i2i evaluate translated/ zebras/ --measures fid,kid --features efficientnet-lite0
  i2i evaluate translated/ faces/test/ --domains
  i2i evaluate depth_maps/ truth/ --span 0 4095 --csv each.csv
  i2i evaluate --checkpoint runs/facades
  i2i evaluate --checkpoint runs/facades --best --split test
  i2i evaluate --checkpoint runs/animals --protocol stargan-v2
  i2i evaluate --checkpoint runs/facades --dataroot other_facades --json figures.json
"""
)
@click.argument("result", required=False, type=click.Path(path_type=Path))
@click.argument("reference", required=False, type=click.Path(path_type=Path))
@click.option(
    "--checkpoint",
    "--run",
    "checkpoint",
    metavar="RUN_OR_FILE",
    type=click.Path(path_type=Path),
    help="Evaluate a run, or a checkpoint file, instead of folders: it translates the held-out "
    "images of its data set.",
)
@click.option(
    "--dataroot", help="With --checkpoint: another data set.  [default: that of the training]"
)
@click.option(
    "--table",
    metavar="FILE",
    help="With --dataroot: the table of the attributes of its images, from there or from here.  "
    "[default: that of the training, or list_attr_celeba.txt]",
)
@click.option(
    "--split",
    type=click.Choice(["train", "val", "test"]),
    help="With --checkpoint: on which images of the data set.  [default: val]",
)
@click.option(
    "--best",
    is_flag=True,
    help="Of a run, take the checkpoint with the best validation.  [default: the last one]",
)
@click.option(
    "--best-by",
    metavar="MEASURE",
    help="Of a run, take the best of the checkpoints that were kept (train.keep) by a measure of "
    "its validations, such as psnr.",
)
@click.option(
    "--average/--raw",
    default=None,
    help="With --checkpoint: use the moving average of the generator, or the weights as trained.  "
    "[default: the average if the checkpoint has one]",
)
@click.option(
    "--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:1, ..., or mps."
)
@click.option(
    "--protocol",
    type=click.Choice(["stargan-v2"]),
    help="With --checkpoint: as published for StarGAN v2, ten outputs of each held-out image for "
    "each pair of domains: FID to the training images, and how different the outputs are.",
)
@click.option(
    "--domains",
    is_flag=True,
    help="The sub-folders of RESULT and REFERENCE are domains; a classifier that learns to tell "
    "the real ones apart judges the others.",
)
@click.option(
    "--measures",
    metavar="NAME,...",
    help="fid, kid, precision-recall, swd, swd-reference, psnr, ssim, ms-ssim, lpips, "
    "domain-accuracy, agreement, generated-error.  [default: all that are possible]",
)
@click.option(
    "--features",
    metavar="NAME",
    default="auto",
    show_default=True,
    help="What fid, kid, precision and recall compare: inception, inception-compat, "
    "efficientnet-lite0, efficientnet-lite2, classifier:FILE, or classifier (trained on the real "
    "images, if they have labels); auto: inception if its weights are at hand or can be fetched, "
    "else efficientnet-lite0.",
)
@click.option(
    "--weights",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="The weights of inception.",
)
@click.option(
    "--size",
    type=SizeType(8),
    help="With folders: bring each image to a square of so many pixels, or to WIDTHxHEIGHT, first.",
)
@click.option(
    "--span",
    nargs=2,
    type=float,
    metavar="BLACK WHITE",
    help="With folders of images of more than 8 bits: the values that PSNR, SSIM and the others "
    "take for black and white.  [default: the least and the greatest of REFERENCE]",
)
@click.option("--count", type=click.IntRange(min=1), help="How many images are looked at.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@click.option(
    "--worst",
    type=click.IntRange(min=0),
    default=8,
    show_default=True,
    help="How many of the worst images are named and shown, for pairs.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="Folder for the sheet of the worst images.  [default: with --checkpoint, the "
    "run's evaluation/; else none is written]",
)
@click.option(
    "--csv",
    "csv_file",
    type=click.Path(path_type=Path),
    help="Write the values of each pair of images.",
)
@json_file_option
@click.option("--tensorboard", type=click.Path(path_type=Path), help="Folder to write scalars to.")
@choosing_best
def command(
    result: Path | None,
    reference: Path | None,
    checkpoint: Path | None,
    dataroot: str | None,
    table: str | None,
    split: str | None,
    average: bool | None,
    best: bool | str,
    device: str,
    protocol: str | None,
    domains: bool,
    measures: str | None,
    features: str,
    weights: Path | None,
    size: AnySize | None,
    span: tuple[float, float] | None,
    count: int | None,
    seed: int,
    worst: int,
    out: Path | None,
    csv_file: Path | None,
    json_file: Path | None,
    tensorboard: Path | None,
) -> None:
    """Measure how good images are: those in RESULT beside the real ones in REFERENCE, or what a
    run makes of its held-out images (--checkpoint).

    Images of the same name in both folders are compared one by one as well.
    """
    if (checkpoint is None) == (result is None) or (result is None) != (reference is None):
        raise click.UsageError("give two folders, RESULT and REFERENCE, or --checkpoint.")
    for name, given, needs in (
        ("--dataroot", dataroot, checkpoint),
        ("--table", table, dataroot),
        ("--split", split, checkpoint),
        ("--average/--raw", average, checkpoint),
        ("--best", best or None, checkpoint),
        ("--protocol", protocol, checkpoint),
        ("--size", size, result),
        ("--domains", domains or None, result),
        ("--span", span, result),
    ):
        if given is not None and needs is None:
            other = "--checkpoint" if result is not None else "two folders"
            other = "--dataroot" if needs is dataroot and name == "--table" else other
            raise click.UsageError(f"{name} goes with {other}.")
    if span is not None and not span[0] < span[1]:
        raise click.UsageError(f"--span {span[0]:g} {span[1]:g}: BLACK must be below WHITE.")

    if protocol is not None:
        idle = {
            "--measures": measures,
            "--table": table,
            "--split": split,
            "--tensorboard": tensorboard,
            "--out": out,
        }
        for name in (name for name, value in idle.items() if value is not None):
            raise click.UsageError(f"{name} does not go with --protocol.")
        assert checkpoint is not None
        which = {"average": average, "best": best, "dataroot": dataroot}
        _protocol(checkpoint, which, device, features, weights, count, seed, json_file)
        return

    from i2i.data.kinds.folders import results_folder
    from i2i.distributed.processes import together
    from i2i.evaluation.figures import MEASURES, require_measures
    from i2i.evaluation.measure import evaluate, possible, require_possible
    from i2i.evaluation.report import table as as_table
    from i2i.evaluation.report import to_csv, to_json, to_tensorboard, worst_sheet
    from i2i.evaluation.tools import find_tools
    from i2i.system.atomic import replacing, write_text

    wanted = tuple(name.strip() for name in measures.split(",")) if measures else ()
    require_measures(wanted)
    with together() as processes:
        step, said = 0, ""
        if checkpoint is not None:
            from i2i.evaluation.runs import run_comparisons

            found = run_comparisons(
                checkpoint,
                dataroot=dataroot,
                table=table or "",
                split=split or "val",
                average=average,
                best=best,
                device=device,
                count=count,
                processes=processes,
                asked=(*wanted, *(["--csv"] if csv_file is not None else [])),
            )
            comparisons, step = list(found.comparisons), found.step
            about: dict[str, Any] = {
                "checkpoint": str(found.checkpoint),
                "step": step,
                "dataroot": found.options.data.root,
                "split": found.split,
                "chosen by validation": found.best,
            }
            said = found.said
            if out is None:
                out = found.checkpoint.absolute().parent.parent / "evaluation"
        else:
            from i2i.evaluation.folders import folder_comparisons

            assert result is not None
            assert reference is not None
            comparisons = folder_comparisons(
                result,
                reference,
                domains=domains,
                count=count,
                size=size,
                span=span,
            )
            about = {"result": str(result), "reference": str(reference)}
        require_possible(comparisons, wanted)
        if csv_file is not None and not any(each.pairs for each in comparisons):
            raise click.UsageError("--csv writes the values of pairs, and no image has a partner.")
        if not processes.first:
            return  # the others have shared the making; the first one measures
        needed = set(wanted or MEASURES)
        if not wanted and not any(each.pairs for each in comparisons):
            needed.remove("lpips")
        tools = find_tools(
            needed,
            features=features,
            weights=weights,
            device=device,
            seed=seed,
        )
        evaluations = [
            evaluate(each, tools, chosen)
            for each in comparisons
            if (chosen := possible(each, wanted)) or not wanted
        ]
    aside = console().aside
    if said:
        click.echo(said, err=aside)
    for evaluation in evaluations:
        click.echo("", err=aside)
        click.echo(as_table(evaluation), err=aside)
        if worst and (shown := worst_sheet(evaluation, worst)):
            sheet, names = shown
            click.echo(names, err=aside)
            if out is not None:
                name = "-".join(filter(None, ("worst", evaluation.comparison.name)))
                path = out / f"{name}.png"
                with results_folder(out):
                    out.mkdir(parents=True, exist_ok=True)
                    with replacing(path) as partial:
                        sheet.save(partial, format="PNG")
                say(f"image grid: {path}")
    if csv_file is not None:
        csv_file.parent.mkdir(parents=True, exist_ok=True)
        write_text(csv_file, to_csv(evaluations))
    if json_file is not None:
        write_or_print(json_file, to_json(evaluations, about) + "\n")
    if tensorboard is not None:
        to_tensorboard(evaluations, tensorboard, step)


def _protocol(
    checkpoint: Path,
    which: dict[str, Any],
    device: str,
    features: str,
    weights: Path | None,
    count: int | None,
    seed: int,
    json_file: Path | None,
) -> None:
    """Measure a run as published for StarGAN v2."""
    import json
    from dataclasses import asdict

    from i2i.errors import OptionsError
    from i2i.evaluation.measure import OWN_CLASSIFIER
    from i2i.evaluation.runs import open_run_data
    from i2i.evaluation.styles import evaluate_styles, styles_table
    from i2i.evaluation.tools import find_tools
    from i2i.system.device import pick_device

    model, options, source = open_run_data(checkpoint, **which)
    if features == OWN_CLASSIFIER:
        raise OptionsError("--features classifier does not go with --protocol: name a network.")
    tools = find_tools(
        {"fid", "lpips"},
        features=features,
        weights=weights,
        device=device,
        seed=seed,
    )
    if tools.features is None:
        raise OptionsError(tools.why)
    assert not isinstance(tools.features, str)
    pairs = evaluate_styles(
        model,
        options,
        source,
        tools.features,
        tools.perceptual,
        count=count,
        seed=seed,
        device=pick_device(device),
    )
    click.echo(styles_table(pairs, tools.features, tools.perceptual), err=console().aside)
    if json_file is not None:
        about = {
            "checkpoint": str(checkpoint),
            "dataroot": options.data.root,
            "features": tools.features.name,
            "perceptual": tools.perceptual.name if tools.perceptual else None,
            "pairs": [asdict(pair) for pair in pairs],
        }
        write_or_print(json_file, json.dumps(about, indent=2) + "\n")
