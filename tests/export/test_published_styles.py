"""Files of StarGAN v2 as the authors' code saves them, taken in."""

from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from commands import complaint, invoke
from PIL import Image

from i2i.errors import CheckpointError
from i2i.export.published_styles import import_styled, styled_file
from i2i.inference.load import load_model
from i2i.networks.starganv2 import StarGANv2Generator, StarGANv2Mapping, StarGANv2StyleEncoder
from i2i.runs.folder import open_run
from vectors import Vectors, error

AVERAGED = ("generator", "mapping_network", "style_encoder")
STYLE = Vectors("starganv2_mapping_network").config["style_dim"]
NAMES = ("cat", "dog", "wild")


def recorded(name: str) -> dict[str, Any]:
    """Weights of the authors' network; of the style encoder, of which there are none, any."""
    if name != "style_encoder":
        return OrderedDict(Vectors(f"starganv2_{name}").below("state."))
    told = Vectors("starganv2_discriminator").config
    widths = {"width": told["nf"], "max_width": told["max_conv_dim"]}
    torch.manual_seed(0)
    return StarGANv2StyleEncoder(3, 32, 3, STYLE, **widths).state_dict()


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A folder of a training of theirs: averages, and networks as trained that differ."""
    folder = tmp_path / "theirs"
    folder.mkdir()
    averages = {name: recorded(name) for name in AVERAGED}
    trained = {name: {k: v + 1 for k, v in own.items()} for name, own in averages.items()}
    trained["discriminator"] = recorded("discriminator")
    torch.save(averages, folder / "000500_nets_ema.ckpt")
    torch.save(trained, folder / "000500_nets.ckpt")
    torch.save({"generator": {}}, folder / "000020_nets_ema.ckpt")
    return folder


def test_the_networks_of_a_folder_give_what_was_recorded(files: Path, tmp_path: Path) -> None:
    done = invoke(
        *("import", files, "animals", "--runs-dir", tmp_path / "runs"),
        *("--domains", ",".join(NAMES)),
    )
    assert done.exit_code == 0, done.output
    assert "StarGAN v2 of 32 pixels and 3 domains" in done.output
    options, model, _ = load_model(tmp_path / "runs/animals")
    assert options.data.labels.names == NAMES
    model = model.double().eval()
    for name in ("generator", "mapping_network", "discriminator"):
        record = Vectors(f"starganv2_{name}")
        given = record["input.latent" if name == "mapping_network" else "input.image"]
        beside = record["input.style" if name == "generator" else "input.domain"]
        made = model.get_submodule(name)(given, beside)
        [expected] = [
            record[f"output.{k}"] for k in ("image", "style", "logit") if f"output.{k}" in record
        ]
        assert error(made, expected) < 1e-9


def test_it_translates_by_seed_and_by_reference(files: Path, tmp_path: Path) -> None:
    run = import_styled(
        files / "000500_nets_ema.ckpt", "a", runs_dir=tmp_path / "runs", domains=NAMES
    )
    picture = torch.randint(0, 256, (32, 32, 3), dtype=torch.uint8)
    Image.fromarray(picture.numpy()).save(tmp_path / "in.png")
    flags = ("--checkpoint", run, "--domain", "dog", "--device", "cpu")
    done = invoke("translate", tmp_path / "in.png", tmp_path / "out.png", *flags, "--seed", 3)
    assert done.exit_code == 0, done.output
    _, model, _ = load_model(run)
    noise = torch.randn(8, generator=torch.Generator().manual_seed(3))[None]
    image = picture.permute(2, 0, 1)[None] / 127.5 - 1
    with torch.no_grad():
        wanted = model.eval().generator(image, model.mapping_network(noise, torch.tensor([1])))
    made = torch.from_numpy(np.array(Image.open(tmp_path / "out.png")))
    wanted = (wanted[0].permute(1, 2, 0).clamp(-1, 1) + 1) * 127.5
    assert (made - wanted).abs().max() < 0.51


def test_what_is_wrong_is_said(files: Path, tmp_path: Path) -> None:
    runs = ("--runs-dir", tmp_path / "runs")
    assert "have 3, and do not tell" in complaint("import", files, "a", *runs)
    file = files / "000500_nets_ema.ckpt"
    assert "2 domains are named (a, b)" in complaint("import", file, "a", "--domains", "a,b", *runs)
    assert "nothing but --domains" in complaint("import", file, "a", "--attributes", "a,b,c", *runs)
    networks = {name: recorded(name) for name in AVERAGED}
    for change, why in (
        ({"fan": {}}, "masks of facial landmarks"),
        (
            {"generator": {**networks["generator"], "x": torch.ones(1)}},
            'generator does not fit .*"x"',
        ),
        ({"generator": {}}, "lacks weights"),
    ):
        torch.save(networks | change, file)
        with pytest.raises(CheckpointError, match=why):
            import_styled(file, "a", runs_dir=tmp_path / "runs", domains=NAMES)
    del networks["style_encoder"]
    torch.save(networks, file)
    with pytest.raises(CheckpointError, match="but no style_encoder"):
        import_styled(file, "a", runs_dir=tmp_path / "runs", domains=NAMES)
    file.write_bytes(b"no file of weights")
    with pytest.raises(CheckpointError, match="cannot be read"):
        import_styled(file, "a", runs_dir=tmp_path / "runs", domains=NAMES)
    assert not (tmp_path / "runs").exists()


def test_the_file_of_a_folder_is_that_of_the_most_steps(files: Path) -> None:
    assert styled_file(files) == files / "000500_nets_ema.ckpt"
    assert (
        styled_file(files, "20") == styled_file(files, "000020") == files / "000020_nets_ema.ckpt"
    )
    assert styled_file(files, "7") is None
    assert styled_file(files / "000500_nets.ckpt") == files / "000500_nets.ckpt"
    assert styled_file(files / "latest_net_G.pth") is None


def test_sizes_and_widths_are_read_off_the_weights(tmp_path: Path) -> None:
    widths = {"width": 4, "max_width": 12}
    networks = {
        "generator": StarGANv2Generator(1, 64, 6, **widths),
        "mapping_network": StarGANv2Mapping(5, 2, 6, hidden=7),
        "style_encoder": StarGANv2StyleEncoder(1, 64, 2, 6, width=3, max_width=9),
    }
    file = tmp_path / "7_nets_ema.ckpt"
    # Saved from within a DataParallel, as by some versions of their code.
    torch.save(
        {k: {f"module.{n}": w for n, w in net.state_dict().items()} for k, net in networks.items()},
        file,
    )
    run = import_styled(file, "a", runs_dir=tmp_path, domains=("x", "y"))
    options, model, _ = load_model(run)
    assert (options.data.crop_size, options.data.input_channels) == (64, 1)
    assert open_run(run).latest().name == "step-00000007.pt"
    assert options.generator.model_dump()["max_width"] == 12
    for name, network in networks.items():
        for key, weight in network.state_dict().items():
            assert torch.equal(model.get_submodule(name).state_dict()[key], weight)
