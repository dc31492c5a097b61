"""A whole training in one call, for programs and notebooks."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from i2i.config import Layer, Options
from i2i.config.recipes import load_options
from i2i.errors import OptionsError
from i2i.training.session import Outcome, start


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
    **more: Any,
) -> Outcome:
    """Train a new model, as `i2i train` does::

        outcome = i2i.train("pix2pix-quick", dataroot="demo", steps=300, train={"seed": 1})
        i2i.load_translator(outcome.folder)

    In a script this belongs below the usual `if __name__ == "__main__":`, since other processes are
    started to read images.

    Arguments:
        recipe: the name of a recipe or model (`list_models` has them), the path of a TOML file, or
            options that are complete.
        settings: changes such as "objective.l1=50" or {"objective": {"l1": 50}}.
        dataroot: a folder of images, a name in the catalogue, or "demo"; may be left out if the
            recipe says it.
        size: fit the recipe to images of this size: the side of squares in pixels, "512x256" or
            (512, 256).
        runs_dir: where the folder of the run is made.
        name: of the run; by default recipe, data set and time.
        device: "auto", "cpu", "cuda", ...
        rescue_dir: takes the last checkpoint if the disk of the run folder is full.
        tags, note: words to find the run again by, and a remark, as for `--tag` and `--note`.
        more: changes by name: a table (`objective={"l1": 50}`), or what the command line has a flag
            for (`steps`, `epochs`, `batch_size`, `seed`, `precision`, `direction`, `workers`, ...).

    Returns:
        the folder of the run, the steps done, and the exit code that the command would have: 0, or
        128 and the number of the signal that ended it early.

    Raises:
        I2iError: the recipe, the data or the run folder are not as they should be, or a loss was
            not finite.
    """
    options = load_options(recipe, *settings, more, size=size, dataroot=dataroot)
    if not options.data.root:
        raise OptionsError('dataroot is missing: say where the images are (or try "demo").')
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
    )
