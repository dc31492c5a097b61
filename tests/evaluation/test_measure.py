from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from i2i.errors import DataError, OptionsError
from i2i.evaluation.comparisons import Comparison, Judge
from i2i.evaluation.figures import MEASURES, Evaluation, Figure
from i2i.evaluation.folders import folder_comparisons
from i2i.evaluation.images import TensorImages
from i2i.evaluation.measure import Tools, evaluate
from i2i.metrics.classifier import train_classifier
from i2i.metrics.features import Pixels
from i2i.metrics.frechet import frechet_distance
from i2i.metrics.kernel import kernel_distance


def random_images(count: int, seed: int, size: int = 16) -> TensorImages:
    generator = torch.Generator().manual_seed(seed)
    images = torch.randint(0, 256, (count, 3, size, size), dtype=torch.uint8, generator=generator)
    return TensorImages(images, [str(number) for number in range(count)])


def by_name(evaluation: Evaluation) -> dict[str, Figure]:
    return {figure.name: figure for figure in evaluation.figures}


@pytest.fixture
def tools(tmp_path: Path) -> Tools:
    return Tools(tmp_path / "cache", Pixels(4))


def test_sets_are_compared_with_inputs_beside_them(tools: Tools) -> None:
    made, real, sources = random_images(30, 0), random_images(25, 1), random_images(30, 2)
    found = by_name(evaluate(Comparison("", made, real, sources=sources), tools))
    assert list(found) == [
        "fid(pixels-4)",
        "kid(pixels-4)",
        "precision(pixels-4)",
        "recall(pixels-4)",
        "swd",
        "swd-reference",
    ]
    pixels = Pixels(4)
    features = [pixels(each.images) for each in (made, real, sources)]
    fid = found["fid(pixels-4)"]
    assert fid.value == pytest.approx(frechet_distance(features[0], features[1]))
    assert fid.inputs == pytest.approx(frechet_distance(features[2], features[1]))
    assert fid.images == 25
    kid = found["kid(pixels-4)"]
    assert kid.value == pytest.approx(kernel_distance(features[0], features[1]).mean)
    assert kid.details["subset size"] == 25


def test_small_samples_are_warned_of(tools: Tools) -> None:
    evaluation = evaluate(Comparison("", random_images(30, 0), random_images(25, 1)), tools)
    (warning,) = evaluation.warnings
    assert warning.startswith("fid(pixels-4): 25 images are fewer than the 48 numbers")


def test_the_reference_is_described_once(tools: Tools) -> None:
    seen: list[int] = []

    class Counting(Pixels):
        def __call__(self, images: torch.Tensor) -> torch.Tensor:
            seen.append(len(images))
            return super().__call__(images)

    tools = replace(tools, features=Counting(4))
    comparison = Comparison("", random_images(10, 0), random_images(9, 1))
    evaluate(comparison, tools, ["fid", "kid"])
    assert sum(seen) == 19
    evaluate(comparison, tools, ["fid"])
    assert sum(seen) == 29
    evaluate(replace(comparison, reference=random_images(9, 2)), tools, ["fid"])
    assert sum(seen) == 48


def test_pairs_are_measured_one_by_one(tools: Tools, truth: Path, result: Path) -> None:
    (comparison,) = folder_comparisons(result, truth)
    assert len(comparison.pairs) == 6
    evaluation = evaluate(comparison, tools, ["psnr", "ssim", "ms-ssim"])
    psnr, ssim, ms_ssim = evaluation.figures
    assert ms_ssim.name == "ms-ssim(2 scales)"
    assert psnr.few  # for an interval
    assert psnr.low is psnr.high is None
    rows = dict(evaluation.images)
    assert set(rows) == {f"day/{n}" for n in range(3)} | {f"night/{n}" for n in range(3, 6)}
    expected = {}
    for number, partner in comparison.pairs:
        made = comparison.generated[number : number + 1].double().numpy()
        real = comparison.reference[partner : partner + 1].double().numpy()
        name = comparison.generated.names[number]
        expected[name] = 10 * np.log10(255**2 / ((made - real) ** 2).mean())
    assert {n: row["psnr"] for n, row in rows.items()} == pytest.approx(expected, rel=1e-4)
    assert psnr.value == pytest.approx(np.mean(list(expected.values())), rel=1e-4)
    assert ssim.better == "higher"
    by, worst = evaluation.worst(2)
    assert by == "ms-ssim(2 scales)"
    assert evaluation.images[worst[0]][0] == "night/4"
    assert len(worst) == 2


def test_pairs_of_two_sizes_are_refused_with_advice(tools: Tools) -> None:
    made, real = random_images(2, 0, 16), random_images(2, 1, 20)
    comparison = Comparison("", made, real, pairs=[(0, 0)])
    with pytest.raises(DataError, match="--size"):
        evaluate(comparison, tools, ["psnr"])
    evaluation = evaluate(comparison, tools, ["swd"])
    assert evaluation.figures[0].name == "swd(at 16)"


def test_a_classifier_judges_and_its_own_accuracy_stands_beside(tools: Tools) -> None:
    dark, light = (
        random_images(20, seed).images // 2 + shift for seed, shift in ((0, 0), (1, 120))
    )
    images, labels = torch.cat([dark, light]), torch.arange(2).repeat_interleave(20)
    classifier = train_classifier(images, labels, ["dark", "light"], steps=20, batch_size=16)
    made = TensorImages(torch.cat([light[:15], dark[:5]]), [str(n) for n in range(20)])
    comparison = Comparison(
        "light",
        made,
        TensorImages(light, made.names),
        sources=TensorImages(dark, made.names),
        judge=Judge(lambda: classifier, "light"),
    )
    (figure,) = evaluate(comparison, tools, ["domain-accuracy"]).figures
    assert figure.name == f"domain-accuracy(classifier-{classifier.digest})"
    assert figure.value == 0.75
    assert figure.inputs == 0.0
    assert figure.low is not None
    assert figure.low < 0.75
    assert figure.details == {"on real ones": 1.0, "number of these": 4}


def test_what_is_not_possible_is_said(tools: Tools) -> None:
    comparison = Comparison("", random_images(3, 0, 8), random_images(3, 1, 8))
    evaluation = evaluate(comparison, replace(tools, features=None, why="install something."))
    assert [figure.name for figure in evaluation.figures] == ["swd", "swd-reference"]
    reasons = dict(line.split(": ", 1) for line in evaluation.skipped)
    assert list(reasons) == [name for name in MEASURES if not name.startswith("swd")]
    assert reasons["fid"] == "install something."
    assert "no image has a partner" in reasons["psnr"]
    with pytest.raises(OptionsError, match="install something"):
        evaluate(comparison, replace(tools, features=None, why="install something."), ["kid"])
    with pytest.raises(DataError, match="neighbours"):
        evaluate(comparison, tools, ["precision-recall"])
    with pytest.raises(DataError, match="--checkpoint"):
        evaluate(comparison, tools, ["generated-error"])
    with pytest.raises(DataError, match="11 x 11"):
        evaluate(replace(comparison, pairs=[(0, 0)]), tools, ["ssim"])


def test_an_unknown_measure_is_refused_with_a_suggestion(tools: Tools) -> None:
    with pytest.raises(OptionsError, match="Did you mean 'psnr'"):
        evaluate(Comparison("", random_images(2, 0), random_images(2, 1)), tools, ["pnsr"])


def test_domains_are_the_sub_folders_of_both(truth: Path, result: Path) -> None:
    found = folder_comparisons(result, truth, domains=True)
    assert [each.name for each in found] == ["day", "night"]
    assert [len(each.generated) for each in found] == [3, 3]
    assert found[0].judge is not None
    assert found[0].judge.wanted == "day"
    with pytest.raises(DataError, match="there are: none"):
        folder_comparisons(result / "day", truth / "day", domains=True)


def test_count_and_size_are_heard(truth: Path, result: Path) -> None:
    (found,) = folder_comparisons(result, truth, count=3, size=16)
    assert found.generated.names == ["day/0", "day/2", "night/4"]
    assert found.reference.names == found.generated.names
    assert found.pairs == [(0, 0), (1, 1), (2, 2)]
    assert found.reference[0:1].shape == (1, 3, 16, 16)
    (apart,) = folder_comparisons(result / "day", truth / "night", count=2)
    assert apart.reference.names == ["3", "4"]
    assert not apart.pairs


def test_partners_are_found_whatever_else_is_there(truth: Path, result: Path) -> None:
    (found,) = folder_comparisons(result, truth)
    assert len(found.generated) == 7
    names = [(found.generated.names[n], found.reference.names[m]) for n, m in found.pairs]
    assert len(names) == 6
    assert all(one == other for one, other in names)
    # Of two with the same name nobody knows which is meant.
    (result / "day" / "0.png").symlink_to(result / "day" / "0.bmp")
    (found,) = folder_comparisons(result, truth)
    assert len(found.generated) == 8
    assert len(found.pairs) == 5
