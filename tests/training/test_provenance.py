"""What a figure can be traced back to."""

import json
import subprocess
import time
from pathlib import Path

import pytest
import torch

from i2i.runs import provenance
from i2i.runs.provenance import RESOURCES, Resources, code_state, sessions
from i2i.training import session as train
from shrunk import shrunk


def git(folder: Path, *words: str) -> str:
    who = ["-c", "user.name=a", "-c", "user.email=a@b"]
    return subprocess.run(
        ["git", "-C", str(folder), *who, *words], check=True, capture_output=True, text=True
    ).stdout.strip()


def test_the_state_of_code(tmp_path: Path) -> None:
    assert code_state(tmp_path) is None
    git(tmp_path, "init", "-q")
    (tmp_path / "a.py").write_text("1")
    assert code_state(tmp_path) is None  # of which the repository knows nothing
    git(tmp_path, "add", "a.py")
    git(tmp_path, "commit", "-q", "-m", "x")
    commit = git(tmp_path, "rev-parse", "HEAD")
    assert code_state(tmp_path) == {"commit": commit, "changed": False}
    (tmp_path / "a.py").write_text("2")
    assert code_state(tmp_path) == {"commit": commit, "changed": True}
    other = tmp_path / "venv"
    other.mkdir()
    assert code_state(other) is None


def test_what_a_session_takes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    meter = tmp_path / "powercap" / "intel-rapl:0"
    meter.mkdir(parents=True)
    (meter / "energy_uj").write_text("9000000")
    (meter / "max_energy_range_uj").write_text("10000000")
    (meter.with_name("intel-rapl:0:0")).mkdir()
    monkeypatch.setattr(provenance, "_RAPL", meter.parent)
    used = Resources(tmp_path, torch.device("cpu"), 3)
    end = time.process_time() + 0.2
    while time.process_time() < end:
        pass
    (meter / "energy_uj").write_text("2000000")  # it has begun anew
    used.write(5, {"processes": 2})
    (session,) = sessions(tmp_path)
    assert (session["from step"], session["to step"], session["processes"]) == (3, 5, 2)
    assert 0.15 <= session["cpu seconds"] < 5  # system and user time are counted in ticks
    assert session["energy of the processor 0, J"] == 3.0
    Resources(tmp_path, torch.device("cpu"), 5).write(6, {})
    assert [each["to step"] for each in sessions(tmp_path)] == [5, 6]
    (tmp_path / RESOURCES).write_text("{")
    assert sessions(tmp_path) == []


def test_a_run_keeps_all_of_it(facades: Path, tmp_path: Path) -> None:
    options = shrunk("pix2pix", f"data.root={facades}")
    outcome = train.start(options, tmp_path, "a", device="cpu", tags=["paper"], note="first")
    about = json.loads((outcome.folder / "environment.json").read_text())
    assert (about["tags"], about["note"]) == (["paper"], "first")
    assert about["images"] == {"train": 7, "val": 3, "test": 0}
    assert len(about["data"]) == 32
    (session,) = sessions(outcome.folder)
    assert (session["from step"], session["to step"]) == (0, 4)
    longer = train.resume(outcome.folder, "train.steps=6", device="cpu", tags=["more"])
    assert json.loads((longer.folder / "environment-00000004.json").read_text())["tags"] == ["more"]
    assert [each["to step"] for each in sessions(outcome.folder)] == [4, 6]


def test_the_page_of_hparams_is_filled(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_file_loader import EventFileLoader
    from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

    from i2i.runs.trackers.tensorboard import TensorBoard

    tracker = TensorBoard(tmp_path, 0)
    tracker.options({"objective.l1": 50.0, "train.steps": None, "model": "pix2pix"})
    tracker.scalars(1, {"generator/l1": 0.5})
    tracker.scalars(2, {"validation/psnr": 20.0, "validation/l1": 0.1})
    tracker.close()
    (file,) = tmp_path.glob("events.out.tfevents.*")
    told = [
        HParamsPluginData.FromString(value.metadata.plugin_data.content)
        for event in EventFileLoader(str(file)).Load()
        for value in event.summary.value
        if value.metadata.plugin_data.plugin_name == "hparams"
    ]
    (experiment,) = [each.experiment for each in told if each.HasField("experiment")]
    names = {info.name.tag for info in experiment.metric_infos}
    assert names == {"validation/psnr", "validation/l1"}
    (start,) = [each.session_start_info for each in told if each.HasField("session_start_info")]
    assert start.hparams["objective.l1"].number_value == 50
    assert start.hparams["model"].string_value == "pix2pix"
