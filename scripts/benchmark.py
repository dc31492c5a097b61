#!/usr/bin/env python3
"""Measures training steps: how fast they are, how near that is to what the device can do, and how
much memory they take.

For every model and mode a fresh process trains on the same batches in two ways, in turns: with the
trainer (and the reading of its losses), and with a second implementation: a loop written out by
hand for that model, or your own (--other). It prints

- steps and images per second (medians over the turns), and the time of a step as a multiple of
  that of the second implementation (the median of the ratios; below 1, the trainer is faster);
- floating-point operations and bytes of a step, counted operation by operation
(`i2i.training.flops`);
- the ceilings of the device, measured in the same process (a large matrix product and a large
  convolution in the mode's precision, a large copy), and two shares of them that a step reaches: of
  the arithmetic alone, and of the counted work (the time that all operations would take at the
  ceilings, each limited by its arithmetic or its memory traffic, over the time that they take);
- the peak memory: on a GPU that of each implementation, on a CPU that of the process.

Modes: fp32, bf16, fp16 (Python plays every step), graph (fp32, CUDA graphs), fast (what
`--fast auto` chooses), compiled (fast, with compiled networks).

    scripts/benchmark.py                                   # small networks, on the CPU
    scripts/benchmark.py --device cuda --modes fp32,fast   # the published sizes
    scripts/benchmark.py --models cyclegan --other theirs.py:step_of --json result.json
    AUTHORS=checkout scripts/benchmark.py --models cyclegan --other scripts/authors.py:step_of

A second implementation is FILE:FUNCTION. The function gets the options of the run (`i2i.config`)
and a torch.device, and returns a function that does one training step on a batch (a named tuple of
signed images on that device).
"""

import importlib.util
import itertools
import json
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from datetime import date
from pathlib import Path
from typing import Any

import click

STEPS_IN_A_TURN = 5

SMALL = {"size": 64, "width": 16, "batch_size": 1}
"""What a CPU does in reasonable time; models of the latent family have batches of 8."""


def bare_pix2pix(
    model: Any, optimizers: dict[str, Any], batch: Any, autocast: Any, step: int
) -> None:
    """The algorithm box of pix2pix, written down without a trainer."""
    import torch
    import torch.nn.functional as F

    source, target = batch
    with autocast():
        fake = model.generator(source)
        real_score = model.discriminator(torch.cat([source, target], 1)).float()
        fake_score = model.discriminator(torch.cat([source, fake.detach()], 1)).float()
        loss = 0.5 * (
            F.binary_cross_entropy_with_logits(fake_score, torch.zeros_like(fake_score))
            + F.binary_cross_entropy_with_logits(real_score, torch.ones_like(real_score))
        )
    optimizers["discriminator"].zero_grad()
    loss.backward()
    optimizers["discriminator"].step()

    model.discriminator.requires_grad_(False)
    with autocast():
        score = model.discriminator(torch.cat([source, fake], 1)).float()
        loss = F.binary_cross_entropy_with_logits(score, torch.ones_like(score))
        loss = loss + 100 * F.l1_loss(fake.float(), target)
    optimizers["generator"].zero_grad()
    loss.backward()
    optimizers["generator"].step()
    model.discriminator.requires_grad_(True)


def bare_cyclegan(
    model: Any, optimizers: dict[str, Any], batch: Any, autocast: Any, step: int
) -> None:
    """The algorithm box of CycleGAN, written down without a trainer."""
    import torch.nn.functional as F

    a, b = batch
    there, back = model.generator_AtoB, model.generator_BtoA
    judge_a, judge_b = model.discriminator_A, model.discriminator_B

    def lsgan(score: Any, label: float) -> Any:
        return (score.float() - label).square().mean()

    judge_a.requires_grad_(False)
    judge_b.requires_grad_(False)
    with autocast():
        fake_b, fake_a = there(a), back(b)
        loss = lsgan(judge_b(fake_b), 1) + lsgan(judge_a(fake_a), 1)
        loss = loss + 10 * (F.l1_loss(back(fake_b), a) + F.l1_loss(there(fake_a), b))
        loss = loss + 5 * (F.l1_loss(there(b), b) + F.l1_loss(back(a), a))
    optimizers["generators"].zero_grad()
    loss.backward()
    optimizers["generators"].step()

    judge_a.requires_grad_(True)
    judge_b.requires_grad_(True)
    with autocast():
        shown_a, shown_b = model.pool_A(fake_a), model.pool_B(fake_b)
        loss = 0.5 * (lsgan(judge_b(b), 1) + lsgan(judge_b(shown_b), 0))
        loss = loss + 0.5 * (lsgan(judge_a(a), 1) + lsgan(judge_a(shown_a), 0))
    optimizers["discriminators"].zero_grad()
    loss.backward()
    optimizers["discriminators"].step()


def bare_stargan(
    model: Any, optimizers: dict[str, Any], batch: Any, autocast: Any, step: int
) -> None:
    """The algorithm box of StarGAN with one set of domains, written down without a trainer."""
    import torch
    import torch.nn.functional as F

    image, label, _ = batch
    target = label[torch.randperm(len(label), device=label.device)]

    def generate(images: Any, domain: Any) -> Any:
        planes = domain[:, :, None, None].expand(-1, -1, *images.shape[-2:])
        return model.generator(torch.cat([images, planes], 1))

    with autocast():
        real_score, logits = model.discriminator(image)
        with torch.no_grad():
            fake = generate(image, target)
        loss = F.cross_entropy(logits.float(), label) - real_score.float().mean()
        loss = loss + model.discriminator(fake)[0].float().mean()
        alpha = torch.rand(len(image), 1, 1, 1, device=image.device)
        between = (alpha * image + (1 - alpha) * fake.float()).requires_grad_()
        score = model.discriminator(between)[0].float().sum()
        (slope,) = torch.autograd.grad(score, between, create_graph=True)
        loss = loss + 10 * (slope.flatten(1).norm(dim=1) - 1).square().mean()
    optimizers["discriminator"].zero_grad()
    loss.backward()
    optimizers["discriminator"].step()
    if (step + 1) % 5:
        return
    model.discriminator.requires_grad_(False)
    with autocast():
        fake = generate(image, target)
        score, logits = model.discriminator(fake)
        loss = F.cross_entropy(logits.float(), target) - score.float().mean()
        loss = loss + 10 * F.l1_loss(generate(fake, label).float(), image)
    optimizers["generator"].zero_grad()
    loss.backward()
    optimizers["generator"].step()
    model.discriminator.requires_grad_(True)


BARE: dict[str, Callable[..., None]] = {
    "pix2pix": bare_pix2pix,
    "cyclegan": bare_cyclegan,
    "stargan": bare_stargan,
}


def options_of(
    model: str, mode: str, where: Any, size: int | None, width: int | None, batch_size: int | None
) -> Any:
    """The recipe in this mode; what is None stays as published."""
    from i2i.config import read_options
    from i2i.config.presets import PLAIN, fast
    from i2i.config.recipes import load_options, merge
    from i2i.data.demo.sets import DOMAINS

    options = load_options(model, size=size).to_dict()
    modes: dict[str, Any] = {
        **{name: merge(PLAIN, {"train": {"precision": name}}) for name in ("fp32", "bf16", "fp16")},
        "graph": merge(PLAIN, {"train": {"precision": "fp32", "graph": "auto"}}),
        "fast": fast(where),
        "compiled": merge(fast(where), {"train": {"compile": True}}),
    }
    if mode not in modes:
        raise click.UsageError(f"--modes (={mode}) are {', '.join(modes)}.")
    changes = [modes[mode]]
    if "labels" not in options["data"] and options["model"].startswith("stargan"):
        changes.append({"data": {"domains": sorted(DOMAINS)}})
    if width is not None:
        narrowed = ("generator", "discriminator", "style_encoder")
        changes.append({role: {"width": width} for role in narrowed if role in options})
    if batch_size is not None:
        changes.append({"train": {"batch_size": batch_size}})
        if "growth" in options:
            stages = [{**each, "batch_size": batch_size} for each in options["growth"]["stages"]]
            changes.append({"growth": {"stages": stages}})
    for change in changes:
        options = merge(options, change)
    return read_options(options)


def batch_of(options: Any, model: Any, where: Any) -> Any:
    """Noise of the kind that the model learns from, as bytes on the device."""
    from i2i.training.cost import random_batch

    batch = random_batch(options, model)
    return type(batch)(*(tensor.contiguous().to(where) for tensor in batch))


def samples(options: Any) -> int:
    """Images in a step; of networks that grow, in their last stage."""
    from i2i.models.build import growth

    growing = growth(options)
    size: int = options.train.batch_size if growing is None else growing.stages[-1].batch_size
    return size


def trainer_of(options: Any, where: Any) -> Any:
    from i2i.models.build import growth
    from i2i.training.build import build_trainer

    trainer = build_trainer(options, device=where, rate=lambda step: 1.0)
    if (growing := growth(options)) is not None:
        trainer.steps_done = growing.steps  # the last stage, grown up
    return trainer


def second_implementation(
    other: str | None, options: Any, where: Any
) -> Callable[[Any], None] | None:
    """The step of --other, else the loop written out by hand, if there is one for the model."""
    from i2i.core.batch import to_device

    if other is not None:
        path, _, name = other.rpartition(":")
        spec = importlib.util.spec_from_file_location("other", path)
        if spec is None or spec.loader is None:
            raise click.UsageError(f"--other (={other}) must be FILE:FUNCTION.")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        made: Callable[[Any], None] = getattr(module, name)(options, where)
        return made
    if options.model not in BARE:
        return None
    trainer = trainer_of(options, where)
    steps = itertools.count()

    def bare(batch: Any) -> None:
        batch = to_device(
            batch, where, trainer.memory_format, trainer.sides
        )  # a part of the trainer's step too
        autocast = trainer.precision.autocast
        BARE[options.model](trainer.model, trainer.optimizers, batch, autocast, next(steps))

    return bare


def finish(where: Any) -> None:
    import torch

    if where.type == "cuda":
        torch.cuda.synchronize(where)


def best_time(
    work: Callable[[], Any], where: Any, clock: Callable[[], float], repetitions: int = 10
) -> float:
    """Seconds of the fastest of some repetitions."""
    times = []
    for _ in range(repetitions + 2):  # the first two choose algorithms
        finish(where)
        began = clock()
        work()
        finish(where)
        times.append(clock() - began)
    return min(times[2:])


def ceilings(precision: str, where: Any, clock: Callable[[], float]) -> dict[str, float]:
    """What the device reaches: arithmetic in the precision of the mode, and memory traffic."""
    import torch
    import torch.nn.functional as F

    large = where.type == "cuda"
    dtype = {"bf16": torch.bfloat16, "fp16": torch.float16}.get(precision, torch.float32)
    side = 8192 if large else 1024
    one, other = (torch.randn(side, side, device=where).to(dtype) for _ in range(2))
    product = 2 * side**3 / best_time(lambda: one @ other, where, clock)
    count, channels, edge = (64, 256, 64) if large else (4, 64, 64)
    images = torch.randn(count, channels, edge, edge, device=where).to(dtype)
    weight = torch.randn(channels, channels, 3, 3, device=where).to(dtype)
    images = images.contiguous(memory_format=torch.channels_last)
    weight = weight.contiguous(memory_format=torch.channels_last)
    multiplied = 2 * count * edge**2 * channels**2 * 9
    convolved = multiplied / best_time(lambda: F.conv2d(images, weight, padding=1), where, clock)
    source = torch.zeros(2**30 if large else 2**27, dtype=torch.uint8, device=where)
    target = torch.empty_like(source)
    copied = 2 * source.nbytes / best_time(lambda: target.copy_(source), where, clock)
    return {
        "matrix_product_per_second": product,
        "convolution_per_second": convolved,
        "bytes_per_second": copied,
    }


def counted(options: Any, where: Any, batch: Any, period: int) -> Any:
    """The work of all steps of a period, as Python plays them."""
    from i2i.config import read_options
    from i2i.config.presets import PLAIN
    from i2i.config.recipes import merge
    from i2i.training.flops import StepWork

    layout = {"train": {"channels_last": options.train.channels_last}}
    trainer = trainer_of(read_options(merge(merge(options.to_dict(), PLAIN), layout)), where)
    for _ in range(period):  # the state of optimizers is made
        trainer.step(batch)
    with StepWork() as work:
        for _ in range(period):
            trainer.step(batch)
    return work


def peak_memory(where: Any) -> int:
    import torch

    if where.type == "cuda":
        return int(torch.cuda.max_memory_allocated(where))
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def compare(
    options: Any,
    where: Any,
    batch: Any,
    turns: int,
    other: str | None,
    clock: Callable[[], float],
) -> dict[str, Any]:
    """Train in two ways, in turns."""
    import torch

    from i2i.core.batch import to_device

    period = getattr(options.game, "n_critic", 1)
    steps_in_a_turn = -(-STEPS_IN_A_TURN // period) * period
    trainer = trainer_of(options, where)
    gathered: list[dict[str, torch.Tensor]] = []

    def ours() -> None:
        gathered.append(trainer.step(batch))

    def read() -> None:
        torch.stack([value for losses in gathered for value in losses.values()]).tolist()
        gathered.clear()

    def turn(step: Callable[[], None]) -> float:
        finish(where)
        began = clock()
        for _ in range(steps_in_a_turn):
            step()
        finish(where)
        return float((clock() - began) / steps_in_a_turn)

    def warm_up(step: Callable[[], None], memory_before: int) -> float:
        # After four steps of a kind it is recorded.
        for _ in range(4 * period + 1 if where.type == "cuda" else period):
            step()
        finish(where)
        return (peak_memory(where) - memory_before) / 2**20

    row: dict[str, Any] = {"peak_memory_mib": warm_up(ours, 0)}
    if trainer.graphs is not None:
        row["kinds_of_steps_recorded"] = trainer.graphs.recorded
    read()
    held = 0
    if where.type == "cuda":
        held = torch.cuda.memory_allocated(where)
        torch.cuda.reset_peak_memory_stats(where)
    step = second_implementation(other, options, where)
    given = (
        batch if other is None else to_device(batch, where, trainer.memory_format, trainer.sides)
    )

    def theirs() -> None:
        assert step is not None
        step(given)

    if step is not None:
        memory = warm_up(theirs, held)
        if where.type == "cuda":
            row["second_implementation_peak_memory_mib"] = memory
    times: dict[Callable[[], None], list[float]] = {ours: []}
    if step is not None:
        times[theirs] = []
    for _ in range(turns):
        for implementation, taken in times.items():
            taken.append(turn(implementation))
        read()
        # Whoever comes second finds warmer caches, so they take turns at that too.
        times = dict(reversed(times.items()))
    row["seconds_per_step"] = statistics.median(times[ours])
    if step is not None:
        row["second_implementation_seconds_per_step"] = statistics.median(times[theirs])
        ratios = (own / other for own, other in zip(times[ours], times[theirs], strict=True))
        row["over_second_implementation"] = statistics.median(ratios)
    return row


def measure(
    model: str,
    mode: str,
    where: Any,
    size: int | None,
    width: int | None,
    batch_size: int | None,
    turns: int,
    other: str | None,
    with_data: bool,
    processor_time: bool,
) -> dict[str, Any]:
    """One row of the table, in this process."""
    from i2i.models.build import build_model

    options = options_of(model, mode, where, size, width, batch_size)
    period = getattr(options.game, "n_critic", 1)
    batch = batch_of(options, build_model(options), where)
    clock = time.process_time if processor_time else time.perf_counter
    row = {
        "model": model,
        "mode": mode,
        "precision": options.train.precision,
        "size": options.data.crop_size,
        "batch_size": samples(options),
        **compare(options, where, batch, turns, other, clock),
        **ceilings(options.train.precision, where, clock),
    }
    seconds = row["seconds_per_step"]
    work = counted(options, where, batch, period)
    arithmetic = max(row["matrix_product_per_second"], row["convolution_per_second"])
    ideal = work.seconds(arithmetic, row["bytes_per_second"]) / period
    row |= {
        "steps_per_second": 1 / seconds,
        "images_per_second": samples(options) / seconds,
        "operations_per_step": work.operations / period,
        "bytes_per_step": work.bytes / period,
        "share_of_arithmetic": work.operations / period / seconds / arithmetic,
        "share_of_counted_work": ideal / seconds,
    }
    if with_data:
        row["data_wait"] = data_wait(options, str(where))
    return row


def data_wait(options: Any, device: str) -> float:
    """The share of its time that a real run waits for data, after the first steps."""
    from i2i.config import read_options
    from i2i.config.recipes import merge
    from i2i.runs.log import read_log
    from i2i.training import session as train

    changes = {
        "data": {"root": "demo"},
        "train": {"steps": 60, "log_every_steps": 20, "validation_images": 1, "sheet": 1},
    }
    with tempfile.TemporaryDirectory() as folder:
        run = train.start(
            read_options(merge(options.to_dict(), changes)),
            folder,
            "run",
            device=device,
        )
        rows = read_log(run.folder / "log.jsonl").rows
    waits = [row["speed/data_wait"] for row in rows if "speed/data_wait" in row]
    return float(statistics.mean(waits[1:]))  # the workers start during the first


@click.command(help=__doc__)
@click.option(
    "--models", default="pix2pix,cyclegan,stargan,dcgan,progan", show_default=True, help="Recipes."
)
@click.option("--modes", help="default: fp32,bf16; on a GPU fp32,graph,bf16,fast.")
@click.option("--device", default="auto", show_default=True)
@click.option("--size", type=int, help="Pixels of a side. On a GPU as published, else 64.")
@click.option("--width", type=int, help="Channels of first layers. On a GPU as published, else 16.")
@click.option("--batch-size", type=int, help="On a GPU as published, else 1 (or 8).")
@click.option("--turns", default=20, show_default=True, help=f"Of {STEPS_IN_A_TURN} steps or more.")
@click.option("--other", metavar="FILE:FUNCTION", help="A second implementation.")
@click.option("--data", is_flag=True, help="Also: the share of a real run that waits for data.")
@click.option(
    "--processor-time",
    is_flag=True,
    help="On a CPU that others use too: count processor seconds, not those of the clock.",
)
@click.option("--json", "target", type=click.Path(path_type=Path), help="Write the figures here.")
@click.option("--one", is_flag=True, hidden=True)
def main(
    models: str,
    modes: str | None,
    device: str,
    size: int | None,
    width: int | None,
    batch_size: int | None,
    turns: int,
    other: str | None,
    data: bool,
    processor_time: bool,
    target: Path | None,
    one: bool,
) -> None:
    import torch

    from i2i.config.recipes import read_recipe
    from i2i.system.device import pick_device

    where = pick_device(device)
    if processor_time and where.type != "cpu":
        raise click.UsageError("--processor-time is for the CPU: of a GPU it says nothing.")
    if one:
        assert modes is not None
        row = measure(
            models, modes, where, size, width, batch_size, turns, other, data, processor_time
        )
        click.echo(json.dumps(row))
        return
    on_gpu = where.type == "cuda"
    machine = {
        "device": torch.cuda.get_device_name(where) if on_gpu else platform.machine(),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "cudnn": torch.backends.cudnn.version() if on_gpu else None,
        "python": platform.python_version(),
        "date": date.today().isoformat(),
        "command": ["scripts/benchmark.py", *sys.argv[1:]],
    }
    click.echo("  ".join(f"{key} {value}" for key, value in machine.items()))
    click.echo(line_of(TITLES))
    click.echo("|" + "---|" * len(TITLES))
    rows: list[dict[str, Any]] = []
    failures = []
    for model in models.split(","):
        small = (
            {} if on_gpu else SMALL | ({"batch_size": 8} if "latent" in read_recipe(model) else {})
        )
        given = {"size": size, "width": width, "batch_size": batch_size}
        sizes = small | {name: value for name, value in given.items() if value is not None}
        for mode in (modes or ("fp32,graph,bf16,fast" if on_gpu else "fp32,bf16")).split(","):
            arguments = ["--one", "--models", model, "--modes", mode, "--device", str(where)]
            for name, value in sizes.items():
                arguments += [f"--{name.replace('_', '-')}", str(value)]
            arguments += ["--turns", str(turns)]
            arguments += ["--other", other] if other else []
            arguments += ["--data"] if data else []
            arguments += ["--processor-time"] if processor_time else []
            command = [sys.executable, __file__, *arguments]
            done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
            if done.returncode:  # the others are worth having all the same
                failures.append(f"{model} {mode}")
                continue
            rows.append(json.loads(done.stdout.splitlines()[-1]))
            click.echo(line_of(cells(rows[-1])))
            if target is not None:
                target.write_text(json.dumps({"machine": machine, "rows": rows}, indent=2) + "\n")
    if failures:
        raise click.ClickException(f"could not be measured: {', '.join(failures)}")
    if target is not None:
        click.echo(f"written to {target}")


TITLES = (
    *("model", "mode", "px", "batch", "steps/s", "images/s", "x second", "GFLOP", "GB"),
    *("TFLOP/s", "of it", "of work", "peak MiB", "second MiB", "waits"),
)


def cells(row: dict[str, Any]) -> list[str]:
    def maybe(key: str, form: str) -> str:
        return format(row[key], form) if key in row else "-"

    arithmetic = max(row["matrix_product_per_second"], row["convolution_per_second"])
    return [
        row["model"],
        row["mode"],
        str(row["size"]),
        str(row["batch_size"]),
        f"{row['steps_per_second']:.2f}",
        f"{row['images_per_second']:.1f}",
        maybe("over_second_implementation", ".3f"),
        f"{row['operations_per_step'] / 1e9:.1f}",
        f"{row['bytes_per_step'] / 1e9:.2f}",
        f"{arithmetic / 1e12:.2f}",
        f"{row['share_of_arithmetic']:.0%}",
        f"{row['share_of_counted_work']:.0%}",
        f"{row['peak_memory_mib']:.0f}",
        maybe("second_implementation_peak_memory_mib", ".0f"),
        maybe("data_wait", ".1%"),
    ]


def line_of(cells: Iterable[str]) -> str:
    """A line of a table in Markdown."""
    return "| " + " | ".join(cells) + " |"


if __name__ == "__main__":
    main()
