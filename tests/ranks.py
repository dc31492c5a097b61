"""Starting the processes of a job, as torchrun does, and what they do for the tests.

Run as a program, this file is one such process: `python ranks.py NAME FOLDER` calls the function
NAME in all processes together and leaves what it returns in FOLDER/RANK.pt.
"""

import contextlib
import logging
import os
import signal
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import forks
import torch
from forks import Fork
from torch import nn

HERE = Path(__file__).parent


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def start(
    world: int, *command: str | Path, environment: dict[str, str] | None = None
) -> list[Fork]:
    """Start `python COMMAND` in `world` processes that find each other."""
    shared = {
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(free_port()),
        "WORLD_SIZE": str(world),
        "LOCAL_WORLD_SIZE": str(world),
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": os.pathsep.join([str(HERE.parent), str(HERE), *sys.path]),
        **(environment or {}),
    }
    return [
        forks.start(*command, environment=shared | {"RANK": f"{rank}", "LOCAL_RANK": f"{rank}"})
        for rank in range(world)
    ]


def finish(processes: list[Fork], timeout: float = 100) -> list[tuple[int, str]]:
    """The exit code and what was said on stderr, of each."""
    try:
        ends = [(process.communicate(timeout=timeout)[1], process) for process in processes]
    finally:
        for process in processes:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
    return [(process.wait(), said) for said, process in ends]


def results(work: Callable[..., Any], world: int, folder: Path) -> list[Any]:
    """What `work(processes)`, a function of this file, returns in each of `world` processes."""
    ends = finish(start(world, __file__, work.__name__, folder))
    assert all(code == 0 for code, _ in ends), ends
    return [torch.load(folder / f"{rank}.pt", weights_only=False) for rank in range(world)]


AUGMENTED = (
    'augment_discriminator.policy="bgc"',
    *("augment_discriminator.probability=0.5", "augment_discriminator.adaptive=true"),
    *("augment_discriminator.interval=2", "augment_discriminator.kimg=0.1"),
)

RANDOM = {
    "pix2pix": (),
    "pix2pix in pieces": ("train.gradient_accumulation=2",),
    "cyclegan": ("game.image_pool=0",),
    "stargan": ("game.n_critic=2",),
    "pix2pix augmented": AUGMENTED,
}
"""Games with chances of every kind (dropout, random labels, interpolation), and batch norm."""

CERTAIN = {
    "pix2pix": (
        *("generator.dropout=false", "generator.norm=instance", "discriminator.norm=instance"),
        "objective.r1=1",
    ),
    "pix2pix synchronised": (
        *("generator.dropout=false", "train.sync_batch_norm=true"),
        "objective.r1=1",  # a gradient of a gradient through batch norm
    ),
    "cyclegan": ("game.image_pool=0",),
}
"""Games without chances, whose step is that of the whole batch however it is cut."""

SCARCE = {
    "pix2pix": ("train.ema_decay=0.9", *AUGMENTED),
    "pix2pix synchronised": CERTAIN["pix2pix synchronised"],
    "cyclegan": ("game.image_pool=3", "train.historical_averaging=0.1"),
    "progan": (
        "growth.stages=[{size=4,batch_size=8,fade=0,hold=1},{size=8,batch_size=8,fade=2,hold=0},"
        "{size=16,batch_size=8,fade=1,hold=0}]",
    ),
}
"""Games with everything that a step changes."""

BATCH, STEPS = 8, 3


def play(
    name: str,
    settings: tuple[str, ...],
    processes: Any,
    *more: str,
    by: Callable[[Any], Callable[[Any], Any]] = lambda trainer: trainer.step,
) -> dict[str, Any]:
    """Train a small model in double precision on this process's share; everything afterwards.

    `by` gives what does the steps of a trainer.
    """
    from i2i.core.batch import to_signed
    from i2i.distributed.gradients import average_statistics, batch_share
    from i2i.models.build import build_model
    from i2i.training.build import build_trainer
    from shrunk import batch_for, shrunk

    torch.manual_seed(0)  # of which `batch_for` draws
    options = shrunk(name.split()[0], *settings, f"train.batch_size={BATCH}", *more)
    model = build_model(options).double()
    trainer = build_trainer(options, model, processes=processes)
    if trainer.augmentation is not None:
        trainer.augmentation.double()
    share = batch_share(BATCH, options.train.gradient_accumulation, processes)
    take = by(trainer)
    begin = processes.rank * share
    losses = []
    for step in range(STEPS):
        batch = batch_for(model, count=BATCH, seed=step)
        parts = (t[begin : begin + share] for t in batch)
        batch = type(batch)(*(to_signed(p).double() if p.ndim == 4 else p.double() for p in parts))
        losses.append({k: processes.mean(v) for k, v in take(batch).items()})
    state, random = trainer.state_dict(), torch.get_rng_state()
    average_statistics(model, processes)
    return {
        "state": {**state, "random": random},
        "losses": losses,
        "weights": {k: p.detach() for k, p in model.named_parameters()},
        "statistics": {k: b for k, b in model.named_buffers() if "running" in k},
    }


class Halves(nn.Module):
    """Parameters of several sizes; some take part in every backward pass, some in every second."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.often = nn.ParameterList(torch.randn(n, dtype=torch.float64) for n in (3, 40, 1, 7))
        self.seldom = nn.ParameterList(torch.randn(n, dtype=torch.float64) for n in (5, 2))

    def forward(self, scale: float, all_of_them: bool) -> torch.Tensor:
        used = [*self.often, *(self.seldom if all_of_them else [])]
        return torch.stack([(scale * p).square().sum() for p in used]).sum()


def exchange(processes: Any) -> Any:
    """Gradients of scale^2 p^2 averaged over the processes, with buckets of 64 bytes; twice."""
    from i2i.distributed.gradients import GradientExchange

    model = Halves()
    often, seldom = list(model.often), list(model.seldom)
    parameters = [often[0], seldom[0], often[1], seldom[1], *often[2:]]
    exchange = GradientExchange(parameters, bucket=64)
    gradients = []
    for all_of_them in (False, True):
        model.zero_grad()
        with exchange.during_backward():
            (model(processes.rank + 1.0, all_of_them) / processes.world).backward()
        gradients.append([None if p.grad is None else p.grad.clone() for p in parameters])
    model.zero_grad()
    model(1.0, True).backward()  # outside, nothing is exchanged
    gradients.append([p.grad for p in parameters])
    return [p.detach() for p in parameters], gradients


def pools(processes: Any) -> Any:
    """What each process has of its own comes back; and over the first, all of it goes out."""
    from i2i.distributed.gradients import gather_own_states, restore_own_state
    from i2i.networks import ImagePool

    model = nn.ModuleDict({"pool": ImagePool(2, (1, 1, 1)), "other": nn.Linear(1, 1)})
    model["pool"](torch.full((2, 1, 1, 1), 1.0 + processes.rank))
    others = gather_own_states(model, processes)
    state = {"model": processes.of_first(model.state_dict()), "ranks": processes.of_first(others)}
    fresh = nn.ModuleDict({"pool": ImagePool(2, (1, 1, 1)), "other": nn.Linear(1, 1)})
    fresh.load_state_dict(state["model"])
    notice = restore_own_state(fresh, state, processes)
    return len(others), fresh["pool"].images.flatten().tolist(), notice


def stop(processes: Any) -> Any:
    """The last process gets a signal in its step 3; the step after which each stops."""
    from i2i.training.interrupt import Interrupt
    from i2i.training.together import StopFlag

    with Interrupt() as own:
        agreement = StopFlag(own, processes)
        for step in range(20):
            if agreement.asked():
                return step, agreement.exit_code
            if step == 3 and processes.rank == processes.world - 1:
                signal.raise_signal(signal.SIGTERM)
    return None


def turns(processes: Any) -> Any:
    import time

    return processes.gather(processes.in_turns(time.monotonic))


def everything(processes: Any) -> dict[str, Any]:
    """All of the above in one go: to start Python takes longest."""
    return {
        "random": {name: play(name, s, processes) for name, s in RANDOM.items()},
        "certain": {name: play(name, s, processes) for name, s in CERTAIN.items()},
        "exchange": exchange(processes),
        "pools": pools(processes),
        "stop": stop(processes),
        "turns": turns(processes),
        "first": processes.gather_first(processes.rank),
    }


def scarce(processes: Any) -> dict[str, Any]:
    """Trainings whose memory suffices, or does not in one process or in all, and what they should
    come to."""
    from limits import CPU_ERROR, Limit
    from listening import hearing

    from i2i.training.oom import OOMRetry

    torch.set_default_dtype(torch.float64)  # also of what is drawn
    last = processes.rank == processes.world - 1
    said: list[tuple[str, int]] = []
    heard = contextlib.ExitStack()
    logging.getLogger("i2i").setLevel(logging.INFO)  # of every process

    def rescued(images: int, first: int = 0) -> Callable[[Any], Any]:
        def by(trainer: Any) -> Any:
            rescue = OOMRetry(trainer)
            heard.close()
            heard.enter_context(
                hearing(lambda line: said.append((line, trainer.gradient_accumulation)))
            )
            Limit(trainer.model, images, first, RuntimeError(CPU_ERROR))
            return rescue.step

        return by

    found: dict[str, Any] = {}
    for name, settings in SCARCE.items():
        ways = {
            "plain": play(name, settings, processes),
            "enough": play(name, settings, processes, by=rescued(BATCH)),
            "in two": play(name, settings, processes, "train.gradient_accumulation=2"),
            "one is short": play(
                name, settings, processes, by=rescued(2 if last else BATCH, first=2)
            ),
        }
        if name == "pix2pix":
            ways["in four"] = play(name, settings, processes, "train.gradient_accumulation=4")
            ways["all are short"] = play(name, settings, processes, by=rescued(1 if last else 2))
        found[name] = ways
    heard.close()
    return found | {"said": said}


def runs(processes: Any) -> Any:
    """Whole runs in the folder WHERE; which positions were read, and what was said."""
    import shutil

    from listening import hearing

    from i2i.data.kinds.unpaired import UnpairedImages
    from i2i.runs.folder import Run
    from i2i.training import session as train
    from shrunk import shrunk

    where = Path(os.environ["WHERE"])
    read: list[int] = []
    said: list[str] = []
    original = UnpairedImages.__getitem__

    def recorded(self: Any, position: int) -> Any:
        read.append(position)
        return original(self, position)

    small = [
        f"data.root={where / 'tiny-unpaired'}",
        "game.image_pool=2",
        "train.save_every_steps=1",
    ]
    options = shrunk("cyclegan", *small, "train.keep_checkpoints=9", "train.batch_size=4")
    UnpairedImages.__getitem__ = recorded  # type: ignore[method-assign]
    with hearing(said.append):
        whole = train.start(options, where, "whole", device="cpu")
    UnpairedImages.__getitem__ = original  # type: ignore[method-assign]
    crashed = Run(where / "crashed")
    if processes.first:
        shutil.copytree(whole.folder, crashed.folder)
        for path in crashed.checkpoints()[2:]:
            path.unlink()
    processes.barrier()
    certain = shrunk("pix2pix", f"data.root={where / 'tiny-facades'}", *CERTAIN["pix2pix"])
    with hearing(said.append):
        train.resume(crashed.folder, device="cpu")
        train.start(certain, where, "two", device="cpu")
        train.resume(where / "one", {"train": {"steps": 8}}, device="cpu")
    return read, said


def fail(processes: Any) -> None:
    """The last process fails in the way that HOW says, while the others wait for it."""
    from i2i.distributed import heartbeat as watch
    from i2i.errors import DataError

    watch.SILENCE = 5.0
    how = os.environ["HOW"]
    if processes.rank == processes.world - 1:
        match how:
            case "mistake":
                raise DataError("'7.png' cannot be read.")
            case "exception":
                raise RuntimeError("this is a bug")
            case "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            case "sleep":
                os.kill(os.getpid(), signal.SIGSTOP)
    if how == "same mistake":
        raise DataError("'7.png' cannot be read.")
    processes.mean(torch.ones(3))


def run_short(processes: Any) -> list[str]:
    """A whole run in the folder WHERE; the memory of the last process is short."""
    from limits import limited_trainer
    from listening import hearing

    from i2i.training import running
    from i2i.training import session as train
    from shrunk import shrunk

    where = Path(os.environ["WHERE"])
    said: list[str] = []
    if processes.rank == processes.world - 1:
        running.build_trainer = limited_trainer
    data = f"data.root={where / 'tiny-unpaired'}"
    options = shrunk("cyclegan", data, "train.steps=2", "train.batch_size=4")
    with hearing(said.append):
        train.start(options, where, "short", device="cpu")
        said.append("resumed:")
        processes.barrier()
        for name in ("short", "alone"):
            train.resume(where / name, {"train": {"steps": 3}}, device="cpu")
    return said


def fail_in_memory(processes: Any) -> None:
    """The last process fails in a step, in the way that HOW says, while the others wait for it."""
    from limits import CPU_ERROR, Limit

    from i2i.training.build import build_trainer
    from i2i.training.oom import OOMRetry
    from shrunk import batch_for, shrunk

    trainer = build_trainer(shrunk("pix2pix", "train.batch_size=4"), processes=processes)
    rescue = OOMRetry(trainer)
    batch = batch_for(trainer.model)

    def limit(images: int, error: str) -> None:
        if processes.rank == processes.world - 1:
            Limit(trainer.model, images, 0, RuntimeError(error))

    match os.environ["HOW"]:
        case "exception":
            limit(0, "this is a bug")
        case "later":
            for _ in range(2):
                rescue.step(batch)
            limit(1, CPU_ERROR)
    rescue.step(batch)


def main(name: str, folder: str) -> None:
    from i2i.distributed.processes import together

    torch.set_num_threads(1)
    with together() as processes:
        result = globals()[name](processes)
        torch.save(result, Path(folder) / f"{processes.rank}.pt")


if __name__ == "__main__":
    from i2i.errors import I2iError, ProcessError

    try:
        main(*sys.argv[1:])
    except I2iError as error:
        if not (isinstance(error, ProcessError) and error.silent):
            sys.stderr.write(f"Error: {error}\n")
        sys.exit(2)
