"""pix2pix: paired translation with a conditional discriminator.

Isola, Zhu, Zhou, Efros: Image-to-Image Translation with Conditional Adversarial Networks, CVPR
2017.
"""

from collections.abc import Mapping
from typing import Any, ClassVar, Self, cast

import torch
from torch import Tensor, nn

from i2i.core.batch import Pair
from i2i.core.model import (
    AdversarialTerms,
    Clock,
    MixedBatch,
    NCritic,
    Parts,
    Play,
)
from i2i.core.registry import register_model
from i2i.core.roles import Discriminator, Generator
from i2i.losses import (
    DiscriminatorOutputs,
    feature_matching,
    gradient_penalty,
    mean_scores,
    r1,
)
from i2i.models._paired import PairedModel, beside


@register_model("pix2pix")
class Pix2Pix(PairedModel):
    """A generator that is told the truth by L1 and made sharp by a discriminator.

    The discriminator judges pairs: it sees the source image beside the real or translated one
    (equation 1 of the paper). It moves first; the generator then faces the discriminator that has
    just been updated.

    Arguments:
        generator: (N, source channels, H, W) -> (N, target channels, H, W) in -1..1; or, of one
            that upscales, to images that are so many times as high and wide.
        discriminator: (N, source + target channels, H, W) -> scores of any shape.
        adversarial: how scores become losses.
        weights: the weight of each term of `terms`.
        n_critic: turns of the discriminator for each one of the generator.
        mixed_batch: whether real and generated images are judged in one batch.
    """

    players: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "discriminator": ("discriminator",),
        "generator": ("generator",),
    }
    terms: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "generator": ("adversarial", "feature_matching"),
        "discriminator": ("real", "fake", "gradient_penalty", "r1"),
    }
    upscales = True

    def __init__(
        self,
        generator: nn.Module,
        discriminator: nn.Module,
        adversarial: AdversarialTerms,
        weights: Mapping[str, float],
        *,
        n_critic: NCritic = 1,
        mixed_batch: MixedBatch = False,
    ) -> None:
        super().__init__()
        self.generator = cast(Generator, generator)
        self.discriminator = cast(Discriminator, discriminator)
        self.adversarial = adversarial
        self.set_objectives(weights)
        self.n_critic = n_critic
        self.mixed_batch = mixed_batch

    @classmethod
    def assemble(cls, parts: Parts, **options: Any) -> Self:
        return cls(
            generator=parts.generator(parts.input_channels, parts.output_channels),
            discriminator=parts.discriminator(parts.input_channels + parts.output_channels),
            adversarial=parts.adversarial,
            weights=parts.weights,
            **options,
        )

    def play(self, batch: Pair, clock: Clock) -> Play:
        source, target = batch
        moves = clock.every(self.n_critic)
        with torch.set_grad_enabled(moves):
            fake = self.generator(source)

        def judge(image: Tensor) -> Tensor:
            return self.discriminator(beside(source, image))

        judged = DiscriminatorOutputs(judge, target, fake.detach(), together=self.mixed_batch)
        yield (
            "discriminator",
            self.objectives["discriminator"](
                fake=lambda: self.adversarial.fake(judged.fake, lambda: judged.real),
                real=lambda: self.adversarial.real(judged.real, lambda: judged.fake),
                gradient_penalty=lambda: gradient_penalty(judge, target, fake.detach()),
                r1=lambda: r1(judge, target),
            ).noting(judged.readings(self.adversarial.probability)),
        )
        if not moves:
            return
        yield (
            "generator",
            self.objectives["generator"](
                adversarial=lambda: self.adversarial.fool(judge(fake), lambda: judge(target)),
                **self.compare(fake, target),
                feature_matching=lambda: feature_matching(
                    self.discriminator.features(beside(source, fake)),
                    self.discriminator.features(beside(source, target)),
                ),
            ),
        )

    def graph_key(self, clock: Clock) -> bool:
        return clock.every(self.n_critic)

    def score(self, source: Tensor, image: Tensor) -> Tensor:
        return mean_scores(self.discriminator(beside(source, image)))
