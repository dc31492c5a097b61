"""[optimizer], [schedule], [train], [inference]: how a run goes, and how its generator is used."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from i2i.config.section import Count, Few, Names, Positive, Section, Share, Weight
from i2i.core.signals import parse_monitor

Rate = Annotated[float, Field(ge=0, lt=1)]
Betas = tuple[Rate, Rate]
PrecisionName = Literal["fp32", "bf16", "fp16", "auto"]


NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class NetworkOptimizer(Section):
    """What is different for one network, beside the others of its player."""

    learning_rate: Positive | None = Field(None, description="instead of that of the player")
    betas: Betas | None = Field(None, description="instead of optimizer.betas")
    weight_decay: NotNegative | None = Field(None, description="instead of optimizer.weight_decay")


class Optimizer(Section):
    name: Literal["adam", "rmsprop", "sgd"] = Field("adam", description="how weights are updated")
    learning_rate: Positive = Field(description="of all players, at the beginning")
    betas: Betas = Field(
        (0.5, 0.999), description="adam: decay of the mean of gradients, and of their squares"
    )
    weight_decay: NotNegative = Field(
        0.0, description="part of the gradient: this many times each weight"
    )
    max_grad_norm: Positive | None = Field(
        None, description="longer gradients of a player are scaled to this norm"
    )
    fused: Literal["auto", "if possible"] | bool = Field(
        "auto",
        description="update all weights in one pass; auto: on a GPU; if possible: wherever torch "
        "has such an optimizer",
    )
    player_learning_rates: dict[str, Positive] = Field({}, description="player -> its own rate")
    networks: dict[str, NetworkOptimizer] = Field(
        {}, description="network -> learning_rate, betas or weight_decay of its own"
    )


class Schedule(Section):
    """How the learning rate changes over the run; see `i2i.training.schedule`."""

    name: Literal["constant", "linear", "step", "cosine"] = Field(
        "constant", description="how the learning rate changes over the run"
    )
    hold: Share = Field(0.5, description="linear: share of the run at the full rate")
    every: Share = Field(0.25, description="step: share of the run between two drops")
    factor: Positive = Field(0.1, description="step: what the rate is multiplied by")
    warmup_steps: Annotated[int, Field(ge=0, le=10**12)] = Field(
        0, description="steps over which every rate rises linearly, before all that"
    )


class Anneal(Section):
    """[anneal]: the values that constants end with, where they change over the first part of a run.

    Half a cosine leads there from the ordinary value; see `i2i.training.anneal`.
    """

    until: Annotated[float, Field(gt=0, le=1)] = Field(
        1.0, description="share of the run after which nothing changes any more"
    )
    learning_rate: Positive | None = Field(
        None, description="in the end; those of players change by the same factor"
    )
    beta2: Annotated[float, Field(ge=0, lt=1)] | None = Field(
        None, description="Adam's, in the end"
    )
    average_half_life: Annotated[float, Field(ge=0)] | None = Field(
        None, description="train.average_half_life in the end"
    )
    objective: dict[str, Weight] = Field({}, description="term -> its weight in the end")


class Train(Section):
    epochs: Count | None = Field(None, description="length of the run in epochs")
    steps: Count | None = Field(None, description="length of the run in steps, in place of epochs")
    batch_size: Count = Field(description="images in a step, of all processes together")
    gradient_accumulation: Count = Field(1, description="pieces that a batch is computed in")
    sync_batch_norm: bool = Field(
        False, description="several processes: batch norm by the statistics of the whole batch"
    )
    precision: PrecisionName = Field(
        "fp32", description="auto: bf16 if the device has instructions for it, else fp32"
    )
    threads: Annotated[int, Field(ge=1, le=4096)] | Literal["auto"] = Field(
        "auto",
        description="that compute on the processor; auto: one for each core, or fewer where they "
        "are busy when the run begins; it then keeps that number",
    )
    tf32: bool = Field(True, description="let fp32 matrix products on a GPU use TF32")
    checkpointing: bool = Field(
        False, description="compute what generators keep for the backward pass a second time"
    )
    channels_last: bool = Field(
        False, description="the memory layout that convolutions of a GPU prefer"
    )
    compile: bool = Field(False, description="let torch.compile fuse the operations of networks")
    graph: Literal["auto"] | bool = Field(
        "auto", description="replay steps as CUDA graphs; auto: where they can be recorded"
    )
    ema_decay: Annotated[float, Field(ge=0, lt=1)] = Field(
        0.0, description="decay of the generator's moving average; 0 for none"
    )
    ema_warmup: bool = Field(
        False, description="let the average begin with a short memory that grows to its decay"
    )
    average_half_life: Annotated[float, Field(ge=0)] | None = Field(
        None, description="instead of that decay: images after which a weight counts half"
    )
    average_ramp: Annotated[float, Field(gt=0)] | None = Field(
        None, description="the half-life is at most this share of the images so far"
    )
    historical_averaging: Annotated[float, Field(ge=0)] = Field(
        0.0, description="weight of every player's distance from its own past"
    )
    init_from: str = Field(
        "", description="weights to begin with: a run, a file, a folder, hub:OWNER/NAME or zoo:NAME"
    )
    init_strict: bool = Field(False, description="refuse weights of which not all fit")
    init_rate: Annotated[float, Field(gt=0, le=1)] = Field(
        1.0, description="learning rate of those weights, as a part of that of new ones"
    )
    freeze: Names = Field(
        (), description='what does not learn: "generator.encoder", "discriminator.0-2", ...'
    )
    seed: Annotated[int, Field(ge=0, lt=2**63)] = Field(0, description="of all random numbers")
    log_every_steps: Count = Field(50, description="steps between two lines of the log")
    validate_every_steps: Count = Field(1000, description="steps between two validations")
    save_every_steps: Count = Field(1000, description="steps between two checkpoints")
    save_every_minutes: NotNegative = Field(
        10.0, description="most minutes between two checkpoints, fewer at first; 0: by steps alone"
    )
    visualize_every_minutes: NotNegative = Field(
        10.0, description="most minutes between two image sheets, fewer at first; 0: by steps alone"
    )
    keep_checkpoints: Count = Field(2, description="newest checkpoints kept, beside the best")
    keep: Literal["newest", "all", "thinned"] = Field(
        "newest",
        description="which checkpoints stay: the newest, all, or ever fewer of the older ones",
    )
    keep_every: Count | None = Field(
        None, description="steps: the first checkpoint in each so many stays, too"
    )
    visualize_images: Few = Field(8, description="validation images in the image grid")
    validation_images: Count = Field(100, description="validation images that are measured")
    validation_share: Annotated[float, Field(gt=0, le=1)] = Field(
        0.05, description="of the time that validations may take; else there are fewer of them"
    )
    distance: Literal["swd", "efficientnet-lite0", "inception", "off"] = Field(
        "swd", description="between generated and real images: of patches, or by a network"
    )
    classifier_steps: Annotated[int, Field(ge=0, le=10**12)] = Field(
        600, description="domains: training of a classifier that judges translations; 0 for none"
    )
    metrics: Names = Field(
        (), description="registered metrics that validations measure beside the model's own"
    )
    trackers: Names = Field(
        ("tensorboard",), description="where what is logged goes, beside log.jsonl"
    )
    track_checkpoints: bool = Field(
        False, description="whether wandb and mlflow are given the checkpoints, too"
    )
    monitor: str = Field(
        "auto",
        description="the measure that decides which checkpoint is the best; NAME:lower or "
        "NAME:higher for one that i2i does not know; or none",
    )
    patience: Count | None = Field(
        None, description="validations without a better one, after which a run ends"
    )

    @property
    def monitored(self) -> tuple[str, str] | None:
        """What decides on the best checkpoint, and whether "lower" or "higher" is better."""
        return parse_monitor(self.monitor)

    @model_validator(mode="after")
    def _one_length(self) -> "Train":
        if (self.epochs is None) == (self.steps is None):
            raise ValueError("give the length of the run as either epochs or steps")
        if self.batch_size % self.gradient_accumulation:
            raise ValueError(
                f"batch_size (={self.batch_size}) must be divisible by "
                f"gradient_accumulation (={self.gradient_accumulation})"
            )
        return self


class Inference(Section):
    """How the generator runs outside training, during validation and in `i2i translate`."""

    norm: Literal["instance", "running"] = Field(
        "instance", description="statistics of batch norm: the image's own, or the running ones"
    )
    dropout: bool = Field(False, description="whether dropout stays on")
