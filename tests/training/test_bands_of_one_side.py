"""Models of one side, of many domains and of images from noise, on bands of 12 bits: trained,
resumed, used and measured with all of them."""

from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
from commands import complaint, invoke
from PIL import Image

from i2i.data.images.arrays import read_array
from i2i.errors import OptionsError
from i2i.inference.load import load_model, load_sampler, load_translator
from i2i.training import session as train
from shrunk import shrunk

RANDOM = np.random.default_rng(0)
BANDS = 5
SETTINGS = (f"data.A.channels={BANDS}", "data.A.show=[5, 2, 1]", "data.crop_size=16",
            "data.load_size=16", "train.validation_images=4")  # fmt: skip
FROM_NOISE = ("dcgan", "wgan-gp", "stylegan2", "r3gan-quick", "progan", "sagan", "infogan", "gan")


@pytest.fixture(scope="module")
def fields(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two kinds of images of five bands of 12 bits, of which one is brighter in the last band."""
    root = tmp_path_factory.mktemp("fields")
    for split, count in (("train", 4), ("val", 2)):
        for kind, brighter in (("dry", 0), ("wet", 1000)):
            (root / split / kind).mkdir(parents=True)
            for number in range(count):
                bands = RANDOM.integers(1, 3000, (16, 16, BANDS), dtype=np.uint16)
                bands[:, :, -1] += np.uint16(brighter)
                bands[0, 0] = 0
                bands[0, 1] = 4095
                path = root / split / kind / f"{number}.tif"
                tifffile.imwrite(path, bands, photometric="minisblack", planarconfig="contig")
    return root


def trained(recipe: str, root: Path, folder: Path, *settings: str) -> Path:
    names = "data.domains=['dry', 'wet']"
    options = shrunk(recipe, *SETTINGS, names, f'data.root="{root}"', *settings)
    return train.start(options, folder, recipe, device="cpu").folder


@pytest.mark.parametrize("recipe", FROM_NOISE)
def test_images_from_noise_have_all_bands_and_their_range(
    recipe: str, fields: Path, tmp_path: Path
) -> None:
    run = trained(recipe, fields, tmp_path)
    sampler = load_sampler(run, device="cpu")
    assert sampler.sides.scales[1] is not None
    assert sampler.sides.scales[1].ranges == ((0, 4095),)
    images = sampler([1, 2])
    assert (tuple(images.shape), images.dtype) == ((2, BANDS, 16, 16), torch.uint16)
    values = sampler.values(images)
    wanted = np.rint(images.movedim(1, -1).numpy() / 65535 * 4095)
    np.testing.assert_array_equal(values, wanted)
    with Image.open(next((run / "samples").glob("*.png"))) as sheet:
        assert sheet.mode == "RGB"


def test_samples_are_files_of_bands(fields: Path, tmp_path: Path) -> None:
    run = trained("dcgan", fields, tmp_path)
    values = load_sampler(run, device="cpu")
    invoke("sample", tmp_path / "tif", "--checkpoint", run, "--count", 3)
    made = read_array(tmp_path / "tif/000002.tif").values
    assert (made.shape, made.dtype) == ((16, 16, BANDS), np.uint16)
    np.testing.assert_array_equal(made, values.values(values([2]))[0])
    with Image.open(tmp_path / "tif/sheet.png") as sheet:
        assert sheet.mode == "RGB"
    invoke("sample", tmp_path / "npy", "--checkpoint", run, "--count", 3, "--format", "npy")
    np.testing.assert_array_equal(np.load(tmp_path / "npy/000002.npy"), made)
    said = complaint("sample", tmp_path / "png", "--checkpoint", run, "--format", "png")
    assert "cannot hold 5 bands of uint16: take tif or npy" in said
    assert not (tmp_path / "png").exists()
    invoke("sample", tmp_path / "way", "--checkpoint", run, "--interpolate", 1, 2, "--frames", 3)
    np.testing.assert_array_equal(read_array(tmp_path / "way/frame-0002.tif").values, made)
    with Image.open(tmp_path / "way/animation.webp") as moving:
        assert moving.n_frames == 4


@pytest.mark.parametrize("recipe", ["stargan", "dcgan"])
def test_a_run_on_bands_goes_on_as_if_it_had_not_stopped(
    recipe: str, fields: Path, tmp_path: Path
) -> None:
    whole = trained(recipe, fields, tmp_path / "a", "schedule.name=constant")
    part = trained(recipe, fields, tmp_path / "b", "schedule.name=constant", "train.steps=2")
    train.resume(part, "train.steps=4", device="cpu")
    one, other = (load_model(run)[1].state_dict() for run in (whole, part))
    assert one.keys() == other.keys()
    for name, values in one.items():
        assert torch.equal(values, other[name]), name


@pytest.mark.parametrize("recipe", ["stargan", "stargan-v2-quick"])
def test_domains_of_bands(recipe: str, fields: Path, tmp_path: Path) -> None:
    run = trained(recipe, fields, tmp_path)
    source = fields / "val"
    invoke("translate", source, tmp_path / "out", "--checkpoint", run, "--domain", "wet", "--sheet")
    made = read_array(tmp_path / "out/dry/1.tif").values
    assert (made.shape, made.dtype) == ((16, 16, BANDS), np.uint16)
    translator = load_translator(run, device="cpu", domain="wet")
    again = translator(source / "dry/1.tif")  # alone, so that sums are rounded in another way
    np.testing.assert_allclose(again.astype(int), made.astype(int), atol=1)
    with Image.open(tmp_path / "out/sheet.png") as sheet:
        assert sheet.mode == "RGB"


@pytest.mark.parametrize("recipe", ["stargan", "dcgan"])
def test_evaluation_of_bands(
    recipe: str, fields: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("i2i.evaluation.folders.CLASSIFIER_STEPS", 2)
    run = trained(recipe, fields, tmp_path, "train.classifier_steps=2")
    told = invoke("evaluate", "--checkpoint", run, "--measures", "swd,domain-accuracy")
    assert told.exit_code == 0, (told.output, told.exception)
    assert "swd" in told.output
    if recipe == "stargan":  # which is judged in the training, too
        assert "domain_accuracy" in (run / "log.jsonl").read_text()


def test_a_style_is_taken_of_a_file_of_bands(fields: Path, tmp_path: Path) -> None:
    run = trained("stargan-v2-quick", fields, tmp_path)
    source, reference = fields / "val/dry", fields / "val/wet/0.tif"
    told = invoke(
        "translate", source, tmp_path / "out", "--checkpoint", run, "--domain", "wet",
        "--reference", reference,
    )  # fmt: skip
    assert told.exit_code == 0, told.output
    assert read_array(tmp_path / "out/1.tif").values.shape == (16, 16, BANDS)


def test_exports_of_bands(fields: Path, tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    noise, domains = (trained(each, fields, tmp_path) for each in ("dcgan", "stargan"))
    invoke("export", noise, tmp_path / "noise", "--format", "onnx")
    assert (tmp_path / "noise/generator.onnx").is_file()
    invoke("export", domains, tmp_path / "domains", "--format", "onnx")
    file = tmp_path / "domains/generator.onnx"
    source = fields / "val/dry/0.tif"
    in_torch = load_translator(domains, device="cpu", domain="wet")(source)
    exported = load_translator(file, domain="wet")(source)
    np.testing.assert_allclose(exported.astype(int), in_torch.astype(int), atol=2)


def test_what_cannot_be_said_of_one_side(fields: Path, tmp_path: Path) -> None:
    for setting, why in (
        ("data.B.channels=5", r"data\.B is for models of two sides.*say it in data\.A"),
        ("data.A.roots=['a', 'b']", "several inputs are for what is translated"),
        ("data.A={kind='labels', classes=2}", "is for models of two sides"),
    ):
        options = shrunk("dcgan", f'data.root="{fields}"', setting)
        with pytest.raises(OptionsError, match=why):
            train.start(options, tmp_path, device="cpu")
