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
from collections.abc import Callable, Generator, Hashable, Mapping
from dataclasses import dataclass
from functools import reduce
from operator import add
from types import MappingProxyType
from typing import Any, ClassVar, NamedTuple, Self

import torch
from torch import Tensor, nn

from i2i.errors import OptionsError, did_you_mean


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
    `readings` are scalars that only go into the log.
    """

    total: Tensor
    terms: dict[str, Tensor]
    readings: Mapping[str, Tensor] = MappingProxyType({})

    def noting(self, readings: Mapping[str, Tensor]) -> "Loss":
        """This loss, with readings."""
        return self._replace(readings=readings)


class Produced(NamedTuple):
    """What generators make of a batch, all (N, C, H, W) in -1..1.

    `references` are real pictures of the kind that `outputs` should be: the very same ones if
    `paired`, any ones if not. `inputs` are what was translated; `labels` (N, L), 0 or 1, what the
    outputs were asked to be.
    """

    outputs: Tensor
    references: Tensor
    inputs: Tensor | None = None
    paired: bool = False
    labels: Tensor | None = None


Turn = tuple[str, Loss]
Play = Generator[Turn, None, None]


class Objective:
    """A weighted sum of named terms.

    Called with one function for each name, it computes those whose weight is not zero::

        objective = Objective({"adversarial": 1.0, "l1": 100.0, "ssim": 0.0})
        loss = objective(
            adversarial=lambda: ...,
            l1=lambda: l1(fake, target),
            ssim=lambda: ssim(fake, target),  # never called
        )
    """

    def __init__(self, weights: Mapping[str, float]) -> None:
        self.weights = dict(weights)

    def __call__(self, **terms: Callable[[], Tensor]) -> Loss:
        assert terms.keys() == self.weights.keys(), (sorted(terms), sorted(self.weights))
        values = {name: term() for name, term in terms.items() if self.weights[name] != 0}
        if not values:
            return Loss(torch.zeros(()), {})
        total = reduce(add, (self.weights[name] * value for name, value in values.items()))
        return Loss(total, {name: value.detach() for name, value in values.items()})


def objectives(
    terms: Mapping[str, tuple[str, ...]], weights: Mapping[str, float]
) -> dict[str, Objective]:
    """Deal the weights of a recipe out to the players: one objective for each.

    Arguments:
        terms: the names of each player's terms.
        weights: the weight of each term; a term that is not mentioned weighs nothing.

    Raises:
        OptionsError: a weight names no term, or no term has a weight.
    """
    known = list(dict.fromkeys(name for names in terms.values() for name in names))
    for name in weights:
        if name not in known:
            raise OptionsError(
                f"objective.{name} is no term of this model.{did_you_mean(name, known)} "
                f"Its terms are: {', '.join(known)}."
            )
    if not any(weights.values()):
        raise OptionsError(
            f"every weight in [objective] is zero: give one of {', '.join(known)} a weight."
        )
    return {
        player: Objective({name: float(weights.get(name, 0.0)) for name in names})
        for player, names in terms.items()
    }


class Model(nn.Module, ABC):
    """A game: its networks, its players, and the rules in `play`.

    A subclass is final: it states the class variables below, registers its networks as attributes
    and implements the abstract methods.
    """

    data: ClassVar[str]
    """The kind of data set that it learns from: "paired", "unpaired", "domains" or "pictures"."""

    players: ClassVar[Mapping[str, tuple[str, ...]]]
    """The networks that each player trains, by attribute name; together they are all of them."""

    terms: ClassVar[Mapping[str, tuple[str, ...]]]
    """The terms of each player's objective, as they are named in recipes and logs."""

    generators: ClassVar[tuple[str, ...]]
    """The networks that are used after training (by attribute name), the main one first."""

    directions: ClassVar[Mapping[str, str]] = {}
    """For a model that translates both ways: "AtoB" and "BtoA" -> the name of the generator."""

    decisive: ClassVar[str]
    """Which of the measures decides on the best checkpoint: one of `measure`; "distance", that
    between what is produced and what is real; or "domain_accuracy", by a classifier."""

    settings: ClassVar[frozenset[str]] = frozenset()
    """The keys of [adversarial] that its rules know, beyond the loss itself."""

    classifier: ClassVar[str | None] = None
    """The network whose second output are logits of the labels that pictures have."""

    classifier_known: bool = True
    """Whether that network has its weights; of imported models it may be missing."""

    notices: tuple[str, ...] = ()
    """What a person should know of how this model was assembled, a sentence each."""

    @classmethod
    @abstractmethod
    def assemble(cls, kit: Any) -> Self:
        """Make the model from the parts that a recipe chooses (`i2i.models.Kit`)."""

    @abstractmethod
    def play(self, batch: Any, clock: Clock) -> Play:
        """One training step on a batch of signed pictures, as one turn after another.

        State of the model (a buffer, a random number) may change only in the turn in which it is
        used: a step in several pieces repeats earlier turns to get at a later one.
        """

    def prepare(self, clock: Clock) -> None:
        """Get ready for the step that is played next; this is never recorded.

        What changes from step to step without changing what is to be done, such as the share of
        layers that fade in, is written here to tensors on the device, and read by `play` from them.
        """

    def rhythm(self, clock: Clock) -> Hashable | None:
        """What `play` makes of the clock: steps of equal rhythm do the same with other numbers.

        None says that this step is like no other, as if it depends on the number of the step. That
        is always right; a step can only be recorded for being replayed if its rhythm comes again.
        """
        return None

    def begins_anew(self, clock: Clock) -> bool:
        """Whether the optimizers forget what they know of the gradients before this step."""
        return False

    @abstractmethod
    def show(self, batch: Any) -> dict[str, Tensor]:
        """The columns of the picture sheet for a batch: name -> (N, C, H, W) in -1..1."""

    @abstractmethod
    def produce(self, batch: Any) -> dict[str, Produced]:
        """What is to be judged of the model: a name for each way to use it -> what it makes."""

    @abstractmethod
    def measure(self, batch: Any) -> dict[str, Tensor]:
        """How good the model is on a batch: name -> one value for each picture, (N, ...)."""

    def summarise(self, measured: Mapping[str, Tensor]) -> dict[str, float]:
        """Turn what `measure` found for all pictures into numbers: by default the means."""
        return {name: values.mean().item() for name, values in measured.items()}
