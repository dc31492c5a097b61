"""What a run makes of chosen images, to look at."""

import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import default_collate

from i2i.config import Options
from i2i.core.batch import to_device
from i2i.core.draws import CPU, draws_apart
from i2i.core.registry import is_own
from i2i.data.own import own_source
from i2i.data.sides import sides_of
from i2i.data.sources import Source, open_source
from i2i.errors import DataError, OptionsError
from i2i.models.build import data_kind, inference_mode
from i2i.runs.folder import find_checkpoint
from i2i.runs.image_grid import as_colour, image_grid
from i2i.runs.opening import open_model

INCHES = 2.0
"""Width and height of a picture in a figure of matplotlib."""


def figure(
    run: Path | str,
    images: int | Sequence[int] = 4,
    *,
    best: bool = False,
    validation: Any = None,
    plot: bool | None = None,
) -> Any:
    """What a run makes of some images that it is validated with: a row for each, with titles over
    the columns (input, output, truth, or what the model shows).

    Arguments:
        run: its folder, or a checkpoint. One that was made from objects finds them within
            `i2i.own_parts`.
        images: how many, the first ones; or their numbers, from 0.
        best: whether the checkpoint with the best validation is taken, not the last one.
        validation: other images to look at, as for `i2i.train`.
        plot: whether it shall be a figure of matplotlib; by default if that is installed.

    Returns:
        a figure of matplotlib, or a Pillow image.

    Raises:
        I2iError: the run or its images are not there; matplotlib is wanted and not installed.
    """
    path, _ = find_checkpoint(Path(run), Path(), best=best)
    options, model = open_model(path)
    source = _opened(options, validation)
    chosen = list(range(images) if isinstance(images, int) else images)
    if isinstance(images, int):
        chosen = chosen[: source.validation_images]
    if not chosen or not all(0 <= number < source.validation_images for number in chosen):
        raise DataError(
            f"images (={images!r}) must be numbers below {source.validation_images}: so many "
            "images there are to validate with."
        )
    sides = sides_of(options)
    batch = to_device(default_collate([source.validation[n] for n in chosen]), CPU, sides=sides)
    for name in (*model.generators, *model.companions):
        inference_mode(options)(model.get_submodule(name))
    with torch.no_grad(), draws_apart(options.train.seed):
        columns = sides.pictures(model.visualize(batch), model.side_of)
    describe = getattr(source.validation, "describe", str)
    rows = [describe(number) for number in chosen]
    there = importlib.util.find_spec("matplotlib") is not None
    if plot and not there:
        raise OptionsError("plot (=True) needs matplotlib: pip install matplotlib.")
    return _plotted(columns, rows) if there and plot is not False else image_grid(columns, rows)


def _opened(options: Options, validation: Any) -> Source:
    if validation is not None or is_own(options.data.root):
        if validation is None:
            raise DataError(
                "validation is missing: this run was made from objects, so give the data to look "
                "at (validation=...)."
            )
        return own_source(
            validation,
            validation,
            kind=data_kind(options),
            seed=options.train.seed,
            count=options.train.validation_images,
        )
    return open_source(options, data_kind(options))


def _plotted(columns: dict[str, Tensor], rows: Sequence[str]) -> Any:
    """A figure of matplotlib, which nobody else knows of."""
    made: Any = importlib.import_module("matplotlib.figure").Figure(
        figsize=(INCHES * len(columns), INCHES * len(rows)), layout="constrained"
    )
    places = made.subplots(len(rows), len(columns), squeeze=False)
    for across, (title, pictures) in enumerate(columns.items()):
        places[0][across].set_title(title)
        for down, pixels in enumerate(as_colour(pictures)):
            places[down][across].imshow(pixels)
            places[down][across].set(xticks=[], yticks=[])
    for down, name in enumerate(rows):
        places[down][0].set_ylabel(name)
    return made
