"""Published networks that make images from noise, taken in as runs: StyleGAN2's and R3GAN's.

Their files are pickles, which are read without being run (`i2i.export.pickled`). Which network it
is, and all of its options, follow from the shapes of the weights, whose names are ours.
"""

import logging
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from i2i.config import read_options
from i2i.config.recipes import merge, read_recipe
from i2i.core.progress import audible
from i2i.errors import CheckpointError
from i2i.export.imported import Weights, fill, write_run
from i2i.export.pickled import pickled_networks
from i2i.runs.folder import Run, refuse_existing

_log = logging.getLogger(__name__)

INSTEAD = ("G_ema", "G")
"""The networks that can be the generator: the moving average first."""


@audible()
def import_pickled(
    source: Path,
    name: str,
    *,
    runs_dir: Path = Path("runs"),
    domains: Sequence[str] = (),
) -> Path:
    """Make a run of a published pickle of StyleGAN2 (stylegan2-ada-pytorch) or R3GAN.

    The generator is the moving average, "G_ema", where there is one; the discriminator comes along
    if there is one.

    Arguments:
        source: NAME.pkl.
        name: of the new run.
        runs_dir: the folder of the runs.
        domains: the names of the classes, of a generator that is told one; by default numbers.

    Returns:
        the folder of the run.

    Raises:
        CheckpointError: the file cannot be read, or its weights do not fit exactly.
        OptionsError: the network is one that our models cannot have.
        RunError: there is such a run already.
    """
    run = Run(runs_dir / name)
    refuse_existing(run.folder)
    networks = pickled_networks(source)
    chosen = next((each for each in INSTEAD if each in networks), None)
    if chosen is None:
        raise CheckpointError(
            f"{source} holds {', '.join(networks)}, but no generator: expected one of "
            f"{' and '.join(INSTEAD)}."
        )
    generator, discriminator = networks[chosen], networks.get("D")
    try:
        if "mapping.fc0.weight" in generator:
            layer = _stylegan2(generator, discriminator, domains)
        elif "Model.MainLayers.0.Layers.0.Basis" in generator:
            layer = _r3gan(generator, discriminator, domains)
        else:
            raise CheckpointError(
                f"{source}: {chosen} is neither StyleGAN2's generator nor R3GAN's (its weights are "
                f"{', '.join(list(generator)[:3])}, ...)."
            )
    except (KeyError, IndexError, ValueError, ZeroDivisionError) as error:
        raise CheckpointError(f"{source}: {chosen} lacks weights of such a generator.") from error
    layer["summary"] = f"imported from {source.name}"
    recipe = "stylegan2" if layer["generator"]["network"] == "stylegan2" else "r3gan"
    options = read_options(merge(read_recipe(recipe), layer))
    weights = fill(options, source, {"generator": generator, "discriminator": discriminator})
    _log.info(
        f"{source.name}: {chosen} is a {recipe} generator of {options.data.crop_size} pixels"
        + (f" and {len(options.data.labels.names)} classes" if options.data.labels.names else "")
    )
    write_run(run, options, weights)
    return run.folder


def _common(
    size: int, channels: int, latent: int, classes: int, domains: Sequence[str]
) -> dict[str, Any]:
    if domains and len(domains) != classes:
        raise CheckpointError(
            f"{len(domains)} domains are named ({', '.join(domains)}), but the generator is told "
            f"{classes or 'no'} classes."
        )
    named = list(domains) or [f"class{number}" for number in range(classes)]
    return {
        "data": {
            "load_size": size,
            "crop_size": size,
            "output_channels": channels,
            "domains": named,
        },
        "latent": {"size": latent},
        "game": {"class_conditional": "required" if classes else "ignored"},
    }


def _stylegan2(
    generator: Weights, discriminator: Weights | None, domains: Sequence[str]
) -> dict[str, Any]:
    sizes = sorted(
        int(found[1])
        for key in generator
        if (found := re.fullmatch(r"synthesis\.b(\d+)\.conv1\.weight", key))
    )
    size = sizes[-1]
    channels = [len(generator[f"synthesis.b{each}.conv1.weight"]) for each in sizes]
    style, joined = generator["mapping.fc0.weight"].shape
    embedded = generator.get("mapping.embed.weight")
    classes = 0 if embedded is None else embedded.shape[1]
    latent = joined - (style if classes else 0)
    images = generator[f"synthesis.b{size}.torgb.weight"].shape[0]
    layers = sum(re.fullmatch(r"mapping\.fc\d+\.weight", key) is not None for key in generator)
    skips = len(sizes) == 1 or f"synthesis.b{sizes[0]}.torgb.weight" in generator
    widths = {"channel_base": channels[-1] * size, "channel_max": max(channels)}
    layer = _common(size, images, latent, classes, domains)
    layer["generator"] = {
        "network": "stylegan2",
        **widths,
        "style": style,
        "mapping_layers": layers,
        "architecture": "skip" if skips else "orig",
    }
    layer["discriminator"] = {"network": "stylegan2", **widths}
    if discriminator is not None:
        told = sum(
            re.fullmatch(r"mapping\.fc\d+\.weight", key) is not None for key in discriminator
        )
        last = len(discriminator["b4.conv.weight"])
        widest = max(len(v) for k, v in discriminator.items() if k.endswith("conv0.weight"))
        skipping = f"b{size}.skip.weight" in discriminator
        painting = "b4.fromrgb.weight" in discriminator
        layer["discriminator"] |= {
            "channel_base": len(discriminator[f"b{size}.conv0.weight"]) * size,
            "channel_max": max(last, widest),
            "architecture": "resnet" if skipping else "skip" if painting else "orig",
            "deviations": discriminator["b4.conv.weight"].shape[1] - last,
            **({"mapping_layers": told} if told else {}),
        }
    return layer


def _r3gan(
    generator: Weights, discriminator: Weights | None, domains: Sequence[str]
) -> dict[str, Any]:
    main = "Model.MainLayers"
    stages = _count(generator, rf"{main}\.(\d+)\.")
    shape: dict[str, list[int]] = {"width": [], "groups": [], "blocks": []}
    expansion = 1
    for stage in range(stages):
        blocks = _count(generator, rf"{main}\.{stage}\.Layers\.(\d+)\.LinearLayer1\.")
        first = f"{main}.{stage}.Layers.1"
        inside, width = generator[f"{first}.LinearLayer1.Layer.weight"].shape[:2]
        within = generator[f"{first}.LinearLayer2.Layer.weight"].shape[1]
        expansion = inside // width
        for name, value in (("width", width), ("groups", inside // within), ("blocks", blocks)):
            shape[name].append(value)
    known = generator.get("Model.EmbeddingLayer.weight")
    classes, embedding = (0, 0) if known is None else (known.shape[1], known.shape[0])
    joined = generator[f"{main}.0.Layers.0.LinearLayer.weight"].shape[1]
    images = generator["Model.AggregationLayer.Layer.weight"].shape[0]
    size = 4 * 2 ** (stages - 1)
    layer = _common(size, images, joined - embedding, classes, domains)
    layer["generator"] = {"network": "r3gan", **shape, "expansion": expansion}
    layer["discriminator"] = dict(layer["generator"])
    if embedding:
        layer["generator"]["embedding"] = embedding
    told = None if discriminator is None else discriminator.get("Model.EmbeddingLayer.weight")
    if told is not None:
        layer["discriminator"]["embedding"] = told.shape[0]
    return layer


def _count(weights: Weights, pattern: str) -> int:
    return len({found[1] for key in weights if (found := re.match(pattern, key))})
