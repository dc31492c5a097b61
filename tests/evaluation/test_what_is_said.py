"""What evaluation tells a person beside the numbers, and what numbers it leaves out."""

import csv
import io
import json
import math
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from i2i.config.recipes import load_options
from i2i.data.images.content_hash import Member, content_hash
from i2i.errors import DataError
from i2i.evaluation.comparisons import Comparison
from i2i.evaluation.folders import folder_comparisons
from i2i.evaluation.images import TensorImages
from i2i.evaluation.measure import FEW, Tools, evaluate
from i2i.evaluation.report import table, to_csv, to_json
from i2i.evaluation.runs import run_comparisons
from i2i.evaluation.seen import seen_before
from i2i.metrics.bootstrap import mean_interval
from i2i.training import session


@pytest.fixture
def tools(tmp_path: Path) -> Tools:
    return Tools(tmp_path / "cache")


def pairs(count: int, equal: int = 0) -> Comparison:
    """Images and truths that differ by 1 of 255 in the first, 2 in the second; some in nothing."""
    truth = torch.full((count, 3, 16, 16), 100, dtype=torch.uint8)
    images = truth.clone()
    for number in range(equal, count):
        images[number] += number + 1
    names = [f"{number}" for number in range(count)]
    sets = TensorImages(images, names), TensorImages(truth, names)
    return Comparison("", *sets, pairs=[(n, n) for n in range(count)])


def decibels(difference: int) -> float:
    return 20 * math.log10(255 / difference)


def test_of_few_images_there_is_no_interval(tools: Tools) -> None:
    (few,) = evaluate(pairs(FEW - 1), tools, ["psnr"]).figures
    assert (few.low, few.high, few.few) == (None, None, True)
    assert few.value == pytest.approx(np.mean([decibels(n + 1) for n in range(FEW - 1)]), rel=1e-4)
    evaluation = evaluate(pairs(FEW), tools, ["psnr"])
    (enough,) = evaluation.figures
    expected = mean_interval([values["psnr"] for _, values in evaluation.images])
    assert (enough.low, enough.high) == (expected.low, expected.high)
    assert not enough.few
    assert "too few to say" in table(evaluate(pairs(1), tools, ["psnr"]))
    assert "too few to say" not in table(evaluation)


def test_images_equal_to_their_truth_are_left_out_and_counted(tools: Tools) -> None:
    evaluation = evaluate(pairs(5, equal=2), tools, ["psnr"])
    (figure,) = evaluation.figures
    assert figure.value == pytest.approx(np.mean([decibels(n) for n in (3, 4, 5)]), rel=1e-4)
    assert figure.images == 3
    assert figure.details == {"identical to their truth, left out": 2}
    assert "psnr: identical to their truth, left out: 2" in table(evaluation)
    read = json.loads(to_json([evaluation], {}))  # which has no infinity
    assert [each["psnr"] for each in read["comparisons"][0]["images"]][:2] == [None, None]
    assert read["comparisons"][0]["figures"][0]["better"] == "higher"
    assert evaluation.worst(1) == ("psnr", [4])
    (alone,) = evaluate(pairs(2, equal=2), tools, ["psnr"]).figures
    assert alone.value == math.inf


def test_values_of_each_pair_as_csv(tools: Tools) -> None:
    evaluations = [evaluate(pairs(3, equal=1), tools, names) for names in (["psnr"], ["ssim"])]
    rows = list(csv.DictReader(io.StringIO(to_csv(evaluations))))
    assert list(rows[0]) == ["comparison", "image", "psnr", "ssim"]
    assert [row["image"] for row in rows] == ["0", "1", "2"] * 2
    assert [float(row["psnr"]) for row in rows[:3]] == pytest.approx(
        [math.inf, decibels(2), decibels(3)], rel=1e-4
    )
    assert rows[0]["ssim"] == rows[3]["psnr"] == ""


def test_what_has_no_partner_is_counted_and_named(truth: Path, result: Path) -> None:
    (result / "night" / "5.bmp").unlink()
    (found,) = folder_comparisons(result, truth)
    assert list(found.notes) == [
        "1 of 6 truths have no result (night/5).",
        "1 of 6 results have no truth (other).",
    ]
    # Sets of which no two belong together are just sets.
    (apart,) = folder_comparisons(result / "day", truth / "night")
    assert not apart.notes


def grey(path: Path, value: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (16, 16), (value,) * 3).save(path)


def test_the_layout_of_the_authors_code_is_recognised(tmp_path: Path, tools: Tools) -> None:
    theirs, truth = tmp_path / "images", tmp_path / "truth"
    for number in range(3):
        for what, value in (("real_A", 10), ("fake_B", 110), ("real_B", 100)):
            grey(theirs / f"{number}_{what}.png", value)
        grey(truth / f"{number}.png", 105)
    (found,) = folder_comparisons(theirs, truth)
    assert found.generated.names == ["0", "1", "2"]
    assert "3 of 9 images, those that end in _fake_B, are the results" in found.notes[0]
    (figure,) = evaluate(found, tools, ["psnr"]).figures
    assert figure.value == pytest.approx(decibels(5), rel=1e-4)
    # Their own folder has the truth, too.
    (found,) = folder_comparisons(theirs, theirs)
    (figure,) = evaluate(found, tools, ["psnr"]).figures
    assert figure.value == pytest.approx(decibels(10), rel=1e-4)


def test_what_the_authors_code_makes_of_both_directions_is_not_mixed(tmp_path: Path) -> None:
    theirs = tmp_path / "images"
    for what in ("real_A", "fake_B", "rec_A", "real_B", "fake_A", "rec_B"):
        grey(theirs / f"1_{what}.png", 10)
    with pytest.raises(DataError, match="results of both directions"):
        folder_comparisons(theirs, theirs)
    only = tmp_path / "one way"
    for what in ("real", "fake"):  # of a model that translates alone
        grey(only / f"1_{what}.png", 10)
    with pytest.raises(DataError, match="name a folder of real images"):
        folder_comparisons(only, only)


def test_names_that_only_look_like_theirs_are_names(tmp_path: Path) -> None:
    grey(tmp_path / "a" / "1_fake.png", 10)
    grey(tmp_path / "b" / "1_fake.png", 10)
    (found,) = folder_comparisons(tmp_path / "a", tmp_path / "b")
    assert found.pairs == [(0, 0)]
    assert not found.notes


def deep(path: Path, values: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(values.astype(np.uint16)).save(path)


def test_measures_are_relative_to_the_range_of_the_data(tmp_path: Path, tools: Tools) -> None:
    """Twelve bits in files of sixteen: a constant image must not look like a good result."""
    generator = np.random.default_rng(0)
    truth, flat, near = (tmp_path / name for name in ("truth", "flat", "near"))
    errors = {"flat": [], "near": []}
    values = [generator.integers(0, 4096, (24, 24)) for _ in range(2)]
    values[0][0, 0], values[0][0, 1] = 0, 4095
    for number, each in enumerate(values):
        deep(truth / f"{number}.png", each)
        for name, made in (("flat", np.full_like(each, 2048)), ("near", np.maximum(each - 8, 0))):
            deep(tmp_path / name / f"{number}.png", made)
            errors[name].append(10 * np.log10(4095**2 / np.square(each - made).mean()))
    for folder in (flat, near):
        (found,) = folder_comparisons(folder, truth)
        psnr, ssim = evaluate(found, tools, ["psnr", "ssim"]).figures
        assert psnr.value == pytest.approx(np.mean(errors[folder.name]), rel=1e-4)
        assert "0 for black and 4095 for white" in found.notes[0]
        assert (ssim.value < 0.1) == (folder == flat)
    assert np.mean(errors["flat"]) < 11
    # What is declared counts.
    (found,) = folder_comparisons(near, truth, span=(0, 65535))
    (psnr,) = evaluate(found, tools, ["psnr"]).figures
    more = 20 * np.log10(65535 / 4095)
    assert psnr.value == pytest.approx(np.mean(errors["near"]) + more, rel=1e-4)
    # Images as bytes, for what looks at bytes, use the range as well.
    (found,) = folder_comparisons(near, truth, size=12)
    assert int(torch.cat(list(found.reference.batches())).max()) > 200


def test_images_to_train_on_are_compared_as_they_are(tmp_path: Path) -> None:
    # Of a recipe that mirrors them: mirrored, they would be other images than the held-out ones.
    generator = np.random.default_rng(0)
    for split in ("train", "val"):
        (tmp_path / "data" / split).mkdir(parents=True)
    for number in range(4):
        pixels = generator.integers(0, 256, (16, 16, 3), dtype=np.uint8)
        for split in ("train", "val"):
            Image.fromarray(pixels).save(tmp_path / "data" / split / f"{number}.png")
    settings = [f"data.root={tmp_path / 'data'}", "data.flip=true", "train.steps=1"]
    small = ["generator.width=2", "discriminator.width=2", "train.batch_size=2"]
    options = load_options("dcgan", *settings, *small, "data.look_for_copies=false", size=16)
    run = session.start(options, tmp_path / "runs", "a", device="cpu").folder
    for found in run_comparisons(run, device="cpu").comparisons:
        if found.name == "real":
            sets = (found.generated, found.reference)
            learnt, held = (torch.cat(list(images.batches())) for images in sets)
            assert sorted(learnt.flatten(1).tolist()) == sorted(held.flatten(1).tolist())
            return
    pytest.fail("no comparison of real images")


def test_images_that_were_trained_on_are_known_by_content(tmp_path: Path) -> None:
    run, elsewhere = tmp_path / "run", tmp_path / "elsewhere"
    run.mkdir()
    for number in range(3):
        grey(tmp_path / "data" / f"{number}.png", 50 * number)
    trained = [tmp_path / "data" / f"{number}.png" for number in (0, 1)]
    about = [{"name": path.name, "hash": content_hash(path)} for path in trained]
    text = json.dumps({"version": 1, "splits": {"train": about, "val": []}})
    elsewhere.mkdir()
    shutil.copy(tmp_path / "data" / "1.png", elsewhere / "another name.png")
    shutil.copy(tmp_path / "data" / "2.png", elsewhere / "0.png")
    held_out = [Member(path.name, content_hash(path)) for path in sorted(elsewhere.iterdir())]
    assert seen_before(run, held_out) == []  # nothing is known of an older run
    (run / "split.json").write_text(text)
    (said,) = seen_before(run, held_out)
    assert said.startswith("1 of 2 images were trained on (the same by content: another name.png)")
    assert seen_before(run, held_out[:1]) == []
    for broken in ("", "[]", "{}", '{"splits": {"train": [1]}}'):
        (run / "split.json").write_text(broken)
        assert seen_before(run, held_out) == []
