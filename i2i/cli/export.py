"""`i2i export`"""

from pathlib import Path
from typing import Any

import click

from i2i.cli.shared import answer, answering_programs, describing_a_bundle


@click.command(
    epilog="""\b
Examples:
  i2i export runs/facades checkpoints/facades_pix2pix
  i2i export runs/facades facades.onnx
  i2i export runs/facades facades.onnx --format int8
  i2i export runs/horses exported/ --format int8 --direction BtoA
  i2i export runs/animals dog.onnx --domain dog --seed 7
  i2i export runs/facades shared/ --format safetensors --licence apache-2.0
  i2i translate photos/ translated/ --checkpoint facades.onnx
"""
)
@click.argument("checkpoint", metavar="RUN_OR_FILE", type=click.Path(path_type=Path))
@click.argument("target", metavar="OUT", type=click.Path(path_type=Path))
@click.option(
    "--format",
    "kind",
    type=click.Choice(["published", "onnx", "int8", "safetensors"]),
    help="published: files for the authors' PyTorch code of pix2pix, CycleGAN or StarGAN. onnx: "
    "the generator as an ONNX file. int8: the same with convolutions in integers of 8 bits, which "
    "is faster on a processor. safetensors: a folder to hand on, with a model card.  [default: "
    "onnx if OUT is NAME.onnx, otherwise published]",
)
@click.option(
    "--average/--raw",
    default=None,
    help="Write the moving average of the generator, or the weights as trained.  "
    "[default: the average if the checkpoint has one]",
)
@click.option(
    "--direction",
    metavar="AtoB|BtoA|NAMEtoNAME",
    help="onnx, int8: which way, for models that translate both.  [default: that of the training]",
)
@click.option("--domain", help="onnx, int8: of a model of styles, the domain to translate to.")
@click.option(
    "--seed",
    type=click.IntRange(min=0, max=2**63 - 1),
    help="onnx, int8: the number that the style is made from, as for translate.  [default: 0]",
)
@click.option(
    "--reference",
    "--style",
    metavar="IMAGE",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="onnx, int8: an image of the domain to take the style of instead.",
)
@click.option(
    "--calibrate-on",
    metavar="DATAROOT",
    help="int8: a data set, laid out as for training, whose held-out images decide on the ranges "
    "of the integers and on what they cost.  [default: that of the run]",
)
@click.option(
    "--max-loss",
    metavar="DB",
    type=click.FloatRange(min=0),
    help="int8: write nothing if PSNR on held-out images falls by this or more.  [default: 0.5]",
)
@describing_a_bundle
@answering_programs
def command(
    checkpoint: Path,
    target: Path,
    kind: str | None,
    average: bool | None,
    direction: str | None,
    domain: str | None,
    seed: int | None,
    reference: Path | None,
    calibrate_on: str | None,
    max_loss: float | None,
    as_json: bool,
    **bundle: Any,
) -> None:
    """Write the networks of a run, or of a checkpoint file, for other programs.

    \b
    published: OUT is a folder. The files have the usual names
               (latest_net_G.pth, ...). For each one the flags are
               printed that make the authors' code build the network
               it belongs to.
    onnx:      OUT is a file NAME.onnx, or a folder for
               generator.onnx (generator_AtoB.onnx or
               generator_BtoA.onnx of a model that translates both
               ways).
    int8:      the same, with _int8 before .onnx in a folder; says
               what it costs, and how fast it is.
    safetensors: OUT is a folder for model.safetensors, config.json
               and the card README.md, which `i2i translate
               --checkpoint` takes, also elsewhere.
    """
    from i2i.inference.onnx.description import is_exported

    kind = kind or ("onnx" if is_exported(target) else "published")
    if direction and kind == "published":
        raise click.UsageError("--direction goes with --format onnx and int8.")
    styled = domain is not None or seed is not None or reference is not None
    if styled and kind == "published":
        raise click.UsageError("--domain, --seed and --reference go with --format onnx and int8.")
    if (calibrate_on or max_loss is not None) and kind != "int8":
        raise click.UsageError("--calibrate-on and --max-loss go with --format int8.")
    if kind == "safetensors":
        from i2i.export.bundle import export_bundle

        if direction or styled:
            raise click.UsageError(
                "--direction, --domain, --seed and --reference mean nothing here: "
                "all that the networks do goes along."
            )
        written = [export_bundle(checkpoint, target, average=average, **bundle)]
    elif kind == "published":
        from i2i.export.published import export_published

        written = export_published(checkpoint, target, average=average)
    else:
        from i2i.export.onnx import MAX_LOSS, Style, export_int8, export_onnx
        from i2i.system.cpu import settle_threads

        settle_threads()
        how: dict[str, Any] = {"direction": direction, "average": average}
        how["style"] = Style(domain, seed, reference)
        if kind == "onnx":
            written = [export_onnx(checkpoint, target, **how)]
        else:
            how |= {
                "calibrate_on": calibrate_on,
                "max_loss": MAX_LOSS if max_loss is None else max_loss,
            }
            written = [export_int8(checkpoint, target, **how)]
    if as_json:
        answer({"written": written})
