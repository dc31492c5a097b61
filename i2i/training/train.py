"""A whole training in one call, for programs and notebooks."""

from collections.abc import Mapping, Sequence
from functools import partial
from inspect import signature
from pathlib import Path
from types import MappingProxyType
from typing import Any

from i2i.config import Layer, Options
from i2i.config.recipes import SHORT, load_options
from i2i.core.model import Model
from i2i.core.registry import is_own
from i2i.core.size import Size
from i2i.data.sides import with_direction
from i2i.errors import OptionsError, did_you_mean
from i2i.training.callbacks import Callback
from i2i.training.outcome import Outcome
from i2i.training.own import OfImages, OwnParts, Term
from i2i.training.own_schedule import OwnSchedule
from i2i.training.session import start


def train(
    recipe: str | Path | Options,
    *settings: str | Layer,
    dataroot: str | Path | None = None,
    size: int | str | tuple[int, int] | None = None,
    runs_dir: Path | str = "runs",
    name: str | None = None,
    device: str = "auto",
    rescue_dir: Path | str | None = None,
    tags: Sequence[str] = (),
    note: str = "",
    data: Any = None,
    validation: Any = None,
    model: str | type[Model] | None = None,
    networks: Mapping[str, Any] = MappingProxyType({}),
    losses: Sequence[Term | tuple[str, OfImages, float]] = (),
    metrics: Sequence[str | OfImages | tuple[str, OfImages]] = (),
    callbacks: Sequence[Callback] = (),
    schedule: OwnSchedule | Layer | None = None,
    **more: Any,
) -> Outcome:
    """Train a new model, as `i2i train` does::

        outcome = i2i.train("pix2pix-quick", dataroot="demo", steps=300, train={"seed": 1})
        i2i.load_translator(outcome.folder)

    or with objects of one's own in the place of what the recipe names::

        i2i.train(
            "pix2pix",
            data=TensorDataset(sources, targets),
            networks={"generator": MyNetwork()},
            losses=[i2i.Term("edges", edges, 10.0)],
            metrics=[sharpness],
            callbacks=[Watch()],
            schedule=partial(CosineAnnealingLR, T_max=1000),
            steps=1000,
        )

    No file holds objects: `i2i.resume` and `i2i.load_translator` are given them again. What is
    given stays as it is, since a run has copies of modules.

    In a script this belongs below the usual `if __name__ == "__main__":`, since other processes are
    started to read images.

    Arguments:
        recipe: the name of a recipe or model (`list_models` has them), the path of a TOML file, or
            options that are complete.
        settings: changes such as "objective.l1=50" or {"objective": {"l1": 50}}.
        dataroot: a folder of images, a name in the catalogue, or "demo"; may be left out if the
            recipe says it, or `data` is given.
        size: fit the recipe to images of this size: the side of squares in pixels, "512x256" or
            (512, 256). By default that of the first sample of `data`, if it is given.
        runs_dir: where the folder of the run is made.
        name: of the run; by default recipe, data set and time.
        device: "auto", "cpu", "cuda", ...
        rescue_dir: takes the last checkpoint if the disk of the run folder is full.
        tags, note: words to find the run again by, and a remark, as for `--tag` and `--note`.
        data: in the place of a folder, a data set with a length (its samples are dealt out in
            random order), or what gives batches: a `DataLoader`, a list. Samples and batches are
            what the model learns from (`i2i.Pair`, ...), or tuples or dictionaries of the same
            tensors, uint8 in 0..255 or floating point in -1..1. Or the table [data] of the recipe.
        validation: the same, to validate with; without it there are no validations.
        model: a subclass of `i2i.Model`, or the name of one, instead of that of the recipe.
        networks: role ("generator", "discriminator") -> a module, which is copied with its weights,
            or a class or function that makes one of what the model says (its numbers of channels).
            A generator that translates may say in `multiple` what height and width must be
            divisible by; else that is found by trying.
        losses: terms that are added: `i2i.Term(name, function, weight)`.
        metrics: what validations measure beside: functions of (outputs, references), both
            (N, C, H, W) in -1..1, that give one number or one for each image; called by their
            names, or (name, function). Or the names of registered ones.
        callbacks: take part in the training; see `i2i.Callback`.
        schedule: step, counted from 0 -> what every learning rate is multiplied by; or a class of
            `torch.optim.lr_scheduler`, its arguments given by `functools.partial`, for every
            optimizer. Or the table [schedule] of the recipe.
        more: changes by name: a table (`objective={"l1": 50}`), or what the command line has a flag
            for (`steps`, `epochs`, `batch_size`, `seed`, `precision`, `direction`, `workers`, ...);
            a direction with letters or by the names of the two folders.

    Returns:
        the folder of the run, the steps done, and the exit code that the command would have: 0, or
        128 and the number of the signal that ended it early.

    Raises:
        I2iError: the recipe, the data, the objects or the run folder are not as they should be, or
            a loss was not finite.
    """
    for key, value in more.items():
        if not isinstance(value, Mapping) and key not in (*SHORT, *Options.model_fields):
            known = [each for each in signature(train).parameters if each != "more"] + [*SHORT]
            raise OptionsError(
                f"{key} is no argument of i2i.train.{did_you_mean(key, known)} It takes the "
                f"arguments of its docstring, tables ({key}={{...}}), and {', '.join(SHORT)}."
            )
    for table, value in (("data", data), ("schedule", schedule), ("model", model)):
        if isinstance(value, Mapping | str):
            more[table] = value
    direction = more.pop("direction", None)
    own = OwnParts(
        networks,
        losses,
        metrics,
        callbacks,
        None if isinstance(schedule, Mapping) else schedule,
        None if isinstance(data, Mapping) else data,
        validation,
        None if isinstance(model, str) else model,
    )
    if own.data is not None and dataroot is not None:
        raise OptionsError(f"dataroot (={str(dataroot)!r}) and data are both given: say which.")
    with own.given():
        read = partial(load_options, recipe, own.first_layer(), *settings, more, dataroot=dataroot)
        options = read(size=size)
        fitting = own.fitting(options)
        side = fitting.get("data", {}).pop("crop_size", None)
        if (
            side is not None
            and size is None
            and not isinstance(recipe, Options)
            and options.data.cropped != Size.of(side)
        ):
            options = read(size=side)
        options = load_options(options, fitting, own.layer(options))
    if not options.data.root:
        raise OptionsError('dataroot is missing: say where the images are (or try "demo").')
    if direction is not None:
        options = with_direction(options, direction)
    if own.data is None and is_own(options.data.root):
        raise OptionsError(f"data is missing: the options name {options.data.root!r}.")
    title = None if isinstance(recipe, Options) else Path(recipe).stem
    return start(
        options,
        runs_dir,
        name,
        title=title,
        device=device,
        rescue_dir=rescue_dir,
        tags=tags,
        note=note,
        own=own,
    )
