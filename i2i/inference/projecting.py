"""Files of a projection: from an image and a checkpoint to what was found."""

import logging
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from i2i.core.batch import to_signed, to_travel
from i2i.core.progress import audible
from i2i.data.augment.geometry import resize_pixels
from i2i.data.images.arrays import write_array
from i2i.data.sides import SideReader
from i2i.errors import DataError, OptionsError
from i2i.inference.load import build_sampler, load_model
from i2i.inference.projection import Projection, Projector
from i2i.inference.write_samples import suffix_for
from i2i.models._noise import NoiseModel
from i2i.runs.image_grid import image_grid
from i2i.system.device import pick_device

_log = logging.getLogger(__name__)


@audible()
def project(
    image: Path,
    target: Path,
    checkpoint: Path | None = None,
    *,
    runs_dir: Path = Path("runs"),
    label: str | None = None,
    steps: int = 500,
    feature_weight: float = 0.1,
    each_layer: bool = False,
    seed: int = 0,
    device: str = "auto",
    average: bool | None = None,
    best: bool | str = False,
    overwrite: bool = False,
) -> Projection:
    """Find the latent of an image, and write it, what it makes, and the way there to a folder.

    Arguments are those of `load_sampler` and of `Projector.__call__`; `label` is a class by name or
    number, the first one if there are several and none is said.

    Raises:
        DataError: the image cannot be read, or a file exists already or cannot be written.
        OptionsError: the model translates images, or knows no such class.
    """
    options, model, why = load_model(checkpoint, runs_dir=runs_dir, average=average, best=best)
    if not isinstance(model, NoiseModel):
        raise OptionsError(
            f"{why} is of a {options.model}, which translates images and makes none from noise: "
            "name another run with --checkpoint."
        )
    where = pick_device(device)
    sampler = build_sampler(options, model, device=where)
    suffix = suffix_for(sampler)
    names = (f"target{suffix}", f"projected{suffix}", "sheet.png", "latent.npy")
    existing = [target / name for name in names if (target / name).exists()]
    if existing and not overwrite:
        raise DataError(
            f"'{existing[0]}' exists already ({len(existing)} of {len(names)} files): pass "
            "--overwrite, or choose another output."
        )
    labels = sampler.labels([0], label)
    reader = SideReader("image", sampler.channels, scale=sampler.sides.scales[1])
    wanted = square(image, reader, sampler.size)
    _log.info(why)

    network = model.get_submodule("discriminator").eval().to(where).requires_grad_(False)

    def features(images: Tensor) -> Tensor:
        told = None if labels is None else labels.to(where)
        seen: Tensor = network.features(model.as_coarse(images), told)  # type: ignore[operator]
        return seen

    projector = Projector(
        sampler.generator, sampler.latent, features if feature_weight else None, device=where
    )
    found = projector(
        to_signed(wanted),
        labels=labels,
        steps=steps,
        feature_weight=feature_weight,
        each_layer=each_layer,
        seed=seed,
    )
    columns = {str(step): made[None] for step, made in found.way}
    shown = sampler.pictures({**columns, "target": wanted[None]})
    made = to_travel(found.image, wanted.dtype)
    try:
        target.mkdir(parents=True, exist_ok=True)
        for name, values in zip(names, sampler.values(torch.stack([wanted, made])), strict=False):
            write_array(values, target / name, suffix)
        image_grid(shown).save(target / "sheet.png")
        np.save(target / "latent.npy", found.latent.numpy())
    except OSError as error:
        raise DataError(f"'{target}' cannot be written: {error.strerror or error}.") from error
    _log.info(
        f"mean squared error {found.error:.4g} (of pixels in -1..1); sheet: {target / 'sheet.png'}"
    )
    return found


def square(path: Path, reader: SideReader, size: int) -> Tensor:
    """The square in the middle of an image at another size: (C, size, size), as it travels."""
    pixels = reader.read(path)
    height, width = pixels.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    cut = np.ascontiguousarray(pixels[top : top + side, left : left + side])
    return torch.from_numpy(resize_pixels(cut, size, size)).permute(2, 0, 1).contiguous()
