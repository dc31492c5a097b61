"""What a checkpoint or an exported file is, in words: `i2i info`."""

from pathlib import Path
from typing import Any

from torch import nn

from i2i.config import Options
from i2i.core.latent import Latent
from i2i.data.kinds import find_kind
from i2i.inference.load import exported_options, options_within
from i2i.inference.onnx.description import (
    Description,
    SamplerDescription,
    is_exported,
    is_sampler,
)
from i2i.inference.onnx.session import ExportedNetwork, open_session
from i2i.models.build import build_model, growth, latent
from i2i.networks import has_dropout
from i2i.runs.checkpoint import about
from i2i.runs.opening import open_checkpoint


def _amount(options: Options, steps: int) -> str:
    """How much training some steps are."""
    growing = growth(options)
    if growing is None:
        return f"{steps} steps of {options.train.batch_size}"
    size = growing.stages[growing.stage(max(0, steps - 1))].size
    return f"{steps} steps ({growing.images(steps):,} images, grown to {size} pixels)"


def _decay(options: Options) -> str:
    """How a moving average forgets."""
    train = options.train
    if train.average_half_life is None:
        return str(train.ema_decay)
    final = options.anneal.average_half_life
    half_life = train.average_half_life if final is None else final
    return f"half-life {half_life:,.0f} images"


def describe_checkpoint(path: Path, *, with_options: bool = False) -> str:
    """What a checkpoint or an exported file is, in a few lines; on request with all options of its
    run below, as TOML."""
    lines, options = _about_exported(path) if is_exported(path) else _about_checkpoint(path)
    return "\n".join([*lines, "", options.to_toml()] if with_options else lines)


def checkpoint_facts(path: Path) -> dict[str, Any]:
    """The lines of `describe_checkpoint` by their first words, and below "options" those of the
    run, as plain values."""
    lines, options = _about_exported(path) if is_exported(path) else _about_checkpoint(path)
    named = (line.partition(":") for line in lines)
    return {name.strip(): text.strip() for name, _, text in named} | {"options": options.to_dict()}


def _about_checkpoint(path: Path) -> tuple[list[str], Options]:
    options, state = open_checkpoint(path)
    model = build_model(options)
    lines = [
        f"model:      {options.model} - {options.summary}",
    ]
    if by := about(path):
        lines.append(f"written:    {by}")
    roots = [each.root for each in (options.data, *options.data.more) if each.root]
    if not roots and state["step"] and not state["optimizers"]:
        lines.append(f"trained:    {state['step']:,} steps, elsewhere; imported")
    elif state["optimizers"] or state["step"]:
        lines.append(
            f"trained:    {_amount(options, state['step'])} on {', '.join(roots) or 'data given'}"
            f"{f' ({options.data.direction})' if find_kind(model.data).has_truth else ''}"
        )
    else:
        lines.append("trained:    elsewhere; imported")
    if find_kind(model.data).translates:
        lines.append(f"images:     {options.data.cropped} pixels")
    for each in options.data.labels.sets:
        kind = "domains:" if find_kind(model.data).translates else "classes:"
        kind = kind if each.exclusive else "attributes:"
        if each.names:
            lines.append(f"{kind:11} {', '.join(each.names)}")
    if (what := latent(options)) is not None:
        generator = model.get_submodule(model.generators[0])
        told = ", told the class" if getattr(generator, "classes", 0) else ""
        lines.append(f"images:   {options.data.cropped} pixels, {_from_noise(what)}{told}")
    for name, network in model.named_children():
        count = sum(parameter.numel() for parameter in network.parameters())
        lines.append(f"{name + ':':11} {type(network).__name__}, {count:,} parameters")
    if options.train.monitored is not None and state["best"] is not None:
        measure, better = options.train.monitored
        lines.append(f"best:       {measure} = {state['best']:.4g} ({better} is better)")
    if state["average"]:
        lines.append(f"average:    moving average of the generator, {_decay(options)}")
    statistics = {"instance": "the statistics of the image", "running": "running statistics"}
    norms = {
        "batch norm" if isinstance(module, nn.BatchNorm2d) else "instance norm"
        for name in model.generators
        for module in model.get_submodule(name).modules()
        if getattr(module, "running_mean", None) is not None
    }
    in_use = [f"{norm} by {statistics[options.inference.norm]}" for norm in sorted(norms)]
    layers = any(has_dropout(model.get_submodule(name)) for name in model.generators)
    if options.inference.dropout and not layers:
        in_use.append("no dropout, for which there is no layer")
    else:
        in_use.append(f"dropout {'on' if options.inference.dropout else 'off'}")
    lines.append(f"in use:     {', '.join(in_use)}")
    return lines, options


def _about_exported(path: Path) -> tuple[list[str], Options]:
    session, metadata = open_session(path)
    if is_sampler(metadata, path):
        takes = [each.name for each in session.get_inputs()]
        return _about_exported_sampler(
            SamplerDescription.from_metadata(metadata, path), takes, path
        )
    network = ExportedNetwork(path)
    told = network.description
    options = exported_options(network, path)
    lines = [
        f"model:      {options.model} - {options.summary}",
        f"exported:   from {told.made_from}{'' if told.planes else f', {told.direction}'}",
        *_written(told),
        f"computes:   {told.quantisation or 'in fp32'}",
        f"images:   {told.input_channels} channels to {told.output_channels}, height and width "
        f"multiples of {told.multiple}",
    ]
    if told.planes:
        lines.append(f"planes:     {', '.join(told.planes)}")
    return lines, options


def _about_exported_sampler(
    told: SamplerDescription, takes: list[str], path: Path
) -> tuple[list[str], Options]:
    options, _ = options_within(told, path)
    lines = [
        f"model:      {options.model} - {options.summary}",
        f"exported:   from {told.made_from}, makes images from noise",
        *_written(told),
        "computes:   in fp32",
        f"images:     {told.size} pixels, {_from_noise(told.latent)}",
        f"takes:      {', '.join(takes)}",
    ]
    if told.classes:
        lines.append(f"classes:    {', '.join(told.classes)}")
    return lines, options


def _written(told: Description | SamplerDescription) -> list[str]:
    there = told.i2i and told.written
    return [f"written:    i2i {told.i2i} on {told.written}"] if there else []


def _from_noise(what: Latent) -> str:
    codes = f" and the codes {', '.join(what.names)}" if what.names else ""
    return f"from {what.size} numbers of {what.distribution} noise{codes}"
