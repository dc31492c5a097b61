"""`i2i export --format onnx` and `--format int8`, and what `i2i translate` makes of the files."""

import json
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from click.testing import CliRunner
from commands import complaint, invoke
from PIL import Image

from i2i.cli.export import command
from i2i.config import Options
from i2i.data.images.read import read_image
from i2i.errors import CheckpointError, DataError, OptionsError, ProcessError
from i2i.export.onnx import export_int8, export_onnx
from i2i.inference.about import describe_checkpoint
from i2i.inference.load import build_translator, load_model, load_translator
from i2i.inference.onnx.session import ExportedNetwork
from i2i.models.build import build_model
from i2i.networks import initialise
from i2i.runs.checkpoint import load_checkpoint, save_checkpoint
from shrunk import shrunk


def checkpoint_of(options: Options, path: Path, hostile: bool = False) -> Path:
    """A checkpoint of networks that were not trained, with weights that matter."""
    model = build_model(options)
    torch.manual_seed(0)
    for name in model.generators:
        initialise(model.get_submodule(name), "normal", 0.2)
    if hostile:
        _spoil(model.get_submodule(model.generators[0]))
    state: dict[str, Any] = {"options": options.to_dict(), "data": "", "best": None, "step": 0}
    nothing: dict[str, Any] = {"optimizers": {}, "scalers": {}, "average": {}}
    path.parent.mkdir(parents=True, exist_ok=True)
    save_checkpoint(path, state | nothing | {"model": model.state_dict()})
    return path


def _spoil(generator: torch.nn.Module) -> None:
    """Let a U-Net be nearly grey in fp32, and black and white in integers.

    It ends in a - b + 1000 (u - 2 v) of values of which u is twice v. A power of two costs floating
    point numbers nothing, but integers round each of the two.
    """
    inner, last = [m for m in generator.modules() if isinstance(m, torch.nn.Conv2d)][-2:]
    width = last.in_channels // 2
    inner.weight.data.abs_()  # so that none of the two is nothing after a ReLU
    inner.weight.data[1] = inner.weight.data[0] / 2
    for parameter in last.parameters():
        parameter.data.zero_()
    for column, weight in ((0, 1.0), (1, -1.0), (width, 1000.0), (width + 1, -2000.0)):
        last.weight.data[:, column, 1, 1] = weight


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Images of odd sizes, two of which are computed together, grey, and of 16 bits."""
    folder = tmp_path / "photos"
    generator = np.random.default_rng(0)
    for name, size in (("1.png", (18, 21, 3)), ("deep/2.png", (18, 21, 3)), ("3.png", (5, 33))):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(generator.integers(0, 256, size, dtype=np.uint8)).save(path)
    wide = generator.integers(0, 65536, (16, 16), dtype=np.uint16)
    Image.fromarray(wide).save(folder / "4.png")
    return folder


def apart(one: Path, other: Path) -> np.ndarray:
    """How far the images of two folders are apart, in steps of 8 bits."""
    paths = sorted(path.relative_to(one) for path in one.rglob("*.png"))
    assert len(paths) == 4
    differences = [
        np.abs(read_image(one / path, 3).astype(int) - read_image(other / path, 3))
        for path in paths
    ]
    return np.concatenate([each.ravel() for each in differences])


@pytest.mark.slow
def test_the_lines_of_the_docs_translate_as_we_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = Path(__file__).parent.parent.parent / "docs" / "export.md"
    code, *_ = re.findall("```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    options = shrunk("pix2pix-quick")
    run = checkpoint_of(options, tmp_path / "runs" / "a" / "checkpoints" / "step-00000000.pt")
    export_onnx(run, tmp_path / "facades.onnx")
    monkeypatch.chdir(tmp_path)
    said = {each.key: each.value for each in onnx.load("facades.onnx").metadata_props}
    assert "half of the padding before, rounded down, the rest behind" in said["i2i.padding"]
    assert int(said["i2i.multiple"]) == 4  # two downs
    translate = load_translator("facades.onnx")
    for size in ((21, 18), (16, 16), (5, 33), (1, 9)):
        pixels = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
        Image.fromarray(pixels).save("photo.png")
        exec(code, {})
        with Image.open("result.png") as result:
            np.testing.assert_array_equal(np.array(result), translate(pixels))


@pytest.mark.slow
def test_the_lines_of_the_docs_tell_a_condition_and_name_what_a_file_says(tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "export.md").read_text(encoding="utf-8")
    code = next(
        each for each in re.findall("```python\n(.*?)```", page, re.DOTALL) if "pla" in each
    )
    options = shrunk("stargan-celeba")
    run = checkpoint_of(options, tmp_path / "runs" / "a" / "checkpoints" / "step-00000000.pt")
    export_onnx(run, tmp_path / "faces.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "faces.onnx")
    pixels = np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8)
    images = (pixels / np.float32(127.5) - 1).transpose(2, 0, 1)[None]
    found: dict[str, Any] = {"json": json, "np": np, "session": session, "images": images}
    exec(code, found)
    (made,) = session.run(["translated"], {"images": found["images"]})
    result = np.rint((made[0] + 1) * 127.5).clip(0, 255).astype(np.uint8).transpose(1, 2, 0)
    asked = {"Black_Hair": 0, "Blond_Hair": 1, "Brown_Hair": 0, "Male": 0, "Young": 1}
    np.testing.assert_array_equal(result, load_translator(tmp_path / "faces.onnx")(pixels, asked))

    listed = page.partition("The metadata are JSON under these names")[2].partition("\n\n")[0]
    assert set(re.findall(r"`(i2i\.\w+)`", listed)) == set(
        session.get_modelmeta().custom_metadata_map
    )


def test_onnx_in_the_place_of_a_checkpoint(facades: Path, photos: Path, tmp_path: Path) -> None:
    options = shrunk("pix2pix-quick", f"data.root={facades}", "train.seed=7")
    run = checkpoint_of(options, tmp_path / "runs" / "a" / "checkpoints" / "step-00000000.pt")
    result = invoke("export", run.parent.parent, tmp_path / "out", "--format", "onnx")
    assert result.exit_code == 0, result.output
    file = tmp_path / "out" / "generator.onnx"
    assert [path.name for path in file.parent.iterdir()] == [file.name]
    lines = result.stdout.splitlines()
    assert lines[0].startswith(str(run))
    assert lines[1].startswith("fp32: differs from torch by ")
    assert float(lines[1].split()[5]) < 1e-4
    assert lines[2] == f"written: {file}"

    for name, checkpoint in (("torch", run), ("onnx", file)):
        result = invoke("translate", photos, tmp_path / name, "--checkpoint", checkpoint)
        assert result.exit_code == 0, result.output
    assert apart(tmp_path / "torch", tmp_path / "onnx").max() <= 1
    with Image.open(tmp_path / "onnx" / "4.png") as image:
        assert image.size == (16, 16)

    theirs, _ = load_translator(file)
    ours = build_translator(options, load_model(run)[1])
    for shape in ((2, 3, 16, 16), (3, 3, 13, 50), (3, 5, 9)):
        images = torch.rand(shape) * 2 - 1
        torch.testing.assert_close(theirs(images), ours(images), rtol=0, atol=1e-4)
        in_bytes = (images.add(1) * 127).to(torch.uint8)
        difference = theirs(in_bytes).int() - ours(in_bytes).int()
        assert difference.abs().max() <= 1

    told = describe_checkpoint(file)
    assert "exported:   from a/step-00000000.pt, AtoB" in told
    assert "computes:   in fp32" in told
    result = invoke("info", file)
    assert result.exit_code == 0, result.output
    assert result.stdout == f"{file}\n{told}\n(--options shows all options of its run, too)\n"
    assert "seed = 7" not in result.stdout
    result = invoke("info", file, "--options")
    assert result.stdout.startswith(f"{file}\n{told}\n")
    assert "\nseed = 7\n" in result.stdout

    # What was settled when it was written.
    out, use = tmp_path / "x", ("--checkpoint", file)
    for wish, word in (
        (("--precision", "bf16"), "what --precision bf16 asks for"),
        (("--best",), "what --best asks for was settled"),
        (("--raw",), "what --raw asks for"),
        (("--direction", "BtoA"), "direction (='BtoA')"),
        (("--tile", "16"), "computed in tiles: an ONNX file is computed as a whole."),
        (("--device", "mps"), "device (='mps')"),
        (("--domain", "red"), "not"),
    ):
        assert word in complaint("translate", photos, out, *use, *wish)
    assert invoke("translate", photos, out, *use, "--precision", "auto").exit_code == 0
    said = complaint("translate", photos / "1.png", file, *use)
    assert f"The output '{file}' is a file: expected a folder or an image." in said
    with pytest.raises(CheckpointError, match="exists already"):
        export_onnx(run, file)
    for kind in ("onnx", "int8"):
        said = complaint("export", run, tmp_path / "file.bin", "--format", kind)
        assert "file.bin does not end in .onnx" in said
    assert not (tmp_path / "file.bin").exists()
    assert "--format onnx" in complaint("export", run, tmp_path / "published")
    assert invoke("export", run, tmp_path / "file.ONNX").exit_code == 0  # the format of the ending
    torch.testing.assert_close(
        load_translator(tmp_path / "file.ONNX")(images), theirs(images), rtol=0, atol=0
    )
    theirs.network._process += 1  # as after a fork
    with pytest.raises(ProcessError, match=r"was forked .* ONNX file"):
        theirs(images)
    with pytest.raises(CheckpointError, match="is an exported generator"):
        load_checkpoint(file)
    for wish in (("train", "--resume"), ("doctor",), ("evaluate", "--checkpoint"), ("report",)):
        said = complaint(*wish, file)
        assert "generator.onnx is an exported generator, which translates" in said


@pytest.mark.slow
def test_int8_of_a_run(facades: Path, photos: Path, tmp_path: Path) -> None:
    settings = ("generator.upsample=transposed", "generator.width=4", "inference.dropout=true")
    options = shrunk("pix2pix-quick", f"data.root={facades}", "generator.dropout=true", *settings)
    checkpoint = checkpoint_of(options, tmp_path / "weights.pt")
    file = tmp_path / "new" / "small.onnx"
    result = invoke("export", checkpoint, file, "--format", "int8")
    assert result.exit_code == 0, result.output
    assert [path.name for path in file.parent.iterdir()] == ["small.onnx"]

    said = ExportedNetwork(file).description.quantisation
    assert said is not None
    assert (said.calibrated_on, said.judged_on) == (1, 2)
    assert said.measure == "PSNR to the truth"
    assert said.loss < 0.5
    assert 15 < said.to_fp32 < 100
    assert str(said) in result.stdout
    speeds = [line for line in result.stdout.splitlines() if "x torch fp32" in line]
    assert len({line.index(".") for line in speeds}) == 1  # one below the other
    assert len(speeds) in (3, 4)
    assert all(float(line.split()[2]) > 0 for line in speeds)
    nodes = [node.op_type for node in onnx.load(file).graph.node]
    assert nodes.count("Conv") == said.quantised == 4  # two down, two up in phases
    assert "ConvTranspose" not in nodes
    assert nodes.count("QuantizeLinear") >= 4

    for name, use in (("torch", checkpoint), ("int8", file)):
        result = invoke("translate", photos, tmp_path / name, "--checkpoint", use)
        assert result.exit_code == 0, result.output
    assert 0 < apart(tmp_path / "torch", tmp_path / "int8").mean() < 15
    assert "all convolutions (4) in int8" in describe_checkpoint(file)


@pytest.mark.slow
def test_integers_that_cost_too_much_are_not_written(facades: Path, tmp_path: Path) -> None:
    options = shrunk("pix2pix-quick", "generator.width=4", "generator.norm=none")
    checkpoint = checkpoint_of(options, tmp_path / "weights.pt", hostile=True)
    file = tmp_path / "out" / "small.onnx"
    arguments = ("export", checkpoint, file, "--format", "int8", "--calibrate-on", facades)
    result = invoke(*arguments)
    assert isinstance(result.exception, CheckpointError)
    lines = [line for line in result.stdout.splitlines() if line.startswith("int8: ")]
    assert [line.split("(")[0] for line in lines] == [
        "int8: all convolutions ",
        "int8: all convolutions but the first and the last ",
    ]
    loss = float(str(result.exception).split()[2])
    assert loss >= 0.5
    assert "nothing is written" in str(result.exception)
    assert list(file.parent.iterdir()) == []

    result = invoke(*arguments, "--max-loss", "99")
    assert result.exit_code == 0, result.output
    said = ExportedNetwork(file).description.quantisation
    assert said is not None
    assert said.loss >= 0.5


def test_a_model_of_domains(domains: Path, photos: Path, tmp_path: Path) -> None:
    options = shrunk("stargan", f"data.root={domains}")
    checkpoint = checkpoint_of(options, tmp_path / "weights.pt")
    file = export_onnx(checkpoint, tmp_path / "stargan.onnx")
    assert "exported:   from weights.pt\n" in describe_checkpoint(file)
    about = describe_checkpoint(checkpoint)
    assert "in use:     instance norm by the statistics of the image, dropout off" in about
    description = ExportedNetwork(file).description
    assert description.planes == ("red", "green", "blue")
    assert description.input_channels == 3
    graph = onnx.load(file).graph
    assert graph.input[0].type.tensor_type.shape.dim[1].dim_value == 6
    theirs, ours = load_translator(file), load_translator(checkpoint)
    images = torch.rand(2, 3, 10, 19) * 2 - 1
    results = [theirs(images, name) for name in ("red", "blue")]
    assert not torch.allclose(*results)
    torch.testing.assert_close(results[1], ours(images, "blue"), rtol=0, atol=1e-4)
    arguments = ("translate", photos, tmp_path / "all", "--checkpoint", file, "--domain", "all")
    assert invoke(*arguments).exit_code == 0
    assert len(list((tmp_path / "all" / "green").rglob("*.png"))) == 4


@pytest.mark.slow
def test_a_model_that_translates_both_ways(unpaired: Path, tmp_path: Path, said: list[str]) -> None:
    options = shrunk("cyclegan", f"data.root={unpaired}", "data.output_channels=1")
    checkpoint = checkpoint_of(options, tmp_path / "weights.pt")
    assert "in use:     dropout off" in describe_checkpoint(checkpoint)  # nothing to choose
    file = export_int8(checkpoint, tmp_path, direction="BtoA", max_loss=20)
    assert file == tmp_path / "generator_BtoA_int8.onnx"
    description = ExportedNetwork(file).description
    assert (description.direction, description.made_from) == ("BtoA", "weights.pt")
    assert (description.input_channels, description.output_channels) == (1, 3)
    translator, _ = load_translator(file, direction="BtoA")
    assert translator(torch.zeros(1, 1, 9, 9)).shape == (1, 3, 9, 9)


@pytest.mark.slow
@pytest.mark.parametrize("direction", ["AtoB", "BtoA"])
def test_a_model_of_one_way(
    unpaired: Path, tmp_path: Path, direction: str, said: list[str]
) -> None:
    options = shrunk("cut", f"data.root={unpaired}", f"data.direction={direction}")
    checkpoint = checkpoint_of(options, tmp_path / "weights.pt")
    file = export_int8(checkpoint, tmp_path, max_loss=20)
    assert file == tmp_path / "generator_int8.onnx"
    assert any("PSNR of images of the target domain" in line for line in said)
    exact = export_onnx(checkpoint, tmp_path / "exact.onnx")
    assert ExportedNetwork(exact).description.direction == direction
    theirs, ours = load_translator(exact), load_translator(checkpoint)
    images = torch.rand(2, 3, 10, 19) * 2 - 1
    torch.testing.assert_close(theirs(images), ours(images), rtol=0, atol=1e-4)
    other = "BtoA" if direction == "AtoB" else "AtoB"
    with pytest.raises(OptionsError, match=f"direction .='{other}'. is not what this cut"):
        load_translator(checkpoint, direction=other)


def test_what_cannot_be_exported_is_refused(
    facades: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    noise = checkpoint_of(shrunk("dcgan"), tmp_path / "noise.pt")
    with pytest.raises(OptionsError, match="makes images from noise"):
        export_onnx(noise, tmp_path / "a.onnx", direction="AtoB")
    with pytest.raises(OptionsError, match="makes images from noise"):
        export_int8(noise, tmp_path / "a.onnx")
    gone = shrunk("pix2pix-quick", f"data.root={tmp_path / 'gone'}")
    checkpoint = checkpoint_of(gone, tmp_path / "weights.pt")
    with pytest.raises(OptionsError, match="direction"):
        export_onnx(checkpoint, tmp_path / "a.onnx", direction="BtoA")
    with pytest.raises(DataError, match="--calibrate-on"):
        export_int8(checkpoint, tmp_path / "a.onnx")
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    with pytest.raises(OptionsError, match=r"pip install 'i2i-toolkit\[onnx\]'"):
        export_onnx(checkpoint, tmp_path / "a.onnx")
    assert not (tmp_path / "a.onnx").exists()


@pytest.mark.parametrize(
    "arguments",
    [
        ["--direction", "AtoB"],
        ["--format", "onnx", "--max-loss", "1"],
        ["--calibrate-on", "x"],
        ["--format", "int8", "--max-loss", "-1"],
    ],
)
def test_options_that_mean_nothing_are_refused(arguments: list[str]) -> None:
    result = CliRunner().invoke(command, ["run", "out", *arguments])
    assert result.exit_code == 2
    assert "go" in result.stderr or "range" in result.stderr


def test_nothing_is_imported_before_it_is_needed() -> None:
    import subprocess

    code = (
        "import sys, i2i.inference.load, i2i.export.onnx\n"
        "print(sorted({'onnx', 'onnxruntime', 'onnxscript'} & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
