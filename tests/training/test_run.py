import json
import os
from pathlib import Path

import pytest
import torch

from i2i.errors import CheckpointError, RunError
from i2i.training.run import (
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
    (tmp_path / "pictures").mkdir()
    with pytest.raises(RunError, match="no checkpoints/"):
        open_run(tmp_path / "pictures")


def test_existing_run_is_refused(tmp_path: Path) -> None:
    refuse_existing(tmp_path / "new")
    run = make(tmp_path / "old")
    with pytest.raises(RunError, match=r"i2i train --resume .*old"):
        refuse_existing(run.folder)


def test_only_the_newest_are_kept(tmp_path: Path) -> None:
    run = make(tmp_path / "run", 5, 10, 100, 20)
    run.best.write_bytes(b"")
    run.prune(keep=2)
    assert run.checkpoints() == [run.checkpoint(20), run.checkpoint(100)]
    assert run.best.exists()


def test_log_after_a_step_is_forgotten_also_half_a_line(tmp_path: Path) -> None:
    run = make(tmp_path / "run")
    run.forget_after(3)  # without a log there is nothing to do
    lines = [json.dumps({"step": step, "x": 1.0}) for step in (1, 2, 3, 4)]
    run.log.write_text("\n".join(lines) + '\n{"step": 2, "x"')
    run.forget_after(2)
    assert [json.loads(line)["step"] for line in run.log.read_text().splitlines()] == [1, 2]


def test_environment_names_the_versions() -> None:
    about = environment(torch.device("cpu"))
    assert about["packages"]["torch"] == torch.__version__.split("+")[0]
    assert json.loads(json.dumps(about)) == about
