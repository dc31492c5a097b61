"""What is let in from files, and what is refused before anything is made of it."""

import copy
import io
import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from i2i import __version__
from i2i.config import read_options
from i2i.config.recipes import load_options, parse_setting, read_recipe
from i2i.data.images import declared
from i2i.data.images.probe import look_at
from i2i.data.images.read import open_image
from i2i.errors import CheckpointError, DataError, I2iError, OptionsError
from i2i.inference.about import describe_checkpoint
from i2i.inference.load import load_sampler, load_translator
from i2i.inference.onnx.description import Description
from i2i.models.build import build_model
from i2i.runs.checkpoint import load_checkpoint, save_checkpoint
from i2i.runs.opening import open_checkpoint, require_room
from i2i.system import gate
from i2i.training.build import build_trainer
from i2i.training.resumable import require_resumable
from shrunk import shrunk


def test_plain_values_have_bounds() -> None:
    gate.require_plain({"a": [1, 2.5, None, True, ("x", {"b": -(2**63)})]})
    deep: Any = []
    for _ in range(100_000):
        deep = [deep]
    itself: list[Any] = []
    itself.append(itself)
    for bad, why in (
        (deep, "nested more than 32 levels"),
        (itself, "nested more than 32 levels"),
        (2**64, "65 bits"),
        ("x" * 100_001, "100,001 letters"),
        ({1.5: 0}, "a key of the type float"),
        (object(), "a value of the type object"),
    ):
        with pytest.raises(gate.RefusedError, match=why):
            gate.require_plain(bad)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("a = " + "[" * 3000, "nested too deep"),
        ("a = " + "{a=" * 3000, "nested too deep"),
        ("a." * 3000 + "a = 1", "nested too deep"),
        ("[" + "a." * 500 + "a]", "nested more than 32"),
        ("a = " + "9" * 5000, "4300 digits"),
        ("a = 0x" + "f" * 5000, "20000 bits"),
        ("a = 2020-01-01", "type date"),
        ("a = ", "not valid TOML"),
    ],
)
def test_toml(text: str, why: str, tmp_path: Path) -> None:
    with pytest.raises(gate.RefusedError, match=why):
        gate.parse_toml(text)
    (tmp_path / "a.toml").write_text(text)
    with pytest.raises(OptionsError, match=why):
        read_recipe(str(tmp_path / "a.toml"))


def test_json() -> None:
    assert gate.parse_json('{"a": [1, null]}') == {"a": [1, None]}
    for text in ("[" * 50_000, '{"a":' * 50_000, "[" * 40 + "]" * 40, "9" * 5000, "{", "1" * 30):
        with pytest.raises(gate.RefusedError):
            gate.parse_json(text)


def test_text_is_of_plain_files_and_bounded(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"12345")
    assert gate.read_text(path, 5) == "12345"
    with pytest.raises(gate.RefusedError, match="more than 4 bytes"):
        gate.read_text(path, 4)
    path.write_bytes(b"\xff")
    with pytest.raises(gate.RefusedError, match="UTF-8"):
        gate.read_text(path, 4)
    for name in ("x" * 5000, "a\0b", str(tmp_path), "nowhere"):
        assert not gate.is_file(Path(name))
        with pytest.raises(gate.RefusedError, match="cannot be read"):
            gate.read_text(Path(name), 4)


@pytest.mark.parametrize("base", ["3", "[1]", "{a = 1}", '"' + "x" * 5000 + '"', '"a\\u0000b"'])
def test_the_base_of_a_recipe(base: str, tmp_path: Path) -> None:
    path = tmp_path / "recipe.toml"
    path.write_text(f"base = {base}\n")
    with pytest.raises(OptionsError) as caught:
        read_recipe(str(path))
    assert len(str(caught.value)) < 1000


def test_recipes_stand_on_few_others(tmp_path: Path) -> None:
    for number in range(40):
        (tmp_path / f"{number}.toml").write_text(f'base = "{number + 1}.toml"\n')
    with pytest.raises(OptionsError, match="more than 16 others"):
        read_recipe(str(tmp_path / "0.toml"))


def test_settings() -> None:
    assert parse_setting("data.root=2020-01-01") == {"data": {"root": "2020-01-01"}}
    assert parse_setting("a.b=[1, 2]") == {"a": {"b": [1, 2]}}
    for text in ("a." * 3000 + "b=1", "a" * 5000, "a=" + "x" * 200_000):
        with pytest.raises(OptionsError) as caught:
            parse_setting(text)
        assert len(str(caught.value)) < 300


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("train.wokers=3", r"train\.wokers is no option\. Did you mean 'data\.workers'\?"),
        ("latent.sise=3", r"latent\.sise is no option\. Did you mean 'size'\?"),
        ("growth.stagess=3", r"growth\.stagess is no option\. Did you mean 'stages'\?"),
        ("growth.stages=[{sise = 4}]", r"growth\.stages\.0\.sise is no option"),
        ("generator.blocks=3", r"generator\.blocks is no option\. It is one of .*resnet'"),
        ("data.workers=[1]", r"data\.workers \(=\[1\]\): input should be 'auto', or .*integer"),
        ("objective.l1=x", r"objective\.l1 \(='x'\): input should be a valid number"),
        ("generator.width=1000000", r"generator\.width .*less than or equal to 16384"),
        ("train.steps=" + "9" * 5000, r"train\.steps \(='999"),
    ],
)
def test_what_is_no_option_gets_a_sentence(setting: str, said: str) -> None:
    with pytest.raises(OptionsError, match=said) as caught:
        load_options("dcgan", setting)
    assert all(len(line) < 800 for line in str(caught.value).splitlines())


def test_networks_larger_than_the_memory_are_not_built() -> None:
    options = load_options("pix2pix", "generator.width=16384", "generator.downs=8")
    with pytest.raises(OptionsError, match=r"GiB.*make them smaller"):
        require_room(options)
    assert all(each.is_meta for each in require_room(load_options("pix2pix")).parameters())


def checkpoint(recipe: str, **changes: Any) -> dict[str, Any]:
    """All that the checkpoint of a small run has."""
    options = shrunk(recipe, "train.ema_decay=0.9")
    trainer = build_trainer(options, build_model(options))
    about = {"options": options.to_dict(), "data": "", "best": None, "stale": 0, "decisive": None}
    return {**about, **trainer.state_dict(), **changes}


def test_weights_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    path, good = tmp_path / "a.pt", checkpoint("pix2pix-quick")
    key = next(name for name in good["model"] if name.startswith("generator."))

    def refused(why: str, **changes: Any) -> None:
        save_checkpoint(path, {**good, **changes})
        for read in (describe_checkpoint, load_translator, open_checkpoint):
            with pytest.raises(CheckpointError, match=why) as caught:
                read(path)
            assert str(path) in str(caught.value)

    weights = dict(good["model"])
    refused("is missing", model={k: v for k, v in weights.items() if k != key}, average={})
    refused("has the shape", model={**weights, key: weights[key][None]}, average={})
    refused("is no tensor", model={**weights, key: 3}, average={})
    refused("belongs to no network", model={**weights, "x.y": weights[key]})
    refused("of torch.int64", model={**weights, key: weights[key].long()}, average={})
    for name, other in (("width", 4), ("width", 16384), ("downs", 16), ("downs", 10**6)):
        options = copy.deepcopy(good["options"])
        options["generator"][name] = other
        refused("generator|multiple of 65536", options=options)
    for part in ("options", "model", "step", "optimizers", "average"):
        save_checkpoint(path, {**good, part: "x"})
        with pytest.raises(CheckpointError, match=part):
            load_translator(path)


def test_imported_checkpoints_may_lack_a_discriminator(tmp_path: Path) -> None:
    good = checkpoint("pix2pix-quick", optimizers={})
    weights = {k: v for k, v in good["model"].items() if k.startswith("generator.")}
    save_checkpoint(tmp_path / "a.pt", {**good, "model": weights})
    load_translator(tmp_path / "a.pt")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("recipe", ["pix2pix-quick", "dcgan"])
def test_weights_that_are_not_finite_make_nothing(
    recipe: str, value: float, tmp_path: Path
) -> None:
    good = checkpoint(recipe, average={})
    name = next(k for k, v in good["model"].items() if k.startswith("generator.") and v.dim() > 1)
    weights = {**good["model"], name: good["model"][name].clone()}
    weights[name].view(-1)[1] = value
    save_checkpoint(tmp_path / "a.pt", {**good, "model": weights})
    load = load_sampler if recipe == "dcgan" else load_translator
    with pytest.raises(CheckpointError, match=rf"not finite \(1 of {weights[name].numel():,} in"):
        load(tmp_path / "a.pt")
    describe_checkpoint(tmp_path / "a.pt")  # it is no secret what it is


def test_what_cannot_be_resumed_is_refused_before_anything_is_taken_over(tmp_path: Path) -> None:
    options = shrunk("pix2pix-quick", "train.ema_decay=0.9")
    trainer = build_trainer(options, build_model(options))
    good = checkpoint("pix2pix-quick")
    require_resumable(trainer, good, "a.pt")
    shape = trainer.parameters["generator"][0].shape
    row = {"step": torch.tensor(1.0), "exp_avg": torch.zeros(shape), "exp_avg_sq": torch.zeros(7)}
    own = good["optimizers"]["generator"]
    for bad, why in (
        ({"optimizers": {}}, "nothing of the discriminator"),
        ({"average": {}}, "moving average does not fit"),
        (
            {"optimizers": {**good["optimizers"], "generator": {**own, "state": {0: row}}}},
            "exp_avg",
        ),
        ({"optimizers": {**good["optimizers"], "generator": {**own, "state": {999: {}}}}}, "999"),
        ({"ranks": [{"x": 3}]}, "other processes"),
        ({"model": {}}, "weights do not fit"),
        ({"average_updates": torch.zeros(2)}, "updates of its moving average"),
        ({"rates": {"generator": ["fast"]}}, "learning rates .* are no numbers"),
        ({"rates": [0.1]}, "learning rates .* are no numbers"),
    ):
        with pytest.raises(CheckpointError, match=why):
            require_resumable(trainer, {**good, **bad}, "a.pt")


def test_a_newer_checkpoint_is_named_with_its_versions(tmp_path: Path) -> None:
    good = checkpoint("pix2pix-quick")
    good["options"]["generator"]["attention"] = True
    path = tmp_path / "new.pt"
    save_checkpoint(path, {**good, "i2i": "9.1.0"})
    with pytest.raises(CheckpointError) as caught:
        load_translator(path)
    for part in (str(path), "i2i 9.1.0", __version__, "version 1", "generator.attention"):
        assert part in str(caught.value)


def test_a_checkpoint_says_version_and_date_and_not_where_the_data_lies(tmp_path: Path) -> None:
    good = checkpoint("pix2pix-quick")
    good["options"]["data"]["root"] = "/secret/home/facades"
    run = tmp_path / "run"
    path = run / "checkpoints" / "step-00000001.pt"
    path.parent.mkdir(parents=True)
    (run / "options.toml").write_text(read_options(good["options"]).to_toml())
    save_checkpoint(path, good)
    raw = torch.load(path, weights_only=True)
    assert raw["i2i"] == __version__
    assert raw["version"] == 1
    assert raw["written"].endswith("+00:00")
    assert raw["options"]["data"]["root"] == "facades"
    assert b"secret" not in path.read_bytes()
    assert good["options"]["data"]["root"] == "/secret/home/facades"  # untouched
    assert load_checkpoint(path)["options"]["data"]["root"] == "/secret/home/facades"
    assert f"i2i {__version__} on 20" in describe_checkpoint(path)
    # Moved away from its run, it knows the name alone; another folder's word does not count.
    away = tmp_path / "a.pt"
    away.write_bytes(path.read_bytes())
    assert load_checkpoint(away)["options"]["data"]["root"] == "facades"
    (run / "options.toml").write_text('[data]\nroot = "/elsewhere/other"\n')
    assert load_checkpoint(path)["options"]["data"]["root"] == "facades"
    (run / "options.toml").write_text("[" * 50_000)
    assert load_checkpoint(path)["options"]["data"]["root"] == "facades"


def test_places_of_all_data_sets() -> None:
    options = {
        "data": {
            "root": "/a/b",
            "root_b": "C:\\x\\y",
            "table": "list.txt",
            "more": [{"root": "/c/d", "domains": ["/no/path"]}],
        },
        "train": {"steps": 1},
    }
    handed = gate.without_places(options)
    assert handed == {
        "data": {
            "root": "b",
            "root_b": "y",
            "table": "list.txt",
            "more": [{"root": "d", "domains": ["/no/path"]}],
        },
        "train": {"steps": 1},
    }
    assert gate.with_places(handed, options) == options
    assert gate.with_places(handed, {"data": 3}) == handed
    assert gate.without_places({"data": 3}) == {"data": 3}


def altered(path: Path, change: Any) -> Path:
    """Write a file of tensors anew with its pickle changed."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, change(content) if name.endswith("data.pkl") else content)
    return path


def test_outlines_of_tensors(tmp_path: Path) -> None:
    path = tmp_path / "a.pt"
    torch.save({"w": torch.zeros(3, 4), "n": [1, torch.zeros((), dtype=torch.int64)]}, path)
    found = gate.outline(path)
    assert (found["w"].shape, found["w"].dtype, found["w"].nbytes) == ((3, 4), torch.float32, 48)
    assert (found["n"][1].shape, found["n"][1].dtype) == ((), torch.int64)
    assert torch.equal(gate.load_tensors(path)["w"], torch.zeros(3, 4))
    # A number of elements beyond those that are there, as an integer of one byte.
    assert altered(path, lambda content: content.replace(b"K\x0c", b"K\x7f")) == path
    with pytest.raises(gate.RefusedError, match="numbers"):
        gate.load_tensors(path)


def test_tensors_that_are_larger_than_their_file(tmp_path: Path) -> None:
    path = tmp_path / "a.pt"
    torch.save(torch.zeros(1).expand(10**6, 10**6, 1000), path)
    with pytest.raises(gate.RefusedError, match="larger than its numbers"):
        gate.load_tensors(path)
    packed = io.BytesIO()
    torch.save(torch.zeros(10**6), packed)
    with zipfile.ZipFile(packed) as source, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as out:
        for name in source.namelist():
            out.writestr(name, source.read(name))
    with pytest.raises(gate.RefusedError, match="compressed"):
        gate.load_tensors(path)


@pytest.mark.parametrize(
    "pickled",
    [
        pickle.dumps(print),
        b"\x80\x02cbuiltins\nbytearray\nJ\xff\xff\xff\x7f\x85R.",
        b"\x80\x02]r\xff\xff\xff\x7f.",
        b"\x80\x02" + b"]" * 5000 + b"a" * 4999 + b".",
        b"\x80\x02\x8b" + (2000).to_bytes(4, "little") + b"\x01" * 2000 + b".",
    ],
    ids=["a function", "two gigabytes", "a far memory cell", "depth", "a giant integer"],
)
def test_pickles_that_do_more_than_list_tensors(pickled: bytes, tmp_path: Path) -> None:
    path = tmp_path / "a.pt"
    torch.save({"w": torch.zeros(3)}, path)
    with pytest.raises(gate.RefusedError):
        gate.outline(altered(path, lambda content: pickled))


def test_onnx_metadata_name_the_version_and_what_is_wrong(tmp_path: Path) -> None:
    options = shrunk("pix2pix-quick").to_dict()
    good = Description(options, "a.pt", "AtoB", 3, 3, (), 4, "instance", written="2026-01-02")
    metadata = good.to_metadata()
    assert Description.from_metadata(metadata, Path("a.onnx")) == good
    older = {k: v for k, v in metadata.items() if k not in ("i2i.i2i", "i2i.written")}
    assert Description.from_metadata(older, Path("a.onnx")).i2i == ""
    for key, value, why in (
        ("i2i.planes", None, "has no 'i2i.planes'"),
        ("i2i.options", "[" * 50_000, "nested too deep"),
        ("i2i.options", "3", r"i2i\.options \(=3\).*a table"),
        ("i2i.multiple", '"4"', "a whole number"),
        ("i2i.multiple", "0", "a whole number"),
        ("i2i.version", "true", "a whole number"),
        ("i2i.version", "7", "up to 1"),
        ("i2i.quantisation", '{"fp32": 3}', "quantisation"),
        ("i2i.norm", "[]", "one of 'instance', 'running'"),
    ):
        bad = {k: v for k, v in metadata.items() if k != key}
        if value is not None:
            bad[key] = value
        with pytest.raises(CheckpointError, match=why) as caught:
            Description.from_metadata(bad, tmp_path / "a.onnx")
        assert "a.onnx" in str(caught.value)
        assert len(str(caught.value)) < 500


def blank(path: Path, side: int) -> Path:
    """An image of one black bit a pixel, in as few bytes as deflate can."""
    Image.new("1", (side, side)).save(path, "PNG", optimize=True)
    return path


def test_declared_sizes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = blank(tmp_path / "a.png", 9000)
    open_image(path)  # blank, but no lie
    monkeypatch.setattr(declared, "free_memory", lambda device: 10**6)
    for problem in (str(look_at(path)), _refusal(path)):
        assert "9000 x 9000 pixels (81 megapixels)" in problem
        assert "cut it into smaller" in problem
    small = tmp_path / "b.png"
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(small)
    open_image(small)
    monkeypatch.undo()
    # A header that declares 400 megapixels over the content of a small one.
    data = bytearray(small.read_bytes())
    data[16:24] = (20000).to_bytes(4, "big") * 2
    data[29:33] = zipfile.crc32(data[12:29]).to_bytes(4, "big")
    small.write_bytes(data)
    assert "400 megapixels) in a file of" in _refusal(small)
    assert "400 megapixels) in a file of" in str(look_at(small))


def _refusal(path: Path) -> str:
    with pytest.raises(DataError) as caught:
        open_image(path)
    assert isinstance(caught.value, I2iError)
    return str(caught.value)
