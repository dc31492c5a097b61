"""The authors' files, built here from the reference vectors as their code would have saved them."""

import json
import os
import pickle
import shlex
import shutil
from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from torch import Tensor, nn

from i2i import build_model, build_trainer, load_translator
from i2i.config import read_options
from i2i.errors import CheckpointError, RunError
from i2i.export.published import export_published, import_published
from i2i.inference.about import describe_checkpoint
from i2i.networks import PatchGAN, ResNet, UNet
from i2i.networks.antialiased import AntialiasedResNet
from i2i.networks.patch_sampler import PatchSampler
from i2i.runs.checkpoint import load_checkpoint, save_checkpoint
from i2i.runs.folder import Run, open_run
from shrunk import shrunk

REFERENCE = Path(__file__).parent.parent / "reference"
Weights = dict[str, Tensor]


def vectors(name: str) -> tuple[dict[str, Any], dict[str, Tensor]]:
    with safe_open(REFERENCE / f"{name}.safetensors", "pt") as stored:
        metadata = {key: json.loads(text) for key, text in stored.metadata().items()}
        return metadata, {key: stored.get_tensor(key) for key in stored.keys()}  # noqa: SIM118


def part(tensors: dict[str, Tensor], prefix: str) -> Weights:
    """The weights under a prefix, in the class that a state_dict has."""
    return OrderedDict(
        (key.removeprefix(prefix), value)
        for key, value in tensors.items()
        if key.startswith(prefix)
    )


def save(weights: Any, path: Path, *, legacy: bool = False) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(weights, path, _use_new_zipfile_serialization=not legacy)
    return path


def unet() -> Weights:
    return part(vectors("unet_128_instance")[1], "state.")


def resnet() -> Weights:
    return part(vectors("resnet_6blocks_batch")[1], "state.")


def take(source: Path, tmp_path: Path, name: str = "taken", **arguments: Any) -> dict[str, Any]:
    """Import and return the checkpoint."""
    folder = import_published(source, name, runs_dir=tmp_path / "runs", **arguments)
    assert folder == tmp_path / "runs" / name
    return load_checkpoint(open_run(folder).latest())


def relative_error(ours: Tensor, theirs: Tensor) -> float:
    return ((ours - theirs).norm() / theirs.norm()).item()


@pytest.mark.parametrize(
    ("name", "arguments", "output"),
    [
        ("unet_128_instance", {"no_dropout": True}, "output.train"),
        ("resnet_6blocks_batch", {"evaluate": True}, "output.eval"),
    ],
)
def test_an_imported_generator_gives_the_published_output(tmp_path, name, arguments, output):
    metadata, tensors = vectors(name)
    take(save(part(tensors, "state."), tmp_path / "net.pth"), tmp_path, **arguments)
    image = metadata["image"]
    images = 2 * torch.rand(image["shape"], generator=seeded(image["seed"])) - 1
    stride = metadata["strides"][output]
    translator, _ = load_translator(tmp_path / "runs" / "taken", device="cpu")
    ours = translator(images)[..., ::stride, ::stride]
    assert relative_error(ours, tensors[output]) < 1e-5


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_batch_norm_takes_each_image_by_itself_as_their_test_does(tmp_path):
    # Their test runs in training mode, image by image.
    published = ResNet(3, 3, width=8, blocks=6, norm="batch").train()
    published.load_state_dict(resnet())
    images = 2 * torch.rand(3, 3, 32, 40, generator=seeded(0)) - 1
    expected = torch.cat([published(image[None]) for image in images]).detach()
    take(save(resnet(), tmp_path / "latest_net_G.pth"), tmp_path)
    translator, _ = load_translator(tmp_path / "runs" / "taken", device="cpu")
    assert relative_error(translator(images), expected) < 1e-5


def test_everything_is_worked_out_from_the_weights(tmp_path):
    tensors = vectors("trajectory_pix2pix")[1]
    save(part(tensors, "initial.G."), tmp_path / "facades" / "latest_net_G.pth")
    save(part(tensors, "initial.D."), tmp_path / "facades" / "latest_net_D.pth")
    state = take(tmp_path / "facades", tmp_path)
    options = read_options(state["options"])
    assert options.model == "pix2pix"
    assert options.generator.model_dump() == {
        "network": "unet",
        "width": 4,
        "downs": 7,
        "norm": "batch",
        "dropout": True,
        "upsample": "transposed",
        "upscale": 1,
        "adds_input": False,
        "init": "normal",
        "init_gain": 0.02,
    }
    discriminator = options.discriminator
    assert (discriminator.network, discriminator.width, discriminator.layers) == ("patchgan", 8, 3)
    assert options.inference.model_dump() == {"norm": "instance", "dropout": True}
    assert options.summary == "imported from latest_net_G.pth, latest_net_D.pth"
    for network, prefix in (("generator", "initial.G."), ("discriminator", "initial.D.")):
        ours, theirs = part(state["model"], f"{network}."), part(tensors, prefix)
        assert ours.keys() == theirs.keys()
        assert all(torch.equal(ours[key], theirs[key]) for key in theirs)
    text = describe_checkpoint(tmp_path / "runs" / "taken" / "checkpoints" / "step-00000000.pt")
    assert "imported from latest_net_G.pth" in text
    assert (tmp_path / "runs" / "taken" / "options.toml").read_text() == options.to_toml()


def cyclegan_folder(folder: Path, when: str = "latest") -> dict[str, Tensor]:
    tensors = vectors("trajectory_cyclegan")[1]
    for network in ("G_A", "G_B", "D_A", "D_B"):
        save(part(tensors, f"initial.{network}."), folder / f"{when}_net_{network}.pth")
    return tensors


def test_a_folder_of_cyclegan_translates_both_ways(tmp_path):
    tensors = cyclegan_folder(tmp_path / "maps")
    state = take(tmp_path / "maps", tmp_path)
    assert state["options"]["model"] == "cyclegan"
    assert state["options"]["inference"] == {"norm": "instance", "dropout": False}
    images = 2 * torch.rand(1, 3, 32, 32, generator=seeded(0)) - 1
    for direction, network in (("AtoB", "G_A"), ("BtoA", "G_B")):
        published = ResNet(3, 3, width=6, blocks=6, norm="instance")
        published.load_state_dict(part(tensors, f"initial.{network}."))
        translator, _ = load_translator(
            tmp_path / "runs" / "taken", direction=direction, device="cpu"
        )
        assert relative_error(translator(images), published(images).detach()) < 1e-5
    for network, theirs in (("discriminator_B", "D_A"), ("discriminator_A", "D_B")):
        weight = state["model"][f"{network}.model.0.weight"]
        assert torch.equal(weight, tensors[f"initial.{theirs}.model.0.weight"])


def test_generators_alone_are_enough(tmp_path):
    cyclegan_folder(tmp_path / "maps")
    for network in ("D_A", "D_B"):
        (tmp_path / "maps" / f"latest_net_{network}.pth").unlink()
    state = take(tmp_path / "maps", tmp_path)
    assert {key.split(".")[0] for key in state["model"]} == {"generator_AtoB", "generator_BtoA"}
    load_translator(tmp_path / "runs" / "taken", device="cpu")


def cut_folder(folder: Path) -> dict[str, Tensor]:
    """The recorded CUT, whose numbers were written down in double precision."""
    recorded = vectors("trajectory_cut")[1].items()
    tensors = {key: t.float() if t.is_floating_point() else t for key, t in recorded}
    for network in ("G", "D", "F"):
        save(part(tensors, f"initial.{network}."), folder / f"latest_net_{network}.pth")
    return tensors


@pytest.mark.parametrize("named", ["", "latest_net_G.pth"], ids=["folder", "file"])
def test_cut_is_told_from_pix2pix_by_its_generator(tmp_path, named):
    tensors = cut_folder(tmp_path / "horses")
    state = take(tmp_path / "horses" / named, tmp_path)
    options = read_options(state["options"])
    assert options.model == "cut"
    chosen = {role: each.network for role, each in options.networks.items()}
    assert chosen == {
        "generator": "antialiased-resnet",
        "discriminator": "antialiased-patchgan",
        "patch_sampler": "mlp",
    }
    widths = [options.networks[role].model_dump()["width"] for role in chosen]
    assert widths == [4, 4, 16]
    assert options.inference.model_dump() == {"norm": "instance", "dropout": False}
    for network, prefix in (("generator", "G"), ("discriminator", "D"), ("patch_sampler", "F")):
        ours, theirs = part(state["model"], f"{network}."), part(tensors, f"initial.{prefix}.")
        assert ours.keys() == theirs.keys()
        assert all(torch.equal(ours[key], theirs[key]) for key in theirs)
    published = AntialiasedResNet(3, 3, width=4)
    published.load_state_dict(part(tensors, "initial.G."))
    images = 2 * torch.rand(1, 3, 32, 32, generator=seeded(0)) - 1
    translator, _ = load_translator(tmp_path / "runs" / "taken", device="cpu")
    assert relative_error(translator(images), published(images).detach()) < 1e-5


def test_a_patch_sampler_of_unknown_layers_is_left_out(tmp_path, said):
    cut_folder(tmp_path / "horses")
    other = PatchSampler([3, 8], width=5).state_dict()
    save(other, tmp_path / "horses" / "latest_net_F.pth")
    state = take(tmp_path / "horses", tmp_path)
    assert any("latest_net_F.pth is left out" in line for line in said)
    assert {key.split(".")[0] for key in state["model"]} == {"generator", "discriminator"}


def test_antialiased_generators_of_other_models_are_theirs(tmp_path):
    """The code of CUT also trains CycleGAN with its networks; and one may change the channels."""
    weights = AntialiasedResNet(3, 3, width=2, blocks=1).state_dict()
    for name in ("G_A", "G_B"):
        save(weights, tmp_path / "maps" / f"latest_net_{name}.pth")
    options = take(tmp_path / "maps", tmp_path, "a")["options"]
    assert (options["model"], options["generator"]["network"]) == ("cyclegan", "antialiased-resnet")
    weights = AntialiasedResNet(1, 3, width=2, blocks=1, dropout=True).state_dict()
    options = take(save(weights, tmp_path / "colours_net_G.pth"), tmp_path, "b")["options"]
    assert (options["model"], options["generator"]["dropout"]) == ("pix2pix", True)


def test_the_files_of_the_latest_or_the_wanted_epoch_are_taken(tmp_path):
    folder = tmp_path / "maps"
    marks = {"5": 5.0, "iter_900": 6.0, "40": 7.0, "latest": 8.0}

    def first_weight(**arguments: Any) -> float:
        name = f"run{len(list((tmp_path / 'runs').glob('*')))}"
        state = take(folder, tmp_path, name, **arguments)
        return state["model"]["generator.model.1.weight"][0, 0, 0, 0].item()

    for when, mark in marks.items():
        weights = resnet()
        weights["model.1.weight"][0, 0, 0, 0] = mark
        save(weights, folder / f"{when}_net_G.pth")
    save({"model.0.weight": torch.zeros(1)}, folder / "40_net_D_A.pth")  # of no generator there
    assert first_weight() == 8.0
    assert first_weight(epoch="iter_900") == 6.0
    (folder / "latest_net_G.pth").unlink()
    assert first_weight() == 7.0
    with pytest.raises(CheckpointError, match=r"maps holds no generator of epoch '6' .*, but 40_"):
        first_weight(epoch="6")


@pytest.mark.parametrize("legacy", [False, True])
def test_files_of_every_age_are_read(tmp_path, legacy):
    # Within a DataParallel, by torch 0.4: with buffers of instance norm that no longer has any.
    weights = OrderedDict((f"module.{key}", value) for key, value in unet().items())
    with torch.device("meta"):
        batch = UNet(3, 3, width=4, downs=7, norm="batch").state_dict()
    for key, value in batch.items():
        if key.rsplit(".")[-1] in ("running_mean", "running_var"):
            weights[f"module.{key}"] = torch.ones(value.shape)
    weights._metadata = OrderedDict({"": {"version": 1}})
    state = take(save(weights, tmp_path / "latest_net_G.pth", legacy=legacy), tmp_path)
    ours = part(state["model"], "generator.")
    assert ours.keys() == unet().keys()
    assert all(torch.equal(ours[key], value) for key, value in unet().items())


def test_dropout_of_a_unet_is_a_question_of_where_it_comes_from(tmp_path, said):
    file = save(unet(), tmp_path / "facades.pth")
    dropout = [take(file, tmp_path, "a")["options"]["generator"]["dropout"]]
    assert any("taken to have dropout" in line for line in said)
    for name, source, arguments in (
        ("b", file, {"no_dropout": True}),
        ("c", save(unet(), tmp_path / "latest_net_G_A.pth"), {}),
    ):
        options = take(source, tmp_path, name, **arguments)["options"]
        dropout.append(options["generator"]["dropout"])
        assert options["inference"]["dropout"] == dropout[-1]
    assert dropout == [True, False, False]
    options = take(file, tmp_path, "d", evaluate=True)["options"]
    assert options["generator"]["dropout"]
    assert options["inference"] == {"norm": "running", "dropout": False}


@pytest.mark.parametrize("dropout", [False, True])
def test_dropout_of_a_resnet_is_seen(tmp_path, dropout):
    weights = ResNet(3, 1, width=2, blocks=2, norm="instance", dropout=dropout).state_dict()
    file = save(weights, tmp_path / "net.pth")
    options = take(file, tmp_path)["options"]
    assert options["generator"]["dropout"] == options["inference"]["dropout"] == dropout
    assert (options["data"]["input_channels"], options["data"]["output_channels"]) == (3, 1)
    if dropout:
        with pytest.raises(CheckpointError, match=r"net\.pth has dropout, as the names"):
            take(file, tmp_path, "again", no_dropout=True)


def test_weights_that_do_not_fit_are_named_and_nothing_is_left_behind(tmp_path):
    weights = unet()
    lost = weights.pop("model.model.1.model.5.weight")
    with pytest.raises(
        CheckpointError, match=r"lost\.pth .* missing: model\.model\.1\.model\.5\.w"
    ):
        take(save(weights, tmp_path / "lost.pth"), tmp_path)
    weights |= {"model.model.1.model.5.weight": lost, "model.model.9.weight": lost}
    with pytest.raises(CheckpointError, match=r"more\.pth .* left over: model\.model\.9\.weight\."):
        take(save(weights, tmp_path / "more.pth"), tmp_path)
    assert not (tmp_path / "runs").exists()


class Evil:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (os.environ["EVIL"],)


def test_code_in_a_file_is_never_executed(tmp_path, monkeypatch):
    trap = tmp_path / "executed"
    monkeypatch.setenv("EVIL", str(trap))
    for legacy in (False, True):
        file = save({**unet(), "evil": Evil()}, tmp_path / "latest_net_G.pth", legacy=legacy)
        with pytest.raises(CheckpointError, match=r"cannot be read: .* nothing but tensors"):
            take(file, tmp_path)
    file.write_bytes(pickle.dumps(Evil()))
    with pytest.raises(CheckpointError, match="cannot be read"):
        take(file, tmp_path)
    assert not trap.exists()


def test_foreign_files_are_refused(tmp_path):
    good = save(unet(), tmp_path / "good.pth", legacy=True).read_bytes()
    for number, content in enumerate([b"", b"<html>", bytes(range(256)), good[: len(good) // 2]]):
        (tmp_path / f"{number}.pth").write_bytes(content)
        with pytest.raises(CheckpointError, match=rf"{number}\.pth cannot be read: expected a fil"):
            take(tmp_path / f"{number}.pth", tmp_path)
    for content, reason in (
        ({"epoch": 3, "state_dict": unet()}, "holds more than weights"),
        ([torch.zeros(1)], "holds more than weights"),
        ({"features.0.weight": torch.zeros(1)}, "of no published network"),
        ({}, "of no published network"),
        (PatchGAN(3, width=2, layers=1, norm="none").state_dict(), "expected a generator"),
    ):
        with pytest.raises(CheckpointError, match=reason):
            take(save(content, tmp_path / "other.pth"), tmp_path)
    with pytest.raises(CheckpointError, match="absent is neither a file nor a folder"):
        take(tmp_path / "absent", tmp_path)


def test_folders_without_a_whole_set_are_refused(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(CheckpointError, match=r"empty holds no generator .* nor any other"):
        take(tmp_path / "empty", tmp_path)
    cyclegan_folder(tmp_path / "half")
    (tmp_path / "half" / "latest_net_G_B.pth").unlink()
    with pytest.raises(
        CheckpointError, match=r"half holds no generator .* but latest_net_D_A\.pth"
    ):
        take(tmp_path / "half", tmp_path)


def test_arguments_without_effect_are_refused(tmp_path):
    file = save(resnet(), tmp_path / "net.pth")
    with pytest.raises(CheckpointError, match=r"epoch \(='5'\) chooses among .* is one file"):
        take(file, tmp_path, epoch="5")
    with pytest.raises(CheckpointError, match=r"labels \(a, b\) are for StarGAN, but .* resnet"):
        take(file, tmp_path, domains=["a", "b"])


HAIR = [["black", "blond", "brown"], ["male"], ["young"]]


@pytest.mark.parametrize("kind", ["domains", "attributes"])
def test_an_imported_stargan_gives_the_published_output(tmp_path, kind):
    metadata, tensors = vectors("stargan_generator")
    file = save(part(tensors, "state."), tmp_path / "200000-G.ckpt")
    names = [name for group in HAIR for name in group]
    save(part(vectors("stargan_discriminator")[1], "state."), tmp_path / "200000-D.ckpt")
    take(file, tmp_path, **({"domains": names} if kind == "domains" else {"attributes": HAIR}))
    translator, _ = load_translator(tmp_path / "runs" / "taken", device="cpu")
    image = metadata["image"]
    images = 2 * torch.rand(image["shape"], generator=seeded(image["seed"])) - 1
    stride = metadata["strides"]["output.train"]
    for image, expected, label in zip(
        images, tensors["output.train"], tensors["input.label"], strict=True
    ):
        name = names[int(label.argmax())]
        others = torch.zeros(1, 5)
        ours = translator(image, domain=name, labels=others)[..., ::stride, ::stride]
        assert relative_error(ours, expected) < 1e-5
    found = translator.conditioner.labels.sets[0]
    assert found.exclusive == (kind == "domains")
    assert found.groups == (() if kind == "domains" else (tuple(HAIR[0]),))
    assert (translator.conditioner.classifier is not None) == (kind == "attributes")


def test_every_label_plane_needs_a_name(tmp_path):
    file = save(part(vectors("stargan_generator")[1], "state."), tmp_path / "200000-G.ckpt")
    with pytest.raises(CheckpointError, match=r"2 labels are named \(a, b\), .* 5 label planes"):
        take(file, tmp_path, domains=["a", "b"])
    with pytest.raises(CheckpointError, match="3 labels are named"):
        take(file, tmp_path, attributes=[["a", "b"], ["c"]])
    with pytest.raises(CheckpointError, match=r"5 labels .*, 2 of which say whose labels"):
        take(file, tmp_path, domains=["a", "b", "c"], domains_2=["d", "e"])
    with pytest.raises(CheckpointError, match=r"has 5 label planes.* --domains A,B.*--attributes"):
        take(file, tmp_path)
    assert not (tmp_path / "runs").exists()


def test_labels_get_other_names_in_a_new_run(tmp_path):
    file = save(part(vectors("stargan_generator")[1], "state."), tmp_path / "200000-G.ckpt")
    wrong = take(file, tmp_path, "wrong", domains=list("abcde"))
    right = take(tmp_path / "runs" / "wrong", tmp_path, "right", attributes=HAIR)
    assert not right["options"]["data"]["domains"]
    assert tuple(right["options"]["data"]["attributes"]) == sum(map(tuple, HAIR), ())
    assert right["step"] == wrong["step"] == 200000
    assert right["model"].keys() == wrong["model"].keys()
    assert all(torch.equal(right["model"][key], wrong["model"][key]) for key in wrong["model"])
    folder, _ = trained("pix2pix", tmp_path)
    with pytest.raises(CheckpointError, match="is a run of i2i already, of pix2pix"):
        take(folder, tmp_path, "other", domains=["a"])


def test_a_run_on_two_data_sets_goes_to_the_authors_code_and_back(tmp_path, said):
    more = 'data.more=[{attributes=["male", "young", "old"], groups=[["young", "old"]]}]'
    folder, _ = trained("stargan", tmp_path, more)
    said.clear()
    generator, discriminator = export_published(folder, tmp_path / "my out", average=False)
    flags = {line.split(": ", 1)[0]: line.split(": ", 1)[1] for line in said[1:]}
    # Their solver builds G(conv_dim, c_dim + c2_dim + 2, ...) and D(..., c_dim + c2_dim, ...).
    assert flags[str(generator)].endswith("--dataset Both --c_dim 3 --c2_dim 3")
    weights = torch.load(generator, weights_only=True)
    assert weights["main.0.weight"].shape[1] == 3 + (3 + 3 + 2)
    assert torch.load(discriminator, weights_only=True)["conv2.weight"].shape[0] == 3 + 3
    back = shlex.split(said[-1].split("back with: ")[1])
    assert back[:4] == ["i2i", "import", str(generator), "RUN_NAME"]
    assert back[4:] == ["--domains", "red,green,blue", "--attributes-2", "male,young|old"]

    before = load_checkpoint(open_run(folder).latest())
    after = take(
        generator,
        tmp_path,
        domains=["red", "green", "blue"],
        attributes_2=[["male"], ["young", "old"]],
    )
    assert after["model"].keys() == before["model"].keys()
    assert all(torch.equal(after["model"][key], before["model"][key]) for key in after["model"])
    theirs, ours = (read_options(each["options"]).data.labels for each in (before, after))
    assert ours == theirs
    with pytest.raises(CheckpointError, match=r"3 labels are named .* 8 label planes"):
        take(generator, tmp_path, "single", domains=["red", "green", "blue"])


def test_networks_that_do_not_belong_together_are_refused(tmp_path):
    cyclegan_folder(tmp_path / "mixed")
    shutil.copy(save(resnet(), tmp_path / "another.pth"), tmp_path / "mixed" / "latest_net_G_B.pth")
    with pytest.raises(CheckpointError, match=r"G_B\.pth .* does not go with latest_net_G_A\.pth"):
        take(tmp_path / "mixed", tmp_path)
    discriminator = PatchGAN(1, width=2, layers=1, norm="batch").state_dict()
    save(resnet(), tmp_path / "latest_net_G.pth")
    beside = save(discriminator, tmp_path / "latest_net_D.pth")
    with pytest.raises(CheckpointError, match=r"D\.pth .* in one pix2pix: move it elsewhere"):
        take(tmp_path / "latest_net_G.pth", tmp_path)
    beside.unlink()
    take(tmp_path / "latest_net_G.pth", tmp_path)


def test_a_run_is_never_replaced(tmp_path):
    file = save(resnet(), tmp_path / "net.pth")
    take(file, tmp_path)
    with pytest.raises(RunError, match="exists already"):
        take(file, tmp_path)


def export(run: Path, folder: Path, **arguments: Any) -> list[Path]:
    return export_published(run, folder, **arguments)


@pytest.mark.parametrize("kind", ["pix2pix", "cyclegan", "cut"])
def test_what_was_imported_is_exported_bit_by_bit(tmp_path, kind):
    tensors = vectors(f"trajectory_{kind}")[1]
    networks = {key.split(".")[1] for key in tensors if key.startswith("initial.")}
    for network in networks:
        save(part(tensors, f"initial.{network}."), tmp_path / "in" / f"latest_net_{network}.pth")
    take(tmp_path / "in", tmp_path)
    files = export(tmp_path / "runs" / "taken", tmp_path / "out")
    assert {file.name for file in files} == {f"latest_net_{network}.pth" for network in networks}
    assert sorted(files) == sorted((tmp_path / "out").iterdir())
    for file in files:
        theirs = torch.load(tmp_path / "in" / file.name, weights_only=True)
        ours = torch.load(file, weights_only=True)
        assert ours.keys() == theirs.keys()
        assert all(torch.equal(ours[key], theirs[key]) for key in theirs)


def trained(recipe: str, tmp_path: Path, *settings: str) -> tuple[Path, nn.Module]:
    """The run folder of a small model with a moving average that differs from its weights."""
    options = shrunk(recipe, "train.ema_decay=0.9", *settings)
    trainer = build_trainer(options, build_model(options))
    with torch.no_grad():
        for parameter in trainer.model.parameters():
            parameter.add_(1.0)
    run = Run(tmp_path / "runs" / recipe)
    run.best.parent.mkdir(parents=True)
    about = {"options": options.to_dict(), "data": "", "best": None}
    save_checkpoint(run.checkpoint(7), about | trainer.state_dict())
    return run.folder, trainer.model


@pytest.mark.parametrize("recipe", ["pix2pix", "cyclegan", "cut"])
def test_the_average_or_the_weights_as_trained(tmp_path, recipe):
    folder, model = trained(recipe, tmp_path)
    generator = model.generators[0]
    name = "latest_net_G_A.pth" if recipe == "cyclegan" else "latest_net_G.pth"
    live = model.get_submodule(generator).state_dict()
    for average, expected in ((None, -1.0), (True, -1.0), (False, 0.0)):
        export(folder, tmp_path / f"out{average}", average=average)
        weights = torch.load(tmp_path / f"out{average}" / name, weights_only=True)
        assert weights.keys() == live.keys()
        for key in dict(model.get_submodule(generator).named_parameters()):
            torch.testing.assert_close(weights[key], live[key] + expected)


@pytest.mark.parametrize("recipe", ["pix2pix", "cyclegan", "cut"])
def test_an_exported_run_comes_back_as_the_same_run(tmp_path, recipe):
    settings = ["game.nce_layers=[0, 4, 8, 12, 16]"] if recipe == "cut" else []
    folder, _ = trained(recipe, tmp_path, "discriminator.network=pixelgan", *settings)
    before = load_checkpoint(open_run(folder).latest())
    export(folder, tmp_path / "out", average=False)
    after = take(tmp_path / "out", tmp_path)
    kept = {key: w for key, w in before["model"].items() if not key.startswith("pool_")}
    assert after["model"].keys() == kept.keys()
    assert all(torch.equal(after["model"][key], kept[key]) for key in kept)
    before, after = (state["options"]["generator"] for state in (before, after))
    assert after == before | {"dropout": False}  # a U-Net this small has none


def test_an_exported_file_is_of_the_format_that_every_pytorch_reads(tmp_path):
    folder, _ = trained("pix2pix", tmp_path)
    file = export(folder, tmp_path / "out")[0]
    assert file.read_bytes()[:2] == b"\x80\x02"  # a pickle, not a zip file
    loaded = torch.load(file, weights_only=True)
    assert type(loaded) is OrderedDict


def test_flags_for_the_authors_code_are_printed(tmp_path, said):
    def flags(weights: Weights, name: str, **arguments: Any) -> str:
        take(save(weights, tmp_path / f"{name}.pth"), tmp_path, name, **arguments)
        export_published(tmp_path / "runs" / name, tmp_path / name)
        return said[-1].split(": ", 1)[1]

    assert flags(unet(), "a") == (
        "--netG unet_128 --ngf 4 --norm instance --input_nc 3 --output_nc 3"
    )
    assert flags(resnet(), "b") == (
        "--netG resnet_6blocks --ngf 8 --norm batch --no_dropout --input_nc 3 --output_nc 3"
    )
    cut = AntialiasedResNet(3, 3, width=8, blocks=9).state_dict()
    assert flags(cut, "cut") == (
        "--netG resnet_9blocks --ngf 8 --normG instance --no_dropout true "
        "--input_nc 3 --output_nc 3"
    )
    odd = ResNet(1, 3, width=2, blocks=1, norm="none").state_dict()
    assert flags(odd, "c").endswith(
        "(which their define_G does not know: add a case of this depth)"
    )


def test_what_has_no_published_counterpart_is_not_exported(tmp_path):
    folder, _ = trained("pix2pix", tmp_path, "generator.upsample=resize")
    with pytest.raises(
        CheckpointError, match=r"upsample is 'resize'.*--format onnx.*upsample=transposed"
    ):
        export(folder, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    shutil.rmtree(folder)
    folder, _ = trained("pix2pix", tmp_path)
    path = open_run(folder).latest()
    state = load_checkpoint(path)
    save_checkpoint(path, state | {"average": {}})
    with pytest.raises(CheckpointError, match="has no moving average"):
        export(folder, tmp_path / "out", average=True)


def test_nothing_is_overwritten(tmp_path):
    folder, _ = trained("pix2pix", tmp_path)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "latest_net_D.pth").write_text("precious")
    with pytest.raises(CheckpointError, match=r"latest_net_D\.pth exists already"):
        export(folder, tmp_path / "out")
    assert [file.name for file in (tmp_path / "out").iterdir()] == ["latest_net_D.pth"]
    assert (tmp_path / "out" / "latest_net_D.pth").read_text() == "precious"
    with pytest.raises(CheckpointError, match=r"latest_net_D\.pth cannot be made"):
        export(folder, tmp_path / "out" / "latest_net_D.pth")


def test_a_full_disk_leaves_no_half_file(tmp_path, monkeypatch):
    folder, _ = trained("pix2pix", tmp_path)

    def full(*arguments: object, **more: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(CheckpointError, match=r"could not be written: .* No space left"):
        export(folder, tmp_path / "out")
    assert not list((tmp_path / "out").iterdir())
