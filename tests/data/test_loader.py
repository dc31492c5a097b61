"""The same batches for any number of workers and from any step on; errors stay readable."""

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import Dataset

from i2i.core.batch import Pair
from i2i.data.augment.geometry import JointGeometry
from i2i.data.kinds.layouts import PairFiles
from i2i.data.kinds.paired import PairedImages
from i2i.data.loading.loader import default_workers, make_loader
from i2i.errors import DataError


class Positions(Dataset[tuple[torch.Tensor]]):
    """Gives the position itself, and how this process has been set up."""

    def __getitem__(self, position: int) -> tuple[torch.Tensor, torch.Tensor]:
        ignores = signal.getsignal(signal.SIGINT) == signal.SIG_IGN
        return torch.tensor(position), torch.tensor([torch.get_num_threads(), ignores])


class Broken(Dataset[tuple[torch.Tensor]]):
    def __getitem__(self, position: int) -> tuple[torch.Tensor]:
        if position == 5:
            raise DataError("'5.png' cannot be read.")
        return (torch.tensor(position),)


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> PairedImages:
    folder = tmp_path_factory.mktemp("pairs")
    pairs = []
    for i in range(7):
        pixels = np.random.default_rng(i).integers(0, 256, (20, 40, 3), dtype=np.uint8)
        path = folder / f"{i}.png"
        Image.fromarray(pixels).save(path)
        pairs.append(PairFiles(path, None, str(i)))
    return PairedImages(pairs, JointGeometry(20, 16), seed=5, shuffle=True)


def same(one: list[Pair], other: list[Pair]) -> bool:
    return len(one) == len(other) and all(
        torch.equal(a.source, b.source) and torch.equal(a.target, b.target)
        for a, b in zip(one, other, strict=True)
    )


def test_batches_are_full_and_straddle_epochs(images: PairedImages) -> None:
    batches = list(make_loader(images, batch_size=3, start=0, stop=7, workers=0))
    assert len(batches) == 7
    assert all(isinstance(batch, Pair) for batch in batches)
    assert all(batch.source.shape == (3, 3, 16, 16) for batch in batches)
    assert all(batch.target.dtype == torch.uint8 for batch in batches)
    flat = torch.cat([batch.source for batch in batches])
    for position in range(21):
        assert torch.equal(flat[position], images[position].source)


def test_workers_and_the_first_step_change_nothing(images: PairedImages) -> None:
    expected = list(make_loader(images, batch_size=3, start=0, stop=9, workers=0))
    for workers in (1, 2):
        loaded = list(make_loader(images, batch_size=3, start=0, stop=9, workers=workers))
        assert same(loaded, expected)
    for workers in (0, 2):
        tail = list(make_loader(images, batch_size=3, start=4, stop=9, workers=workers))
        assert same(tail, expected[4:])


def test_ranks_share_each_batch() -> None:
    whole = [b[0] for b in make_loader(Positions(), batch_size=6, start=2, stop=5, workers=0)]
    shares = [
        [
            b[0]
            for b in make_loader(
                Positions(), batch_size=2, start=2, stop=5, workers=0, rank=rank, world=3
            )
        ]
        for rank in range(3)
    ]
    for step, batch in enumerate(whole):
        assert torch.equal(torch.cat([share[step] for share in shares]), batch)


def test_nothing_left_to_do() -> None:
    assert list(make_loader(Positions(), batch_size=2, start=5, stop=5, workers=0)) == []


@pytest.mark.parametrize("workers", [0, 1])
def test_what_a_person_can_mend_arrives_without_a_traceback(workers: int) -> None:
    batches = make_loader(Broken(), batch_size=2, start=0, stop=4, workers=workers)
    assert [batch[0].tolist() for batch in islice(batches, 2)] == [[0, 1], [2, 3]]
    with pytest.raises(DataError) as error:
        next(batches)
    assert str(error.value) == "'5.png' cannot be read."
    assert not multiprocessing.active_children()


@pytest.mark.skipif(not hasattr(os, "getpgid"), reason="signals as POSIX has them")
def test_workers_keep_to_one_thread_and_survive_ctrl_c() -> None:
    batches = make_loader(Positions(), batch_size=1, start=0, stop=50, workers=2)
    workers = multiprocessing.active_children()
    assert len(workers) == 2

    def interrupt() -> None:
        for worker in workers:
            assert worker.pid
            os.kill(worker.pid, signal.SIGINT)

    interrupt()  # while they are still starting
    position, setting = next(batches)
    assert position.tolist() == [0]
    assert setting.tolist() == [[1, 1]]
    interrupt()
    assert [batch[0].item() for batch in batches] == list(range(1, 50))


@pytest.mark.skipif(not hasattr(signal, "pthread_sigmask"), reason="signals as POSIX has them")
def test_this_process_still_hears_ctrl_c() -> None:
    # A shell starts what it puts into the background deaf to Ctrl-C; these tests may be in there.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        batches = make_loader(Positions(), batch_size=1, start=0, stop=50, workers=1)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        assert next(batches)[0].tolist() == [0]
        batches.close()
    finally:
        signal.signal(signal.SIGINT, before)


def test_workers_end_when_the_batches_are_no_longer_wanted() -> None:
    batches = make_loader(Positions(), batch_size=1, start=0, stop=10**9, workers=1)
    next(batches)
    (worker,) = multiprocessing.active_children()
    batches.close()
    worker.join(timeout=20)
    assert worker.exitcode is not None


SCRIPT = """
import os, signal, sys, time, torch
from multiprocessing import active_children
from i2i.data.loading.loader import make_loader

class Numbers(torch.utils.data.Dataset):
    def __init__(self):
        self.training = os.getpid()

    def __getitem__(self, position):
        if position and sys.argv[1] == "worker raises":
            raise ValueError("no error of ours")
        if position and sys.argv[1] == "worker killed":
            os.kill(os.getpid(), signal.SIGKILL)
        if position and sys.argv[1] == "Ctrl-C":
            os.kill(self.training, signal.SIGINT)
            time.sleep(2)
        return (torch.tensor(position),)

def train():
    batches = make_loader(Numbers(), batch_size=1, start=0, stop=10**9, workers=1)
    next(batches)
    print(active_children()[0].pid, flush=True)
    if sys.argv[1] == "error":
        raise RuntimeError("no error of ours")
    if sys.argv[1] == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    next(batches)

if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)  # shells let jobs ignore it
    train()
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self").exists(), reason="looks for processes in /proc")
@pytest.mark.parametrize(
    ("way", "code", "reason"),
    [
        ("error", 1, "RuntimeError: no error of ours"),
        ("kill", -signal.SIGKILL, ""),
        ("worker raises", 1, "ValueError: no error of ours"),
        ("worker killed", 1, "A process that prepares batches was ended"),
        ("Ctrl-C", -signal.SIGINT, "KeyboardInterrupt"),
    ],
)
def test_no_worker_outlives_a_training_that_ends_badly(
    tmp_path: Path, way: str, code: int, reason: str
) -> None:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    # Not through a pipe: what outlives the script would keep it open.
    with (tmp_path / "out").open("w+") as out:
        done = subprocess.run(
            [sys.executable, str(script), way], stdout=out, stderr=out, timeout=240, check=False
        )
        out.seek(0)
        said = out.read()
    assert done.returncode == code, said
    assert reason in said
    worker = Path("/proc", said.split()[0])
    end = time.monotonic() + 20
    while worker.exists() and time.monotonic() < end:
        time.sleep(0.05)
    assert not worker.exists()


@pytest.mark.parametrize(("cores", "workers"), [(1, 0), (2, 1), (4, 3), (64, 8)])
def test_by_default_one_core_is_left_free(
    monkeypatch: pytest.MonkeyPatch, cores: int, workers: int
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(cores)), raising=False)
    assert default_workers() == workers
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: cores)
    assert default_workers() == workers


def test_the_data_set_may_be_started_afresh(images: PairedImages, tmp_path: Path) -> None:
    """Everything a worker needs survives a start from nothing, as on macOS and Windows."""
    expected = [images[position].source for position in range(2)]
    context = multiprocessing.get_context("spawn")
    with context.Pool(1) as pool:
        loaded = pool.map(images.__getitem__, range(2))
    assert all(torch.equal(a.source, b) for a, b in zip(loaded, expected, strict=True))
