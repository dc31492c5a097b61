"""All tables together."""

from typing import Any, Literal

import tomli_w
from pydantic import Field, SerializeAsAny, model_validator

from i2i.config.adversarial import Adversarial, AugmentDiscriminator, Growth, Latent
from i2i.config.data import Data
from i2i.config.parts import Network
from i2i.config.section import Count, Names, Section, Weight
from i2i.config.training import Anneal, Inference, Optimizer, Schedule, Train


class Plugin(Section):
    """A file whose parts a run uses: its name and the SHA-256 of its content."""

    file: str = Field(description="its name")
    sha256: str = Field(pattern="^[0-9a-f]{64}$", description="of its content")


class Own(Section):
    """[own]: what a program gave as objects (`i2i.train`), by name; no file holds them.

    Networks, the model and the data are named in their own tables: `network = "own:MyNetwork"`.
    """

    losses: Names = Field((), description="losses of two images that a program gave as functions")
    metrics: Names = Field((), description="what validations measure by functions of a program")
    schedule: str = Field("", description="what sets the learning rates instead of [schedule]")


class Options(Section):
    """Everything that decides what a run does."""

    model: str = Field(description="the game that is played: see `i2i models`")
    plugins: tuple[Plugin, ...] = Field((), description="files that register parts")
    summary: str = Field("", description="a line about the recipe, for `i2i models`")
    data: Data
    networks: dict[str, SerializeAsAny[Network]] = Field(
        description="role -> the table of its network, such as [generator]"
    )
    game: SerializeAsAny[Section] = Field(description="the options of the model itself")
    adversarial: Adversarial = Adversarial(loss="vanilla")
    augment_discriminator: AugmentDiscriminator = AugmentDiscriminator()
    objective: dict[str, Weight | Literal["auto"]] = Field(
        description="term -> its weight (0: not computed); auto, of r1: 0.0002 * size**2 / batch"
    )
    every: dict[str, Count] = Field(
        {}, description="term -> it is computed once in so many turns, with as much more weight"
    )
    anneal: Anneal = Anneal()
    latent: Latent | None = None
    growth: Growth | None = None
    optimizer: Optimizer
    schedule: Schedule = Schedule()
    train: Train
    inference: Inference = Inference()
    own: Own | None = None

    @property
    def generator(self) -> Network:
        """The table [generator]."""
        return self.networks["generator"]

    @property
    def upscale(self) -> int:
        """How many times wider and higher what is made is than what is translated."""
        return int(getattr(self.networks.get("generator"), "upscale", 1))

    @property
    def discriminator(self) -> Network:
        """The table [discriminator]."""
        return self.networks["discriminator"]

    @model_validator(mode="after")
    def _scores_have_a_middle(self) -> "Options":
        loss = self.adversarial.loss
        if self.augment_discriminator.adaptive and loss not in (
            "vanilla",
            "least-squares",
            "hinge",
        ):
            raise ValueError(
                "augment_discriminator.adaptive (=true) goes by the sign of scores, which means "
                f"nothing with adversarial.loss = {loss!r}: set it to false and give "
                "augment_discriminator.probability, or take another loss"
            )
        return self

    @model_validator(mode="after")
    def _growth_fits(self) -> "Options":
        if self.growth is None:
            return self
        last = self.growth.stages[-1].size
        if self.data.cropped != (last, last):
            raise ValueError(
                f"data.crop_size (={self.data.cropped}) must be the size of the last of "
                f"growth.stages (={last})"
            )
        if self.train.steps is None:
            raise ValueError("train.steps must give the length of a run that grows, not epochs")
        for stage in self.growth.stages:
            if stage.batch_size is not None and stage.batch_size % self.train.gradient_accumulation:
                raise ValueError(
                    f"batch_size (={stage.batch_size}) of the stage of {stage.size} pixels must "
                    "be divisible by train.gradient_accumulation "
                    f"(={self.train.gradient_accumulation})"
                )
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        # The classes of some tables are made from constructors and have no name to be found by.
        from i2i.config.reading import read_options

        return read_options, (self.to_dict(),)

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain dictionaries, lists, strings and numbers, as in a recipe."""
        tables = self.model_dump(mode="json", exclude_none=True)
        chosen: dict[str, Any] = tables.pop("networks")
        return tables | chosen

    def to_toml(self) -> str:
        """Everything as TOML: `read_options` of it gives equal options."""
        return tomli_w.dumps(self.to_dict())
