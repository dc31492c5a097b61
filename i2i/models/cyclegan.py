"""CycleGAN: translation between two kinds of images, learnt without pairs.

Zhu, Park, Isola, Efros: Unpaired Image-to-Image Translation using Cycle-Consistent Adversarial
Networks, ICCV 2017.
"""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Self, cast

import torch
from annotated_types import Ge, Le
from torch import Tensor, nn

from i2i.core.batch import Unpaired
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
from i2i.core.roles import Discriminator, Generator
from i2i.losses import (
    DiscriminatorOutputs,
    feature_matching,
    gradient_penalty,
    l1,
    mean_scores,
    r1,
)
from i2i.metrics.images import l1_distance
from i2i.networks import ImagePool

POOL = "older translations that a discriminator is shown now and then"


@register_model("cyclegan")
class CycleGAN(Model[Unpaired]):
    """Two generators that undo each other, and two discriminators.

    Both generators move in one turn, then both discriminators in one, which see each translation or
    an older one from a pool (section 4 of the paper). A term with the ending A compares or judges
    images of domain A: `cycle_A` is how well A -> B -> A returns (equation 2), `identity_A` how
    little the generator that makes A changes an image that is A already (section 5.2).

    Arguments:
        generator_AtoB: (N, channels of A, H, W) -> (N, channels of B, H, W) in -1..1.
        generator_BtoA: the same from B to A.
        discriminator_A: (N, channels of A, H, W) -> scores of any shape.
        discriminator_B: the same for B.
        adversarial: how scores become losses.
        weights: the weight of each term of `terms`.
        pool_shapes: (C, H, W) of the images of A, and of B.
        image_pool: older translations that a discriminator is shown now and then (section 4).
        n_critic: turns of the discriminators for each one of the generators.
        mixed_batch: whether real and generated images are judged in one batch.
    """

    data = "unpaired"
    monitor = "distance"
    comparisons: ClassVar[Mapping[str, tuple[str, ...]]] = {"generators": ("_cycle_A", "_cycle_B")}
    generators = ("generator_AtoB", "generator_BtoA")
    directions: ClassVar[Mapping[str, str]] = {
        "AtoB": "generator_AtoB",
        "BtoA": "generator_BtoA",
    }
    players: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "generators": ("generator_AtoB", "generator_BtoA"),
        "discriminators": ("discriminator_A", "discriminator_B"),
    }
    terms: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "generators": (
            *("adversarial_A", "adversarial_B"),
            *("cycle_A", "cycle_B"),
            *("identity_A", "identity_B"),
            *("feature_matching_A", "feature_matching_B"),
        ),
        "discriminators": (
            *("real_A", "fake_A", "gradient_penalty_A", "r1_A"),
            *("real_B", "fake_B", "gradient_penalty_B", "r1_B"),
        ),
    }

    def __init__(
        self,
        generator_AtoB: nn.Module,  # noqa: N803 (domains are written in capitals)
        generator_BtoA: nn.Module,  # noqa: N803
        discriminator_A: nn.Module,  # noqa: N803
        discriminator_B: nn.Module,  # noqa: N803
        adversarial: AdversarialTerms,
        weights: Mapping[str, float],
        *,
        pool_shapes: tuple[tuple[int, int, int], tuple[int, int, int]],
        image_pool: Annotated[int, Ge(0), Le(100_000), POOL] = 0,
        n_critic: NCritic = 1,
        mixed_batch: MixedBatch = False,
    ) -> None:
        super().__init__()
        self.generator_AtoB = cast(Generator, generator_AtoB)
        self.generator_BtoA = cast(Generator, generator_BtoA)
        self.discriminator_A = cast(Discriminator, discriminator_A)
        self.discriminator_B = cast(Discriminator, discriminator_B)
        self.pool_A, self.pool_B = (ImagePool(image_pool, shape) for shape in pool_shapes)
        self.adversarial = adversarial
        self.set_objectives(weights)
        self.n_critic = n_critic
        self.mixed_batch = mixed_batch

    @classmethod
    def assemble(cls, parts: Parts, **options: Any) -> Self:
        a, b = parts.input_channels, parts.output_channels
        weights, notices = dict(parts.weights), []
        if a != b and (weights.get("identity_A") or weights.get("identity_B")):
            weights |= {"identity_A": 0.0, "identity_B": 0.0}
            notices.append(
                f"the identity terms are off: images of A have {a} channels, those of B {b}, so "
                "that no generator can leave an image of the other domain as it is."
            )
        model = cls(
            generator_AtoB=parts.generator(a, b),
            generator_BtoA=parts.generator(b, a),
            discriminator_A=parts.discriminator(a),
            discriminator_B=parts.discriminator(b),
            adversarial=parts.adversarial,
            weights=weights,
            pool_shapes=((a, *parts.crop.shape), (b, *parts.crop.shape)),
            **options,
        )
        model.notices = tuple(notices)
        return model

    def play(self, batch: Unpaired, clock: Clock) -> Play:
        # The passes come in the published order: it decides in which order gradients are summed,
        # and the first steps of Adam, which look at little but signs, make much of a rounding.
        real_a, real_b = batch
        moves = clock.every(self.n_critic)
        with torch.set_grad_enabled(moves):
            fake_b = self.generator_AtoB(real_a)
            back_a = self.generator_BtoA(fake_b)
            fake_a = self.generator_BtoA(real_b)
            back_b = self.generator_AtoB(fake_a)
        if moves:
            yield (
                "generators",
                self.objectives["generators"](
                    identity_B=lambda: l1(self.generator_AtoB(real_b), real_b),
                    identity_A=lambda: l1(self.generator_BtoA(real_a), real_a),
                    adversarial_B=lambda: self.adversarial.fool(
                        self.discriminator_B(fake_b), lambda: self.discriminator_B(real_b)
                    ),
                    adversarial_A=lambda: self.adversarial.fool(
                        self.discriminator_A(fake_a), lambda: self.discriminator_A(real_a)
                    ),
                    cycle_A=lambda: l1(back_a, real_a),
                    cycle_B=lambda: l1(back_b, real_b),
                    **self.compare(back_a, real_a, "_cycle_A"),
                    **self.compare(back_b, real_b, "_cycle_B"),
                    feature_matching_A=lambda: feature_matching(
                        self.discriminator_A.features(fake_a), self.discriminator_A.features(real_a)
                    ),
                    feature_matching_B=lambda: feature_matching(
                        self.discriminator_B.features(fake_b), self.discriminator_B.features(real_b)
                    ),
                ),
            )
        shown_b, shown_a = self.pool_B(fake_b), self.pool_A(fake_a)
        b = DiscriminatorOutputs(self.discriminator_B, real_b, shown_b, together=self.mixed_batch)
        a = DiscriminatorOutputs(self.discriminator_A, real_a, shown_a, together=self.mixed_batch)
        loss = self.objectives["discriminators"](
            real_B=lambda: self.adversarial.real(b.real, lambda: b.fake),
            fake_B=lambda: self.adversarial.fake(b.fake, lambda: b.real),
            gradient_penalty_B=lambda: gradient_penalty(self.discriminator_B, real_b, shown_b),
            r1_B=lambda: r1(self.discriminator_B, real_b),
            real_A=lambda: self.adversarial.real(a.real, lambda: a.fake),
            fake_A=lambda: self.adversarial.fake(a.fake, lambda: a.real),
            gradient_penalty_A=lambda: gradient_penalty(self.discriminator_A, real_a, shown_a),
            r1_A=lambda: r1(self.discriminator_A, real_a),
        )
        probability = self.adversarial.probability
        yield (
            "discriminators",
            loss.noting({**a.readings(probability, "_A"), **b.readings(probability, "_B")}),
        )

    def graph_key(self, clock: Clock) -> bool:
        return clock.every(self.n_critic)

    def side_of(self, name: str) -> int:
        return int(name.endswith("B"))

    def visualize(self, batch: Unpaired) -> dict[str, Tensor]:
        real_a, real_b = batch
        fake_b, fake_a = self.generator_AtoB(real_a), self.generator_BtoA(real_b)
        columns = {
            "A": real_a,
            "A to B": fake_b,
            "A to B to A": self.generator_BtoA(fake_b),
            "B": real_b,
            "B to A": fake_a,
            "B to A to B": self.generator_AtoB(fake_a),
        }
        if real_a.shape[1] == real_b.shape[1]:
            columns["identity A"] = self.generator_BtoA(real_a)
            columns["identity B"] = self.generator_AtoB(real_b)
        return columns

    def generate(self, batch: Unpaired) -> dict[str, Generated]:
        real_a, real_b = batch
        return {
            "AtoB": Generated(self.generator_AtoB(real_a), real_b, real_a),
            "BtoA": Generated(self.generator_BtoA(real_b), real_a, real_b),
        }

    def validation_step(self, batch: Unpaired) -> dict[str, Tensor]:
        real_a, real_b = batch
        fake_a, fake_b = self.generator_BtoA(real_b), self.generator_AtoB(real_a)
        return {
            "cycle_A": l1_distance(self.generator_BtoA(fake_b), real_a),
            "cycle_B": l1_distance(self.generator_AtoB(fake_a), real_b),
            "discriminators/score_real_A": mean_scores(self.discriminator_A(real_a)),
            "discriminators/score_fake_A": mean_scores(self.discriminator_A(fake_a)),
            "discriminators/score_real_B": mean_scores(self.discriminator_B(real_b)),
            "discriminators/score_fake_B": mean_scores(self.discriminator_B(fake_b)),
        }
