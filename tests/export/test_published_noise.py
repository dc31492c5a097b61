"""Pickles of StyleGAN2 and R3GAN: weights are taken, and nothing in them is run."""

import io
import os
import pickle
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import nn

from i2i.errors import CheckpointError
from i2i.export.pickled import pickled_networks
from i2i.export.published_noise import import_pickled
from i2i.inference.load import load_model, load_sampler
from i2i.inference.sampler import Sampler
from i2i.networks.r3gan import R3GANDiscriminator, R3GANGenerator
from i2i.networks.stylegan2 import StyleGAN2Generator
from i2i.networks.stylegan2_discriminator import StyleGAN2Discriminator

EVIL = "raise SystemExit('source code of a pickle was run')"


class EasyDict(dict):
    """A dictionary of another library."""


class Persistent:
    """A module as the authors' code pickles it: by a function that is given its source code."""

    def __init__(self, module: nn.Module, *, plain: bool) -> None:
        inner = {
            name: Persistent(each, plain=True) for name, each in module._modules.items() if each
        }
        self.state = {
            "training": False,
            "_parameters": module._parameters,
            "_buffers": module._buffers,
            "_modules": inner,
        }
        self.plain = plain

    def __reduce__(self) -> Any:
        persistence = sys.modules["torch_utils.persistence"]
        if self.plain:
            return persistence.Layer, (), self.state
        meta = EasyDict(type="class", version=6, module_src=EVIL, class_name="G", state=self.state)
        return persistence._reconstruct_persistent_obj, (meta,)


@pytest.fixture
def written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Writes a pickle of networks whose classes nobody has who reads it."""

    def write(name: str, **networks: nn.Module) -> Path:
        library, persistence = ModuleType("torch_utils"), ModuleType("torch_utils.persistence")
        exec(
            "def _reconstruct_persistent_obj(meta): raise SystemExit('run')\nclass Layer: pass",
            vars(persistence),
        )
        persistence.Layer.__module__ = persistence._reconstruct_persistent_obj.__module__ = (
            "torch_utils.persistence"
        )
        path = tmp_path / name
        with monkeypatch.context() as now:
            now.setitem(sys.modules, "torch_utils", library)
            now.setitem(sys.modules, "torch_utils.persistence", persistence)
            held = {key: Persistent(each, plain=False) for key, each in networks.items()}
            settings = EasyDict(class_name="training.dataset.ImageFolderDataset")
            path.write_bytes(pickle.dumps({"training_set_kwargs": settings, **held}))
        return path

    return write


def stylegan2(classes: int = 0, **more: Any) -> tuple[StyleGAN2Generator, StyleGAN2Discriminator]:
    widths = {"channel_base": 192, "channel_max": 16}
    generator = StyleGAN2Generator(5, 3, 32, classes, style=7, mapping_layers=3, **widths, **more)
    discriminator = StyleGAN2Discriminator(3, 32, classes, mapping_layers=2, **widths)
    for network in (generator, discriminator):
        for parameter in network.parameters():
            parameter.data = torch.randn_like(parameter) * 0.5
    generator.mapping.w_avg.normal_()
    return generator, discriminator


def r3gan(classes: int = 0) -> tuple[R3GANGenerator, R3GANDiscriminator]:
    shape = {"width": (8, 8, 6), "groups": (2, 4, 3), "blocks": (1, 2, 1)}
    generator = R3GANGenerator(5, 1, 16, classes, embedding=4 if classes else 0, **shape)
    discriminator = R3GANDiscriminator(1, 16, classes, embedding=3 if classes else 0, **shape)
    for parameter in generator.parameters():
        parameter.data = torch.randn_like(parameter) * 0.3
    return generator, discriminator


@pytest.mark.parametrize("make", [stylegan2, r3gan])
@pytest.mark.parametrize("classes", [0, 3])
def test_a_pickle_becomes_a_run(
    make: Any, classes: int, written: Any, tmp_path: Path, said: list[str]
) -> None:
    generator, discriminator = make(classes)
    other, _ = make(classes)
    path = written("some.pkl", G=other, D=discriminator, G_ema=generator)
    names = ["a", "b", "c"][:classes]
    run = import_pickled(path, "x", runs_dir=tmp_path, domains=names)
    assert f"some.pkl: G_ema is a {make.__name__} generator of" in said[0]
    sampler, _ = load_sampler(run, device="cpu")
    assert sampler.names == tuple(names)
    size = 32 if make is stylegan2 else 16
    ours = Sampler(generator, sampler.latent, names=names, size=size)
    assert torch.equal(sampler(range(5)), ours(range(5)))
    assert sampler(range(5)).float().std() > 5
    images = torch.randn(2, 3 if make is stylegan2 else 1, size, size)
    labels = torch.eye(3)[:2] if classes else None
    _, model, _ = load_model(run)
    torch.testing.assert_close(model.discriminator(images, labels), discriminator(images, labels))


def test_a_generator_without_skips_alone(written: Any, tmp_path: Path) -> None:
    generator, _ = stylegan2(architecture="orig")
    run = import_pickled(written("orig.pkl", G_ema=generator), "x", runs_dir=tmp_path)
    sampler, _ = load_sampler(run, device="cpu")
    assert torch.equal(sampler([3]), Sampler(generator, sampler.latent, size=32)([3]))


class Hostile:
    def __init__(self, *call: Any) -> None:
        self.call = call

    def __reduce__(self) -> Any:
        return self.call


@pytest.mark.parametrize(
    "call",
    [
        (os.system, ("touch ran",)),
        (eval, ("open('ran', 'w')",)),
        (exec, ("open('ran', 'w')",)),
        (getattr, (os, "remove")),
        (torch.load, ("ran",)),
        (torch.hub.load, ("a", "b")),
        (Path, ("ran",)),
    ],
    ids=lambda call: getattr(call[0], "__name__", "call"),
)
def test_no_function_is_run(call: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    if call[0] is getattr:
        call = (getattr, ("os", "remove"))
    content = {"G_ema": Hostile(*call), "rest": [Hostile(*call)]}
    (tmp_path / "evil.pkl").write_bytes(pickle.dumps(content))
    with pytest.raises(CheckpointError, match="holds no weights"):
        pickled_networks(tmp_path / "evil.pkl")
    assert not (tmp_path / "ran").exists()


def test_a_pickle_within_a_storage_is_not_run_either(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for inner in (
        pickle.dumps(Hostile(os.system, ("touch ran",))),
        _saved(Hostile(os.system, ("touch ran",))),
    ):
        evil = {"G_ema": Hostile(torch.storage._load_from_bytes, (inner,))}
        (tmp_path / "evil.pkl").write_bytes(pickle.dumps(evil))
        with pytest.raises(CheckpointError, match="cannot be read"):
            pickled_networks(tmp_path / "evil.pkl")
        assert not (tmp_path / "ran").exists()


def _saved(what: Any) -> bytes:
    into = io.BytesIO()
    torch.save(what, into, _use_new_zipfile_serialization=False)
    return into.getvalue()


@pytest.mark.parametrize(
    ("size", "stride", "offset"),
    [
        ((5,), (1,), 0),
        ((4,), (1,), 1),
        ((2, 2), (4, 1), 0),
        ((2**30, 2**9), (0, 0), 0),
        ((-1,), (1,), 0),
    ],
)
def test_a_tensor_stays_within_its_storage(
    size: Any, stride: Any, offset: int, tmp_path: Path
) -> None:
    storage = Hostile(torch.storage._load_from_bytes, (_saved(torch.zeros(4)._typed_storage()),))
    call = (torch._utils._rebuild_tensor_v2, (storage, offset, size, stride, False, {}))
    (tmp_path / "x.pkl").write_bytes(pickle.dumps({"G": Hostile(*call)}))
    with pytest.raises(CheckpointError, match=r"tensor (is larger than|has an impossible)"):
        pickled_networks(tmp_path / "x.pkl")


def test_what_is_no_such_file(written: Any, tmp_path: Path) -> None:
    def refused(path: Path, match: str) -> None:
        with pytest.raises(CheckpointError, match=match):
            import_pickled(path, "x", runs_dir=tmp_path / "runs")
        assert not (tmp_path / "runs" / "x").exists()

    (tmp_path / "cut.pkl").write_bytes(b"\x80\x04\x95")
    refused(tmp_path / "cut.pkl", "cannot be read: expected a pickle")
    (tmp_path / "list.pkl").write_bytes(pickle.dumps([1]))
    refused(tmp_path / "list.pkl", "holds a list: expected a dictionary of networks")
    refused(tmp_path / "missing.pkl", "cannot be read: No such file")
    refused(written("other.pkl", G=nn.Linear(2, 3)), "neither StyleGAN2's generator nor R3GAN's")
    refused(written("d.pkl", D=stylegan2()[1]), "holds D, but no generator")
    generator, _ = stylegan2()
    generator.synthesis.b8.conv1.bias = nn.Parameter(torch.zeros(3))
    refused(written("bias.pkl", G=generator), "the generator does not fit stylegan2: size mismatch")
    generator, _ = stylegan2()
    generator.synthesis.b8.conv1.bias.data[0] = float("nan")
    refused(written("nan.pkl", G=generator), "b8.conv1.bias holds values that are not finite")
    path = written("none.pkl", G=stylegan2()[0])
    with pytest.raises(CheckpointError, match=r"2 domains are named .* told no classes"):
        import_pickled(path, "x", runs_dir=tmp_path, domains=["a", "b"])
