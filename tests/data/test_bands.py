"""Sides with any bands, types and ranges: measured, checked, and given to networks as they are."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image

from i2i.config import Options
from i2i.config.recipes import load_options
from i2i.core.batch import to_signed, to_travel
from i2i.core.scale import Scale
from i2i.core.sides import Sides
from i2i.data.augment.geometry import JointGeometry
from i2i.data.images.check import check_images
from i2i.data.images.measured import measure
from i2i.data.images.probe import ImageInfo, look_at
from i2i.data.loading.decoded_cache import in_memory
from i2i.data.sides import sides_of
from i2i.data.sources import open_source, resolve_options
from i2i.errors import DataError, OptionsError

RANDOM = np.random.default_rng(0)
SMALL = ("data.crop_size=16", "data.load_size=16", "data.flip=false", "data.cache=off")


@pytest.fixture
def scenes(tmp_path: Path) -> Path:
    """Six bands of 12 bits, and depth in metres, of 5 scenes of 16 x 16 pixels."""
    root = tmp_path / "scenes"
    for split, count in (("train", 3), ("val", 2)):
        (root / split / "A").mkdir(parents=True)
        (root / split / "B").mkdir(parents=True)
        for number in range(count):
            bands = RANDOM.integers(10, 4000, (16, 16, 6), dtype=np.uint16)
            bands[0, 0], bands[0, 1] = 0, 4095
            tifffile.imwrite(
                root / split / "A" / f"{number}.tif",
                bands,
                photometric="minisblack",
                planarconfig="contig",
            )
            depth = RANDOM.uniform(2, 80, (16, 16)).astype(np.float32)
            np.save(root / split / "B" / f"{number}.npy", depth)
    return root


def resolved(root: Path, *settings: str, model: str = "pix2pix") -> Options:
    options = load_options(model, *SMALL, f'data.root="{root}"', *settings, size=16)
    return resolve_options(options, {"pix2pix": "paired"}.get(model, "unpaired"))


def test_what_only_the_files_tell_is_measured(scenes: Path) -> None:
    options = resolved(scenes, "data.A.channels=6", 'data.B.range="auto"', "data.A.show=[3,2,1]")
    a, b = options.data.A, options.data.B
    assert (a.channels, a.dtype, a.range) == (6, "uint16", (0, 4095))
    assert (b.channels, b.dtype) == (1, "float32")
    depths = [np.load(path) for path in (scenes / "train" / "B").iterdir()]
    low, high = min(map(np.min, depths)), max(map(np.max, depths))
    assert b.range == (pytest.approx(low), pytest.approx(high))
    assert (options.data.input_channels, options.data.output_channels) == (6, 1)
    assert resolve_options(options, "paired") == options  # as a run that is resumed does
    sides = sides_of(options)
    assert sides.show == ((3, 2, 1), ())
    assert (sides.travels(0), sides.travels(1)) == (torch.uint16, torch.float32)


def test_networks_get_all_of_it(scenes: Path) -> None:
    options = resolved(scenes, "data.A.channels=6", "data.B.range=[0, 100]")
    source = open_source(options, "paired")
    pair = source.validation[0]
    assert pair.source.dtype == torch.uint16
    there = tifffile.imread(scenes / "val" / "A" / "0.tif").astype(np.float64)
    seen = to_signed(pair.source).permute(1, 2, 0).numpy()
    np.testing.assert_allclose(seen, there / 4095 * 2 - 1, atol=2e-5)  # half a step of 65535
    depth = np.load(scenes / "val" / "B" / "0.npy")
    np.testing.assert_allclose(pair.target[0].numpy(), depth / 50 - 1, atol=1e-6)
    batches = source.validation_batches(2)
    assert batches[0].source.shape == (2, 6, 16, 16)


def test_two_domains_of_bands(scenes: Path) -> None:
    options = resolved(scenes, "data.A.channels=6", 'data.B.range="auto"', model="cyclegan")
    sample = open_source(options, "unpaired").train[0]
    assert (sample.a.shape, sample.a.dtype) == ((6, 16, 16), torch.uint16)
    assert (sample.b.shape, sample.b.dtype) == ((1, 16, 16), torch.float32)


def test_the_direction_is_that_of_the_batch(scenes: Path) -> None:
    settings = ("data.A.channels=6", 'data.B.range="auto"', 'data.direction="BtoA"')
    options = resolved(scenes, *settings)
    assert (options.data.input_channels, options.data.output_channels) == (1, 6)
    assert sides_of(options).travels(0) == torch.float32
    pair = open_source(options, "paired").train[0]
    assert (len(pair.source), len(pair.target)) == (1, 6)


def test_without_a_word_of_it_files_of_bands_are_refused(scenes: Path) -> None:
    options = resolved(scenes)
    with pytest.raises(DataError, match=r"6 bands of uint16 within 0..4095.*data.A.channels = 6"):
        open_source(options, "paired")


def test_another_number_of_bands_is_said(scenes: Path) -> None:
    with pytest.raises(DataError, match="it has 6 bands, where 5 were expected"):
        resolved(scenes, "data.A.channels=5")


def test_models_of_one_side_have_no_other(scenes: Path) -> None:
    options = load_options("stargan", f'data.root="{scenes}"', "data.B.channels=6")
    with pytest.raises(OptionsError, match=r"data\.B is for models of two sides.*in data\.A"):
        resolve_options(options, "domains")


@pytest.mark.parametrize(
    ("setting", "why"),
    [
        ("data.A.range=[5, 1]", "must begin below its end"),
        ('data.A.range=["1%", 5]', "two values or two percentiles"),
        ('data.A.range=["1%", "101%"]', "must begin below its end"),
        ('data.A.dtype="uint7"', "dtype"),
        ("data.A.channels=0", "channels"),
        ('data.A.kind="labels"', "classes is missing"),
        ("data.A.show=[0]", "show"),
    ],
)
def test_what_is_no_side(setting: str, why: str) -> None:
    with pytest.raises(OptionsError, match=why):
        load_options("pix2pix", setting)
    with pytest.raises(OptionsError, match="a pair for each band"):
        load_options("pix2pix", "data.A.channels=3", "data.A.range=[[0, 1], [0, 2]]")
    with pytest.raises(OptionsError, match="names a band beyond the 2"):
        load_options("pix2pix", "data.A.channels=2", "data.A.show=[3, 2, 1]")


def test_percentiles_of_all_images(tmp_path: Path) -> None:
    files = []
    for number in range(2):
        values = np.linspace(0, 1000, 10_001, dtype=np.float32)[number::2]
        values = np.append(values, np.float32(1e9 * number))  # a broken pixel
        np.save(tmp_path / f"{number}.npy", values.reshape(1, -1))
        files.append((tmp_path / f"{number}.npy", None))
    [(low, high)] = measure(files, percentiles=(1, 99)).ranges
    assert (low, high) == (pytest.approx(10, abs=1), pytest.approx(990, abs=1))
    assert measure(files).ranges == ((0, 1e9),)


def test_a_mixture_of_kinds_is_counted(tmp_path: Path) -> None:
    for number in range(3):
        np.save(tmp_path / f"{number}.npy", np.ones((4, 4, 2), np.uint16))
    np.save(tmp_path / "3.npy", np.ones((4, 4, 2), np.uint8))
    files = [(path, None) for path in sorted(tmp_path.glob("*.npy"))]
    with pytest.raises(DataError, match=r"3 with 2 bands of uint16 .* 1 with 2 bands of uint8"):
        measure(files)


def test_halves_of_files_have_ranges_of_their_own(tmp_path: Path) -> None:
    both = np.concatenate([np.full((4, 4), 7.0), np.full((4, 4), 90.0)], axis=1)
    both[0, 0], both[0, 4] = 3, 100
    np.save(tmp_path / "a.npy", both)
    assert measure([(tmp_path / "a.npy", 0)]).ranges == ((3, 7),)
    assert measure([(tmp_path / "a.npy", 1)]).ranges == ((90, 100),)


def test_a_look_at_bands(scenes: Path, own_cache: Path) -> None:
    path = scenes / "train" / "A" / "0.tif"
    look = look_at(path)
    assert isinstance(look, ImageInfo)
    assert (look.width, look.height, look.bits, look.mode) == (16, 16, 16, "6 bands of uint16")
    assert (look.low, look.high) == (0, 4095)
    for _ in range(2):  # looked at, and remembered
        checked = check_images([path], own_cache)
        assert "data.A.channels = 6" in checked.bad[path]
        as_filed = checked.as_filed([path])
        assert not as_filed.bad
        assert as_filed.sizes == {path: (16, 16)}


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_geometry_and_caches_keep_types(dtype: Any) -> None:
    values = (RANDOM.random((20, 30, 5)) * (1 if dtype == np.float32 else 200)).astype(dtype)
    grey = RANDOM.integers(0, 256, (20, 30, 1), dtype=np.uint8)
    geometry = JointGeometry(24, 16, "shorter side")
    resized = geometry.resize_all(grey, values)
    assert [each.dtype for each in resized] == [np.uint8, dtype]
    expected = torch.nn.functional.interpolate(
        torch.from_numpy(values.astype(np.float32)).permute(2, 0, 1)[None],
        size=(24, 36),
        mode="bicubic",
        antialias=True,
    )
    found = torch.from_numpy(resized[1].astype(np.float32)).permute(2, 0, 1)[None]
    if dtype != np.uint8:  # whose arithmetic is that of integers
        off = found - expected.clamp(float(values.min()), float(values.max()))
        assert off.abs().max() <= 0.51
    kept = in_memory(2, 2**20)
    assert kept is not None
    for _ in range(2):
        again = kept(0, lambda item: (grey[:3, :3], values[:3, :3]))
        np.testing.assert_array_equal(again[1], values[:3, :3])
        assert again[1].dtype == dtype
    crops = [geometry.cut(0, position, *resized) for position in range(8)]
    assert {crop[1].shape for crop in crops} == {(16, 16, 5)}


def test_what_travels_comes_back() -> None:
    words = torch.arange(65536, dtype=torch.int32).to(torch.uint16)
    assert torch.equal(to_travel(to_signed(words), torch.uint16).int(), words.int())
    eight = torch.arange(256, dtype=torch.uint8)
    assert torch.equal(to_travel(to_signed(eight), torch.uint8), eight)


def test_sheets_show_bands_and_say_which() -> None:
    scale = Scale("uint16", ((0, 4095),))
    sides = Sides({"source": 0, "target": 1}, scales=(scale, None), show=((5, 1, 2), ()))
    images = torch.linspace(-0.9, -0.8, 6 * 64).reshape(1, 6, 8, 8)
    target = torch.zeros(1, 3, 8, 8)
    shown = sides.pictures({"input": images, "output": target}, lambda name: int(name != "input"))
    assert list(shown) == ["input (bands 5, 1, 2, 2-98 %)", "output"]
    picture = shown["input (bands 5, 1, 2, 2-98 %)"]
    assert picture.shape == (1, 3, 8, 8)
    assert (picture.min(), picture.max()) == (-1, 1)
    assert torch.equal(shown["output"], target)


def test_grey_of_16_bits_is_no_longer_squeezed(tmp_path: Path) -> None:
    for split in ("train", "val"):
        for side in "AB":
            (tmp_path / split / side).mkdir(parents=True)
            for number in range(2):
                values = RANDOM.integers(0, 4096, (16, 16), dtype=np.uint16)
                Image.fromarray(values).save(tmp_path / split / side / f"{number}.png")
    options = resolved(tmp_path, "data.A.range=[0, 4095]", "data.B.range=[0, 4095]")
    assert (options.data.A.channels, options.data.A.dtype) == (1, "uint16")
    pair = open_source(options, "paired").validation[0]
    with Image.open(tmp_path / "val" / "A" / "0.png") as image:
        there = np.asarray(image).astype(np.float64)
    back = (to_signed(pair.source)[0].double().numpy() + 1) / 2 * 4095
    np.testing.assert_array_equal(np.rint(back), there)
