"""The trainer: it moves a model by one step, and knows nothing of any model.

See `i2i.core.model` for what a step is. The trainer adds what all games need: who may learn when,
in which precision, at which learning rate, with which random numbers, in how many pieces.
"""

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from contextlib import nullcontext
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from i2i.core.batch import AnyBatch, to_device
from i2i.core.draws import draws_apart, seed_generators
from i2i.core.model import Clock, Loss, Model, Play, Turn
from i2i.core.sides import Sides
from i2i.distributed.gradients import (
    Exchange,
    GradientExchange,
    SumExchange,
    gather_own_states,
)
from i2i.distributed.processes import ALONE, Processes
from i2i.errors import CheckpointError, DataError, TrainingError
from i2i.runs.checkpoint import load_checkpoint, save_checkpoint
from i2i.runs.image_grid import image_grid
from i2i.training.anneal import Anneal
from i2i.training.as_used import as_used
from i2i.training.augment import DiscriminatorAugmentation
from i2i.training.batch_check import BatchCheck
from i2i.training.batches import batches_for
from i2i.training.cuda_graphs import (
    Reseed,
    StepGraphs,
    fixed_rates,
    rates_on_device,
)
from i2i.training.ema import EMA, HalfLife, HistoricalAverage
from i2i.training.freeze import Frozen
from i2i.training.noise import InstanceNoise
from i2i.training.pieces import Weights, clip_weights, pieces_of
from i2i.training.precision import Precision
from i2i.training.rates import LearningRates

Losses = dict[str, Tensor]
"""The value of each term before weighting, as "player/term", and each player's weighted "total";
and what else the log tells of a player's turn."""

AVERAGED_BUFFERS = ("running_mean", "running_var")


class Trainer:
    """Everything that changes from step to step: weights, optimizers, average, scales, the clock.

    All random numbers of a step derive from (seed, step), so a resumed run is the same run. A step
    seeds torch's global generators for this, and leaves them as they were.

    Weights that are frozen (`requires_grad_(False)`, at any time) stay as they are, to the bit.

    Arguments:
        model: the game; it is moved to `device`.
        make_optimizer: makes the optimizer of a player from its name and parameters.
        device: where to compute.
        precision: "fp32", "bf16" or "fp16"; see `i2i.training.precision`.
        rate: step -> what every learning rate is multiplied by, but for those that somebody else
            sets (`i2i.training.rates`).
        seed: of all random numbers.
        gradient_accumulation: into how many pieces a batch is cut, to save memory. The gradients
            of the pieces are averaged before a player moves, and every player faces the others as
            they stand
            after the earlier turns: the step is that of the whole batch (but for batch norm, whose
            statistics are those of a piece). The price is that the forward passes of earlier turns
            are repeated.
        average: decay of the moving average of the generators, for each step in which one of them
            moves; 0 for none.
        ema_warmup: whether it begins with a short memory, so that it soon forgets the fresh
            weights.
        half_life: says the decay in images instead, and then counts.
        anneal: constants that change over the first part of the run.
        images: step -> how many images of the data come before it.
        channels_last: memory format of networks and images.
        compile: the names of the networks that `torch.compile` compiles.
        augment: random changes of a batch of signed images on the device.
        augmentation: of what discriminators see.
        noise: on the input of discriminators.
        clip: player -> the largest size of a weight that it keeps after its turn (Arjovsky et al.:
            Wasserstein GAN, 2017, algorithm 1).
        max_grad_norm: the length of a player's gradient over all of its weights, to which a longer
            one is scaled before it moves (Pascanu et al.: On the difficulty of training recurrent
            neural networks, 2013); None for no limit.
        historical_averaging: weight of every player's distance from its own past.
        length: of the run in steps, for what changes over the run.
        processes: those that train together. Each is given its share of every batch, and draws the
            random numbers that the same pieces of the whole batch would be given by one process
            with as many times `gradient_accumulation`; only those of `augment` are others.
        graphs: records steps and replays them; without it, Python plays every step.
        check: refuses batches that the model cannot learn from.
        sides: how batches become what networks see, and pictures.
        prepare: puts a generator into the mode in which it is used after training.
        frozen: weights that do not learn, and whose buffers do not move either.
        about: what else a checkpoint says of itself (`save`): "options" and "data".
    """

    def __init__(
        self,
        model: Model,
        make_optimizer: Callable[[str, list[torch.nn.Parameter]], torch.optim.Optimizer],
        *,
        device: torch.device | str = "cpu",
        precision: str = "fp32",
        rate: Callable[[int], float] = lambda step: 1.0,
        seed: int = 0,
        gradient_accumulation: int = 1,
        average: float = 0.0,
        ema_warmup: bool = False,
        half_life: HalfLife | None = None,
        anneal: Anneal | None = None,
        images: Callable[[int], int] = lambda step: step,
        channels_last: bool = False,
        compile: Iterable[str] = (),  # noqa: A002 (what else to call it)
        augment: Callable[[AnyBatch], AnyBatch] | None = None,
        augmentation: DiscriminatorAugmentation | None = None,
        noise: InstanceNoise | None = None,
        clip: Mapping[str, float] = MappingProxyType({}),
        max_grad_norm: float | None = None,
        historical_averaging: float = 0.0,
        length: int = 1,
        processes: Processes = ALONE,
        graphs: StepGraphs | None = None,
        check: BatchCheck | None = None,
        sides: Sides = Sides(),  # noqa: B008 (nobody can change it)
        prepare: Callable[[nn.Module], object] = nn.Module.eval,
        frozen: Frozen | None = None,
        about: Mapping[str, Any] = MappingProxyType({}),
    ) -> None:
        self.device = torch.device(device)
        self.memory_format = torch.channels_last if channels_last else torch.contiguous_format
        self.model = model.to(self.device).to(memory_format=self.memory_format)
        self.precision = Precision(precision, self.device, model.players)
        self.rate = rate
        self.seed = seed
        self.gradient_accumulation = gradient_accumulation
        self.augment = augment
        self.augmentation = augmentation
        self.noise = noise
        self.clip = clip
        self.max_grad_norm = max_grad_norm
        self.length = length
        self.processes = processes
        self.graphs = graphs
        self.check = check
        self.sides = sides
        self.prepare = prepare
        self.frozen = frozen
        self.about = about
        self.half_life = half_life
        self.anneal = Anneal() if anneal is None else anneal
        self.images = images
        self.steps_done = 0
        self._last: AnyBatch | None = None

        self._networks = {
            name: list(model.get_submodule(name).parameters())
            for networks in model.players.values()
            for name in networks
        }
        self.parameters = {
            player: [p for name in networks for p in self._networks[name]]
            for player, networks in model.players.items()
        }
        self.optimizers = {
            player: make_optimizer(player, parameters)
            for player, parameters in self.parameters.items()
        }
        self._base_betas = {
            player: [group.get("betas") for group in optimizer.param_groups]
            for player, optimizer in self.optimizers.items()
        }
        for objective in model.objectives.values():
            for name in self.anneal.weights.keys() & objective.weights.keys():
                weight = torch.tensor(objective.weights[name], device=self.device)
                objective.moving[name] = weight
        self._makers = [
            player for player, names in model.players.items() if {*names} & {*model.generators}
        ]
        self._judges = [player for player in model.players if player not in self._makers]
        if self.device.type == "cuda":
            for optimizer in self.optimizers.values():
                rates_on_device(optimizer, self.device)
        self._rates = LearningRates(self.optimizers)
        decay = None if half_life is not None else average
        self.ema = None if decay == 0 else EMA(self._averaged(), decay, warmup=ema_warmup)
        self.histories = {
            player: HistoricalAverage(parameters, historical_averaging)
            for player, parameters in self.parameters.items()
            if historical_averaging
        }
        self.exchanges = (
            {}
            if processes.alone
            else {name: GradientExchange(mine) for name, mine in self.parameters.items() if mine}
        )
        self._sum_up = SumExchange()
        if augmentation is not None and not processes.alone:
            augmentation.sum_up = self._sum_up
        for name in compile:
            model.get_submodule(name).compile()

    def _averaged(self) -> Iterator[tuple[str, Tensor]]:
        """The weights of the generators and their companions, and the running statistics that
        belong to them."""
        for generator in (*self.model.generators, *self.model.companions):
            network = self.model.get_submodule(generator)
            for name, parameter in network.named_parameters():
                yield f"{generator}.{name}", parameter
            for name, buffer in network.named_buffers():
                if name.endswith(AVERAGED_BUFFERS):
                    yield f"{generator}.{name}", buffer

    @property
    def clock(self) -> Clock:
        return self._clock(self.steps_done)

    def _clock(self, step: int) -> Clock:
        return Clock(step, min(1.0, step / self.length))

    def step(self, batch: AnyBatch, *, closely: bool = False) -> Losses:
        """Train on one batch and return the losses, still on the device.

        Arguments:
            batch: what `model.play` takes, as a named tuple; byte images are made signed.
            closely: whether to look at the gradients too: "player/gradient_norm" is the length of
                the gradient that a player follows, over all of its weights.

        Raises:
            DataError: the batch is not what the model learns from.
            TrainingError: a player's loss does not depend on its own networks.
        """
        if self.check is not None:
            batch = self.check(batch, next(self.model.parameters()).dtype)
        self._last = batch
        with draws_apart(device=self.device):
            losses = self._step(batch, closely)
            if self.frozen is not None:
                self.frozen.restore()
            if self.augmentation is not None:
                self.augmentation.end_step(self.clock, len(batch[0]) * self.processes.world)
        self.steps_done += 1
        return losses

    def _step(self, batch: AnyBatch, closely: bool) -> Losses:
        if not all(network.training for network in self.model.children()):
            self.model.train()  # somebody has looked at a result in between
        if self.frozen is not None:
            self.frozen.hold()
        self._set_constants()
        if self.model.resets_optimizers(self.clock):
            for optimizer in self.optimizers.values():
                optimizer.state.clear()
            self._forget_graphs()
        if self.noise is not None:
            self.noise.fade(self.clock.share)
        self.model.on_step_start(self.clock)
        batch = to_device(batch, self.device, self.memory_format, self.sides)
        if self.augment is not None:
            self._reseed(-1)
            batch = self.augment(batch)
        if self.graphs is None:
            return self._compute(batch, self._reseed, closely)
        return self.graphs.step(
            self._kind(closely),
            batch,
            lambda batch, reseed: self._compute(batch, reseed, closely),
            self._seed,
            self.precision.abandon,
        )

    def learning_rates(self, step: int) -> dict[str, float]:
        """The learning rate of each player in a step, counted from 0."""
        return {player: rates[0] for player, rates in self._rates.at(self._rate(step)).items()}

    def batches(self, data: Any, stop: int | None = None) -> Iterator[AnyBatch]:
        """The batches of the steps that are left, as a run would see them: `i2i.train`, of a folder
        or with the same data, does the same as this loop, bit for bit, and so does a loop that
        goes on after `load`::

            for batch in trainer.batches(dataset, 1000):
                trainer.step(batch)

        Arguments:
            data: a folder of images (with the options of the trainer), or an object as for
                `i2i.train`. It is read in this process.
            stop: steps that are done in the end; by default the length of the run.

        Raises:
            DataError: it is no such data.
        """
        return batches_for(self, data, self.length if stop is None else stop)

    def sheet(self, batch: AnyBatch | None = None) -> Image.Image:
        """An image grid (`image_grid`) of a batch; by default of the last one that was trained on.

        Raises:
            DataError: there was none yet.
        """
        shown = self._last if batch is None else batch
        if shown is None:
            raise DataError("no step was done yet: give a batch to make an image sheet of.")
        return self.image_grid(shown)

    def image_grid(self, batch: AnyBatch) -> Image.Image:
        """What the model makes of a batch, as a grid of images: a row for each, named columns.

        The generators run as they will be used, with averaged weights where there is an average;
        nothing of the training changes.
        """
        if self.check is not None:
            batch = self.check(batch, next(self.model.parameters()).dtype)
        batch = to_device(batch, self.device, self.memory_format, self.sides)
        with as_used(self, self.prepare, self.seed, single=len(batch[0]) == 1):
            return image_grid(self.pictures(batch))

    def pictures(self, batch: Any) -> dict[str, Tensor]:
        """The columns of the image grid for a batch on the device: name -> (N, 1 or 3, H, W)."""
        return self.sides.pictures(self.model.visualize(batch), self.model.side_of)

    def save(self, path: Path | str) -> None:
        """Write a checkpoint, which `load` and every command that takes one read.

        Raises:
            CheckpointError: it cannot be written.
        """
        others = gather_own_states(self.model, self.processes)
        if self.processes.first:
            judgement = {"decisive": None, "best": None, "stale": 0}
            state = {**self.about, **judgement, "ranks": others, **self.state_dict()}
            save_checkpoint(Path(path), state)

    def load(self, path: Path | str) -> None:
        """Go on exactly where the trainer was that saved this checkpoint.

        Raises:
            CheckpointError: it cannot be read, or is of other networks or players.
        """
        state = load_checkpoint(Path(path))
        try:
            self.load_state_dict(state)
        except (KeyError, RuntimeError, ValueError, AssertionError) as error:
            reason = (str(error).strip() or type(error).__name__).splitlines()[-1].strip()
            raise CheckpointError(
                f"{path} does not fit this trainer ({reason}): build it from the options that the "
                "checkpoint was trained with."
            ) from error

    def state_dict(self) -> dict[str, Any]:
        """Everything that the next step depends on, as tensors and plain values."""
        return {
            "step": self.steps_done,
            "model": self.model.state_dict(),
            "optimizers": {name: self._optimizer_state(name) for name in self.optimizers},
            "scalers": self.precision.state_dict(),
            "average": self.ema.state_dict() if self.ema else {},
            "average_updates": None if self.ema is None else self.ema.updates,
            "rates": self._rates.theirs(),
            "histories": {player: h.state_dict() for player, h in self.histories.items()},
            "augmentation": {} if self.augmentation is None else self.augmentation.kept(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.steps_done = state["step"]
        self.model.load_state_dict(state["model"])
        if self.frozen is not None:
            self.frozen.remember()
        for name, optimizer in self.optimizers.items():
            # What groups hold (rates, kernels) follows from the options and the device, as it did
            # when the state was saved, maybe on another one.
            groups = optimizer.state_dict()["param_groups"]
            saved = state["optimizers"][name]["state"]
            optimizer.load_state_dict({"state": saved, "param_groups": groups})
        self._forget_graphs()
        self.precision.load_state_dict(state["scalers"])
        self._rates.restore(state.get("rates", {}))
        if self.ema is not None:
            self.ema.load_state_dict(state["average"], state.get("average_updates"))
        for player, history in self.histories.items():
            history.load_state_dict(state["histories"][player])
        if self.augmentation is not None:
            self.augmentation.restore(state.get("augmentation", {}))

    def all_exchanges(self) -> list[Exchange]:
        """All by which processes send each other something within a step."""
        return [*self.exchanges.values(), self._sum_up]

    def _rate(self, step: int) -> float:
        """What every learning rate is multiplied by in a step."""
        return self.rate(step) * self.anneal.at(self._clock(step).share, 1.0, self.anneal.rate)

    def _set_constants(self) -> None:
        """Set all that follows from the number of the step."""
        step, share = self.steps_done, self.clock.share
        self.model.tick(self.clock)
        for objective in self.model.objectives.values():
            for name, weight in objective.moving.items():
                final = self.anneal.weights[name]
                weight.fill_(self.anneal.at(share, objective.weights[name], final))
        if self.half_life is not None and self.ema is not None:
            seen = self.images(step)
            half_life = self.anneal.at(share, self.half_life.images, self.anneal.half_life)
            count = self.images(step + 1) - seen
            self.ema.set_decay(self.half_life.decay(half_life, seen, count))
        if self.anneal.beta2 is not None:
            for player, optimizer in self.optimizers.items():
                final = self.anneal.beta2 ** self.model.share_of_turns(player)
                bases = self._base_betas[player]
                for group, betas in zip(optimizer.param_groups, bases, strict=False):
                    if betas:  # of the groups that there were at the beginning
                        group["betas"] = (betas[0], self.anneal.at(share, betas[1], final))
        self._rates.set(self._rate(step))

    def _optimizer_state(self, player: str) -> dict[str, Any]:
        """Its state, with learning rates as numbers."""
        state: dict[str, Any] = self.optimizers[player].state_dict()
        rates = self._rates.at(self._rate(self.steps_done))[player]
        for group, rate in zip(state["param_groups"], rates, strict=False):
            group["lr"] = rate
        return state

    def _kind(self, closely: bool) -> Hashable | None:
        """What Python decides in the coming step; None if no other step is like it."""
        graph_key = self.model.graph_key(self.clock)
        share = self.clock.share
        if graph_key is None or (self.anneal.beta2 is not None and not self.anneal.over(share)):
            return None  # Adam's kernels take betas as numbers
        lazily = tuple(each.lazily for each in self.model.objectives.values())
        rates = tuple(fixed_rates(optimizer) for optimizer in self.optimizers.values())
        return graph_key, lazily, closely, self.gradient_accumulation, rates

    def _forget_graphs(self) -> None:
        if self.graphs is not None:
            self.graphs.forget()

    def _compute(self, batch: AnyBatch, reseed: Reseed, closely: bool) -> Losses:
        """All that a step does on the device."""
        losses = self._play(list(pieces_of(batch, self.gradient_accumulation)), reseed, closely)
        if self.augmentation is not None:
            told = self.augmentation.readings()
            losses |= {f"{self._judges[0]}/{name}": value for name, value in told.items()}
        if self.ema is not None and any(f"{p}/total" in losses for p in self._makers):
            self.ema.update()
        return losses

    def _reseed(self, piece: int) -> None:
        seed_generators(self.device, self._seed(piece))

    def _seed(self, piece: int) -> int:
        """Of the random numbers of a piece of the batch; of `augment` for -1."""
        rank = self.processes.rank
        entropy = [self.seed, self.steps_done, 0]
        if piece >= 0:  # of the whole batch, which is dealt out to the processes in order
            entropy[-1] = rank * self.gradient_accumulation + piece + 1
        elif rank:
            entropy.append(rank)
        return int(np.random.SeedSequence(entropy).generate_state(1, np.uint64)[0]) >> 1

    def _play(self, pieces: list[AnyBatch], reseed: Reseed, closely: bool) -> Losses:
        losses: Losses = {}
        current = len(pieces) - 1
        game = self._open(pieces[current], current, reseed)
        past: list[Weights] = []  # of the player of each turn so far, before and after it moved
        while (turn := self._next(game)) is not None:
            player, loss = turn
            if loss.terms:
                self.optimizers[player].zero_grad(set_to_none=True)
                others = [other for other in range(len(pieces)) if other != current]
                self._descend(player, loss, len(pieces), losses, last=not others)
                for piece in others:
                    game.close()  # frees the graph of the piece before
                    game, (again, loss) = self._replay(pieces[piece], piece, past, reseed)
                    assert again == player, (again, player)
                    last = piece == others[-1]
                    self._descend(player, loss, len(pieces), losses, last=last)
                    current = piece
            if loss.terms and closely and self._learning(player, loss):
                losses[f"{player}/gradient_norm"] = self._gradient_norm(player)
            if len(pieces) == 1:
                self._move(player, loss, losses)
            else:
                weights = Weights(self.parameters[player])
                self._move(player, loss, losses)
                past.append(weights.moved())
        return losses

    def _move(self, player: str, loss: Loss, losses: Losses) -> None:
        if not loss.terms or not self._learning(player, loss):
            return
        history = self.histories.get(player)
        if history is not None:
            distance = history.pull(self.precision.scale(player))
            losses[f"{player}/historical_averaging"] = distance
        if self.model.zero_unreached:
            for parameter in self._learning(player, loss):
                if parameter.grad is None:
                    parameter.grad = torch.zeros_like(parameter)
        if self.max_grad_norm is not None:
            torch.nn.utils.clip_grads_with_norm_(
                self.parameters[player], self.max_grad_norm, self._gradient_norm(player)
            )
        self.precision.step(player, self.optimizers[player])
        if player in self.clip:
            clip_weights(self._learning(player, loss), self.clip[player])
        if history is not None:
            history.update()

    def _learning(self, player: str, loss: Loss) -> list[torch.nn.Parameter]:
        """The weights that a player moves in a turn: of the turn's networks, and not frozen."""
        names = loss.networks or self.model.players[player]
        return [p for name in names for p in self._networks[name] if p.requires_grad]

    def _gradient_norm(self, player: str) -> Tensor:
        gradients = [p.grad for p in self.parameters[player] if p.grad is not None]
        norm: Tensor = torch.nn.utils.get_total_norm(gradients)
        scale = self.precision.scale(player)
        return norm if scale is None else norm / scale

    def _open(self, piece: AnyBatch, index: int, reseed: Reseed) -> Play:
        reseed(index)
        if self.augmentation is not None:
            self.augmentation.begin(len(piece[0]))
        play: Play = self.model.play(piece, self.clock)
        return play

    def _next(self, game: Play) -> Turn | None:
        augmented = nullcontext() if self.augmentation is None else self.augmentation.playing()
        with self.precision.autocast(), augmented:
            return next(game, None)

    def _replay(
        self, piece: AnyBatch, index: int, past: list[Weights], reseed: Reseed
    ) -> tuple[Play, Turn]:
        """Play a piece again up to the turn that comes after those in `past`.

        Each of the earlier turns meets the weights that it met the first time. They have left their
        mark on the buffers (running statistics, a replay pool) when they were played for
        themselves, so here their marks are wiped out.
        """
        game = self._open(piece, index, reseed)
        if past:
            counts = [] if self.augmentation is None else self.augmentation.buffers()
            buffers = Weights([*self.model.buffers(), *counts])
            for turn_taken in reversed(past):
                turn_taken.restore_before()
            for turn_taken in past:
                self._next(game)
                turn_taken.restore_after()
            buffers.restore_before()
        turn = self._next(game)
        assert turn is not None, "every piece of a batch must have the same turns"
        return game, turn

    def _descend(self, player: str, loss: Loss, pieces: int, losses: Losses, *, last: bool) -> None:
        """Add the gradient of a piece; with the last one, average it over the processes."""
        names = loss.networks or self.model.players[player]
        parameters = self._learning(player, loss)
        if loss.total.requires_grad and parameters:
            share = loss.total / (pieces * self.processes.world)
            exchange = self.exchanges.get(player) if last else None
            with exchange.during_backward() if exchange else nullcontext():
                self.precision.backward(player, share, parameters)
        if parameters and all(parameter.grad is None for parameter in parameters):
            raise TrainingError(
                f"step {self.steps_done}: the loss of the {player} "
                f"(terms: {', '.join(loss.terms)}) does not depend on its own networks "
                f"({', '.join(names)}), so the turn would train nobody."
            )
        total = {"total": loss.total.detach()}
        for name, value in {**loss.terms, **loss.readings, **total}.items():
            key = f"{player}/{name}"
            losses[key] = losses[key] + value / pieces if key in losses else value / pieces
