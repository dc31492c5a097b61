"""StarGAN v2: many images of each domain, by a style from noise or from a reference.

Choi, Uh, Yoo, Ha: StarGAN v2: Diverse Image Synthesis for Multiple Domains, CVPR 2020.
"""

from collections.abc import Callable, Mapping
from typing import Annotated, Any, ClassVar, Self, cast

import torch
from annotated_types import Ge
from torch import Tensor, nn

from i2i.core.batch import Labelled, Referenced
from i2i.core.labels import LabelSpace
from i2i.core.model import AdversarialTerms, Clock, Generated, Loss, Model, Parts, Play
from i2i.core.registry import register_model
from i2i.core.roles import DomainDiscriminator, StyledGenerator, StyleNetwork
from i2i.errors import OptionsError
from i2i.losses import DiscriminatorOutputs, diversity, l1, mean_scores, squared_slopes
from i2i.metrics.images import l1_distance

Style = Callable[[int], Tensor]
"""The style (N, style_dim) of the translation (0), or of another one beside it (1)."""


@register_model("stargan-v2")
class StarGANv2(Model[Referenced]):
    """A generator that is told a style, which a mapping network makes of noise, or an encoder of an
    image.

    A step has four turns about the same images: the discriminator moves for styles from noise and
    for those from references, then generator, mapping network and style encoder together for styles
    from noise, then the generator alone for those from references, as published. Equations of the
    paper: `style_reconstruction` is 2, `diversity` 3 (minus the distance, so that a positive weight
    rewards it), `cycle` 4. In the log, terms of the turns with references end in `_reference`.

    Arguments:
        generator: (N, channels, H, W) and styles (N, style_dim) -> (N, channels, H, W).
        mapping_network: (N, latent_size) and numbers of domains (N,) -> styles.
        style_encoder: (N, channels, H, W) and numbers of domains -> styles.
        discriminator: (N, channels, H, W) and numbers of domains -> scores (N, ...).
        labels: one set of domains.
        adversarial: how scores become losses.
        weights: the weight of each term of `terms`.
        latent_size: numbers of noise.
        style_dim: numbers of a style.
        diversity_steps: steps over which the weight of `diversity` falls linearly to 0.
    """

    data = "domains"
    references = 2
    monitor = "domain_accuracy"
    roles = ("generator", "mapping_network", "style_encoder", "discriminator")
    generators = ("generator",)
    companions = ("mapping_network", "style_encoder")
    players: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "discriminator": ("discriminator",),
        "generator": ("generator", "mapping_network", "style_encoder"),
    }
    terms: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "generator": ("adversarial", "style_reconstruction", "diversity", "cycle"),
        "discriminator": ("real", "fake", "r1"),
    }
    diversity_left: Tensor

    def __init__(
        self,
        generator: nn.Module,
        mapping_network: nn.Module,
        style_encoder: nn.Module,
        discriminator: nn.Module,
        labels: LabelSpace,
        adversarial: AdversarialTerms,
        weights: Mapping[str, float],
        *,
        latent_size: Annotated[int, Ge(1), "numbers of noise that a style is made of"] = 16,
        style_dim: Annotated[int, Ge(1), "numbers of a style"] = 64,
        diversity_steps: Annotated[
            int, Ge(0), "steps over which the weight of diversity falls to 0; 0: it stays"
        ] = 100_000,
    ) -> None:
        super().__init__()
        self.generator = cast(StyledGenerator, generator)
        self.mapping_network = cast(StyleNetwork, mapping_network)
        self.style_encoder = cast(StyleNetwork, style_encoder)
        self.discriminator = cast(DomainDiscriminator, discriminator)
        self.labels = labels
        self.adversarial = adversarial
        self.set_objectives(weights)
        self.latent_size = latent_size
        self.style_dim = style_dim
        self.diversity_steps = diversity_steps
        self.register_buffer("diversity_left", torch.ones(()), persistent=False)

    @classmethod
    def assemble(cls, parts: Parts, **options: Any) -> Self:
        channels, size = parts.input_channels, parts.size
        if channels != parts.output_channels:
            raise OptionsError(
                f"data.output_channels (={parts.output_channels}) must be data.input_channels "
                f"(={channels}) for StarGAN v2, which translates its own results back."
            )
        sets, domains = parts.labels.sets, len(parts.labels.names)
        if len(sets) != 1 or not sets[0].exclusive or domains < 2:
            raise OptionsError(
                f"StarGAN v2 translates between domains of one data set, of which each image is in "
                f"one: data.domains (={list(parts.labels.names)}) must name two at least, without "
                "data.attributes and data.more."
            )
        latent, style = options["latent_size"], options["style_dim"]
        make = parts.make_network
        return cls(
            generator=make("generator", channels, size, style),
            mapping_network=make("mapping_network", latent, domains, style),
            style_encoder=make("style_encoder", channels, size, domains, style),
            discriminator=make("discriminator", channels, size, domains),
            labels=parts.labels,
            adversarial=parts.adversarial,
            weights=parts.weights,
            **options,
        )

    def translate(self, images: Tensor, style: Tensor) -> Tensor:
        return self.generator(images, style)

    def noise(self, count: int, device: torch.device) -> Tensor:
        """Draw noise (`count`, latent_size) that styles are made of."""
        return torch.randn(count, self.latent_size, device=device)

    def on_step_start(self, clock: Clock) -> None:
        if self.diversity_steps:
            self.diversity_left.fill_(max(0.0, 1 - clock.step / self.diversity_steps))

    def graph_key(self, clock: Clock) -> bool:
        return True

    def play(self, batch: Referenced, clock: Clock) -> Play:
        real, targets = batch.images, batch.targets.argmax(dim=1)
        domains = batch.labels.argmax(dim=1)
        noise = [self.noise(len(real), real.device) for _ in range(2)]
        references = batch.references, batch.others

        def from_noise(which: int) -> Tensor:
            style: Tensor = self.mapping_network(noise[which], targets)
            return style

        @torch.no_grad()  # the encoder does not move in the turns about references
        def from_references(which: int) -> Tensor:
            style: Tensor = self.style_encoder(references[which], targets)
            return style

        yield "discriminator", self._discriminate(real, domains, targets, from_noise, "")
        loss = self._discriminate(real, domains, targets, from_references, "_reference")
        yield "discriminator", loss
        yield "generator", self._translate(real, domains, targets, from_noise)
        loss = self._translate(real, domains, targets, from_references)
        yield "generator", loss.named("_reference").moving("generator")

    def _discriminate(
        self, real: Tensor, domains: Tensor, targets: Tensor, style: Style, ending: str
    ) -> Loss:
        with torch.no_grad():
            fake = self.translate(real, style(0))
        real = real.detach().requires_grad_()
        judged = DiscriminatorOutputs(
            lambda images: self.discriminator(images, domains),
            real,
            fake,
            judge_fake=lambda images: self.discriminator(images, targets),
        )
        loss = self.objectives["discriminator"](
            real=lambda: self.adversarial.real(judged.real, lambda: judged.fake),
            fake=lambda: self.adversarial.fake(judged.fake, lambda: judged.real),
            r1=lambda: squared_slopes(judged.real, real).mean() / 2,
        )
        readings = judged.readings(self.adversarial.probability, ending)
        return loss.named(ending).noting(readings)

    def _translate(self, real: Tensor, domains: Tensor, targets: Tensor, style: Style) -> Loss:
        wanted = style(0)
        fake = self.translate(real, wanted)

        def rewarded() -> Tensor:
            with torch.no_grad():
                other = self.translate(real, style(1))
            return -self.diversity_left * diversity(fake, other)

        return self.objectives["generator"](
            adversarial=lambda: self.adversarial.fool(
                self.discriminator(fake, targets), lambda: self.discriminator(real, domains)
            ),
            # The style itself is not detached: the mapping network learns to be recognised.
            style_reconstruction=lambda: l1(self.style_encoder(fake, targets), wanted),
            diversity=rewarded,
            cycle=lambda: l1(self.translate(fake, self.style_encoder(real, domains)), real),
        )

    def side_of(self, name: str) -> int:
        """All images are of one kind, what is translated and what is made."""
        return 0

    def visualize(self, batch: Labelled | Referenced) -> dict[str, Tensor]:
        """Below the images, in the first row, the references that a column has its style from: one
        of each domain. Before them a column for each domain, of one style from noise."""
        real, domains = batch.images, batch.labels.argmax(dim=1)
        blank = torch.ones_like(real[:1])
        columns = {"input": torch.cat([blank, real])}
        noise = self.noise(1, real.device)
        for number, name in enumerate(self.labels.names):
            style = self.mapping_network(noise, torch.full_like(domains[:1], number))
            columns[name] = torch.cat([blank, self.translate(real, style.expand(len(real), -1))])
        first = {int(at): number for number, at in reversed([*enumerate(domains)])}
        for at, number in sorted(first.items()):
            reference = real[number : number + 1]
            style = self.style_encoder(reference, torch.full_like(domains[:1], at))
            translated = self.translate(real, style.expand(len(real), -1))
            columns[f"like this {self.labels.names[at]}"] = torch.cat([reference, translated])
        return columns

    def generate(self, batch: Labelled | Referenced) -> dict[str, Generated]:
        """Each image is translated to the domain of its successor in the batch, by a style from
        noise and by that of the successor, and should then be like that."""
        real, wanted = batch.images, batch.labels.roll(-1, 0)
        targets, references = wanted.argmax(dim=1), real.roll(-1, 0)
        noise = self.noise(len(real), real.device)
        styles = {
            "noise": self.mapping_network(noise, targets),
            "reference": self.style_encoder(references, targets),
        }
        made = {
            name: Generated(self.translate(real, style), references, real, labels=wanted)
            for name, style in styles.items()
        }
        if len(real) > 1:  # the noise of another image is other noise
            style = self.mapping_network(noise.roll(1, 0), targets)
            made["noise"] = made["noise"]._replace(again=self.translate(real, style))
        return made

    def validation_step(self, batch: Labelled | Referenced) -> dict[str, Tensor]:
        """`diversity` is the distance of two translations of an image by styles from noise,
        `reconstruction` that of an image from its way there and back."""
        real, domains = batch.images, batch.labels.argmax(dim=1)
        targets = domains.roll(-1, 0)
        one, other = (
            self.translate(real, self.mapping_network(self.noise(len(real), real.device), targets))
            for _ in range(2)
        )
        back = self.translate(one, self.style_encoder(real, domains))
        return {
            "diversity": l1_distance(one, other),
            "reconstruction": l1_distance(back, real),
            "discriminator/score_real": mean_scores(self.discriminator(real, domains)),
            "discriminator/score_fake": mean_scores(self.discriminator(one, targets)),
        }
