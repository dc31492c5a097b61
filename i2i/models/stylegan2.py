"""StyleGAN2: images from noise by way of styles.

Karras et al., "Analyzing and improving the image quality of StyleGAN", CVPR 2020; the order of the
turns is that of the authors' PyTorch implementation (Karras et al., "Training generative
adversarial networks with limited data", NeurIPS 2020).

The regularising terms, path length and R1, have turns of their own, in one of so many steps each
(the recipe's table [every]); their weight is multiplied by that number, and the players' learning
rates and betas are corrected for the additional turns (`share_of_turns`).
"""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, Self, cast

import torch
from annotated_types import Ge, Gt, Le
from torch import Tensor

from i2i.core.batch import Labelled
from i2i.core.model import Clock, Loss, Parts, Play
from i2i.core.registry import register_model
from i2i.errors import OptionsError
from i2i.losses import DiscriminatorOutputs, path_length_penalty, path_lengths, r1
from i2i.models._noise import NoiseModel, Told
from i2i.networks.stylegan2 import StyleGAN2Generator, draw_crossover, mix_styles

LAZY = {"generator": "path_length", "discriminator": "r1"}
"""The term of each player that has a turn of its own."""


@register_model("stylegan2")
class StyleGAN2(NoiseModel):
    """A generator that is steered by styles at each of its layers, and a discriminator.

    A step has up to four turns, each with latent vectors of its own: the generator's, that of its
    path lengths, the discriminator's, and that of R1. Generated images have the labels of the real
    ones of the step.

    Arguments:
        style_mixing: probability that layers from a random one on have the styles of other latent
            vectors (Karras et al. 2019, section 3.1); 0 draws none.
        path_length_decay: how much of a batch the average of path lengths takes.
        path_length_shrink: of the batch, path lengths are measured on one in so many images.
        parts: those of `NoiseModel`.
    """

    terms: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "generator": ("adversarial", "path_length"),
        "discriminator": ("fake", "real", "r1"),
    }
    zero_unreached = True  # as published

    def __init__(
        self,
        *,
        class_conditional: Annotated[
            Literal["ignored", "required", "if known"],
            "whether both networks are told the class of an image",
        ] = "ignored",
        style_mixing: Annotated[
            float, Ge(0), Le(1), "probability of two styles in an image; 0 for none"
        ] = 0.9,
        path_length_decay: Annotated[
            float, Gt(0), Le(1), "how much of a batch the average of path lengths takes"
        ] = 0.01,
        path_length_shrink: Annotated[
            int, Ge(1), "path lengths are measured on one in so many images"
        ] = 2,
        **parts: Any,
    ) -> None:
        super().__init__(class_conditional=class_conditional, **parts)
        self.style_mixing = style_mixing
        self.path_length_decay = path_length_decay
        self.path_length_shrink = path_length_shrink
        self.every: dict[str, int] = {}
        self.path_length: Tensor
        self.register_buffer("path_length", torch.zeros(()))

    @classmethod
    def assemble(cls, parts: Parts, **options: Any) -> Self:
        model = super().assemble(parts, **options)
        if not isinstance(model.generator, StyleGAN2Generator):
            raise OptionsError(
                "generator.network must be 'stylegan2' for this model, or another network with "
                "styles: take the model 'gan' for any other."
            )
        return model

    def play(self, batch: Labelled, clock: Clock) -> Play:
        real, labels, _ = batch
        told = labels if self.class_conditional else None
        paying = self.objectives["generator"]

        images, _ = self._draw(len(real), told, real)
        scores = self._judge(images, told)[0]
        yield (
            "generator",
            paying.part(
                adversarial=lambda: self.adversarial.fool(
                    scores, lambda: self._judge(real, told)[0]
                )
            ),
        )
        if paying.due("path_length"):
            yield "generator", paying.part(path_length=lambda: self._path_length(real, told))

        with torch.no_grad():
            fake, _ = self._draw(len(real), told, real)
        yield "discriminator", self._tell_apart(real, fake, told)

        paying = self.objectives["discriminator"]
        if paying.due("r1"):
            yield (
                "discriminator",
                paying.part(r1=lambda: r1(lambda each: self._judge(each, told)[0], real)),
            )

    def graph_key(self, clock: Clock) -> int:
        return 0  # the trainer itself knows of lazy terms

    def share_of_turns(self, player: str) -> float:
        every = self.every.get(LAZY[player], 1)
        return every / (every + 1)

    def set_lazy(self, every: Mapping[str, int]) -> None:
        super().set_lazy(every)
        for name in every:
            if name not in LAZY.values():
                raise OptionsError(
                    f"every.{name} is no term that this model computes in turns of their own: "
                    f"these are {' and '.join(LAZY.values())}."
                )
        self.every = dict(every)

    def _draw(self, count: int, told: Told, like: Tensor) -> tuple[Tensor, Tensor]:
        """Make images, (N, C, H, W), and tell their styles, (N, num_ws, style)."""
        generator = cast(StyleGAN2Generator, self.generator)
        ws = generator.styles(self.latent.draw(count, like.device), told)
        if self.style_mixing:
            crossover = draw_crossover(generator.num_ws, self.style_mixing, like.device)
            vectors = self.latent.draw(count, like.device)
            ws = mix_styles(ws, generator.styles(vectors, told, update_average=False), crossover)
        if torch.is_grad_enabled() and not ws.requires_grad:  # of a mapping that does not learn
            ws = ws.detach().requires_grad_()
        return generator.synthesis(ws), ws

    def _tell_apart(self, real: Tensor, fake: Tensor, told: Told) -> Loss:
        judged = DiscriminatorOutputs(lambda images: self._judge(images, told), real, fake)
        loss = self.objectives["discriminator"].part(
            fake=lambda: self.adversarial.fake(judged.fake, lambda: judged.real),
            real=lambda: self.adversarial.real(judged.real, lambda: judged.fake),
        )
        return loss.noting(judged.readings(self.adversarial.probability))

    def _path_length(self, real: Tensor, told: Told) -> Tensor:
        """The penalty; it moves the average of path lengths."""
        count = max(1, len(real) // self.path_length_shrink)
        images, ws = self._draw(count, told if told is None else told[:count], real)
        noise = torch.randn_like(images)
        penalty, mean = path_length_penalty(
            path_lengths(images, ws, noise), self.path_length, self.path_length_decay
        )
        self.path_length.copy_(mean)
        return penalty
