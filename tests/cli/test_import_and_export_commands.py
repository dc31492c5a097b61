"""`i2i import` and `i2i export`, there and back."""

from pathlib import Path

import pytest
import torch
from click.testing import CliRunner, Result
from PIL import Image

from i2i.cli import cli
from i2i.errors import CheckpointError
from i2i.networks import ResNet
from i2i.runs.checkpoint import load_checkpoint


def invoke(name: str, *arguments: object) -> Result:
    return CliRunner().invoke(
        cli, [name, *(str(argument) for argument in arguments)], catch_exceptions=False
    )


@pytest.fixture
def file(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    weights = ResNet(3, 3, width=2, blocks=6, norm="instance").state_dict()
    torch.save(weights, tmp_path / "horse2zebra.pth")
    return tmp_path / "horse2zebra.pth"


def test_import_translate_and_export(tmp_path: Path, file: Path) -> None:
    runs = tmp_path / "runs"
    result = invoke("import", file, "zebras", "--runs-dir", runs)
    assert result.exit_code == 0
    assert result.stdout.splitlines() == [
        "horse2zebra.pth: resnet generator (width 2, blocks 6, norm instance, dropout False, "
        "channels 3 to 3)",
        f"imported as {runs / 'zebras'}",
    ]

    Image.new("RGB", (21, 18), (90, 60, 30)).save(tmp_path / "horse.png")
    result = invoke("translate", tmp_path / "horse.png", tmp_path / "zebra.png", "--runs-dir", runs)
    assert result.exit_code == 0
    with Image.open(tmp_path / "zebra.png") as image:
        assert image.size == (21, 18)

    out = tmp_path / "out"
    result = invoke("export", runs / "zebras", out, "--format", "published", "--raw")
    assert result.exit_code == 0
    assert result.stdout.splitlines()[-1] == (
        f"{out / 'latest_net_G.pth'}: --netG resnet_6blocks --ngf 2 --norm instance --no_dropout "
        "--input_nc 3 --output_nc 3"
    )
    theirs = torch.load(file, weights_only=True)
    ours = torch.load(out / "latest_net_G.pth", weights_only=True)
    assert list(ours) == list(theirs)
    assert all(torch.equal(ours[key], theirs[key]) for key in theirs)
    with pytest.raises(CheckpointError, match="exists already"):
        invoke("export", runs / "zebras", out)


def test_flags_of_import_reach_the_run(tmp_path: Path, file: Path) -> None:
    folder = tmp_path / "horses"
    folder.mkdir()
    for when in ("latest", "200"):
        (folder / f"{when}_net_G.pth").write_bytes(file.read_bytes())
    runs = tmp_path / "runs"
    arguments = ("--runs-dir", runs, "--epoch", "200", "--no-dropout", "--eval")
    result = invoke("import", folder, "a", *arguments)
    assert result.stdout.startswith("200_net_G.pth: resnet generator")
    options = load_checkpoint(runs / "a" / "checkpoints" / "step-00000000.pt")["options"]
    assert options["inference"] == {"norm": "running", "dropout": False}


@pytest.mark.parametrize("name", ["import", "export"])
def test_help_shows_an_example(name: str) -> None:
    result = invoke(name, "--help")
    assert result.exit_code == 0
    assert f"i2i {name} " in result.stdout
