"""The vocabulary of training: every GAN is a game between players.

A training step is a Python generator. Each `yield` is one player's turn: the name of the player and
the loss that this player, and nobody else, now descends. What stands after a `yield` sees the
networks as that turn has left them. A model's `play` therefore reads like the algorithm box of its
paper, and the trainer needs to know nothing of any model::

    for player, loss in model.play(batch, clock):
        optimizers[player].zero_grad()
        loss.total.backward(inputs=parameters[player])
        optimizers[player].step()
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial, reduce
from operator import add
from types import MappingProxyType
from typing import Annotated, Any, ClassVar, Generic, Literal, NamedTuple, Protocol, Self

import torch
from annotated_types import Ge
from torch import Tensor, nn
from typing_extensions import TypeVar

from i2i.core.growth import Growth
from i2i.core.labels import LabelSpace
from i2i.core.latent import Latent
from i2i.core.registry import LOSSES
from i2i.core.size import Size
from i2i.errors import OptionsError, did_you_mean

Batch = TypeVar("Batch", bound=tuple[Tensor, ...], default=Any)
"""The batches of a model: named tuples such as those of `i2i.core.batch`."""


@dataclass(frozen=True)
class Clock:
    """What time it is in the game."""

    step: int
    """Training steps that are over, from 0."""

    share: float = 0.0
    """How much of the run is over, 0..1."""

    def every(self, steps: int) -> bool:
        """Whether this is the last of each `steps` steps (for 5: steps 4, 9, 14, ...)."""
        return (self.step + 1) % steps == 0


class Loss(NamedTuple):
    """What a player pays in one turn.

    `terms` holds the value of each computed term before weighting, a scalar each; `total` is their
    weighted sum. A loss without terms means that the player has nothing to learn in this turn.
    `readings` are scalars that only go into the log. `networks` are those that move in this turn;
    by default all of the player's.
    """

    total: Tensor
    terms: dict[str, Tensor]
    readings: Mapping[str, Tensor] = MappingProxyType({})
    networks: tuple[str, ...] = ()

    def noting(self, readings: Mapping[str, Tensor]) -> "Loss":
        """This loss, with readings."""
        return self._replace(readings=readings)

    def moving(self, *networks: str) -> "Loss":
        """This loss, of which only some of the player's networks learn."""
        return self._replace(networks=networks)

    def named(self, ending: str) -> "Loss":
        """This loss with another ending of its terms in the log, to tell turns apart."""
        return self._replace(terms={name + ending: value for name, value in self.terms.items()})


class Generated(NamedTuple):
    """What generators make of a batch, all (N, C, H, W) in -1..1.

    `references` are real images of the kind that `outputs` should be: the very same ones if
    `paired`, any ones if not. `inputs` are what was translated; `labels` (N, L), 0 or 1, what the
    outputs were asked to be. `again` are other outputs for the same inputs, of models that have
    several answers, by other noise.
    """

    outputs: Tensor
    references: Tensor
    inputs: Tensor | None = None
    paired: bool = False
    labels: Tensor | None = None
    again: Tensor | None = None


Turn = tuple[str, Loss]
"""Whose turn it is, and what it pays."""

Play = Generator[Turn, None, None]
"""A training step: what `Model.play` returns, one turn after another."""


class Objective:
    """A weighted sum of named terms.

    Called with one function for each name, it computes those whose weight is not zero::

        objective = Objective({"adversarial": 1.0, "l1": 100.0, "ssim": 0.0})
        loss = objective(
            adversarial=lambda: ...,
            l1=lambda: l1(fake, target),
            ssim=lambda: ssim(fake, target),  # never called
        )

    A term may be lazy: computed in one of `every[name]` turns only, the first of them, with so many
    times its weight (Karras et al., "Analyzing and improving the image quality of StyleGAN", CVPR
    2020, section 3.1). Which turn it is, the trainer says with `tick`.

    Attributes:
        weights: of the terms.
        every: how many turns there are for one in which a term is computed, where it is not 1.
        moving: weights that change over the run, as tensors on the device; they stand for those in
            `weights`, which say whether a term is in use.
    """

    def __init__(self, weights: Mapping[str, float]) -> None:
        self.weights = dict(weights)
        self.every: dict[str, int] = {}
        self.moving: dict[str, Tensor] = {}
        self.stride = 1
        self.turn = 0

    def __call__(self, **terms: Callable[[], Tensor]) -> Loss:
        assert terms.keys() == self.weights.keys(), (sorted(terms), sorted(self.weights))
        return self.part(**terms)

    def part(self, **terms: Callable[[], Tensor]) -> Loss:
        """What is paid for some of the terms, in a turn that is not about the others."""
        values = {name: term() for name, term in terms.items() if self.due(name)}
        if not values:
            return Loss(torch.zeros(()), {})
        total = reduce(add, (self._weight(name) * value for name, value in values.items()))
        return Loss(total, {name: value.detach() for name, value in values.items()})

    def tick(self, step: int) -> None:
        """Say which step is played next."""
        self.turn = step // self.stride

    def due(self, name: str) -> bool:
        """Whether a term is computed in this turn."""
        return self.weights[name] != 0 and self.turn % self.every.get(name, 1) == 0

    @property
    def lazily(self) -> tuple[bool, ...]:
        """Which of the lazy terms are due: what differs between turns."""
        return tuple(self.due(name) for name in self.every)

    def _weight(self, name: str) -> float | Tensor:
        weight = self.moving.get(name, self.weights[name])
        every = self.every.get(name, 1)
        return weight if every == 1 else weight * every


Terms = Mapping[str, tuple[str, ...]]
"""Player -> the names, or the endings of names, of the terms of its objective."""


def known_terms(
    terms: Terms, comparisons: Terms = MappingProxyType({}), own: Iterable[str] = ()
) -> list[str]:
    """The terms that a weight can be given to: those of a model, and every registered loss, and
    those in `own`, before the endings of its comparisons."""
    losses = sorted({*LOSSES, *own})
    named = [name for names in terms.values() for name in names]
    compared = [
        name + ending for endings in comparisons.values() for ending in endings for name in losses
    ]
    return list(dict.fromkeys(named + compared))


def unknown_terms(table: str, names: Iterable[str], known: Sequence[str]) -> list[str]:
    """A sentence for each name in a table of a recipe that is no term of its model."""
    return [
        f"{table}.{name[:80]} is no term of this model.{did_you_mean(name, known)} Its terms are: "
        f"{', '.join(known)}."
        for name in names
        if name not in known
    ]


def objectives(
    terms: Terms, weights: Mapping[str, float], comparisons: Terms = MappingProxyType({})
) -> dict[str, Objective]:
    """Deal the weights of a recipe out to the players: one objective for each.

    Arguments:
        terms: the names of each player's terms.
        weights: the weight of each term; a term that is not mentioned weighs nothing.
        comparisons: the endings of terms of each player that compare two images: any registered
            loss may stand before them, and is a term if it has a weight.

    Raises:
        OptionsError: a weight names no term, or no term has a weight.
    """
    known = known_terms(terms, comparisons)
    if problems := unknown_terms("objective", weights, known):
        raise OptionsError("\n".join(problems))
    if not any(weights.values()):
        raise OptionsError(
            f"every weight in [objective] is zero: give one of {', '.join(known)} a weight."
        )
    return {
        player: Objective(
            {name: float(weights.get(name, 0.0)) for name in names}
            | {
                name: float(weights[name])
                for name in known_terms({}, {player: comparisons.get(player, ())})
                if name in weights
            }
        )
        for player, names in terms.items()
    }


NCritic = Annotated[int, Ge(1), "turns of the discriminator for each one of the generator"]
NGenerator = Annotated[int, Ge(1), "turns of the generator in one step"]
MixedBatch = Annotated[bool, "judge real and generated images in one batch"]

Rival = Callable[[], Tensor]


class AdversarialTerms(Protocol):
    """What scores of a discriminator cost, each time a scalar. Where real and generated images are
    compared, `rival` computes the scores of the other side."""

    def real(self, scores: Tensor, rival: Rival | None = None) -> Tensor: ...

    def fake(self, scores: Tensor, rival: Rival | None = None) -> Tensor: ...

    def fool(self, scores: Tensor, rival: Rival | None = None) -> Tensor: ...

    @property
    def probability(self) -> Callable[[Tensor], Tensor] | None:
        """Maps scores to how probably an image is real, if they have such a meaning."""


@dataclass(frozen=True)
class Parts:
    """What a recipe says that concerns every model; a model takes of it what it needs."""

    make_network: Callable[..., nn.Module]
    """Makes the network of a role, freshly initialised, from what the model tells it."""

    adversarial: AdversarialTerms
    """How scores become losses (`i2i.losses.Adversarial`)."""

    weights: Mapping[str, float]
    """The weight of each term."""

    input_channels: int
    output_channels: int

    crop: Size
    """Width and height of the images that it trains on."""

    labels: LabelSpace
    """What is known of the images; without names where nothing is."""

    latent: Latent | None = None
    """What a generator makes images of when it has none to translate."""

    growth: Growth | None = None
    """How the networks grow, for those that do."""

    @property
    def size(self) -> int:
        """Height and width of the images, for models of squares alone.

        Raises:
            OptionsError: they are no squares.
        """
        if not self.crop.is_square:
            raise OptionsError(
                f"data.crop_size (={self.crop}) must be a square for this model: give one number."
            )
        return self.crop.width

    def generator(self, *numbers: int, **more: Any) -> nn.Module:
        """Make the network of the table [generator].

        One that translates is told its numbers of input and output channels; one that makes images
        from noise the length of its latent vectors, its output channels, `size` and `classes`.
        """
        return self.make_network("generator", *numbers, **more)

    def discriminator(self, *numbers: int, **more: Any) -> nn.Module:
        """Make the network of the table [discriminator].

        It is told its number of input channels and, where it also tells labels or is told them,
        how many `classes` (and `codes`) there are and the `size` of the images.
        """
        return self.make_network("discriminator", *numbers, **more)


class Model(nn.Module, ABC, Generic[Batch]):
    """A game: its networks, its players, and the rules in `play`.

    A subclass is final: it says what batches it plays with (`Model[Pair]`), states the class
    variables below, registers its networks as attributes and implements the abstract methods.
    """

    data: ClassVar[str]
    """The kind of data set that it learns from: "paired", "unpaired", "domains", "unconditional",
    or one that is registered from outside (`i2i.core.registry.register_data_kind`)."""

    players: ClassVar[Mapping[str, tuple[str, ...]]]
    """The networks that each player trains, by attribute name; together they are all of them."""

    terms: ClassVar[Mapping[str, tuple[str, ...]]]
    """The terms of each player's objective, as they are named in recipes and logs."""

    generators: ClassVar[tuple[str, ...]]
    """The networks that are used after training (by attribute name), the main one first."""

    companions: ClassVar[tuple[str, ...]] = ()
    """Networks that tell the generators something, also after training: they are averaged with
    them."""

    references: ClassVar[int] = 0
    """How many images of a domain to aim at each sample comes with: none, or two of
    `i2i.core.batch.Referenced`. The recipe says so with data.references."""

    directions: ClassVar[Mapping[str, str]] = {}
    """For a model that translates both ways: "AtoB" and "BtoA" -> the name of the generator.

    Any other translates the first part of a batch, which is B if `data.direction` is "BtoA".
    """

    monitor: ClassVar[str]
    """Which of the measures decides on the best checkpoint: one of `measure`; "distance", that
    between what is produced and what is real; or "domain_accuracy", by a classifier."""

    roles: ClassVar[tuple[str, ...]] = ("generator", "discriminator")
    """The tables of a recipe that choose a network for it."""

    comparisons: ClassVar[Mapping[str, tuple[str, ...]]] = {}
    """The endings of terms by which a player compares two images ("" or "_cycle_A", say). Every
    registered loss (`i2i.core.registry.register_loss`) can be such a term: its name and the
    ending."""

    condition: Literal["none", "image", "planes"] = "none"
    """What a discriminator is shown in front of the channels of the image that it judges: nothing,
    another image, or planes of labels. Augmentation moves them alike, but colours images only."""

    compares_layers: bool = False
    """Whether layers in which a discriminator sees a real and a generated image of one sample are
    compared with each other, so that both must be augmented alike."""

    upscales: ClassVar[bool] = False
    """Whether its generator may make images that are larger than what it translates."""

    classifier: ClassVar[str | None] = None
    """The network whose second output are logits of the labels that images have."""

    classifier_known: bool = True
    """Whether that network has its weights; of imported models it may be missing."""

    zero_unreached: ClassVar[bool] = False
    """Whether weights that a turn's loss does not reach have a gradient of 0, so that Adam counts
    the turn for them, too; else it leaves them alone."""

    costs_most_at: float = 0.0
    """Share of the run from which on a step costs most, of models that begin with less."""

    notices: tuple[str, ...] = ()
    """What a person should know of how this model was assembled, a sentence each."""

    own_losses: Mapping[str, Callable[[Tensor, Tensor], Tensor]] = MappingProxyType({})
    """Losses of two images that a program has given, beside the registered ones."""

    objectives: Mapping[str, Objective] = MappingProxyType({})
    """What each player minimises; see `set_objectives`."""

    @classmethod
    @abstractmethod
    def assemble(cls, parts: Parts, **options: Any) -> Self:
        """Make the model.

        Arguments:
            parts: what a recipe says that concerns all models.
            options: the model's own, from the table [game]: the keyword-only arguments of its
                constructor that have a meaning (`i2i.config.parts`).
        """

    def set_objectives(self, weights: Mapping[str, float]) -> None:
        """Deal the weights of a recipe out to the players, once in the constructor.

        Raises:
            OptionsError: a weight names no term, or no term has a weight.
        """
        self.objectives = objectives(self.terms, weights, self.comparisons)
        used = {name for objective in self.objectives.values() for name in objective.weights}
        # Found once, since every step asks for them.
        self._compared: dict[str, dict[str, Callable[[Tensor, Tensor], Tensor]]] = {
            ending: {name: LOSSES.find(name) for name in LOSSES if name + ending in used}
            for endings in self.comparisons.values()
            for ending in endings
        }

    def set_lazy(self, every: Mapping[str, int]) -> None:
        """Say which terms are lazy: how many turns of their player there are for one of theirs.

        Raises:
            OptionsError: a name is no term of this model.
        """
        known = known_terms(self.terms, self.comparisons, self.own_losses)
        if problems := unknown_terms("every", every, known):
            raise OptionsError("\n".join(problems))
        for player, objective in self.objectives.items():
            objective.every = {
                name: turns
                for name, turns in every.items()
                if name in objective.weights and turns > 1
            }
            if {*self.players[player]} & {*self.generators}:  # it moves in one of so many steps
                objective.stride = getattr(self, "n_critic", 1)

    def tick(self, clock: Clock) -> None:
        """Say which step is played next, for lazy terms."""
        for objective in self.objectives.values():
            objective.tick(clock.step)

    def share_of_turns(self, player: str) -> float:
        """Which share of a player's turns are its ordinary ones: k / (k + 1) if it has one more,
        for lazy terms, in one of k steps.

        Its learning rate is multiplied by that, and its betas are raised to that power, so that k
        steps move it as far as without (Karras et al., "Analyzing and improving the image quality
        of StyleGAN", CVPR 2020, appendix B).
        """
        return 1.0

    def compare(
        self, output: Tensor, target: Tensor, ending: str = ""
    ) -> dict[str, Callable[[], Tensor]]:
        """The terms, for an objective, that compare two images: one for each loss in use."""
        return {
            name + ending: partial(loss, output, target)
            for name, loss in self._compared.get(ending, {}).items()
        }

    @abstractmethod
    def play(self, batch: Batch, clock: Clock) -> Play:
        """One training step on a batch of signed images, as one turn after another.

        State of the model (a buffer, a random number) may change only in the turn in which it is
        used: a step in several pieces repeats earlier turns to get at a later one.
        """

    def on_step_start(self, clock: Clock) -> None:
        """Get ready for the step that is played next; this is never recorded.

        What changes from step to step without changing what is to be done, such as the share of
        layers that fade in, is written here to tensors on the device, and read by `play` from them.
        """

    def graph_key(self, clock: Clock) -> Hashable | None:
        """What `play` makes of the clock: steps of equal graph_key do the same with other numbers.

        None says that this step is like no other, as if it depends on the number of the step. That
        is always right; a step can only be recorded for being replayed if its graph_key comes
        again.
        """
        return None

    def resets_optimizers(self, clock: Clock) -> bool:
        """Whether the optimizers forget what they know of the gradients before this step."""
        return False

    def side_of(self, name: str) -> int:
        """Which side of a batch the images are like that `visualize` or `generate` call so: 0, what
        is translated, or 1, what is made."""
        return int(name != "input")

    @abstractmethod
    def visualize(self, batch: Batch) -> dict[str, Tensor]:
        """The columns of the image grid for a batch: name -> (N, C, H, W) in -1..1."""

    @abstractmethod
    def generate(self, batch: Batch) -> dict[str, Generated]:
        """What is to be judged of the model: a name for each way to use it -> what it makes."""

    @abstractmethod
    def validation_step(self, batch: Batch) -> dict[str, Tensor]:
        """How good the model is on a batch: name -> one value for each image, (N, ...)."""

    def reduce(self, measured: Mapping[str, Tensor]) -> dict[str, float]:
        """Turn what `measure` found for all images into numbers: by default the means."""
        return {name: values.mean().item() for name, values in measured.items()}
