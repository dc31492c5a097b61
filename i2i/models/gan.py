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
"""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from i2i.core.batch import Labelled, enlarged
from i2i.core.growth import Growth
from i2i.core.labels import LabelSpace
from i2i.core.latent import Latent
from i2i.core.model import (
    Clock,
    Generated,
    Loss,
    MixedBatch,
    Model,
    NCritic,
    NGenerator,
    Parts,
    Play,
)
from i2i.core.registry import register_model
from i2i.errors import OptionsError
from i2i.losses import (
    Adversarial,
    DiscriminatorOutputs,
    cross_entropy,
    drift,
    feature_matching,
    gradient_penalty,
    l2,
    mean_scores,
    r1,
)
from i2i.metrics.agreement import best_agreement

COLUMNS = 10
"""Images in a row of the sheet, at most."""

Told = Tensor | None


def _conditional(choice: str, labels: LabelSpace) -> bool:
    """Whether the networks are told the labels."""
    return choice == "required" or (choice == "if known" and len(labels.names) > 1)


@register_model("gan")
class GAN(Model):
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
        growth: when the networks grow, if they can.
    """

    data = "unconditional"
    monitor = "distance"
    generators = ("generator",)
    players: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "discriminator": ("discriminator",),
        "generator": ("generator",),
    }
    terms: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "generator": ("adversarial", "categorical", "continuous", "feature_matching"),
        "discriminator": (
            "real",
            "fake",
            "categorical",
            "continuous",
            "gradient_penalty",
            "r1",
            "drift",
        ),
    }

    def __init__(
        self,
        generator: nn.Module,
        discriminator: nn.Module,
        latent: Latent,
        labels: LabelSpace,
        adversarial: Adversarial,
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
        growth: Growth | None = None,
    ) -> None:
        super().__init__()
        self.generator: Any = generator
        self.discriminator: Any = discriminator
        self.latent = latent
        self.labels = labels
        self.adversarial = adversarial
        self.set_objectives(weights)
        self.class_conditional = _conditional(class_conditional, labels)
        self.n_critic = n_critic
        self.n_generator = n_generator
        self.mixed_batch = mixed_batch
        self.resample_latents = resample_latents
        self.growth = growth

    @classmethod
    def assemble(cls, parts: Parts, **options: Any) -> Self:
        assert parts.latent is not None
        names = parts.labels.names
        if options["class_conditional"] == "required" and len(names) < 2:
            raise OptionsError(
                f"data.domains (={list(names)}) must name two classes at least for a model that is "
                "told them: put each into a folder of its own, or take a data set with labels."
            )
        for term, codes in (
            ("categorical", parts.latent.categorical),
            ("continuous", parts.latent.continuous),
        ):
            if bool(parts.weights.get(term)) != bool(codes):
                raise OptionsError(
                    f"objective.{term} (={parts.weights.get(term, 0)}) and latent.{term} "
                    f"(={codes or 'none'}) go together: give both or none."
                )
        told = _conditional(options["class_conditional"], parts.labels)
        shape: dict[str, Any] = {"size": parts.size, "classes": len(names) if told else 0}
        return cls(
            generator=parts.generator(parts.latent.width, parts.output_channels, **shape),
            discriminator=parts.discriminator(
                parts.output_channels, **shape, codes=parts.latent.codes
            ),
            latent=parts.latent,
            labels=parts.labels,
            adversarial=parts.adversarial,
            weights=parts.weights,
            growth=parts.growth,
            **options,
        )

    def make_images(self, vectors: Tensor, labels: Tensor | None) -> Tensor:
        """Make images (N, C, H, W) of latent vectors; of full size, however far grown."""
        images: Tensor = self.generator(vectors, labels if self.class_conditional else None)
        return enlarged(images, self.generator.size)

    def play(self, batch: Labelled, clock: Clock) -> Play:
        real, labels, _ = batch
        told = labels if self.class_conditional else None
        if self.growth is not None:
            real = self.discriminator.shrink(real)

        def draw() -> tuple[Tensor, Tensor]:
            vectors = self.latent.draw(len(real), real.device)
            return vectors, self.generator(vectors, told)

        moves = clock.every(self.n_critic)
        with torch.set_grad_enabled(moves and not self.resample_latents):
            vectors, fake = draw()
        yield "discriminator", self._discriminate(real, fake.detach(), vectors, told)
        if not moves:
            return
        for turn in range(self.n_generator):
            if turn or self.resample_latents:
                vectors, fake = draw()
            yield "generator", self._deceive(real, fake, vectors, told)

    def on_step_start(self, clock: Clock) -> None:
        if self.growth is not None:
            stage, alpha = self.growth.stage(clock.step), self.growth.alpha(clock.step)
            self.generator.grow(stage, alpha)
            self.discriminator.grow(stage, alpha)

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

        judged = DiscriminatorOutputs(
            lambda images: self._judge(images, told), real, fake, together=self.mixed_batch
        )
        loss = self.objectives["discriminator"](
            real=lambda: self.adversarial.real(judged.real),
            fake=lambda: self.adversarial.fake(judged.fake),
            categorical=lambda: self._categorical(judged.of_fake, vectors),
            continuous=lambda: self._continuous(judged.of_fake, vectors),
            gradient_penalty=lambda: gradient_penalty(score, real, fake),
            r1=lambda: r1(score, real),
            drift=lambda: drift(judged.real),
        )
        return loss.noting(judged.readings(self.adversarial.probability))

    def _deceive(self, real: Tensor, fake: Tensor, vectors: Tensor, told: Told) -> Loss:
        outputs = self._judge(fake, told)

        def features_of_real() -> Tensor:
            with torch.no_grad():
                features: Tensor = self.discriminator.features(real, told)
            return features

        return self.objectives["generator"](
            adversarial=lambda: self.adversarial.fool(outputs[0]),
            categorical=lambda: self._categorical(outputs, vectors),
            continuous=lambda: self._continuous(outputs, vectors),
            feature_matching=lambda: feature_matching(
                self.discriminator.features(fake, told), features_of_real()
            ),
        )

    def _judge(self, images: Tensor, told: Told) -> tuple[Tensor, ...]:
        """Scores, and the logits of the codes if there are any.

        Where there are twice as many images as labels, the labels are those of both halves.
        """
        if told is not None:
            told = told.repeat(len(images) // len(told), 1)
        outputs = self.discriminator(images, told)
        return outputs if self.latent.codes else (outputs,)

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

    def generate(self, batch: Labelled) -> dict[str, Generated]:
        vectors = self.latent.draw(len(batch.images), batch.images.device)
        return {"samples": Generated(self.make_images(vectors, batch.labels), batch.images)}

    def visualize(self, batch: Labelled) -> dict[str, Tensor]:
        """Images of the same latent vectors each time. Each row of a model that is told labels,
        or has codes, is of the same noise."""
        rows = len(batch.images)
        vectors = self.latent.draw(rows, batch.images.device)
        if self.latent.codes:
            return self._varied(vectors)
        if self.class_conditional:
            labels = torch.eye(len(self.labels.names), device=vectors.device)[:COLUMNS]
            return {
                name: self.make_images(vectors, label.expand(rows, -1))
                for name, label in zip(self.labels.names, labels, strict=False)
            }
        columns = [vectors, *(self.latent.draw(rows, vectors.device) for _ in range(COLUMNS - 1))]
        return {f"{i + 1}": self.make_images(each, None) for i, each in enumerate(columns)}

    def _varied(self, vectors: Tensor) -> dict[str, Tensor]:
        """One code varies along each row: first the categories, then what is continuous."""
        values = {name: self.latent.values(name, COLUMNS)[:COLUMNS] for name in self.latent.names}
        images: list[list[Tensor]] = [[] for _ in range(COLUMNS)]
        for name in self.latent.names:
            still = vectors
            for other in self.latent.names[len(self.latent.categorical) :]:
                still = self.latent.with_code(still, other, 0.0)
            for column in range(COLUMNS):
                value = values[name][column % len(values[name])]
                images[column].append(
                    self.make_images(self.latent.with_code(still, name, value), None)
                )
        return {f"{i + 1}": torch.cat(each) for i, each in enumerate(images)}

    def validation_step(self, batch: Labelled) -> dict[str, Tensor]:
        """What the discriminator makes of held-out images and of generated ones.

        `agreement`, where images have labels and latent vectors a categorical code: which
        category the discriminator finds in a real image of which label.
        """
        real, labels, _ = batch
        told = labels if self.class_conditional else None
        fake = self.generator(self.latent.draw(len(real), real.device), told)
        if self.growth is not None:
            real = self.discriminator.shrink(real)
        outputs = self._judge(real, told)
        measured = {
            "discriminator/score_real": mean_scores(outputs[0]),
            "discriminator/score_fake": mean_scores(self._judge(fake, told)[0]),
        }
        if self.latent.categorical and len(self.labels.names) > 1:
            categories = self.latent.categorical[0]
            found = F.one_hot(outputs[1][:, :categories].argmax(dim=1), categories).float()
            measured["agreement"] = found[:, :, None] * labels[:, None, :]
        return measured

    def reduce(self, measured: Mapping[str, Tensor]) -> dict[str, float]:
        means = {name: values.mean(dim=0) for name, values in measured.items()}
        return {
            name: best_agreement(mean.cpu().numpy()) if name == "agreement" else mean.item()
            for name, mean in means.items()
        }
