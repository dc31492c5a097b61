"""pix2pix: paired translation with a conditional discriminator.

Isola, Zhu, Zhou, Efros: Image-to-Image Translation with Conditional Adversarial Networks, CVPR
2017.
"""

from collections.abc import Mapping
from typing import ClassVar, Self

import torch
from torch import Tensor, nn

from i2i.batch import Pair
from i2i.game import Clock, Model, Play, objectives
from i2i.metrics.pictures import l1_distance, psnr, ssim_index
from i2i.models import Kit
from i2i.objectives import Adversarial, gradient_penalty, l1, l2, r1, ssim


class Pix2Pix(Model):
    """A generator that is told the truth by L1 and made sharp by a discriminator.

    The discriminator judges pairs: it sees the source picture beside the real or translated one
    (equation 1 of the paper). It moves first; the generator then faces the discriminator that has
    just been updated.

    Arguments:
        generator: (N, source channels, H, W) -> (N, target channels, H, W) in -1..1.
        discriminator: (N, source + target channels, H, W) -> scores of any shape.
        adversarial: how scores become losses.
        weights: the weight of each term of `terms`.
    """

    data = "paired"
    generators = ("generator",)
    players: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "discriminator": ("discriminator",),
        "generator": ("generator",),
    }
    terms: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "generator": ("adversarial", "l1", "l2", "ssim"),
        "discriminator": ("real", "fake", "gradient_penalty", "r1"),
    }
    decisive = ("l1", "lower")

    def __init__(
        self,
        generator: nn.Module,
        discriminator: nn.Module,
        adversarial: Adversarial,
        weights: Mapping[str, float],
    ) -> None:
        super().__init__()
        self.generator = generator
        self.discriminator = discriminator
        self.adversarial = adversarial
        self.objectives = objectives(self.terms, weights)

    @classmethod
    def assemble(cls, kit: Kit) -> Self:
        return cls(
            generator=kit.generator(kit.input_channels, kit.output_channels),
            discriminator=kit.discriminator(kit.input_channels + kit.output_channels),
            adversarial=kit.adversarial,
            weights=kit.weights,
        )

    def play(self, batch: Pair, clock: Clock) -> Play:
        source, target = batch
        fake = self.generator(source)

        def judge(image: Tensor) -> Tensor:
            scores: Tensor = self.discriminator(torch.cat([source, image], dim=1))
            return scores

        yield (
            "discriminator",
            self.objectives["discriminator"](
                fake=lambda: self.adversarial.fake(judge(fake.detach())),
                real=lambda: self.adversarial.real(judge(target)),
                gradient_penalty=lambda: gradient_penalty(judge, target, fake.detach()),
                r1=lambda: r1(judge, target),
            ),
        )
        yield (
            "generator",
            self.objectives["generator"](
                adversarial=lambda: self.adversarial.fool(judge(fake)),
                l1=lambda: l1(fake, target),
                l2=lambda: l2(fake, target),
                ssim=lambda: ssim(fake, target),
            ),
        )

    def show(self, batch: Pair) -> dict[str, Tensor]:
        return {
            "input": batch.source,
            "output": self.generator(batch.source),
            "truth": batch.target,
        }

    def measure(self, batch: Pair) -> dict[str, Tensor]:
        output = self.generator(batch.source)
        return {
            "l1": l1_distance(output, batch.target),
            "psnr": psnr(output, batch.target),
            "ssim": ssim_index(output, batch.target),
        }
