"""Taking part in a training: when callbacks are told what, their state, what their errors do."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import i2i
from i2i.config import Options
from i2i.runs.checkpoint import load_checkpoint
from i2i.runs.folder import Run
from i2i.runs.log import read_log
from i2i.training.callbacks import Callbacks
from i2i.training.own import OwnParts
from i2i.training.session import start
from shrunk import shrunk


class Told(i2i.Callback):
    """Notes what it is told, and fails where it shall."""

    def __init__(self, fails_in: str = "", error: type[Exception] = ValueError) -> None:
        self.events: list[str] = []
        self.fails_in = fails_in
        self.error = error

    def note(self, event: str, training: i2i.Training) -> None:
        self.events.append(f"{event} {training.step}")
        if self.events[-1] == self.fails_in:
            raise self.error("on purpose")

    def on_start(self, training: i2i.Training) -> None:
        self.note("start", training)

    def on_step(self, training: i2i.Training, losses: Mapping[str, Tensor]) -> None:
        assert losses["generator/total"].ndim == 0
        self.note("logged" if training.logged else "step", training)

    def on_validation(self, training: i2i.Training, values: Mapping[str, float]) -> None:
        assert training.rows[-1]["validation/l1"] == values["l1"]
        self.note("validation", training)

    def on_save(self, training: i2i.Training, path: Path) -> None:
        assert path.is_file()
        self.note("save", training)

    def on_end(self, training: i2i.Training) -> None:
        self.note("over" if training.over else "interrupted", training)

    def on_error(self, training: i2i.Training, error: Exception) -> None:
        self.note(f"error {error}", training)


class Keeping(i2i.Callback):
    """Keeps a tensor and numbers of all kinds."""

    def __init__(self) -> None:
        self.mean = torch.zeros(2)
        self.steps: list[int] = []

    def on_step(self, training: i2i.Training, losses: Mapping[str, Tensor]) -> None:
        self.mean += 0.5 * (losses["generator/total"] - self.mean)
        self.steps.append(training.step)

    def state_dict(self) -> dict[str, Any]:
        return {"mean": self.mean, "steps": self.steps, "numbers": {"np": np.float32(0.5)}}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.mean = state["mean"]
        self.steps = state["steps"]
        assert state["numbers"] == {"np": 0.5}


def options(facades: Path, *settings: str) -> Options:
    small = ["train.steps=3", "train.save_every_steps=2", "train.validate_every_steps=2"]
    small += ["schedule.name=constant", "train.trackers=[]"]  # whatever the length of the run
    return shrunk("pix2pix", f"data.root={facades}", *small, *settings)


def trained(folder: Path, chosen: Options, *callbacks: i2i.Callback) -> Path:
    return start(chosen, folder, "run", device="cpu", own=OwnParts(callbacks=callbacks)).folder


def test_everything_is_told_in_order(facades: Path, tmp_path: Path) -> None:
    """A checkpoint before a validation, whatever happens to that, and one that knows its result."""
    told = Told()
    run = trained(tmp_path, options(facades), told)
    assert told.events == [
        *("start 0", "step 1", "logged 2", "save 2", "validation 2", "save 2"),
        *("logged 3", "save 3", "validation 3", "save 3", "over 3"),
    ]
    again = Told()
    i2i.resume(run, "train.steps=4", device="cpu", callbacks=[again])
    assert again.events == ["start 3", "logged 4", "save 4", "validation 4", "save 4", "over 4"]


@pytest.mark.parametrize(
    ("fails_in", "error", "saved"),
    [
        ("step 1", ValueError, 1),
        ("logged 2", i2i.I2iError, 2),
        ("validation 2", KeyError, 2),
        ("over 3", ZeroDivisionError, 3),
    ],
)
def test_what_fails_is_saved_first(
    facades: Path, tmp_path: Path, fails_in: str, error: type[Exception], saved: int
) -> None:
    """And the run goes on from there as if nothing had happened."""
    told = Told(fails_in, error)
    with pytest.raises(error, match="on purpose") as caught:
        trained(tmp_path / "fails", options(facades), told, Keeping())
    assert told.events[-2:][0] == fails_in
    assert told.events[-1].startswith("error ")
    if error is not i2i.I2iError:
        assert "of the callback Told" in caught.value.__notes__[0]
    run = tmp_path / "fails" / "run"
    assert load_checkpoint(Run(run).latest())["step"] == saved
    i2i.resume(run, "train.steps=4", device="cpu", callbacks=[Keeping()])
    whole = trained(tmp_path / "whole", options(facades, "train.steps=4"), Keeping())
    one, other = (load_checkpoint(Run(folder).latest()) for folder in (run, whole))
    assert one["step"] == other["step"] == 4
    for name, value in other["model"].items():
        assert torch.equal(one["model"][name], value)


def test_a_state_goes_on(facades: Path, tmp_path: Path) -> None:
    keeping = Keeping()
    trained(tmp_path / "whole", options(facades, "train.steps=4"), keeping)
    part = trained(tmp_path / "part", options(facades, "train.steps=2"), Keeping(), Keeping())
    states = load_checkpoint(Run(part).latest())["callbacks"]
    assert states.keys() == {"Keeping", "Keeping-2"}
    again = Keeping()
    i2i.resume(part, "train.steps=4", device="cpu", callbacks=[again, Keeping()])
    assert again.steps == keeping.steps == [1, 2, 3, 4]
    assert torch.equal(again.mean, keeping.mean)


def test_a_state_that_no_checkpoint_can_hold_is_refused() -> None:
    class Holding(i2i.Callback):
        def state_dict(self) -> dict[str, Any]:
            return {"what": object()}

    with pytest.raises(i2i.I2iError, match="the callback Holding holds a value of the type object"):
        Callbacks(own=[Holding()])


def test_a_callback_that_cannot_tell_its_state_any_more_loses_no_run(
    facades: Path, tmp_path: Path, said: list[str]
) -> None:
    class Breaking(Keeping):
        def state_dict(self) -> dict[str, Any]:
            if len(self.steps) > 2:
                raise RuntimeError("broken")
            return super().state_dict()

    with pytest.raises(RuntimeError, match="broken"):
        trained(tmp_path, options(facades), Breaking())
    state = load_checkpoint(Run(tmp_path / "run").latest())
    assert state["step"] == 3
    assert state["callbacks"]["Breaking"]["steps"] == [1, 2]
    assert any("Breaking cannot tell its state" in line for line in said)


def test_a_callback_can_log_and_end(facades: Path, tmp_path: Path, said: list[str]) -> None:
    class Stop(i2i.Callback):
        def on_step(self, training: i2i.Training, losses: Mapping[str, Tensor]) -> None:
            training.log({"mine/square": training.step**2})
            if training.step == 2:
                training.end("it is good enough.")

    told = Told()
    run = trained(tmp_path, options(facades, "train.steps=9"), Stop(), told)
    assert [row["mine/square"] for row in read_log(Run(run).log).rows] == [1, 4]
    assert told.events[-1] == "over 2"
    assert "step 2: it is good enough." in said
    assert i2i.resume(run, device="cpu").steps == 9
