"""One sheet for a glance: a few images, and what a generator makes of them for each domain."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import torch
from PIL import Image
from torch import Tensor

from i2i.core.batch import to_signed
from i2i.core.inputs import Inputs as Several
from i2i.core.inputs import packed
from i2i.core.size import Size
from i2i.data.augment.geometry import evaluation_geometry
from i2i.data.images.read import Pixels, images_among
from i2i.data.sides import SideReader
from i2i.errors import DataError, OptionsError
from i2i.inference.conditioner import Conditioner
from i2i.inference.jobs import Failure, failure
from i2i.inference.sources import find_sources
from i2i.inference.styler import Styler, Styles, each_style
from i2i.inference.translator import Translator, to_tensor
from i2i.runs.image_grid import image_grid

IMAGES = 8


class Inputs(NamedTuple):
    """Where the images of a sheet come from.

    Attributes:
        source: a folder of images, or one image; of several inputs the first, or what holds all.
        beside: more of them; of several inputs folders or files of the others
            (`i2i.inference.sources.find_sources`).
        instances: of networks that see the borders of objects, the folder of their maps.
    """

    source: Path
    beside: Sequence[Path] = ()
    instances: Path | None = None


def overview(
    translator: Translator, source: Path, beside: Sequence[Path] = (), *, count: int = IMAGES
) -> tuple[Image.Image, list[Failure]]:
    """Return a sheet with a row for each image, of which there are as many from all over the
    folder, and a column for each domain.

    In the place of an image that cannot be read there is one of its successors.

    Arguments:
        translator: of a model of many domains.
        source: a folder of images, or one image. They are cut to squares of the size that the
            model was trained on.
        beside: more of them.
        count: how many at most.

    Returns:
        the sheet, and the images that were met and could not be read.

    Raises:
        OptionsError: the model has learnt nothing of domains.
        DataError: there is no image, or none that can be read.
    """
    conditioner = translator.conditioner
    if not isinstance(conditioner, Conditioner):
        raise OptionsError("a sheet of all domains needs a model of many domains.")
    inputs = Inputs(source, beside)
    images, names, failed = chosen_images(translator, conditioner.size, inputs, count)
    columns = {"input": images}
    for domain in conditioner.labels.targets:
        columns[domain] = translator(images, domain=domain)
    return image_grid(_pictures(translator, columns), names), failed


def styles_overview(
    translator: Translator,
    inputs: Inputs,
    domain: str | None,
    seed: int | None,
    count: int | None,
    references: Sequence[Path],
    *,
    images: int = IMAGES,
) -> tuple[Image.Image, list[Failure]]:
    """Return a sheet with a row for each image and a column for each style; those of references
    have the reference above.

    Arguments:
        translator: of a model of styles.
        inputs: the images, or label maps.
        domain: of the styles, if there are any; by default, and for "all", every one.
        seed, count, references: which styles (`i2i.inference.styler.each_style`).
        images: how many rows at most.

    Returns:
        the sheet, and the images that were met and could not be read.

    Raises:
        OptionsError: there is no such domain, or styles are chosen in two ways.
        DataError: there is no image, or none that can be read.
    """
    styler = translator.conditioner
    assert isinstance(styler, Styles)
    chosen, rows, failed = chosen_images(translator, styler.size, inputs, images)
    words: Sequence[str | None] = [domain]
    if isinstance(styler, Styler):
        known = styler.labels.names
        words = known if domain is None or (domain == "all" and "all" not in known) else words
    numbers = range(seed or 0, (seed or 0) + (count or 1))
    names = [path.stem for path in references]
    names = names or [str(number) if count or seed else "" for number in numbers]
    columns = {"input": chosen}
    if references:  # nothing stands above the inputs; of label maps no class, which is black
        above = chosen[:1].new_full((), 0.0 if translator.labels[0] is not None else 1.0)
        columns["input"] = torch.cat([above.expand_as(chosen[:1]), chosen])
    for word in words:
        styles = each_style(styler, seed, count, references)
        for name, _ in zip(names, styles, strict=True):
            made = translator(chosen, domain=word)
            made = torch.cat([styler.reference, made]) if references else made
            columns[" ".join(filter(None, (word, name))) or "output"] = made
    return image_grid(_pictures(translator, columns), rows), failed


def side_by_side(
    translators: Sequence[tuple[str, Translator]], size: Size, inputs: Inputs, domain: str | None
) -> tuple[Image.Image, list[Failure]]:
    """A sheet with a row for each of some images, and a column for each translator.

    Arguments:
        translators: with the names of their columns; at least one; all take the same.
        size: images are cut to this.
        inputs: the images; of several inputs of a scene each has a column.
        domain: what to translate to, for models of many domains.

    Returns:
        the sheet, and the images that were met and could not be read.
    """
    _, first = translators[0]
    images, rows, failed = chosen_images(first, size, inputs, IMAGES)
    columns = {"input": images}
    for name, translator in translators:
        columns[name] = translator(images, domain=domain)
    return image_grid(_pictures(first, columns), rows), failed


def _pictures(translator: Translator, columns: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Columns of images as networks see and make them, as a person can look at them."""
    one_side = isinstance(translator.conditioner, Conditioner)
    return translator.sides.pictures(columns, lambda name: int(name != "input" and not one_side))


def chosen_images(
    translator: Translator, size: Size, inputs: Inputs, count: int
) -> tuple[Tensor, list[str], list[Failure]]:
    """Some images from all over a folder, (N, C, H, W) of `size` as networks see them, their names
    below it, and those that were met and could not be read."""
    held, places, beside = translator.labels[0], [inputs.source, *inputs.beside], {}
    if isinstance(held, Several):
        found = find_sources(held.names, inputs.source, inputs.beside, None)
        places, beside = [found.folder], found.beside
    reader = translator.reader(inputs.instances)
    paths = images_among(places)
    if isinstance(held, Several):
        paths = [path for path in paths if path in beside]
    where = ", ".join(f"'{place}'" for place in places)
    if not paths:
        raise DataError(f"There is no image in {where}.")
    count = min(count, len(paths))
    bounds = [number * len(paths) // count for number in range(count + 1)]
    failed: list[Failure] = []
    chosen = [
        scene
        for begin, end in pairwise(bounds)
        if (scene := _first_readable(paths[begin:end], reader, beside, failed))
    ]
    if not chosen:
        path, reason = failed[0]
        raise DataError(f"No image of {where} can be read: {path}: {reason}.")
    maps = frozenset(each.letter for each in reader.each if each.labels is not None)
    geometry = evaluation_geometry(size, "shorter side", maps)
    cut = []
    for _, files in chosen:
        sides = reader.letters
        parts = geometry.cut(0, 0, *geometry.resize_all(*files, sides=sides), sides=sides)
        cut.append(packed(parts) if reader.parts else parts[0])
    images = to_tensor(cut)
    images = to_signed(images) if held is None else translator.planes(images)
    names = [_below(path, places) for path, _ in chosen]
    return images, names, failed


def _below(path: Path, places: Sequence[Path]) -> str:
    """What an image is called in the folder that was named, or by itself."""
    folders = (place for place in places if path != place and path.is_relative_to(place))
    return path.relative_to(next(folders, path.parent)).as_posix()


def _first_readable(
    paths: Sequence[Path],
    reader: SideReader,
    beside: Mapping[Path, tuple[Path, ...]],
    failed: list[Failure],
) -> tuple[Path, tuple[Pixels, ...]] | None:
    """The first of some images that can be read, with those beside it; the ones before it are
    added to `failed`."""
    for path in paths:
        try:
            return path, reader.read_all((path, *beside.get(path, ())))
        except DataError as error:
            failed.append(failure(path, error))
    return None
