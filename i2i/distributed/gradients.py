"""Training in several processes: what they exchange, and when.

Every process holds all networks and computes its share of each batch. Before a player moves, the
gradients are averaged over the processes, so that all make the same move and the networks stay
equal. Besides that they exchange the losses when the log is due, the running statistics of batch
norm before a validation or a checkpoint, and once in every step whether somebody wants to stop.

Whatever belongs to a process alone (a history pool) is in modules that say so with `per_process`;
the checkpoint holds that of each.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from itertools import groupby
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from i2i.distributed.processes import Processes
from i2i.errors import OptionsError

BUCKET = 25 * 2**20
"""Bytes of gradients that are sent together: enough that the way costs less than the load, few
enough that the first are on their way long before the last are known."""


class Exchange:
    """Something that processes send each other within a step."""

    _silent = False

    @contextmanager
    def silent(self) -> Iterator[None]:
        """Let everything be as in training, but send nothing."""
        self._silent = True
        try:
            yield
        finally:
            self._silent = False


class SumExchange(Exchange):
    """Sums a tensor over all processes, in place. A collective."""

    def __call__(self, values: Tensor) -> None:
        if not self._silent:
            dist.all_reduce(values)


class GradientExchange(Exchange):
    """Averages the gradients of one player over all processes while they are still computed.

    `torch.nn.parallel.DistributedDataParallel` does this for one network with one forward and one
    backward pass. Here a turn goes through several networks, of which it trains some, passes
    through one more than once, and its gradient penalty is a backward pass within the forward pass;
    and there is a bucket for each turn of each player. So it is written out: parameters, last
    layers first, fill buckets; when the gradients of a bucket and of all before it are there, it is
    summed over the processes, asynchronously, while the backward pass goes on.

    The loss is divided by the number of processes beforehand, so that the sum is the mean.

    Arguments:
        parameters: of one player, in the order of their layers.
        bucket: bytes that are sent together.
    """

    def __init__(self, parameters: Sequence[nn.Parameter], bucket: int = BUCKET) -> None:
        self.buckets = list(_buckets(parameters, bucket))
        self._place = {p: number for number, each in enumerate(self.buckets) for p in each}
        self._active = False
        self._missing: list[int] = []
        self._sent: list[tuple[Tensor, Any]] = []
        for parameter in parameters:
            parameter.register_post_accumulate_grad_hook(self._arrived)

    @contextmanager
    def during_backward(self) -> Iterator[None]:
        """Average what the backward pass inside adds up to; the gradients are there afterwards."""
        self._missing = [len(bucket) for bucket in self.buckets]
        self._sent = []
        self._active = True
        try:
            yield
            # A parameter that took no part in this turn leaves its bucket, and those after it,
            # waiting.
            while len(self._sent) < len(self.buckets):
                self._send()
            for bucket, (flat, work) in zip(self.buckets, self._sent, strict=True):
                if work is not None:
                    work.wait()
                _unflatten(flat, bucket)
        finally:
            self._active = False
            self._sent = []

    def _arrived(self, parameter: Tensor) -> None:
        if not self._active:
            return
        assert isinstance(parameter, nn.Parameter)
        self._missing[self._place[parameter]] -= 1
        # All processes must send the buckets in the same order.
        while len(self._sent) < len(self.buckets) and self._missing[len(self._sent)] == 0:
            self._send()

    def _send(self) -> None:
        gradients = [
            torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
            for parameter in self.buckets[len(self._sent)]
        ]
        flat = torch.cat([gradient.flatten() for gradient in gradients])
        work = None if self._silent else dist.all_reduce(flat, async_op=True)
        self._sent.append((flat, work))


def _buckets(parameters: Sequence[nn.Parameter], size: int) -> Iterator[list[nn.Parameter]]:
    """The parameters from the last to the first, in groups of one type and up to `size` bytes."""
    for _, alike in groupby(reversed(parameters), lambda parameter: parameter.dtype):
        bucket: list[nn.Parameter] = []
        filled = 0
        for parameter in alike:
            if bucket and filled + parameter.nbytes > size:
                yield bucket
                bucket, filled = [], 0
            bucket.append(parameter)
            filled += parameter.nbytes
        yield bucket


def _unflatten(flat: Tensor, bucket: Sequence[nn.Parameter]) -> None:
    pieces = flat.split([parameter.numel() for parameter in bucket])
    there = [(p.grad, piece) for p, piece in zip(bucket, pieces, strict=True) if p.grad is not None]
    if there:
        gradients = [gradient for gradient, _ in there]
        torch._foreach_copy_(gradients, [piece.view_as(gradient) for gradient, piece in there])


class _SumOverProcesses(torch.autograd.Function):
    """The sum of a tensor over all processes, any number of times differentiable."""

    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        values = values.clone()
        dist.all_reduce(values)
        return values

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        summed: Tensor = _SumOverProcesses.apply(gradients[0].contiguous())
        return summed


def differentiable_mean(processes: Processes) -> Callable[[Tensor], Tensor]:
    """What makes a tensor its mean over the processes and lets gradients pass. A collective, also
    in the backward pass."""

    def mean(values: Tensor) -> Tensor:
        summed: Tensor = _SumOverProcesses.apply(values / processes.world)
        return summed

    return mean


@contextmanager
def apart(model: nn.Module, instead: Callable[[Tensor], Tensor] | None = None) -> Iterator[None]:
    """Let one process use the model while the others do not: nothing in it is synchronised.

    Arguments:
        model: it may have synchronised normalisations.
        instead: what these take for the mean over the processes; None makes them ordinary ones.
    """
    modules: list[Any] = [m for m in model.modules() if getattr(m, "mean_of_all", None)]
    means = [module.mean_of_all for module in modules]
    for module in modules:
        module.mean_of_all = instead
    try:
        yield
    finally:
        for module, mean in zip(modules, means, strict=True):
            module.mean_of_all = mean


@contextmanager
def rehearsing(model: nn.Module, exchanges: Iterable[Exchange]) -> Iterator[None]:
    """Let one process do steps without the others, in the memory that they take with the others:
    all is as in training, but what it sends comes back as the answer."""
    with ExitStack() as stack:
        stack.enter_context(apart(model, instead=torch.clone))
        for exchange in exchanges:
            stack.enter_context(exchange.silent())
        yield


def batch_share(batch_size: int, gradient_accumulation: int, processes: Processes) -> int:
    """How many images of each batch are for one process.

    Raises:
        OptionsError: they cannot all have the same number.
    """
    parts = processes.world * gradient_accumulation
    if batch_size % parts:
        pieces = (
            f" times train.gradient_accumulation (={gradient_accumulation})"
            if gradient_accumulation > 1
            else ""
        )
        raise OptionsError(
            f"train.batch_size (={batch_size}) counts the images of a step in all "
            f"{processes.world} processes together and must be divisible by their number{pieces}: "
            f"take --batch-size {-(-batch_size // parts) * parts}."
        )
    return batch_size // processes.world


def send_weights(model: nn.Module, processes: Processes) -> None:
    """Give all processes the weights of the first. (They have drawn the same from the same seed,
    unless their versions of torch differ.) A collective."""
    if not processes.alone:
        for parameter in model.parameters():
            values = parameter.data.contiguous()  # it may be channels_last
            dist.broadcast(values, src=0)
            parameter.data.copy_(values)


def average_statistics(model: nn.Module, processes: Processes) -> None:
    """Make the running statistics of normalisations their mean over the processes, each of which
    has seen other images. A collective."""
    if processes.alone:
        return
    statistics = [
        buffer
        for name, buffer in model.named_buffers()
        if name.rpartition(".")[2] in ("running_mean", "running_var")
    ]
    if statistics:
        flat = processes.mean(torch.cat([buffer.flatten() for buffer in statistics]))
        parts = flat.split([buffer.numel() for buffer in statistics])
        for buffer, part in zip(statistics, parts, strict=True):
            buffer.copy_(part.view_as(buffer))


def own_state(model: nn.Module) -> dict[str, Tensor]:
    """The buffers that each process has its own of, on the CPU."""
    return {name: buffer.cpu() for name, buffer in _own_buffers(model)}


def gather_own_states(model: nn.Module, processes: Processes) -> list[dict[str, Tensor]]:
    """What each process but the first has of its own, for the checkpoint that the first writes,
    whose own is in the state of the model. A collective."""
    if processes.alone or not any(True for _ in _own_buffers(model)):
        return []
    return processes.gather_first(own_state(model))[1:]


def restore_own_state(
    model: nn.Module, state: Mapping[str, Any], processes: Processes
) -> str | None:
    """After the state of the first was loaded: let a process have its own; says what is not as it
    was.

    Where they are not as many as before, process r goes on with what process r modulo the former
    number had.
    """
    own = dict(_own_buffers(model))
    if not own:
        return None
    others = state.get("ranks", [])
    former = 1 + len(others)
    if place := processes.rank % former:
        for name, buffer in own.items():
            buffer.copy_(others[place - 1][name])
    if former == processes.world:
        return None
    return (
        f"the checkpoint holds the history pools of {former} "
        f"process{'es' if former > 1 else ''}, and now there are {processes.world}: they are dealt "
        "out in turns, so from here on the run differs from an uninterrupted one."
    )


def _own_buffers(model: nn.Module) -> Iterator[tuple[str, Tensor]]:
    for path, module in model.named_modules():
        if getattr(module, "per_process", False):
            for name, buffer in module.named_buffers(prefix=path):
                if buffer.numel():
                    yield name, buffer
