"""What models of images from noise have in common: all but the rules of the game."""

from collections.abc import Mapping
from typing import Any, ClassVar, Self, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from i2i.core.batch import Labelled, enlarged
from i2i.core.labels import LabelSpace
from i2i.core.latent import Latent
from i2i.core.model import AdversarialTerms, Generated, Model, Parts
from i2i.core.roles import NoiseDiscriminator, NoiseGenerator
from i2i.errors import OptionsError
from i2i.losses import mean_scores
from i2i.metrics.agreement import best_agreement

COLUMNS = 10
"""Images in a row of the sheet, at most."""

Told = Tensor | None
"""The labels that networks are told, (N, L), if any."""


def is_conditional(choice: str, labels: LabelSpace) -> bool:
    """Whether the networks are told the labels."""
    return choice == "required" or (choice == "if known" and len(labels.names) > 1)


class NoiseModel(Model[Labelled]):
    """A generator that makes images from noise, and a discriminator that tells them from real.

    Arguments:
        generator: (N, latent) and labels (N, L) or None -> (N, channels, H, W) in -1..1.
        discriminator: images and labels -> scores (N, ...), and the logits of codes if any.
        latent: what the generator makes images of.
        labels: what images may be; only used if `class_conditional`.
        adversarial: how scores become losses.
        weights: the weight of each term of `terms`.
        class_conditional: whether both networks are told the labels: "required", "ignored", or
            "if known", which asks for two labels at least.
    """

    data = "unconditional"
    monitor = "distance"
    generators = ("generator",)
    players: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "discriminator": ("discriminator",),
        "generator": ("generator",),
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
        class_conditional: str,
    ) -> None:
        super().__init__()
        self.generator = cast(NoiseGenerator, generator)
        self.discriminator = cast(NoiseDiscriminator, discriminator)
        self.latent = latent
        self.labels = labels
        self.adversarial = adversarial
        self.set_objectives(weights)
        self.class_conditional = is_conditional(class_conditional, labels)

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
        told = is_conditional(options["class_conditional"], parts.labels)
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
            **options,
        )

    def make_images(self, vectors: Tensor, labels: Tensor | None) -> Tensor:
        """Make images (N, C, H, W) of latent vectors; of full size, however far grown."""
        images = self.generator(vectors, labels if self.class_conditional else None)
        return enlarged(images, self.generator.size)

    def as_coarse(self, real: Tensor) -> Tensor:
        """Real images of the size that the networks are about at present."""
        return real

    def _judge(self, images: Tensor, told: Told) -> tuple[Tensor, ...]:
        """Scores, and the logits of the codes if there are any.

        Where there are twice as many images as labels, the labels are those of both halves.
        """
        if told is not None:
            told = told.repeat(len(images) // len(told), 1)
        outputs = self.discriminator(images, told)
        return outputs if isinstance(outputs, tuple) else (outputs,)

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
        real = self.as_coarse(real)
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
