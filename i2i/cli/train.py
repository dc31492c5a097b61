"""`i2i train`"""

import os
import sys
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from i2i.cli.choosing import chosen_recipe, named_folders
from i2i.cli.shared import PLUGINS, SizeType, answer, answering_programs
from i2i.core.size import AnySize

_FOR_RESUME = (
    *("dataroot", "dataroot_b", "workers", "keep", "steps", "epochs", "skip_bad", "patience"),
    *("threads", "check"),
)


@click.command(
    epilog="""\b
Examples:
  i2i train photos                                a recipe that fits it, and this machine
  i2i train Summer Winter                         two folders, without pairs
  i2i train --model pix2pix --dataroot demo
  i2i train --model pix2pix --dataroot facades --direction BtoA
  i2i train --recipe pix2pix-small --dataroot facades --size 128 --steps 5000
  i2i train --model pix2pix --dataroot demo --set objective.l1=50
  i2i train --model stargan --dataroot faces --set data.balance=true
  i2i train --model dcgan --dataroot images
  i2i train --model pix2pix --dataroot facades --dry-run
  i2i train --resume runs/NAME --epochs 400
  i2i train --model pix2pix --dataroot facades --name NAME --resume-or-start
  i2i train --model cyclegan --dataroot horse2zebra --gpus 8 --batch-size 8
  i2i train --init-from runs/NAME --dataroot mine --freeze generator.encoder

A data set of pairs is a folder with train/ and val/ that hold images side by side (A left, B
right), or with trainA/, trainB/, or train/A/, train/B/, or A/train/, B/train/. One of many domains
has a folder for each, in train/ or not; or a table of attributes."""
)
@click.argument("folders", metavar="[FOLDER [FOLDER]]", nargs=-1)
@click.option(
    "--model",
    metavar="NAME",
    help="What to train; `i2i models` lists them.  [default: what the images are good for]",
)
@click.option(
    "--recipe",
    metavar="NAME|FILE",
    help="A recipe (TOML).  [default: that of the model, or what is meant for this machine]",
)
@click.option(
    "--dataroot",
    metavar="DIR|NAME",
    help="The data set: a folder, a name in the catalogue (`i2i datasets list`), or `demo`; the "
    "same as FOLDER.",
)
@click.option(
    "--dataroot-b",
    metavar="DIR",
    help="Unpaired: domain B, if it lies apart; the same as the second FOLDER.",
)
@click.option("--resume", metavar="RUN", type=click.Path(path_type=Path), help="Go on with a run.")
@click.option(
    "--resume-or-start",
    is_flag=True,
    help="Go on with the run of this --name if there is one, else start it: for chains of jobs.",
)
@click.option(
    "--replay",
    metavar="RUN",
    type=click.Path(path_type=Path),
    help="Do a run again from its beginning, with all changes that were made when it was resumed.",
)
@click.option(
    "--init-from",
    metavar="RUN|FILE|hub:OWNER/NAME|zoo:NAME",
    help="Begin with the weights of another run or file; without --model and --recipe with its "
    "networks and options, too.",
)
@click.option(
    "--init-strict", is_flag=True, default=None, help="Refuse weights of which not all fit."
)
@click.option(
    "--init-rate",
    type=click.FloatRange(min=0, max=1, min_open=True),
    help="Learning rate of those weights, as a part of that of new ones.",
)
@click.option(
    "--freeze",
    multiple=True,
    metavar="PATTERN",
    callback=lambda context, parameter, value: list(value) or None,
    help="What does not learn: generator.encoder, discriminator.0-2, ...; can be repeated.",
)
@click.option(
    "--direction",
    metavar="AtoB|BtoA|NAMEtoNAME",
    help="Which side is the input; two folders may be called by their names (WintertoSummer).",
)
@click.option(
    "--size",
    type=SizeType(16),
    help="Train on squares of so many pixels, or on WIDTHxHEIGHT (512x256).",
)
@click.option(
    "--batch-size",
    type=click.IntRange(min=1),
    help="Images in a step, of all processes together.",
)
@click.option("--steps", type=click.IntRange(min=1), help="Length of the run in steps.")
@click.option("--epochs", type=click.IntRange(min=1), help="Length of the run in epochs.")
@click.option(
    "--patience",
    type=click.IntRange(min=1),
    help="End after so many validations without a better one.",
)
@click.option(
    "--split-table",
    metavar="FILE",
    help="A table (CSV: name, split, group) in place of folders of splits.",
)
@click.option(
    "--folds",
    type=click.IntRange(min=2),
    help="Divide all images into so many parts, and test with one of them: --fold.",
)
@click.option("--fold", type=click.IntRange(min=1), help="Which part, from 1 on.")
@click.option(
    "--limit",
    type=click.IntRange(min=1),
    help="Train on so many images of each side or domain; those of 50 are among those of 100.",
)
@click.option("--seed", type=click.IntRange(min=0), help="Of all random numbers.")
@click.option("--device", default="auto", show_default=True, help="cpu, cuda, cuda:1, mps or auto.")
@click.option(
    "--gpus",
    "--processes",
    "processes",
    metavar="N",
    type=click.IntRange(min=1),
    help="Train on that many GPUs of this machine, in a process for each; with --device cpu, in as "
    "many processes on its cores.",
)
@click.option(
    "--precision",
    type=click.Choice(["auto", "fp32", "bf16", "fp16"]),
    help="To compute in; auto: bf16 if the device has it.",
)
@click.option(
    "--fast",
    "speed",
    type=click.Choice(["auto", "off"]),
    help="auto: what is fast here (bf16; on a GPU channels_last and CUDA graphs too), where no "
    "other flag says otherwise; off: no CUDA graphs, no compiled networks; default: as the recipe "
    "says.",
)
@click.option("--workers", help="Processes that read images: a number, or auto.")
@click.option(
    "--threads",
    help="Threads that compute on the processor: a number, or auto, which takes fewer than there "
    "are cores where these are busy.",
)
@click.option(
    "--keep",
    type=click.Choice(["auto", "memory", "disk", "off"]),
    help="Where decoded images are kept for later epochs.",
)
@click.option(
    "--track",
    multiple=True,
    metavar="NAME",
    help="Another tracker beside TensorBoard: wandb, mlflow, trackio, or one that a plug-in has; "
    "can be repeated.",
)
@click.option(
    "--tag",
    "tags",
    multiple=True,
    metavar="WORD",
    help="A word to find the run again by (`i2i runs --filter tag=WORD`); can be repeated.",
)
@click.option("--note", default="", help="A remark that is kept with the run.")
@click.option("--name", help="Name of the run; default: recipe, data set and time.")
@click.option(
    "--runs-dir",
    type=click.Path(path_type=Path),
    default="runs",
    show_default=True,
    help="Where the folders of the runs are.",
)
@click.option(
    "--rescue-dir",
    metavar="DIR",
    type=click.Path(path_type=Path),
    help="Takes the last checkpoint if the disk of the run is full.  [default: the system's folder "
    "for temporary files]",
)
@click.option(
    "--check",
    type=click.Choice(["auto", "all", "sample"]),
    help="Decode all images before the training, or a sample, and the others beside it.  "
    "[default: all of 10,000 at most]",
)
@click.option(
    "--skip-bad",
    is_flag=True,
    default=None,
    help="Leave out images that are unreadable, have no partner, or differ from it in size.",
)
@click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="KEY=VALUE",
    help="Change any option of the recipe, such as objective.l1=50; may be repeated.",
)
@click.option(
    "--dry-run",
    is_flag=True,
    help="Train nothing: check the data, and say what the run would take on this machine.",
)
@click.pass_context
@answering_programs
def command(
    context: click.Context,
    /,
    folders: tuple[str, ...],
    model: str | None,
    recipe: str | None,
    resume: Path | None,
    resume_or_start: bool,
    replay: Path | None,
    rescue_dir: Path | None,
    size: AnySize | None,
    device: str,
    processes: int | None,
    name: str | None,
    runs_dir: Path,
    settings: tuple[str, ...],
    dry_run: bool,
    speed: str | None,
    track: tuple[str, ...],
    tags: tuple[str, ...],
    note: str,
    as_json: bool,
    **flags: Any,
) -> None:
    """Train a model on a FOLDER of images, or two of them, or go on with a run.

    What to train is chosen by what lies there (`i2i start FOLDER` says why and how long it takes),
    or named with --model or --recipe. What is not said here is as in the recipe, whose values are
    the published ones of its model. The run gets a folder of its own under runs/, with everything
    that it used and made. Ctrl-C finishes the step, saves, and says how to go on.
    """
    from i2i.config import read_options
    from i2i.config.presets import PLAIN, fast
    from i2i.config.recipes import SHORT, merge, parse_setting, read_recipe, with_size
    from i2i.distributed.processes import launch, launched
    from i2i.system.device import pick_device
    from i2i.training import session as train

    if processes is not None and processes > 1 and not launched():
        given_to_main = context.find_root().obj
        arguments = sys.argv[1:] if given_to_main is None else given_to_main
        sys.exit(launch(arguments, processes, device))
    if launched() and processes not in (None, int(os.environ["LOCAL_WORLD_SIZE"])):
        raise click.UsageError(
            f"--gpus (={processes}) contradicts {os.environ['LOCAL_WORLD_SIZE']} processes that "
            "were started here already: leave it out."
        )

    flags |= named_folders(folders, flags)
    given = {flag: value for flag, value in flags.items() if value is not None}
    changes: dict[str, Any] = {}
    for flag, value in given.items():
        section, key = SHORT[flag].split(".")
        if flag != "direction":  # what the sides are called, the data says
            changes = merge(changes, {section: {key: value}})
    for section, key in (("data", "workers"), ("train", "threads")):
        number = changes.get(section, {}).get(key, "")
        if number.isdigit():
            changes[section][key] = int(number)

    if track:
        changes = merge(changes, {"train": {"trackers": ["tensorboard", *track]}})
    if flags["steps"] and flags["epochs"]:
        raise click.UsageError("Give the length of the run as either --steps or --epochs.")
    of_new_runs = {
        "model": model,
        "recipe": recipe,
        "size": size,
        "set": settings,
        "dry-run": dry_run,
        "fast": speed,
        "resume-or-start": resume_or_start,
    }
    says_where = context.get_parameter_source("runs_dir") is not ParameterSource.DEFAULT
    of_names = {"name": name, "runs-dir": says_where}
    if resume is not None and replay is not None:
        raise click.UsageError("--resume goes on with a run, --replay does it again: say which.")
    if resume is not None:
        fixed = [f"--{flag.replace('_', '-')}" for flag in given if flag not in _FOR_RESUME]
        fixed += [f"--{flag}" for flag, value in (of_new_runs | of_names).items() if value]
        if fixed:
            raise click.UsageError(
                f"{', '.join(fixed)} cannot change in a run that is resumed; it continues exactly. "
                "Start a new run instead."
            )
        outcome = train.resume(
            resume,
            changes,
            device=device,
            rescue_dir=rescue_dir,
            tags=tags,
            note=note,
        )
    elif replay is not None:
        of_new_runs |= {"track": track, "tag": tags, "note": note}
        fixed = [f"--{flag.replace('_', '-')}" for flag in given]
        fixed += [f"--{flag}" for flag, value in of_new_runs.items() if value]
        if fixed:
            raise click.UsageError(
                f"{', '.join(fixed)} cannot change in a run that is done again: leave it out."
            )
        outcome = train.replay(replay, runs_dir, name, device=device)
    else:
        if resume_or_start and name is None:
            raise click.UsageError("--resume-or-start needs the --name of the run.")
        if model is None and recipe is None and flags["init_from"] is None:
            recipe, settings = chosen_recipe(flags, settings, device)
        if model is None and recipe is None:
            from i2i.training.pretrained import recipe_of

            layer = recipe_of(flags["init_from"])
        else:
            layer = read_recipe(recipe or model or "")
        if model is not None and layer.get("model") != read_recipe(model).get("model"):
            raise click.UsageError(f"The recipe {recipe!r} is for {layer.get('model')!r}.")
        if size is not None:
            layer = with_size(layer, size)
        first = {} if speed is None else PLAIN if speed == "off" else fast(pick_device(device))
        named = click.get_current_context().meta.get(PLUGINS, [])
        plugins = {"plugins": [*layer.get("plugins", []), *named]} if named else {}
        for change in [plugins, first, changes, *map(parse_setting, settings)]:
            layer = merge(layer, change)
        options = read_options(layer)
        if flags["fold"] and options.data.folds is None:
            raise click.UsageError(f"--fold {flags['fold']} is one of how many? Say --folds, too.")
        if not options.data.root:
            raise click.UsageError("Say where the images are: a folder (or try `demo`).")
        if flags["direction"]:
            from i2i.data.sides import with_direction

            options = with_direction(options, flags["direction"])
        if dry_run:
            from i2i.cli.dry_run import dry_run as rehearse
            from i2i.distributed.processes import launched

            if launched():
                raise click.UsageError("--dry-run measures one process: start it without torchrun.")
            rehearse(options, device, as_json=as_json)
            return
        how: dict[str, Any] = {"device": device, "rescue_dir": rescue_dir}
        how |= {"tags": tags, "note": note}
        if resume_or_start and name is not None:
            outcome = train.resume_or_start(options, runs_dir, name, **how)
        else:
            title = Path(recipe or model or options.model).stem
            outcome = train.start(options, runs_dir, name, title=title, **how)
    if as_json and os.environ.get("RANK", "0") == "0":
        answer({"run": outcome.folder, "steps": outcome.steps, "exit_code": outcome.exit_code})
    sys.exit(outcome.exit_code)
