"""One sheet for a glance: a few pictures, and what a generator makes of them for each domain."""

from pathlib import Path

from PIL import Image

from i2i.batch import to_signed
from i2i.data.reading import list_pictures, read_picture
from i2i.data.transforms import evaluation_geometry
from i2i.errors import DataError, OptionsError
from i2i.training.sheet import picture_sheet
from i2i.translator import Translator, to_tensor

PICTURES = 8


def overview(translator: Translator, source: Path, *, pictures: int = PICTURES) -> Image.Image:
    """Return a sheet with a row for each picture, of which there are as many from all over the
    folder, and a column for each domain.

    Arguments:
        translator: of a model of many domains.
        source: a folder of pictures, or one picture. They are cut to squares of the size that the
            model was trained on.
        pictures: how many at most.

    Raises:
        OptionsError: the model has learnt nothing of domains.
        DataError: there is no picture, or one cannot be read.
    """
    if translator.conditioner is None:
        raise OptionsError("a sheet of all domains needs a model of many domains.")
    paths = [source] if source.is_file() else list_pictures(source)
    if not paths:
        raise DataError(f"There is no picture in '{source}'.")
    count = min(pictures, len(paths))
    chosen = [paths[number * len(paths) // count] for number in range(count)]
    geometry = evaluation_geometry(translator.conditioner.size, "shorter side")
    pixels = [geometry(0, 0, read_picture(p, translator.input_channels))[0] for p in chosen]
    images = to_signed(to_tensor(list(pixels)))
    columns = {"input": images}
    for domain in translator.conditioner.labels.targets:
        columns[domain] = translator(images, domain=domain)
    return picture_sheet(columns)
