"""Trackers of others, with their real packages and without a network; skipped where they are not
installed."""

import json
import sqlite3
import struct
from pathlib import Path
from typing import Any

import pytest
from commands import complaint
from listening import hearing

from i2i.config import Options
from i2i.config.recipes import load_options
from i2i.errors import OptionsError
from i2i.runs.trackers.outside import OutsideTracker
from i2i.training.monitor import find_trackers
from i2i.training.session import resume, start
from shrunk import shrunk


def run(tmp_path: Path, facades: Path, tracker: str) -> Path:
    """A run of two steps that was resumed for two more."""
    options: Options = load_options(
        shrunk("pix2pix"),
        f"data.root={facades}",
        f'train.trackers=["{tracker}"]',
        "train.track_checkpoints=true",
        "train.steps=2",
    )
    said: list[str] = []
    with hearing(said.append):
        folder = start(options, tmp_path / "runs", "tracked", device="cpu").folder
        resume(folder, "train.steps=4", device="cpu")
    assert not [line for line in said if "goes on without it" in line], said
    return folder


def records(content: bytes) -> list[bytes]:
    """Those of a file in the format of LevelDB's logs, after seven bytes of W&B's own."""
    found, at, block = [b""], 7, 2**15
    while at + 7 <= len(content):
        if block - at % block < 7:
            at += block - at % block
            continue
        length, kind = struct.unpack_from("<HB", content, at + 4)
        found[-1] += content[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4):  # whole, or the last part
            found.append(b"")
    return found[:-1]


@pytest.mark.filterwarnings("ignore")
def test_wandb_offline(tmp_path: Path, facades: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("WANDB_DATA_DIR", str(tmp_path / "data"))
    folder = run(tmp_path, facades, "wandb")
    (name,) = json.loads((folder / "trackers.json").read_text()).values()
    kept = sorted((folder / "wandb").glob("offline-run-*"))
    assert len(kept) == 2, "two parts ..."
    assert all(part.name.endswith(name) for part in kept), "... of one run"
    from wandb.proto import wandb_internal_pb2

    steps, images, artifacts = [], 0, 0
    for part in kept:
        for content in records(next(part.glob("*.wandb")).read_bytes()):
            record = wandb_internal_pb2.Record()
            record.ParseFromString(content)
            if record.HasField("history"):
                row: dict[str, Any] = {
                    item.key or ".".join(item.nested_key): json.loads(item.value_json)
                    for item in record.history.item
                }
                steps.append(row["step"])
                images += any("image-file" in item.value_json for item in record.history.item)
            artifacts += record.HasField("artifact") or record.request.HasField("log_artifact")
    assert {2, 4} <= set(steps)
    assert steps == sorted(steps)
    assert images
    assert artifacts


@pytest.mark.filterwarnings("ignore")
def test_mlflow_in_a_file(tmp_path: Path, facades: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mlflow = pytest.importorskip("mlflow")
    pytest.importorskip("sqlalchemy")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    folder = run(tmp_path, facades, "mlflow")
    client = mlflow.MlflowClient(f"sqlite:///{(tmp_path / 'runs' / 'mlflow.db').as_posix()}")
    experiment = client.get_experiment_by_name("i2i")
    (found,) = client.search_runs([experiment.experiment_id])
    assert found.info.run_name == "tracked"
    assert found.info.status == "FINISHED"
    assert found.data.params["generator.width"] == "2"
    assert found.data.params["data.root"] == facades.name, "nothing of this machine"
    logged = client.get_metric_history(found.info.run_id, "generator/l1")
    assert {metric.step for metric in logged} == {2, 4}
    kinds = {file.path for file in client.list_artifacts(found.info.run_id)}
    assert {"checkpoints", "options.md"} <= kinds
    last = (folder / "log.jsonl").read_text().splitlines()
    row = next(json.loads(line) for line in last if json.loads(line)["step"] == 4)
    assert logged[-1].value == pytest.approx(row["generator/l1"])


@pytest.mark.filterwarnings("ignore")
def test_trackio_on_this_machine(
    tmp_path: Path, facades: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trackio = pytest.importorskip("trackio")
    from trackio import sqlite_storage, utils

    for module in (trackio, sqlite_storage, utils):
        if hasattr(module, "TRACKIO_DIR"):
            monkeypatch.setattr(module, "TRACKIO_DIR", tmp_path / "trackio")
    (tmp_path / "trackio").mkdir()
    run(tmp_path, facades, "trackio")
    with sqlite3.connect(next((tmp_path / "trackio").glob("i2i*.db"))) as base:
        rows = base.execute("select run_name, step, metrics from metrics order by id").fetchall()
    assert {name for name, _, _ in rows} == {"tracked"}
    steps = {step for _, step, metrics in rows if b"generator/l1" in metrics}
    assert {2, 4} <= steps


def test_one_that_is_not_installed_is_told_before_anything_is_done(facades: Path) -> None:
    class Missing(OutsideTracker):
        package = "surely_not_installed"
        distribution = "surely-not-installed"

    with pytest.raises(OptionsError, match="pip install surely-not-installed"):
        Missing.require()
    assert "wandb" in complaint(
        "train", "--model", "pix2pix", "--dataroot", facades, "--track", "x"
    )
    with pytest.raises(OptionsError, match="must be one of"):
        find_trackers(["x"])


def test_a_run_knows_its_name_when_it_goes_on_and_not_when_it_is_new(tmp_path: Path) -> None:
    class Some(OutsideTracker):
        package = distribution = "some"

    Some(tmp_path, 0).remember("abc")
    assert Some(tmp_path, 0).known_as() == ""
    assert Some(tmp_path, 2).known_as() == "abc"
    (tmp_path / "trackers.json").write_text("[")
    assert Some(tmp_path, 2).known_as() == ""
    some = Some(tmp_path, 2)
    assert not some.takes_checkpoints
    some.options({"train.track_checkpoints": True, "data.root": "/a/b", "model": "pix2pix"})
    assert some.takes_checkpoints
    assert some.told["data.root"] == "b", "nothing of this machine"
