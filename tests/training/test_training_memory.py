"""A step that runs out of memory is repeated in pieces, as if it had never been tried whole."""

import io
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import forks
import pytest
import torch
from limits import CPU_ERROR, Limit, limited_trainer

from i2i.errors import TrainingError
from i2i.runs.checkpoint import load_checkpoint
from i2i.runs.folder import Run
from i2i.training import running
from i2i.training import session as train
from i2i.training.build import build_trainer
from i2i.training.oom import OOMRetry, divisor_from
from i2i.training.trainer import Trainer
from shrunk import batch_for, shrunk


@pytest.mark.parametrize(
    ("least", "size", "expected"), [(1, 6, 1), (2, 6, 2), (4, 6, 6), (4, 1, 1), (8, 12, 12)]
)
def test_divisors(least: int, size: int, expected: int) -> None:
    assert divisor_from(least, size) == expected


def state_of(trainer: Trainer) -> list[torch.Tensor]:
    found: list[torch.Tensor] = []

    def gather(value: Any) -> None:
        if isinstance(value, torch.Tensor):
            found.append(value.clone())
        elif isinstance(value, dict):
            for each in value.values():
                gather(each)
        elif isinstance(value, list):
            for each in value:
                gather(each)

    gather(trainer.state_dict())
    return found


@pytest.mark.parametrize("share", [0.0, 0.3, 0.6, 0.99])
@pytest.mark.parametrize(
    ("recipe", "failing"),
    [
        ("pix2pix", 0),
        ("cyclegan", 0),
        ("stargan", 0),
        ("progan", 0),
        ("wgan-gp", 0),
        ("wgan-gp", 4),
    ],
)
def test_the_run_goes_on_as_one_with_so_many_pieces(
    recipe: str, failing: int, share: float, said: list[str]
) -> None:
    """Whatever had moved before the memory ran out; batch norm included.

    WGAN's generator has its first turn in step 4.
    """
    size = 3 if recipe == "progan" else 4
    settings = ["train.ema_decay=0.9", "data.augment.brightness=0.1"]
    if recipe != "progan":
        settings.append(f"train.batch_size={size}")
    trial, other, trainer = (build_trainer(shrunk(recipe, *settings)) for _ in range(3))
    batches = [batch_for(trial.model, count=size, seed=step) for step in range(failing + 2)]
    counter = Limit(trial.model, size, 0, RuntimeError(CPU_ERROR))
    calls = []
    for batch in batches[: failing + 1]:
        calls.append(counter.calls)
        trial.step(batch)
    first = calls[-1] + int(share * (counter.calls - calls[-1]))

    changes: list[int] = []
    rescue = OOMRetry(trainer, changes.append)
    Limit(trainer.model, 1, first, RuntimeError(CPU_ERROR))
    for step, batch in enumerate(batches):
        rescue.step(batch)
        assert trainer.gradient_accumulation == (1 if step < failing else size)
        other.gradient_accumulation = trainer.gradient_accumulation
        other.step(batch)
        for one, expected in zip(state_of(trainer), state_of(other), strict=True):
            assert torch.equal(one, expected)
    assert changes == ([3] if size == 3 else [2, 4])
    notes = [line for line in said if "the memory did not suffice" in line]
    assert len(notes) == len(changes)
    assert all("goes on, with train.gradient_accumulation = " in line for line in notes)


@pytest.mark.parametrize(
    ("recipe", "told"),
    [("pix2pix", "statistics from 1 images instead of 2"), ("cyclegan", "of the whole batch")],
)
def test_what_the_pieces_change_is_said_once(recipe: str, told: str, said: list[str]) -> None:
    trainer = build_trainer(shrunk(recipe))
    rescue = OOMRetry(trainer)
    Limit(trainer.model, 1, 0, torch.OutOfMemoryError("CUDA out of memory."))
    for step in range(3):
        rescue.step(batch_for(trainer.model, seed=step))
    (line,) = said
    assert "for step 1." in line
    assert told in line


def test_what_cannot_be_cut_further_says_what_helps() -> None:
    trainer = build_trainer(shrunk("pix2pix"))
    rescue = OOMRetry(trainer)
    Limit(trainer.model, 0, 0, RuntimeError(CPU_ERROR))
    with pytest.raises(TrainingError, match=r"step 1: .* piece of 1 of the 2 .*checkpointing"):
        rescue.step(batch_for(trainer.model))


def test_memory_that_is_taken_away_later_leads_to_the_checkpoint() -> None:
    trainer = build_trainer(shrunk("pix2pix"))
    rescue = OOMRetry(trainer)
    for step in range(2):
        rescue.step(batch_for(trainer.model, seed=step))
    Limit(trainer.model, 1, 0, RuntimeError(CPU_ERROR))
    with pytest.raises(TrainingError, match=r"step 3: .* resume the run"):
        rescue.step(batch_for(trainer.model))


def test_the_second_step_is_not_trusted_either() -> None:
    """In the first one, the optimizers had allocated nothing yet."""
    trainer = build_trainer(shrunk("pix2pix"))
    rescue = OOMRetry(trainer)
    rescue.step(batch_for(trainer.model))
    Limit(trainer.model, 1, 0, RuntimeError(CPU_ERROR))
    rescue.step(batch_for(trainer.model))
    assert (trainer.gradient_accumulation, trainer.steps_done) == (2, 2)


def test_a_step_in_fp16_that_breaks_off_between_scaling_and_moving_is_wiped_out() -> None:
    """Else its gradients would count as those of the next one that need no scaling any more."""
    settings = ("train.precision=fp16", "train.batch_size=2")
    trainer, other = (build_trainer(shrunk("pix2pix", *settings)) for _ in range(2))
    for each in (trainer, other):
        for scaler in each.precision.scalers.values():
            scaler._init_scale = 4.0  # so that nothing overflows, and all move
    batch = batch_for(trainer.model)
    optimizer = trainer.optimizers["generator"]
    original = optimizer.step

    def once(*arguments: Any, **named: Any) -> None:
        optimizer.step = original
        raise RuntimeError(CPU_ERROR)

    optimizer.step = once  # type: ignore[method-assign, assignment]
    OOMRetry(trainer).step(batch)
    assert trainer.gradient_accumulation == 2
    other.gradient_accumulation = 2
    other.step(batch)
    for one, expected in zip(state_of(trainer), state_of(other), strict=True):
        assert torch.equal(one, expected)


@pytest.mark.parametrize(
    ("recipe", "uncertain"),
    [
        ("pix2pix", [0, 1]),
        ("wgan-gp", [0, 1, 4, 5, 9]),  # the generator moves in the fifth and the tenth step
        ("progan", [0, 1, 2, 3, 4]),  # stages of 1, 2 and 3 steps; the last one goes on
    ],
)
def test_the_state_is_kept_only_while_the_memory_may_not_suffice(
    recipe: str, uncertain: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = build_trainer(shrunk(recipe))
    kept: list[int] = []
    original = torch.save

    def save(state: Any, file: Any) -> None:
        kept.append(trainer.steps_done)
        original(state, file)

    monkeypatch.setattr(torch, "save", save)
    rescue = OOMRetry(trainer)
    for step in range(12):
        rescue.step(batch_for(trainer.model, seed=step))
    assert kept == uncertain


def test_steps_unlike_any_other_are_no_proof_until_all_players_have_moved() -> None:
    trainer = build_trainer(shrunk("wgan-gp"))
    trainer.model.graph_key = lambda clock: None  # type: ignore[method-assign]
    rescue = OOMRetry(trainer)
    for step in range(4):  # of the critic alone
        rescue.step(batch_for(trainer.model, seed=step))
    generator = trainer.model.get_submodule("generator")
    Limit(torch.nn.ModuleList([generator]), 1, 0, RuntimeError(CPU_ERROR))
    losses = rescue.step(batch_for(trainer.model))
    assert "generator/total" in losses
    assert trainer.gradient_accumulation > 1


class Full(io.BytesIO):
    """A file on a disk with room for so many bytes, which torch writes to in pieces."""

    def write(self, data: Any) -> int:
        if self.tell() + len(data) > 10_000:
            raise OSError(28, "No space left on device")
        return super().write(data)


def test_a_full_disk_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    trainer = build_trainer(shrunk("pix2pix"))
    monkeypatch.setattr(tempfile, "TemporaryFile", Full)
    with pytest.raises(TrainingError, match=r"step 1: the state .* could not be kept .* TMPDIR"):
        OOMRetry(trainer).step(batch_for(trainer.model))


def test_other_errors_pass() -> None:
    trainer = build_trainer(shrunk("pix2pix"))
    Limit(trainer.model, 0, 0, RuntimeError("shapes do not match"))
    with pytest.raises(RuntimeError, match="shapes do not match"):
        OOMRetry(trainer).step(batch_for(trainer.model))


RUN_UNDER_A_LIMIT = """
import resource, sys
sys.path.insert(0, sys.argv[1])
import torch
torch.set_num_threads(1)
from i2i import train
from i2i.training.build import build_trainer
from i2i.runs.checkpoint import load_checkpoint
from i2i.training.oom import OOMRetry
from i2i.config.recipes import load_options
from listening import hearing
from shrunk import batch_for

options = load_options(
    "cyclegan", "generator.width=16", "generator.blocks=1", "discriminator.width=8",
    "train.batch_size=8", size=64,
)
trainer = build_trainer(options, images=400)
rescue = OOMRetry(trainer)
batch = batch_for(trainer.model, count=8, size=64)
build_trainer(options, images=8).step(type(batch)(*(t[:1] for t in batch)))  # needed at first
with open("/proc/self/statm") as file:
    now = int(file.read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (now + int(sys.argv[2]) * 2**20,) * 2)
with hearing(print):
    rescue.step(batch)
    rescue.step(batch)
print("pieces", trainer.gradient_accumulation, "steps", trainer.steps_done)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="Linux limits the memory of a process")
def test_a_real_limit_of_the_memory_does_not_end_the_run(tmp_path: Path) -> None:
    (tmp_path / "limited.py").write_text(RUN_UNDER_A_LIMIT)
    done = forks.run(tmp_path / "limited.py", Path(__file__).parent.parent, "120")
    assert done.returncode == 0, done.stderr
    *notes, last = done.stdout.splitlines()
    assert 1 <= len(notes) <= 3
    assert all("the memory did not suffice for step 1." in note for note in notes)
    assert last == f"pieces {2 ** len(notes)} steps 2"


def test_a_run_remembers_the_pieces(
    unpaired: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: list[str]
) -> None:
    monkeypatch.setattr(running, "build_trainer", limited_trainer)
    options = shrunk("cyclegan", f"data.root={unpaired}", "train.steps=2")
    run = train.start(options, tmp_path, "run", device="cpu").folder
    assert sum("train.gradient_accumulation = 2" in line for line in said) == 1
    assert "gradient_accumulation = 2" in (run / "options.toml").read_text()
    rows = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    assert [
        row["memory/gradient_accumulation"] for row in rows if "memory/gradient_accumulation" in row
    ] == [2]
    state = load_checkpoint(Run(run).latest())
    assert state["options"]["train"]["gradient_accumulation"] == 2
    said.clear()
    train.resume(run, {"train": {"steps": 3}}, device="cpu")
    assert not any("did not suffice" in line for line in said)
