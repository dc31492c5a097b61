"""What `i2i train` makes of folders without flags: where the images are, and what fits them."""

from typing import Any

import click

from i2i.cli import say


def named_folders(folders: tuple[str, ...], flags: dict[str, Any]) -> dict[str, str]:
    """Where the images are, of the folders that were given without a flag."""
    if len(folders) > 2:
        raise click.UsageError(
            f"{len(folders)} folders were given, and a training takes one or two: for several "
            "kinds of images, move their folders into one and name that."
        )
    named = dict(zip(("dataroot", "dataroot_b"), folders, strict=False))
    for flag in named:
        if flags[flag] is not None:
            raise click.UsageError(
                f"--{flag.replace('_', '-')} and a folder without a flag say the same: drop one."
            )
    return named


def chosen_recipe(
    flags: dict[str, Any], settings: tuple[str, ...], device: str
) -> tuple[str, tuple[str, ...]]:
    """The recipe that fits the images and this machine, and the settings that go with it."""
    from i2i.distributed.processes import together
    from i2i.doctor.start import look_at, recommend
    from i2i.system.device import pick_device

    root = flags["dataroot"]
    if root is None:
        raise click.UsageError(
            "Say where the images are: a folder, or two (or try `demo`); and what to train with "
            "--model, if it shall not be chosen by them (`i2i models` lists them)."
        )
    with together(device) as processes:
        diagnosis = processes.in_turns(lambda: look_at(root, flags["dataroot_b"] or ""))
        where = pick_device(processes.device(device)).type
        start = recommend(diagnosis, where)
        if start is None:
            raise click.UsageError("Say what to train with --model (`i2i models` lists them).")
        if processes.first:
            small = f" ({start.larger} wants a GPU, and there is none)" if start.larger else ""
            say(f"recipe: {start.recipe}{small}: {start.holds}")
            for note in start.notes:
                say(f"note: {note}")
    return start.recipe, (*start.settings, *settings)
