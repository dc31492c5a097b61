"""`i2i train --dry-run`"""

from typing import TYPE_CHECKING

import click

from i2i.cli.estimates import batch_size_lines, estimate_lines
from i2i.cli.shared import answer

if TYPE_CHECKING:
    from i2i.config import Options


def dry_run(options: "Options", device_name: str, *, as_json: bool = False) -> None:
    """Check the data of a run, and say what the run would take on this machine.

    Arguments:
        as_json: as `i2i doctor --estimate --json` says it, for a program.

    Raises:
        I2iError: the run could not be started, or has no room for a step.
    """
    from i2i.data.sources import open_source, remarks, resolve_options
    from i2i.models.build import build_model, data_kind
    from i2i.runs.opening import require_room
    from i2i.system.device import pick_device
    from i2i.system.memory import free_memory
    from i2i.training.advice import without_gpu
    from i2i.training.build import run_length
    from i2i.training.busy import resolve_threads
    from i2i.training.cost import measure_apart, measure_memory
    from i2i.training.selection import classifier_of, distance_of, require_measured, resolve_monitor

    device = pick_device(device_name)
    options = resolve_options(options, data_kind(options))
    options = resolve_monitor(options, "cpu")
    require_room(options)
    model = build_model(options)
    notes = [f"note: {notice}" for notice in model.notices]
    source = open_source(options, model.data)
    if source.validation_images:
        measures = distance_of(options, "cpu"), classifier_of(options, source, "cpu")
        require_measured(
            options, model, source.validation_batches(2)[0], *measures, options.train.metrics
        )
    notes += remarks(options, model.data, source)
    if line := without_gpu(options, device.type):
        notes.append(line)
    for note in [] if as_json else notes:
        click.echo(note)
    options = resolve_threads(options, device, new=True)
    free = free_memory(device)
    measured = measure_apart(options, device)
    if as_json:
        steps = run_length(options, source.images)
        answer({"notes": notes, "estimate": measured.to_dict() | {"run_steps": steps}})
        return
    for line in estimate_lines(measured, options, source.images):
        click.echo(line)
    growing = measure_memory(options, device, measured)
    if growing is not None:
        for line in batch_size_lines(growing, free, source.images):
            click.echo(line)
    click.echo("Nothing was trained: leave out --dry-run to begin.")
