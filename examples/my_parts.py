"""A model, a network and a loss that live outside of the package.

    i2i train --plugin examples/my_parts.py --recipe examples/mine.toml --dataroot demo

A recipe that names this file (`plugins = ["my_parts.py"]`) needs no --plugin.
"""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Self

import torch
from annotated_types import Ge, Le
from torch import Tensor, nn

from i2i import (
    Clock,
    Generated,
    Model,
    Pair,
    Parts,
    Play,
    register_loss,
    register_model,
    register_network,
)


@register_loss("charbonnier")
def charbonnier(output: Tensor, target: Tensor) -> Tensor:
    """A smooth L1 (Charbonnier et al., "Two deterministic half-quadratic regularization algorithms
    for computed imaging", ICIP 1994), less its value for equal images."""
    epsilon = 1e-3
    return ((output - target).square() + epsilon**2).sqrt().mean() - epsilon


@register_network("generator", "plain")
class PlainNetwork(nn.Module):
    """Convolutions that keep the size.

    Arguments without a meaning are what a model says; those with one are options of a recipe.
    """

    multiple = 1  # height and width may be anything

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        width: Annotated[int, Ge(1), Le(4096), "channels of the hidden layers"] = 16,
        depth: Annotated[int, Ge(1), Le(64), "hidden layers"] = 3,
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for _ in range(depth):
            layers += [nn.Conv2d(in_channels, width, 3, padding=1), nn.ReLU()]
            in_channels = width
        self.layers = nn.Sequential(*layers, nn.Conv2d(width, out_channels, 3, padding=1))

    def forward(self, images: Tensor) -> Tensor:
        return torch.tanh(self.layers(images))


@register_model("regression")
class Regression(Model):
    """A generator that learns from pairs alone, without a discriminator."""

    data = "paired"
    roles = ("generator",)
    generators = ("generator",)
    players: ClassVar[Mapping[str, tuple[str, ...]]] = {"generator": ("generator",)}
    terms: ClassVar[Mapping[str, tuple[str, ...]]] = {"generator": ("mirrored",)}
    # Every registered loss of two images, l1 as well as charbonnier, can be a term.
    comparisons: ClassVar[Mapping[str, tuple[str, ...]]] = {"generator": ("",)}
    monitor = "l1"

    def __init__(
        self,
        generator: nn.Module,
        weights: Mapping[str, float],
        *,
        every: Annotated[int, Ge(1), "steps between two looks at mirrored images"] = 1,
    ) -> None:
        super().__init__()
        self.generator = generator
        self.every = every
        self.set_objectives(weights)

    @classmethod
    def assemble(cls, parts: Parts, **options: Any) -> Self:
        generator = parts.generator(parts.input_channels, parts.output_channels)
        return cls(generator, parts.weights, **options)

    def play(self, batch: Pair, clock: Clock) -> Play:
        source, target = batch
        output: Tensor = self.generator(source)

        def mirrored() -> Tensor:
            if not clock.every(self.every):
                return output.new_zeros(())
            again: Tensor = self.generator(source.flip(-1)).flip(-1)
            return (output - again).abs().mean()

        yield (
            "generator",
            self.objectives["generator"](mirrored=mirrored, **self.compare(output, target)),
        )

    def graph_key(self, clock: Clock) -> bool:
        return clock.every(self.every)

    def visualize(self, batch: Pair) -> dict[str, Tensor]:
        output = self.generator(batch.source)
        return {"input": batch.source, "output": output, "truth": batch.target}

    def generate(self, batch: Pair) -> dict[str, Generated]:
        output = self.generator(batch.source)
        return {"output": Generated(output, batch.target, batch.source, paired=True)}

    def validation_step(self, batch: Pair) -> dict[str, Tensor]:
        difference = self.generator(batch.source) - batch.target
        return {"l1": difference.abs().mean(dim=(1, 2, 3))}
