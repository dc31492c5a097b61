"""Weights by name: from the package, from authors' servers, from a hub; and what goes wrong."""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from commands import complaint, invoke
from hub_server import TOKEN, Hub, serving_a_hub
from PIL import Image

from i2i.config.recipes import shipped
from i2i.data.catalogue.cache import cache_folder
from i2i.data.demo.painter import paint
from i2i.errors import CheckpointError, DataError
from i2i.export.bundle import export_bundle
from i2i.export.published import export_published
from i2i.export.sources.zoo import Download, ZooCard, fetched, read_zoo
from i2i.inference.load import load_sampler, load_translator
from i2i.runs.bundle import WEIGHTS
from i2i.training.build import build_trainer
from shrunk import shrunk


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "*")


def checkpoint(tmp_path: Path, recipe: str = "pix2pix") -> Path:
    path = tmp_path / f"{recipe}.pt"
    build_trainer(shrunk(recipe), images=4).save(path)
    return path


def picture(size: int = 32) -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (size, size, 3), np.uint8))


# The zoo.


def test_every_card_names_two_places_and_those_of_our_own_are_small_and_whole() -> None:
    zoo = read_zoo()
    assert {"landscape", "seasons", "fashion", "horse2zebra", "edges2shoes"} <= zoo.keys()
    for card in zoo.values():
        if card.download is not None:
            assert len(card.download.urls) > 1, card.name
            assert card.licence
        else:
            weights = shipped("models") / card.name / WEIGHTS
            assert weights.stat().st_size < 3_000_000
            assert hashlib.sha256(weights.read_bytes()).hexdigest() == card.sha256
            assert "i2i train" in card.command


def test_those_of_our_own_do_what_they_have_learnt_without_a_network(tmp_path: Path) -> None:
    """Scenes that they have not seen, whose translation the painter knows."""
    scene = 4_000_001
    rendered = {way: paint(scene, 64, way) for way in ("labels", "photo", "winter")}
    for name, way, source, target in (
        ("landscape", [], "labels", "photo"),
        ("seasons", [], "photo", "winter"),
        ("seasons", ["--direction", "BtoA"], "winter", "photo"),
    ):
        made = tmp_path / f"{name}-{target}.png"
        Image.fromarray(rendered[source]).save(tmp_path / "a.png")
        told = invoke(
            *("translate", tmp_path / "a.png", made),
            *("--checkpoint", f"zoo:{name}", "--device", "cpu", *way),
        )
        assert told.exit_code == 0, told.output
        output, truth, before = (
            np.asarray(image, np.float64)
            for image in (Image.open(made), rendered[target], rendered[source])
        )
        assert np.abs(output - truth).mean() < 0.6 * np.abs(before - truth).mean(), name
    images = load_sampler("zoo:fashion", device="cpu")([1, 2, 3, 4], label="trouser").float()
    assert images.shape == (4, 1, 28, 28)
    assert images[..., 10:18].mean() > 2 * images[..., :4].mean(), "trousers stand in the middle"


def test_published_weights_are_fetched_once_and_verified(tmp_path: Path) -> None:
    export_published(checkpoint(tmp_path), tmp_path / "files")
    content = (tmp_path / "files" / "latest_net_G.pth").read_bytes()
    digest = hashlib.sha256(content).hexdigest()

    def card(url: str, name: str = "tiny", **told: str | int) -> ZooCard:
        urls = (f"{hub.url}/nowhere/x/resolve/main/x", f"{hub.url}/a/b/resolve/main/{url}")
        # Attempts at the first address end at once: it answers 404.
        return ZooCard(
            *(name, "", "", "pix2pix", "", "", ""),
            download=Download(urls, "pth", **told),  # type: ignore[arg-type]
        )

    with serving_a_hub() as hub:
        hub.repositories["a/b"] = {"g.pth": content, "bad.pth": content[:-9] + b"123456789"}
        folder = fetched(card("g.pth", sha256=digest, bytes=len(content)))
        asked = len(hub.asked)
        assert fetched(card("g.pth", sha256=digest)) == folder
        assert len(hub.asked) == asked
        with pytest.raises(DataError, match=r"has the SHA-256 .* was expected"):
            fetched(card("bad.pth", "other", sha256=digest))
        assert not (cache_folder() / "models" / "other").exists()
        # A card without a hash: that of the first download is noted, and another is refused later.
        fetched(card("g.pth", "noted"))
        (cache_folder() / "models" / "noted").rename(tmp_path / "gone")
        with pytest.raises(DataError, match="has the SHA-256"):
            fetched(card("bad.pth", "noted"))
    one, other = (load_translator(path, device="cpu") for path in (folder, tmp_path / "pix2pix.pt"))
    assert (np.asarray(one(picture(16))) == np.asarray(other(picture(16)))).all()


def test_a_name_that_is_not_there_is_told_with_what_is() -> None:
    assert "Did you mean 'landscape'" in complaint("info", "zoo:landscap")
    assert "zoo:nothing is not there" in complaint("zoo", "nothing")
    listed = invoke("zoo").output
    assert "MB, here already" in listed
    assert "about 46 MB" in listed
    assert "Apache-2.0" in invoke("zoo", "seasons").output


# The hub.


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    with serving_a_hub() as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        monkeypatch.setenv("HF_TOKEN", TOKEN)
        yield hub


def test_what_is_pushed_is_pulled_and_translates_alike(tmp_path: Path, hub: Hub) -> None:
    path = checkpoint(tmp_path)
    pushed = invoke("push", path, "someone/small", "--licence", "mit")
    assert pushed.exit_code == 0, pushed.output
    assert "--checkpoint hub:someone/small" in pushed.output
    assert hub.repositories["someone/small"].keys() == {
        *("README.md", "config.json", "model.safetensors")
    }
    hub.repositories["someone/small"]["evil.py"] = b"raise SystemExit"
    hub.repositories["someone/small"]["model.pkl"] = b"cos\nsystem\n(S'false'\ntR."
    pulled = invoke("pull", "someone/small", tmp_path / "here")
    assert pulled.exit_code == 0, pulled.output
    assert {file.name for file in (tmp_path / "here").iterdir()} == {
        *("README.md", "config.json", "model.safetensors")
    }
    assert not any("evil" in each or "pkl" in each for each in hub.asked if "resolve" in each)
    used = [load_translator(where, device="cpu") for where in (path, "hub:someone/small")]
    one, other = (np.asarray(translator(picture(16))) for translator in used)
    assert (one == other).all()
    assert "is not empty" in complaint("pull", "someone/small", tmp_path / "here")


def test_what_goes_wrong_with_a_hub_is_a_sentence(
    tmp_path: Path, hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = checkpoint(tmp_path)
    assert "there is no someone/none on" in complaint("pull", "someone/none")
    assert "OWNER/NAME was expected" in complaint("info", "hub:none")
    hub.repositories["someone/other"] = {"config.json": json.dumps({"x": 1}).encode()}
    assert "holds no config.json with model.safetensors" in complaint("info", "hub:someone/other")
    bad = {"config.json": b"{}", "model.safetensors": b"12345678"}
    hub.repositories["someone/bad"] = bad
    assert "is truncated, or no file of safetensors" in complaint(
        "pull", "someone/bad", tmp_path / "bad"
    )
    assert not (tmp_path / "bad").exists()
    monkeypatch.setenv("HF_TOKEN", "hf_wrong")
    assert "the token in HF_TOKEN" in complaint("push", path, "someone/small")
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    assert "http://127.0.0.1:9 cannot be reached" in complaint("info", "hub:someone/new")
    assert "http://127.0.0.1:9 cannot be reached" in complaint("push", path, "someone/small")


def test_a_bundle_is_pushed_as_it_is(tmp_path: Path, hub: Hub) -> None:
    folder = export_bundle(checkpoint(tmp_path), tmp_path / "b")
    (folder / "README.md").write_text("mine")
    assert invoke("push", folder, "someone/mine").exit_code == 0
    assert hub.repositories["someone/mine"]["README.md"] == b"mine"
    with pytest.raises(CheckpointError, match=r"has no such revision|there is no"):
        load_translator("hub:someone/yours@v1")
