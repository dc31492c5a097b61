"""Everything that decides what a run does: one frozen, validated, printable object.

`i2i.recipes` lays recipes and the command line over each other; `Options` is what all layers
together say. Every value is there, so what a run used can be written down whole and read back.

Published hyper-parameters live in the recipes. The defaults here are either neutral (no moving
average, no smoothing) or those of a network that a recipe may be switched to.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal, get_args

import tomli_w
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from i2i.errors import OptionsError, did_you_mean
from i2i.labels import LabelSet, LabelSpace

Norm = Literal["batch", "instance", "none"]
Upsample = Literal["transposed", "resize"]
InitScheme = Literal["normal", "xavier", "kaiming", "orthogonal", "torch"]
PrecisionName = Literal["fp32", "bf16", "fp16", "auto"]
Count = Annotated[int, Field(ge=1)]
Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Weight = Annotated[float, Field(allow_inf_nan=False)]
Names = tuple[Annotated[str, Field(min_length=1)], ...]


HIGHER = r"psnr|ssim|accuracy|domain_accuracy|agreement|health/(diversity|copy|colour(?!_shift))"
"""How the names of measures begin of which more is better."""


def decided_by(measure: str) -> tuple[str, str] | None:
    """A measure that decides, and whether "lower" or "higher" is better; None if none does."""
    if measure in ("auto", "none"):
        return None
    return measure, "higher" if re.match(HIGHER, measure) else "lower"


class Section(BaseModel):
    """A table of a recipe: nothing unknown, nothing changed after it was read."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Augment(Section):
    """Random changes on the device, beyond crop and flip. Geometry moves both pictures of a pair
    alike; colours change in the source picture alone."""

    rotation: Annotated[float, Field(ge=0, le=180)] = Field(
        0.0, description="degrees, drawn from -x..x"
    )
    scale: Annotated[float, Field(ge=0, le=0.99)] = Field(0.0, description="drawn from 1-x..1+x")
    translation: Share = Field(0.0, description="share of the side, drawn from -x..x")
    brightness: Share = Field(0.0, description="factor drawn from 1-x..1+x")
    contrast: Share = Field(0.0, description="factor drawn from 1-x..1+x")
    saturation: Share = Field(0.0, description="factor drawn from 1-x..1+x")
    hue: Annotated[float, Field(ge=0, le=0.5)] = Field(0.0, description="turn drawn from -x..x")


class LabelledData(Section):
    """A data set whose pictures are labelled, for models of many domains: by the folders that they
    are in (`domains`), or by a table (`attributes`). What is left empty is found in the data and
    filled in when a run starts."""

    root: str = ""
    domains: Names = Field((), description="folders or classes to learn from; empty: all")
    table: str = Field("", description="file of attributes; its place is given from the root")
    attributes: Names = Field((), description="columns of the table; empty: all there are")
    groups: tuple[Names, ...] = Field((), description="attributes of which only one can hold")

    @property
    def label_set(self) -> LabelSet:
        return LabelSet(self.attributes or self.domains, not self.attributes, self.groups)

    @model_validator(mode="after")
    def _names_fit(self) -> "LabelledData":
        if self.domains and (self.table or self.attributes or self.groups):
            raise ValueError("labels are either domains or attributes of a table: drop one of them")
        for name in (*self.domains, *self.attributes):
            # They become names of folders, also those of a checkpoint that a stranger gave.
            if name in ("", ".", "..") or any(c in "/\\" or not c.isprintable() for c in name):
                raise ValueError(
                    f"{name!r} cannot be the name of a folder of results: rename it without "
                    "slashes and control characters"
                )
        for name in (name for group in self.groups for name in group):
            if self.attributes and name not in self.attributes:
                raise ValueError(
                    f"groups: {name!r} is none of the attributes."
                    f"{did_you_mean(name, self.attributes)} "
                    f"They are: {', '.join(self.attributes)}"
                )
        return self


class Data(LabelledData):
    """Where the pictures are and how they become training samples."""

    more: tuple[LabelledData, ...] = Field((), description="domains: further data sets")
    balance: bool = Field(False, description="domains: show all of them equally often")
    root_b: str = Field("", description="unpaired: the folder of domain B, if it lies apart")
    load_size: Count
    crop_size: Annotated[int, Field(ge=16)]
    resize: Literal["stretch", "shorter side", "none"] = "stretch"
    crop: Literal["random", "center"] = "random"
    flip: bool = True
    direction: Literal["AtoB", "BtoA"] = "AtoB"
    input_channels: Literal[1, 3] = 3
    output_channels: Literal[1, 3] = 3
    workers: Literal["auto"] | Annotated[int, Field(ge=0)] = "auto"
    keep: Literal["auto", "memory", "disk", "off"] = Field(
        "auto", description="where decoded pictures are kept; auto: in memory, if they fit"
    )
    keep_gib: Positive = Field(16.0, description="most that they may take on the disk")
    skip_bad: bool = False
    augment: Augment = Augment()

    @property
    def labels(self) -> LabelSpace:
        """What is known of the pictures; without names where nothing is."""
        return LabelSpace(tuple(each.label_set for each in (self, *self.more)))

    @model_validator(mode="after")
    def _labels_are_told_apart(self) -> "Data":
        names = self.labels.names
        for name in names:
            if names.count(name) > 1:
                raise ValueError(
                    f"the label {name!r} is there more than once: rename its folder or column"
                )
        return self

    @model_validator(mode="after")
    def _crop_fits(self) -> "Data":
        if self.resize != "none" and self.load_size < self.crop_size:
            raise ValueError(
                f"load_size (={self.load_size}) must be at least crop_size (={self.crop_size})"
            )
        return self


class Network(Section):
    width: Count = Field(64, description="channels of the first layer")
    init: InitScheme = "normal"
    init_gain: Positive = 0.02


class NormedNetwork(Network):
    norm: Norm = "batch"


class UNet(NormedNetwork):
    network: Literal["unet"]
    downs: Annotated[int, Field(ge=2)] = Field(8, description="times that the size is halved")
    dropout: bool = False
    upsample: Upsample = "transposed"


class ResNet(NormedNetwork):
    network: Literal["resnet"]
    blocks: Annotated[int, Field(ge=0)] = Field(9, description="residual blocks")
    dropout: bool = False
    upsample: Upsample = "transposed"


class PatchGAN(NormedNetwork):
    network: Literal["patchgan"]
    layers: Count = Field(3, description="strided layers; 3 judge patches of 70 x 70")


class PixelGAN(NormedNetwork):
    network: Literal["pixelgan"]


class StarGANGenerator(Network):
    network: Literal["stargan"]
    blocks: Annotated[int, Field(ge=0)] = Field(6, description="residual blocks")


class StarGANDiscriminator(Network):
    network: Literal["stargan"]
    layers: Count = Field(6, description="strided layers")


class DCGAN(Network):
    network: Literal["dcgan"]
    norm: Norm | Literal["layer"] = "batch"


class MLPGenerator(Network):
    network: Literal["mlp"]
    width: Count = Field(256, description="units of each hidden layer")
    layers: Count = Field(2, description="hidden layers")


class MLPDiscriminator(MLPGenerator):
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0


class SAGAN(Network):
    network: Literal["sagan"]
    init: Literal["torch"] = Field("torch", description="its layers draw their own weights")
    attention: Count = Field(32, description="height and width of the map that is attended to")


class ProGAN(Network):
    network: Literal["progan"]
    width: Count = Field(512, description="most channels of a layer")
    init: Literal["torch"] = Field("torch", description="its layers draw their own weights")


Generator = UNet | ResNet | StarGANGenerator | DCGAN | MLPGenerator | SAGAN | ProGAN
Discriminator = (
    PatchGAN | PixelGAN | StarGANDiscriminator | DCGAN | MLPDiscriminator | SAGAN | ProGAN
)


class Adversarial(Section):
    """How the players' scores become losses, and what is done to keep the game in balance."""

    loss: Literal["vanilla", "least-squares", "wasserstein", "hinge"]
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = Field(
        0.0, description="real pictures are taught as 1 - x"
    )
    fake_label_smoothing: Annotated[float, Field(ge=0, lt=1)] = Field(
        0.0, description="generated pictures are taught as x: two-sided smoothing"
    )
    label_noise: Annotated[float, Field(ge=0, le=0.5)] = Field(
        0.0, description="share of the discriminator's labels that are wrong"
    )
    saturating: bool = Field(False, description="vanilla: the generator of the original game")
    pool: Annotated[int, Field(ge=0)] = Field(
        0, description="older translations that a discriminator is shown now and then"
    )
    critic_turns: Count = Field(
        1, description="turns of the discriminator for each one of the generator"
    )
    generator_turns: Count = Field(1, description="turns of the generator in one step")
    mixed_batch: bool = Field(False, description="judge real and generated pictures in one batch")
    instance_noise: Annotated[float, Field(ge=0)] = Field(
        0.0, description="deviation of noise on the discriminator's input, at the beginning"
    )
    instance_noise_until: Annotated[float, Field(gt=0, le=1)] = Field(
        1.0, description="share of the run over which that noise fades away"
    )
    clip: Annotated[float, Field(ge=0)] = Field(
        0.0, description="a critic's weights are clipped to -x..x after its turn"
    )


class Latent(Section):
    """What a generator is told that makes pictures from noise."""

    size: Count = Field(100, description="numbers of noise")
    distribution: Literal["normal", "uniform"] = "normal"
    labels: Literal["ignored", "required", "if known"] = Field(
        "ignored", description="whether both networks are told the class of a picture"
    )
    categorical: tuple[Annotated[int, Field(ge=2)], ...] = Field(
        (), description="categories of each categorical code"
    )
    continuous: Annotated[int, Field(ge=0)] = Field(0, description="number of continuous codes")
    redraw: bool = Field(False, description="draw anew for the generator's turn")


class Stage(Section):
    """A resolution of networks that grow: how long the new layers fade in and then hold."""

    size: Count
    batch_size: Count | None = Field(None, description="by default train.batch_size")
    fade: Annotated[int, Field(ge=0)] = Field(description="steps")
    hold: Annotated[int, Field(ge=0)] = Field(description="steps")


class Growth(Section):
    stages: Annotated[tuple[Stage, ...], Field(min_length=1)]

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


class Optimizer(Section):
    name: Literal["adam", "rmsprop", "sgd"] = "adam"
    learning_rate: Positive
    betas: tuple[Annotated[float, Field(ge=0, lt=1)], Annotated[float, Field(ge=0, lt=1)]] = (
        0.5,
        0.999,
    )
    fused: Literal["auto"] | bool = Field(
        "auto", description="update all weights in one pass; auto: on a GPU"
    )
    player_learning_rates: dict[str, Positive] = {}


class Schedule(Section):
    """How the learning rate changes over the run; see `i2i.training.schedule`."""

    name: Literal["constant", "linear", "step", "cosine"] = "constant"
    hold: Share = Field(0.5, description="linear: share of the run at the full rate")
    every: Share = Field(0.25, description="step: share of the run between two drops")
    factor: Positive = Field(0.1, description="step: what the rate is multiplied by")


class Train(Section):
    epochs: Count | None = None
    steps: Count | None = None
    batch_size: Count
    accumulate: Count = Field(1, description="pieces that a batch is computed in")
    sync_batch_norm: bool = Field(
        False, description="several processes: batch norm by the statistics of the whole batch"
    )
    precision: PrecisionName = Field(
        "fp32", description="auto: bf16 if the device has instructions for it, else fp32"
    )
    tf32: bool = Field(True, description="let fp32 matrix products on a GPU use TF32")
    checkpointing: bool = Field(
        False, description="compute what generators keep for the backward pass a second time"
    )
    channels_last: bool = False
    compile: bool = False
    graph: Literal["auto"] | bool = Field(
        "auto", description="replay steps as CUDA graphs; auto: where they can be recorded"
    )
    average: Annotated[float, Field(ge=0, lt=1)] = Field(
        0.0, description="decay of the generator's moving average; 0 for none"
    )
    historical_averaging: Annotated[float, Field(ge=0)] = Field(
        0.0, description="weight of every player's distance from its own past"
    )
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    log_every: Count = Field(50, description="steps between two lines of the log")
    validate_every: Count = Field(1000, description="steps between two validations")
    save_every: Count = Field(1000, description="steps between two checkpoints")
    keep: Count = Field(2, description="checkpoints kept, beside the best")
    sheet: Count = Field(8, description="validation pictures in the picture sheet")
    validation_pictures: Count = Field(100, description="validation pictures that are measured")
    validation_share: Annotated[float, Field(gt=0, le=1)] = Field(
        0.05, description="of the time that validations may take; else there are fewer of them"
    )
    distance: Literal["swd", "efficientnet-lite0", "inception", "off"] = Field(
        "swd", description="between generated and real pictures: of patches, or by a network"
    )
    classifier_steps: Annotated[int, Field(ge=0)] = Field(
        600, description="domains: training of a classifier that judges translations; 0 for none"
    )
    best_by: str = Field(
        "auto", description="the measure that decides which checkpoint is the best; or none"
    )
    stop_after: Count | None = Field(
        None, description="validations without a better one, after which a run ends"
    )

    @property
    def decisive(self) -> tuple[str, str] | None:
        """What decides on the best checkpoint, and whether "lower" or "higher" is better."""
        return decided_by(self.best_by)

    @model_validator(mode="after")
    def _one_length(self) -> "Train":
        if (self.epochs is None) == (self.steps is None):
            raise ValueError("give the length of the run as either epochs or steps")
        if self.batch_size % self.accumulate:
            raise ValueError(
                f"batch_size (={self.batch_size}) must be divisible by "
                f"accumulate (={self.accumulate})"
            )
        return self


class Inference(Section):
    """How the generator runs outside training, during validation and in `i2i translate`."""

    norm: Literal["picture", "running"] = Field(
        "picture", description="statistics of batch norm: the picture's own, or the running ones"
    )
    dropout: bool = Field(False, description="whether dropout stays on")


class Options(Section):
    """Everything that decides what a run does."""

    model: str
    summary: str = ""
    data: Data
    generator: Annotated[Generator, Field(discriminator="network")]
    discriminator: Annotated[Discriminator, Field(discriminator="network")]
    adversarial: Adversarial
    objective: dict[str, Weight]
    latent: Latent | None = None
    growth: Growth | None = None
    optimizer: Optimizer
    schedule: Schedule = Schedule()
    train: Train
    inference: Inference = Inference()

    @model_validator(mode="after")
    def _growth_fits(self) -> "Options":
        if self.growth is None:
            return self
        last = self.growth.stages[-1].size
        if last != self.data.crop_size:
            raise ValueError(
                f"data.crop_size (={self.data.crop_size}) must be the size of the last of "
                f"growth.stages (={last})"
            )
        if self.train.steps is None:
            raise ValueError("train.steps must give the length of a run that grows, not epochs")
        for stage in self.growth.stages:
            if stage.batch_size is not None and stage.batch_size % self.train.accumulate:
                raise ValueError(
                    f"batch_size (={stage.batch_size}) of the stage of {stage.size} pixels must "
                    f"be divisible by train.accumulate (={self.train.accumulate})"
                )
        return self

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain dictionaries, lists, strings and numbers."""
        return self.model_dump(mode="json", exclude_none=True)

    def to_toml(self) -> str:
        """Everything as TOML: `read_options` of it gives equal options."""
        return tomli_w.dumps(self.to_dict())


Layer = Mapping[str, Any]

NETWORKS: dict[str, dict[str, type[Network]]] = {
    role: {
        get_args(section.model_fields["network"].annotation)[0]: section
        for section in get_args(networks)
    }
    for role, networks in (("generator", Generator), ("discriminator", Discriminator))
}
"""Role -> name of the network -> its section."""


def read_options(layer: Layer) -> Options:
    """Validate a complete set of options.

    Raises:
        OptionsError: lists everything that is wrong, each with its dotted path.
    """
    try:
        return Options.model_validate(layer)
    except ValidationError as error:
        problems = [_explain(problem) for problem in error.errors()]
        raise OptionsError("\n".join(problems)) from None


def _explain(problem: Mapping[str, Any]) -> str:
    # A union of networks puts the name of the chosen one into the path; nobody wrote such a key.
    path = [str(part) for part in problem["loc"]]
    if len(path) > 1 and path[1] in NETWORKS.get(path[0], {}):
        del path[1]
    name = ".".join(path)
    match problem["type"]:
        case "extra_forbidden":
            known = list(_fields(problem["loc"][:-1]))
            hint = did_you_mean(path[-1], known)
            return f"{name} is no option.{hint} Known here: {', '.join(known)}."
        case "missing":
            return f"{name} is missing: the recipe must give it."
        case "union_tag_invalid":
            value, allowed = problem["ctx"]["tag"], problem["ctx"]["expected_tags"]
            hint = did_you_mean(value, allowed.replace("'", "").split(", "))
            return f"{name}.network (={value!r}) must be one of {allowed}.{hint}"
        case "value_error":
            return f"{name}: {problem['ctx']['error']}." if name else f"{problem['ctx']['error']}."
        case _:
            text = problem["msg"][0].lower() + problem["msg"][1:]
            hint = ""
            if problem["type"] == "literal_error":
                hint = did_you_mean(
                    str(problem["input"]), problem["ctx"]["expected"].replace("'", "").split(", ")
                )
            return f"{name} (={problem['input']!r}): {text}.{hint}"


def _fields(location: Iterable[str | int]) -> Iterable[str]:
    """The keys that the section at a location knows."""
    section: Any = Options
    networks: Mapping[str, type[Network]] = {}
    for part in location:
        if isinstance(part, int):  # a place in a list of sections
            section = get_args(section)[0]
        elif part in networks:
            section = networks[part]
        elif part in NETWORKS:
            networks = NETWORKS[part]
        else:
            section = section.model_fields[part].annotation
    return list(section.model_fields)
