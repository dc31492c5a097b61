"""Recipes: TOML files, each on top of another, and the command line on top of all.

A recipe may name another as its `base` and change some of it. What the layers say together is
validated as a whole (`i2i.options`).
"""

import math
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from i2i.errors import OptionsError, did_you_mean
from i2i.options import NETWORKS, Layer, Options, read_options


def shipped(folder: str) -> Path:
    """The folder `options` or `datasets`: inside an installed package, beside it in a checkout."""
    package = Path(__file__).parent
    inside = package / "shipped" / folder
    return inside if inside.is_dir() else package.parent / folder


def recipes() -> dict[str, Path]:
    """The recipes that come with the package, by name."""
    return {path.stem: path for path in sorted(shipped("options").glob("*.toml"), key=_stem)}


def _stem(path: Path) -> str:
    return path.stem


def read_toml(path: Path) -> dict[str, Any]:
    """Read a TOML file; OptionsError says what is wrong with it."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise OptionsError(f"{path} cannot be read: {error.strerror}.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise OptionsError(f"{path} is not valid TOML: {error}.") from error


def read_recipe(name: str, above: tuple[str, ...] = ()) -> dict[str, Any]:
    """Read a recipe with everything that its bases say.

    Arguments:
        name: the name of a recipe that comes with the package, or the path of a TOML file.
        above: the recipes that stand on this one.
    """
    if name in above:
        raise OptionsError(f"the recipe {name!r} stands on itself: {' on '.join([*above, name])}.")
    known = recipes()
    path = known.get(name, Path(name))
    if name not in known and not path.is_file():
        raise OptionsError(
            f"{name!r} is neither a recipe nor a file.{did_you_mean(name, known)} "
            f"The recipes are: {', '.join(known)}."
        )
    recipe = read_toml(path)
    base = recipe.pop("base", None)
    if base is None:
        return recipe
    if name in known and base not in known:
        raise OptionsError(f"{path}: base (={base!r}) is no recipe of the package.")
    beside = path.parent / base
    below = read_recipe(str(beside) if beside.is_file() else base, (*above, name))
    return merge(below, recipe)


def merge(lower: Layer, upper: Layer) -> dict[str, Any]:
    """Lay one layer of options over another, key by key.

    Two things replace what lies below them whole: a network of another type takes with it the keys
    that only the former one has, and a run's length in steps replaces one in epochs (and back).
    """
    merged = dict(lower)
    for key, value in upper.items():
        below = merged.get(key)
        if not (isinstance(value, Mapping) and isinstance(below, Mapping)):
            merged[key] = value
            continue
        network = NETWORKS.get(key, {}).get(str(value.get("network", below.get("network"))))
        if network is not None and value.get("network", below.get("network")) != below.get(
            "network"
        ):
            below = {name: kept for name, kept in below.items() if name in network.model_fields}
        if key == "train" and value.keys() & {"steps", "epochs"}:
            below = {name: kept for name, kept in below.items() if name not in ("steps", "epochs")}
        merged[key] = merge(below, value)
    return merged


SHORT = {"dataroot": "data.root", "dataroot_b": "data.root_b"}
"""Other names of options, as the flags of the command line are called."""


def parse_setting(text: str) -> dict[str, Any]:
    """Turn "objective.l1=50" into {"objective": {"l1": 50}}, "dataroot=x" into what `SHORT` says.

    The value is read as TOML; what is no TOML value is taken as a string, so that quotes can be
    left out.
    """
    path, equals, value = text.partition("=")
    path = SHORT.get(path.strip(), path)
    keys = [key.strip() for key in path.split(".")]
    if not equals or not all(keys):
        raise OptionsError(f"--set {text!r} must look like section.key=value (objective.l1=50).")
    try:
        parsed = tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        parsed = value.strip()
    for key in reversed(keys):
        parsed = {key: parsed}
    return parsed  # type: ignore[no-any-return]


def with_size(options: Layer, size: int) -> dict[str, Any]:
    """Fit the sizes of a recipe to square pictures of `size` pixels.

    The crop becomes `size`, the picture that it is cut from keeps its proportion to it, a U-Net or
    a discriminator that would halve the picture too often gets less deep, and a ResNet has no more
    than 6 blocks below 256 pixels (as published for CycleGAN). Networks that grow stop at `size`.
    """
    options = read_options(options).to_dict()
    data, generator, discriminator = (options[k] for k in ("data", "generator", "discriminator"))
    changes: dict[str, Any] = {
        "data": {
            "crop_size": size,
            "load_size": round(size * data["load_size"] / data["crop_size"]),
        }
    }
    if "growth" in options:
        stages = [stage for stage in options["growth"]["stages"] if stage["size"] <= size]
        changes["growth"] = {"stages": stages}
        changes["train"] = {"steps": sum(stage["fade"] + stage["hold"] for stage in stages)}
    if generator["network"] == "unet" and size < 2 ** generator["downs"]:
        changes["generator"] = {"downs": max(2, int(math.log2(size)))}
    if generator["network"] == "resnet" and size < 256:
        changes["generator"] = {"blocks": min(generator["blocks"], 6)}
    if discriminator["network"] == "stargan":
        deepest = (size & -size).bit_length() - 1  # the number of times that 2 divides it
        changes["discriminator"] = {"layers": max(1, min(discriminator["layers"], deepest))}
    if discriminator["network"] == "patchgan" and size < 3 * 2 ** discriminator["layers"]:
        changes["discriminator"] = {"layers": max(1, int(math.log2(size / 3)))}
    return merge(options, changes)


def load_options(
    recipe: str,
    *settings: str,
    size: int | None = None,
    dataroot: str | Path | None = None,
    dataroot_b: str | Path | None = None,
) -> Options:
    """Read a recipe and change it.

    Arguments:
        recipe: the name of a recipe of the package ("pix2pix"), or the path of a TOML file.
        settings: changes such as "objective.l1=50", as for `--set`.
        size: fit the recipe to square pictures of this many pixels.
        dataroot: where the images are, as for `--dataroot`: the option data.root.
        dataroot_b: unpaired: the folder of domain B, if it lies apart: the option data.root_b.

    Raises:
        OptionsError: there is no such recipe, or a value is wrong.
    """
    layer = read_recipe(recipe)
    if size is not None:
        layer = with_size(layer, size)
    for setting in settings:
        layer = merge(layer, parse_setting(setting))
    for key, value in (("root", dataroot), ("root_b", dataroot_b)):
        if value is not None:
            layer = merge(layer, {"data": {key: str(value)}})
    return read_options(layer)
