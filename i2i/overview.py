"""One sheet for a glance: a few pictures, and what a generator makes of them for each domain."""

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

from PIL import Image

from i2i.batch import to_signed
from i2i.data.reading import Pixels, list_pictures, read_picture
from i2i.data.transforms import evaluation_geometry
from i2i.errors import DataError, OptionsError
from i2i.training.sheet import picture_sheet
from i2i.translate import Failure, failure
from i2i.translator import Translator, to_tensor

PICTURES = 8


def overview(
    translator: Translator, source: Path, *, pictures: int = PICTURES
) -> tuple[Image.Image, list[Failure]]:
    """Return a sheet with a row for each picture, of which there are as many from all over the
    folder, and a column for each domain.

    In the place of a picture that cannot be read there is one of its successors.

    Arguments:
        translator: of a model of many domains.
        source: a folder of pictures, or one picture. They are cut to squares of the size that the
            model was trained on.
        pictures: how many at most.

    Returns:
        the sheet, and the pictures that were met and could not be read.

    Raises:
        OptionsError: the model has learnt nothing of domains.
        DataError: there is no picture, or none that can be read.
    """
    if translator.conditioner is None:
        raise OptionsError("a sheet of all domains needs a model of many domains.")
    paths = [source] if source.is_file() else list_pictures(source)
    if not paths:
        raise DataError(f"There is no picture in '{source}'.")
    count = min(pictures, len(paths))
    bounds = [number * len(paths) // count for number in range(count + 1)]
    failed: list[Failure] = []
    chosen = [
        pixels
        for begin, end in pairwise(bounds)
        if (pixels := _first_readable(paths[begin:end], translator.input_channels, failed))
        is not None
    ]
    if not chosen:
        path, reason = failed[0]
        raise DataError(f"No picture of '{source}' can be read: {path}: {reason}.")
    geometry = evaluation_geometry(translator.conditioner.size, "shorter side")
    images = to_signed(to_tensor([geometry(0, 0, pixels)[0] for pixels in chosen]))
    columns = {"input": images}
    for domain in translator.conditioner.labels.targets:
        columns[domain] = translator(images, domain=domain)
    return picture_sheet(columns), failed


def _first_readable(paths: Sequence[Path], channels: int, failed: list[Failure]) -> Pixels | None:
    """The first of some pictures that can be read; those before it are added to `failed`."""
    for path in paths:
        try:
            return read_picture(path, channels)
        except DataError as error:
            failed.append(failure(path, error))
    return None
