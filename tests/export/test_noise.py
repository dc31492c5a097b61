"""Generators of images from noise as ONNX files make in onnxruntime what the sampler makes."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from i2i.core.latent import Latent
from i2i.errors import CheckpointError
from i2i.export.noise import export_sampler
from i2i.inference.about import checkpoint_facts, describe_checkpoint
from i2i.inference.load import (
    build_sampler,
    load_exported,
)
from i2i.inference.onnx.description import SamplerDescription
from i2i.models.build import build_model
from shrunk import shrunk

onnxruntime = pytest.importorskip("onnxruntime")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("recipe", "settings", "inputs"),
    [
        ("infogan", ("generator.init_gain=0.5",), ["latents"]),
        ("r3gan", (), ["latents", "labels"]),
        (
            "stylegan2",
            ("game.class_conditional=required", 'data.domains=["cat", "dog"]'),
            ["latents", "labels", "truncation"],
        ),
    ],
)
def test_a_file_makes_what_the_sampler_makes(
    recipe: str, settings: tuple[str, ...], inputs: list[str], tmp_path: Path
) -> None:
    torch.manual_seed(1)
    options = shrunk(recipe, *settings)
    model = build_model(options)
    if recipe == "stylegan2":
        model.generator.mapping.w_avg.normal_()
    sampler = build_sampler(options, model)
    path = export_sampler(sampler, options, tmp_path / "out")
    assert path == tmp_path / "out" / "generator.onnx"
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    assert [each.name for each in session.get_inputs()] == inputs
    seeds = range(3)
    given = {"latents": sampler.vectors(seeds).numpy()}
    if "labels" in inputs:
        labels = sampler.labels(seeds)
        assert labels is not None
        given["labels"] = labels.numpy()
    if "truncation" in inputs:
        given["truncation"] = np.array(0.6, np.float32)
    (images,) = session.run(["images"], given)
    generator, vectors = sampler.generator, sampler.vectors(seeds)
    with torch.no_grad():
        if "truncation" in inputs:
            styles = generator.styles(vectors, sampler.labels(seeds), 0.6)
            expected = generator.synthesis(styles, "const").numpy()
        else:
            expected = generator(vectors, sampler.labels(seeds)).numpy()
    np.testing.assert_allclose(images, expected, atol=1e-5)
    assert expected.std() > 1e-3  # it depends on what it is made of
    pixels = np.rint((images.clip(-1, 1) + 1) * 127.5)
    made = sampler(seeds, truncation=0.6 if "truncation" in inputs else None).numpy()
    assert np.abs(pixels - made).max() <= 1
    told = session.get_modelmeta().custom_metadata_map
    assert json.loads(told["i2i.latent"])["size"] == sampler.latent.size
    assert json.loads(told["i2i.classes"]) == list(sampler.names)
    assert json.loads(told["i2i.options"])["data"]["root"] == ""


def test_it_is_never_replaced_and_translates_nothing(tmp_path: Path) -> None:
    options = shrunk("dcgan")
    sampler = build_sampler(options, build_model(options))
    path = export_sampler(sampler, options, tmp_path / "a.onnx")
    with pytest.raises(CheckpointError, match="exists already"):
        export_sampler(sampler, options, path)
    with pytest.raises(CheckpointError, match="makes images from noise"):
        load_exported(path)


def test_it_is_described(tmp_path: Path) -> None:
    options = shrunk("infogan-mnist")
    sampler = build_sampler(options, build_model(options))
    path = export_sampler(sampler, options, tmp_path / "digits.onnx")
    told = checkpoint_facts(path)
    size = options.data.cropped
    assert told["images"] == (
        f"{size} pixels, from {sampler.latent.size} numbers of uniform noise and the codes "
        "category, continuous1, continuous2"
    )
    assert told["takes"] == "latents"
    assert told["model"].startswith("gan - InfoGAN")
    assert "classes" not in told
    options = shrunk("cgan-mnist", 'data.domains=["a", "b", "c"]')
    sampler = build_sampler(options, build_model(options))
    path = export_sampler(sampler, options, tmp_path / "letters.onnx")
    assert "\ntakes:      latents, labels\nclasses:    a, b, c" in describe_checkpoint(path)


@pytest.mark.parametrize(
    ("entry", "value"),
    [
        ("latent", {"size": 3}),
        ("latent", {"size": -3, "distribution": "normal", "categorical": [], "continuous": 0}),
        ("latent", {"size": 3, "distribution": "cauchy", "categorical": [], "continuous": 0}),
        ("latent", {"size": 3, "distribution": [], "categorical": {}, "continuous": 0}),
        ("classes", "abc"),
        ("size", 0),
        ("options", None),
    ],
)
def test_a_damaged_description_is_refused(entry: str, value: object) -> None:
    whole = SamplerDescription({}, "step.pt", Latent(3, "uniform", (10,), 2), ("a", "b"), 32)
    metadata = whole.to_metadata()
    assert SamplerDescription.from_metadata(metadata, Path("a.onnx")) == whole
    metadata[f"i2i.{entry}"] = json.dumps(value)
    with pytest.raises(CheckpointError, match=rf"a\.onnx has i2i\.{entry} .* damaged"):
        SamplerDescription.from_metadata(metadata, Path("a.onnx"))


@pytest.mark.parametrize(
    ("recipe", "sets", "drawn"),
    [
        ("stylegan2", (), "normal"),
        ("dcgan", (), "uniform"),
        ("cgan-mnist", ('data.domains=["a", "b", "c"]',), "uniform"),
    ],
)
def test_the_documentation_makes_images(
    recipe: str,
    sets: tuple[str, ...],
    drawn: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    options = shrunk(recipe, *sets)
    sampler = build_sampler(options, build_model(options))
    export_sampler(sampler, options, tmp_path / "faces.onnx")
    page = Path(__file__).parents[2] / "docs" / "export.md"
    code = page.read_text().partition("## Images from noise")[2].split("```python\n")[1]
    monkeypatch.chdir(tmp_path)
    found: dict[str, Any] = {}
    exec(code.partition("```")[0], found)
    assert (abs(found["noise"]).max() <= 1) == (drawn == "uniform")
    size = sampler.size
    with Image.open(tmp_path / "faces.png") as image:
        assert image.size == (4 * size, size)
