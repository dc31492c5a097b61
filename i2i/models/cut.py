"""CUT and FastCUT: unpaired translation one way, which keeps what is where by contrast of patches.

Park, Efros, Zhang, Zhu: Contrastive Learning for Unpaired Image-to-Image Translation, ECCV 2020.
"""

from collections.abc import Iterable, Mapping
from functools import cache
from typing import Annotated, Any, ClassVar, Literal, Self, cast

import torch
from annotated_types import Ge, Gt, Le, MinLen
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
from i2i.core.roles import Discriminator, LayeredGenerator
from i2i.errors import OptionsError
from i2i.losses import (
    DiscriminatorOutputs,
    feature_matching,
    gradient_penalty,
    mean_scores,
    r1,
)
from i2i.losses.contrastive import (
    hard_negative_nce,
    patch_nce,
    semantic_relation,
    semantic_weights,
)
from i2i.metrics.images import l1_distance
from i2i.networks.patch_sampler import draw_flip, draw_positions, mirror_positions

Patches = list[tuple[Tensor, Tensor]]
"""Vectors (N * P, D) that describe patches of translations, and of what was translated at the same
places, for each feature layer."""

LAYERS = "layers of the generator whose features describe patches"
PATCHES = "patches of each layer that are told apart"
TEMPERATURE = "what the similarity of patches is divided by"
NEGATIVES = "whose patches a patch is told from: those of its own image, or of the whole batch"
FLIP = "mirror the input of half of the steps, and the features of its translation back"
GAMMA = "hard negatives: how equal all weights are at the beginning of a run"
GAMMA_END = "hard negatives: how equal all weights are at its end"


@register_model("cut")
class CUT(Model[Unpaired]):
    """A generator whose translations keep the content patch by patch, and a discriminator.

    The first half of the generator describes patches: that of a translation must resemble the one
    of the same place in the input more than those of other places. The discriminator moves first.
    The patch sampler, which makes short vectors of the features, is a player of the generator's
    side: both descend the same loss in one turn. That the authors give it an Adam of its own, with
    equal rates, makes no difference, since Adam treats every weight by itself.

    The source is domain A; with `data.direction = "BtoA"` the data set hands over B in its place.

    Terms of the generator (a term that ends in `_identity` concerns images that are of the target
    domain already, which the generator translates too if such a term has a weight):

    - `nce`, `nce_identity`: PatchNCE, equation 3 and 4 of the paper, the mean over layers;
    - `hard_nce`, `hard_nce_identity`, `semantic_relation`: the terms of Jung et al., "Exploring
      patch-wise semantic relation for contrastive learning in image-to-image translation tasks",
      CVPR 2022, section 3, which take the place of the first two.

    Arguments:
        generator: (N, C, H, W) -> (N, C, H, W) in -1..1, with `features` of its layers.
        discriminator: (N, C, H, W) -> scores of any shape.
        patch_sampler: features and positions -> vectors of length 1, for each layer.
        adversarial: how scores become losses.
        weights: the weight of each term of `terms`.
        nce_layers: layers of the generator whose features describe patches.
        num_patches: patches of each layer that are told apart.
        nce_temperature: what the similarity of patches is divided by (0.07).
        negatives: patches of the same "image", or of the whole "batch".
        flip_equivariance: mirror the whole input of half of the steps (FastCUT).
        hard_gamma: how equal hard negatives weigh at the beginning; linear to `hard_gamma_end`.
        hard_gamma_end: how equal they weigh at the end.
        n_critic: turns of the discriminator for each one of the generator.
        mixed_batch: whether real and generated images are judged in one batch.

    Raises:
        OptionsError: the generator has no features, or no such layers; or a weight is unknown.
    """

    data = "unpaired"
    roles = ("generator", "discriminator", "patch_sampler")
    generators = ("generator",)
    players: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "discriminator": ("discriminator",),
        "generator": ("generator", "patch_sampler"),
    }
    terms: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "generator": (
            *("adversarial", "nce", "nce_identity"),
            *("hard_nce", "hard_nce_identity", "semantic_relation", "feature_matching"),
        ),
        "discriminator": ("real", "fake", "gradient_penalty", "r1"),
    }
    comparisons: ClassVar[Mapping[str, tuple[str, ...]]] = {"generator": ("_identity",)}
    monitor = "distance"

    gamma: Tensor

    def __init__(
        self,
        generator: nn.Module,
        discriminator: nn.Module,
        patch_sampler: nn.Module,
        adversarial: AdversarialTerms,
        weights: Mapping[str, float],
        *,
        nce_layers: Annotated[tuple[Annotated[int, Ge(0)], ...], MinLen(1), LAYERS] = (
            *(0, 4, 8, 12, 16),
        ),
        num_patches: Annotated[int, Ge(2), Le(65536), PATCHES] = 256,
        nce_temperature: Annotated[float, Gt(0), TEMPERATURE] = 0.07,
        negatives: Annotated[Literal["image", "batch"], NEGATIVES] = "image",
        flip_equivariance: Annotated[bool, FLIP] = False,
        hard_gamma: Annotated[float, Gt(0), GAMMA] = 50.0,
        hard_gamma_end: Annotated[float, Gt(0), GAMMA_END] = 10.0,
        n_critic: NCritic = 1,
        mixed_batch: MixedBatch = False,
    ) -> None:
        super().__init__()
        self.generator = cast(LayeredGenerator, generator)
        self.discriminator = cast(Discriminator, discriminator)
        self.patch_sampler = patch_sampler
        self.adversarial = adversarial
        self.set_objectives(weights)
        self.nce_layers = tuple(nce_layers)
        self.num_patches = num_patches
        self.nce_temperature = nce_temperature
        self.negatives = negatives
        self.flip_equivariance = flip_equivariance
        self.gammas = hard_gamma, hard_gamma_end
        self.register_buffer("gamma", torch.tensor(float(hard_gamma)), persistent=False)
        self.n_critic = n_critic
        self.mixed_batch = mixed_batch

    @classmethod
    def assemble(cls, parts: Parts, **options: Any) -> Self:
        channels, layers = parts.input_channels, options["nce_layers"]
        if channels != parts.output_channels:
            raise OptionsError(
                f"data.output_channels (={parts.output_channels}) must be data.input_channels "
                f"(={channels}) for cut: the generator itself describes both images."
            )
        generator: Any = parts.generator(channels, channels)
        if not hasattr(generator, "require_layers"):
            raise OptionsError(
                "generator.network must be one whose layers can be looked into for cut: take "
                "'antialiased-resnet'."
            )
        generator.require_layers(layers)
        return cls(
            generator=generator,
            discriminator=parts.discriminator(channels),
            patch_sampler=parts.make_network("patch_sampler", generator.channels(layers)),
            adversarial=parts.adversarial,
            weights=parts.weights,
            **options,
        )

    def on_step_start(self, clock: Clock) -> None:
        begin, end = self.gammas
        self.gamma.fill_(begin + (end - begin) * clock.share)

    def play(self, batch: Unpaired, clock: Clock) -> Play:
        source, target = batch
        moves = clock.every(self.n_critic)
        weights = self.objectives["generator"].weights
        with_identity = moves and any(
            weight and name.endswith("_identity") for name, weight in weights.items()
        )
        images = torch.cat([source, target]) if with_identity else source
        mirrored = draw_flip(images.device) if self.flip_equivariance else None
        if mirrored is not None:
            images = torch.where(mirrored, images.flip(3), images)
        with torch.set_grad_enabled(moves):
            # One pass, of which both players see the result.
            fake, *of_target = self.generator(images).split(len(source))

        judged = DiscriminatorOutputs(
            self.discriminator, target, fake.detach(), together=self.mixed_batch
        )
        yield (
            "discriminator",
            self.objectives["discriminator"](
                fake=lambda: self.adversarial.fake(judged.fake, lambda: judged.real),
                real=lambda: self.adversarial.real(judged.real, lambda: judged.fake),
                gradient_penalty=lambda: gradient_penalty(
                    self.discriminator, target, fake.detach()
                ),
                r1=lambda: r1(self.discriminator, target),
            ).noting(judged.readings(self.adversarial.probability)),
        )
        if not moves:
            return

        @cache
        def patches() -> Patches:
            return self._patches(source, fake, mirrored)

        @cache
        def patches_identity() -> Patches:
            return self._patches(target, of_target[0], mirrored)

        groups = len(source) if self.negatives == "image" else 1
        # Without an identity term nobody asks how the two compare.
        same = (of_target[0], images[len(source) :]) if of_target else (fake, source)
        yield (
            "generator",
            self.objectives["generator"](
                adversarial=lambda: self.adversarial.fool(
                    self.discriminator(fake), lambda: self.discriminator(target)
                ),
                nce=lambda: self._nce(patches(), groups),
                nce_identity=lambda: self._nce(patches_identity(), groups),
                hard_nce=lambda: self._hard_nce(patches(), groups),
                hard_nce_identity=lambda: self._hard_nce(patches_identity(), groups),
                semantic_relation=lambda: _mean(
                    # Summed up over the patches of an image, as published.
                    semantic_relation(queries, keys, images=groups) / groups
                    for queries, keys in patches()
                ),
                feature_matching=lambda: feature_matching(
                    self.discriminator.features(fake), self.discriminator.features(target)
                ),
                **self.compare(*same, "_identity"),
            ),
        )

    def _patches(self, images: Tensor, translations: Tensor, mirrored: Tensor | None) -> Patches:
        """Describe patches of translations, and of the images that were translated, or mirrored
        first, at random places of these."""
        translated = self.generator.features(translations, self.nce_layers)
        with torch.no_grad():  # no gradient reaches the keys
            features = self.generator.features(images, self.nce_layers)
        places = draw_positions(features, self.num_patches)
        there = places if mirrored is None else mirror_positions(features, places, mirrored)
        queries = self.patch_sampler(translated, there)
        with torch.no_grad():
            keys = self.patch_sampler(features, places)
        return list(zip(queries, keys, strict=True))

    def _nce(self, patches: Patches, groups: int) -> Tensor:
        return _mean(
            patch_nce(queries, keys, images=groups, temperature=self.nce_temperature)
            for queries, keys in patches
        )

    def _hard_nce(self, patches: Patches, groups: int) -> Tensor:
        return _mean(
            hard_negative_nce(
                queries,
                keys,
                semantic_weights(keys, images=groups, gamma=self.gamma),
                images=groups,
                temperature=self.nce_temperature,
            )
            for queries, keys in patches
        )

    def graph_key(self, clock: Clock) -> bool:
        return clock.every(self.n_critic)

    def visualize(self, batch: Unpaired) -> dict[str, Tensor]:
        return {
            "input": batch.a,
            "output": self.generator(batch.a),
            "target": batch.b,
            "identity": self.generator(batch.b),
        }

    def generate(self, batch: Unpaired) -> dict[str, Generated]:
        return {"output": Generated(self.generator(batch.a), batch.b, batch.a)}

    def validation_step(self, batch: Unpaired) -> dict[str, Tensor]:
        return {
            "identity": l1_distance(self.generator(batch.b), batch.b),
            "discriminator/score_real": mean_scores(self.discriminator(batch.b)),
            "discriminator/score_fake": mean_scores(self.discriminator(self.generator(batch.a))),
        }


def _mean(of_layers: Iterable[Tensor]) -> Tensor:
    return torch.stack([*of_layers]).mean()
