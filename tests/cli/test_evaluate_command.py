import json
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result
from PIL import Image

from i2i.cli.evaluate import command
from i2i.errors import DataError, OptionsError
from i2i.evaluation import folders, runs
from i2i.training import session as train
from shrunk import shrunk


@pytest.fixture(autouse=True)
def quick(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No network connection, and classifiers that learn for a moment."""
    monkeypatch.setattr(torch.hub, "_hub_dir", str(tmp_path / "hub"))
    monkeypatch.setattr("socket.getaddrinfo", _unreachable)
    monkeypatch.setattr(folders, "CLASSIFIER_STEPS", 5)
    monkeypatch.setattr(folders, "CLASSIFIER_BATCH", 8)


def _unreachable(*arguments: object, **more: object) -> None:
    raise OSError("no network in a test")


def invoke(*arguments: object) -> Result:
    return CliRunner().invoke(command, [str(argument) for argument in arguments])


def noisy(source: Path, target: Path, *, scale: float = 20.0) -> Path:
    """A copy of a folder of images with noise, as PNG."""
    generator = np.random.default_rng(0)
    for path in sorted(source.rglob("*.png")):
        pixels = np.asarray(Image.open(path)).astype(float)
        pixels += generator.normal(scale=scale, size=pixels.shape)
        to = target / path.relative_to(source)
        to.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(to)
    return target


def run_of(recipe: str, dataroot: Path, folder: Path, *settings: str) -> Path:
    options = shrunk(recipe, f"data.root={dataroot}", *settings)
    train.start(options, folder.parent, folder.name, device="cpu")
    return folder


def figures(file: Path) -> dict[str, dict[str, Any]]:
    """Comparison -> name of the figure -> the figure."""
    read = json.loads(file.read_text())
    return {
        each["name"]: {figure["name"]: figure for figure in each["figures"]}
        for each in read["comparisons"]
    }


def test_two_folders_with_partners(facades: Path, tmp_path: Path) -> None:
    truth, made = facades / "train", noisy(facades / "train", tmp_path / "made")
    out = tmp_path / "figures.json"
    result = invoke(
        made, truth, "--json", out, "--tensorboard", tmp_path / "board", "--out", tmp_path / "out",
        "--features", "efficientnet-lite0", "--worst", 2,
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    found = figures(out)[""]
    assert {"fid(efficientnet-lite0)", "kid(efficientnet-lite0)", "swd", "psnr", "ssim"} <= set(
        found
    )
    assert 15 < found["psnr"]["value"] < 30
    assert found["psnr"]["few"]  # for an interval
    assert len(json.loads(out.read_text())["comparisons"][0]["images"]) == 7
    # The table says the same; the warning, what is missing and the worst images are there.
    (line,) = [each for each in result.stdout.splitlines() if each.startswith("psnr ")]
    assert line.split()[1] == f"{found['psnr']['value']:.4f}"
    assert "Warning: fid(efficientnet-lite0): 7 images are fewer" in result.stdout
    assert "Not measured: domain-accuracy" in result.stdout
    assert "worst by ms-ssim(2 scales): " in result.stdout
    with Image.open(tmp_path / "out" / "worst.png") as sheet:
        assert sheet.width > 2 * 48
    assert scalars(tmp_path / "board")["evaluation/psnr"] == pytest.approx(found["psnr"]["value"])


def scalars(folder: Path) -> dict[str, float]:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder))
    events.Reload()
    return {name: events.Scalars(name)[-1].value for name in events.Tags()["scalars"]}


def test_domains_in_folders(domains: Path, tmp_path: Path) -> None:
    made, out = noisy(domains / "test", tmp_path / "made"), tmp_path / "figures.json"
    result = invoke(
        made, domains / "train", "--domains", "--measures", "swd,domain-accuracy", "--json", out
    )
    assert result.exit_code == 0, result.output
    found = figures(out)
    assert list(found) == ["blue", "green", "red"]
    for each in found.values():
        swd, accuracy = each
        assert swd == "swd"
        assert accuracy.startswith("domain-accuracy(classifier-")
        assert each[accuracy]["details"]["number of these"] == 3
    assert "on real ones" in result.stdout


def test_a_paired_run(facades: Path, tmp_path: Path) -> None:
    run = run_of("pix2pix", facades, tmp_path / "run")
    out = tmp_path / "figures.json"
    result = invoke(
        "--checkpoint", run, "--measures", "psnr,ssim,swd,generated-error", "--json", out
    )
    assert result.exit_code == 0, result.output
    found = figures(out)[""]
    assert set(found) == {"psnr", "ssim", "swd", "average-generated-error"}
    assert 0 < found["average-generated-error"]["value"] < 2
    assert found["swd"]["inputs"] > 0
    assert (run / "evaluation" / "worst.png").is_file()
    read = json.loads(out.read_text())
    assert read["step"] == 4
    assert read["dataroot"] == str(facades)
    # The log of the run has measured the same images with the same generator.
    log = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    logged = [line["validation/psnr"] for line in log if "validation/psnr" in line][-1]
    assert found["psnr"]["value"] == pytest.approx(logged, abs=0.05)  # of rounded images


def test_an_unpaired_run_elsewhere(unpaired: Path, tmp_path: Path) -> None:
    run = run_of("cyclegan", unpaired, tmp_path / "run")
    other = unpaired.rename(tmp_path / "moved")
    out = tmp_path / "figures.json"
    result = invoke(
        "--checkpoint", run, "--dataroot", other, "--json", out, "--count", 2,
        "--measures", "swd,domain-accuracy,generated-error",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    found = figures(out)
    assert list(found) == ["AtoB", "BtoA"]
    for each in found.values():
        swd, accuracy, error = each
        assert each[swd]["images"] == 2
        assert each[accuracy]["inputs"] is not None
        assert error == "average-generated-error"
    errors = [each["average-generated-error"]["value"] for each in found.values()]
    assert errors[0] != errors[1]


@pytest.mark.parametrize("asked", [("--csv", "each.csv"), ("--measures", "swd,psnr")])
def test_what_needs_truths_is_refused_before_anything_is_translated(
    unpaired: Path, tmp_path: Path, asked: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = run_of("cyclegan", unpaired, tmp_path / "run")
    for touched in ("open_source", "load_model"):
        monkeypatch.delattr(f"i2i.evaluation.runs.{touched}")
    result = invoke("--checkpoint", run, *asked)
    assert isinstance(result.exception, DataError)
    named = "--csv" if "--csv" in asked else "psnr"
    assert str(result.exception).startswith(f"{named} cannot be had of {run}")
    assert "the data of cyclegan does not have" in str(result.exception)


@pytest.mark.parametrize("direction", ["AtoB", "BtoA"])
def test_a_run_of_one_way_is_compared_with_what_it_leads_to(
    unpaired: Path, tmp_path: Path, direction: str
) -> None:
    run = run_of("cut", unpaired, tmp_path / "run", f"data.direction={direction}")
    out = tmp_path / "figures.json"
    result = invoke("--checkpoint", run, "--json", out, "--measures", "swd,generated-error")
    assert result.exit_code == 0, result.output
    found = figures(out)
    assert list(found) == [""]
    assert set(found[""]) == {"swd", "average-generated-error"}
    # Inputs are compared with what they should become: reddish images with bluish ones.
    assert found[""]["swd"]["inputs"] > 0.05


def test_a_run_of_domains(domains: Path, tmp_path: Path) -> None:
    run = run_of("stargan", domains, tmp_path / "run")
    out = tmp_path / "figures.json"
    result = invoke("--checkpoint", run, "--json", out, "--measures", "swd,domain-accuracy")
    assert result.exit_code == 0, result.output
    found = figures(out)
    assert list(found) == ["red", "green", "blue"]
    for each in found.values():
        # Two held-out images of each domain; the four others were translated.
        (accuracy,) = [figure for name, figure in each.items() if name.startswith("domain")]
        assert accuracy["images"] == 4
        assert accuracy["details"]["number of these"] == 6


def test_attributes_are_told_apart_one_by_one(domains: Path, tmp_path: Path) -> None:
    settings = ("data.table=list_attr_celeba.txt", 'data.attributes=["Male", "Young"]')
    run = run_of("stargan", domains, tmp_path / "run", *settings, "data.domains=[]")
    result = invoke("--checkpoint", run, "--measures", "domain-accuracy")
    assert result.exit_code == 0, result.output
    assert "Male\n----\n" in result.stdout


def test_scores_that_are_no_probabilities_are_not_measured(facades: Path, tmp_path: Path) -> None:
    run = run_of("pix2pix", facades, tmp_path / "run", "adversarial.loss=hinge")
    result = invoke("--checkpoint", run, "--measures", "generated-error")
    assert isinstance(result.exception, DataError)
    assert "'hinge' are no probabilities" in str(result.exception)


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["made"],
        ["made", "truth", "--checkpoint", "run"],
        ["made", "truth", "--dataroot", "x"],
        ["--checkpoint", "run", "--size", "64"],
        ["--checkpoint", "run", "--domains"],
    ],
)
def test_what_does_not_go_together_is_refused(arguments: list[str]) -> None:
    result = invoke(*arguments)
    assert result.exit_code == 2
    assert "goes with" in result.stderr or "two folders" in result.stderr


def test_impossible_wishes_are_refused_before_the_work(facades: Path, tmp_path: Path) -> None:
    made = noisy(facades / "train", tmp_path / "made")
    assert isinstance(invoke(made, facades, "--measures", "fit").exception, OptionsError)
    result = invoke(made, facades / "train", "--measures", "swd,generated-error")
    assert isinstance(result.exception, DataError)
    assert "it takes a run" in str(result.exception)
    assert isinstance(invoke(made, tmp_path / "nothing").exception, DataError)


def test_a_run_that_makes_images_from_noise(
    domains: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runs, "cached_classifier", partial(runs.cached_classifier, steps=5))
    run = run_of("cgan", domains, tmp_path / "run")
    result = invoke(
        *("--checkpoint", run, "--device", "cpu", "--features", "classifier"),
        *("--measures", "kid,swd-reference,domain-accuracy,generated-error"),
        *("--json", tmp_path / "figures.json"),
    )
    assert result.exit_code == 0, result.output
    found = figures(tmp_path / "figures.json")
    assert found.keys() == {"", "real"}
    kinds = {name: [each.split("(")[0] for each in of] for name, of in found.items()}
    expected = ["kid", "swd-reference", "domain-accuracy", "average-generated-error"]
    assert kinds[""] == expected
    assert kinds["real"] == expected[:3]  # which have no generator
    assert all(figure["images"] == 6 for of in found.values() for figure in of.values())
    assert next(iter(found[""])).startswith("kid(classifier-")


def test_the_weights_as_trained_are_those_of_every_measure(facades: Path, tmp_path: Path) -> None:
    run = run_of("pix2pix", facades, tmp_path / "run", "train.ema_decay=0.9")
    errors = []
    for number, flag in enumerate(("--raw", "--average")):
        out = tmp_path / f"{number}.json"
        result = invoke(
            "--checkpoint", run, flag, "--measures", "generated-error", "--json", out
        )  # fmt: skip
        assert result.exit_code == 0, result.output
        errors.append(figures(out)[""]["average-generated-error"]["value"])
    assert errors[0] != errors[1]


def test_each_process_finds_its_own_device(
    domains: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a process makes of "auto" ("cuda:1") is no device that several could be told."""
    run = run_of("dcgan", domains, tmp_path / "run")
    told: list[str] = []

    def loaded(*arguments: Any, device: str, **more: Any) -> Any:
        told.append(device)
        raise DataError("enough")

    monkeypatch.setattr(runs, "load_sampler", loaded)
    with pytest.raises(DataError, match="enough"):
        runs.run_comparisons(run, device="auto")
    assert told == ["auto"]


def test_values_of_each_image_and_what_is_missing(facades: Path, tmp_path: Path) -> None:
    made = noisy(facades / "train", tmp_path / "made")
    (made / "3.png").unlink()
    out = tmp_path / "deep" / "each.csv"
    result = invoke(made, facades / "train", "--measures", "psnr,ssim", "--csv", out)
    assert result.exit_code == 0, result.output
    lines = out.read_text().splitlines()
    assert lines[0] == "comparison,image,psnr,ssim"
    assert len(lines) == 1 + 6
    assert "Note: 1 of 7 truths have no result (3)." in result.stdout
    result = invoke(made, facades / "val", "--measures", "swd", "--csv", out, "--span", 5, 5)
    assert result.exit_code == 2
    assert "BLACK must be below WHITE" in result.stderr
