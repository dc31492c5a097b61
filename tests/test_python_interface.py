"""What a notebook does: train, go on, evaluate and use, in one call each."""

import math
from pathlib import Path

import pytest
from PIL import Image

import i2i

TINY = {
    "size": 16,
    "batch_size": 2,
    "workers": 0,
    "generator": {"width": 2},
    "discriminator": {"width": 2},
}


def test_train_resume_evaluate_and_use(facades: Path, tmp_path: Path, said: list[str]) -> None:
    outcome = i2i.train(
        "pix2pix",
        "objective.l1=7",
        dataroot=facades,
        runs_dir=tmp_path / "runs",
        name="mine",
        steps=2,
        device="cpu",
        train={"save_every_steps": 1},
        **TINY,
    )
    assert outcome == i2i.Outcome(tmp_path / "runs" / "mine", 2, 0)
    assert said
    again = i2i.resume(outcome.folder, {"steps": 3}, device="cpu")
    assert (again.folder, again.steps, again.exit_code) == (outcome.folder, 3, 0)
    options, model, _ = i2i.load_model(outcome.folder)
    assert (options.objective["l1"], options.train.batch_size, options.data.crop_size) == (7, 2, 16)

    (evaluation,) = i2i.evaluate_run(outcome.folder, measures=["psnr", "ssim"], device="cpu")
    assert evaluation.values.keys() == {"psnr", "ssim"}
    translator = i2i.build_translator(options, model)
    report = i2i.translate_folder(translator, facades / "val", tmp_path / "out")
    assert report.translated == 3


def test_settings_by_name_are_those_of_the_recipe(monkeypatch: pytest.MonkeyPatch) -> None:
    taken = []
    monkeypatch.setattr("i2i.training.train.start", lambda options, *a, **k: taken.append(options))
    by_name = {"steps": 5, "seed": 3, "direction": "BtoA", "objective": {"l1": 9}}
    i2i.train("pix2pix", dataroot="demo", size=64, **by_name)
    same = ["train.steps=5", "train.seed=3", "data.direction=BtoA", "objective.l1=9"]
    expected = i2i.load_options("pix2pix", *same, size=64, dataroot="demo")
    assert taken == [expected]
    i2i.train(expected, objective={"l1": 10})
    assert taken[1] == i2i.load_options(expected, "objective.l1=10")
    with pytest.raises(i2i.I2iError, match=r"btach_size is no argument .*mean 'batch_size'"):
        i2i.train("pix2pix", dataroot="demo", btach_size=4)
    with pytest.raises(i2i.I2iError, match=r"metric is no argument of i2i.train.*mean 'metrics'"):
        i2i.train("pix2pix", dataroot="demo", metric=[max])
    with pytest.raises(i2i.I2iError, match="optimiser is no option"):
        i2i.train("pix2pix", dataroot="demo", optimiser={"learning_rate": 1e-3})
    with pytest.raises(i2i.I2iError, match="dataroot is missing"):
        i2i.train("pix2pix")


def test_two_folders_are_measured(tmp_path: Path) -> None:
    """Black beside a grey of 51/255: the mean squared error is a 25th, PSNR 10 log10 25."""
    for folder, value in (("made", 0), ("true", 51)):
        (tmp_path / folder).mkdir()
        Image.new("RGB", (16, 16), (value,) * 3).save(tmp_path / folder / "one.png")
    (evaluation,) = i2i.evaluate_folders(
        tmp_path / "made", tmp_path / "true", measures=["psnr"], device="cpu"
    )
    assert evaluation.values["psnr"] == pytest.approx(10 * math.log10(25), rel=1e-4)
    with pytest.raises(i2i.I2iError, match=r"'psnrr' is no measure\. Did you mean 'psnr'"):
        i2i.evaluate_folders(tmp_path / "made", tmp_path / "true", measures=["psnrr"])


def test_models_are_listed_with_a_line_each() -> None:
    models = i2i.list_models()
    assert {"pix2pix", "cyclegan", "stargan", "dcgan"} <= models.keys()
    assert all(models.values())
