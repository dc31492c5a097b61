"""The benchmark's figures agree with each other and with arithmetic."""

import json
from pathlib import Path

import forks
import pytest

SCRIPT = Path(__file__).parent.parent.parent / "scripts" / "benchmark.py"

TWICE = """
from i2i.training.build import build_trainer


def step_of(options, device):
    trainer = build_trainer(options, device=device)

    def step(batch):
        for _ in range(3):
            trainer.step(batch)

    return step
"""


@pytest.mark.slow
def test_figures_of_a_small_model(tmp_path: Path) -> None:
    (tmp_path / "theirs.py").write_text(TWICE)
    arguments = ["--device", "cpu", "--models", "wgan", "--modes", "fp32", "--turns", "9"]
    arguments += ["--size", "16", "--width", "8", "--json", str(tmp_path / "out.json")]
    arguments += ["--other", f"{tmp_path / 'theirs.py'}:step_of"]
    done = forks.run(SCRIPT, *arguments)
    assert done.returncode == 0, done.stderr
    told = json.loads((tmp_path / "out.json").read_text())
    (row,) = told["rows"]
    assert (row["size"], row["batch_size"]) == (16, 8)
    assert row["steps_per_second"] == pytest.approx(1 / row["seconds_per_step"])
    assert row["images_per_second"] == pytest.approx(8 * row["steps_per_second"])
    # The second implementation does three steps for one.
    assert 0.15 < row["over_second_implementation"] < 0.7
    arithmetic = max(row["matrix_product_per_second"], row["convolution_per_second"])
    ideal = row["operations_per_step"] / arithmetic
    assert row["share_of_arithmetic"] == pytest.approx(ideal / row["seconds_per_step"])
    # Memory traffic can only make the ceiling lower, so that the share of it is higher.
    assert row["share_of_arithmetic"] < row["share_of_counted_work"] < 1
    assert told["machine"]["command"][1:] == arguments
    assert "| wgan | fp32 | 16 | 8 |" in done.stdout


@pytest.mark.slow
def test_one_that_cannot_be_measured_leaves_the_others(tmp_path: Path) -> None:
    target = tmp_path / "out.json"
    arguments = ["--device", "cpu", "--models", "wgan", "--modes", "no,fp32", "--turns", "1"]
    arguments += ["--size", "16", "--width", "4", "--json", str(target)]
    done = forks.run(SCRIPT, *arguments)
    assert done.returncode == 1
    assert "could not be measured: wgan no" in done.stderr
    assert "--modes (=no) are fp32" in done.stderr
    assert len(json.loads(target.read_text())["rows"]) == 1
