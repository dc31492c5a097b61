"""From a checkpoint to something to use: a translator or a sampler.

A checkpoint knows everything about itself; nothing has to be said again.
"""

from collections.abc import Mapping
from copy import deepcopy
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar, cast

import torch
from torch import nn

from i2i import __version__
from i2i.config import Options, read_options
from i2i.core.inputs import Inputs
from i2i.core.label_maps import LabelMaps
from i2i.core.labels import Asked
from i2i.core.model import Model
from i2i.core.plugins import require_plugins
from i2i.core.registry import giving
from i2i.core.scale import Scale
from i2i.core.sides import Held
from i2i.core.signals import read_direction, with_sides
from i2i.data.kinds import find_kind
from i2i.data.kinds.splits import SIDES, sides_of_checkpoint
from i2i.data.sides import SideReader, sides_of
from i2i.data.volumes.volume import Cut
from i2i.distributed.processes import ALONE, Processes
from i2i.errors import CheckpointError, OptionsError
from i2i.inference.as_filed import Filing
from i2i.inference.conditioner import Conditioner
from i2i.inference.onnx.description import (
    Description,
    SamplerDescription,
    is_exported,
)
from i2i.inference.onnx.session import ExportedNetwork
from i2i.inference.sampler import Sampler
from i2i.inference.styler import PictureStyler, Styler
from i2i.inference.translator import Translator
from i2i.models import find_model
from i2i.models.build import data_kind, latent
from i2i.models.spade import SpadeVAE
from i2i.models.starganv2 import StarGANv2
from i2i.networks.given import given_networks
from i2i.networks.sizes import ensure_multiple
from i2i.networks.spade import FixedStyleGenerator as SPADEFixed
from i2i.networks.starganv2 import FixedStyleGenerator, StarGANv2Generator
from i2i.runs.folder import find_checkpoint
from i2i.runs.opening import open_model
from i2i.system.device import chosen_precision, pick_device
from i2i.system.gate import shortened

T = TypeVar("T")


def build_translator(
    options: Options,
    model: Model,
    *,
    direction: str | None = None,
    domain: Asked = None,
    device: torch.device | str = "cpu",
    precision: str = "fp32",
    strength: float = 1.0,
) -> Translator:
    """Build what translates images with a generator of a model.

    The generator is copied, and so are a classifier and the networks that make styles: what becomes
    of the model afterwards changes no translation.

    Arguments:
        options: of the model.
        model: whose generator is used.
        direction: "AtoB" or "BtoA", for models that translate both ways; by default that of the
            options.
        domain: what to translate to unless a call says otherwise, for models of many domains; or
            which attributes to change, and whether they shall hold.
        device: to compute on.
        precision: to compute in: "fp32", "bf16", "fp16", or "auto" for the best of the device.
        strength: how far to go, 0..1 (`Translator.set_strength`).

    Raises:
        OptionsError: the model does not translate in this direction or to this domain.
    """
    if not find_kind(model.data).translates:
        raise OptionsError(
            f"this {options.model} makes images from noise and translates none: use `i2i sample`."
        )
    wanted = direction or options.data.direction
    ways = model.directions or {options.data.direction: model.generators[0]}
    if wanted not in ways:
        raise OptionsError(
            f"direction (={wanted!r}) is not what this {options.model} has learnt: "
            f"it translates {' and '.join(ways)}."
        )
    channels = options.data.input_channels, options.data.output_channels
    if model.directions and wanted == "BtoA":
        channels = channels[::-1]
    network = model.get_submodule(ways[wanted])
    if not find_kind(data_kind(options)).has_domains:
        ensure_multiple(network, channels[0])
    if isinstance(model, StarGANv2):
        network = FixedStyleGenerator(cast(StarGANv2Generator, network))
    if isinstance(model, SpadeVAE):
        network = SPADEFixed(model.generator)
    translator = Translator(
        network,
        input_channels=channels[0],
        output_channels=channels[1],
        norm=options.inference.norm,
        dropout=options.inference.dropout,
        device=device,
        precision=precision,
        seed=options.train.seed,
        trained_size=_trained_size(options),
        paired=find_kind(model.data).has_truth and bool(options.data.root),
        labels=_labels(options, wanted),
        filing=_filing(options, wanted, channels),
        show=_in_direction(options, wanted, sides_of(options).show),
    )
    translator.cut = _cut(options, wanted)
    translator.way, translator.ways = wanted, tuple(ways)
    if isinstance(model, SpadeVAE):
        translator.conditioner = _picture_styler(options, model, translator.network, device)
    elif isinstance(model, StarGANv2):
        translator.conditioner = _styler(options, model, translator.network, device, domain)
    else:
        classifier = _classifier(options, model, device, domains_too=strength != 1)
        translator.conditioner = _conditioner(options, classifier, domain)
    if strength != 1:
        translator.set_strength(strength)
    return translator


def _cut(options: Options, direction: str) -> Cut:
    """How volumes became images in the training."""
    data = options.data
    sides = (data.A, data.B) if direction == "AtoB" else (data.B, data.A)
    first, second = (None if each.window == "volume" else each.window for each in sides)
    return Cut(data.axis, first, second)


def _in_direction(options: Options, direction: str, sides: tuple[T, T]) -> tuple[T, T]:
    """What is known of two sides in the order of a batch, as of what is translated and made."""
    backwards = find_model(options.model).directions and direction == "BtoA"
    return (sides[1], sides[0]) if backwards else sides


def _filing(options: Options, direction: str, channels: tuple[int, int]) -> Filing | None:
    """How files are read and written, where more than colours of 8 bits is in them."""
    source, target = _in_direction(options, direction, sides_of(options).scales)
    return Filing(source, target, channels) if source or target else None


def _labels(options: Options, direction: str) -> tuple[Held | None, LabelMaps | None]:
    """What is more than an image, of what is translated and of what is made."""
    first, second = _in_direction(options, direction, sides_of(options).labels)
    assert not isinstance(second, Inputs), "of which only what is translated can be several"
    return first, second


def _trained_size(options: Options) -> int | None:
    """The shorter side of whole images in the training; None where they keep their own, or where
    i2i has not trained it."""
    data = options.data
    if data.resize == "none" or not data.root:
        return None
    # A little more than is cropped is meant for variety; use is as in validation, without it.
    crop, load = min(data.cropped), min(data.loaded)
    return crop if load <= 1.25 * crop else load


def _styler(
    options: Options,
    model: StarGANv2,
    network: nn.Module,
    device: torch.device | str,
    domain: Asked,
) -> Styler:
    """What gives a generator its style, by copies of the networks of its model."""
    assert isinstance(network, FixedStyleGenerator)
    return Styler(
        options.data.labels,
        network,
        deepcopy(model.get_submodule("mapping_network")).to(device),
        deepcopy(model.get_submodule("style_encoder")).to(device),
        reader=_reader(sides_of(options).scales[0], options.data.input_channels),
        size=options.data.crop_size,
        stretch=options.data.resize == "stretch",
        asked=domain,
    )


def _reader(scale: Scale | None, channels: int) -> SideReader:
    """What reads pictures that styles are taken of."""
    return SideReader("reference", channels, scale=scale)


def _picture_styler(
    options: Options, model: SpadeVAE, network: nn.Module, device: torch.device | str
) -> PictureStyler:
    """What gives a generator of label maps its style, by a copy of the encoder."""
    assert isinstance(network, SPADEFixed)
    return PictureStyler(
        network,
        deepcopy(model.style_encoder).to(device),
        model.style,
        reader=_reader(sides_of(options).scales[1], options.data.output_channels),
        size=options.data.crop_size,
        stretch=options.data.resize == "stretch",
    )


def _classifier(
    options: Options, model: Model, device: torch.device | str, *, domains_too: bool
) -> nn.Module | None:
    """A copy of the model's own classifier, where it is needed to tell attributes, or domains."""
    if (
        model.classifier_known
        and model.classifier
        and (domains_too or not all(each.exclusive for each in options.data.labels.sets))
    ):
        return deepcopy(model.get_submodule(model.classifier)).eval().to(device)
    return None


def _conditioner(
    options: Options, classifier: nn.Module | None, domain: Asked
) -> Conditioner | None:
    """What tells a generator of many domains what is asked for; None for any other."""
    if find_kind(data_kind(options)).has_domains:
        return Conditioner(
            options.data.labels,
            classifier,
            size=options.data.crop_size,
            stretch=options.data.resize == "stretch",
            asked=domain,
        )
    if domain is not None:
        raise OptionsError(
            f"domain (={domain!r}) means nothing to this {options.model}, which has learnt nothing "
            "of domains."
        )
    return None


def build_sampler(
    options: Options,
    model: Model,
    *,
    device: torch.device | str = "cpu",
    precision: str = "fp32",
    processes: Processes = ALONE,
) -> Sampler:
    """Build what makes images from noise with a copy of the generator of a model.

    Raises:
        OptionsError: the model translates images.
    """
    what = latent(options)
    if what is None:
        raise OptionsError(
            f"this {options.model} translates images and makes none from noise: use "
            "`i2i translate`."
        )
    generator = model.get_submodule(model.generators[0])
    return Sampler(
        generator,
        what,
        names=options.data.labels.names if getattr(generator, "classes", 0) else (),
        size=options.data.cropped.width,
        channels=options.data.output_channels,
        sides=sides_of(options),
        norm=options.inference.norm,
        device=device,
        precision=precision,
        processes=processes,
    )


def load_translator(
    checkpoint: Path | str | None = None,
    *,
    runs_dir: Path | str = "runs",
    direction: str | None = None,
    domain: Asked = None,
    device: str = "auto",
    precision: str = "fp32",
    average: bool | None = None,
    best: bool | str = False,
    strength: float = 1.0,
    networks: Mapping[str, Any] = MappingProxyType({}),
) -> Translator:
    """Build a translator from a checkpoint, which knows everything about itself::

        translator = load_translator("runs/NAME")
        translator("photo.jpg").save("translated.png")

    An exported file (NAME.onnx) is one too. What was settled when it was written cannot be chosen
    any more: precision, weights, direction.

    Arguments:
        checkpoint: a file or a run folder; by default the newest run under `runs_dir`.
        runs_dir: the folder of the runs.
        direction: "AtoB" or "BtoA", for models that translate both ways; or with the names of the
            two domains, "SummertoWinter".
        domain: what to translate to unless a call says otherwise, for models of many domains; or
            which attributes to change, and whether they shall hold.
        device: "auto", "cpu", "cuda", ...
        precision: to compute in: "fp32", "bf16", "fp16", or "auto" for the best of the device.
        average: whether the moving average of the generator is used; by default if there is one.
        best: of a run, whether to take the checkpoint with the best validation, not the last one.
        strength: how far to go, 0..1 (`Translator.set_strength`).
        networks: role -> the modules, classes or functions that were given to `i2i.train`.

    Returns:
        the translator; its `checkpoint` and `description` say what it is made of and why.
    """
    if is_exported(checkpoint):
        assert checkpoint is not None
        _refuse_what_is_settled(checkpoint, precision=precision, average=average, best=best)
        exported = load_exported(
            Path(checkpoint), direction=direction, domain=domain, device=device
        )
        if strength != 1:
            exported.set_strength(strength)
        return exported
    path, why = find_checkpoint(Path(checkpoint) if checkpoint else None, Path(runs_dir), best=best)
    options, model, _ = load_model(path, average=average, networks=networks)
    if not find_kind(model.data).translates:
        raise OptionsError(
            f"{why} is of a {options.model}, which makes images from noise: use `i2i sample` "
            "(in Python i2i.load_sampler), or name another run with --checkpoint."
        )
    where = pick_device(device)
    sides = sides_of_checkpoint(path)
    direction = None if direction is None else read_direction(direction, sides)
    if sides != SIDES:
        source, target = (direction or options.data.direction).split("to")
        why = f"{why}, {with_sides(f'{source} to {target}', sides)}"
    translator = build_translator(
        options,
        model,
        direction=direction,
        domain=domain,
        device=where,
        precision=chosen_precision(precision, where),
        strength=strength,
    )
    translator.checkpoint, translator.description = path, why
    return translator


def load_exported(
    path: Path, *, direction: str | None = None, domain: Asked = None, device: str = "auto"
) -> Translator:
    """Build a translator from a file that `i2i export` has written.

    It has no classifier, so that attributes that stay as they are have to be told.

    Arguments:
        path: NAME.onnx.
        direction: must be that of the file, if it is said.
        domain: what to translate to unless a call says otherwise, for models of many domains.
        device: where onnxruntime computes: "auto", "cpu", "cuda", ...

    Raises:
        CheckpointError: the file is missing, broken, or not written by i2i.
        OptionsError: the direction is another, or onnxruntime is not installed or cannot compute
            there.
    """
    network = ExportedNetwork(path, device)
    told = network.description
    if direction not in (None, told.direction):
        raise OptionsError(
            f"direction (={direction!r}) is not that of {path}, which translates "
            f"{told.direction}: leave it out, or export the other direction."
        )
    options = exported_options(network, path)
    settled = (
        find_kind(data_kind(options)).has_domains and not told.planes
    )  # in one style of one domain
    if domain is not None and settled:
        raise OptionsError(
            f"domain (={domain!r}) cannot be chosen for {path}: what it translates to was settled "
            "when it was exported."
        )
    translator = Translator(
        network,
        input_channels=told.input_channels,
        output_channels=told.output_channels,
        norm=options.inference.norm,
        dropout=False,
        labels=_labels(options, told.direction),
        device="cpu",  # where its tensors lie, wherever it is computed
        conditioner=None if settled else _conditioner(options, None, domain),
        trained_size=_trained_size(options),
        paired=find_kind(data_kind(options)).has_truth and bool(options.data.root),
        filing=_filing(options, told.direction, (told.input_channels, told.output_channels)),
        show=_in_direction(options, told.direction, sides_of(options).show),
        checkpoint=path,
        description=str(path),
    )
    translator.cut = _cut(options, told.direction)
    return translator


def exported_options(network: ExportedNetwork, path: Path) -> Options:
    """The options of its run that the file of a network holds.

    Raises:
        CheckpointError: they do not fit the network, or cannot be read.
    """
    told = network.description
    options, model = options_within(told, path)
    # One with companions was exported with its style settled.
    takes_planes = find_kind(model.data).has_domains and not model.companions
    planes = options.data.labels.plane_names if takes_planes else ()
    if planes != told.planes:
        raise CheckpointError(
            f"{path} says that it takes the planes {shortened(told.planes)}, but its options name "
            f"{shortened(planes)}: it is damaged; export it again."
        )
    return options


def options_within(
    told: Description | SamplerDescription, path: Path
) -> tuple[Options, type[Model]]:
    """The options of its run that an exported file holds, and their model."""
    try:
        require_plugins(told.options.get("plugins", ()))
    except OptionsError as error:
        raise CheckpointError(f"{path}: {error}") from error
    try:
        options = read_options(told.options)
        return options, find_model(options.model)
    except OptionsError as error:
        raise CheckpointError(
            f"{path} has options that this i2i does not understand (version {told.version} of its "
            f"metadata, written by i2i {told.i2i or 'of an older version'}; this is {__version__}):"
            f"\n{error}\nInstall the i2i that wrote it, or a newer one."
        ) from error


def _refuse_what_is_settled(
    checkpoint: Path | str, *, precision: str, average: bool | None, best: bool | str
) -> None:
    for flag, idle in (
        (f"--precision {precision}", precision in ("fp32", "auto")),
        ("--average" if average else "--raw", average is None),
        ("--best", not best),
    ):
        if not idle:
            raise OptionsError(
                f"what {flag} asks for was settled when {checkpoint} was exported: leave it out, "
                "or export another file."
            )


def load_sampler(
    checkpoint: Path | str | None = None,
    *,
    runs_dir: Path | str = "runs",
    device: str = "auto",
    precision: str = "fp32",
    average: bool | None = None,
    best: bool | str = False,
    processes: Processes = ALONE,
    networks: Mapping[str, Any] = MappingProxyType({}),
) -> Sampler:
    """Build a sampler from a checkpoint, which knows everything about itself.

    Arguments and result are as those of `load_translator`; `processes` share the work.
    """
    path, why = find_checkpoint(Path(checkpoint) if checkpoint else None, Path(runs_dir), best=best)
    options, model, _ = load_model(path, average=average, networks=networks)
    if find_kind(model.data).translates:
        raise OptionsError(
            f"{why} is of a {options.model}, which translates images: use `i2i translate`, or "
            "name another run with --checkpoint."
        )
    where = pick_device(processes.device(device))
    precision = chosen_precision(precision, where)
    sampler = build_sampler(options, model, device=where, precision=precision, processes=processes)
    sampler.checkpoint, sampler.description = path, why
    return sampler


def load_model(
    checkpoint: Path | str | None = None,
    *,
    runs_dir: Path | str = "runs",
    average: bool | None = None,
    best: bool | str = False,
    networks: Mapping[str, Any] = MappingProxyType({}),
) -> tuple[Options, Model, str]:
    """Build a model as a checkpoint left it, on the CPU.

    Imported weights may be those of some networks only; the others are then fresh.

    Arguments:
        checkpoint: a file or a run folder; by default the newest run under `runs_dir`.
        runs_dir: the folder of the runs.
        average: whether the moving average of the generator is used; by default if there is one.
        best: of a run, whether to take the checkpoint with the best validation, not the last one.
        networks: role -> the modules, classes or functions that were given to `i2i.train`.

    Returns:
        the options of its run, the model, and which checkpoint it is and why, in words.
    """
    path, why = find_checkpoint(Path(checkpoint) if checkpoint else None, Path(runs_dir), best=best)
    with giving(given_networks(networks)):
        options, model = open_model(path, average=average)
    return options, model, why
