"""What is left of a run however it ends, and how it goes on."""

import json
import os
import shutil
import signal
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from commands import complaint, invoke
from listening import hearing
from PIL import Image, ImageOps
from torture import differences, last, leave_alone, torture

from i2i.config import Options
from i2i.data.kinds.paired import PairedImages
from i2i.errors import CheckpointError, DataError, RunError, TrainingError
from i2i.runs import folder as run_module
from i2i.runs.checkpoint import load_checkpoint, save_checkpoint
from i2i.runs.folder import Run
from i2i.runs.lock import RunLock
from i2i.training import checkpoints as keeper
from i2i.training import oom as memory
from i2i.training import running
from i2i.training import session as train
from i2i.training.oom import OOMRetry
from i2i.training.pace import Pace
from i2i.training.validation import Validation
from shrunk import shrunk


def on(root: Path, *settings: str) -> Options:
    return shrunk("pix2pix", f"data.root={root}", *settings)


def begun(root: Path, runs: Path, *settings: str, name: str = "a") -> Run:
    return Run(train.start(on(root, *settings), runs, name, device="cpu").folder)


def goes_on_to_the_same_end(run: Run, facades: Path, tmp_path: Path, *settings: str) -> None:
    """Whether a run that ended early, resumed, ends like one that did not."""
    train.resume(run.folder, device="cpu")
    begun(facades, tmp_path, *settings, name="whole")
    assert differences(last(tmp_path, "whole"), last(run.folder.parent, run.folder.name)) == []


# However it ends


@pytest.mark.parametrize("error", [DataError("bad"), OSError("gone"), ValueError("a plug-in's")])
def test_a_run_saves_before_an_error_between_steps_ends_it(
    error: Exception,
    facades: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    said: list[str],
) -> None:
    settings = ("train.steps=8", "train.save_every_steps=100", "train.validate_every_steps=100")
    read = PairedImages.__getitem__

    def until(self: PairedImages, position: int) -> Any:
        if position >= 6:  # of the fourth step
            raise error
        return read(self, position)

    with monkeypatch.context() as patch:
        patch.setattr(PairedImages, "__getitem__", until)
        with pytest.raises(type(error)):
            train.start(on(facades, *settings), tmp_path, "a", device="cpu")
    run = Run(tmp_path / "a")
    assert run.latest() == run.checkpoint(3)
    assert any("saved after step 3" in s and f"--resume {run.folder}" in s for s in said)
    goes_on_to_the_same_end(run, facades, tmp_path, *settings)


@pytest.mark.parametrize("workers", [0, 1])
def test_images_that_go_bad_are_replaced_and_counted(
    workers: int, facades: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []

    def say(line: str) -> None:
        said.append(line)
        if line.startswith("training "):  # after they were checked
            for name in ("1.png", "4.png"):
                (facades / "train" / name).write_bytes(b"no image")

    settings = ["train.steps=8", "data.cache=off", "data.skip_bad=true", f"data.workers={workers}"]
    with hearing(say):
        outcome = train.start(on(facades, *settings), tmp_path, "a", device="cpu")
    assert outcome.steps == 8
    notes = [line for line in said if "Others take its place" in line]
    assert [line.split()[-3] for line in notes] == ["1", "2"]
    assert {name for name in ("1.png", "4.png") if any(name in line for line in notes)} == {
        "1.png",
        "4.png",
    }


def test_memory_that_does_not_suffice_costs_nothing(
    facades: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = ("train.steps=4", "train.save_every_steps=100", "train.validate_every_steps=100")
    attempt = memory._attempt

    def scarce(step: Any) -> Any:
        made = attempt(step)
        return None if made is not None and len(done) >= 2 else done.append(0) or made

    done: list[int] = []
    with monkeypatch.context() as patch:
        patch.setattr(memory, "_attempt", scarce)
        # Every step may be one that fails.
        patch.setattr(OOMRetry, "_kind", lambda self, size: None)
        with pytest.raises(TrainingError, match=r"step 3: the memory does not suffice"):
            begun(facades, tmp_path, *settings)
    run = Run(tmp_path / "a")
    assert run.latest() == run.checkpoint(2)
    whole = begun(facades, tmp_path, *settings, "train.save_every_steps=2", name="whole")
    saved, expected = (load_checkpoint(each.checkpoint(2)) for each in (run, whole))
    for part in ("model", "optimizers"):
        assert differences(saved[part], expected[part]) == []


def test_a_domain_too_small_for_the_classifier_is_known_before_the_first_step(
    domains: Path, tmp_path: Path
) -> None:
    for path in sorted((domains / "train" / "blue").iterdir())[1:]:
        path.unlink()
    options = shrunk("stargan", f"data.root={domains}", "train.classifier_steps=5")
    with pytest.raises(DataError, match=r"1 images of 'blue'.*train\.classifier_steps=0"):
        train.start(options, tmp_path / "runs", "a", device="cpu")
    assert not (tmp_path / "runs").exists()


def test_a_validation_that_fails_costs_nothing(
    facades: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = ("train.validate_every_steps=2", "train.save_every_steps=2", "train.steps=4")

    def broken(self: Validation, trainer: Any) -> dict[str, float]:
        assert Run(tmp_path / "a").checkpoint(2).exists()  # saved before
        raise RuntimeError("no measure")

    with monkeypatch.context() as patch:
        patch.setattr(Validation, "measure", broken)
        with pytest.raises(RuntimeError, match="no measure"):
            begun(facades, tmp_path, *settings)
    run = Run(tmp_path / "a")
    assert load_checkpoint(run.latest())["validated"] == 0
    # What was not validated then is now, so that the best is the same.
    goes_on_to_the_same_end(run, facades, tmp_path, *settings)
    rows = [json.loads(line) for line in run.log.read_text().splitlines()]
    assert [row["step"] for row in rows if "validation/l1" in row] == [2, 4]


def test_a_step_that_failed_is_not_saved(
    facades: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    step = OOMRetry.step

    def torn(self: OOMRetry, batch: Any, *, closely: bool = False) -> Any:
        losses = step(self, batch, closely=closely)
        if self.trainer.steps_done == 3:
            raise TrainingError("in the middle")
        return losses

    monkeypatch.setattr(OOMRetry, "step", torn)
    with pytest.raises(TrainingError):
        begun(facades, tmp_path)
    assert Run(tmp_path / "a").latest() == Run(tmp_path / "a").checkpoint(2)


def test_an_error_within_a_step_names_the_last_checkpoint(
    facades: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a model of somebody else's raises; the weights of that step are neither nor."""
    step = OOMRetry.step

    def torn(self: OOMRetry, batch: Any, *, closely: bool = False) -> Any:
        losses = step(self, batch, closely=closely)
        if self.trainer.steps_done == fails_at[0]:
            raise ZeroDivisionError("a plug-in's")
        return losses

    settings = ("train.steps=4", "train.save_every_steps=2", "train.validate_every_steps=2")
    fails_at = [3]
    with monkeypatch.context() as patch:
        patch.setattr(OOMRetry, "step", torn)
        with pytest.raises(ZeroDivisionError) as raised:
            begun(facades, tmp_path, *settings)
        run = Run(tmp_path / "a")
        (note,) = raised.value.__notes__
        assert f"The last checkpoint is {run.checkpoint(2)}" in note
        assert f"i2i train --resume {run.folder}" in note
        fails_at = [1]
        with pytest.raises(ZeroDivisionError) as raised:
            begun(facades, tmp_path, *settings, name="b")
        assert "has no checkpoint yet" in raised.value.__notes__[0]
    assert run.latest() == run.checkpoint(2)
    goes_on_to_the_same_end(run, facades, tmp_path, *settings)


@pytest.mark.parametrize("what", ["", "checkpoints", "samples"])
def test_a_folder_that_is_removed_is_made_again(
    what: str, facades: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: list[str]
) -> None:
    run, show = Run(tmp_path / "a"), Validation.show

    def removing(self: Validation, trainer: Any) -> Any:
        if trainer.steps_done == 2:
            time.sleep(0.5)  # TensorBoard writes in a thread of its own, and fails in it
            shutil.rmtree((run.folder / what).rename(tmp_path / "removed"))
        return show(self, trainer)

    monkeypatch.setattr(Validation, "show", removing)
    train.start(on(facades, "train.steps=6"), tmp_path, "a", device="cpu")
    assert load_checkpoint(run.latest())["step"] == 6
    assert (run.samples / "step-00000006.png").exists()
    assert run.options.exists()
    rows = [json.loads(line)["step"] for line in run.log.read_text().splitlines()]
    assert rows == sorted(rows)
    assert {2, 4, 6} <= {*rows}
    if what != "samples":
        assert sum("has removed" in line for line in said) == 1
    assert not (run.folder / "owner.json").exists()


@pytest.mark.parametrize("named", [True, False])
def test_the_last_checkpoint_has_a_second_chance(
    named: bool, facades: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: list[str]
) -> None:
    full, elsewhere = tmp_path / "full", tmp_path / "elsewhere"
    elsewhere.mkdir()

    def moody(path: Path, state: dict[str, Any]) -> None:
        if full in path.parents:
            raise CheckpointError(f"{path} could not be written (No space left on device).")
        save_checkpoint(path, state)

    monkeypatch.setattr(keeper, "save_checkpoint", moody)
    monkeypatch.setattr("tempfile.tempdir", str(elsewhere))
    outcome = train.start(
        on(facades),
        full,
        "a",
        device="cpu",
        rescue_dir=elsewhere / "rescue" if named else None,
    )
    assert outcome.exit_code == 0
    (folder,) = (elsewhere / "rescue" if named else elsewhere).glob("a-rescued-*")
    assert any(f"--resume {folder}" in line for line in said)
    changes = {"train": {"steps": 5}}
    assert train.resume(folder, changes, device="cpu").steps == 5


def test_a_new_run_that_finds_no_room_leaves_no_folder(
    facades: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, text: str) -> None:
        raise OSError(28, "No space left on device", str(path))

    with monkeypatch.context() as patch:
        patch.setattr(run_module, "write_text", full)
        with pytest.raises(RunError, match=r"nothing can be written to .*No space left"):
            begun(facades, tmp_path / "runs")
    assert not (tmp_path / "runs" / "a").exists()

    def never(path: Path, state: dict[str, Any]) -> None:
        raise CheckpointError(f"{path}: No space left on device.")

    with monkeypatch.context() as patch:
        patch.setattr(keeper, "save_checkpoint", never)
        with pytest.raises(CheckpointError, match="Nor elsewhere"):
            begun(facades, tmp_path / "runs")
    assert not (tmp_path / "runs" / "a").exists()
    begun(facades, tmp_path / "runs")


def test_checkpoints_and_sheets_by_the_clock(
    facades: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A minute goes by in each step: both are due after 1, 3, 7 and 15."""
    clock = [0.0]
    take = OOMRetry.step

    def step(self: OOMRetry, batch: Any, *, closely: bool = False) -> Any:
        clock[0] += 60.0
        return take(self, batch, closely=closely)

    monkeypatch.setattr(OOMRetry, "step", step)
    monkeypatch.setattr(running, "Pace", partial(Pace, now=lambda: clock[0]))
    settings = ["train.steps=16", "train.save_every_steps=100", "train.validate_every_steps=100"]
    run = begun(facades, tmp_path, *settings, "train.keep_checkpoints=99")
    assert run.checkpoints() == [run.checkpoint(step) for step in (1, 3, 7, 15, 16)]
    sheets = [f"step-{step:08d}.png" for step in (0, 1, 3, 7, 15, 16)]
    assert sorted(path.name for path in run.samples.iterdir()) == sheets
    # None of this changes what is learnt.
    off = ["train.save_every_minutes=0", "train.visualize_every_minutes=0"]
    other = begun(facades, tmp_path, *settings, *off, name="b")
    assert other.checkpoints() == [other.checkpoint(16)]
    one, two = last(tmp_path, "a"), last(tmp_path, "b")
    assert differences(one["model"], two["model"]) == []
    assert differences(one["optimizers"], two["optimizers"]) == []


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="the system has no such signals")
@pytest.mark.parametrize("name", ["SIGHUP", "SIGUSR1", "SIGUSR2"])
def test_signals_of_terminals_and_schedulers_save(
    name: str, facades: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    number, show = getattr(signal, name), Validation.show

    def interrupted(self: Validation, trainer: Any) -> Any:
        if trainer.steps_done == 2:
            signal.raise_signal(number)
            signal.raise_signal(number)  # a shell hands it on once more
        return show(self, trainer)

    monkeypatch.setattr(Validation, "show", interrupted)
    outcome = train.start(on(facades, "train.save_every_steps=100"), tmp_path, "a", device="cpu")
    assert (outcome.steps, outcome.exit_code) == (2, 128 + number)
    assert Run(outcome.folder).latest().name == "step-00000002.pt"


# One owner


@pytest.mark.skipif(os.name != "posix", reason="no permissions of groups")
def test_who_shares_the_folder_may_do_what_its_permissions_say(
    facades: Path, tmp_path: Path
) -> None:
    """Nothing is written for its owner alone: a group with umask 002 goes on with each other's
    runs."""
    before = os.umask(0o002)
    try:
        run = begun(facades, tmp_path / "runs")
        assert invoke("report", run.folder).exit_code == 0
        found = {path: path.stat().st_mode & 0o777 for path in (tmp_path / "runs").rglob("*")}
    finally:
        os.umask(before)
    assert run.latest() in found
    assert {path: oct(mode) for path, mode in found.items() if mode not in (0o775, 0o664)} == {}


def test_a_run_that_is_trained_is_not_resumed(facades: Path, tmp_path: Path) -> None:
    run = begun(facades, tmp_path)
    lock = RunLock(run.folder)
    lock.acquire()
    said = complaint("train", "--resume", run.folder, "--steps", "6", "--device", "cpu")
    assert f"{run.folder} is being trained by process {os.getpid()} on " in said
    assert invoke("info", run.folder).exit_code == 0
    assert invoke("report", run.folder).exit_code == 0
    lock.release()
    assert train.resume(run.folder, {"train": {"steps": 6}}, device="cpu").steps == 6


def test_unnamed_runs_of_the_same_second_get_a_name_each(
    facades: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(train, "new_name", lambda *about: "same")
    for _ in range(3):
        train.start(on(facades, "train.steps=1"), tmp_path / "r", device="cpu")
    assert sorted(p.name for p in (tmp_path / "r").iterdir()) == ["same", "same-2", "same-3"]


# Going on


def test_a_finished_run_is_finished(facades: Path, tmp_path: Path) -> None:
    run = begun(facades, tmp_path)
    before = run.latest().stat().st_mtime_ns
    done = invoke("train", "--resume", run.folder, "--device", "cpu")
    assert done.exit_code == 0, done.output
    assert "finished already" in done.output
    assert run.latest().stat().st_mtime_ns == before


def test_a_run_that_ended_for_want_of_progress_is_finished(
    facades: Path, tmp_path: Path, said: list[str]
) -> None:
    run = begun(facades, tmp_path, "train.patience=1", "train.steps=40", "schedule.name=constant")
    done = load_checkpoint(run.latest())["step"]
    if done == 40:
        pytest.skip("it became better each time")
    assert train.resume(run.folder, device="cpu").steps == done
    assert any("finished already" in line and "--patience" in line for line in said)


@pytest.mark.parametrize(
    "change",
    [
        {"objective": {"l1": 3.0}},
        {"train": {"seed": 7}},
        {"optimizer": {"learning_rate": 0.1}},
        {"data": {"flip": False}},
        {"train": {"batch_size": 1}},
    ],
)
def test_python_may_change_no_more_than_the_command(
    change: dict[str, Any], facades: Path, tmp_path: Path
) -> None:
    run = begun(facades, tmp_path)
    before = run.options.read_text()
    (section, values), *_ = change.items()
    (key,) = values
    with pytest.raises(RunError, match=rf"{section}\.{key} \(.* to .*\) cannot change"):
        train.resume(run.folder, {**change}, device="cpu")
    assert run.options.read_text() == before


def test_options_edited_by_hand_count_if_they_may(facades: Path, tmp_path: Path) -> None:
    run = begun(facades, tmp_path)
    text = run.options.read_text()
    assert "steps = 4\n" in text
    run.options.write_text(text.replace("steps = 4\n", "steps = 6\n", 1))
    assert train.resume(run.folder, device="cpu").steps == 6
    text = run.options.read_text()
    run.options.write_text(text.replace("learning_rate = 0.0002", "learning_rate = 0.1", 1))
    assert text != run.options.read_text()
    with pytest.raises(RunError, match=r"changed by hand: optimizer\.learning_rate"):
        train.resume(run.folder, {"train": {"steps": 8}}, device="cpu")
    run.options.write_text("[[[")
    with pytest.raises(RunError, match=r"mend it, or remove it"):
        train.resume(run.folder, {"train": {"steps": 8}}, device="cpu")
    run.options.unlink()  # which alone says where the data lies
    with pytest.raises(DataError, match=r"If the images have moved, .*--dataroot DIR"):
        train.resume(run.folder, {"train": {"steps": 8}}, device="cpu")
    changes = {"train": {"steps": 8}, "data": {"root": str(facades)}}
    assert train.resume(run.folder, changes, device="cpu").steps == 8


@pytest.mark.parametrize(
    "flags", [["--runs-dir", "x"], ["--fast", "off"], ["--resume-or-start"], ["--replay", "y"]]
)
def test_flags_that_a_resumed_run_cannot_honour_are_refused(flags: list[str]) -> None:
    assert flags[0] in complaint("train", "--resume", "x", *flags)


def test_patience_without_a_measure_is_refused_in_a_resumed_run_too(
    facades: Path, tmp_path: Path
) -> None:
    run = begun(facades, tmp_path, "train.monitor=none")
    said = complaint("train", "--resume", run.folder, "--patience", "2", "--steps", "6")
    assert "train.patience (=2) needs a measure that decides, and train.monitor (='none')" in said


def test_moved_data_and_other_data(
    facades: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = begun(facades, tmp_path / "runs")
    moved, other = tmp_path / "moved", tmp_path / "other"
    shutil.copytree(facades, other)
    for path in other.rglob("*.png"):
        ImageOps.invert(Image.open(path)).save(path)
    shutil.move(facades, moved)
    said = complaint("train", "--resume", run.folder, "--steps", "6", "--device", "cpu")
    assert f"say where to: i2i train --resume {run.folder} --dataroot DIR" in said
    changes = {"train": {"steps": 6}, "data": {"root": str(other)}}
    with pytest.raises(RunError, match=r"other does not hold the images .*Begin a new run"):
        train.resume(run.folder, changes, device="cpu")
    monkeypatch.chdir(tmp_path)
    changes = {"train": {"steps": 6}, "data": {"root": "moved"}}
    assert train.resume(run.folder, changes, device="cpu").steps == 6
    monkeypatch.chdir("/")
    changes = {"train": {"steps": 7}}
    assert train.resume(run.folder, changes, device="cpu").steps == 7


def test_images_changed_in_place_are_said(facades: Path, tmp_path: Path, said: list[str]) -> None:
    run = begun(facades, tmp_path)
    path = facades / "train" / "0.png"
    ImageOps.invert(Image.open(path)).save(path)
    train.resume(run.folder, {"train": {"steps": 5}}, device="cpu")
    assert any("not those that the run began with" in line for line in said)


def test_resume_or_start(
    facades: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: list[str]
) -> None:
    def go(*settings: str) -> train.Outcome:
        return train.resume_or_start(on(facades, *settings), tmp_path, "a", device="cpu")

    run = Run(tmp_path / "a")
    assert go().steps == 4
    assert go().exit_code == 0
    assert "finished already" in said[-1]
    assert go("train.steps=6").steps == 6
    assert go("train.steps=5").steps == 6  # a job of the chain that asks for less
    assert "finished already" in said[-1]
    with pytest.raises(RunError, match=r"objective\.l1 .*cannot change"):
        go("train.steps=8", "objective.l1=3")
    # Of one that was killed before its first checkpoint nothing is kept, but of others all.
    shutil.rmtree(run.best.parent)
    run.best.parent.mkdir()
    assert go("train.steps=2").steps == 2
    shutil.rmtree(run.best.parent)
    run.best.parent.mkdir()
    (run.folder / "thesis.tex").touch()
    with pytest.raises(RunError, match="exists already"):
        go()
    assert (run.folder / "thesis.tex").exists()


def test_a_run_that_was_extended_is_done_again_to_the_bit(facades: Path, tmp_path: Path) -> None:
    run = begun(facades, tmp_path, "train.steps=3", "train.validate_every_steps=1")
    train.resume(run.folder, {"train": {"steps": 5}}, device="cpu")
    train.resume(run.folder, {"train": {"steps": 7, "keep": 5}}, device="cpu")
    text = run.options.read_text()
    assert "# after step 3: train.steps = 3 became 5\n" in text
    assert "# after step 5: train.steps = 5 became 7\n" in text
    outcome = train.replay(run.folder, tmp_path, device="cpu")
    assert (outcome.folder.name, outcome.steps) == ("a-again", 7)
    again, once = last(tmp_path, "a-again"), last(tmp_path, "a")
    assert differences(again, once) == []
    # A run of seven steps from the start has another schedule.
    begun(facades, tmp_path, "train.steps=7", "train.validate_every_steps=1", name="planned")
    assert differences(last(tmp_path, "planned")["model"], once["model"])


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="ends a whole group of processes")
def test_a_run_that_is_killed_again_and_again_ends_as_if_it_had_not_been(
    facades: Path, tmp_path: Path
) -> None:
    arguments = ["--model", "pix2pix", "--dataroot", str(facades), "--size", "16"]
    arguments += ["--batch-size", "2", "--device", "cpu", "--workers", "0", "--steps", "150"]
    for setting in (
        *("generator.width=2", "generator.downs=2", "discriminator.width=2"),
        *("discriminator.layers=1", "train.ema_decay=0.9", "train.validate_every_steps=20"),
        *("train.save_every_steps=10", "train.log_every_steps=5", "train.validation_share=1"),
    ):
        arguments += ["--set", setting]
    leave_alone(arguments, tmp_path, "whole")
    happened = torture(arguments, tmp_path, "killed", kills=6, longest=0.9, seed=5)
    assert happened[0].startswith("SIGKILL")
    assert differences(last(tmp_path, "whole"), last(tmp_path, "killed")) == []
