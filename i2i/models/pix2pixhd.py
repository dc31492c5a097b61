"""pix2pixHD: paired translation of large images and label maps.

Wang, Liu, Zhu, Tao, Kautz, Catanzaro: High-Resolution Image Synthesis and Semantic Manipulation
with Conditional GANs, CVPR 2018.
"""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Self

from annotated_types import Ge, Le
from torch import Tensor, nn

from i2i.core.batch import Pair
from i2i.core.model import AdversarialTerms, Clock, Parts, Play
from i2i.core.registry import register_model
from i2i.errors import OptionsError
from i2i.losses.multiscale import layer_matching
from i2i.models._multiscale import Layers, Perceptual, paid, readings, score
from i2i.models._paired import PairedModel, beside
from i2i.networks.pix2pixhd import halved

AS_LAYERS = 4
"""Published feature matching weighs the layers as if there were so many."""

COARSE, FIXED, WHOLE = "coarse", "fixed", "whole"


@register_model("pix2pixhd")
class Pix2PixHD(PairedModel):
    """A generator against discriminators of several scales, whose layers it has to match.

    The turns are simultaneous: both losses are computed with the same networks before either
    moves (equations 3 to 5 of the paper; sums over the scales).

    With a generator of enhancers, a run may go from coarse to fine (section 3.1): for a first share
    of it the global generator is trained alone on shrunk images, by a layer of its own that makes
    an image of its features; then, for another share, the last enhancer alone; then everything.
    The optimizers forget at each change. In use it is always the whole network.

    Arguments:
        generator: (N, source channels, H, W) -> (N, target channels, H, W) in -1..1; or, of one
            that upscales ("unet", "resnet"), to images so many times as high and wide.
        discriminator: (N, source + target channels, H, W) -> scores for each scale, with `layers`.
        adversarial: how scores become losses.
        weights: the weight of each term of `terms`.
        coarse: share of the run in which the global generator is trained alone.
        fixed_global: share of the run, after that, in which the last enhancer is trained alone.
        perceptual_features: the network whose features the term `perceptual` compares.

    Raises:
        OptionsError: the phases are for a generator of enhancers; or a weight is unknown.
    """

    players: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "generator": ("generator",),
        "discriminator": ("discriminator",),
    }
    terms: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "generator": ("adversarial", "feature_matching", "perceptual"),
        "discriminator": ("real", "fake"),
    }
    compares_layers = True
    upscales = True

    def __init__(
        self,
        generator: nn.Module,
        discriminator: nn.Module,
        adversarial: AdversarialTerms,
        weights: Mapping[str, float],
        *,
        coarse: Annotated[
            float, Ge(0), Le(1), "share of the run in which the global generator learns alone"
        ] = 0.0,
        fixed_global: Annotated[
            float, Ge(0), Le(1), "share of it, after that, in which the last enhancer does"
        ] = 0.0,
        perceptual_features: Annotated[
            str, "what `perceptual` compares: vgg19, efficientnet-lite0, or of a plug-in"
        ] = "vgg19",
    ) -> None:
        super().__init__()
        self.generator: Any = generator
        self.discriminator: Any = discriminator
        self.adversarial = adversarial
        self.set_objectives(weights)
        self.coarse, self.fixed_global = coarse, fixed_global
        self.costs_most_at = coarse + fixed_global
        self._perceptual = Perceptual(perceptual_features, used=bool(weights.get("perceptual")))
        self._phase = WHOLE

    @classmethod
    def assemble(cls, parts: Parts, **options: Any) -> Self:
        inputs, outputs = parts.input_channels, parts.output_channels
        coarse, fixed = options["coarse"], options["fixed_global"]
        if coarse + fixed > 1:
            raise OptionsError(
                f"game.coarse (={coarse}) and game.fixed_global (={fixed}) are shares of one run: "
                "together they must be at most 1."
            )
        generator = parts.generator(inputs, outputs, **({"coarse_head": True} if coarse else {}))
        if (coarse or fixed) and not hasattr(generator, "outermost"):
            raise OptionsError(
                f"game.coarse (={coarse}) and game.fixed_global (={fixed}) are phases of a "
                "generator of enhancers: take generator.network = 'pix2pixhd-enhancer', or 0."
            )
        discriminator = parts.discriminator(inputs + outputs)
        if not hasattr(discriminator, "layers"):
            raise OptionsError(
                "discriminator.network must be one of several scales: take 'multiscale-patchgan'."
            )
        return cls(generator, discriminator, parts.adversarial, parts.weights, **options)

    def phase(self, clock: Clock) -> str:
        """What is trained in a step."""
        if clock.share < self.coarse:
            return COARSE
        return FIXED if clock.share < self.coarse + self.fixed_global else WHOLE

    def on_step_start(self, clock: Clock) -> None:
        if not (self.coarse or self.fixed_global):
            return
        self._phase = self.phase(clock)
        parts = {
            COARSE: (self.generator.model, self.generator.coarse_head),
            FIXED: self.generator.outermost(),
            WHOLE: (self.generator,),
        }
        self.generator.requires_grad_(False)
        for part in parts[self._phase]:
            part.requires_grad_(True)

    def resets_optimizers(self, clock: Clock) -> bool:
        if clock.step == 0:
            return False
        last = Clock(clock.step - 1, clock.share * (clock.step - 1) / clock.step)
        return self.phase(clock) != self.phase(last)

    def graph_key(self, clock: Clock) -> str:
        return self.phase(clock)

    def play(self, batch: Pair, clock: Clock) -> Play:
        source, target = batch
        if self.phase(clock) == COARSE:
            fake = self.generator.coarse(source)
            for _ in range(self.generator.enhancers):
                source, target = halved(source), halved(target)
        else:
            fake = self.generator(source)

        def judge(image: Tensor) -> Layers:
            layers: Layers = self.discriminator.layers(beside(source, image))
            return layers

        # In this order, all by the networks as they are before either moves.
        of_detached, of_real, of_fake = judge(fake.detach()), judge(target), judge(fake)
        fool, real, false = self.adversarial.fool, self.adversarial.real, self.adversarial.fake
        yield (
            "generator",
            self.objectives["generator"](
                adversarial=lambda: paid(fool, of_fake, of_real),
                feature_matching=lambda: layer_matching(of_fake, of_real, as_layers=AS_LAYERS),
                perceptual=lambda: self._perceptual(fake, target),
                **self.compare(fake, target),
            ),
        )
        yield (
            "discriminator",
            self.objectives["discriminator"](
                fake=lambda: paid(false, of_detached, of_real),
                real=lambda: paid(real, of_real, of_detached),
            ).noting(readings(of_real, of_detached, self.adversarial.probability)),
        )

    def visualize(self, batch: Pair) -> dict[str, Tensor]:
        columns = super().visualize(batch)
        if self._phase == COARSE:
            columns["coarse"] = nn.functional.interpolate(
                self.generator.coarse(batch.source), size=batch.target.shape[2:]
            )
        return columns

    def score(self, source: Tensor, image: Tensor) -> Tensor:
        return score(self.discriminator, source, image)
