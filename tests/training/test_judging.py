"""What a run is judged by: settled at its start, measured at each validation."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from i2i.config import Options
from i2i.config.recipes import load_options
from i2i.core.signals import parse_monitor
from i2i.errors import CheckpointError, OptionsError
from i2i.inference.about import describe_checkpoint
from i2i.inference.load import load_translator
from i2i.metrics.distance import Distance, kernel, sliced_wasserstein
from i2i.metrics.kernel import kernel_distance
from i2i.runs.checkpoint import load_checkpoint
from i2i.runs.folder import Run, find_checkpoint
from i2i.runs.health import Verdict
from i2i.training import session as train
from i2i.training.selection import resolve_monitor
from i2i.training.validation import Validation
from shrunk import shrunk


def rows(folder: Path) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    return [row for row in lines if any(name.startswith("validation/") for name in row)]


def on(root: Path, recipe: str, *settings: str) -> Options:
    return shrunk(recipe, f"data.root={root}", *settings)


@pytest.mark.parametrize(
    ("recipe", "settings", "expected"),
    [
        ("pix2pix", (), ("l1", "lower")),
        ("pix2pix", ("train.monitor=psnr",), ("psnr", "higher")),
        ("cyclegan", (), ("swd-reference", "lower")),
        ("cyclegan", ("train.distance=off",), None),
        ("dcgan", ("train.distance=efficientnet-lite0",), ("kid(efficientnet-lite0)", "lower")),
        ("stargan", ('data.domains=["a", "b"]',), ("domain_accuracy", "higher")),
        # Attributes are beyond the classifier.
        ("stargan", ('data.attributes=["a", "b"]', "data.table=t"), ("swd-reference", "lower")),
        ("dcgan", ("train.monitor=none",), None),
    ],
)
def test_which_measure_decides(
    recipe: str, settings: tuple[str, ...], expected: tuple[str, str] | None
) -> None:
    settled = resolve_monitor(load_options(recipe, *settings), "cpu")
    assert settled.train.monitored == expected
    assert resolve_monitor(settled, "cpu") == settled
    assert parse_monitor(settled.train.monitor) == expected


def test_distances_of_known_sets() -> None:
    generator = torch.Generator().manual_seed(0)
    real = torch.randint(0, 256, (12, 3, 32, 32), dtype=torch.uint8, generator=generator)
    dark = real // 2

    class Mean:
        name, dimension = "mean", 3

        def __call__(self, images: torch.Tensor) -> torch.Tensor:
            return images.float().mean(dim=(2, 3)) / 255

    for distance in (sliced_wasserstein(), kernel(Mean())):
        same, other = distance.between(real, real), distance.between(dark, real)
        assert same < other
    assert sliced_wasserstein().between(real, real) == 0
    # Darkness is seen, unlike by the published normalisation.
    assert sliced_wasserstein().between(dark, real) > 0.1
    expected = kernel_distance(Mean()(dark), Mean()(real)).mean
    assert kernel(Mean()).between(dark, real) == expected
    assert kernel(Mean()).name == "kid(mean)"


def test_features_of_a_set_that_is_gone_are_not_those_of_another() -> None:
    """A tensor that is freed leaves its place, and its `id`, to the next."""

    class Mean:
        name, dimension = "mean", 3

        def __call__(self, images: torch.Tensor) -> torch.Tensor:
            return images.float().mean(dim=(2, 3)) / 255

    made, distance = torch.full((8, 3, 4, 4), 7, dtype=torch.uint8), kernel(Mean())
    for number in range(20):
        reference = torch.full((8, 3, 4, 4), 10 * number, dtype=torch.uint8)
        expected = kernel_distance(Mean()(made), Mean()(reference)).mean
        assert distance.between(made, reference) == expected
        del reference


def test_an_unpaired_run_is_judged_for_each_direction(
    unpaired: Path, tmp_path: Path, said: list[str]
) -> None:
    outcome = train.start(on(unpaired, "cyclegan"), tmp_path, "a", device="cpu")
    row = rows(outcome.folder)[-1]
    directions = [row[f"validation/swd-reference_{way}"] for way in ("AtoB", "BtoA")]
    assert row["validation/swd-reference"] == pytest.approx(sum(directions) / 2)
    for name in ("copy", "colour", "colour_shift"):
        assert {f"validation/health/{name}_{way}" for way in ("AtoB", "BtoA")} <= row.keys()
    assert row.keys() >= {f"validation/discriminators/score_real_{side}" for side in "AB"}
    best = min(each["validation/swd-reference"] for each in rows(outcome.folder))
    state = load_checkpoint(Run(outcome.folder).best)
    assert state["best"] == pytest.approx(best)
    assert any(f"best validation swd-reference {best:.4g}" in line for line in said)
    assert "best:       swd-reference" in describe_checkpoint(Run(outcome.folder).latest())


def test_domain_accuracy_by_a_classifier_of_the_real_domains(
    domains: Path, tmp_path: Path, said: list[str]
) -> None:
    options = on(domains, "stargan", "train.classifier_steps=60")
    outcome = train.start(options, tmp_path, "a", device="cpu")
    (line,) = (line for line in said if "a classifier of the domains is right on" in line)
    assert "of 6 held-out real images" in line
    for row in rows(outcome.folder):
        assert 0 <= row["validation/domain_accuracy"] <= 1
    state = load_checkpoint(Run(outcome.folder).best)
    assert state["decisive"] == ["domain_accuracy", "higher"]


def test_the_last_line_finds_no_flaw_that_health_did_not_judge(
    domains: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: list[str]
) -> None:
    """A fresh network shows dots: told of a run of some steps, below "not judged", it puzzles."""
    monkeypatch.setattr("i2i.training.checkpoints.flaws", lambda *_: ["periodic pattern"])
    options = on(domains, "stargan", "train.classifier_steps=20")
    outcome = train.start(options, tmp_path, "a", device="cpu")
    assert said[-1].startswith("done: ")
    assert "periodic pattern" not in said[-1]
    assert any("not judged: " in line and "periodic pattern" in line for line in said)
    assert load_checkpoint(Run(outcome.folder).best)["best_flaws"] == ["periodic pattern"]
    monkeypatch.setattr("i2i.training.running.WARM_UP", outcome.steps)
    train.start(options, tmp_path, "b", device="cpu")
    assert "though its outputs show: periodic pattern" in said[-1]


def test_a_run_ends_when_it_gets_no_better(
    facades: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: list[str]
) -> None:
    worse = iter(range(100))
    measure = Validation.measure
    monkeypatch.setattr(
        Validation, "measure", lambda self, t: measure(self, t) | {"l1": float(next(worse))}
    )
    options = on(
        facades, "pix2pix", "train.steps=40", "train.patience=3", "train.save_every_steps=40"
    )
    outcome = train.start(options, tmp_path, "a", device="cpu")
    assert (outcome.steps, outcome.exit_code) == (8, 0)  # best at step 2, then 4, 6, 8
    assert any("no better validation in 3" in line for line in said)
    assert said[-1].startswith("done: 8 steps")
    assert [p.name for p in Run(outcome.folder).checkpoints()] == ["step-00000008.pt"]
    assert load_checkpoint(Run(outcome.folder).best)["step"] == 2
    # It can be resumed with more patience.
    changes = {"train.patience": 5}
    assert train.resume(outcome.folder, changes, device="cpu").steps == 12
    said.clear()
    again = train.resume(outcome.folder, "train.patience=6", device="cpu")
    assert again.steps == 14
    explained = "mean absolute difference from the truth (0..2; lower is better)"
    assert f"best validation l1 0, {explained}" in said[-1]


def test_too_dear_validations_are_left_out_but_for_the_first_and_the_last(
    facades: Path, tmp_path: Path
) -> None:
    options = on(facades, "pix2pix", "train.steps=12", "train.validation_share=1e-6")
    outcome = train.start(options, tmp_path, "a", device="cpu")
    assert [row["step"] for row in rows(outcome.folder)] == [2, 12]


def test_validation_changes_nothing(domains: Path, tmp_path: Path) -> None:
    """Not even the running statistics of a discriminator that judges held-out images."""
    states = []
    for every in (1, 4):
        options = on(domains, "cgan", f"train.validate_every_steps={every}")
        outcome = train.start(options, tmp_path, f"{every}", device="cpu")
        states.append(load_checkpoint(Run(outcome.folder).latest())["model"])
    for name, value in states[0].items():
        assert torch.equal(value, states[1][name]), name


def test_which_checkpoint_is_taken_and_why(facades: Path, tmp_path: Path) -> None:
    outcome = train.start(on(facades, "pix2pix"), tmp_path, "a", device="cpu")
    run = Run(outcome.folder)
    last, why = find_checkpoint(run.folder, tmp_path)
    assert "--best" not in why
    last, why = find_checkpoint(run.folder, tmp_path, best=False)
    assert last == run.latest()
    assert "the last of the run; --best takes that with the best validation" in why
    best, why = find_checkpoint(None, tmp_path, best=True)
    assert best == run.best
    assert "the best validation of the newest run" in why
    _, why = load_translator(run.folder, device="cpu", best=True)
    assert "best.pt" in why
    with pytest.raises(CheckpointError, match="is one checkpoint: leave out --best"):
        find_checkpoint(run.best, tmp_path, best=True)
    run.best.unlink()
    with pytest.raises(CheckpointError, match=r"has no best\.pt.*Leave out --best"):
        find_checkpoint(run.folder, tmp_path, best=True)


def test_verdicts_are_said_once_written_down_and_summed_up(
    facades: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: list[str]
) -> None:
    verdict = Verdict("no progress", "", 2, 4, "It stands still.", "Try more.", {"l1": 1.0})
    monkeypatch.setattr("i2i.training.health_watch.verdicts", lambda rows, **_: [verdict])
    outcome = train.start(on(facades, "pix2pix"), tmp_path, "a", device="cpu")
    expected = "health: no progress since step 2: It stands still. Try more."
    assert said.count(expected) == 2  # when it was first seen, and in the end
    (written,) = json.loads((outcome.folder / "health.json").read_text())
    assert (written["kind"], written["evidence"]) == ("no progress", {"l1": 1.0})


def test_a_generator_that_makes_one_image_is_seen_in_the_log(domains: Path, tmp_path: Path) -> None:
    """Whole runs made to fail are in tests/training/test_health.py; here the signal itself."""
    options = on(domains, "dcgan", "generator.init_gain=1e-9", "optimizer.learning_rate=1e-12")
    outcome = train.start(options, tmp_path, "a", device="cpu")
    assert rows(outcome.folder)[-1]["validation/health/diversity"] < 0.01


def test_images_are_compared_in_their_own_colours(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    for split, count in (("train", 6), ("test", 4)):
        for name in ("a", "b"):
            folder = tmp_path / "grey" / split / name
            folder.mkdir(parents=True)
            for number in range(count):
                pixels = generator.integers(0, 256, (20, 20), dtype=np.uint8)
                Image.fromarray(pixels).save(folder / f"{number}.png")
    options = on(tmp_path / "grey", "dcgan-mnist", "data.domains=[]")
    outcome = train.start(options, tmp_path, "a", device="cpu")
    assert np.isfinite(rows(outcome.folder)[-1]["validation/swd-reference"])
    assert isinstance(sliced_wasserstein(), Distance)


def test_what_cannot_decide_is_said_before_the_first_step(facades: Path, tmp_path: Path) -> None:
    options = on(facades, "pix2pix", "train.monitor=psnrr")
    with pytest.raises(OptionsError, match=r"monitor \(='psnrr'\).*Did you mean 'psnr'"):
        train.start(options, tmp_path, "a", device="cpu")
    assert not (tmp_path / "a").exists()
    options = on(facades, "pix2pix", "train.monitor=none", "train.patience=3")
    with pytest.raises(OptionsError, match=r"train\.patience \(=3\) needs a measure"):
        train.start(options, tmp_path, "a", device="cpu")


def test_a_last_image_is_not_validated_alone(domains: Path, tmp_path: Path) -> None:
    """Batch norm in the head of an InfoGAN's discriminator could make no statistics of it."""
    for number in range(3):
        shutil.copy(domains / "test" / "red" / "0.png", domains / "test" / "red" / f"x{number}.png")
    options = on(domains, "infogan")  # 9 images, in batches of 8
    outcome = train.start(options, tmp_path, "nine", device="cpu")
    assert len(rows(outcome.folder)) == 2
    for name in ("green", "blue"):
        shutil.rmtree(domains / "test" / name)
    for path in sorted((domains / "test" / "red").iterdir())[1:]:
        path.unlink()
    outcome = train.start(options, tmp_path, "one", device="cpu")
    assert len(rows(outcome.folder)) == 2
