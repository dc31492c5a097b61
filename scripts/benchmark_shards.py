#!/usr/bin/env python3
"""Compares reading a data set from tar files with reading it from loose ones.

In one process, in turns, in random order: the bytes of images, and whole samples as a training has
them. Prints images a second of the processor (the median of the turns), and the median of the
ratios of the turns.

    i2i datasets pack horse2zebra packed
    scripts/benchmark_shards.py --model cyclegan --loose horse2zebra --shards packed

The files are in the memory of the system after the first turn, which does not count: what a disk
or a network takes comes on top, for loose files one wait each, for those in a shard next to each
other less.
"""

import statistics
import time
from collections.abc import Callable
from typing import Any

import click
import numpy as np


def rate(work: Callable[[int], Any], places: list[int]) -> float:
    """Calls a second of the processor."""
    began = time.process_time()
    for place in places:
        work(place)
    return len(places) / (time.process_time() - began)


@click.command(help=__doc__)
@click.option("--model", default="cyclegan", show_default=True, help="A recipe.")
@click.option("--loose", required=True, help="The folder.")
@click.option("--shards", required=True, help="The folder of its tar files.")
@click.option("--count", default=500, show_default=True, help="Images of a turn.")
@click.option("--turns", default=7, show_default=True)
def main(model: str, loose: str, shards: str, count: int, turns: int) -> None:
    from i2i.config.recipes import load_options
    from i2i.data.sources import open_source, resolve_options
    from i2i.models.build import data_kind

    bytes_of, sample_of = {}, {}
    for name, root in (("loose", loose), ("shards", shards)):
        options = load_options(model, f"data.root={root}", "data.cache=off")
        kind = data_kind(options)
        source = open_source(resolve_options(options, kind), kind)
        files = source.inputs("train", "AtoB")
        bytes_of[name] = lambda place, files=files: files[place % len(files)].read_bytes()
        sample_of[name] = source.train.__getitem__
    generator = np.random.default_rng(0)
    for what, works in (("files, bytes alone", bytes_of), ("samples, decoded", sample_of)):
        rates: dict[str, list[float]] = {name: [] for name in works}
        for turn in range(1 + turns):
            places = generator.integers(0, 2**20, count).tolist()
            for name, work in works.items():
                found = rate(work, places)
                if turn:
                    rates[name].append(found)
        ratio = statistics.median(
            b / a for a, b in zip(rates["loose"], rates["shards"], strict=True)
        )
        loose_rate, shard_rate = map(statistics.median, rates.values())
        click.echo(
            f"{what}: {loose_rate:.0f} a second loose, {shard_rate:.0f} from shards: x {ratio:.3f}"
        )


if __name__ == "__main__":
    main()
