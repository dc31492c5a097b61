"""Files of pix2pixHD and SPADE as the authors' code saves them, taken in and given out."""

from pathlib import Path
from typing import Any

import pytest
import torch

from i2i.config.recipes import load_options
from i2i.errors import CheckpointError
from i2i.export.published import export_published, import_published
from i2i.inference.load import load_model, load_translator
from i2i.models.build import build_model
from i2i.networks.spade import StyleEncoder
from recordings import REFERENCE, Vectors
from shrunk import shrunk


def recorded(name: str) -> Vectors:
    return Vectors(REFERENCE / f"{name}.safetensors")


def files(folder: Path, **networks: str) -> Path:
    """Recorded weights under the names of the authors' files."""
    folder.mkdir()
    for letter, name in networks.items():
        state = {key: value.float() for key, value in recorded(name).under("state").items()}
        torch.save(state, folder / f"latest_net_{letter}.pth")
    return folder


CASES: list[tuple[str, dict[str, str], dict[str, Any]]] = [
    ("pix2pixhd", {"G": "pix2pixhd_global", "D": "pix2pixhd_discriminator"}, {}),
    ("pix2pixhd", {"G": "pix2pixhd_local"}, {}),
    ("spade", {"G": "spade_generator", "D": "spade_discriminator"}, {}),
]


@pytest.mark.parametrize(("model", "networks", "flags"), CASES)
def test_recorded_networks_are_recognised_and_come_back(
    model: str, networks: dict[str, str], flags: dict[str, Any], tmp_path: Path, said: list[str]
) -> None:
    source = files(tmp_path / "theirs", **networks)
    folder = import_published(source, "a", runs_dir=tmp_path / "runs", **flags)
    options, ours, _ = load_model(folder)
    record = recorded(networks["G"])
    assert options.model == model
    side = options.data.A
    assert (side.kind, side.classes, bool(side.instances)) == (
        "labels", options.data.input_channels - 1, True,
    )  # fmt: skip
    with torch.no_grad():
        [given] = record.under("input").values()
        made = ours.double().eval().generator(given.double())
    assert record.error("output.eval", made) < 1e-9
    written = export_published(folder, tmp_path / "back")
    assert {path.name for path in written} == {f"latest_net_{each}.pth" for each in networks}
    for path in written:
        before = torch.load(source / path.name, weights_only=True)
        after = torch.load(path, weights_only=True)
        assert before.keys() == after.keys()
        assert all(torch.equal(before[key], after[key]) for key in before)
    flags_said = said[-1] if len(networks) == 1 else said[-2]
    assert f"--label_nc {side.classes}" in flags_said


def test_an_encoder_beside_a_generator_makes_it_one_of_styles(tmp_path: Path) -> None:
    folder = files(tmp_path / "theirs", G="spade_generator_vae")
    encoder = StyleEncoder(3, 16, width=1)  # the recorded one has styles of another length
    torch.save(encoder.state_dict(), folder / "latest_net_E.pth")
    run = import_published(folder, "a", runs_dir=tmp_path / "runs")
    options, _, _ = load_model(run)
    assert options.model == "spade-vae"
    translator = load_translator(run, device="cpu")
    size = options.data.crop_size
    maps = torch.zeros(1, translator.labels[0].channels, size, size, dtype=torch.uint8)
    assert translator(maps).shape == (1, 3, size, size)


def test_what_planes_mean_is_said_by_the_flags(tmp_path: Path) -> None:
    model = build_model(shrunk("spade", "data.A.kind=labels", "data.A.classes=6"))
    (tmp_path / "g").mkdir()
    torch.save(model.generator.state_dict(), tmp_path / "g/latest_net_G.pth")
    run = import_published(
        *(tmp_path / "g", "a"),
        runs_dir=tmp_path / "runs", no_instances=True, dont_care=True,
    )  # fmt: skip
    side = load_model(run)[0].data.A
    assert (side.classes, side.ignore_plane, side.instances) == (5, True, "")
    unet = build_model(load_options(shrunk("pix2pix")))
    torch.save(unet.generator.state_dict(), tmp_path / "g/latest_net_G.pth")
    with pytest.raises(CheckpointError, match="are for pix2pixHD and SPADE"):
        import_published(tmp_path / "g", "b", runs_dir=tmp_path / "runs", no_instances=True)


def test_the_coarse_head_stays_here(tmp_path: Path) -> None:
    model = shrunk("pix2pixhd-local", "generator.downs=1", "train.steps=1")
    from i2i.training.build import build_trainer

    trainer = build_trainer(model, build_model(model), images=4)
    trainer.save(tmp_path / "a.pt")
    [first, *_] = export_published(tmp_path / "a.pt", tmp_path / "out")
    assert not any("coarse" in key for key in torch.load(first, weights_only=True))
