"""`i2i datasets`: the list, what is fetched, and what is said about a folder."""

import io
import tarfile
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image

from i2i.cli import cli
from i2i.errors import DataError


def run(*arguments: object) -> Result:
    return CliRunner().invoke(cli, ["datasets", *map(str, arguments)])


def paint(*paths: Path, size: tuple[int, int] = (8, 8)) -> None:
    for i, path in enumerate(paths):
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", size, (i, 0, 0)).save(path)


@pytest.fixture
def unpaired(tmp_path: Path) -> Path:
    root = tmp_path / "horses"
    paint(*(root / "trainA" / f"h{i}.png" for i in range(3)))
    paint(*(root / "trainB" / f"z{i}.png" for i in range(2)), root / "trainB" / "h1.png")
    paint(root / "testA" / "1.png", root / "testB" / "1.png")
    return root


def test_the_list_says_what_is_in_the_cache(own_cache: Path) -> None:
    (own_cache / "datasets" / "maps").mkdir(parents=True)
    done = run("list")
    assert done.exit_code == 0
    lines = {line.split()[0]: line for line in done.output.splitlines() if line}
    assert lines["maps"].endswith("in the cache")
    assert not lines["maps-unpaired"].endswith("in the cache")
    expected = "horse2zebra unpaired train 1067 + 1334, test 120 + 140 117 MB"
    assert " ".join(lines["horse2zebra"].split()) == expected
    assert "by hand" in lines["cityscapes"]
    assert "demo" in lines
    assert str(own_cache) in done.output


def test_get_says_where_it_is_and_how_to_train(
    own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = own_cache / "datasets" / "night2day.tar.gz"
    archive.parent.mkdir(parents=True)
    with tarfile.open(archive, "w:gz") as tar:
        image = io.BytesIO()
        Image.new("RGB", (16, 8)).save(image, "PNG")
        info = tarfile.TarInfo("night2day/train/1.png")
        info.size = image.tell()
        image.seek(0)
        tar.addfile(info, image)
    done = run("get", "night2day")
    assert done.exit_code == 0, done.output
    folder = own_cache / "datasets" / "night2day"
    assert f"found {archive}" in done.output
    assert f"The images are in {folder}" in done.output
    assert "i2i train --model pix2pix --dataroot night2day\n" in done.output
    assert "licence: not stated" in done.output
    assert run("check", folder).exit_code == 0


def test_get_says_how_to_fetch_by_hand(own_cache: Path) -> None:
    done = run("get", "cityscapes")
    assert isinstance(done.exception, DataError)
    assert str(own_cache / "datasets" / "cityscapes") in str(done.exception)
    (own_cache / "datasets" / "cityscapes").mkdir(parents=True)
    done = run("get", "cityscapes")
    assert "i2i train --model pix2pix --dataroot cityscapes --direction BtoA" in done.output
    assert "i2i train --model cyclegan --dataroot cityscapes --direction BtoA" in done.output


def test_get_of_a_name_that_is_unknown() -> None:
    assert "Did you mean 'horse2zebra'?" in str(run("get", "horses2zebras").exception)


def test_get_of_what_is_embedded(own_cache: Path) -> None:
    done = run("get", "demo")
    assert done.exit_code == 0
    assert "--dataroot demo" in done.output


def test_check_of_good_pairs(facades: Path) -> None:
    done = run("check", facades)
    assert done.exit_code == 0, done.output
    assert done.output == (
        "paired: whole images in train/, two side by side in each\n"
        "train: 7 pairs (train, side by side)\n"
        "val: 3 pairs (val, side by side)\n"
        "Every image can be used.\n"
    )


def test_check_tells_unpaired_from_paired(unpaired: Path) -> None:
    done = run("check", unpaired)
    assert done.exit_code == 0, done.output
    assert "train: 3 + 3 images, unpaired (trainA + trainB)" in done.output
    assert "val: 1 + 1 images, unpaired (testA + testB)" in done.output
    done = run("check", unpaired, "--kind", "paired")
    assert done.exit_code == 1
    assert "train: 1 pair (trainA + trainB)" in done.output
    assert "4 images have no partner" in done.output


def test_check_of_pairs_with_faults(tmp_path: Path) -> None:
    root = tmp_path / "pairs"
    paint(*(root / "A" / "train" / f"{i}.png" for i in range(5)))
    paint(*(root / "B" / "train" / f"{i}.png" for i in range(3)))
    paint(root / "B" / "train" / "3.png", size=(8, 9))
    (root / "A" / "train" / "0.png").write_bytes(b"no image")
    done = run("check", root)
    assert done.exit_code == 1
    assert "train: 4 pairs (A/train + B/train)" in done.output
    assert "val: none" in done.output
    assert "1 image has no partner.\n    A/train/4.png\n" in done.output
    assert "A/train/0.png: it is no image" in done.output
    assert "3.png is 8x9" in done.output


def test_check_of_unpaired_images_that_cannot_be_read(unpaired: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    broken = unpaired / "trainB" / "z0.png"
    Image.fromarray(noise).save(broken)
    broken.write_bytes(broken.read_bytes()[:500])
    done = run("check", unpaired)
    assert done.exit_code == 1
    assert "1 image cannot be read.\n    trainB/z0.png: image file is truncated" in done.output


def test_check_of_what_is_no_data_set(tmp_path: Path) -> None:
    paint(tmp_path / "images" / "1.png")
    done = run("check", tmp_path / "images")
    assert done.exit_code == 0
    assert "unconditional: there are no pairs, sides or domains\ntrain: 1 image (any" in done.output
    done = run("check", tmp_path / "images", "--kind", "paired")
    assert done.exit_code == 1
    assert "No pairs for 'train'" in done.output
    assert isinstance(run("check", tmp_path / "image").exception, DataError)


def test_check_of_folders_of_domains(domains: Path) -> None:
    result = run("check", domains)
    assert result.exit_code == 0, result.output
    assert "of red" in result.output
    assert "Every image can be used." in result.output
    next((domains / "train").glob("*/*.png")).write_bytes(b"no image")
    result = run("check", domains, "--kind", "domains")
    assert result.exit_code == 1
    assert "1 image cannot be read" in result.output


def test_the_list_has_what_torchvision_downloads() -> None:
    lines = {line.split()[0]: line for line in run("list").output.splitlines() if line}
    expected = "fashion-mnist 60000 + 10000 clothing, grey, 28 x 28"
    assert " ".join(lines["fashion-mnist"].split()) == expected
    assert lines["lsun-church-outdoor"].endswith("(needs the package lmdb)")


def test_get_of_what_torchvision_downloads(own_cache: Path) -> None:
    base = own_cache / "torchvision" / "EuroSAT"
    paint(*(base / "eurosat" / "2750" / name / "1.png" for name in ("Forest", "Sea")))
    done = run("get", "eurosat")
    assert done.exit_code == 0, done.output
    assert "images: 2\nclasses: Forest, Sea\n" in done.output
    assert f"The images are in {base}" in done.output


def test_check_of_any_images(tmp_path: Path) -> None:
    root = tmp_path / "images"
    paint(root / "train" / "a" / "1.png", root / "train" / "b" / "1.png", root / "val/a/2.png")
    done = run("check", root, "--kind", "unconditional")
    assert done.exit_code == 0, done.output
    assert done.output.startswith(
        "unconditional: as asked for\ntrain: 2 images, 2 classes (train/<class>)\n"
        "val: 1 image, 2 classes"
    )
    (root / "train" / "a" / "1.png").write_bytes(b"no image")
    done = run("check", root, "--kind", "unconditional")
    assert done.exit_code == 1
    assert "1 image cannot be read" in done.output


def test_check_of_files_in_mnist_format(tmp_path: Path) -> None:
    file = tmp_path / "train-images-idx3-ubyte"
    file.write_bytes(bytes([0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 1, 7, 9]))
    done = run("check", tmp_path)
    assert done.exit_code == 0, done.output
    assert "train: 2 images (MNIST format)\nval: none\n" in done.output
    file.write_bytes(file.read_bytes()[:-1])
    done = run("check", tmp_path)
    assert done.exit_code == 1
    assert "is truncated" in done.output
