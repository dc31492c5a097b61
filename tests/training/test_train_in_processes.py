"""Whole runs in several processes: what they leave behind, and how they end."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import forks
import numpy as np
import pytest
import ranks
import torch
from click.testing import CliRunner
from forks import Fork
from PIL import Image

from i2i.cli import cli
from i2i.runs.checkpoint import load_checkpoint
from i2i.runs.folder import Run
from i2i.training import session as train
from shrunk import shrunk

SMALL = [
    *("--size", "16", "--batch-size", "2", "--device", "cpu", "--workers", "0"),
    *(
        "--set",
        "generator.width=2",
        "--set",
        "generator.downs=2",
        "--set",
        "train.log_every_steps=1",
    ),
    *("--set", "discriminator.width=2", "--set", "discriminator.layers=1"),
    *("--set", "train.save_every_steps=2"),
]


QUIET = {"PYTHONWARNINGS": "ignore"}


def certain(root: Path) -> Any:
    return shrunk("pix2pix", f"data.root={root}", *ranks.CERTAIN["pix2pix"])


def losses(folder: Path) -> list[dict[str, float]]:
    rows = [json.loads(line) for line in Run(folder).log.read_text().splitlines()]
    return [
        # The accuracy of the whole batch is not the mean of those of its shares.
        {name: v for name, v in row.items() if not re.match("speed/|.*/accuracy", name)}
        for row in rows
    ]


def assert_same_run(one: Path, other: Path) -> None:
    """Up to the rounding of single precision."""
    assert len(losses(one)) == len(losses(other))
    for a, b in zip(losses(one), losses(other), strict=True):
        assert a == pytest.approx(b, rel=1e-4)
    first, second = (load_checkpoint(Run(folder).latest()) for folder in (one, other))
    assert first["step"] == second["step"]
    # A bias before an instance norm has no gradient but rounding, which Adam makes a step of.
    weights = {name: w for name, w in first["model"].items() if name.endswith("weight")}
    for name, value in weights.items():
        torch.testing.assert_close(value, second["model"][name], rtol=1e-3, atol=1e-4)


@pytest.mark.slow
def test_runs_in_two_processes(facades: Path, unpaired: Path, tmp_path: Path) -> None:
    assert facades.parent == unpaired.parent == tmp_path
    train.start(certain(facades), tmp_path, "one", device="cpu")
    environment = {"WHERE": str(tmp_path)}
    ends = ranks.finish(ranks.start(2, ranks.__file__, "runs", tmp_path, environment=environment))
    assert [code for code, _ in ends] == [0, 0], ends
    (read, said), (other_read, other_said) = (
        torch.load(tmp_path / f"{rank}.pt", weights_only=False) for rank in (0, 1)
    )

    # Each process reads its half of every batch. (The first also validates, with another data set.)
    validation = set(range(2))
    batches = [list(range(4 * step, 4 * step + 4)) for step in range(4)]
    own = [position for batch in batches for position in batch[:2]]
    others = [position for batch in batches for position in batch[2:]]
    assert read[-len(own) :] == own
    assert other_read[-len(others) :] == others
    assert set(read[: -len(own)]) | set(other_read[: -len(others)]) <= validation

    # One speaks.
    assert sum("done: 4 steps" in line for line in said) == 3
    assert any("on 2 processes (cpu) for 4 steps of 4" in line for line in said)
    assert not other_said

    # A resumed run is the same run, with the pools of both.
    whole, resumed = (load_checkpoint(Run(tmp_path / n).latest()) for n in ("whole", "crashed"))
    assert whole["step"] == resumed["step"] == 4
    assert len(whole["ranks"]) == 1
    for part in (lambda state: state["model"], lambda state: state["ranks"][0]):
        assert part(whole).keys() == part(resumed).keys()
        for name, value in part(whole).items():
            assert torch.equal(value, part(resumed)[name]), name
    pools = whole["model"]["pool_A.images"], whole["ranks"][0]["pool_A.images"]
    assert pools[0].shape == pools[1].shape
    assert not torch.equal(*pools)

    # Two processes then one, and one then two, make the run of one; on each side half of the steps.
    changes = {"train": {"steps": 8}}
    train.resume(tmp_path / "two", changes, device="cpu")
    expected = train.start(certain(facades), tmp_path, "expected", device="cpu")
    train.resume(expected.folder, changes, device="cpu")
    assert_same_run(tmp_path / "two", expected.folder)
    assert_same_run(tmp_path / "one", expected.folder)


def wait_for(log: Path, lines: int, process: Fork) -> None:
    deadline = time.monotonic() + 90
    while not (log.exists() and len(log.read_text().splitlines()) >= lines):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.05)


def children(process: Fork) -> list[int]:
    """The processes that a process has started."""
    text = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text()
    return [int(number) for number in text.split()]


def spoil(root: Path) -> None:
    """An image that was fine when the run began."""
    for number in range(7):
        (root / "train" / f"{number}.png").write_bytes(b"no image")


def ended(root: Path, runs: Path, what: Callable[[list[Fork]], None]) -> list[tuple[int, str]]:
    given = ["train", "--model", "pix2pix", "--dataroot", root, "--runs-dir", runs, *SMALL]
    given += ["--name", "a", "--steps", "100000"]
    processes = ranks.start(2, "-m", "i2i", *given)
    wait_for(runs / "a" / "log.jsonl", 5, processes[0])
    what(processes)
    return ranks.finish(processes, timeout=240)


def assert_whole(run: Run) -> None:
    """The last checkpoint can be gone on with."""
    done = load_checkpoint(run.latest())["step"]
    changes = {"train": {"steps": done + 1}, "data": {"skip_bad": True}}
    assert train.resume(run.folder, changes, device="cpu").steps == done + 1


@pytest.mark.slow
def test_a_signal_to_one_process_stops_all_after_the_same_step(
    facades: Path, tmp_path: Path
) -> None:
    ends = ended(facades, tmp_path, lambda processes: processes[1].send_signal(signal.SIGTERM))
    assert [code for code, _ in ends] == [143, 143], ends
    run = Run(tmp_path / "a")
    assert losses(run.folder)[-1]["step"] == load_checkpoint(run.latest())["step"]
    assert_whole(run)


@pytest.mark.slow
def test_a_killed_process_leaves_a_whole_checkpoint(facades: Path, tmp_path: Path) -> None:
    (code, said), _ = ended(facades, tmp_path, lambda processes: processes[1].kill())
    assert code == 2
    assert "Error: process 1 of 2 failed, so all have ended: it does not answer" in said
    assert "Traceback" not in said
    assert_whole(Run(tmp_path / "a"))


@pytest.mark.slow
def test_a_image_that_goes_bad_ends_all_with_its_name(facades: Path, tmp_path: Path) -> None:
    ends = ended(facades, tmp_path, lambda processes: spoil(facades))
    assert [code for code, _ in ends] == [2, 2]
    said = "".join(text for _, text in ends)
    assert "Traceback" not in said
    assert ".png' cannot be read" in said
    assert Run(tmp_path / "a").latest().exists()
    load_checkpoint(Run(tmp_path / "a").latest())


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc")
def test_gpus_starts_the_processes_and_hands_on_signals_and_exit_codes(
    facades: Path, tmp_path: Path
) -> None:
    given = ["train", "--model", "pix2pix", "--dataroot", facades, "--runs-dir", tmp_path, *SMALL]

    def begin(*more: str) -> Fork:
        return forks.start("-m", "i2i", *given, "--gpus", "2", *more, environment=QUIET)

    process = begin("--name", "a", "--steps", "100000")
    wait_for(tmp_path / "a" / "log.jsonl", 3, process)
    process.send_signal(signal.SIGINT)
    said, errors = process.communicate(timeout=240)
    assert process.returncode == 130, errors
    assert "on 2 processes (cpu)" in said
    assert "stopped after step" in said
    assert "Traceback" not in errors
    process = begin("--name", "b", "--steps", "100000")
    wait_for(tmp_path / "b" / "log.jsonl", 3, process)
    workers = [
        pid for pid in children(process) if b"i2i" in Path(f"/proc/{pid}/cmdline").read_bytes()
    ]
    os.kill(workers[1], signal.SIGKILL)
    _, errors = process.communicate(timeout=240)
    assert process.returncode == 137, errors
    assert "Error: process 1 of 2 was ended by SIGKILL" in errors
    process = begin("--name", "a", "--steps", "3")
    _, errors = process.communicate(timeout=240)
    assert process.returncode == 2
    assert errors.count("exists already") == 1
    assert "Traceback" not in errors


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="ends a launcher")
@pytest.mark.parametrize("name", ["SIGKILL", "SIGUSR1"])
def test_a_launcher_that_ends_costs_nothing(name: str, facades: Path, tmp_path: Path) -> None:
    given = ["train", "--model", "pix2pix", "--dataroot", facades, "--runs-dir", tmp_path, *SMALL]
    given += ["--set", "train.save_every_steps=100000", "--gpus", "2", "--name", "a"]
    run = Run(tmp_path / "a")
    process = forks.start("-m", "i2i", *given, "--steps", "100000", environment=QUIET)
    wait_for(run.log, 3, process)
    workers = children(process)
    process.send_signal(getattr(signal, name))
    process.wait(timeout=240)
    deadline = time.monotonic() + 60  # those that it has launched may end after it
    while any(Path(f"/proc/{pid}").exists() for pid in workers):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    said, errors = process.communicate()
    steps = int(re.search(r"stopped after step (\d+)", said)[1])  # type: ignore[index]
    assert run.latest() == run.checkpoint(steps)
    assert not any(word in errors for word in ("Traceback", "frame #", "failed")), errors
    if name == "SIGKILL":
        assert errors.count("Error: the process that launched the others was killed") == 1
    else:
        assert process.returncode == 128 + signal.SIGUSR1, errors


@pytest.mark.cuda
@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="needs two GPUs")
def test_two_gpus_make_the_run_of_one(facades: Path, tmp_path: Path) -> None:
    given = ["train", "--model", "pix2pix", "--dataroot", facades, "--runs-dir", tmp_path, *SMALL]
    given += ["--device", "cuda", "--steps", "4", "--set", "train.tf32=false"]
    given += ["--set", "generator.norm=instance", "--set", "discriminator.norm=instance"]
    given += ["--set", "generator.dropout=false"]
    for name, gpus in (("one", 1), ("two", 2)):
        command = [sys.executable, "-m", "i2i", *map(str, given), "--name", name]
        subprocess.run([*command, "--gpus", str(gpus)], check=True, timeout=300)
    assert_same_run(tmp_path / "one", tmp_path / "two")


def test_more_gpus_than_there_are_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.device_count", lambda: 1)
    done = CliRunner().invoke(cli, ["train", "--model", "pix2pix", "--gpus", "4"])
    assert "--gpus (=4) is more than this machine has (1); with --device cpu" in str(done.exception)
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    done = CliRunner().invoke(cli, ["train", "--model", "pix2pix", "--gpus", "4"])
    assert done.exit_code == 2
    assert "--gpus (=4) contradicts 2 processes" in " ".join(done.output.split())


@pytest.mark.slow
def test_two_processes_translate_the_same_files_as_one(facades: Path, tmp_path: Path) -> None:
    outcome = train.start(certain(facades), tmp_path / "runs", "a", device="cpu")
    source = tmp_path / "source"
    (source / "below").mkdir(parents=True)
    generator = np.random.default_rng(0)
    for number in range(9):
        pixels = generator.integers(0, 256, (20 + number % 2, 24, 3), dtype=np.uint8)
        folder = source / "below" if number % 3 else source
        Image.fromarray(pixels).save(folder / f"{number}.png")
    (source / "bad.png").write_bytes(b"no image")
    given = ["translate", source, "--checkpoint", outcome.folder, "--device", "cpu"]
    alone = CliRunner().invoke(cli, [*map(str, given), str(tmp_path / "one")])
    assert alone.exit_code == 1
    processes = ranks.start(2, "-m", "i2i", *given, tmp_path / "two")
    said = [process.communicate(timeout=100) for process in processes]
    assert [process.returncode for process in processes] == [1, 1], said
    assert "9 images translated" in said[0][0]
    assert "Not translated:" in said[0][1]
    assert said[1] == ("", "")
    one, two = (
        {path.relative_to(tmp_path / n): path for path in (tmp_path / n).rglob("*.png")}
        for n in ("one", "two")
    )
    assert len(one) == 9
    assert one.keys() == two.keys()
    for name, path in one.items():
        a, b = (np.asarray(Image.open(p)).astype(int) for p in (path, two[name]))
        assert abs(a - b).max() <= 1  # rounding, where other images share the batch


@pytest.mark.slow
def test_two_processes_sample_and_evaluate_as_one(domains: Path, tmp_path: Path) -> None:
    options = shrunk("cgan", f"data.root={domains}")
    outcome = train.start(options, tmp_path / "runs", "a", device="cpu")
    given = ["--checkpoint", outcome.folder, "--device", "cpu"]
    measures = ["--measures", "swd-reference,generated-error", "--json"]
    jobs = [("sample", ["--count", 19]), ("evaluate", [*measures, "figures.json"])]
    for world in (1, 2):
        folder = tmp_path / f"{world}"
        folder.mkdir()
        for command, more in jobs:
            more = [folder / m if m == "figures.json" else m for m in more]
            where = [folder / "samples"] if command == "sample" else []
            arguments = [command, *where, *more, *given]
            if world == 1:
                done = CliRunner().invoke(cli, [str(each) for each in arguments])
                assert done.exit_code == 0, done.output
                continue
            processes = ranks.start(2, "-m", "i2i", *arguments)
            said = [process.communicate(timeout=100) for process in processes]
            assert [process.returncode for process in processes] == [0, 0], said
            assert said[1][0] == ""  # the first speaks for both
    one, two = (tmp_path / "1", tmp_path / "2")
    names = sorted(path.name for path in (one / "samples").glob("*.png"))
    assert len(names) == 20  # with the sheet
    for name in names:
        assert (one / "samples" / name).read_bytes() == (two / "samples" / name).read_bytes()
    figures = [json.loads((folder / "figures.json").read_text()) for folder in (one, two)]
    assert figures[0] == figures[1]
