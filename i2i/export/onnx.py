"""Generators of runs as ONNX files, in fp32 or with convolutions in int8."""

import logging
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter, process_time
from typing import NamedTuple

import torch
from torch import Tensor, nn

from i2i.config import Options
from i2i.core.model import Model
from i2i.core.progress import audible
from i2i.core.signals import read_direction
from i2i.data.kinds import find_kind
from i2i.data.kinds.splits import sides_of_checkpoint
from i2i.data.sides import sides_of
from i2i.data.sources import elsewhere, open_source
from i2i.errors import CheckpointError, DataError, OptionsError, reason
from i2i.export.graph import describe_file, largest_difference, write_graph
from i2i.export.noise import export_sampler
from i2i.export.phases import in_phases
from i2i.export.quality import (
    MOST,
    HeldOut,
    held_out,
    images_per_second,
    in_batches,
    in_bf16,
)
from i2i.export.quantise import SCHEMES, convolutions, quantise
from i2i.inference.load import build_translator, load_model, load_sampler
from i2i.inference.onnx.description import SUFFIX, Description, Quantisation
from i2i.inference.onnx.libraries import library
from i2i.inference.onnx.session import ExportedNetwork
from i2i.inference.styler import settle_style
from i2i.metrics.images import psnr
from i2i.models.build import data_kind
from i2i.networks import set_inference
from i2i.runs.folder import find_checkpoint
from i2i.runs.opening import open_checkpoint
from i2i.system.cpu import best_precision
from i2i.system.gate import without_places

_log = logging.getLogger(__name__)


MAX_LOSS = 0.5
"""dB of PSNR that integers may cost."""

MAX_DIFFERENCE = 1e-3
"""Of -1..1, between a written file in fp32 and its network: an eighth of a step of 8 bits."""


class Style(NamedTuple):
    """What a generator of styles is to translate into: a domain, and the style that a seed stands
    for (0 by default) or that of a reference."""

    domain: str | None = None
    seed: int | None = None
    reference: Path | None = None


NO_STYLE = Style()


@dataclass(frozen=True)
class _Generator:
    """A generator, in the mode in which it is exported, and where it comes from."""

    network: nn.Module
    model: Model
    options: Options
    description: Description

    @property
    def channels(self) -> int:
        """Of its input."""
        return self.description.input_channels + len(self.description.planes)


@audible()
def export_onnx(
    checkpoint: Path | str,
    target: Path | str,
    *,
    direction: str | None = None,
    average: bool | None = None,
    style: Style = NO_STYLE,
) -> Path:
    """Write a generator as an ONNX file that computes in fp32; one of images from noise as
    `i2i.export.noise` says.

    Arguments:
        checkpoint: a file or a run folder, whose newest checkpoint is taken.
        target: a file NAME.onnx, or a folder for "generator.onnx" ("generator_AtoB.onnx" of a model
            that translates both ways); made if it is not there.
        direction: "AtoB" or "BtoA" (or with the names of the two domains, "SummertoWinter"), for
            models that translate both ways; by default that of the options.
        average: whether the moving average of the generator is written; by default if there is one.
        style: of a model of styles, the one that the file translates into.

    Returns:
        the file.

    Raises:
        CheckpointError: the file exists already or ends in something else, or what was written
            computes something else.
        OptionsError: the model does not translate in this direction, or has no styles; or the
            libraries are not installed.
    """
    checkpoint, target = Path(checkpoint), Path(target)
    path, why = find_checkpoint(checkpoint, Path())
    options, _ = open_checkpoint(path)
    if not find_kind(data_kind(options)).translates:
        if direction is not None or style != NO_STYLE:
            raise OptionsError(
                f"{path} makes images from noise: it has no direction, domain or reference, and "
                "takes its noise as an input of the file."
            )
        _log.info(why)
        sampler = load_sampler(path, average=average, device="cpu")
        return export_sampler(sampler, options, target)
    generator = _generator(checkpoint, direction, average, style)
    target = _file(target, generator, "")
    with _workplace(target) as folder:
        _write(generator, generator.network, folder / target.name)
        _move(folder, target)
    _log.info(f"written: {target}")
    return target


@audible()
def export_int8(
    checkpoint: Path | str,
    target: Path | str,
    *,
    direction: str | None = None,
    average: bool | None = None,
    style: Style = NO_STYLE,
    calibrate_on: str | None = None,
    max_loss: float = MAX_LOSS,
) -> Path:
    """Write a generator as an ONNX file whose convolutions compute in int8, if that costs little.

    Ranges of the activations come from a part of the held-out images of the run; others are what
    the result is judged by (`judging.held_out`). If all convolutions in integers cost too much, the
    first and the last stay in fp32.

    Arguments:
        checkpoint, target, direction, average, style: as for `export_onnx`; the file in a
            folder is "generator_int8.onnx".
        calibrate_on: a data set of the kind that the model was trained on; by default that of the
            run.
        max_loss: dB of PSNR; as much or more is too much, and then no file is written.

    Raises:
        CheckpointError: it costs too much; the file exists already.
        DataError: the images are not there, or too few.
        OptionsError: as for `export_onnx`; or the data has other labels than were learnt.
    """
    checkpoint, target = Path(checkpoint), Path(target)
    library("onnxruntime.quantization")
    generator = _generator(checkpoint, direction, average, style)
    target = _file(target, generator, "_int8")
    images = _held_out(generator, calibrate_on)
    with _workplace(target) as folder:
        whole, phases = (folder / f"{name}-{target.name}" for name in ("fp32", "phases"))
        _write(generator, generator.network, whole)
        if len(list(folder.iterdir())) > 1:  # its weights lie beside it
            raise CheckpointError(
                "a network of more than 2 GB cannot be made one of int8: take --format onnx."
            )
        _write(generator, in_phases(generator.network), phases)
        done = _quantised(generator, phases, folder / target.name, images, max_loss)
        describe_file(
            folder / target.name, replace(generator.description, quantisation=done).to_metadata()
        )
        _say_speeds(generator.network, whole, folder / target.name, images)
        for path in (whole, phases):
            path.unlink()
        _move(folder, target)
    _log.info(f"written: {target}")
    return target


def _generator(
    checkpoint: Path, direction: str | None, average: bool | None, style: Style
) -> _Generator:
    for name in ("onnx", "onnxscript", "onnxruntime"):
        library(name)
    path, why = find_checkpoint(checkpoint, Path())
    _log.info(why)
    options, model, _ = load_model(path, average=average)
    if direction is not None:
        direction = read_direction(direction, sides_of_checkpoint(path))
    translator = build_translator(options, model, direction=direction)
    settled = settle_style(translator.conditioner, *style)
    network = translator.network
    for each in (network, *map(model.get_submodule, model.generators)):
        set_inference(each, norm=options.inference.norm, dropout=False)
    if options.inference.dropout and any(isinstance(m, nn.Dropout) for m in network.modules()):
        _log.info(
            "note: exported without dropout, which this model leaves on in use: a file draws no "
            "chances, and translates an image always alike."
        )
    notes = [settled] if settled else []
    notes += ["as trained, without average"] if average is False else []
    run = f"{path.absolute().parent.parent.name}/" if path.parent.name == "checkpoints" else ""
    description = Description(
        options=without_places(options.to_dict()),
        made_from=f"{run}{path.name}" + (f" ({'; '.join(notes)})" if notes else ""),
        direction=direction or options.data.direction,
        input_channels=translator.input_channels,
        output_channels=translator.output_channels,
        planes=translator.conditioner.planes if translator.conditioner else (),
        multiple=int(network.multiple),  # type: ignore[arg-type]
        norm=options.inference.norm,
        written=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    return _Generator(network, model, options, description)


def _file(target: Path, generator: _Generator, ending: str) -> Path:
    """The file to write, in a folder that is there."""
    if target.suffix.lower() != SUFFIX or target.is_dir():
        if target.suffix and not target.is_dir():
            raise CheckpointError(
                f"{target} does not end in {SUFFIX}: expected a file NAME{SUFFIX} or a folder (one "
                "with a dot in its name must be there already)."
            )
        way = f"_{generator.description.direction}" if generator.model.directions else ""
        target = target / f"generator{way}{ending}{SUFFIX}"
    for path in (target, target.with_name(f"{target.name}.data")):  # the weights of a large one
        if path.exists():
            raise CheckpointError(f"{path} exists already: give another name.")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CheckpointError(f"{target.parent} cannot be made: {error.strerror}.") from error
    return target


@contextmanager
def _workplace(target: Path) -> Iterator[Path]:
    """A folder beside the target, for what is not complete yet."""
    try:
        folder = tempfile.TemporaryDirectory(prefix=".export-", dir=target.parent)
    except OSError as error:
        raise CheckpointError(f"{target} cannot be written: {reason(error)}.") from error
    with folder as name:
        yield Path(name)


def _move(folder: Path, target: Path) -> None:
    """Give the files that are complete their place; a large one has its weights beside it."""
    for path in sorted(folder.iterdir(), reverse=True):
        path.replace(target.parent / path.name)


def _write(generator: _Generator, network: nn.Module, path: Path) -> None:
    """Write a network in fp32 and compare what was written with the generator."""
    write_graph(network, generator.channels, path)
    describe_file(path, generator.description.to_metadata())
    apart = largest_difference(generator.network, ExportedNetwork(path), generator.channels)
    if apart > MAX_DIFFERENCE:
        raise CheckpointError(
            f"the ONNX file computes something else than the network: they differ by up to "
            f"{apart:.2g} of -1..1, where {MAX_DIFFERENCE:g} was expected; try other versions of "
            "torch, onnxscript and onnxruntime."
        )
    _log.info(f"fp32: differs from torch by {apart:.1g} of -1..1 at most")


def _held_out(generator: _Generator, calibrate_on: str | None) -> HeldOut:
    options, kind = generator.options, generator.model.data
    try:
        if calibrate_on is not None:
            options = elsewhere(options, calibrate_on, kind)
        source = open_source(options, kind)
    except DataError as error:
        if calibrate_on is not None:
            raise
        raise DataError(
            f"{error} (To calibrate on other images than those of the run, name their data set "
            "with --calibrate-on.)"
        ) from error
    labels, seed = options.data.labels, options.train.seed
    direction, sides = generator.description.direction, sides_of(options)
    return held_out(source, generator.model, labels, direction, seed, sides)


def _quantised(
    generator: _Generator, source: Path, target: Path, images: HeldOut, max_loss: float
) -> Quantisation:
    """Write the first scheme that costs little enough."""
    before = in_batches(generator.network, images.judged)
    quality = images.quality(before).mean().item()
    names = convolutions(source)
    assert names, "a generator without convolutions"
    for words, ends in SCHEMES.items():
        chosen = names[ends : len(names) - ends]
        if not chosen:
            continue
        quantise(source, target, chosen, images.calibration)
        after = in_batches(ExportedNetwork(target), images.judged)
        done = Quantisation(
            convolutions=words,
            quantised=len(chosen),
            calibrated_on=len(images.calibration),
            judged_on=len(images.judged),
            measure=images.measure,
            fp32=quality,
            int8=images.quality(after).mean().item(),
            to_fp32=psnr(after, before, MOST).mean().item(),
        )
        _log.info(f"int8: {done}")
        if done.loss < max_loss:
            return done
    raise CheckpointError(
        f"int8 costs {done.loss:.3f} dB ({done.measure}: {done.int8:.2f} instead of "
        f"{done.fp32:.2f}), and less than {max_loss:g} was wanted: nothing is written. Take "
        "--format onnx, or allow more with --max-loss."
    )


def _say_speeds(network: nn.Module, whole: Path, small: Path, images: HeldOut) -> None:
    networks: dict[str, Callable[[Tensor], Tensor]] = {"torch fp32": network}
    if best_precision(torch.device("cpu")) == "bf16":
        networks["torch bf16"] = in_bf16(network)
    networks |= {"onnx fp32": ExportedNetwork(whole), "onnx int8": ExportedNetwork(small)}
    # On one thread, the time of the processor is that of the clock on a machine with nothing else
    # to do, and knows nothing of other programs.
    alone = torch.get_num_threads() == 1
    clock = process_time if alone else perf_counter
    speeds = images_per_second(networks, images.judged, clock)
    height, width = images.judged.shape[-2:]
    threads = "1 thread" if alone else f"{torch.get_num_threads()} threads"
    _log.info(
        f"images per second on the processor ({width} x {height} pixels, one by one, {threads}):"
    )
    longest = max(map(len, speeds))
    for name, speed in speeds.items():
        times = speed / speeds["torch fp32"]
        _log.info(f"  {name:{longest}} {speed:8.1f}  {times:.2f} x torch fp32")
