#!/usr/bin/env python3
"""How training should scale over many GPUs, on paper: from counted bytes and operations.

Counted for the turns of each model at its published size, without a GPU (on tensors without data):
floating point operations, and bytes read and written, of each operator that is started; the bytes
of gradients that each player averages, and when in the backward pass those of each bucket are
there.
Assumed, and to be changed by flags: how fast a GPU computes and reads, how long it takes to start
an operator, and how fast and how promptly the GPUs are connected. Nothing here is measured;
`scripts/benchmark.py` measures.

An operator takes as long as its arithmetic or its memory traffic, whichever is longer (a roofline),
and all together at least as long as it takes to start them. A ring in each machine and, for each of
its GPUs, a tree of machines add up the gradients, bucket by bucket, while the backward pass goes
on; what is not done when it ends is waited for. Everybody waits for the slowest of all, whose
delay is that of the largest of as many normal deviates.
"""

import argparse
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from i2i.config import Options
from i2i.config.recipes import load_options
from i2i.core.batch import to_device
from i2i.core.model import Clock, Model
from i2i.data.sides import sides_of
from i2i.distributed.gradients import GradientExchange
from i2i.models.build import build_model, growth
from i2i.training.cost import period_of, random_batch, with_batch_size
from i2i.training.flops import StepWork

META = torch.device("meta")

GPUS = (8, 64, 512)

WORTH = 0.8
"""Efficiency below which more GPUs are not worth it."""

MODELS: dict[str, tuple[int, ...]] = {
    "pix2pix": (1, 4, 16),
    "cyclegan": (1, 4, 16),
    "cut": (1, 4, 16),
    "fastcut": (1, 4, 16),
    "src": (1, 4, 16),
    "stargan": (2, 4, 16),
    "stargan-v2": (1, 8),
    "pix2pixhd": (1, 4),
    "spade": (4, 8),
    "gan": (16, 128),
    "dcgan": (16, 128),
    "lsgan": (8, 64),
    "wgan": (8, 64),
    "wgan-gp": (8, 64),
    "cgan": (16, 128),
    "infogan": (16, 128),
    "sagan": (32, 256),
    "progan": (2, 16),
    "stylegan2": (8, 64),
    "r3gan": (64, 512),
}
"""Recipe -> images on each GPU. For images from noise: the published batch on each of eight GPUs
of a machine, and as much on every GPU. Networks that grow are at their last stage, fully grown."""

SETTINGS = {
    "stargan-v2": ('data.domains=["a", "b"]',),
    "stargan": ('data.domains=["a", "b", "c", "d", "e"]',),
    "cgan": (f"data.domains={list('abcdefghij')}".replace("'", '"'),),
}
"""What a recipe does not say itself."""

NUMBERS_IN_UPDATE = {"adam": 7, "rmsprop": 5, "sgd": 3}
"""Read and written for each weight: weight and gradient are read, the weight is written; what the
optimizer remembers (two numbers, one, none) is read and written."""

COPIES = 4
"""Times that gradients are read or written to be sent in a bucket, and to come back out of it."""


COUNTED = """\
Counted, for the last turn of each player with the published batch on one GPU: gradients that it
averages, and in how many buckets; arithmetic, memory traffic and number of its operators; ms is the
time that they take by what is assumed."""

EXPECTED = f"""\
Images per second as a share of N times those of one GPU; "up to" is the largest number of GPUs, up
to 4096, where that is {WORTH:.0%} at least. A step is a mean: shorter than the players' turns
together where one of them moves only in some steps (the generator of WGAN in every fifth)."""


@dataclass(frozen=True)
class Machine:
    """What is assumed of the machines; seconds, bytes and operations per second."""

    flops: float
    bandwidth: float
    start: float
    inside: float
    between: float
    hop_inside: float
    hop_between: float
    gpus: int
    jitter: float


@dataclass(frozen=True)
class Turn:
    """What was counted of one player's turn on one GPU.

    Attributes:
        player: whose.
        parts: (floating point operations, bytes) of each operator in the order of their start.
        buckets: (bytes, how many operators have been started when its gradients are there) of each
            bucket in the order of their sending.
        update: bytes that the update of the weights reads and writes.
    """

    player: str
    parts: Sequence[tuple[int, int]]
    buckets: Sequence[tuple[int, int]]
    update: int = 0

    @property
    def bytes(self) -> int:
        """Of all gradients."""
        return sum(size for size, _ in self.buckets)


def count(model: Model, batch: Any, steps: range, update: int = 0) -> list[Turn]:
    """Play some steps of `model`, and count; `update` is the bytes of an update for each weight."""
    turns: list[Turn] = []
    parameters = {
        player: [p for name in names for p in model.get_submodule(name).parameters()]
        for player, names in model.players.items()
    }
    buckets = {player: GradientExchange(each).buckets for player, each in parameters.items()}
    ready: dict[torch.nn.Parameter, int] = {}
    work: StepWork
    for parameter in model.parameters():
        parameter.register_post_accumulate_grad_hook(
            lambda parameter: ready.update({parameter: work.operators})
        )
    for step in steps:
        model.tick(Clock(step))
        game = model.play(batch, Clock(step))
        while True:
            with StepWork() as work:
                turn = next(game, None)
                if turn is None:
                    break
                player, loss = turn
                loss.total.backward(inputs=parameters[player])
            sent = [
                # What takes no part is sent when the backward pass is over.
                (sum(p.nbytes for p in each), max(ready.get(p, work.operators) for p in each))
                for each in buckets[player]
            ]
            weights = sum(p.numel() for p in parameters[player])
            turns.append(Turn(player, work.parts, sent, update * weights))
            ready.clear()
            model.zero_grad()
    return turns


def turns_of(options: Options, images: int) -> list[Turn]:
    """The turns until all players have moved, with `images` in a step."""
    with META:
        model = build_model(options)
        batch = random_batch(with_batch_size(options, images), model)
        batch = to_device(batch, META, sides=sides_of(options))
        growing = growth(options)
        begin = growing.last_begin + growing.stages[-1].fade if growing else 0
        period = period_of(options)
        begin = -(-begin // period) * period
        update = 4 * NUMBERS_IN_UPDATE[options.optimizer.name]
        return count(model, batch, range(begin, begin + period), update)


def elapsed(parts: Sequence[tuple[int, int]], machine: Machine) -> float:
    """Seconds until a GPU is done with some operators."""
    computed = sum(
        max(operations / machine.flops, moved / machine.bandwidth) for operations, moved in parts
    )
    return max(computed, len(parts) * machine.start)


def adding_up(size: float, gpus: int, machine: Machine) -> float:
    """Seconds for one bucket of `size` bytes over `gpus`."""
    here = min(gpus, machine.gpus)
    machines = -(-gpus // machine.gpus)
    inside = 2 * (here - 1) / here * size / machine.inside
    between = 2 * (machines - 1) / machines * size / here / machine.between
    hops = 2 * (here - 1) * machine.hop_inside + 2 * math.log2(machines) * machine.hop_between
    return inside + between + hops


def waiting(turn: Turn, gpus: int, machine: Machine) -> float:
    """Seconds that a turn takes longer for gradients which the backward pass does not hide, and for
    getting them into buckets and out."""
    if gpus == 1:
        return 0.0
    done = 0.0
    for size, ready in turn.buckets:
        done = max(done, elapsed(turn.parts[:ready], machine)) + adding_up(size, gpus, machine)
    late = max(0.0, done - elapsed(turn.parts, machine))
    return late + COPIES * turn.bytes / machine.bandwidth


def alone(turns: Sequence[Turn], machine: Machine) -> float:
    """Seconds that one GPU takes."""
    return sum(elapsed(turn.parts, machine) + turn.update / machine.bandwidth for turn in turns)


def efficiency(turns: Sequence[Turn], gpus: int, machine: Machine) -> float:
    """Images per second of `gpus`, as a share of `gpus` times those of one."""
    computed = alone(turns, machine)
    waited = sum(waiting(turn, gpus, machine) for turn in turns)
    slowest = machine.jitter * math.sqrt(2 * math.log(gpus))
    return computed / (computed * (1 + slowest) + waited)


def worth_it(turns: Sequence[Turn], machine: Machine, share: float) -> int:
    """The largest power of two of GPUs, up to 4096, whose efficiency is at least `share`."""
    numbers = [1 << power for power in range(13)]
    return max(n for n in numbers if efficiency(turns, n, machine) >= share)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__.split("\n")[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--models", default=",".join(MODELS), help="separated by commas")
    parser.add_argument("--tflops", type=float, default=125, help="that convolutions reach")
    parser.add_argument("--memory", type=float, default=3.6, help="TB/s that operators reach")
    parser.add_argument("--start", type=float, default=6, help="microseconds for an operator")
    parser.add_argument("--inside", type=float, default=300, help="GB/s of a GPU in a machine")
    parser.add_argument("--between", type=float, default=40, help="GB/s of a GPU to others")
    parser.add_argument("--hop-inside", type=float, default=3, help="microseconds")
    parser.add_argument("--hop-between", type=float, default=10, help="microseconds")
    parser.add_argument("--gpus", type=int, default=8, help="in a machine")
    parser.add_argument("--jitter", type=float, default=0.01, help="of a step, as a share")
    given = parser.parse_args()
    machine = Machine(
        given.tflops * 1e12,
        given.memory * 1e12,
        given.start * 1e-6,
        given.inside * 1e9,
        given.between * 1e9,
        given.hop_inside * 1e-6,
        given.hop_between * 1e-6,
        given.gpus,
        given.jitter,
    )
    counted, expected = [], []
    for recipe in given.models.split(","):
        options = load_options(recipe, *SETTINGS.get(recipe, ()))
        period = period_of(options)
        for images in MODELS[recipe]:
            turns = turns_of(options, images)
            shares = [efficiency(turns, gpus, machine) for gpus in GPUS]
            limit = worth_it(turns, machine, WORTH)
            expected.append(
                f"| {recipe} | {images} | {1e3 * alone(turns, machine) / period:.1f} | "
                + " | ".join(f"{share:.0%}" for share in shares)
                + f" | {limit} |"
            )
            if images == options.train.batch_size:
                counted += rows(recipe, images, turns, machine)
    print(assumed(machine), COUNTED, "", sep="\n")
    print(
        "| model | images | player | MB of gradients | buckets | GFLOP | GB | operators | ms |",
        "|---|---:|---|---:|---:|---:|---:|---:|---:|",
        *counted,
        sep="\n",
    )
    numbers = " | ".join(f"{gpus} GPUs" for gpus in GPUS)
    head = f"| model | images on each GPU | ms of a step on one | {numbers} | {WORTH:.0%} up to |"
    print(
        "", EXPECTED, "", head, "|---|---:|---:|" + "---:|" * (len(GPUS) + 1), *expected, sep="\n"
    )


def assumed(machine: Machine) -> str:
    """What the figures are computed from, in a line."""
    return (
        f"Assumed: {machine.flops / 1e12:g} TFLOP/s, {machine.bandwidth / 1e12:g} TB/s of memory, "
        f"{machine.start * 1e6:g} microseconds to start an operator; from a GPU "
        f"{machine.inside / 1e9:g} GB/s to those in its machine of {machine.gpus} and "
        f"{machine.between / 1e9:g} GB/s to others, {machine.hop_inside * 1e6:g} and "
        f"{machine.hop_between * 1e6:g} microseconds for a hop; the time of a step varies by "
        f"{machine.jitter:.2g} of it."
    )


def rows(recipe: str, images: int, turns: Sequence[Turn], machine: Machine) -> list[str]:
    """What was counted, a row for each player."""
    return [
        f"| {recipe} | {images} | {turn.player} | {turn.bytes / 1e6:.0f} | "
        f"{len(turn.buckets)} | {sum(operations for operations, _ in turn.parts) / 1e9:.0f} | "
        f"{sum(moved for _, moved in turn.parts) / 1e9:.2f} | {len(turn.parts)} | "
        f"{1e3 * alone([turn], machine):.2f} |"
        for turn in {turn.player: turn for turn in turns}.values()
    ]


if __name__ == "__main__":
    main()
