"""`i2i train` and `i2i translate` with many domains, through the command line."""

from pathlib import Path

import numpy as np
import pytest
import torch
from commands import complaint, invoke
from PIL import Image

from i2i.config import Options
from i2i.config.recipes import load_options
from i2i.data.images.read import read_image
from i2i.errors import I2iError
from i2i.inference.domain_sheet import overview
from i2i.inference.load import load_translator
from i2i.networks import StarGANGenerator
from i2i.training import session as train
from shrunk import shrunk


def trained(options: Options, folder: Path) -> Path:
    return train.start(options, folder, "run", device="cpu").folder


@pytest.fixture
def run(domains: Path, tmp_path: Path) -> Path:
    return trained(
        shrunk("stargan", f"data.root={domains}", "train.steps=1", "train.save_every_steps=1"),
        tmp_path,
    )


@pytest.fixture
def faces(domains: Path, tmp_path: Path) -> Path:
    """A run with attributes."""
    return trained(
        shrunk(
            "stargan-celeba", f"data.root={domains}", "train.steps=1", "train.save_every_steps=1"
        ),
        tmp_path,
    )


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    generator = np.random.default_rng(0)
    for name in ("1.png", "deep/2.png"):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(generator.integers(0, 256, (18, 22, 3), dtype=np.uint8)).save(path)
    return folder


def files(folder: Path) -> list[str]:
    return sorted(
        p.relative_to(folder).as_posix()
        for p in folder.rglob("*")
        if p.is_file() and p.name[0] != "."
    )


def test_one_domain(run: Path, photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    result = invoke("translate", photos, out, "--checkpoint", run, "--domain", "green")
    assert result.exit_code == 0, result.output
    assert files(out) == ["1.png", "deep/2.png"]
    translator, _ = load_translator(run, domain="green", device="cpu")
    with Image.open(photos / "1.png") as photo:
        expected = np.asarray(translator(photo))
        others = [np.asarray(translator(photo, domain=name)) for name in ("red", "blue")]
    np.testing.assert_array_equal(read_image(out / "1.png", 3), expected)
    assert all((other != expected).any() for other in others)


def test_all_domains_and_a_sheet(run: Path, photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    everything = ("translate", photos, out, "--checkpoint", run, "--domain", "all", "--sheet")
    assert invoke(*everything).exit_code == 0
    assert files(out) == sorted(
        [f"{name}/{file}" for name in ("red", "green", "blue") for file in ("1.png", "deep/2.png")]
        + ["sheet.png"]
    )
    assert "sheet.png' exists already" in complaint(*everything)
    assert invoke(*everything, "--overwrite").exit_code == 0
    one = tmp_path / "one"
    assert invoke("translate", photos, one, "--checkpoint", run, "--domain", "red").exit_code == 0
    np.testing.assert_array_equal(
        read_image(one / "deep" / "2.png", 3), read_image(out / "red" / "deep" / "2.png", 3)
    )


def test_a_sheet_alone(run: Path, photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    sheet = ("translate", photos, out, "--checkpoint", run, "--sheet")
    assert invoke(*sheet).exit_code == 0
    assert files(out) == ["sheet.png"]
    with Image.open(out / "sheet.png") as image:
        assert image.height == 20 + 2 * (6 * 16 + 4)  # enlarged to 96 pixels
        assert image.width > 4 * 16
    assert "exists already" in complaint(*sheet)
    single = ("translate", photos / "1.png", tmp_path / "single", "--checkpoint", run, "--sheet")
    assert invoke(*single).exit_code == 0


def test_a_sheet_leaves_out_what_cannot_be_read(run: Path, photos: Path, tmp_path: Path) -> None:
    (photos / "0.png").write_bytes(b"no image")
    ask = ("translate", photos, tmp_path / "alone", "--checkpoint", run, "--sheet")
    result = invoke(*ask)
    assert result.exit_code == 1
    assert files(tmp_path / "alone") == ["sheet.png"]
    with Image.open(tmp_path / "alone" / "sheet.png") as image:
        assert image.height == 20 + 2 * (6 * 16 + 4)  # two rows
    assert result.stderr == (f"Not shown: {photos / '0.png'}: it is no image of a known format\n")
    everything = ("translate", photos, tmp_path / "all", "--checkpoint", run, "--domain", "all")
    result = invoke(*everything, "--sheet")
    assert result.exit_code == 1
    assert len(files(tmp_path / "all")) == 3 * 2 + 1
    assert (tmp_path / "all" / "sheet.png").is_file()
    assert "Not shown" not in result.stderr
    assert result.stderr.count("Not translated") == 3

    broken = tmp_path / "broken"
    broken.mkdir()
    (photos / "0.png").rename(broken / "0.png")
    ask = ("translate", broken, tmp_path / "none", "--checkpoint", run, "--sheet")
    assert f"{broken / '0.png'}: it is no image" in complaint(*ask)


def test_the_sheet_shows_a_neighbour_of_what_cannot_be_read(run: Path, tmp_path: Path) -> None:
    translator, _ = load_translator(run, device="cpu")
    folder = tmp_path / "grey"
    folder.mkdir()
    for number in range(4):
        Image.new("RGB", (16, 16), (60 * number,) * 3).save(folder / f"{number}.png")
    (folder / "2.png").write_bytes(b"no image")
    sheet, failed = overview(translator, folder, count=2)  # of 0 and 1, and of 2 and 3
    assert [path.name for path, _ in failed] == ["2.png"]
    row = 20 + (6 * 16 + 4)
    shown = [sheet.getpixel((48, 20 + 48)), sheet.getpixel((48, row + 48))]
    assert shown == [(0, 0, 0), (180, 180, 180)]


def test_an_unknown_domain_or_none(run: Path, photos: Path, tmp_path: Path) -> None:
    ask = ("translate", photos, tmp_path / "out", "--checkpoint", run)
    text = complaint(*ask, "--domain", "gren")
    assert "'gren'" in text
    assert "Did you mean 'green'? They are: red, green, blue." in text
    assert "say --domain NAME, --domain all" in complaint(*ask)
    assert "Say one of --domain, --domain-table and --set-attribute" in complaint(
        *ask, "--domain", "red", "--set-attribute", "red=1"
    )
    assert "of no use" in complaint(
        *ask, "--domain", "red", "--attributes", photos.parent / "tiny-domains/list_attr_celeba.txt"
    )
    assert not (tmp_path / "out").exists()


def test_models_of_one_translation_know_no_domains(
    facades: Path, photos: Path, tmp_path: Path
) -> None:
    plain = trained(shrunk("pix2pix", f"data.root={facades}", "train.steps=1"), tmp_path)
    ask = ("translate", photos, tmp_path / "out", "--checkpoint", plain)
    for more in (["--domain", "red"], ["--sheet"], ["--set-attribute", "red=1"]):
        assert "models of many domains, which this one is not" in complaint(*ask, *more)
    with pytest.raises(I2iError, match=r"domain \(='red'\) means nothing to this pix2pix"):
        load_translator(plain, domain="red", device="cpu")
    translator, _ = load_translator(plain, device="cpu")
    with Image.open(photos / "1.png") as photo, pytest.raises(I2iError, match="means nothing"):
        translator(photo, domain="red")


def test_attributes(faces: Path, photos: Path, tmp_path: Path) -> None:
    translator, _ = load_translator(faces, device="cpu")
    assert translator.conditioner is not None
    assert translator.conditioner.classifier is not None
    table = tmp_path / "table.csv"
    table.write_text(
        "file,Black_Hair,Blond_Hair,Brown_Hair,Male,Young\n1.png,1,0,0,1,0\n2.png,0,0,1,0,1\n"
    )
    change = ("translate", photos, "--checkpoint", faces, "--set-attribute", "Blond_Hair=1,Young=0")
    found, told = tmp_path / "found", tmp_path / "told"
    assert invoke(*change[:2], found, *change[2:]).exit_code == 0
    assert invoke(*change[:2], told, *change[2:], "--attributes", table).exit_code == 0
    for name, own in (("1.png", [1.0, 0, 0, 1, 0]), ("deep/2.png", [0.0, 0, 1, 0, 1])):
        with Image.open(photos / name) as photo:
            changes = {"Blond_Hair": True, "Young": False}
            expected = np.asarray(translator(photo, changes))
            labels = np.asarray(translator(photo, changes, labels=torch.tensor([own])))
        np.testing.assert_array_equal(read_image(found / name, 3), expected)
        np.testing.assert_array_equal(read_image(told / name, 3), labels)


def test_what_is_wrong_with_attributes(faces: Path, photos: Path, tmp_path: Path) -> None:
    ask = ("translate", photos, tmp_path / "out", "--checkpoint", faces)
    assert "is not NAME=1 or NAME=0" in complaint(*ask, "--set-attribute", "Young")
    assert "'Yung' is none" in complaint(*ask, "--set-attribute", "Yung=1")
    assert "exclude each other" in complaint(*ask, "--set-attribute", "Blond_Hair=1,Black_Hair=1")
    table = tmp_path / "table.csv"
    table.write_text("file,Black_Hair,Blond_Hair,Brown_Hair,Male,Young\n1.png,1,0,0,1,0\n")
    text = complaint(*ask, "--set-attribute", "Young=1", "--attributes", table)
    assert "2.png' has no row in" in text
    assert not (tmp_path / "out").exists()


def test_all_attributes(faces: Path, photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    result = invoke("translate", photos, out, "--checkpoint", faces, "--domain", "all")
    assert result.exit_code == 0, result.output
    assert sorted(path.name for path in out.iterdir() if path.is_dir()) == [
        *("Black_Hair", "Blond_Hair", "Brown_Hair", "Male-reversed", "Young-reversed")
    ]


def test_published_weights_of_attributes(photos: Path, tmp_path: Path) -> None:
    weights = StarGANGenerator(3 + 5, 3, width=2, blocks=1).state_dict()
    file = tmp_path / "200000-G.ckpt"
    torch.save(weights, file)
    names = "black|blond|brown, male,young"
    runs = tmp_path / "runs"
    take = ("import", file, "celeba", "--runs-dir", runs)
    assert "either --domains or" in complaint(*take, "--domains", "a,b", "--attributes", names)
    result = invoke(*take, "--attributes", names)
    assert result.exit_code == 0, result.output
    ask = ("translate", photos, tmp_path / "out", "--checkpoint", runs / "celeba")
    text = complaint(*ask, "--set-attribute", "young=0")
    assert "no discriminator to find them" in text
    result = invoke(*ask, "--set-attribute", "young=0,male=1,blond=1")
    assert result.exit_code == 0, result.output


def test_tiles_change_nothing(run: Path, tmp_path: Path) -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (70, 90, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "large.png")
    for tile in ("off", "32"):
        ask = ("--checkpoint", run, "--domain", "blue", "--tile", tile)
        result = invoke("translate", tmp_path / "large.png", tmp_path / f"{tile}.png", *ask)
        assert result.exit_code == 0, result.output
    whole, tiled = (read_image(tmp_path / f"{tile}.png", 3).astype(int) for tile in ("off", "32"))
    assert np.abs(whole - tiled).max() <= 1


def test_training_on_what_is_no_data_set(facades: Path, domains: Path) -> None:
    small = ("train", "--model", "stargan", "--device", "cpu", "--steps", "1")
    assert "Domains are the names of folders" in complaint(*small, "--dataroot", facades)
    table = ("--dataroot", domains, "--set", "data.table=list_attr_celeba.txt")
    text = complaint(*small, *table, "--set", 'data.attributes=["Yung"]')
    assert "has no attribute 'Yung'. Did you mean 'Young'?" in text


def test_a_sheet_of_this_folder(
    run: Path, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(photos)
    done = invoke("translate", ".", tmp_path / "out", "--checkpoint", run, "--sheet")
    assert done.exit_code == 0, done.output
    assert files(tmp_path / "out") == ["sheet.png"]
    said = complaint("translate", "1.png", "out.png", "--checkpoint", run, "--sheet")
    assert "needs a folder" in said


def test_all_domains_need_a_folder(run: Path, photos: Path, tmp_path: Path) -> None:
    one = next(photos.rglob("*.png"))
    said = complaint("translate", one, tmp_path / "one.png", "--checkpoint", run, "--domain", "all")
    assert "one.png' is named like a file, but there may be several results" in said
    assert not (tmp_path / "one.png").exists()


def test_an_import_is_evaluated_with_a_table(domains: Path, faces: Path, tmp_path: Path) -> None:
    files, runs = tmp_path / "theirs", tmp_path / "imported"
    assert invoke("export", faces, files).exit_code == 0
    names = load_options("stargan-celeba").data.attributes
    result = invoke("import", files, "theirs", "--runs-dir", runs, "--attributes", "|".join(names))
    assert result.exit_code == 0, result.output
    folder = runs / "theirs"
    told = invoke("info", folder).output
    assert "trained:    1 steps, elsewhere; imported\n" in told
    measured = ("evaluate", "--run", folder, "--measures", "swd", "--dataroot", domains)
    assert invoke(*measured).exit_code == 0  # list_attr_celeba.txt
    table = domains / "list_attr_celeba.txt"
    table.rename(domains / "t.txt")
    said = complaint(*measured)
    assert "holds no table 'list_attr_celeba.txt' that says which of Black_Hair" in said
    assert "--table FILE" in said
    result = invoke(*measured, "--table", "t.txt")
    assert result.exit_code == 0, result.output
    assert "--table goes with --dataroot" in complaint("evaluate", "--run", folder, "--table", "t")


def test_another_data_set_cannot_stand_for_several(domains: Path, tmp_path: Path) -> None:
    more = f'data.more=[{{root="{domains}", domains=["red", "green"]}}]'
    folder = trained(
        shrunk("stargan-celeba", f"data.root={domains}", more, "train.steps=1"), tmp_path
    )
    said = complaint("evaluate", "--run", folder, "--dataroot", domains, "--measures", "swd")
    assert "has learnt the labels of 2 data sets together" in said
