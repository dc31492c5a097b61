"""StarGAN: one generator that translates between many kinds of images.

Choi, Choi, Kim, Ha, Kim, Choo: StarGAN: Unified Generative Adversarial Networks for Multi-Domain
Image-to-Image Translation, CVPR 2018.
"""

from collections.abc import Mapping
from functools import reduce
from operator import add
from typing import Any, ClassVar, Self, cast

import torch
from torch import Tensor, nn

from i2i.core.batch import Labelled
from i2i.core.labels import LabelSpace, with_planes
from i2i.core.model import (
    AdversarialTerms,
    Clock,
    Generated,
    MixedBatch,
    Model,
    NCritic,
    Parts,
    Play,
)
from i2i.core.registry import register_model
from i2i.core.roles import ClassifyingDiscriminator, Generator
from i2i.errors import OptionsError
from i2i.losses import (
    DiscriminatorOutputs,
    binary_cross_entropy,
    cross_entropy,
    feature_matching,
    gradient_penalty,
    l1,
    mean_scores,
    r1,
)
from i2i.metrics.images import l1_distance


@register_model("stargan")
class StarGAN(Model[Labelled]):
    """A generator that is told the labels to aim at, and a critic that also tells them.

    The discriminator moves in every step, the generator in the last of each `n_critic`. What
    images are to become are the labels of others in their batch: combinations that exist.
    Equations of the paper: `classification` is 3, `real_classification` 2, `reconstruction` 4.

    Arguments:
        generator: (N, channels + label planes, H, W) -> (N, channels, H, W) in -1..1.
        discriminator: (N, channels, H, W) -> scores of any shape, and logits (N, labels).
        labels: what the planes and the logits mean.
        adversarial: how scores become losses.
        weights: the weight of each term of `terms`.
        n_critic: turns of the discriminator for each one of the generator.
        mixed_batch: whether real and generated images are judged in one batch.
    """

    data = "domains"
    monitor = "domain_accuracy"
    comparisons: ClassVar[Mapping[str, tuple[str, ...]]] = {"generator": ("_reconstruction",)}
    generators = ("generator",)
    classifier = "discriminator"
    players: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "discriminator": ("discriminator",),
        "generator": ("generator",),
    }
    terms: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "generator": ("adversarial", "classification", "reconstruction", "feature_matching"),
        "discriminator": ("real", "fake", "real_classification", "gradient_penalty", "r1"),
    }

    def __init__(
        self,
        generator: nn.Module,
        discriminator: nn.Module,
        labels: LabelSpace,
        adversarial: AdversarialTerms,
        weights: Mapping[str, float],
        *,
        n_critic: NCritic = 1,
        mixed_batch: MixedBatch = False,
    ) -> None:
        super().__init__()
        self.generator = cast(Generator, generator)
        self.discriminator = cast(ClassifyingDiscriminator, discriminator)
        self.labels = labels
        self.adversarial = adversarial
        self.set_objectives(weights)
        self.n_critic = n_critic
        self.mixed_batch = mixed_batch

    @classmethod
    def assemble(cls, parts: Parts, **options: Any) -> Self:
        channels = parts.input_channels
        if channels != parts.output_channels:
            raise OptionsError(
                f"data.output_channels (={parts.output_channels}) must be data.input_channels "
                f"(={channels}) for StarGAN, which translates its own results back."
            )
        if not parts.labels.names or any(
            s.exclusive and len(s.names) < 2 for s in parts.labels.sets
        ):
            raise OptionsError(
                f"data.domains (={list(parts.labels.names)}) must name two domains at least "
                "(or data.attributes an attribute) for StarGAN to know what it translates."
            )
        return cls(
            generator=parts.generator(channels + parts.labels.planes, channels),
            discriminator=parts.discriminator(
                channels, classes=len(parts.labels.names), size=parts.crop.plain
            ),
            labels=parts.labels,
            adversarial=parts.adversarial,
            weights=parts.weights,
            **options,
        )

    def translate(self, images: Tensor, condition: Tensor) -> Tensor:
        return self.generator(with_planes(images, condition))

    def score(self, images: Tensor) -> Tensor:
        return self.discriminator(images)[0]

    def classification(self, logits: Tensor, labels: Tensor, mask: Tensor) -> Tensor:
        """What a classifier pays; only known labels count."""
        known = self.labels.known(mask)
        losses = []
        for each, part in zip(self.labels.sets, self.labels.parts, strict=True):
            loss = cross_entropy if each.exclusive else binary_cross_entropy
            losses.append(loss(logits[:, part], labels[:, part], known[:, part]))
        return reduce(add, losses)

    def play(self, batch: Labelled, clock: Clock) -> Play:
        # As in CycleGAN, the passes come in the published order. So the generator translates anew
        # for its own turn: its running statistics count every pass.
        real, labels, mask = batch
        order = torch.randperm(len(real), device=real.device)
        target, target_mask = labels[order], mask[order]
        wanted = self.labels.condition(target, target_mask)

        with torch.no_grad():
            fake = self.translate(real, wanted)
        judged = DiscriminatorOutputs(self.discriminator, real, fake, together=self.mixed_batch)
        yield (
            "discriminator",
            self.objectives["discriminator"](
                real=lambda: self.adversarial.real(judged.real, lambda: judged.fake),
                real_classification=lambda: self.classification(judged.of_real[1], labels, mask),
                fake=lambda: self.adversarial.fake(judged.fake, lambda: judged.real),
                gradient_penalty=lambda: gradient_penalty(self.score, real, fake),
                r1=lambda: r1(self.score, real),
            ).noting(judged.readings(self.adversarial.probability)),
        )
        if not clock.every(self.n_critic):
            return
        fake = self.translate(real, wanted)
        scores, logits = self.discriminator(fake)
        back = self.labels.condition(labels, mask)
        yield (
            "generator",
            self.objectives["generator"](
                adversarial=lambda: self.adversarial.fool(scores, lambda: self.score(real)),
                classification=lambda: self.classification(logits, target, target_mask),
                reconstruction=lambda: l1(self.translate(fake, back), real),
                feature_matching=lambda: feature_matching(
                    self.discriminator.features(fake), self.discriminator.features(real)
                ),
            ),
        )

    def graph_key(self, clock: Clock) -> bool:
        return clock.every(self.n_critic)

    def side_of(self, name: str) -> int:
        """All images are of one kind, what is translated and what is made."""
        return 0

    def visualize(self, batch: Labelled) -> dict[str, Tensor]:
        real, labels, mask = batch
        _, logits = self.discriminator(real)
        # Where the labels of a data set are unknown, the classifier stands in.
        labels = torch.where(self.labels.known(mask) > 0, labels, self.labels.decided(logits))
        columns = {"input": real}
        for target in self.labels.targets:
            wanted = self.labels.edited(labels, self.labels.changes(target))
            columns[target] = self.translate(real, wanted)
        return columns

    def generate(self, batch: Labelled) -> dict[str, Generated]:
        """Each image is translated to the labels of its successor in the batch, and should then
        be like that."""
        real, labels, mask = batch
        wanted = labels.roll(-1, 0)
        translated = self.translate(real, self.labels.condition(wanted, mask.roll(-1, 0)))
        return {"translated": Generated(translated, real.roll(-1, 0), real, labels=wanted)}

    def validation_step(self, batch: Labelled) -> dict[str, Tensor]:
        """Each image is translated to the labels of its successor in the batch.

        `accuracy_real` and `accuracy_translated` are the share of the known labels that the
        discriminator's classifier recognises, of domains 0 or 1.
        """
        real, labels, mask = batch
        target, target_mask = labels.roll(-1, 0), mask.roll(-1, 0)
        translated = self.translate(real, self.labels.condition(target, target_mask))
        back = self.translate(translated, self.labels.condition(labels, mask))
        return {
            "accuracy_real": self._accuracy(real, labels, mask),
            "accuracy_translated": self._accuracy(translated, target, target_mask),
            "reconstruction": l1_distance(back, real),
            "discriminator/score_real": mean_scores(self.score(real)),
            "discriminator/score_fake": mean_scores(self.score(translated)),
        }

    def _accuracy(self, images: Tensor, labels: Tensor, mask: Tensor) -> Tensor:
        _, logits = self.discriminator(images)
        right = (self.labels.decided(logits.float()) == labels).float()
        shares = []
        for each, part in zip(self.labels.sets, self.labels.parts, strict=True):
            own = right[:, part]
            shares.append(own.amin(dim=1) if each.exclusive else own.mean(dim=1))
        return (torch.stack(shares, dim=1) * mask).sum(dim=1)
