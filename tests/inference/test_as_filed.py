"""What goes in comes out: values, types, layouts of files, and where on earth they lie."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image
from torch import Tensor, nn

from i2i.core.scale import Scale
from i2i.data.images.arrays import read_array, write_array
from i2i.data.images.formats.tiff import Tag
from i2i.errors import DataError, OptionsError
from i2i.inference.as_filed import Filing, rescaled_world
from i2i.inference.folder import translate_folder
from i2i.inference.translator import Translator

RANDOM = np.random.default_rng(0)

GEO = (
    Tag(33550, 12, 3, (10.0, 10.0, 0.0)),
    Tag(33922, 12, 6, (0.0, 0.0, 0.0, 600000.0, 5100000.0, 0.0)),
    Tag(34735, 3, 8, (1, 1, 0, 1, 1024, 0, 1, 1)),
)


class Same(nn.Module):
    """Hands its input on, or some bands of it."""

    multiple = 4

    def __init__(self, channels: int | None = None) -> None:
        super().__init__()
        self.channels = channels

    def forward(self, images: Tensor) -> Tensor:
        return images[:, : self.channels] if self.channels else images


def handing_on(
    source: Scale | None, target: Scale | None = None, channels: tuple[int, int] = (1, 1)
) -> Translator:
    filing = Filing(source, target, channels) if source or target else None
    return Translator(
        Same(channels[1] if channels[1] < channels[0] else None),
        input_channels=channels[0],
        output_channels=channels[1],
        norm="instance",
        dropout=False,
        device="cpu",
        filing=filing,
    )


def tiff(path: Path, values: Any, **info: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_array(values, path, ".tif", info)
    return path


@pytest.mark.parametrize("suffix", [".tif", ".npy", ".npz", ".png"])
@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_every_integer_comes_back(tmp_path: Path, suffix: str, dtype: str) -> None:
    most = np.iinfo(dtype).max
    side = 16 if most == 255 else 256
    values = np.arange(most + 1, dtype=dtype).reshape(side, side, 1)
    (tmp_path / "in").mkdir()
    write_array(values, tmp_path / "in" / f"a{suffix}", suffix)
    scale = Scale(dtype, ((0, most),))
    report = translate_folder(handing_on(scale, scale), tmp_path / "in", tmp_path / "out")
    assert (report.translated, report.failed) == (1, ())
    back = read_array(tmp_path / "out" / f"a{suffix}")
    assert back.values.dtype == dtype
    np.testing.assert_array_equal(back.values, values)
    # Also where nothing is said of the values: 16 bits are those of colours then.
    plain = translate_folder(handing_on(None), tmp_path / "in", tmp_path / "plain")
    assert plain.translated == 1
    np.testing.assert_array_equal(read_array(tmp_path / "plain" / f"a{suffix}").values, values)


@pytest.mark.parametrize("suffix", [".tif", ".npy", ".pfm"])
def test_floating_point_comes_back_within_rounding(tmp_path: Path, suffix: str) -> None:
    values = RANDOM.uniform(-3, 5, (20, 30, 1)).astype(np.float32)
    (tmp_path / "in").mkdir()
    write_array(values, tmp_path / "in" / f"a{suffix}", suffix)
    scale = Scale("float32", ((-3, 5),))
    translate_folder(handing_on(scale, scale), tmp_path / "in", tmp_path / "out")
    back = read_array(tmp_path / "out" / f"a{suffix}").values
    assert back.dtype == np.float32
    np.testing.assert_allclose(back, values, rtol=0, atol=8 * 2**-24)


@pytest.mark.parametrize("layout", [{}, {"planar": True}, {"paged": True}])
def test_bands_stay_as_they_lie_with_their_place(tmp_path: Path, layout: dict[str, bool]) -> None:
    values = RANDOM.integers(0, 4096, (21, 34, 6), dtype=np.uint16)
    path = tiff(tmp_path / "in" / "a.tif", values, tags=GEO, **layout)
    path.with_suffix(".tfw").write_text("10\n0\n0\n-10\n600005\n5099995\n", encoding="utf-8")
    scale = Scale("uint16", ((0, 4095),))
    translator = handing_on(scale, scale, (6, 6))
    report = translate_folder(translator, tmp_path / "in", tmp_path / "out")
    assert (report.translated, len(report.failed)) == (1, 1)  # the world file is no image
    back = read_array(tmp_path / "out" / "a.tif")
    np.testing.assert_array_equal(back.values, values)
    assert {t.code: t.value for t in back.info["tags"]}.items() >= {
        t.code: t.value for t in GEO
    }.items()
    for key, value in layout.items():
        assert back.info[key] == value
    assert (tmp_path / "out" / "a.tfw").read_text(encoding="utf-8").split()[0] == "10"


def test_a_geotiff_of_colours_keeps_its_place_too(tmp_path: Path) -> None:
    values = RANDOM.integers(0, 256, (20, 20, 3), dtype=np.uint8)
    tiff(tmp_path / "in" / "a.tif", values, tags=GEO)
    translator = handing_on(None, channels=(3, 3))
    report = translate_folder(translator, tmp_path / "in", tmp_path / "out")
    assert not report.remarks
    back = read_array(tmp_path / "out" / "a.tif")
    np.testing.assert_array_equal(back.values, values)
    assert {t.code for t in back.info["tags"]} >= {t.code for t in GEO}
    small = translate_folder(translator, tmp_path / "in", tmp_path / "small", size=(10, 5))
    assert small.translated == 1
    tags = {tag.code: tag.value for tag in read_array(tmp_path / "small" / "a.tif").info["tags"]}
    assert tags[33550] == (20.0, 40.0, 0.0)
    png = translate_folder(translator, tmp_path / "in", tmp_path / "png", suffix="png")
    assert "have neither the place" in png.remarks[0]


def test_other_bands_and_types_come_out(tmp_path: Path) -> None:
    values = RANDOM.integers(0, 4096, (20, 20, 6), dtype=np.uint16)
    values[:, :, :3] = values[:, :, :3] // 16 * 16
    tiff(tmp_path / "in" / "a.tif", values)
    scale = Scale("uint16", ((0, 4080),))
    to_colours = handing_on(scale, None, (6, 3))
    translate_folder(to_colours, tmp_path / "in", tmp_path / "rgb", suffix="png")
    with Image.open(tmp_path / "rgb" / "a.png") as image:
        np.testing.assert_array_equal(np.array(image), np.rint(values[:, :, :3] / 16))
    assert to_colours(tmp_path / "in" / "a.tif").mode == "RGB"

    Image.fromarray((values[:, :, 0] >> 4).astype(np.uint8)).save(tmp_path / "grey.png")
    to_depth = handing_on(None, Scale("float32", ((0, 25.5),)))
    translate_folder(to_depth, tmp_path / "grey.png", tmp_path / "depth")
    depth = tifffile.imread(tmp_path / "depth" / "grey.tif")  # which PNG cannot hold
    assert depth.dtype == np.float32
    np.testing.assert_allclose(depth, (values[:, :, 0] >> 4) / 10, atol=1e-5)
    with pytest.raises(OptionsError, match=r"'jpg'\) cannot hold 1 bands of float32"):
        translate_folder(to_depth, tmp_path / "grey.png", tmp_path / "no", suffix="jpg")


def test_pages_are_images_of_their_own_for_one_channel(tmp_path: Path) -> None:
    values = RANDOM.integers(0, 65536, (12, 16, 3), dtype=np.uint16)
    tiff(tmp_path / "in" / "a.tif", values, paged=True)
    scale = Scale("uint16", ((0, 65535),))
    translate_folder(handing_on(scale, scale), tmp_path / "in", tmp_path / "out")
    np.testing.assert_array_equal(
        tifffile.imread(tmp_path / "out" / "a.tif"), values.transpose(2, 0, 1)
    )


def test_what_does_not_fit_is_one_line_and_the_others_are_done(tmp_path: Path) -> None:
    scale = Scale("uint16", ((0, 4095),))
    tiff(tmp_path / "in" / "good.tif", RANDOM.integers(0, 4096, (8, 8, 4), dtype=np.uint16))
    tiff(tmp_path / "in" / "five.tif", np.zeros((8, 8, 5), np.uint16))
    tiff(tmp_path / "in" / "nan.tif", np.full((8, 8, 4), np.nan, np.float32))
    (tmp_path / "in" / "short.npy").write_bytes(b"\x93NUMPY\x01\x00")
    report = translate_folder(handing_on(scale, scale, (4, 4)), tmp_path / "in", tmp_path / "out")
    assert report.translated == 1
    why = {failed.path.stem: failed.reason for failed in report.failed}
    assert "5 bands, where 4 were expected" in why["five"]
    assert "NaN" in why["nan"]
    assert "short" in why


def test_arrays_are_values_of_files() -> None:
    scale = Scale("int16", ((-1000, 3000),))
    translator = handing_on(scale, scale, (2, 2))
    values = RANDOM.integers(-1000, 3001, (10, 12, 2)).astype(np.int16)
    np.testing.assert_array_equal(translator(values), values)
    several = np.stack([values, values[::-1]])
    np.testing.assert_array_equal(translator(several), several)
    signed = torch.rand(1, 2, 8, 8)
    torch.testing.assert_close(translator(signed), signed)
    with pytest.raises(DataError, match=r"expected \(H, W, 2\)"):
        translator(values[:, :, :1])
    with pytest.raises(DataError, match="expected a path"):
        translator(b"bytes")


def test_world_files_of_larger_images() -> None:
    # The first pixel of 10 m begins at (600000, 5100000): its middle is 5 m further.
    made = rescaled_world("10\n0\n0\n-10\n600005\n5099995\n", 2, 4)
    assert list(map(float, made.split())) == [5, 0, 0, -2.5, 600002.5, 5099998.75]
    assert rescaled_world("nothing", 2, 2) == "nothing"
