"""[adversarial], [augment_discriminator], [latent] and [growth]: the rules of the game, and what it
is about."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from i2i.config.section import Count, Positive, Section, Share, Side, Width


class Adversarial(Section):
    """How the players' scores become losses, and what is done to keep the game in balance."""

    loss: Literal["vanilla", "least-squares", "wasserstein", "hinge", "relativistic"]
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = Field(
        0.0, description="real images are taught as 1 - x"
    )
    fake_label_smoothing: Annotated[float, Field(ge=0, lt=1)] = Field(
        0.0, description="generated images are taught as x: two-sided smoothing"
    )
    label_noise: Annotated[float, Field(ge=0, le=0.5)] = Field(
        0.0, description="share of the discriminator's labels that are wrong"
    )
    saturating: bool = Field(False, description="vanilla: the generator of the original game")
    instance_noise: Annotated[float, Field(ge=0)] = Field(
        0.0, description="deviation of noise on the discriminator's input, at the beginning"
    )
    instance_noise_until: Annotated[float, Field(gt=0, le=1)] = Field(
        1.0, description="share of the run over which that noise fades away"
    )
    clip: Annotated[float, Field(ge=0)] = Field(
        0.0, description="a critic's weights are clipped to -x..x after its turn"
    )


class AugmentDiscriminator(Section):
    """Random changes of everything that discriminators see, real and generated; for small data."""

    policy: str = Field(
        "off",
        max_length=200,
        description="color,translation,cutout (DiffAugment), bgc (ADA), r3gan, parts of it, or off",
    )
    probability: Share | None = Field(
        None, description="of a change, at the beginning if adaptive; DiffAugment 1, adaptive 0"
    )
    adaptive: bool = Field(False, description="let the scores of real images move the probability")
    target: Annotated[float, Field(gt=-1, lt=1)] = Field(
        0.6, description="adaptive: the mean sign of these scores that is aimed at"
    )
    kimg: Positive = Field(
        500.0, description="adaptive: thousands of images in which the probability moves by 1"
    )
    interval: Count = Field(4, description="adaptive: steps from one move to the next")
    color_condition: bool = Field(
        True, description="the source beside a judged image changes its colours, too"
    )

    @property
    def on(self) -> bool:
        return self.policy not in ("", "off")

    @model_validator(mode="after")
    def _adapts_something(self) -> "AugmentDiscriminator":
        if self.adaptive and not self.on:
            raise ValueError(
                f"adaptive (=true) needs something to adapt, but policy is {self.policy!r}: take "
                "'bgc'"
            )
        return self


class Latent(Section):
    """What a generator is told that makes images from noise."""

    size: Width = Field(100, description="numbers of noise")
    distribution: Literal["normal", "uniform"] = "normal"
    categorical: tuple[Annotated[int, Field(ge=2, le=16384)], ...] = Field(
        (), max_length=100, description="categories of each categorical code"
    )
    continuous: Annotated[int, Field(ge=0, le=16384)] = Field(
        0, description="number of continuous codes"
    )


class Stage(Section):
    """A resolution of networks that grow: how long the new layers fade in and then hold."""

    size: Side
    batch_size: Count | None = Field(None, description="by default train.batch_size")
    fade: Annotated[int, Field(ge=0, le=10**12)] = Field(description="steps")
    hold: Annotated[int, Field(ge=0, le=10**12)] = Field(description="steps")


class Growth(Section):
    stages: Annotated[tuple[Stage, ...], Field(min_length=1, max_length=16)]

    @model_validator(mode="after")
    def _sizes_double(self) -> "Growth":
        sizes = [stage.size for stage in self.stages]
        if sizes != [4 * 2**i for i in range(len(sizes))]:
            raise ValueError(f"stages (={sizes}) must have the sizes 4, 8, 16, ...")
        if self.stages[0].fade:
            raise ValueError("the first of the stages has nothing to fade in from: fade = 0")
        if any(stage.fade + stage.hold == 0 for stage in self.stages):
            raise ValueError("each of the stages needs a step at least: fade or hold")
        return self
