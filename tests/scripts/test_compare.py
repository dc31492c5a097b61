"""Trainings with several values of an option, over seeds."""

import json
import math
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from typing import Any

import forks
import pytest

SCRIPT = Path(__file__).parent.parent.parent / "scripts" / "compare.py"


@pytest.fixture(scope="module")
def compare() -> Any:
    spec = spec_from_loader("compare", SourceFileLoader("compare", str(SCRIPT)))
    assert spec is not None
    module = module_from_spec(spec)
    assert spec.loader is not None
    spec.loader.exec_module(module)
    return module


def test_differences_are_in_common_deviations(compare: Any) -> None:
    found = {"fp32": [{"l1": 1.0}, {"l1": 3.0}], "bf16": [{"l1": 4.0}, {"l1": 6.0}]}
    row = compare.row_of("l1", found)
    assert row["mean"] == {"fp32": 2.0, "bf16": 5.0}
    assert row["deviation"] == pytest.approx({"fp32": math.sqrt(2), "bf16": math.sqrt(2)})
    difference = row["difference"]["bf16"]
    assert difference["deviations"] == pytest.approx(3 / math.sqrt(2))
    # t = 3 / sqrt(2/2 + 2/2) with 2 degrees of freedom, whose distribution has a closed form.
    t = 3 / math.sqrt(2)
    assert difference["probability"] == pytest.approx(1 - t / math.sqrt(2 + t**2))


def test_the_table_says_what_could_not_be_seen(compare: Any) -> None:
    # A difference of that many deviations is just where p is 5 %: with two of each, t has 2 degrees
    # of freedom, and p = 1 - t / sqrt(2 + t^2) with t = d here.
    d = compare.visible(2)
    assert 1 - d / math.sqrt(2 + d**2) == pytest.approx(0.05)
    found = {"a": [{"l1": 1.0}, {"l1": 3.0}], "b": [{"l1": 0.98}, {"l1": 3.0}]}
    lines = compare.table("key", ["a", "b"], [compare.row_of("l1", found)], 2)
    assert lines[2] == "| l1 | 2 ± 1.4 | 1.99 ± 1.4 | +0.0 (1.00) |"
    assert lines[3:] == [
        "",
        "With 2 seeds of each, only differences of about 4.3 deviations or more would show.",
    ]


@pytest.mark.slow
def test_it_trains_each_value_with_each_seed_once(tmp_path: Path) -> None:
    arguments = ["train.precision=fp32,bf16", "--recipe", "pix2pix-quick", "--dataroot", "demo"]
    arguments += ["--seeds", "2", "--steps", "2", "--device", "cpu", "--folder", str(tmp_path)]
    arguments += ["--set", "data.workers=0", "--set", "generator.width=4"]
    arguments += ["--set", "discriminator.width=4", "--set", "train.validation_images=4"]
    arguments += ["--json", str(tmp_path / "out.json")]
    done = forks.run(SCRIPT, *arguments)
    assert done.returncode == 0, done.stderr
    told = json.loads((tmp_path / "out.json").read_text())
    assert [len(runs) for runs in told["runs"].values()] == [2, 2]
    measures = {row["measure"]: row for row in told["measures"]}
    assert {"l1", "psnr", "ssim"} <= measures.keys()
    assert not any(name.startswith(("discriminator", "health")) for name in measures)
    assert len({run["l1"] for runs in told["runs"].values() for run in runs}) == 4
    again = forks.run(SCRIPT, *arguments)
    assert again.stdout == done.stdout
    assert "training" not in again.stderr
