"""Whole runs on labelled images: what a checkpoint knows, and that a resumed run is the same."""

import pickle
import shutil
from pathlib import Path

import pytest
from test_train import assert_same_state

from i2i.config import Options
from i2i.config.recipes import load_options
from i2i.data.sources import open_source, resolve_options
from i2i.errors import DataError
from i2i.inference.about import describe_checkpoint
from i2i.inference.load import load_translator
from i2i.runs.checkpoint import load_checkpoint
from i2i.runs.folder import Run
from i2i.training import session as train
from shrunk import shrunk

FOUND = "data.domains=[]"


def on(root: Path, *settings: str) -> Options:
    return shrunk("stargan", f"data.root={root}", FOUND, *settings)


def with_a_table(root: Path) -> Options:
    return on(
        root,
        *("data.table=list_attr_celeba.txt", 'data.attributes=["Male", "Young"]'),
        f'data.more=[{{root="{root}"}}]',
        *(
            "data.balance=true",
            "train.steps=7",
            "train.save_every_steps=1",
            "train.keep_checkpoints=9",
        ),
    )


def test_the_checkpoint_knows_its_domains(domains: Path, tmp_path: Path) -> None:
    outcome = train.start(on(domains), tmp_path / "runs", "a", device="cpu")
    run = Run(outcome.folder)
    found = ("blue", "green", "red")
    assert load_options(str(run.folder / "options.toml")).data.domains == found
    assert load_checkpoint(run.latest())["options"]["data"]["domains"] == list(found)
    shutil.copytree(domains / "train" / "red", domains / "train" / "purple")
    resumed = train.resume(run.folder, {"train": {"steps": 6}}, device="cpu")
    assert resumed.steps == 6
    shutil.rmtree(domains)
    assert "domains:    blue, green, red" in describe_checkpoint(run.latest())
    translator, _ = load_translator(run.folder, device="cpu")
    assert translator.conditioner is not None
    assert translator.conditioner.labels.names == found


def test_several_data_sets_resume_from_another_folder(
    domains: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Roots and a table that were given from where the command ran."""
    monkeypatch.chdir(domains.parent)
    shutil.move(domains / "list_attr_celeba.txt", "mine.txt")
    settings = ("data.table=mine.txt", 'data.attributes=["Male", "Young"]', "train.steps=2")
    options = on(Path(domains.name), *settings, f'data.more=[{{root="{domains.name}"}}]')
    outcome = train.start(options, tmp_path / "runs", "a", device="cpu")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    longer = {"train": {"steps": 3}}
    assert train.resume(outcome.folder, longer, device="cpu").steps == 3


def test_several_data_sets_resume_exactly(domains: Path, tmp_path: Path) -> None:
    whole = train.start(with_a_table(domains), tmp_path, "whole", device="cpu")
    crashed = Run(tmp_path / "crashed")
    shutil.copytree(whole.folder, crashed.folder)
    for path in crashed.checkpoints():
        if path > crashed.checkpoint(3):
            path.unlink()
    train.resume(crashed.folder, device="cpu")
    one, other = (load_checkpoint(Run(f).latest()) for f in (whole.folder, crashed.folder))
    assert one["step"] == 7
    assert_same_state(one, other)
    about = describe_checkpoint(crashed.latest())
    assert "attributes: Male, Young" in about
    assert "domains:    blue, green, red" in about


def test_workers_get_the_same_data_set(domains: Path) -> None:
    options = resolve_options(with_a_table(domains), "domains")
    source = open_source(options, "domains")
    again = pickle.loads(pickle.dumps(source.train))
    for position in range(40):
        for one, other in zip(source.train[position], again[position], strict=True):
            assert one.equal(other)


def test_what_cannot_start_leaves_no_folder(domains: Path, tmp_path: Path) -> None:
    for path in (domains / "train" / "green").iterdir():
        path.unlink()
    with pytest.raises(DataError, match=r"no image in '.*green'"):
        train.start(on(domains), tmp_path / "runs", "a", device="cpu")
    assert not (tmp_path / "runs").exists()
