import os
import pickle
from pathlib import Path

import pytest
import torch

from i2i.errors import CheckpointError
from i2i.runs.checkpoint import VERSION, load_checkpoint, save_checkpoint


def test_what_was_saved_comes_back(tmp_path: Path) -> None:
    path = tmp_path / "a.pt"
    save_checkpoint(path, {"step": 3, "tensor": torch.arange(5)})
    state = load_checkpoint(path)
    assert state["step"] == 3
    assert torch.equal(state["tensor"], torch.arange(5))
    assert [p.name for p in tmp_path.iterdir()] == ["a.pt"]


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.99])
def test_truncated_file_gets_a_clear_error(tmp_path: Path, share: float) -> None:
    path = tmp_path / "a.pt"
    save_checkpoint(path, {"tensor": torch.randn(1000)})
    os.truncate(path, int(path.stat().st_size * share))
    with pytest.raises(CheckpointError, match=r"a\.pt is truncated or no checkpoint"):
        load_checkpoint(path)


def test_damage_in_the_middle_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "a.pt"
    save_checkpoint(path, {"tensor": torch.randn(1000)})
    data = bytearray(path.read_bytes())
    data[80:120] = bytes(40)
    path.write_bytes(data)
    with pytest.raises(CheckpointError):
        load_checkpoint(path)


def test_foreign_weights_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "net.pth"
    torch.save({"model.1.weight": torch.zeros(3)}, path)
    with pytest.raises(CheckpointError, match="no checkpoint of i2i"):
        load_checkpoint(path)


class Evil:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (os.environ["EVIL"],)


def test_loading_never_executes_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trap = tmp_path / "executed"
    monkeypatch.setenv("EVIL", str(trap))
    path = tmp_path / "evil.pt"
    torch.save({"format": "i2i checkpoint", "version": 1, "x": Evil()}, path)
    with pytest.raises(CheckpointError):
        load_checkpoint(path)
    path.write_bytes(pickle.dumps(Evil()))
    with pytest.raises(CheckpointError):
        load_checkpoint(path)
    assert not trap.exists()


def test_newer_version_and_missing_file(tmp_path: Path) -> None:
    path = tmp_path / "a.pt"
    save_checkpoint(path, {"version": VERSION + 1})
    with pytest.raises(CheckpointError, match="install a newer i2i"):
        load_checkpoint(path)
    with pytest.raises(CheckpointError, match="is no file"):
        load_checkpoint(tmp_path / "b.pt")


def test_failed_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.pt"
    save_checkpoint(path, {"step": 1})

    def full(*arguments: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(CheckpointError, match="No space left"):
        save_checkpoint(path, {"step": 2})
    assert load_checkpoint(path)["step"] == 1
    assert [p.name for p in tmp_path.iterdir()] == ["a.pt"]
