"""What a training will take on this machine: measured in a few steps, not guessed.

The steps are those of the real trainer on random images, so that everything counts that a step
does. Reading images is not part of it: workers do that meanwhile.
"""

import math
import sys
import time
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch

from i2i.config import Options
from i2i.core.batch import enlarged
from i2i.core.model import Model
from i2i.core.plugins import LoadedPlugins
from i2i.core.size import AnySize
from i2i.data.kinds import find_kind
from i2i.data.kinds.labelled_images import with_references
from i2i.data.sides import sides_of
from i2i.errors import TrainingError
from i2i.models.build import build_model, growth
from i2i.training.build import build_trainer
from i2i.training.capacity import Line
from i2i.training.flops import StepWork


@dataclass(frozen=True)
class Estimate:
    """What was measured.

    Attributes:
        device: where; for a GPU its name.
        batch_size: images (or pairs) in a step.
        crop_size: of the images: the side of squares, or (width, height).
        parameters: network -> how many numbers it learns.
        operations: floating-point operations of a step, forward and backward: multiplications and
            additions of convolutions and matrix products, which are nearly all. Updating the
            weights and everything element by element is not counted.
        traffic: bytes that the operations of a step read and write at least (`i2i.training.flops`).
        seconds: of a step.
        memory: the most that was in use, in bytes: of the GPU, or of this process with everything
            that it did so far; None where that cannot be told.
        steps: over how many steps the time was measured.
    """

    device: str
    batch_size: int
    crop_size: AnySize
    parameters: Mapping[str, int]
    operations: int
    traffic: int
    seconds: float
    memory: int | None
    steps: int

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def measure(options: Options, *, device: torch.device | str = "cpu", steps: int = 3) -> Estimate:
    """Train for a few steps on random images; networks that grow, in their last stage.

    Nothing is compiled (`train.compile`): that takes a minute, and makes steps faster later on.

    Arguments:
        options: of the run; the labels of models of many domains must be known (`resolve_options`).
        device: where to train.
        steps: to measure at least, after two that are not measured; more of both where the players
            do not all move in each step (`game.n_critic`).

    Raises:
        OptionsError: the model cannot be built from these options.
    """
    device = torch.device(device)
    options = options.model_copy(
        update={"train": options.train.model_copy(update={"compile": False, "graph": False})}
    )
    model = build_model(options)
    trainer = build_trainer(options, model, device=device, rate=lambda step: 1.0)
    batch = random_batch(options, model)
    if (growing := growth(options)) is not None:
        trainer.steps_done = growing.last_begin  # the stage that costs most
    elif model.costs_most_at:
        trainer.steps_done = math.ceil(model.costs_most_at * trainer.length)
    period = period_of(options)
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    for _ in range(period):  # the state of optimizers is made
        trainer.step(batch)
    with StepWork() as work:
        for _ in range(period):
            trainer.step(batch)
    steps = -(-steps // period) * period
    _finish(device)
    began = time.perf_counter()
    for _ in range(steps):
        trainer.step(batch)
    _finish(device)
    seconds = (time.perf_counter() - began) / steps
    return Estimate(
        device=torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
        batch_size=_batch_size(options),
        crop_size=options.data.crop_size,
        parameters={
            name: sum(p.numel() for p in network.parameters() if p.requires_grad)
            for name, network in model.named_children()
            if any(p.requires_grad for p in network.parameters())
        },
        operations=round(work.operations / period),
        traffic=round(work.bytes / period),
        seconds=seconds,
        memory=_peak_memory(device),
        steps=steps,
    )


def period_of(options: Options) -> int:
    """After so many steps every player has moved, and every lazy term was computed as often as its
    share says."""
    lazy = [turns for name, turns in options.every.items() if options.objective.get(name)]
    return math.lcm(1, *lazy) * int(getattr(options.game, "n_critic", 1))


def measure_apart(
    options: Options, device: torch.device | str = "cpu", *, steps: int = 3
) -> Estimate:
    """`measure`, on a CPU in a process of its own, so that the memory is that of training alone.

    Raises:
        OptionsError: the model cannot be built from these options.
        TrainingError: there is not enough memory.
    """
    device = torch.device(device)
    try:
        if device.type != "cpu":
            return measure(options, device=device, steps=steps)
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
            asked = options.train.threads
            threads = torch.get_num_threads() if asked == "auto" else asked
            return pool.submit(_measure_with, LoadedPlugins(), options, steps, threads).result()
    except (torch.OutOfMemoryError, MemoryError, BrokenProcessPool) as error:
        raise TrainingError(
            f"A step of {_batch_size(options)} images of {options.data.cropped} pixels could "
            f"not be measured on {device}, most likely for want of memory: take a smaller "
            "--batch-size or --size."
        ) from error


def measure_memory(options: Options, device: torch.device | str, known: Estimate) -> Line | None:
    """How the memory of a training grows with the batch: measured at a second batch size.

    Arguments:
        options, device: as for `measure_apart`.
        known: what was measured at the batch size of the options.

    Returns:
        None where memory cannot be measured, or not at another batch size.
    """
    size = known.batch_size
    smaller = size // 2 >= max(2, 2 * options.train.gradient_accumulation)
    other = size // 2 if smaller else 4 * size
    try:
        second = measure_apart(with_batch_size(options, other), device, steps=1)
    except TrainingError:
        return None
    if known.memory is None or second.memory is None:
        return None
    return Line((size, other), (known.memory, second.memory))


def _measure_with(plugins: LoadedPlugins, options: Options, steps: int, threads: int) -> Estimate:
    torch.set_num_threads(threads)
    return measure(options, steps=steps)


def random_batch(options: Options, model: Model, seed: int = 0) -> Any:
    """A batch of noise of the kind that a model learns from, as its data set would give it.

    Images are (N, C, H, W) bytes. Labels go through all names in turn.
    """
    data = options.data
    batch = find_kind(model.data).random_batch(
        _batch_size(options),
        data.crop_size,
        (data.input_channels, data.output_channels),
        data.labels,
        torch.Generator().manual_seed(seed),
    )
    sides = sides_of(options)
    maps = {name: held for name in sides.fields if (held := sides.of(name)) is not None}
    batch = batch._replace(**{name: maps[name].random(getattr(batch, name)) for name in maps})
    if data.upscale > 1:
        width = data.upscale * data.cropped.width
        batch = batch._replace(target=enlarged(batch.target, width))
    return with_references(batch) if model.references else batch


def _batch_size(options: Options) -> int:
    """Of networks that grow, that of the last stage."""
    growing = growth(options)
    return options.train.batch_size if growing is None else growing.stages[-1].batch_size


def with_batch_size(options: Options, size: int) -> Options:
    """The options with so many images in a step; of networks that grow, in the last stage."""
    if options.growth is not None:
        *before, last = options.growth.stages
        stages = (*before, last.model_copy(update={"batch_size": size}))
        growing = options.growth.model_copy(update={"stages": stages})
        return options.model_copy(update={"growth": growing})
    return options.model_copy(
        update={"train": options.train.model_copy(update={"batch_size": size})}
    )


def _finish(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


def _peak_memory(device: torch.device) -> int | None:
    if device.type == "cuda":
        return int(torch.cuda.max_memory_allocated(device))
    if device.type == "mps" or sys.platform == "win32":
        return None
    if sys.platform == "linux":
        # What `resource` says goes on from the process that started this one.
        status = Path("/proc/self/status").read_text(encoding="utf-8").split()
        return int(status[status.index("VmHWM:") + 1]) * 1024 if "VmHWM:" in status else None
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return int(peak if sys.platform == "darwin" else peak * 1024)  # else kilobytes
