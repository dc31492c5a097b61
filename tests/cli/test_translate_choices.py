"""How far, how many, by which checkpoint, to what: what `i2i translate` lets a person choose."""

import io
import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from commands import complaint, invoke
from PIL import Image

from i2i import cli
from i2i.inference.load import load_translator
from i2i.training import session as train
from shrunk import shrunk


@pytest.fixture
def run(facades: Path, tmp_path: Path) -> Path:
    """A run with dropout, and all of its checkpoints."""
    deep = ("data.load_size=64", "data.crop_size=64", "generator.downs=6")  # which has dropout
    options = shrunk("pix2pix", f"data.root={facades}", "train.keep=all", *deep)
    return train.start(options, tmp_path / "runs", "a", device="cpu").folder


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    generator = np.random.default_rng(0)
    for number in range(3):
        pixels = generator.integers(0, 256, (16, 16, 3), dtype=np.uint8)
        exif = Image.Exif()
        exif[0x0110] = "a camera"
        exif[0x0112] = 1
        path = folder / f"{number}.png"
        Image.fromarray(pixels).save(path, exif=exif)
        os.utime(path, (1e9, 1e9 + number))
    return folder


def pixels(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB")).astype(int)


def test_half_way_between_an_image_and_its_translation(
    run: Path, photos: Path, tmp_path: Path
) -> None:
    for strength in (0, 0.5, 1):
        out = tmp_path / str(strength)
        result = invoke("translate", photos, out, "--run", run, "--strength", strength)
        assert result.exit_code == 0, result.output
        said = f"strength {strength:g}: results are mixed with their inputs"
        assert (said in result.output) == (strength < 1)
    before, half, after = (
        pixels(folder / "1.png") for folder in (photos, tmp_path / "0.5", tmp_path / "1")
    )
    assert np.array_equal(pixels(tmp_path / "0" / "1.png"), before)
    assert abs(half - (before + after) / 2).max() <= 1
    assert abs(before - after).mean() > 5
    assert "must be between 0 and 1" in complaint(
        "translate", photos, tmp_path / "x", "--run", run, "--strength", 2
    )


def test_the_label_lies_between(domains: Path, tmp_path: Path) -> None:
    options = shrunk("stargan", f"data.root={domains}", "data.domains=[]")
    folder = train.start(options, tmp_path, "a", device="cpu").folder
    translator = load_translator(folder, device="cpu", strength=0.25)
    assert translator.conditioner is not None
    assert "of the labels" in translator.strength_said
    images = torch.zeros(1, 3, 16, 16)
    labels = torch.tensor([[0.0, 1.0, 0.0]])
    names = translator.conditioner.labels.names
    told = translator.conditioner(images, names[2], labels)
    assert told.tolist() == [[0, 0.75, 0.25]]
    table = tmp_path / "wanted.csv"
    table.write_text(f"file,domain\ntest/red/0.png,{names[0]}\nblue/1,{names[1]}\n")
    out = tmp_path / "out"
    result = invoke("translate", domains, out, "--run", folder, "--domain-table", table, "--json")
    assert result.exit_code == 0, result.output
    report = json.loads(result.output)
    # blue/1 fits an image of each split
    assert (report["translated"], report["failed"]) == (3, [])
    translator = load_translator(folder, device="cpu")
    made = translator(str(domains / "test" / "red" / "0.png"), domain=names[0])
    assert np.array_equal(np.asarray(made), pixels(out / "test" / "red" / "0.png"))
    whole = domains / "test" / "red" / "0.png"  # with the signs of other spreadsheets
    table.write_text(f"domain; file\n{names[0]}; {whole}\n", encoding="utf-16")
    again = tmp_path / "again"
    result = invoke("translate", domains, again, "--run", folder, "--domain-table", table)
    assert result.exit_code == 0, result.output
    assert [each.name for each in again.rglob("*.png")] == ["0.png"]
    table.write_text("image,domain\n0.png,red\n")
    assert "must have the columns file and domain, not: image, domain" in complaint(
        "translate", domains, tmp_path / "x", "--run", folder, "--domain-table", table
    )
    table.write_text(f"file,domain\nblue/1,{names[1]}\nblue/11,{names[1]}\nbleu/0,{names[0]}\n")
    said = invoke(
        "translate", domains, out, "--run", folder, "--domain-table", table, "--overwrite"
    )
    lost = f"note: 2 of the 3 files that '{table}' names are not among the images: blue/11, bleu/0"
    assert lost in said.output
    table.write_text("file,domain\n0.png,pink\n")
    assert "pink" in complaint(
        "translate", domains, tmp_path / "x", "--run", folder, "--domain-table", table
    )


def test_several_results_of_each_image(run: Path, photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    result = invoke("translate", photos, out, "--run", run, "--variants", 2, "--quiet")
    assert (result.exit_code, result.output) == (0, "")
    first, second = (pixels(out / name / "0.png") for name in "01")
    assert not np.array_equal(first, second)
    invoke("translate", photos, tmp_path / "again", "--run", run, "--variants", 2)
    assert np.array_equal(pixels(tmp_path / "again" / "1" / "0.png"), second)


def test_one_photo_through_several_checkpoints(run: Path, photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    result = invoke("translate", photos, out, "--run", run, "--checkpoints", "all", "--sheet")
    assert result.exit_code == 0, result.output
    assert sorted(each.name for each in out.iterdir() if each.is_dir()) == ["step-2", "step-4"]
    alone = tmp_path / "alone"
    invoke("translate", photos, alone, "--run", run / "checkpoints" / "step-00000002.pt")
    assert np.array_equal(pixels(alone / "0.png"), pixels(out / "step-2" / "0.png"))
    with Image.open(out / "sheet.png") as sheet:
        assert sheet.width > 3 * 16
    assert "there are 2, 4" in complaint(
        "translate", photos, tmp_path / "x", "--run", run, "--checkpoints", "3"
    )


def test_what_the_camera_wrote_is_kept(run: Path, photos: Path, tmp_path: Path) -> None:
    for flags in ((), ("--keep-metadata",)):
        out = tmp_path / f"out{len(flags)}"
        result = invoke("translate", photos, out, "--run", run, "--format", "jpg", *flags)
        assert result.exit_code == 0, result.output
        with Image.open(out / "2.jpg") as image:
            assert image.getexif().get(0x0110) == ("a camera" if flags else None)
        assert ((out / "2.jpg").stat().st_mtime == 1e9 + 2) == bool(flags)


def test_standard_input_and_output(run: Path, photos: Path, tmp_path: Path) -> None:
    invoke("translate", photos, tmp_path / "out", "--run", run)
    expected = pixels(tmp_path / "out" / "0.png")
    arguments = ["translate", "-", "-", "--run", str(run)]
    result = CliRunner().invoke(cli.cli, arguments, input=(photos / "0.png").read_bytes())
    assert result.exit_code == 0, result.stderr
    with Image.open(io.BytesIO(result.stdout_bytes)) as image:
        assert np.array_equal(np.asarray(image).astype(int), expected)
    broken = CliRunner().invoke(cli.cli, arguments, input=b"nothing")
    assert "Standard input (7 bytes) is no image" in str(broken.exception)
    assert "is a folder" in complaint("translate", photos, "-", "--run", run)


def test_the_images_of_a_split(run: Path, facades: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    result = invoke(
        "translate", facades, out, "--run", run, "--split", "val", "--side", "A", "--json"
    )
    assert result.exit_code == 0, result.output
    assert json.loads(result.output)["translated"] == 3
    assert sorted(each.name for each in (out / "val").iterdir()) == ["0.png", "1.png", "2.png"]
    told = complaint("translate", facades, tmp_path / "x", "--run", run, "--split", "test")
    assert "no image in the split 'test'; there are 7 in 'train', 3 in 'val'" in told
    assert "--split val" in told
