import json
import os
import shlex
from pathlib import Path

import pytest
import torch

from i2i.errors import CheckpointError, OptionsError, RunError
from i2i.runs.folder import (
    Run,
    create_run,
    environment,
    find_checkpoint,
    open_run,
    refuse_existing,
)


def make(folder: Path, *steps: int, age: float = 0) -> Run:
    run = Run(folder)
    create_run(run, {})
    for step in steps:
        path = run.checkpoint(step)
        path.write_bytes(b"")
        os.utime(path, (1e9 + step - age, 1e9 + step - age))
    return run


def test_newest_run_and_newest_checkpoint_are_found(tmp_path: Path) -> None:
    old = make(tmp_path / "runs" / "b-old", 10, 20, age=1000)
    new = make(tmp_path / "runs" / "a-new", 9, 1000)
    path, why = find_checkpoint(None, tmp_path / "runs")
    assert path == new.checkpoint(1000)
    assert "newest run" in why
    assert str(path) in why
    assert find_checkpoint(old.folder, tmp_path)[0] == old.checkpoint(20)
    assert find_checkpoint(old.checkpoint(10), tmp_path)[0] == old.checkpoint(10)


def test_nothing_to_find(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no run with a checkpoint under"):
        find_checkpoint(None, tmp_path)
    with pytest.raises(CheckpointError, match="neither a run folder nor"):
        find_checkpoint(tmp_path / "nothing", tmp_path)
    run = make(tmp_path / "empty")
    with pytest.raises(RunError, match="no checkpoint yet"):
        find_checkpoint(run.folder, tmp_path)


def test_folder_that_is_no_run(tmp_path: Path) -> None:
    make(tmp_path / "facades-1")
    with pytest.raises(RunError, match="Did you mean 'facades-1'"):
        open_run(tmp_path / "facade-1")
    (tmp_path / "images").mkdir()
    with pytest.raises(RunError, match="no checkpoints/"):
        open_run(tmp_path / "images")


def test_existing_run_is_refused(tmp_path: Path) -> None:
    refuse_existing(tmp_path / "new")
    run = make(tmp_path / "old", 5)
    with pytest.raises(RunError, match=r"i2i train --resume .*old"):
        refuse_existing(run.folder)
    dead = make(tmp_path / "dead")
    with pytest.raises(RunError, match="no checkpoint to resume, so remove it"):
        refuse_existing(dead.folder)
    with pytest.raises(RunError, match="somebody else just now"):
        create_run(dead, {})
    (tmp_path / "file").touch()
    with pytest.raises(RunError, match="is a file"):
        refuse_existing(tmp_path / "file")
    with pytest.raises(RunError, match="cannot be made"):
        create_run(Run(tmp_path / "file" / "run"), {})


def test_only_the_newest_are_kept(tmp_path: Path) -> None:
    run = make(tmp_path / "run", 5, 10, 100, 20)
    run.best.write_bytes(b"")
    run.prune(lambda steps: steps[-2:])
    assert run.checkpoints() == [run.checkpoint(20), run.checkpoint(100)]
    assert run.best.exists()


def test_files_left_by_a_killed_process_are_removed(tmp_path: Path) -> None:
    run = make(tmp_path / "run", 5)
    partial = run.best.with_name(".best.pt.partial")
    partial.touch()
    run.prune(lambda steps: steps[-1:])
    assert not partial.exists()
    assert run.checkpoints() == [run.checkpoint(5)]


def test_log_after_a_step_is_forgotten_also_half_a_line(tmp_path: Path) -> None:
    run = make(tmp_path / "run")
    run.forget_after(3)  # without a log there is nothing to do
    lines = [json.dumps({"step": step, "x": 1.0}) for step in (1, 2, 3, 4)]
    damaged = "\0\0\0\n" + '{"no": "step"}\n'  # as after a power cut
    run.log.write_text("\n".join(lines) + "\n" + damaged + '{"step": 2, "x"')
    run.forget_after(2)
    assert [json.loads(line)["step"] for line in run.log.read_text().splitlines()] == [1, 2]


def test_environment_names_the_versions() -> None:
    about = environment(torch.device("cpu"))
    assert about["packages"]["torch"] == torch.__version__.split("+")[0]
    assert json.loads(json.dumps(about)) == about


def test_commands_that_are_named_can_be_pasted(tmp_path: Path) -> None:
    folder = tmp_path / "my runs" / "it's one"
    (folder / "checkpoints").mkdir(parents=True)
    Run(folder).checkpoint(5).touch()
    with pytest.raises(RunError) as refused:
        refuse_existing(folder)
    command = str(refused.value).partition("`")[2].rpartition("`")[0]
    assert shlex.split(command) == ["i2i", "train", "--resume", str(folder)]
    # Of an import the name is no flag.
    assert "--name" not in str(refused.value)


def test_the_best_is_chosen_afterwards_by_any_measure(tmp_path: Path) -> None:
    run = make(tmp_path / "run", 10, 20, 30)
    rows = [
        {"step": 5, "validation/psnr": 99.0},  # of which there is no checkpoint any more
        {"step": 10, "validation/psnr": 20.0, "validation/l1": 0.1},
        {"step": 20, "validation/psnr": 22.0, "validation/l1": 0.3},
        {"step": 30, "generator/l1": 0.0},
    ]
    run.log.write_text("".join(json.dumps(row) + "\n" for row in rows))
    path, why = find_checkpoint(run.folder, tmp_path, best="psnr")
    assert path == run.checkpoint(20)
    assert "the best of 2 by psnr, 22 in validation" in why
    assert find_checkpoint(run.folder, tmp_path, best="l1")[0] == run.checkpoint(10)
    assert find_checkpoint(run.folder, tmp_path, best="l1:higher")[0] == run.checkpoint(20)
    with pytest.raises(CheckpointError, match=r"have not measured 'ssim'.*They have: l1, psnr"):
        find_checkpoint(run.folder, tmp_path, best="ssim")
    with pytest.raises(OptionsError, match="is no measure that i2i knows"):
        find_checkpoint(run.folder, tmp_path, best="psrn")
    for step in (10, 20):
        run.checkpoint(step).unlink()
    with pytest.raises(CheckpointError, match=r"train with train\.keep=all"):
        find_checkpoint(run.folder, tmp_path, best="psnr")
