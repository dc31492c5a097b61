"""A whole training step as one CUDA graph: recorded once, then replayed.

A step is thousands of small kernels, and to ask a GPU for one takes Python longer than it takes the
GPU to compute many of them. A graph asks for all at once. It repeats exactly what was recorded, on
the same memory, so that a replayed step equals one that Python plays if and only if all that
differs between steps is read from that memory:

- Batches are copied to where the recorded batch was.
- Learning rates are tensors (`rates_on_device`). Where an optimizer can only take numbers, they
  tell one kind of step from another.
- So are the shares of layers that fade in (`Model.on_step_start`), the deviation of instance
  noise, and the number of turns that a historical average divides by.
- Random numbers: of a recorded draw, the kernel reads seed and offset from device memory, which
  torch fills before each replay from the state of the generator. A step seeds torch's generator at
  certain places (`Trainer`); each place gets a state of its own, seeded before each replay.
- Losses come out as copies.
- What else Python decides in a step is the same in all steps of one kind. Which kind it is, a model
  says in `Model.graph_key`; besides, kinds differ in the shapes of the batch and in what is logged.

The first steps of each kind are played by Python: they make what is made once (the state of
optimizers, compiled networks, the choice of algorithms). No step is left out and none is repeated:
recording computes nothing.
"""

import logging
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor

from i2i.core.batch import AnyBatch
from i2i.core.draws import seed_generators

_log = logging.getLogger(__name__)

Losses = dict[str, Tensor]

Reseed = Callable[[int], None]
"""Seeds torch's generators for a piece of the batch."""

Work = Callable[[AnyBatch, Reseed], Losses]
"""What a step computes of a batch on the device."""

REHEARSALS = 3
"""Steps of a kind that Python plays before one is recorded; torch asks for some."""


class Recording(Protocol):
    """A step that can be done again."""

    def replay(self, seeds: Sequence[int]) -> None:
        """Do it, with these seeds at the places where it seeds, in their order."""


class Recorder(Protocol):
    """Makes recordings."""

    def rehearse(self, work: Callable[[], Losses]) -> Losses:
        """Do the work as it will be recorded later on, without recording it."""

    def record(
        self, work: Callable[[Reseed], Losses], seeds: Sequence[int]
    ) -> tuple[Recording, list[str], Tensor]:
        """Record the work, without doing it.

        Arguments:
            work: it seeds at as many places as there are seeds.
            seeds: of this step.

        Returns:
            The recording, the names of the losses, and where their values are after a replay.

        Raises:
            RuntimeError, AssertionError, ValueError: it does something that cannot be recorded.
        """

    def forget(self) -> None:
        """There are no recordings any more."""


@dataclass
class _Kind:
    """What is known of steps of one kind."""

    rehearsals: int = 0
    pieces: list[int] = field(default_factory=list)  # for which it seeds, in order
    inputs: AnyBatch = ()
    recording: Recording | None = None
    names: list[str] = field(default_factory=list)
    values: Tensor | None = None


class StepGraphs:
    """Does steps by a recording where there can be one, else by Python.

    Arguments:
        recorder: makes the recordings.
        device: where steps are computed.
    """

    def __init__(self, recorder: Recorder, device: torch.device) -> None:
        self.recorder = recorder
        self.device = device
        self._kinds: dict[Hashable, _Kind] = {}
        self._failed: set[Hashable] = set()
        self._said: set[str] = set()

    @property
    def recorded(self) -> int:
        """How many kinds of steps have a recording at present."""
        return sum(kind.recording is not None for kind in self._kinds.values())

    def step(
        self,
        key: Hashable | None,
        batch: AnyBatch,
        work: Work,
        seed: Callable[[int], int],
        recover: Callable[[], None],
    ) -> Losses:
        """Do one step and return its losses.

        Arguments:
            key: which kind of step it is; None for one that is like no other.
            batch: a named tuple of tensors on the device.
            work: what the step computes.
            seed: the seed of a piece of the batch in this step.
            recover: makes Python's part of the state good again after a recording that failed.
        """
        if key is None:
            self._say_once("steps that the model calls unlike any other are not recorded.")
            return self._rehearse(_Kind(), batch, work, seed)
        key = (key, tuple((tensor.shape, tensor.dtype) for tensor in batch))
        if key in self._failed:
            return self._rehearse(_Kind(), batch, work, seed)
        kind = self._kinds.setdefault(key, _Kind())
        if kind.rehearsals < REHEARSALS:
            return self._rehearse(kind, batch, work, seed)
        if kind.recording is None and not self._record(key, kind, batch, work, seed, recover):
            return self._rehearse(kind, batch, work, seed)
        assert kind.recording is not None
        assert kind.values is not None
        for place, tensor in zip(kind.inputs, batch, strict=True):
            place.copy_(tensor, non_blocking=True)
        kind.recording.replay([seed(piece) for piece in kind.pieces])
        return dict(zip(kind.names, kind.values.clone().unbind(), strict=True))

    def forget(self) -> None:
        """Drop all recordings: tensors that they work on are no longer those of the training."""
        self._kinds.clear()
        self.recorder.forget()

    def _rehearse(
        self, kind: _Kind, batch: AnyBatch, work: Work, seed: Callable[[int], int]
    ) -> Losses:
        kind.rehearsals += 1
        kind.pieces = []

        def reseed(piece: int) -> None:
            kind.pieces.append(piece)
            seed_generators(self.device, seed(piece))

        return self.recorder.rehearse(lambda: work(batch, reseed))

    def _record(
        self,
        key: Hashable,
        kind: _Kind,
        batch: AnyBatch,
        work: Work,
        seed: Callable[[int], int],
        recover: Callable[[], None],
    ) -> bool:
        """Record a step, if it can be recorded."""
        inputs = type(batch)(*(tensor.clone() for tensor in batch))
        try:
            kind.recording, kind.names, kind.values = self.recorder.record(
                lambda reseed: work(inputs, reseed), [seed(piece) for piece in kind.pieces]
            )
        except (RuntimeError, AssertionError, ValueError) as error:
            recover()
            del self._kinds[key]
            self._failed.add(key)
            if not self.recorded:
                self.recorder.forget()
            self._say_once(
                f"a step could not be recorded as a CUDA graph, so such steps go on without one "
                f"({_reason(error)})"
            )
            return False
        kind.inputs = inputs
        self._say_once("steps are recorded as CUDA graphs and replayed from here on.")
        return True

    def _say_once(self, line: str) -> None:
        if line not in self._said:
            self._said.add(line)
            _log.info(f"note: {line}")


class CudaRecorder:
    """Records CUDA graphs.

    They share one pool of memory: they never run at the same time, and none needs what another has
    left in it.

    Arguments:
        device: a CUDA device.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.stream = torch.cuda.Stream(device)
        self._pool: Any = None

    def rehearse(self, work: Callable[[], Losses]) -> Losses:
        """On the stream of the recording: autograd remembers on which one a weight was used."""
        current = torch.cuda.current_stream(self.device)
        self.stream.wait_stream(current)
        with torch.cuda.stream(self.stream):
            losses = work()
        current.wait_stream(self.stream)
        for value in losses.values():
            value.record_stream(current)
        return losses

    def record(
        self, work: Callable[[Reseed], Losses], seeds: Sequence[int]
    ) -> tuple[Recording, list[str], Tensor]:
        if self._pool is None:
            self._pool = torch.cuda.graph_pool_handle()
        index = torch.cuda.current_device() if self.device.index is None else self.device.index
        default = torch.cuda.default_generators[index]
        # At the first place the generator has its own state, at each further one another.
        more = [torch.Generator(self.device) for _ in seeds[1:]]
        own = default.graphsafe_get_state()
        graph = torch.cuda.CUDAGraph()
        for generator in more:
            graph.register_generator_state(generator)
        coming = iter([own, *more])

        def reseed(piece: int) -> None:
            state = next(coming)
            if state is not own:
                default.graphsafe_set_state(state)

        try:
            with (
                torch.cuda.device(self.device),
                # Threads that pin batches go on meanwhile, and may do what a recording may not.
                torch.cuda.graph(
                    graph,
                    pool=self._pool,
                    stream=self.stream,
                    capture_error_mode="thread_local",
                ),
            ):
                losses = work(reseed)
                values = torch.stack(list(losses.values()))
        finally:
            if more:
                default.graphsafe_set_state(own)
        return _CudaRecording(graph, [default, *more][: len(seeds)]), list(losses), values

    def forget(self) -> None:
        torch.cuda.synchronize(self.device)  # a replay may still be under way
        self._pool = None  # torch refuses to record into a pool whose graphs are all gone


@dataclass(frozen=True)
class _CudaRecording:
    graph: torch.cuda.CUDAGraph
    generators: list[torch.Generator]

    def replay(self, seeds: Sequence[int]) -> None:
        for generator, seed in zip(self.generators, seeds, strict=True):
            generator.manual_seed(seed)
        self.graph.replay()


def rates_on_device(optimizer: torch.optim.Optimizer, device: torch.device) -> None:
    """Turn the learning rates into tensors, if the optimizer's kernels can read them there."""
    dtype = torch.float64 if device.type == "cpu" else torch.float32  # what the kernels expect
    for group in optimizer.param_groups:
        if group.get("capturable") or group.get("fused"):
            group["lr"] = torch.tensor(group["lr"], dtype=dtype, device=device)


def fixed_rates(optimizer: torch.optim.Optimizer) -> tuple[float, ...]:
    """The learning rates that are numbers, which a recording would not see changing."""
    rates = [group["lr"] for group in optimizer.param_groups]
    return tuple(rate for rate in rates if not isinstance(rate, Tensor))


def _reason(error: BaseException) -> str:
    """The first line of what went wrong first: torch fails once more when it ends a recording."""
    while error.__context__ is not None:
        error = error.__context__
    return f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}"
