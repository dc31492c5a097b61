#!/usr/bin/env python3
"""What a convolution costs more when a style modulates its weight for each image.

Times forward and backward passes of a plain convolution of the same size, of
`i2i.networks.modulated.modulated_conv2d`, and of the usual way to write it, one group of a grouped
convolution for each image; in turns, of which the fastest counts. On a CPU it counts processor
seconds, so other programs disturb it little.

\b
    scripts/benchmark_modulated.py
    scripts/benchmark_modulated.py --device cuda --batch-size 32
"""

import time
from collections.abc import Callable

import click
import torch
from torch import Tensor
from torch.nn import functional as F

from i2i.networks.modulated import EPSILON, modulated_conv2d

LAYERS = ((512, 4), (512, 8), (256, 16), (128, 32), (64, 64), (32, 64))
"""Channels and side of layers of StyleGAN2 at 64 pixels, and of a narrow one."""


def plain(features: Tensor, weight: Tensor, style: Tensor) -> Tensor:
    return F.conv2d(features, weight, padding=1)


def grouped(features: Tensor, weight: Tensor, style: Tensor) -> Tensor:
    """A weight for each image, and a group for each weight."""
    count, channels, height, width = features.shape
    weights = weight[None] * style[:, None, :, None, None]
    weights = weights * torch.rsqrt(weights.square().sum(dim=(2, 3, 4), keepdim=True) + EPSILON)
    images = features.reshape(1, count * channels, height, width)
    made = F.conv2d(images, weights.flatten(0, 1), padding=1, groups=count)
    return made.view(count, -1, height, width)


WAYS: dict[str, Callable[[Tensor, Tensor, Tensor], Tensor]] = {
    "plain": plain,
    "modulated": modulated_conv2d,
    "grouped": grouped,
}


@click.command(help=__doc__)
@click.option("--device", default="cpu", show_default=True)
@click.option("--batch-size", default=8, show_default=True)
@click.option("--turns", default=15, show_default=True)
def main(device: str, batch_size: int, turns: int) -> None:
    where = torch.device(device)
    click.echo("| channels | pixels | plain, ms | modulated / plain | grouped / plain |")
    click.echo("|---:|---:|---:|---:|---:|")
    for channels, side in LAYERS:
        draw = torch.Generator().manual_seed(0)
        shapes = ((batch_size, channels, side, side), (channels, channels, 3, 3))
        given = [
            torch.randn(shape, generator=draw).to(where).requires_grad_()
            for shape in (*shapes, (batch_size, channels))
        ]
        made = {name: way(*given) for name, way in WAYS.items()}
        torch.testing.assert_close(made["modulated"], made["grouped"], rtol=1e-3, atol=1e-3)
        taken: dict[str, float] = {name: float("inf") for name in WAYS}
        for turn in range(turns + 1):
            for name, way in WAYS.items():
                seconds = timed(way, given, where)
                if turn:  # the first warms up
                    taken[name] = min(taken[name], seconds)
        ratios = [f"{taken[name] / taken['plain']:.2f}" for name in ("modulated", "grouped")]
        row = (channels, f"{side} x {side}", f"{1000 * taken['plain']:.2f}", *ratios)
        click.echo("| " + " | ".join(map(str, row)) + " |")


def timed(
    way: Callable[[Tensor, Tensor, Tensor], Tensor], given: list[Tensor], where: torch.device
) -> float:
    """Seconds of a pass forward and one backward."""
    finish = torch.cuda.synchronize if where.type == "cuda" else lambda: None
    clock = time.perf_counter if where.type == "cuda" else time.process_time
    for each in given:
        each.grad = None
    finish()
    began = clock()
    way(*given).square().mean().backward()  # type: ignore[no-untyped-call]
    finish()
    return clock() - began


if __name__ == "__main__":
    main()
