#!/usr/bin/env python3
"""Measures what it costs to read images that are kept (`data.cache`), after the first epoch.

Prints, for each number of workers, processor microseconds a sample: of the process that trains, and
of its workers; and samples a second by the clock, with nobody training.

With --train, a training on the CPU takes turns of some steps with each number of workers, and on
one batch again and again: how much longer a step takes by the clock and by the processor (the
medians of the ratios to the turn on one batch beside it), and which share of its time it waits.

    scripts/benchmark_loading.py --model pix2pix --dataroot facades
    scripts/benchmark_loading.py --model dcgan --dataroot images --set data.flip=true
    scripts/benchmark_loading.py --model pix2pix --dataroot facades --size 64 --width 16 --train

Linux only: the time of workers comes from /proc.
"""

import os
import statistics
import time
from collections.abc import Callable, Iterator
from multiprocessing import active_children
from pathlib import Path
from typing import Any

import click


def processor_seconds(process: int) -> float:
    """What all threads of a process have used so far."""
    tasks = Path(f"/proc/{process}/task").iterdir()
    return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e9


def of_workers() -> float:
    return sum(processor_seconds(worker.pid) for worker in active_children() if worker.pid)


def reading(make: Callable[[int], Iterator[Any]], workers: int, batch_size: int) -> str:
    batches = make(workers)
    for _ in range(20):
        next(batches)
    began, own, theirs = time.perf_counter(), time.process_time(), of_workers()
    count = 0
    while time.perf_counter() - began < 4:
        next(batches)
        count += batch_size
    seconds, own = time.perf_counter() - began, time.process_time() - own
    theirs = of_workers() - theirs
    return (
        f"{workers} workers: {1e6 * own / count:.1f} us a sample, of workers "
        f"{1e6 * theirs / count:.1f} us, {count / seconds:.0f} samples/s"
    )


def training(
    trainer: Any, make: Callable[[int], Iterator[Any]], workers: list[int], turns: int
) -> Iterator[str]:
    import torch

    batches = {number: make(number) for number in workers}
    one = next(batches[workers[0]])

    def steps(number: int | None, count: int) -> tuple[float, float, float, float]:
        """Seconds by the clock, of the processor here and of workers, and of waiting, a step."""
        waited, losses = 0.0, []
        began, own, theirs = time.perf_counter(), time.process_time(), of_workers()
        for _ in range(count):
            since = time.perf_counter()
            batch = one if number is None else next(batches[number])
            waited += time.perf_counter() - since
            losses.append(trainer.step(batch))
        torch.stack([value for each in losses for value in each.values()]).tolist()
        seconds, own = time.perf_counter() - began, time.process_time() - own
        return seconds / count, own / count, (of_workers() - theirs) / count, waited / seconds

    steps(None, 3)
    count = max(8, int(0.6 / steps(None, 3)[0]))
    ways: list[int | None] = [None, *workers]
    taken: dict[int | None, list[tuple[float, float, float, float]]] = {way: [] for way in ways}
    for _ in range(turns):
        for way in ways:
            taken[way].append(steps(way, count))
        ways.append(ways.pop(0))
    yield f"a step on one batch: {1000 * statistics.median(s[1] for s in taken[None]):.1f} ms"
    for number in workers:
        pairs = list(zip(taken[number], taken[None], strict=True))
        clock, own = (statistics.median(a[i] / b[i] for a, b in pairs) for i in (0, 1))
        theirs, waits = (statistics.median(a[i] for a in taken[number]) for i in (2, 3))
        yield (
            f"{number} workers: x {clock:.3f} by the clock, x {own:.3f} of the processor, and of "
            f"workers {1000 * theirs:.2f} ms a step; waits {waits:.1%}"
        )


@click.command(help=__doc__)
@click.option("--model", required=True, help="A recipe.")
@click.option("--dataroot", required=True)
@click.option("--size", type=int, help="Pixels of a side; as published by default.")
@click.option("--width", type=int, help="Channels of first layers; as published by default.")
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE")
@click.option("--workers", default="0,1", show_default=True)
@click.option("--train", is_flag=True, help="See above.")
@click.option("--turns", default=9, show_default=True)
def main(
    model: str,
    dataroot: str,
    size: int | None,
    width: int | None,
    settings: tuple[str, ...],
    workers: str,
    train: bool,
    turns: int,
) -> None:
    import torch

    from i2i.config.recipes import load_options
    from i2i.data.loading.loader import make_loader
    from i2i.data.sources import open_source, resolve_options
    from i2i.models.build import data_kind
    from i2i.system.cpu import settle_threads
    from i2i.training.build import build_trainer

    widths = [f"{network}.width={width}" for network in ("generator", "discriminator") if width]
    options = load_options(
        model, f"data.root={dataroot}", "data.cache=memory", *widths, *settings, size=size
    )
    kind = data_kind(options)
    options = resolve_options(options, kind)
    source = open_source(options, kind)
    batch_size = options.train.batch_size
    settle_threads()

    def make(number: int) -> Iterator[Any]:
        return make_loader(source.train, batch_size=batch_size, start=0, stop=10**9, workers=number)

    first = make(0)
    for _ in range(-(-source.images // batch_size)):
        next(first)
    numbers = [int(number) for number in workers.split(",")]
    click.echo(f"batch size {batch_size}, {torch.get_num_threads()} threads, {os.uname().machine}")
    if train:
        trainer = build_trainer(options, device="cpu", images=source.images)
        for line in training(trainer, make, numbers, turns):
            click.echo(line)
    else:
        for number in numbers:
            click.echo(reading(make, number, batch_size))


if __name__ == "__main__":
    main()
