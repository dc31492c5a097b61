"""Models of several inputs, and of label maps beside values as they are: files in, files out."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from commands import complaint, invoke
from PIL import Image
from torch import Tensor, nn

from i2i.core.inputs import Input, Inputs
from i2i.core.label_maps import LabelMaps
from i2i.core.scale import Scale
from i2i.core.sides import Held
from i2i.data.images.arrays import read_array, write_array
from i2i.errors import DataError, OptionsError
from i2i.evaluation.runs import _at_full_depth
from i2i.inference.as_filed import Filing
from i2i.inference.folder import translate_folder
from i2i.inference.translator import Translator
from i2i.training import session as train
from shrunk import shrunk

RANDOM = np.random.default_rng(0)
DEPTH = Scale("uint16", ((0, 65535),))
INPUTS = Inputs((Input("rgb"), Input("depth", 1, scale=DEPTH), Input("mask", labels=LabelMaps(3))))
RGB, DEEP, MASK = slice(0, 3), slice(3, 4), slice(4, 7)


class Chosen(nn.Module):
    """Hands on some channels of its input."""

    multiple = 4

    def __init__(self, channels: slice) -> None:
        super().__init__()
        self.channels = channels

    def forward(self, images: Tensor) -> Tensor:
        return images[:, self.channels]


def choosing(
    channels: slice,
    labels: tuple[Held | None, LabelMaps | None] = (INPUTS, None),
    scales: tuple[Scale | None, Scale | None] = (None, None),
    seen: int = 7,
) -> Translator:
    made = channels.stop - channels.start
    filing = Filing(*scales, (seen, made)) if any(scales) else None
    return Translator(
        Chosen(channels),
        input_channels=seen,
        output_channels=made,
        norm="instance",
        dropout=False,
        device="cpu",
        labels=labels,
        filing=filing,
    )


@pytest.fixture
def scenes(tmp_path: Path) -> tuple[Path, dict[str, Any]]:
    """Three inputs of two scenes, with every fourth value of 16 bits in their depth."""
    found = {}
    for number in range(2):
        values = {
            "rgb": RANDOM.integers(0, 256, (128, 128, 3), dtype=np.uint8),
            "depth": (4 * np.arange(2**14) + number).astype(np.uint16).reshape(128, 128, 1),
            "mask": RANDOM.integers(0, 3, (128, 128, 1), dtype=np.uint8),
        }
        for name, suffix in (("rgb", ".png"), ("depth", ".tif"), ("mask", ".png")):
            place = tmp_path / "in" / name / "night" / f"{number}{suffix}"
            place.parent.mkdir(parents=True, exist_ok=True)
            write_array(values[name], place, suffix)
        found[f"night/{number}"] = values
    return tmp_path / "in", found


def test_the_folder_of_all_inputs_and_one_for_each_are_the_same(
    scenes: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    folder, values = scenes
    translator = choosing(RGB)
    translate_folder(translator, folder, tmp_path / "a")
    beside = [folder / "depth", folder / "mask"]
    translate_folder(translator, folder / "rgb", tmp_path / "b", beside=beside)
    one = [folder / "depth/night/1.tif", folder / "mask/night/1.png"]
    translate_folder(translator, folder / "rgb/night/1.png", tmp_path / "c.png", beside=one)
    for name, of in values.items():
        for place in (tmp_path / "a", tmp_path / "b"):
            assert np.array_equal(np.asarray(Image.open(place / f"{name}.png")), of["rgb"])
    assert np.array_equal(np.asarray(Image.open(tmp_path / "c.png")), values["night/1"]["rgb"])
    given = {name: next((folder / name / "night").glob("1.*")) for name in INPUTS.names}
    assert np.array_equal(np.asarray(translator(given)), values["night/1"]["rgb"])


def test_all_sixteen_bits_of_an_input_reach_the_result(
    scenes: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    folder, values = scenes
    translator = choosing(DEEP, scales=(None, DEPTH))
    translate_folder(translator, folder, tmp_path / "out")
    for name, of in values.items():
        back = read_array(tmp_path / "out" / f"{name}.png").values
        assert back.dtype == np.uint16
        assert np.array_equal(back, of["depth"])
    given = {name: next((folder / name / "night").glob("0.*")) for name in INPUTS.names}
    assert np.array_equal(translator(given), values["night/0"]["depth"])


def test_inputs_are_resized_each_as_it_is(
    scenes: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    folder, values = scenes
    translate_folder(choosing(MASK), folder, tmp_path / "out", size=(32, 64))
    back = np.asarray(Image.open(tmp_path / "out/night/0.png"))
    assert back.shape == (64, 32, 3)
    assert set(np.unique(back)) <= {128, 255}  # 0 and 1 of planes, taken for -1..1
    wanted = torch.nn.functional.interpolate(
        torch.from_numpy(values["night/0"]["mask"]).permute(2, 0, 1)[None],
        size=(64, 32),
        mode="nearest-exact",
    )[0, 0]
    assert np.array_equal(back.argmax(2), wanted.numpy())


def test_what_lacks_a_partner_is_named_and_the_others_are_done(
    scenes: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    folder, _ = scenes
    (folder / "depth/night/1.tif").unlink()
    report = translate_folder(choosing(RGB), folder, tmp_path / "out")
    assert report.translated == 1
    assert {str(each.path.relative_to(folder)) for each in report.failed} == {
        "rgb/night/1.png", "mask/night/1.png",
    }  # fmt: skip
    assert all("no partner of the name 'night/1'" in each.reason for each in report.failed)
    (folder / "mask/night/0.png").write_bytes(b"no image")
    report = translate_folder(choosing(RGB), folder, tmp_path / "again")
    assert report.translated == 0
    assert any("0.png" in each.reason for each in report.failed)


@pytest.mark.parametrize(
    ("source", "beside", "message"),
    [
        ("rgb", ["depth"], "there are 2 inputs, and this network takes 3"),
        ("rgb", [], "There is no folder 'rgb' in"),
        ("rgb/night/0.png", [], "name 3 folders or files in this order"),
        ("rgb", ["depth", "nowhere"], "There is no folder"),
        ("rgb", ["depth/night/0.tif", "mask"], "is a file, and other inputs are folders"),
    ],
)
def test_places_of_inputs_that_do_not_fit_are_named(
    scenes: tuple[Path, dict[str, Any]],
    source: str,
    beside: list[str],
    message: str,
    tmp_path: Path,
) -> None:
    folder, _ = scenes
    with pytest.raises((OptionsError, DataError), match=message):
        translate_folder(
            choosing(RGB), folder / source, tmp_path / "out", beside=[folder / b for b in beside]
        )
    assert not (tmp_path / "out").exists()


def test_results_never_go_where_an_input_is_read(scenes: tuple[Path, dict[str, Any]]) -> None:
    folder, _ = scenes
    beside = [folder / "depth", folder / "mask"]
    with pytest.raises(DataError, match="inside the input"):
        translate_folder(choosing(RGB), folder / "rgb", folder / "mask" / "x", beside=beside)
    plain = choosing(slice(0, 1), labels=(None, None), seen=1)
    with pytest.raises(DataError, match="inside the input"):  # which are translated one by one
        translate_folder(plain, folder / "rgb", folder / "mask" / "x", beside=beside)
    with pytest.raises(DataError, match="takes one image"):
        plain({"rgb": "a.png"})
    with pytest.raises(DataError, match="found rgb"):
        choosing(RGB)({"rgb": "a.png"})
    opened = Image.new("RGB", (8, 8))
    with pytest.raises(DataError, match="The input 'depth' is a Image: expected the path of a fi"):
        choosing(RGB)({"rgb": "a.png", "depth": opened, "mask": "a.png"})


def test_label_maps_become_sixteen_bits_and_sixteen_bits_label_maps(tmp_path: Path) -> None:
    """A side of labels together with a side of values: neither passes through colours."""
    numbers = np.arange(64, dtype=np.uint8).reshape(8, 8, 1) % 3
    (tmp_path / "maps").mkdir()
    Image.fromarray(numbers[:, :, 0]).save(tmp_path / "maps/a.png")
    labels = LabelMaps(3)
    heights = choosing(slice(1, 2), (labels, None), (None, Scale("uint16", ((-1000, 1000),))), 3)
    assert translate_folder(heights, tmp_path / "maps", tmp_path / "out").translated == 1
    made = read_array(tmp_path / "out/a.png").values
    assert made.dtype == np.uint16
    assert np.array_equal(made, np.where(numbers == 1, 1000, 0))  # planes are 0 and 1
    assert np.array_equal(heights(tmp_path / "maps/a.png"), made)

    bands = np.zeros((8, 8, 5), np.uint16)
    np.put_along_axis(bands, numbers.astype(int) + 2, 4095, axis=2)
    write_array(bands, tmp_path / "in.tif", ".tif")
    classes = choosing(slice(2, 5), (None, labels), (Scale("uint16", ((0, 4095),)), None), 5)
    assert translate_folder(classes, tmp_path / "in.tif", tmp_path / "b.png").translated == 1
    found = Image.open(tmp_path / "b.png")
    assert found.mode == "P"
    assert np.array_equal(np.asarray(found)[:, :, None], numbers)
    assert np.array_equal(classes(bands), numbers)
    assert np.array_equal(np.asarray(classes(tmp_path / "in.tif"))[:, :, None], numbers)
    travels = torch.from_numpy((bands.astype(np.int64) * 65535 // 4095).astype(np.uint16))
    judged = _at_full_depth(classes, travels.permute(2, 0, 1)[None], None, None)
    assert np.array_equal(judged[0].permute(1, 2, 0).numpy(), numbers)


def test_bytes_that_stand_for_nothing_are_refused() -> None:
    translator = choosing(RGB)
    wrong = torch.zeros(1, 6, 8, 8, dtype=torch.uint8)
    wrong[:, 5] = 9
    with pytest.raises(DataError, match="holds the number 9"):
        translator(wrong)
    heat = Inputs((Input("rgb"), Input("heat", 1, scale=Scale("float32", ((0, 1),)))))
    infinite = torch.full((1, 7, 8, 8), 255, dtype=torch.uint8)
    with pytest.raises(DataError, match="'heat' holds values of nan"):
        choosing(RGB, (heat, None), seen=4)(infinite)


def test_from_a_recipe_to_results_of_four_channels(
    scenes: tuple[Path, dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The whole way: train on three inputs and RGBA, translate, export, evaluate, dry-run."""
    monkeypatch.chdir(tmp_path)
    for split, count in (("train", 2), ("val", 2)):
        for number in range(count):
            for name in ("A/rgb", "A/depth", "A/mask", "B"):
                (tmp_path / "data" / split / name).mkdir(parents=True, exist_ok=True)
            at = tmp_path / "data" / split
            rgba = RANDOM.integers(0, 256, (16, 16, 4), dtype=np.uint8)
            Image.fromarray(rgba[:, :, :3]).save(at / f"A/rgb/{number}.png")
            write_array(rgba[:, :, :1] * np.uint16(257), at / f"A/depth/{number}.tif", ".tif")
            Image.fromarray(rgba[:, :, 3] % 3).save(at / f"A/mask/{number}.png")
            Image.fromarray(rgba, "RGBA").save(at / f"B/{number}.png")
    options = shrunk(
        "pix2pix", 'data.A.roots=["rgb", "depth", "mask"]', 'data.A.parts.depth.range="auto"',
        "data.A.parts.mask={kind='labels', classes=3}", "data.B.channels=4", "data.root=data",
        "data.crop_size=16", "data.load_size=16", "train.steps=2", "train.validation_images=2",
    )  # fmt: skip
    told = train.start(options, tmp_path / "runs", "several", device="cpu").folder
    inputs = "data/val/A"
    invoke("translate", inputs, "made", "--checkpoint", told)
    made = Image.open("made/0.png")
    assert made.mode == "RGBA"
    invoke("export", told, "onnx", "--format", "onnx")
    invoke("translate", inputs, "exported", "--checkpoint", "onnx/generator.onnx")
    apart = np.asarray(made).astype(int) - np.asarray(Image.open("exported/0.png"))
    assert np.abs(apart).max() <= 1
    invoke("translate", "data", "split", "--split", "val", "--checkpoint", told)
    split = np.asarray(Image.open("split/val/A/rgb/0.png"))
    assert np.array_equal(split, np.asarray(made))
    said = complaint("translate", f"{inputs}/rgb", f"{inputs}/depth", "no", "--checkpoint", told)
    assert "there are 2 inputs" in said
    invoke("translate", inputs, "sheet", "--checkpoint", told, "--checkpoints", "all", "--sheet")
    with Image.open("sheet/sheet.png") as sheet:
        pixels = np.asarray(sheet)
    with Image.open(f"{inputs}/rgb/0.png") as image:  # six times as large in the first column
        colours = np.asarray(image)
    begins = range(pixels.shape[1] - 96)
    assert any(np.array_equal(pixels[20:116:6, x : x + 96 : 6], colours) for x in begins)
