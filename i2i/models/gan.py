"""The unconditional family: images from noise.

One game whose members differ in their networks, in the adversarial loss and in what else the
generator is told. Their recipes have the values of these papers:

- `gan`: Goodfellow et al.: Generative Adversarial Nets, NeurIPS 2014, algorithm 1
- `dcgan`: Radford, Metz, Chintala: Unsupervised Representation Learning with Deep Convolutional
  Generative Adversarial Networks, ICLR 2016
- `lsgan`: Mao et al.: Least Squares Generative Adversarial Networks, ICCV 2017
- `wgan`: Arjovsky, Chintala, Bottou: Wasserstein GAN, ICML 2017, algorithm 1
- `wgan-gp`: Gulrajani et al.: Improved Training of Wasserstein GANs, NeurIPS 2017, algorithm 1
- `cgan`: Mirza, Osindero: Conditional Generative Adversarial Nets, 2014
- `infogan`: Chen et al.: InfoGAN, NeurIPS 2016
- `sagan`: Zhang, Goodfellow, Metaxas, Odena: Self-Attention Generative Adversarial Networks, 2019
- `progan`: Karras, Aila, Laine, Lehtinen: Progressive Growing of GANs, ICLR 2018
- `r3gan`: Huang et al.: The GAN is dead; long live the GAN!, NeurIPS 2024
"""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, Self, cast

import torch
from torch import Tensor, nn

from i2i.core.batch import Labelled
from i2i.core.growth import Growth
from i2i.core.labels import LabelSpace
from i2i.core.latent import Latent
from i2i.core.model import (
    AdversarialTerms,
    Clock,
    Loss,
    MixedBatch,
    NCritic,
    NGenerator,
    Parts,
    Play,
)
from i2i.core.registry import register_model
from i2i.core.roles import Growing, GrowingDiscriminator
from i2i.losses import (
    DiscriminatorOutputs,
    cross_entropy,
    drift,
    feature_matching,
    gradient_penalty,
    l2,
    squared_slopes,
)
from i2i.models._noise import NoiseModel, Told


@register_model("gan")
class GAN(NoiseModel):
    """A generator that makes images from noise, and a discriminator that tells them from real.

    The discriminator moves in every step, the generator in the last of each `n_critic`, and
    then `n_generator` times. Both may be told the class of an image. The discriminator may
    have a second output that recognises the codes of a latent vector (InfoGAN, equation 5:
    `categorical` and `continuous` are its lower bound of the mutual information, for a categorical
    and for a normal posterior of variance 1).

    Arguments:
        generator: (N, latent) and labels (N, L) or None -> (N, channels, H, W) in -1..1.
        discriminator: images and labels -> scores (N, ...), and the logits of codes if any.
        latent: what the generator makes images of.
        labels: what images may be; only used if `class_conditional`.
        class_conditional: whether both networks are told the labels: "required", "ignored", or
            "if known", which asks for two labels at least.
        adversarial: how scores become losses.
        weights: the weight of each term of `terms`.
        n_critic: turns of the discriminator for each one of the generator.
        n_generator: turns of the generator in a step.
        mixed_batch: whether real and generated images are judged in one batch.
        resample_latents: whether the generator's turn is about new latent vectors, not those that
            were judged.
        split_batch: whether each turn has real images, and labels, of its own: the
            discriminator's every second of the batch, from the first on, the generator's the rest.
        growth: when the networks grow, if they can.
    """

    terms: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "generator": ("adversarial", "categorical", "continuous", "feature_matching"),
        "discriminator": (
            "real",
            "fake",
            "categorical",
            "continuous",
            "gradient_penalty",
            "r1",
            "r2",
            "drift",
        ),
    }

    def __init__(
        self,
        generator: nn.Module,
        discriminator: nn.Module,
        latent: Latent,
        labels: LabelSpace,
        adversarial: AdversarialTerms,
        weights: Mapping[str, float],
        *,
        class_conditional: Annotated[
            Literal["ignored", "required", "if known"],
            "whether both networks are told the class of an image",
        ] = "ignored",
        n_critic: NCritic = 1,
        n_generator: NGenerator = 1,
        mixed_batch: MixedBatch = False,
        resample_latents: Annotated[bool, "draw anew for the generator's turn"] = False,
        split_batch: Annotated[
            bool, "each turn has real images of its own, half of the batch; it draws anew, too"
        ] = False,
        growth: Growth | None = None,
    ) -> None:
        super().__init__(
            generator,
            discriminator,
            latent,
            labels,
            adversarial,
            weights,
            class_conditional=class_conditional,
        )
        self.n_critic = n_critic
        self.n_generator = n_generator
        self.mixed_batch = mixed_batch
        self.resample_latents = resample_latents or split_batch
        self.split_batch = split_batch
        self.growth = growth

    @classmethod
    def assemble(cls, parts: Parts, **options: Any) -> Self:
        return super().assemble(parts, growth=parts.growth, **options)

    def as_coarse(self, real: Tensor) -> Tensor:
        """Real images of the size that networks have grown to."""
        if self.growth is None:
            return real
        return cast(GrowingDiscriminator, self.discriminator).shrink(real)

    def play(self, batch: Labelled, clock: Clock) -> Play:
        real, labels, _ = batch
        told = labels if self.class_conditional else None
        real = self.as_coarse(real)
        others, told_others = real, told
        if self.split_batch:
            real, others = real[::2], real[1::2]  # so that pieces of a batch are halved alike
            told, told_others = (None, None) if told is None else (told[::2], told[1::2])

        def draw() -> tuple[Tensor, Tensor]:
            vectors = self.latent.draw(len(real), real.device)
            return vectors, self.generator(vectors, told)

        moves = clock.every(self.n_critic)
        with torch.set_grad_enabled(moves and not self.resample_latents):
            vectors, fake = draw()
        yield "discriminator", self._discriminate(real, fake.detach(), vectors, told)
        if not moves:
            return
        real, told = others, told_others
        for turn in range(self.n_generator):
            if turn or self.resample_latents:
                vectors, fake = draw()
            yield "generator", self._deceive(real, fake, vectors, told)

    def on_step_start(self, clock: Clock) -> None:
        if self.growth is not None:
            stage, alpha = self.growth.stage(clock.step), self.growth.alpha(clock.step)
            for network in (self.generator, self.discriminator):
                cast(Growing, network).grow(stage, alpha)

    def graph_key(self, clock: Clock) -> tuple[bool, int, bool]:
        moves = clock.every(self.n_critic)
        if self.growth is None:
            return moves, 0, False
        return moves, self.growth.stage(clock.step), self.growth.alpha(clock.step) < 1

    def resets_optimizers(self, clock: Clock) -> bool:
        # As published: the gradients of another resolution tell nothing of this one's.
        return self.growth is not None and clock.step > 0 and self.growth.begins(clock.step)

    def _discriminate(self, real: Tensor, fake: Tensor, vectors: Tensor, told: Told) -> Loss:
        def score(images: Tensor) -> Tensor:
            return self._judge(images, told)[0]

        # Both penalties look at the passes that the scores come from.
        paying = self.objectives["discriminator"]
        real = real.detach().requires_grad_(paying.due("r1"))
        fake = fake.requires_grad_(paying.due("r2"))
        judged = DiscriminatorOutputs(
            lambda images: self._judge(images, told), real, fake, together=self.mixed_batch
        )
        loss = paying(
            real=lambda: self.adversarial.real(judged.real, lambda: judged.fake),
            fake=lambda: self.adversarial.fake(judged.fake, lambda: judged.real),
            categorical=lambda: self._categorical(judged.of_fake, vectors),
            continuous=lambda: self._continuous(judged.of_fake, vectors),
            gradient_penalty=lambda: gradient_penalty(score, real, fake),
            r1=lambda: squared_slopes(judged.real, real).mean() / 2,
            r2=lambda: squared_slopes(judged.fake, fake).mean() / 2,
            drift=lambda: drift(judged.real),
        )
        return loss.noting(judged.readings(self.adversarial.probability))

    def _deceive(self, real: Tensor, fake: Tensor, vectors: Tensor, told: Told) -> Loss:
        outputs = self._judge(fake, told)

        def features_of_real() -> Tensor:
            with torch.no_grad():
                return self.discriminator.features(real, told)

        return self.objectives["generator"](
            adversarial=lambda: self.adversarial.fool(
                outputs[0], lambda: self._judge(real, told)[0]
            ),
            categorical=lambda: self._categorical(outputs, vectors),
            continuous=lambda: self._continuous(outputs, vectors),
            feature_matching=lambda: feature_matching(
                self.discriminator.features(fake, told), features_of_real()
            ),
        )

    def _categorical(self, outputs: tuple[Tensor, ...], vectors: Tensor) -> Tensor:
        _, codes, _ = self.latent.split(vectors)
        logits = outputs[1].split([*self.latent.categorical, self.latent.continuous], dim=1)
        # zip ends with the codes: the last part of the logits is that of the continuous ones.
        losses = [cross_entropy(part, code) for part, code in zip(logits, codes, strict=False)]
        return torch.stack(losses).sum()

    def _continuous(self, outputs: tuple[Tensor, ...], vectors: Tensor) -> Tensor:
        """-log N(c; mean, 1) up to its constant, summed over the codes."""
        _, _, codes = self.latent.split(vectors)
        return l2(outputs[1][:, -self.latent.continuous :], codes) * self.latent.continuous / 2
