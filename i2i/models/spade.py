"""SPADE (GauGAN): images from label maps, which every layer is told; one or many for each map.

Park, Liu, Wang, Zhu: Semantic Image Synthesis with Spatially-Adaptive Normalization, CVPR 2019.
"""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Self

import torch
from annotated_types import Ge, Le
from torch import Tensor, nn

from i2i.core.batch import Pair
from i2i.core.model import AdversarialTerms, Clock, Generated, NCritic, Parts, Play
from i2i.core.registry import register_model
from i2i.errors import OptionsError
from i2i.losses.multiscale import layer_matching
from i2i.losses.variational import kl_divergence
from i2i.models._multiscale import Layers, Perceptual, paid, readings, score
from i2i.models._paired import PairedModel, beside
from i2i.networks.spade import draw_style

PERCEPTUAL = "what `perceptual` compares: vgg19, efficientnet-lite0, or of a plug-in"


class _Spade(PairedModel):
    """The game, without or with an encoder of styles.

    The generator moves first. The discriminator then sees another fake of the generator that has
    just moved, with another style. Both of its turns show it generated and real images in one
    batch; what scores cost is a mean over scales.
    """

    compares_layers = True

    def __init__(
        self,
        generator: nn.Module,
        discriminator: nn.Module,
        adversarial: AdversarialTerms,
        weights: Mapping[str, float],
        n_critic: int,
        perceptual_features: str,
    ) -> None:
        super().__init__()
        self.generator: Any = generator
        self.discriminator: Any = discriminator
        self.style_encoder: Any = None
        self.adversarial = adversarial
        self.set_objectives(weights)
        self.n_critic = n_critic
        self._perceptual = Perceptual(perceptual_features, used=bool(weights.get("perceptual")))

    def noise(self, like: Tensor) -> Tensor:
        """Draw standard normal numbers (N, style) for styles."""
        return torch.randn_like(like)

    def moves(self, clock: Clock) -> bool:
        """Whether the generator has a turn: in the first of each `n_critic` steps."""
        return clock.step % self.n_critic == 0

    def play(self, batch: Pair, clock: Clock) -> Play:
        condition, real = batch
        adversarial = self.adversarial
        if self.moves(clock):
            fake, divergence = self._drawn(condition, real)
            of_fake, of_real = self._judged(condition, fake, real)
            yield (
                "generator",
                self.objectives["generator"](
                    adversarial=lambda: paid(adversarial.fool, of_fake, of_real, mean=True),
                    feature_matching=lambda: layer_matching(of_fake, of_real),
                    perceptual=lambda: self._perceptual(fake, real),
                    **divergence,
                    **self.compare(fake, real),
                ),
            )
        with torch.no_grad():
            again, _ = self._drawn(condition, real)
        false, true = self._judged(condition, again, real)
        yield (
            "discriminator",
            self.objectives["discriminator"](
                fake=lambda: paid(adversarial.fake, false, true, mean=True),
                real=lambda: paid(adversarial.real, true, false, mean=True),
            ).noting(readings(true, false, adversarial.probability)),
        )

    def _drawn(self, condition: Tensor, real: Tensor) -> tuple[Tensor, dict[str, Any]]:
        """Images of label maps, in the styles of real ones; and the term about these styles."""
        if self.style_encoder is None:
            return self.generator(condition), {}
        mean, logvar = self.style_encoder(real)
        style = draw_style(mean, logvar, self.noise(mean))
        return self.generator(condition, style), {"kl": lambda: kl_divergence(mean, logvar)}

    def _judged(self, condition: Tensor, fake: Tensor, real: Tensor) -> tuple[Layers, Layers]:
        both = torch.cat([beside(condition, fake), beside(condition, real)])
        pairs = [
            [layer.chunk(2) for layer in of_scale] for of_scale in self.discriminator.layers(both)
        ]
        of_fake, of_real = ([[pair[i] for pair in layers] for layers in pairs] for i in (0, 1))
        return of_fake, of_real

    def translated(self, source: Tensor) -> Tensor:
        """What is made of label maps: with styles, one of noise for each."""
        return self._drawn_in(source, self._styles(source))

    def _styles(self, source: Tensor) -> Tensor | None:
        """A style of noise for each of some label maps; None without styles."""
        if self.style_encoder is None:
            return None
        return self.noise(source.new_empty(len(source), self.generator.style))

    def _drawn_in(self, source: Tensor, styles: Tensor | None) -> Tensor:
        made: Tensor = self.generator(source) if styles is None else self.generator(source, styles)
        return made

    def visualize(self, batch: Pair) -> dict[str, Tensor]:
        columns = super().visualize(batch)
        if self.style_encoder is not None:
            mean, _ = self.style_encoder(batch.target)
            columns["in its own style"] = self.generator(batch.source, mean)
        return columns

    def score(self, source: Tensor, image: Tensor) -> Tensor:
        return score(self.discriminator, source, image)

    def generate(self, batch: Pair) -> dict[str, Generated]:
        source, styles = batch.source, self._styles(batch.source)
        made = Generated(self._drawn_in(source, styles), batch.target, source, paired=True)
        if styles is not None and len(source) > 1:  # the style of another image is another style
            made = made._replace(again=self._drawn_in(source, styles.roll(1, 0)))
        return {"output": made}


def _discriminator(parts: Parts) -> nn.Module:
    discriminator = parts.discriminator(parts.input_channels + parts.output_channels)
    if not hasattr(discriminator, "layers"):
        raise OptionsError(
            "discriminator.network must be one of several scales: take "
            "'multiscale-spectral-patchgan'."
        )
    return discriminator


@register_model("spade")
class Spade(_Spade):
    """One image for each label map.

    Arguments:
        generator: (N, source channels, H, W) -> (N, target channels, H, W) in -1..1.
        discriminator: (N, source + target channels, H, W) -> scores for each scale, with `layers`.
        adversarial: how scores become losses.
        weights: the weight of each term of `terms`.
        n_critic: turns of the discriminator for each one of the generator.
        perceptual_features: the network whose features the term `perceptual` compares.
    """

    players: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "generator": ("generator",),
        "discriminator": ("discriminator",),
    }
    terms: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "generator": ("adversarial", "feature_matching", "perceptual"),
        "discriminator": ("real", "fake"),
    }

    def __init__(
        self,
        generator: nn.Module,
        discriminator: nn.Module,
        adversarial: AdversarialTerms,
        weights: Mapping[str, float],
        *,
        n_critic: NCritic = 1,
        perceptual_features: Annotated[str, PERCEPTUAL] = "vgg19",
    ) -> None:
        super().__init__(
            generator, discriminator, adversarial, weights, n_critic, perceptual_features
        )

    @classmethod
    def assemble(cls, parts: Parts, **options: Any) -> Self:
        return cls(
            parts.generator(parts.input_channels, parts.output_channels),
            _discriminator(parts),
            parts.adversarial,
            parts.weights,
            **options,
        )

    def graph_key(self, clock: Clock) -> bool:
        return self.moves(clock)


@register_model("spade-vae")
class SpadeVAE(_Spade):
    """Many images for each label map: in the style of a picture, or of one from noise.

    The encoder learns with the generator: what it says of the real image becomes the style of the
    generated one, and `kl` keeps the styles of all images near to standard normal numbers
    (section 3, "multi-modal synthesis").

    Arguments are those of `Spade`, and:
        style_encoder: (N, target channels, H, W) -> mean and logvar of a style, both (N, style).
        style: numbers of a style.
    """

    roles = ("generator", "discriminator", "style_encoder")
    companions = ("style_encoder",)
    players: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "generator": ("generator", "style_encoder"),
        "discriminator": ("discriminator",),
    }
    terms: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "generator": ("adversarial", "feature_matching", "perceptual", "kl"),
        "discriminator": ("real", "fake"),
    }

    def __init__(
        self,
        generator: nn.Module,
        discriminator: nn.Module,
        style_encoder: nn.Module,
        adversarial: AdversarialTerms,
        weights: Mapping[str, float],
        *,
        style: Annotated[int, Ge(1), Le(65536), "numbers of a style"] = 256,
        n_critic: NCritic = 1,
        perceptual_features: Annotated[str, PERCEPTUAL] = "vgg19",
    ) -> None:
        super().__init__(
            generator, discriminator, adversarial, weights, n_critic, perceptual_features
        )
        self.style_encoder = style_encoder
        self.style = style

    @classmethod
    def assemble(cls, parts: Parts, **options: Any) -> Self:
        style = options["style"]
        more: dict[str, Any] = {"size": parts.crop.shape, "style": style}
        return cls(
            parts.generator(parts.input_channels, parts.output_channels, **more),
            _discriminator(parts),
            parts.make_network("style_encoder", parts.output_channels, style),
            parts.adversarial,
            parts.weights,
            **options,
        )

    def graph_key(self, clock: Clock) -> bool:
        return self.moves(clock)
