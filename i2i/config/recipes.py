"""Recipes: TOML files, each on top of another, and the command line on top of all.

A recipe may name another as its `base` and change some of it. What the layers say together is
validated as a whole (`i2i.config`).
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from i2i.config import Layer, Options, named_section, read_options
from i2i.config.renamed import with_new_words
from i2i.core.plugins import in_recipe
from i2i.core.registry import MODELS, is_own, networks
from i2i.core.size import Size
from i2i.errors import OptionsError, did_you_mean
from i2i.system import gate

MOST_BASES = 16
"""Recipes that stand on each other."""


def shipped(folder: str) -> Path:
    """The folder `options`, `datasets` or `models`: in an installed package, or beside it."""
    package = Path(__file__).parent.parent
    inside = package / "shipped" / folder
    return inside if inside.is_dir() else package.parent / folder


def recipes() -> dict[str, Path]:
    """The recipes that come with the package, by name."""
    return {path.stem: path for path in sorted(shipped("options").glob("*.toml"), key=_stem)}


def list_models() -> dict[str, str]:
    """What can be trained: the name of each recipe of the package, and a line about it."""
    return {name: str(read_recipe(name)["summary"]) for name in recipes()}


def _stem(path: Path) -> str:
    return path.stem


def read_toml(path: Path) -> dict[str, Any]:
    """Read a TOML file; OptionsError says what is wrong with it."""
    try:
        return gate.parse_toml(gate.read_text(path, gate.MOST_TOML))
    except gate.RefusedError as error:
        raise OptionsError(f"{path} {error}.") from error


def read_recipe(name: str, above: tuple[str, ...] = ()) -> dict[str, Any]:
    """Read a recipe with everything that its bases say.

    Arguments:
        name: the name of a recipe that comes with the package, or the path of a TOML file.
        above: the recipes that stand on this one.
    """
    if name in above:
        raise OptionsError(f"the recipe {name!r} stands on itself: {' on '.join([*above, name])}.")
    if len(above) >= MOST_BASES:
        raise OptionsError(
            f"the recipe {above[0]!r} stands on more than {MOST_BASES} others: put some together."
        )
    known = recipes()
    path = known.get(name, Path(name))
    if name not in known and not gate.is_file(path):
        raise OptionsError(
            f"{gate.shortened(name)} is neither a recipe nor a file.{did_you_mean(name, known)} "
            f"The recipes are: {', '.join(known)}."
        )
    recipe = with_new_words(read_toml(path))
    plugins = in_recipe(recipe, path.parent)
    if plugins:
        recipe["plugins"] = plugins
    base = recipe.pop("base", None)
    if base is None:
        return recipe
    if not isinstance(base, str):
        raise OptionsError(
            f"{path}: base (={gate.shortened(base)}) must be the name of a recipe or of a file."
        )
    if name in known and base not in known:
        raise OptionsError(f"{path}: base (={gate.shortened(base)}) is no recipe of the package.")
    beside = path.parent / base
    below = read_recipe(str(beside) if gate.is_file(beside) else base, (*above, name))
    if plugins:
        recipe["plugins"] = [*below.get("plugins", []), *plugins]
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
        name = value.get("network", below.get("network"))
        if name != below.get("network") and (is_own(name) or _is_network(key, name)):
            fields = named_section(key, name).model_fields
            below = {name: kept for name, kept in below.items() if name in fields}
        if key == "train" and value.keys() & {"steps", "epochs"}:
            below = {name: kept for name, kept in below.items() if name not in ("steps", "epochs")}
        merged[key] = merge(below, value)
    return merged


def _is_network(role: str, name: Any) -> bool:
    return isinstance(name, str) and name in networks(role)


SHORT = {
    "dataroot": "data.root",
    "dataroot_b": "data.root_b",
    "direction": "data.direction",
    "workers": "data.workers",
    "keep": "data.cache",
    "skip_bad": "data.skip_bad",
    "check": "data.check",
    "split_table": "data.split_table",
    "folds": "data.folds",
    "fold": "data.fold",
    "limit": "data.limit",
    "batch_size": "train.batch_size",
    "steps": "train.steps",
    "epochs": "train.epochs",
    "precision": "train.precision",
    "threads": "train.threads",
    "seed": "train.seed",
    "patience": "train.patience",
    "init_from": "train.init_from",
    "init_strict": "train.init_strict",
    "init_rate": "train.init_rate",
    "freeze": "train.freeze",
}
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
        raise OptionsError(
            f"--set {gate.shortened(text)} must look like section.key=value (objective.l1=50)."
        )
    try:
        parsed = gate.parse_toml(f"value = {value}")["value"]
    except gate.RefusedError:
        parsed = value.strip()
    for key in reversed(keys):
        parsed = {key: parsed}
    try:
        gate.require_plain(parsed)
    except gate.RefusedError as error:
        raise OptionsError(f"--set {gate.shortened(text)} {error}.") from error
    assert isinstance(parsed, dict)
    return with_new_words(parsed)


def settings_layer(*settings: str | Layer) -> dict[str, Any]:
    """Turn changes of options, however they are written, into one layer.

    Arguments:
        settings: "objective.l1=50", {"objective.l1": 50} or {"objective": {"l1": 50}}; later ones
            count more.

    Raises:
        OptionsError: a text is no setting.
    """
    layer: dict[str, Any] = {}
    for setting in settings:
        layer = merge(layer, parse_setting(setting) if isinstance(setting, str) else _deep(setting))
    return layer


def _deep(layer: Layer, short: Mapping[str, str] = SHORT) -> dict[str, Any]:
    """A layer without dots in its keys: {"train.seed": 1} becomes {"train": {"seed": 1}}, and so
    does {"seed": 1}."""
    deep: dict[str, Any] = {}
    for key, value in layer.items():
        inner: Any = _deep(value, {}) if isinstance(value, Mapping) else value
        for part in reversed(short.get(key, key).split(".")):
            inner = {part: inner}
        deep = merge(deep, inner)
    return deep


def flat(options: Layer, above: str = "") -> dict[str, Any]:
    """Nested options by their dotted paths: {"train": {"seed": 0}} becomes {"train.seed": 0}."""
    found: dict[str, Any] = {}
    for key, value in options.items():
        path = f"{above}{key}"
        found |= flat(value, f"{path}.") if isinstance(value, Mapping) else {path: value}
    return found


def with_size(options: Layer, size: "int | str | tuple[int, int]") -> dict[str, Any]:
    """Fit the sizes of a recipe to images of `size`: the side of a square in pixels,
    (width, height), or a text ("512x256").

    The crop becomes `size`, the image that it is cut from keeps its proportion to it, and each
    network changes what it must (its `fit_to`): a U-Net that would halve the image too often gets
    less deep, say. Networks that grow stop at `size`.
    """
    try:
        crop = Size.of(size)
    except ValueError as error:
        raise OptionsError(f"size (={size!r}): {error}.") from error
    read = read_options(options)
    options = read.to_dict()
    proportions = zip(crop, read.data.loaded, read.data.cropped, strict=True)
    load = Size(*(round(new * before / after) for new, before, after in proportions))
    changes: dict[str, Any] = {
        "summary": re.sub(r"\b\d+(x\d+)? pixels\b", f"{crop} pixels", options["summary"]),
        "data": {"crop_size": crop.plain, "load_size": load.plain},
    }
    if "growth" in options:
        stages = [stage for stage in options["growth"]["stages"] if stage["size"] <= min(crop)]
        changes["growth"] = {"stages": stages}
        changes["train"] = {"steps": sum(stage["fade"] + stage["hold"] for stage in stages)}
    for role in MODELS.find(options["model"]).roles:
        network = networks(role).find(options[role]["network"])
        if hasattr(network, "fit_to"):
            changes[role] = network.fit_to(crop.halving, options[role])
    return merge(options, changes)


def load_options(
    recipe: str | Path | Options,
    *settings: str | Layer,
    size: int | str | tuple[int, int] | None = None,
    dataroot: str | Path | None = None,
    dataroot_b: str | Path | None = None,
) -> Options:
    """Read a recipe and change it.

    Arguments:
        recipe: the name of a recipe of the package ("pix2pix"), the path of a TOML file, or options
            that are to be changed.
        settings: changes such as "objective.l1=50", as for `--set`; or see `settings_layer`.
        size: fit the recipe to images of this size: the side of squares in pixels, "512x256" or
            (512, 256).
        dataroot: where the images are, as for `--dataroot`: the option data.root.
        dataroot_b: unpaired: the folder of domain B, if it lies apart: the option data.root_b.

    Raises:
        OptionsError: there is no such recipe, or a value is wrong.
    """
    layer = recipe.to_dict() if isinstance(recipe, Options) else read_recipe(str(recipe))
    if size is not None:
        layer = with_size(layer, size)
    layer = merge(layer, settings_layer(*settings))
    for key, value in (("root", dataroot), ("root_b", dataroot_b)):
        if value is not None:
            layer = merge(layer, {"data": {key: str(value)}})
    return read_options(layer)
