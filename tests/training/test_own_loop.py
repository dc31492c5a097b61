"""A loop of one's own over `Trainer.batches` is a training, and what it saves is a checkpoint."""

import re
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, TensorDataset

import i2i
from i2i.cli import cli
from i2i.config import Options
from i2i.runs.checkpoint import load_checkpoint
from i2i.runs.folder import Run


def options(*settings: str) -> Options:
    """Small, with a schedule that changes the rate in each epoch, and an average."""
    small = [
        *("generator.width=2", "discriminator.width=2", "discriminator.layers=1"),
        *("train.batch_size=2", "train.epochs=2", "train.ema_decay=0.9", "train.ema_warmup=true"),
        *("data.workers=0", "schedule.name=cosine", "train.trackers=[]", "train.distance=off"),
    ]
    return i2i.load_options("pix2pix", *small, *settings, size=16)


def pairs() -> TensorDataset:
    generator = torch.Generator().manual_seed(0)
    source = torch.randint(0, 256, (7, 3, 16, 16), dtype=torch.uint8, generator=generator)
    return TensorDataset(source, 255 - source)


def state_of(run: Path) -> dict[str, Any]:
    return load_checkpoint(Run(run).latest())


def equal(own: dict[str, Any], trained: dict[str, Any]) -> bool:
    """Whether weights, averages and what the optimizers know are the same, bit for bit."""
    assert own["step"] == trained["step"]
    for part in ("model", "average"):
        for name, value in trained[part].items():
            if not torch.equal(own[part][name], value):
                return False
    for player, optimizer in trained["optimizers"].items():
        for number, row in optimizer["state"].items():
            mine = own["optimizers"][player]["state"][number]
            if not all(torch.equal(mine[key], row[key]) for key in row if key != "step"):
                return False
    return True


@pytest.mark.parametrize("kind", ["a folder", "a data set", "a loader"])
def test_the_loop_is_the_training(kind: str, facades: Path, tmp_path: Path) -> None:
    """Also if it is interrupted within an epoch, by a program that draws random numbers."""
    data: Any = {
        "a folder": facades,
        "a data set": pairs(),
        "a loader": DataLoader(pairs(), batch_size=2, shuffle=True, drop_last=True),
    }[kind]
    how = {"dataroot": data} if kind == "a folder" else {"data": data}
    images = 6 if kind == "a loader" else 7
    run = i2i.train(options(), runs_dir=tmp_path, name="run", device="cpu", **how)
    trainer = i2i.build_trainer(options(), images=images)
    state = torch.get_rng_state()
    for batch in trainer.batches(data, 3):
        trainer.step(batch)
    trainer.save(tmp_path / "mine.pt")
    assert torch.equal(torch.get_rng_state(), state)
    torch.rand(3)
    again = i2i.build_trainer(options(), images=images)
    again.load(tmp_path / "mine.pt")
    for batch in again.batches(data):
        again.step(batch)
    assert again.steps_done == run.steps > 3
    assert equal(again.state_dict(), state_of(run.folder))


def test_a_sheet_shows_the_last_batch_or_another() -> None:
    trainer = i2i.build_trainer(options("train.epochs=2"), images=7)
    with pytest.raises(i2i.I2iError, match="no step was done yet"):
        trainer.sheet()
    batches = list(trainer.batches(pairs(), 2))
    for batch in batches:
        trainer.step(batch)
    last, first = trainer.sheet(), trainer.sheet(batches[0])
    assert last.tobytes() == trainer.sheet(batches[1]).tobytes() != first.tobytes()


def test_what_a_loop_saves_is_read_by_the_commands(facades: Path, tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    trainer = i2i.build_trainer(options(), images=7)
    for batch in trainer.batches(facades, 2):
        trainer.step(batch)
    path = tmp_path / "mine.pt"
    trainer.save(path)
    images = tmp_path / "images"
    images.mkdir()
    Image.new("RGB", (20, 12), "red").save(images / "one.png")

    def i2i_(*words: object) -> str:
        result = CliRunner().invoke(cli, [*map(str, words)])
        assert result.exit_code == 0, (words, result.output, result.exception)
        return result.output

    assert "trained:    2 steps of 2" in i2i_("info", path)
    i2i_("translate", images, tmp_path / "out", "--checkpoint", path, "--device", "cpu")
    with Image.open(tmp_path / "out" / "one.png") as image:
        assert image.size == (20, 12)
    where = ("--checkpoint", path, "--dataroot", facades)
    assert "psnr" in i2i_("evaluate", *where, "--measures", "psnr", "--device", "cpu")
    i2i_("export", path, tmp_path / "mine.onnx", "--format", "onnx")
    made = i2i.load_translator(tmp_path / "mine.onnx")(torch.zeros(1, 3, 16, 16))
    expected: Tensor = i2i.load_translator(path, device="cpu")(torch.zeros(1, 3, 16, 16))
    torch.testing.assert_close(made, expected, atol=1e-4, rtol=1e-4)


def test_a_loop_leaves_the_run_that_a_training_leaves(facades: Path, tmp_path: Path) -> None:
    """Its log, bit for bit, also if it goes on after it was stopped; and the commands read it."""
    settings = "train.log_every_steps=2", "train.steps=7"

    def logged(folder: Path) -> list[dict[str, float]]:
        rows = i2i.history(folder, frame=False)
        return [
            {name: value for name, value in row.items() if not re.match("speed/|mine/", name)}
            for row in rows
        ]

    run = i2i.train(
        options(*settings, "train.validate_every_steps=100"),
        data=pairs(),
        runs_dir=tmp_path,
        name="run",
        device="cpu",
    )
    mine = tmp_path / "mine"
    trainer = i2i.build_trainer(options(*settings))
    with i2i.RunLog(trainer, mine) as log:
        for batch in trainer.batches(pairs(), 5):
            log.step(trainer.step(batch, closely=log.due))
            if trainer.steps_done == 4:
                log.values({"mine/value": 0.5})
                saved = log.save()
                log.sheet()
    assert i2i.history(mine, frame=False)[1]["mine/value"] == 0.5
    with pytest.raises(i2i.I2iError, match="exists already"):
        i2i.RunLog(i2i.build_trainer(options(*settings)), mine)
    again = i2i.build_trainer(options(*settings))
    again.load(saved)
    with i2i.RunLog(again, mine) as log:
        for batch in again.batches(pairs()):
            log.step(again.step(batch, closely=log.due))
        log.save()
    assert [row["step"] for row in logged(mine)] == [2, 4, 6, 7]
    assert logged(mine) == logged(run.folder)
    assert equal(again.state_dict(), state_of(run.folder))
    assert (mine / "samples" / "step-00000004.png").exists()
    for command in ("report", "info"):
        result = CliRunner().invoke(cli, [command, str(mine)])
        assert result.exit_code == 0, (result.output, result.exception)
    assert not (mine / "owner.json").exists()
