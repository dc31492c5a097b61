"""Several processes that do one job together: who is who, and what happens when one of them fails.

`torchrun` (or whatever sets the same variables: RANK, WORLD_SIZE, LOCAL_RANK, LOCAL_WORLD_SIZE,
MASTER_ADDR and MASTER_PORT) starts the processes; `together` makes them know each other. Started in
any other way, a process is alone, and all that is here does nothing.
"""

import contextlib
import gc
import logging
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed.distributed_c10d import PrefixStore
from torch.distributed.rendezvous import rendezvous

from i2i.distributed.heartbeat import LONGEST_GOODBYE, Watch
from i2i.errors import I2iError, OptionsError, ProcessError
from i2i.system.cpu import cores

T = TypeVar("T")

JOINING = timedelta(minutes=5)
"""How long they look for each other at first."""

PATIENCE = timedelta(minutes=60)
"""How long processes wait for one that is alive, such as the first, which validates and saves. One
that is dead is noticed within seconds."""


def share(items: Sequence[T], rank: int, world: int) -> Sequence[T]:
    """The items that are for process `rank` of `world`: each is for one, in turns."""
    return items[rank::world]


def launched() -> bool:
    """Whether this process was started as one of several."""
    return int(os.environ.get("WORLD_SIZE", "1")) > 1 and "RANK" in os.environ


@dataclass(frozen=True)
class Processes:
    """The processes of a job, seen by one of them.

    `rank` counts them from 0 over all machines, `local_rank` on this one. What is called a
    collective here must be called by all of them, in the same order.
    """

    rank: int = 0
    world: int = 1
    local_rank: int = 0
    local_world: int = 1
    control: Any = field(default=None, repr=False)
    """The group through which the processors of the machines (not their GPUs) talk."""

    @property
    def first(self) -> bool:
        """Whether this is the one that writes and speaks for all."""
        return self.rank == 0

    @property
    def alone(self) -> bool:
        return self.world == 1

    def device(self, name: str) -> str:
        """What `name` ("auto", "cpu", "cuda", ...) means for this process: a GPU of its own.

        Raises:
            OptionsError: they cannot all compute there.
        """
        if self.alone:
            return name
        if name in ("auto", "cuda") and _on_cuda(name):
            return f"cuda:{self.local_rank}"
        if name not in ("auto", "cpu", "cuda"):
            raise OptionsError(
                f"device (={name!r}) cannot be shared by {self.world} processes: say cuda, where "
                "each takes a GPU of its own, or cpu."
            )
        return "cpu" if name == "auto" else name

    def barrier(self) -> None:
        """Wait for all others. A collective."""
        self.gather(None)

    def gather(self, value: T) -> list[T]:
        """The values of all, by rank; plain values and tensors on the CPU. A collective."""
        if self.alone:
            return [value]
        values: list[Any] = [None] * self.world
        dist.all_gather_object(values, value, group=self.control)
        return values

    def gather_first(self, value: T) -> list[T]:
        """As `gather`, for the first alone; the others get an empty list. A collective."""
        if self.alone:
            return [value]
        values: list[Any] = [None] * self.world if self.first else []
        dist.gather_object(value, values if self.first else None, dst=0, group=self.control)
        return values

    def of_first(self, value: T) -> T:
        """The value of the first. A collective."""
        if self.alone:
            return value
        values: list[Any] = [value]
        dist.broadcast_object_list(values, src=0, group=self.control)
        received: T = values[0]
        return received

    def mean(self, values: Tensor) -> Tensor:
        """The mean of floating point tensors over all processes, where they are. A collective."""
        if self.alone:
            return values
        values = values / self.world
        dist.all_reduce(values)
        return values

    def in_turns(self, work: Callable[[], T]) -> T:
        """Do the same work, the first process first, then the first of each other machine, then the
        rest: what the first one leaves in a cache, or downloads, is there for the others. A
        collective."""
        turn = 0 if self.first else 1 if self.local_rank == 0 else 2
        results = []
        for now in range(1 if self.alone else 3):
            if now == turn:
                results.append(work())
            self.barrier()
        return results[0]


ALONE = Processes()

_processes = ALONE
"""Those of this job, while they know each other."""


def processes_here() -> int:
    """How many processes of this job, if they know each other, share this machine."""
    return _processes.local_world


@contextlib.contextmanager
def together(device: str = "cpu") -> Iterator[Processes]:
    """Let the processes of a job know each other for a while.

    Within another `together` it is the same again. Leaving, they wait for each other. If one of
    them fails, all fail, within a minute: an error of its own is raised where it happened, the
    others raise ProcessError, which names the process that failed. One that cannot raise anything
    since it waits for a GPU is ended.

    Arguments:
        device: where they compute: "cpu", or "auto", "cuda", ... for the network of GPUs (NCCL).

    Raises:
        ProcessError: another process failed.
    """
    global _processes
    if not launched() or not _processes.alone:
        yield _processes
        return
    rank, world = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    local_rank = int(os.environ.get("LOCAL_RANK", rank))
    local_world = int(os.environ.get("LOCAL_WORLD_SIZE", world))
    cuda = _on_cuda(device)
    if cuda and local_rank < torch.cuda.device_count():
        torch.cuda.set_device(local_rank)
    try:
        # The launcher is there before its processes, so this takes seconds, or forever.
        store = next(rendezvous("env://", timeout=JOINING))[0]
    except dist.DistError as error:
        raise ProcessError(
            f"nobody answers at {os.environ.get('MASTER_ADDR')}:{os.environ.get('MASTER_PORT')}, "
            "where the processes of this job are to meet: whoever started them is gone, or cannot "
            "be reached from here."
        ) from error
    dist.init_process_group(
        "cpu:gloo,cuda:nccl" if cuda else "gloo",
        store=PrefixStore("i2i", store),
        rank=rank,
        world_size=world,
        timeout=PATIENCE,
    )
    watch = Watch(PrefixStore("i2i-watch", store.clone()), rank, world)
    try:
        control = dist.new_group(backend="gloo", timeout=PATIENCE)
        processes = Processes(rank, world, local_rank, local_world, control)
        processes.barrier()
        watch.start()
        _processes = processes
        with _only_the_first_speaks(processes):
            yield processes
        processes.barrier()  # who fails after this does not concern the others
        watch.stop()
        with contextlib.suppress(RuntimeError):
            processes.barrier()  # the store may leave with the first, and nobody asks it any more
    except BaseException as error:
        failure = _failure(error, watch)
        if failure is error:
            raise
        raise failure from None
    finally:
        _processes = ALONE
        dist.destroy_process_group()
        gc.collect()  # some versions of torch abort at exit if groups are still referred to
        watch.stop()


@contextlib.contextmanager
def _only_the_first_speaks(processes: Processes) -> Iterator[None]:
    """What all would say alike is logged once; warnings are everybody's own."""
    logger = logging.getLogger("i2i")
    level = logger.level
    if not processes.first:
        logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        logger.setLevel(level)


def launch(arguments: Sequence[str], processes: int, device: str) -> int:
    """Run `i2i` with the same arguments in several processes on this machine; the exit code.

    This is what `torchrun --standalone --nproc-per-node N -m i2i ...` does, without its report on
    failures, which for a mistake of the person would bury our own.

    Arguments:
        arguments: of the command line, beginning with the command.
        processes: how many; one for each GPU.
        device: "auto", "cpu", "cuda".

    Raises:
        OptionsError: there are not as many GPUs here.
    """
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    here = torch.cuda.device_count()
    if device != "cpu" and processes > here:
        raise OptionsError(
            f"--gpus (={processes}) is more than this machine has ({here}); with --device cpu that "
            "many processes share its cores."
        )
    logging.disable(logging.CRITICAL)  # this process does nothing else that could be logged
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, cores() // processes)))
    # What torch writes of a lost connection, with the frames of its stack: `Watch` says it.
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
    manners: dict[str, Any] = {
        "signals_to_handle": ",".join(_passed_on()),
        "shutdown_timeout": LONGEST_GOODBYE,
    }
    of_this_torch = LaunchConfig.__dataclass_fields__
    config = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=processes,
        run_id="i2i",
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",
        max_restarts=0,
        monitor_interval=0.2,
        **{name: value for name, value in manners.items() if name in of_this_torch},
    )
    try:
        elastic_launch(config, sys.executable)("-m", "i2i", *arguments)
    except ChildFailedError as error:
        rank, failure = error.get_first_failure()
        if failure.exitcode > 0:
            return failure.exitcode
        # The others may have been ended before they could find out.
        sys.stderr.write(
            f"Error: process {rank} of {processes} was ended by "
            f"{signal.Signals(-failure.exitcode).name} (for want of memory, perhaps), so all have "
            "ended.\n"
        )
        return 128 - failure.exitcode
    except SignalException as error:  # it has been passed on to the processes, which have ended
        return 128 + int(error.sigval)
    finally:
        logging.disable(logging.NOTSET)
    return 0


def _passed_on() -> list[str]:
    """The signals that a launcher passes on: those that end a run in order, but for a hang-up that
    `nohup` lets it ignore."""
    names = ["SIGINT", "SIGTERM", "SIGQUIT", "SIGHUP", "SIGUSR1", "SIGUSR2"]
    there = [name for name in names if hasattr(signal, name)]
    return [n for n in there if signal.getsignal(getattr(signal, n)) is not signal.SIG_IGN]


def _on_cuda(device: str) -> bool:
    return device.partition(":")[0] in ("auto", "cuda") and torch.cuda.is_available()


def _failure(error: BaseException, watch: Watch) -> BaseException:
    """What to raise for an error: itself, if this process is the one that failed.

    If another process is gone, collectives fail with errors of many kinds, none of which says who
    it was. What is no I2iError may be one of these, so the others are listened to first.
    """
    text = str(error) if isinstance(error, I2iError) else f"{type(error).__name__}: {error}"
    text = " ".join([text, *getattr(error, "__notes__", ())])
    if isinstance(error, RuntimeError) and watch.find_failure() is not None:
        return _of_another(watch)
    culprit, announced = watch.announce(text)
    if culprit == watch.rank or announced != text:
        return error
    return ProcessError(text, silent=True)  # all make the same mistake, and one has said it


def _of_another(watch: Watch) -> ProcessError:
    culprit, text = watch.announce("")
    return ProcessError(
        f"process {culprit} of {watch.world} failed, so all have ended: {text}",
        silent=not watch.speaks(),
    )
