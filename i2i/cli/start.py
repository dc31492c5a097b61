"""`i2i start`"""

import shlex
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from i2i.cli import console
from i2i.cli.estimates import duration
from i2i.cli.shared import answer, answering_programs

if TYPE_CHECKING:
    from i2i.doctor.start import Start
    from i2i.training.cost import Estimate


@click.command(
    epilog="""\b
Examples:
  i2i start photos
  i2i start Summer Winter
  i2i start demo --no-estimate"""
)
@click.argument("folders", metavar="FOLDER [FOLDER]", nargs=-1, required=True)
@click.option(
    "--device", default="auto", show_default=True, help="To train on: cpu, cuda, cuda:1, mps, auto."
)
@click.option(
    "--estimate/--no-estimate",
    default=True,
    show_default=True,
    help="Train for a few steps on random images, to say how long it will take here.",
)
@answering_programs
def command(folders: tuple[str, ...], device: str, estimate: bool, as_json: bool) -> None:
    """Say what lies in a FOLDER of images and how to begin with it.

    Pairs, two kinds of images (one folder that holds two, or two folders), several kinds, or one:
    which model is for that, which recipe is meant for this machine, how long it takes here, how
    many more images would help, and the command. `i2i doctor` looks closer at what is wrong.
    """
    from i2i.config.recipes import load_options
    from i2i.data.kinds import find_kind
    from i2i.doctor.start import look_at, part_lines, recommend
    from i2i.system.device import pick_device
    from i2i.training.pace import when_shown

    console().aside = True
    if len(folders) > 2:
        raise click.UsageError(
            "More than two folders are several kinds of images: move them into one folder, and "
            "name that."
        )
    where = pick_device(device)
    diagnosis = look_at(*folders)
    start = recommend(diagnosis, where.type)
    if start is None:
        raise click.UsageError(
            f"{' '.join(folders)} is {diagnosis.survey.kind} data, for which no recipe is known: "
            "name one with `i2i train --recipe`."
        )
    bad = [each for each in diagnosis.findings if each.severity == "error"]
    odd = [each for each in diagnosis.findings if each.severity == "warning"]
    if as_json:
        told = asdict(start) | {"command": start.command(*folders)}
        if estimate:
            steps, measured = _measured(start, folders, str(where), diagnosis.survey.samples)
            told["estimate"] = measured.to_dict() | {"run_steps": steps}
        texts = {"errors": [each.text for each in bad], "warnings": [each.text for each in odd]}
        answer(told | texts)
        return
    click.echo(f"{' and '.join(folders)}: {start.holds}")
    for line in part_lines(diagnosis):
        click.echo(f"  {line}")
    click.echo(f"\nModel: {start.why}.")
    if start.larger:
        click.echo(
            f"There is no GPU here: {start.recipe} is meant for that, small and quick; "
            f"{start.larger} has the published size and wants a GPU."
        )
    part = "pairs" if find_kind(diagnosis.survey.kind).has_truth else "images"
    click.echo(f"\nHow many {part}: {start.more}")
    for note in start.notes:
        click.echo(note)
    if estimate:
        click.echo()
        steps, measured = _measured(start, folders, str(where), diagnosis.survey.samples)
        click.echo(
            f"How long: about {duration(steps * measured.seconds)} here for {steps:,} steps of "
            f"{measured.seconds:.2g} s, measured in {measured.steps} of them. Ctrl-C saves at any "
            "time, and the training can be gone on with.\n"
            f"Images to look at: {when_shown(load_options(start.recipe, *start.settings).train)}."
        )
    named = shlex.join(folders)
    if odd:
        click.echo(f"\nWorth a look before (i2i doctor {named}):")
        for finding in odd:
            click.echo(f"  {finding.text}")
    click.echo(f"\nBegin with:\n  {start.command(*folders)}")
    if bad:
        click.echo(f"before which this is to be mended (i2i doctor {named}):")
        for finding in bad:
            click.echo(f"  {finding.text}")


def _measured(
    start: "Start", folders: tuple[str, ...], device_name: str, samples: int
) -> "tuple[int, Estimate]":
    """How many steps a training has, and what they take here, measured in a few."""
    import torch

    from i2i.config.recipes import load_options
    from i2i.data.sources import resolve_options
    from i2i.models.build import data_kind
    from i2i.training.build import run_length
    from i2i.training.busy import resolve_threads
    from i2i.training.cost import measure_apart

    device = torch.device(device_name)
    options = load_options(start.recipe, *start.settings, dataroot=folders[0])
    if len(folders) > 1:
        options = load_options(options, dataroot_b=Path(folders[1]).absolute())
    options = resolve_options(options, data_kind(options))
    options = resolve_threads(options, device, new=True)
    return run_length(options, samples), measure_apart(options, device)
