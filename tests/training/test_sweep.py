"""Many runs from one file: the same ones in the same order, gone on with where they stopped."""

import math
from pathlib import Path
from typing import Any

import pytest
from commands import complaint, invoke

from i2i.config.sweep import read_sweep
from i2i.errors import OptionsError
from i2i.training import sweep as module
from i2i.training.sweep import options_of, trials
from shrunk import shrunk

GRID = """
name = "loss"
recipe = "pix2pix-quick"
size = 64
[set]
train.steps = 2
[variants.plain]
[variants."no L1"]
objective.l1 = 0
[vary]
train.seed = [0, 1]
optimizer.learning_rate = [1e-3, 1e-4]
"""


def sweep_of(tmp_path: Path, text: str) -> Any:
    path = tmp_path / "sweep.toml"
    path.write_text(text)
    return read_sweep(path)


def test_a_grid_has_every_combination_and_seeds_come_last(tmp_path: Path) -> None:
    sweep = sweep_of(tmp_path, GRID)
    found = trials(sweep)
    assert len(found) == 8
    assert [trial.settings["train.seed"] for trial in found] == [0] * 4 + [1] * 4
    assert found[0].name == "loss-plain-learning_rate-0.001-seed-0"
    assert found[2].name == "loss-no_L1-learning_rate-0.001-seed-0"
    assert found == trials(sweep)
    options = options_of(sweep, found[-1])
    assert options.objective["l1"] == 0
    assert options.optimizer.learning_rate == 1e-4
    assert (options.train.seed, options.train.steps, options.data.crop_size) == (1, 2, 64)


def test_what_is_drawn_is_drawn_again(tmp_path: Path) -> None:
    text = """
name = "r"
recipe = "pix2pix-quick"
method = "random"
trials = 40
[vary]
objective.l1 = { low = 1, high = 100, log = true }
game.n_critic = { low = 1, high = 3, integer = true }
adversarial.loss = ["vanilla", "hinge"]
"""
    sweep = sweep_of(tmp_path, text)
    found = trials(sweep)
    assert found == trials(sweep)
    weights = [trial.settings["objective.l1"] for trial in found]
    assert all(1 <= weight <= 100 for weight in weights)
    below_ten = sum(math.log10(weight) < 1 for weight in weights)
    assert 8 < below_ten < 32
    assert {trial.settings["game.n_critic"] for trial in found} == {1, 2, 3}
    assert {trial.settings["adversarial.loss"] for trial in found} == {"vanilla", "hinge"}
    assert trials(sweep.model_copy(update={"trials": 20})) == found[:20]
    assert trials(sweep.model_copy(update={"seed": 1})) != found


def test_what_is_no_sweep(tmp_path: Path) -> None:
    head = 'name = "a"\nrecipe = "pix2pix-quick"\n'
    for text, why in (
        (head, "nothing is varied"),
        (head + "[vary]\ntrain.seed = {low = 0, high = 3}", "must be a list of values"),
        (head + 'method = "random"\n[vary]\ntrain.seed = [1]', "trials are missing"),
        (head + "trials = 3\n[vary]\ntrain.seed = [1]", "not for the method grid"),
        (head + "[vary]\nx = {low = 3, high = 2}", "must be below high"),
        (head + "[vary]\nx = {low = 0, high = 2, log = true}", "must be above 0"),
        (head + "[vary]\ntrain.seed = []", "at least 1 item"),
        (head + "[vary]\ntrain.seed = 3", r"vary.train.seed \(=3\): must be a list of values, or"),
        (
            head + "[vary]\nx = {low = 'a', high = 2}",
            r"vary.x.low \(='a'\): input should be a valid",
        ),
        (head + "[varry]\nx = [1]", "varry is no option. Did you mean 'vary'"),
        (head + "[train]\nsteps = 3\n[vary]\nx = [1]", r"into \[set\] \(train.steps = ...\)"),
        ('name = "a/b"\nrecipe = "x"\n[vary]\na = [1]', "'a/b'. may have letters, digits"),
        ("x = 1", "recipe is missing"),
    ):
        with pytest.raises(OptionsError, match=why):
            sweep_of(tmp_path, text)
    with pytest.raises(OptionsError, match="are the same"):
        trials(sweep_of(tmp_path, head + "[vary]\ntrain.seed = [1, 1]"))


def test_what_would_be_trained_twice_is_said_before(tmp_path: Path) -> None:
    head = 'name = "s"\nrecipe = "pix2pix-quick"\n'
    path = tmp_path / "twice.toml"
    path.write_text(head + "[variants.plain]\n[variants.mistaken]\nobjective.l2 = 0\n")
    why = complaint("sweep", path, "--runs-dir", tmp_path / "runs")
    assert "s-plain and s-mistaken would be the same training" in why
    assert "objective.l2 = 0" in why
    assert not (tmp_path / "runs").exists()
    path.write_text(head + "[variants.plain]\n[variants.meant]\nobjective.l1 = 0\n")
    assert invoke("sweep", path, "--list").exit_code == 0


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch, facades: Path) -> None:
    """Runs that take a second."""

    def options(sweep: Any, trial: Any) -> Any:
        told = {"data.root": str(facades), "data.workers": 0, **trial.settings}
        settings = [f"{name}={value}" for name, value in told.items()]
        return shrunk("pix2pix", "train.save_every_steps=1", *settings)

    monkeypatch.setattr(module, "options_of", options)


def test_a_sweep_goes_on_and_ends_in_a_table(
    small: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "s.toml"
    path.write_text(
        'name = "s"\nrecipe = "pix2pix-quick"\n[vary]\nobjective.l1 = [1, 2]\ntrain.seed = [0, 1]\n'
    )
    runs = tmp_path / "runs"
    listed = invoke("sweep", path, "--list", "--runs-dir", runs)
    assert [line.split()[:2] for line in listed.output.splitlines()] == [
        [str(n), f"s-l1-{w}-seed-{s}"] for n, (s, w) in enumerate([(0, 1), (0, 2), (1, 1), (1, 2)])
    ]
    assert not runs.exists()
    one = invoke("sweep", path, "--index", 2, "--runs-dir", runs, "--device", "cpu")
    assert one.exit_code == 0, one.output
    assert [each.name for each in runs.iterdir()] == ["s-l1-1-seed-1"]
    everything = invoke("sweep", path, "--runs-dir", runs, "--device", "cpu")
    assert everything.exit_code == 0, everything.output
    assert f"finished already: {runs / 's-l1-1-seed-1'} has done" in everything.output
    assert len([each for each in runs.iterdir() if each.is_dir()]) == 4
    assert "objective.l1=2" in (runs / "s.csv").read_text()
    assert "psnr" in everything.output
    assert "the sweep has 4 runs, from 0 to 3" in complaint("sweep", path, "--index", 4)


def test_a_run_that_fails_does_not_end_a_sweep(
    tmp_path: Path, small: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "s.toml"
    path.write_text(
        'name = "s"\nrecipe = "pix2pix-quick"\n[vary]\noptimizer.learning_rate = [1e30, 1e-4]\n'
    )
    result = invoke("sweep", path, "--runs-dir", tmp_path / "runs", "--device", "cpu")
    assert result.exit_code == 1
    assert "1 of 2 runs failed: s-learning_rate-1e_30" in result.output.replace("1e+30", "1e_30")


def test_optuna_goes_on_where_it_was(
    small: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("optuna")
    sweep = sweep_of(
        tmp_path,
        'name = "o"\nrecipe = "pix2pix-quick"\nmethod = "optuna"\ntrials = 2\n'
        "[vary]\nobjective.l1 = {low = 1, high = 100, log = true}\ntrain.seed = [3, 4]\n",
    )
    runs = tmp_path / "runs"
    first = next(iter(module.optimise(sweep, runs, device="cpu")))
    assert first[0].name == "o-000"
    rest = list(module.optimise(sweep, runs, device="cpu"))
    assert [trial.name for trial, _ in rest] == ["o-001"]
    assert list(module.optimise(sweep, runs, device="cpu")) == []
    assert rest[0][0].settings["train.seed"] in (3, 4)
