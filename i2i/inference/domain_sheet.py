"""One sheet for a glance: a few images, and what a generator makes of them for each domain."""

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

from PIL import Image

from i2i.core.batch import to_signed
from i2i.data.augment.geometry import evaluation_geometry
from i2i.data.images.read import Pixels, list_images, read_image
from i2i.errors import DataError, OptionsError
from i2i.inference.folder import Failure, failure
from i2i.inference.translator import Translator, to_tensor
from i2i.runs.image_grid import image_grid

IMAGES = 8


def overview(
    translator: Translator, source: Path, *, count: int = IMAGES
) -> tuple[Image.Image, list[Failure]]:
    """Return a sheet with a row for each image, of which there are as many from all over the
    folder, and a column for each domain.

    In the place of an image that cannot be read there is one of its successors.

    Arguments:
        translator: of a model of many domains.
        source: a folder of images, or one image. They are cut to squares of the size that the
            model was trained on.
        count: how many at most.

    Returns:
        the sheet, and the images that were met and could not be read.

    Raises:
        OptionsError: the model has learnt nothing of domains.
        DataError: there is no image, or none that can be read.
    """
    if translator.conditioner is None:
        raise OptionsError("a sheet of all domains needs a model of many domains.")
    paths = [source] if source.is_file() else list_images(source)
    if not paths:
        raise DataError(f"There is no image in '{source}'.")
    count = min(count, len(paths))
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
        raise DataError(f"No image of '{source}' can be read: {path}: {reason}.")
    geometry = evaluation_geometry(translator.conditioner.size, "shorter side")
    images = to_signed(to_tensor([geometry(0, 0, pixels)[0] for pixels in chosen]))
    columns = {"input": images}
    for domain in translator.conditioner.labels.targets:
        columns[domain] = translator(images, domain=domain)
    return image_grid(columns), failed


def _first_readable(paths: Sequence[Path], channels: int, failed: list[Failure]) -> Pixels | None:
    """The first of some images that can be read; those before it are added to `failed`."""
    for path in paths:
        try:
            return read_image(path, channels)
        except DataError as error:
            failed.append(failure(path, error))
    return None
