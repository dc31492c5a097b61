"""Files from anywhere: whatever is in them, there is a sentence, and never more than is bearable.

Each kind of file is made bad in some hundred ways that follow from a seed. What reads it may
succeed, or refuse with one of the project's own errors; anything else is a fault. More of them by
hand: I2I_FUZZ=5000 pytest tests/test_fuzz.py
"""

import gzip
import io
import json
import os
import resource
import shutil
import struct
import sys
import tarfile
import time
import warnings
import zipfile
from collections.abc import Callable, Iterator
from itertools import cycle, islice
from pathlib import Path
from random import Random
from typing import Any

import mutations
import numpy as np
import pytest
import tifffile
import tomli_w
import torch
from PIL import Image
from run_folder import make_run

from i2i.config import read_options
from i2i.config.recipes import load_options, parse_setting, recipes
from i2i.data.catalogue.cards import read_catalogue
from i2i.data.catalogue.idx import find_idx
from i2i.data.catalogue.unpack import unpack
from i2i.data.images.arrays import read_array, to_bands, write_array
from i2i.data.images.probe import look_at
from i2i.data.images.read import read_image
from i2i.data.sides import readers
from i2i.errors import I2iError
from i2i.inference.load import load_exported, load_sampler, load_translator
from i2i.inference.onnx.description import Description
from i2i.metrics.classifier import Classifier, Network, load_classifier, save_classifier
from i2i.models.build import build_model
from i2i.report.page import write_report
from i2i.runs.checkpoint import save_checkpoint
from i2i.runs.opening import open_checkpoint
from i2i.training.build import build_trainer
from i2i.training.resumable import require_resumable
from shrunk import shrunk

TIMES = int(os.environ.get("I2I_FUZZ", "300"))
"""Of each kind."""

SECONDS = 5
BYTES = 2**30


@pytest.fixture(autouse=True)
def bounds() -> Iterator[None]:
    """What all files of a kind together may take of the memory, in most cases much less."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of Pillow and numpy, about broken files
        yield
    unit = 1 if sys.platform == "darwin" else 1024
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * unit < BYTES


def each(make: Callable[[Random], Any], read: Callable[[Any], Any], times: int = TIMES) -> int:
    """Make `times` bad files and read each; says how many were refused."""
    refused = 0
    for seed in range(times):
        bad = make(Random(seed))
        began = time.perf_counter()
        said = None
        try:
            read(bad)
        except I2iError as error:
            said = str(error)
        except Exception as error:
            raise AssertionError(f"seed {seed}: {type(error).__name__}: {error}"[:500]) from error
        assert time.perf_counter() - began < SECONDS, seed
        assert said is None or 0 < len(said.strip()) < 20_000, seed
        refused += said is not None
    return refused


def resumed(path: Path) -> None:
    """What `i2i train --resume` does with a checkpoint, without data."""
    options, state = open_checkpoint(path)
    trainer = build_trainer(options)
    require_resumable(trainer, state, str(path))
    trainer.load_state_dict(state)


@pytest.mark.slow
@pytest.mark.parametrize("recipe", ["pix2pix-quick", "progan"])
def test_checkpoints(recipe: str, tmp_path: Path) -> None:
    options = shrunk(recipe, "train.ema_decay=0.9")
    trainer = build_trainer(options, build_model(options))
    for parameter in trainer.model.parameters():  # as after a step
        parameter.grad = torch.zeros_like(parameter)
    for optimizer in trainer.optimizers.values():
        optimizer.step()
    path = tmp_path / "checkpoints" / "step-00000001.pt"
    path.parent.mkdir()
    about = {"options": options.to_dict(), "data": "", "decisive": None, "best": 0.5, "stale": 0}
    good = {**about, **trainer.state_dict(), "ranks": []}
    save_checkpoint(path, good)
    resumed(path)
    whole = path.read_bytes()

    def make(random: Random) -> Path:
        if random.random() < 0.3:
            path.write_bytes(mutations.bytes_of(whole, random))
            return path
        bad = mutations.value_of({"format": "i2i checkpoint", "version": 1, **good}, random)
        depth = sys.getrecursionlimit()
        sys.setrecursionlimit(10**5)  # for pickle, which has to write what is nested
        try:
            torch.save(bad, path)
        except (RecursionError, RuntimeError, TypeError, ValueError):
            path.write_bytes(mutations.bytes_of(whole, random))
        finally:
            sys.setrecursionlimit(depth)
        return path

    def read(path: Path) -> None:
        if recipe == "progan":
            load_sampler(path, device="cpu")
        else:
            load_translator(path, device="cpu")(torch.zeros(1, 3, 16, 16))
        resumed(path)

    assert each(make, read, TIMES // 2) > TIMES // 8


def test_metadata_of_onnx_files(tmp_path: Path) -> None:
    options = shrunk("pix2pix-quick")
    good = Description(options.to_dict(), "a.pt", "AtoB", 3, 3, (), 4, "image").to_metadata()
    values = {key: json.loads(value) for key, value in good.items()}

    def make(random: Random) -> dict[str, str]:
        if random.random() < 0.3:
            key = random.choice(list(good))
            changed = mutations.bytes_of(good[key].encode(), random).decode(errors="replace")
            return {**good, key: changed}
        bad = mutations.value_of(values, random)
        assert isinstance(bad, dict)
        return {str(key): _json(value) for key, value in bad.items()}

    def read(metadata: dict[str, str]) -> None:
        Description.from_metadata(metadata, tmp_path / "a.onnx")

    assert each(make, read) > TIMES // 4


def test_onnx_files(tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    options = shrunk("pix2pix-quick")
    shape = ["batch", 3, "height", "width"]
    ends = [
        onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape)
        for name in ("images", "translated")
    ]
    node = onnx.helper.make_node("Neg", ["images"], ["translated"])
    graph = onnx.helper.make_graph([node], "negative", ends[:1], ends[1:])
    opset = onnx.helper.make_opsetid("", 20)
    model = onnx.helper.make_model(graph, opset_imports=[opset], ir_version=10)
    about = Description(options.to_dict(), "a.pt", "AtoB", 3, 3, (), 4, "image")
    onnx.helper.set_model_props(model, about.to_metadata())
    good = model.SerializeToString()
    path = tmp_path / "a.onnx"

    def make(random: Random) -> Path:
        path.write_bytes(mutations.bytes_of(good, random))
        return path

    def read(path: Path) -> None:
        load_exported(path, device="cpu")(torch.zeros(1, 3, 8, 8))

    assert each(make, read) > TIMES // 8


def _json(value: Any) -> str:
    try:
        return json.dumps(value)
    except (RecursionError, ValueError, TypeError):
        return "[" * mutations.DEEP


def test_recipes_and_settings(tmp_path: Path) -> None:
    path = tmp_path / "recipe.toml"
    texts = {name: file.read_bytes() for name, file in recipes().items()}
    read_already = {name: load_options(name).to_dict() for name in ("pix2pix", "stargan", "progan")}

    def make(random: Random) -> Path:
        if random.random() < 0.5:
            path.write_bytes(mutations.bytes_of(texts[random.choice(sorted(texts))], random))
            return path
        bad = mutations.value_of(read_already[random.choice(sorted(read_already))], random)
        if random.random() < 0.2 and isinstance(bad, dict):
            bad["base"] = random.choice(mutations.STRANGE)()
        try:
            path.write_text(tomli_w.dumps(bad))
        except (RecursionError, ValueError, TypeError, AttributeError):
            path.write_text(
                "base = " + random.choice(("3", "[" * 3000, "9" * 5000, '"' + "x" * 5000))
            )
        return path

    assert each(make, lambda path: load_options(str(path))) > TIMES // 8

    def setting(random: Random) -> str:
        good = random.choice(("train.steps=4", "growth.stages=[{size = 4}]", "data.root=x.y"))
        return mutations.bytes_of(good.encode(), random).decode(errors="replace")

    each(setting, lambda text: load_options("pix2pix", text))
    each(setting, parse_setting)


def test_run_folders(tmp_path: Path) -> None:
    made = make_run(tmp_path / "good")
    (made / "health.json").write_text('{"state": {}}')
    good = {
        str(path.relative_to(made)): path.read_bytes()
        for path in sorted(made.rglob("*"))
        if path.is_file()
    }
    folder = tmp_path / "run"

    def make(random: Random) -> Path:
        shutil.rmtree(folder, ignore_errors=True)
        next(mutations.all_files(folder, random, good))
        return folder

    each(make, lambda folder: write_report(folder, tmp_path / "report.html"), TIMES // 2)

    logs = [json.loads(line) for line in good["log.jsonl"].splitlines()]
    values = {"log.jsonl": logs, "environment.json": json.loads(good["environment.json"])}

    def structured(random: Random) -> Path:
        shutil.rmtree(folder, ignore_errors=True)
        next(mutations.all_files(folder, Random(0), good))
        for name, content in good.items():
            if (folder / name).is_dir():
                (folder / name).rmdir()
            (folder / name).write_bytes(content)
        name = random.choice(sorted(values))
        bad = mutations.value_of(values[name], random)
        lines = bad if name == "log.jsonl" and isinstance(bad, list) else [bad]
        (folder / name).write_text("\n".join(map(_json, lines)) + "\n")
        return folder

    each(structured, lambda folder: write_report(folder, tmp_path / "report.html"), TIMES // 2)


@pytest.mark.parametrize("kind", ["zip", "tar.gz"])
def test_archives(kind: str, tmp_path: Path) -> None:
    plain = io.BytesIO()
    names = ["set/a.jpg", "set/b/c.jpg", "d.txt"]
    if kind == "zip":
        with zipfile.ZipFile(plain, "w", zipfile.ZIP_DEFLATED) as zipped:
            for name in names:
                zipped.writestr(name, name * 40)
    else:
        with tarfile.TarFile(fileobj=plain, mode="w") as tar:
            for name in names:
                info = tarfile.TarInfo(name)
                info.size = 40
                tar.addfile(info, io.BytesIO(bytes(40)))
    good = plain.getvalue()
    archive = tmp_path / f"set.{kind}"

    def make(random: Random) -> Path:
        data = mutations.bytes_of(good, random)
        for name in names if random.random() < 0.3 else []:
            other = random.choice((b"\0", b"/", b".", b"\\", b"\xff", b"a")) * len(name)
            data = data.replace(name.encode(), other)
        if kind == "tar.gz":
            data = gzip.compress(data, 1)
            data = data if random.random() < 0.7 else mutations.bytes_of(data, random)
        archive.write_bytes(data)
        return archive

    def read(archive: Path) -> None:
        try:
            unpack(archive, tmp_path / "out")
        finally:
            shutil.rmtree(tmp_path / "out", ignore_errors=True)

    assert each(make, read, TIMES // 2) > TIMES // 8


def test_a_member_without_a_name(tmp_path: Path) -> None:
    archive = tmp_path / "a.zip"
    with zipfile.ZipFile(archive, "w") as zipped:
        zipped.writestr("x", "content")
    data = archive.read_bytes()
    local, central = data.index(b"PK\3\4"), data.index(b"PK\1\2")
    without = bytearray(data)
    for at, length, name in ((central, 28, 46), (local, 26, 30)):
        without[at + length : at + length + 2] = bytes(2)
        del without[at + name]
    end = without.index(b"PK\5\6")
    without[end + 12 : end + 20] = struct.pack("<II", end - (central - 1), central - 1)
    archive.write_bytes(without)
    with pytest.raises(I2iError, match="has no proper name"):
        unpack(archive, tmp_path / "out")


def test_images(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (24, 20, 3), np.uint8)
    good: dict[str, bytes] = {}
    for suffix, mode in (
        *(("png", mode) for mode in ("RGB", "L", "P", "1", "RGBA", "I;16")),
        *(("jpg", "RGB"), ("webp", "RGBA"), ("tif", "RGB"), ("tiff", "L"), ("bmp", "RGB")),
    ):
        buffer = io.BytesIO()
        image = Image.fromarray(pixels)
        image = image.convert("I" if mode == "I;16" else mode)
        image.convert(mode).save(buffer, Image.registered_extensions()[f".{suffix}"])
        good[f"{mode.replace(';', '')}.{suffix}"] = buffer.getvalue()

    def make(random: Random) -> Path:
        name = random.choice(sorted(good))
        path = tmp_path / name
        path.write_bytes(mutations.bytes_of(good[name], random))
        return path

    def read(path: Path) -> None:
        assert isinstance(look_at(path), str | tuple)
        read_image(path, 3)

    assert each(make, read) > TIMES // 8


def test_arrays(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    values = generator.integers(0, 4096, (20, 24, 6), np.uint16)
    real = generator.random((20, 24, 3), np.float32)
    layouts: dict[str, dict[str, Any]] = {"tif": {}, "p.tif": {"planar": True}}
    layouts |= {"s.tif": {"paged": True}, "npy": {}, "npz": {}}
    good: dict[str, bytes] = {}
    for ending, info in layouts.items():
        path = tmp_path / f"good.{ending}"
        write_array(values, path, path.suffix, info)
        good[f"six.{ending}"] = path.read_bytes()
    for ending in ("pfm", "tif", "npy"):
        path = tmp_path / f"real.{ending}"
        write_array(real, path, path.suffix)
        good[f"real.{ending}"] = path.read_bytes()
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, values, photometric="minisblack", bigtiff=True, tile=(16, 16))
    good["big.tif"] = buffer.getvalue()

    def make(random: Random) -> Path:
        name = random.choice(sorted(good))
        path = tmp_path / name
        path.write_bytes(mutations.bytes_of(good[name], random))
        return path

    def read(path: Path) -> None:
        assert isinstance(look_at(path), str | tuple)
        image = read_array(path)
        assert image.values.ndim == 3
        to_bands(image, 6)

    assert each(make, read) > TIMES // 8


def test_several_inputs(tmp_path: Path) -> None:
    """One of the files of a scene is bad, or what a recipe says of them; the folder is translated
    all the same, and what could not be is named."""
    generator = np.random.default_rng(0)
    good = {
        "rgb/1.png": generator.integers(0, 256, (12, 12, 3), dtype=np.uint8),
        "depth/1.tif": generator.integers(0, 4096, (12, 12, 1), dtype=np.uint16),
        "mask/1.png": generator.integers(0, 4, (12, 12, 1), dtype=np.uint8),
    }
    whole: dict[Path, bytes] = {}
    for name, values in good.items():
        path = tmp_path / "in" / name
        path.parent.mkdir(parents=True)
        write_array(values, path, path.suffix)
        whole[path] = path.read_bytes()
    parts = {
        "depth": {"channels": 1, "dtype": "uint16", "range": [0, 4095]},
        "mask": {"kind": "labels", "classes": 4},
    }
    side = {"roots": ["rgb", "depth", "mask"], "parts": parts}
    options = shrunk("pix2pix-quick").to_dict()
    options["data"]["A"] |= side
    reader = readers(read_options(options).data, tmp_path, "AB")["A"]
    reader.read_all(tuple(whole))

    def make(random: Random) -> Any:
        if random.random() < 0.5:
            return mutations.value_of(side, random)
        for path, data in whole.items():
            path.write_bytes(data)
        path = random.choice(sorted(whole))
        path.write_bytes(mutations.bytes_of(whole[path], random))
        return path

    def read(bad: Any) -> None:
        if isinstance(bad, Path):
            reader.read_all(tuple(whole))
            return
        table = bad if isinstance(bad, dict) else {"roots": bad}
        data = {**options["data"], "A": table}
        found = read_options({**options, "data": data}).data
        own = readers(found, tmp_path, "AB")["A"]
        own.read_all(tuple(islice(cycle(whole), len(own.each))))

    assert each(make, read) > TIMES // 4


def test_idx_files(tmp_path: Path) -> None:
    images = struct.pack(">IIII", 0x803, 6, 4, 4) + bytes(96)
    labels = struct.pack(">II", 0x801, 6) + bytes(range(6))
    folder = tmp_path / "mnist"

    def make(random: Random) -> Path:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        for name, content in (("images-idx3", images), ("labels-idx1", labels)):
            bad = mutations.bytes_of(content, random) if random.random() < 0.6 else content
            packed = random.random() < 0.5
            if packed:
                bad = gzip.compress(bad, 1)
                bad = bad if random.random() < 0.7 else mutations.bytes_of(bad, random)
            (folder / f"train-{name}-ubyte{'.gz' * packed}").write_bytes(bad)
        return folder

    def read(folder: Path) -> None:
        found = find_idx(folder, tmp_path / "cache")
        found.train.read(0, 3)

    assert each(make, read) > TIMES // 8


def test_cards(tmp_path: Path) -> None:
    from i2i.config.recipes import shipped

    good = [path.read_bytes() for path in sorted(shipped("datasets").glob("*.toml"))]

    def make(random: Random) -> Path:
        content = random.choice(good)
        bad = mutations.bytes_of(content, random)
        if random.random() < 0.5:
            import tomllib

            try:
                bad = tomli_w.dumps(
                    mutations.value_of(tomllib.loads(content.decode()), random)
                ).encode()
            except (RecursionError, ValueError, TypeError, AttributeError):
                bad = b"a = " + b"[" * 3000
        (tmp_path / "card.toml").write_bytes(bad)
        return tmp_path

    assert each(make, read_catalogue) > TIMES // 8


def test_classifiers(tmp_path: Path) -> None:
    path = tmp_path / "classifier.pt"
    network = Network(3, 32, 2)
    save_classifier(Classifier(network, ("a", "b"), 3, 32, 0.9, 10), path)
    good, whole = torch.load(path, weights_only=True), path.read_bytes()

    def make(random: Random) -> Path:
        path.write_bytes(mutations.bytes_of(whole, random))
        if random.random() < 0.5:
            try:
                torch.save(mutations.value_of(good, random), path)
            except (RecursionError, RuntimeError, TypeError):
                path.write_bytes(whole[:100])
        return path

    assert each(make, load_classifier, TIMES) > TIMES // 8
